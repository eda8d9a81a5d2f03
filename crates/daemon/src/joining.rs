//! A new controller of the site: with a code that is good once, it is given what all controllers must have alike. Nobody without the code is given
//! anything, and nobody who listens learns anything: who asks proves that it has the code, and the answer is sealed to its key.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use perilune_boot::Protocol;
use perilune_model::controller::DEFAULT_PORT;
use perilune_seal::{KeyPair, PublicKey, Sealed};
use perilune_store::{Address, Encryption, Host};
use serde::{Deserialize, Serialize};

use crate::config::{Settings, is_controller_name, write_whole};

/// How long a code is good, in milliseconds: as long as it takes to go to the other machine.
pub const LIFE: u64 = 15 * 60 * 1000;
/// As many codes are good at once.
const MOST: usize = 16;
const SECRET_MODE: u32 = 0o600;
const CONFIGURATION: &str = "luna.ini";
const KEY: &str = "luna.key";
const PASSWORD: &str = "database.password";
const AUTHORITIES: &str = "database-ca.pem";
/// What a data directory in use has. A key that is lost can be the only one that opens somebody's secrets.
const IN_USE: [&str; 5] = [CONFIGURATION, KEY, PASSWORD, AUTHORITIES, "perilune.db"];
const LARGEST: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(30);
const DEFAULT_LISTEN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Why a controller does not join.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is none that a configuration may have.
    #[error("a controller cannot be called '{}'; write a name of letters, digits, dots and dashes", .0.escape_debug())]
    Name(String),
    /// The data directory is in use.
    #[error("{} is there already: a controller that joins begins with a data directory of its own; name another, or put that away", .0.display())]
    InUse(PathBuf),
    /// The other controller could not be asked.
    #[error("{url} cannot be asked")]
    Unreachable {
        /// Where it was asked.
        url: String,
        /// Why not.
        source: Box<ureq::Error>,
    },
    /// It refuses.
    #[error("{url} refuses ({status}): {message}")]
    Refused {
        /// Where it was asked.
        url: String,
        /// The status of the answer.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The answer is not of one who has the code.
    #[error("{0} does not answer as a controller does that has given this code")]
    NotBelieved(String),
    /// A file could not be read or written.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The cryptography of this machine fails.
    #[error(transparent)]
    Seal(#[from] perilune_seal::Error),
}

/// With which codes new controllers are let in, and to what.
#[derive(Debug)]
pub struct Invitations {
    database: Option<Address>,
    /// Those that are good, with their ends, the oldest first. What is kept of each checks and makes proofs.
    codes: Mutex<VecDeque<(hmac::Key, u64)>>,
}

impl Invitations {
    /// None is made yet. `database` is the one that controllers share, if they do.
    pub(crate) fn to(database: Option<Address>) -> Self {
        Self { database, codes: Mutex::default() }
    }

    /// The database that controllers share.
    pub fn database(&self) -> Option<&Address> {
        self.database.as_ref()
    }

    /// A new code. `now` is in steady milliseconds.
    pub fn invite(&self, now: u64) -> Result<String, getrandom::Error> {
        let mut bytes = [0; 18];
        getrandom::fill(&mut bytes)?;
        let code = URL_SAFE_NO_PAD.encode(bytes);
        let mut codes = self.good(now);
        while codes.len() >= MOST {
            codes.pop_front();
        }
        codes.push_back((key_of(&code), now + LIFE));
        Ok(code)
    }

    /// Whether somebody has proved to have a code that is good.
    pub fn is_proved(&self, request: &Request, now: u64) -> bool {
        let proof = request.proof();
        self.good(now).iter().any(|(code, _)| request.is_proved_by(&proof, code))
    }

    /// Takes the code away by which somebody has proved who asks.
    pub fn redeem(&self, request: &Request, now: u64) -> Option<Code> {
        let proof = request.proof();
        let mut codes = self.good(now);
        let place = codes.iter().position(|(code, _)| request.is_proved_by(&proof, code))?;
        codes.remove(place).map(|(code, _)| Code(code))
    }

    fn good(&self, now: u64) -> MutexGuard<'_, VecDeque<(hmac::Key, u64)>> {
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|(_, until)| *until > now);
        codes
    }
}

/// A code that was taken away.
#[derive(Debug)]
pub struct Code(hmac::Key);

fn key_of(code: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, code.as_bytes())
}

/// What a controller that joins sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// What it is to be called.
    pub name: String,
    /// The key that the answer is sealed to.
    pub(crate) key: PublicKey,
    /// That it has the code.
    pub(crate) proof: String,
}

impl Request {
    fn new(code: &str, name: &str, key: &PublicKey) -> Self {
        let tag = hmac::sign(&key_of(code), asked(name, key).as_bytes());
        let proof = URL_SAFE_NO_PAD.encode(tag);
        Self { name: name.to_owned(), key: key.clone(), proof }
    }

    fn proof(&self) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(&self.proof).unwrap_or_default()
    }

    fn is_proved_by(&self, proof: &[u8], code: &hmac::Key) -> bool {
        hmac::verify(code, asked(&self.name, &self.key).as_bytes(), proof).is_ok()
    }
}

fn asked(name: &str, key: &PublicKey) -> String {
    format!("perilune join {name} {}", String::from(key.clone()))
}

fn answered(name: &str, key: &PublicKey) -> String {
    format!("perilune joined {name} {}", String::from(key.clone()))
}

/// What all controllers have alike.
#[derive(Serialize, Deserialize)]
struct Brought {
    /// That it comes from one who has the code.
    proof: String,
    /// The content of the key file.
    key: String,
    secret_key: String,
    username: String,
    password: String,
    is_https: bool,
    /// Where firmware alone is answered.
    #[serde(default)]
    firmware_port: Option<u16>,
    hosts: String,
    database: String,
    user: String,
    /// The password at the database.
    database_password: Option<String>,
    /// The authorities of its certificate.
    authorities: Option<String>,
    /// Whether connections that leave the machine are not encrypted.
    is_plain: bool,
}

/// Seals to who asks what all controllers have alike.
pub fn bring(
    settings: &Settings,
    database: &Address,
    request: &Request,
    Code(code): &Code,
) -> Result<Sealed, Error> {
    let authorities = match &database.encryption {
        Encryption::Authority(file) => Some(read(file)?),
        Encryption::System | Encryption::None => None,
    };
    let password = database.password_file.as_deref().map(read).transpose()?;
    let said = answered(&request.name, &request.key);
    let proof = URL_SAFE_NO_PAD.encode(hmac::sign(code, said.as_bytes()));
    let brought = Brought {
        proof,
        key: read(&settings.key_file)?,
        secret_key: settings.secret_key.clone(),
        username: settings.username.clone(),
        password: settings.password.clone(),
        is_https: settings.protocol == Protocol::Https,
        firmware_port: settings.firmware_port,
        hosts: database.hosts.iter().map(host_text).collect::<Vec<_>>().join(", "),
        database: database.database.clone(),
        user: database.user.clone(),
        database_password: password,
        authorities,
        is_plain: is_plain(database),
    };
    let text = serde_json::to_vec(&brought).unwrap_or_default();
    Ok(request.key.seal(&text, &purpose(&request.name))?)
}

/// That a database on the same machine is spoken to without TLS is usual, and says nothing of how another machine is to speak to it.
fn is_plain(database: &Address) -> bool {
    let usual = Address::of(database.hosts.clone(), &database.database, &database.user).encryption;
    database.encryption == Encryption::None && usual != Encryption::None
}

/// As the configuration reads it.
fn host_text(Host { name, port }: &Host) -> String {
    match name {
        directory if directory.starts_with('/') => directory.clone(),
        address if address.contains(':') => format!("[{address}]:{port}"),
        name => format!("{name}:{port}"),
    }
}

fn purpose(name: &str) -> String {
    format!("perilune controller {name}")
}

fn read(file: &Path) -> Result<String, Error> {
    let failed = |source| Error::File { what: "read", path: file.to_owned(), source };
    fs::read_to_string(file).map_err(failed)
}

/// Asks a controller for what all have alike, and makes a data directory of it; answers its configuration.
pub fn join(url: &str, code: &str, name: &str, data_dir: &Path) -> Result<PathBuf, Error> {
    let url = url.trim_end_matches('/');
    // Before the code is spent.
    if !is_controller_name(name) {
        return Err(Error::Name(name.to_owned()));
    }
    let is_there = |path: &PathBuf| path.symlink_metadata().is_ok();
    if let Some(path) = IN_USE.iter().map(|file| data_dir.join(file)).find(is_there) {
        return Err(Error::InUse(path));
    }
    let pair = KeyPair::generate()?;
    let request = Request::new(code, name, pair.public());
    let sealed = ask(url, &request)?;
    let not_believed = || Error::NotBelieved(url.to_owned());
    let text = pair.open(&sealed, &purpose(name)).map_err(|_other| not_believed())?;
    let brought: Brought = serde_json::from_slice(&text).map_err(|_odd| not_believed())?;
    let proof = URL_SAFE_NO_PAD.decode(&brought.proof).unwrap_or_default();
    let said = answered(name, pair.public());
    hmac::verify(&key_of(code), said.as_bytes(), &proof).map_err(|_other| not_believed())?;
    brought.write(data_dir, name)?;
    Ok(data_dir.join(CONFIGURATION))
}

/// Whoever answers is believed by the code: its certificate is not asked for.
fn ask(url: &str, request: &Request) -> Result<Sealed, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ureq::tls::TlsConfig::builder();
    let tls = tls.unversioned_rustls_crypto_provider(provider).disable_verification(true).build();
    let agent = ureq::Agent::config_builder().http_status_as_error(false).tls_config(tls);
    let agent = agent.timeout_global(Some(PATIENCE)).build().new_agent();
    let unreachable = |source| Error::Unreachable { url: url.to_owned(), source: Box::new(source) };
    let asked = agent.post(format!("{url}/controller/_join")).send_json(request);
    let answer = asked.map_err(unreachable)?;
    let status = answer.status();
    let text = answer.into_body().into_with_config().limit(LARGEST).read_to_vec();
    let text = text.map_err(unreachable)?;
    if status.is_success() {
        return serde_json::from_slice(&text).map_err(|_odd| Error::NotBelieved(url.to_owned()));
    }
    let told = serde_json::from_slice::<serde_json::Value>(&text).ok();
    let told = told.and_then(|told| told.get("message")?.as_str().map(str::to_owned));
    let usual = || status.canonical_reason().unwrap_or("no reason is given").to_owned();
    let (status, message) = (status.as_u16(), told.unwrap_or_else(usual));
    Err(Error::Refused { url: url.to_owned(), status, message })
}

impl Brought {
    fn write(&self, data_dir: &Path, name: &str) -> Result<(), Error> {
        let failed = |source| Error::File { what: "make", path: data_dir.to_owned(), source };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o755);
        for directory in ["", "files", "images"] {
            builder.create(data_dir.join(directory)).map_err(failed)?;
        }
        let mut more = Vec::new();
        write(&data_dir.join(KEY), &self.key)?;
        if let Some(password) = &self.database_password {
            write(&data_dir.join(PASSWORD), password)?;
            more.push(format!("PASSWORD_FILE = {PASSWORD}\n"));
        }
        match &self.authorities {
            Some(authorities) => {
                write(&data_dir.join(AUTHORITIES), authorities)?;
                more.push(format!("CA_FILE = {AUTHORITIES}\n"));
            }
            None if self.is_plain => more.push("TLS = no\n".to_owned()),
            None => {}
        }
        let more = more.concat();
        let protocol = if self.is_https { Protocol::Https } else { Protocol::Http };
        let endpoint = SocketAddr::new(DEFAULT_LISTEN, DEFAULT_PORT);
        let Self { secret_key, username, password, hosts, database, user, .. } = self;
        let firmware = self.firmware_port;
        let firmware = firmware.map(|port| format!("FIRMWARE_PORT = {port}\n")).unwrap_or_default();
        let text = format!(
            "; Made by `perilune controller join`. What else the other controllers are configured with is not brought along.\n\
             [LOGGER]\nLEVEL = info\n\n\
             [API]\nUSERNAME = {username}\nPASSWORD = {password}\nEXPIRY = 1h\nSECRET_KEY = {secret_key}\n\
             ENDPOINT = {endpoint}\nPROTOCOL = {protocol}\nVERIFY_CERTIFICATE = yes\n{firmware}\n\
             ; These are relative to the data directory.\n\
             [FILES]\nKEYFILE = {KEY}\nIMAGE_FILES = files\nIMAGE_DIRECTORY = images\n\n\
             [SECRETS]\nENCRYPT_SECRETS = yes\n\n\
             [DATABASE]\nENGINE = postgresql\nHOSTS = {hosts}\nNAME = {database}\nUSER = {user}\n{more}CONTROLLER = {name}\n"
        );
        write(&data_dir.join(CONFIGURATION), &text)
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |error: crate::config::Error| Error::File {
        what: "write",
        path: path.to_owned(),
        source: io::Error::other(error.to_string()),
    };
    write_whole(path, text, SECRET_MODE).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_once_for_who_proves_to_have_it_and_not_for_ever() {
        let invitations = Invitations::to(None);
        let code = invitations.invite(0).unwrap();
        let pair = KeyPair::generate().unwrap();
        let request = Request::new(&code, "second", pair.public());
        let is_good = |request: &Request, now| {
            let is_proved = invitations.is_proved(request, now);
            assert_eq!(invitations.redeem(request, now).is_some(), is_proved);
            is_proved
        };
        for wrong in ["", "another", &code.to_lowercase()] {
            assert!(!is_good(&Request::new(wrong, "second", pair.public()), 1));
        }
        for proof in ["", "AA", "no base64!", &code] {
            assert!(!is_good(&Request { proof: proof.to_owned(), ..request.clone() }, 1));
        }
        let renamed = Request { name: "third".to_owned(), ..request.clone() };
        assert!(!is_good(&renamed, 1));
        let other = KeyPair::generate().unwrap();
        let taken = Request { key: other.public().clone(), ..request.clone() };
        assert!(!is_good(&taken, 1), "whoever is in between has another key");
        assert!(is_good(&request, LIFE - 1));
        assert!(!is_good(&request, LIFE - 1), "it was used");
        let code = invitations.invite(0).unwrap();
        assert!(!is_good(&Request::new(&code, "second", pair.public()), LIFE));
    }

    #[test]
    fn of_too_many_codes_the_oldest_is_good_no_more_and_none_is_shown() {
        let invitations = Invitations::to(None);
        let codes: Vec<_> = (0..=MOST).map(|_| invitations.invite(0).unwrap()).collect();
        let pair = KeyPair::generate().unwrap();
        let is_good =
            |code: &String| invitations.is_proved(&Request::new(code, "second", pair.public()), 1);
        assert!(!is_good(&codes[0]) && codes[1..].iter().all(is_good));
        let shown = format!("{invitations:?}");
        assert!(!codes.iter().any(|code| shown.contains(code)), "{shown}");
    }

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_brought_is_read_by_the_daemon_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (directory.path().join("first"), directory.path().join("second"));
        fs::create_dir(&first).unwrap();
        fs::write(first.join("luna.key"), "the key\n").unwrap();
        fs::write(first.join("p"), "pass word\n").unwrap();
        fs::write(first.join("ca"), "authorities").unwrap();
        let text = "[API]\nUSERNAME = luna\nPASSWORD: lu%na;x = #y\nPROTOCOL = https\nFIRMWARE_PORT = 7051\nSECRET_KEY = 01=23\n[FILES]\nKEYFILE = luna.key\n\
                    [DATABASE]\nENGINE = postgresql\nHOSTS = db1, [fd00::1]:5433\nPASSWORD_FILE = p\nCA_FILE = ca\n";
        fs::write(first.join("luna.ini"), text).unwrap();
        let (settings, _) = Settings::read(&first.join("luna.ini"), &first).unwrap();
        let database = settings.database.clone().unwrap();
        let invitations = Invitations::to(None);
        let code = invitations.invite(0).unwrap();
        let pair = KeyPair::generate().unwrap();
        let request = Request::new(&code, "second", pair.public());
        let taken = invitations.redeem(&request, 1).unwrap();
        let sealed = bring(&settings, &database, &request, &taken).unwrap();
        let other = KeyPair::generate().unwrap();
        assert!(other.open(&sealed, &purpose("second")).is_err());
        let brought: Brought =
            serde_json::from_slice(&pair.open(&sealed, &purpose("second")).unwrap()).unwrap();
        brought.write(&second, "second").unwrap();
        let (read, odd) = Settings::read(&second.join("luna.ini"), &second).unwrap();
        assert!(odd.is_empty(), "{odd:?}");
        let login = |of: &Settings| {
            let ports = (of.protocol, of.firmware_port);
            (of.username.clone(), of.password.clone(), of.secret_key.clone(), ports)
        };
        assert_eq!(login(&read), login(&settings));
        assert_eq!(read.controller, "second");
        let made = read.database.unwrap();
        assert_eq!(made.to_string(), database.to_string());
        assert_eq!(fs::read_to_string(&read.key_file).unwrap(), "the key\n");
        assert_eq!(fs::read_to_string(made.password_file.unwrap()).unwrap(), "pass word\n");
        let Encryption::Authority(file) = made.encryption else { panic!() };
        assert_eq!(fs::read_to_string(file).unwrap(), "authorities");
    }

    #[test]
    fn a_database_beside_the_first_does_not_switch_off_tls_for_others() {
        let of = |text: &str| is_plain(&address(text));
        assert!(!of("postgresql://perilune@127.0.0.1/perilune"));
        assert!(!of("postgresql://perilune@db1/perilune"));
        assert!(of("postgresql://perilune@db1/perilune?sslmode=disable"));
    }

    #[test]
    fn a_directory_in_use_and_a_name_that_is_none_are_refused_before_anybody_is_asked() {
        let directory = tempfile::tempdir().unwrap();
        let nowhere = "http://127.0.0.1:1";
        for file in IN_USE {
            let path = directory.path().join(file);
            fs::write(&path, "precious").unwrap();
            let refused = join(nowhere, "code", "second", directory.path()).unwrap_err();
            assert!(matches!(&refused, Error::InUse(found) if *found == path), "{refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
            fs::remove_file(&path).unwrap();
        }
        for name in ["", "a b", "a\nENGINE = embedded", "a/b"] {
            let refused = join(nowhere, "code", name, directory.path()).unwrap_err();
            assert!(matches!(refused, Error::Name(_)), "{refused}");
        }
    }
}
