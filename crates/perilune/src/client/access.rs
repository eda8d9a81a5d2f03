//! Finds the daemon and a way in: what the caller said, a kept login, or the configuration of a daemon on this machine.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use perilune_daemon::config::Ini;
use perilune_wire::fields::boolean;

use super::token::{self, Session, TokenFile};
use super::trust::{CertificateFile, Trust};

const DEFAULT_PORT: u16 = 7050;
const DEFAULT_URL: &str = "http://localhost:7050";

/// Where daemons keep their configuration, apart from the data directory and the working directory.
const SYSTEM_CONFIGURATIONS: [&str; 3] = [
    "/var/lib/perilune/luna.ini",
    "/trinity/local/luna/cli/config/luna.ini",
    "/trinity/local/luna/daemon/config/luna.ini",
];

/// The certificate that a daemon has made, in its data directory.
const CERTIFICATE: &str = "tls.crt";
/// Where daemons keep the certificate that they have made, beside their data directory's own.
const SYSTEM_CERTIFICATE: &str = "/var/lib/perilune/tls.crt";

/// Why there is no way in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No token, no login, no configuration.
    #[error("no login for {url}{}", unreadable_note(.unreadable.as_deref()))]
    Missing {
        /// The daemon that would have been asked.
        url: String,
        /// A configuration that exists and that this user may not read.
        unreadable: Option<PathBuf>,
    },
    /// A configuration that was named cannot be used.
    #[error("cannot use {}: {reason}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// What the caller said.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where the daemon is.
    pub url: Option<String>,
    /// A `luna.ini` to take address and password from.
    pub config: Option<PathBuf>,
    /// A token to use as it is.
    pub token: Option<String>,
    /// A certificate that the daemon may show, or that of an authority.
    pub certificate: Option<PathBuf>,
    /// Changes are only tried.
    pub dry_run: bool,
}

/// What this user's surroundings offer.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `~/.config/perilune`
    pub config_directory: Option<PathBuf>,
    /// `~/.cache/perilune`
    pub cache_directory: Option<PathBuf>,
    /// `$PERILUNE_DATA_DIR`: the daemon that the user means.
    pub data_directory: Option<PathBuf>,
    /// Configurations of daemons that may run here.
    pub configurations: Vec<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn here() -> Self {
        let directory = |variable: &str, below_home: &str| {
            let set = env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
            set.or_else(|| env::home_dir().map(|home| home.join(below_home)))
                .map(|directory| directory.join("perilune"))
        };
        let mut configurations = vec![PathBuf::from("perilune-data/luna.ini")];
        configurations.extend(SYSTEM_CONFIGURATIONS.map(PathBuf::from));
        Self {
            config_directory: directory("XDG_CONFIG_HOME", ".config"),
            cache_directory: directory("XDG_CACHE_HOME", ".cache"),
            data_directory: env::var_os("PERILUNE_DATA_DIR").map(PathBuf::from),
            configurations,
        }
    }

    /// Where `login` keeps its token.
    pub fn login_file(&self) -> Option<TokenFile> {
        self.config_directory.as_ref().map(|directory| TokenFile(directory.join("token.json")))
    }
}

/// A daemon and a way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// `http://controller:7050`
    pub url: String,
    /// What to show at the door.
    pub credentials: Credentials,
    /// Whom to believe that it is the daemon.
    pub trust: Trust,
}

/// What to show at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A token that cannot be renewed here.
    Token(String),
    /// A password; the token it buys is kept in `cache`.
    Password {
        /// Who.
        username: String,
        /// The secret.
        password: String,
        /// Where the token is kept.
        cache: Option<CacheFor>,
    },
}

/// A token file that is used only for one daemon, user, password and key of a site: another site may have had the address before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheFor {
    file: TokenFile,
    url: String,
    secret_key: String,
}

impl CacheFor {
    fn load(&self, username: &str, password: &str) -> Option<String> {
        let session = self.file.load()?;
        let is_ours = session.url == self.url
            && session.username == username
            && session.is_tied_to(password, &self.secret_key);
        is_ours.then_some(session.token)
    }

    pub(super) fn store(&self, username: &str, password: &str, token: &str) -> io::Result<()> {
        let (url, username) = (self.url.clone(), username.to_owned());
        let session =
            Session { url, username, token: token.to_owned(), login: None, certificate: None };
        self.file.store(&session.tied_to(password, &self.secret_key))
    }
}

impl Credentials {
    /// The token that is at hand without asking the daemon.
    pub(super) fn known_token(&self) -> Option<String> {
        match self {
            Self::Token(token) => Some(token.clone()),
            Self::Password { username, password, cache } => {
                cache.as_ref()?.load(username, password)
            }
        }
    }
}

/// The way in: what the caller named first, then a kept login, then a daemon on this machine.
///
/// A configuration that was merely found is used for its own daemon only: its password is not sent to another address.
pub fn find(options: &Options, surroundings: &Surroundings) -> Result<Access, Error> {
    let url = options.url.as_deref().map(normalise);
    let named = options.config.clone().or_else(|| data_configuration(surroundings));
    if let Some(token) = &options.token {
        let of_configuration = || read(named.as_ref()?).ok().map(|found| found.url);
        let url = url.or_else(of_configuration).unwrap_or_else(|| DEFAULT_URL.to_owned());
        return Ok(with_token(url, token.clone(), options, surroundings));
    }
    if let Some(path) = named {
        let found = read(&path).map_err(|error| error.of(&path))?;
        let url = url.unwrap_or_else(|| found.url.clone());
        return Ok(found.access(url, options, surroundings));
    }
    let login = surroundings.login_file().and_then(|file| file.load());
    let login = login.filter(|login| url.as_ref().is_none_or(|url| *url == login.url));
    let login_is_valid =
        login.as_ref().is_some_and(|login| !token::is_expired(&login.token, token::now()));
    if let Some(login) = login.as_ref().filter(|_| login_is_valid) {
        // What was believed then is believed now.
        let certificate = options.certificate.clone().or_else(|| login.certificate.clone());
        let options = Options { certificate, ..options.clone() };
        return Ok(with_token(login.url.clone(), login.token.clone(), &options, surroundings));
    }
    let wanted = url.or_else(|| login.map(|login| login.url));
    let mut unreadable = None;
    for path in &surroundings.configurations {
        match read(path) {
            Ok(found) if wanted.as_ref().is_none_or(|url| *url == found.url) => {
                let url = found.url.clone();
                return Ok(found.access(url, options, surroundings));
            }
            Err(Unusable::Forbidden) => unreadable = unreadable.or_else(|| Some(path.clone())),
            Ok(_) | Err(Unusable::Missing | Unusable::Wrong(_)) => {}
        }
    }
    Err(Error::Missing { url: wanted.unwrap_or_else(|| DEFAULT_URL.to_owned()), unreadable })
}

fn with_token(
    url: String,
    token: String,
    options: &Options,
    surroundings: &Surroundings,
) -> Access {
    let trust = trust_in(&url, options, surroundings);
    Access { url, credentials: Credentials::Token(token), trust }
}

/// Whom to believe at this address: as the configuration of its daemon says, if one is at hand.
pub fn trust_in(url: &str, options: &Options, surroundings: &Surroundings) -> Trust {
    let named = options.config.clone().or_else(|| data_configuration(surroundings));
    let mut configurations = named.iter().chain(&surroundings.configurations);
    let found = configurations.find_map(|path| read(path).ok().filter(|found| found.url == url));
    found.map_or_else(|| verified(Vec::new(), options), |found| found.trust(options, surroundings))
}

/// Certificates of this machine's authorities, the one that the user names, and these.
fn verified(usual: Vec<PathBuf>, options: &Options) -> Trust {
    let file = |path: PathBuf, is_named| CertificateFile { path, is_named };
    let named = options.certificate.iter().map(|path| file(path.clone(), true));
    Trust::Certificates(named.chain(usual.into_iter().map(|path| file(path, false))).collect())
}

/// `controller` → `http://controller:7050`
pub fn normalise(url: &str) -> String {
    let url = url.trim().trim_end_matches('/');
    let (scheme, host) = url.split_once("://").unwrap_or(("http", url));
    let after_brackets = host.rsplit_once(']').map_or(host, |(_, after)| after);
    let authority_has_port = after_brackets.contains(':');
    if authority_has_port || host.contains('/') {
        format!("{scheme}://{host}")
    } else {
        format!("{scheme}://{host}:{DEFAULT_PORT}")
    }
}

fn data_configuration(surroundings: &Surroundings) -> Option<PathBuf> {
    let path = surroundings.data_directory.as_ref()?.join("luna.ini");
    path.exists().then_some(path)
}

/// What a `luna.ini` says about its daemon.
struct Found {
    url: String,
    username: String,
    password: String,
    /// What tells sites apart that have the same address and password; empty where it is not at hand.
    secret_key: String,
    /// Whether the daemon has to prove that it is the one.
    verify: bool,
    /// The certificates that it may show.
    certificates: Vec<PathBuf>,
}

impl Found {
    /// The site's word counts for its own daemon only.
    fn trust(&self, options: &Options, surroundings: &Surroundings) -> Trust {
        if !self.verify && options.certificate.is_none() {
            return Trust::Anybody;
        }
        let mut usual = self.certificates.clone();
        usual.extend(surroundings.data_directory.iter().map(|data| data.join(CERTIFICATE)));
        usual.push(PathBuf::from(SYSTEM_CERTIFICATE));
        verified(usual, options)
    }

    fn access(self, url: String, options: &Options, surroundings: &Surroundings) -> Access {
        let trust = if url == self.url {
            self.trust(options, surroundings)
        } else {
            trust_in(&url, options, surroundings)
        };
        let cache = surroundings.cache_directory.as_ref().map(|directory| CacheFor {
            file: TokenFile(directory.join(cache_name(&url, &self.username))),
            url: url.clone(),
            secret_key: self.secret_key,
        });
        let credentials =
            Credentials::Password { username: self.username, password: self.password, cache };
        Access { url, credentials, trust }
    }
}

enum Unusable {
    Missing,
    Forbidden,
    Wrong(String),
}

impl Unusable {
    fn of(self, path: &Path) -> Error {
        let reason = match self {
            Self::Missing => "there is no such file".to_owned(),
            Self::Forbidden => {
                "you may not read it; use sudo, or log in with `perilune login`".to_owned()
            }
            Self::Wrong(reason) => reason,
        };
        Error::Configuration { path: path.to_owned(), reason }
    }
}

fn read(path: &Path) -> Result<Found, Unusable> {
    let text = fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Unusable::Missing,
        io::ErrorKind::PermissionDenied => Unusable::Forbidden,
        _ => Unusable::Wrong(error.to_string()),
    })?;
    // Read as the daemon reads it: passwords are taken as they are, and a key that is there twice is refused.
    let ini = Ini::parse(&text)
        .map_err(|reason| Unusable::Wrong(format!("it is not an INI file: {reason}")))?;
    let username = value(&ini, "USERNAME");
    let password = value(&ini, "PASSWORD");
    let (Some(username), Some(password)) = (username, password) else {
        return Err(Unusable::Wrong("[API] needs USERNAME and PASSWORD".to_owned()));
    };
    let protocol = value(&ini, "PROTOCOL").unwrap_or_else(|| "http".to_owned());
    let endpoint = value(&ini, "ENDPOINT").unwrap_or_else(|| format!("localhost:{DEFAULT_PORT}"));
    let url = normalise(&format!("{}://{endpoint}", protocol.to_ascii_lowercase()));
    let verify = value(&ini, "VERIFY_CERTIFICATE").filter(|word| !word.is_empty());
    // What is none of these is taken for a yes.
    let verify = verify.is_some_and(|word| boolean(&word.into()) != Some(false));
    let configured = value(&ini, "CERTIFICATE").map(PathBuf::from);
    let certificates = configured.into_iter().chain([path.with_file_name(CERTIFICATE)]).collect();
    let secret_key = value(&ini, "SECRET_KEY").unwrap_or_default();
    Ok(Found { url, username, password, secret_key, verify, certificates })
}

/// A key of `[API]` that is set.
fn value(ini: &Ini, key: &str) -> Option<String> {
    ini.get("API", key).map(str::to_owned)
}

fn cache_name(url: &str, username: &str) -> String {
    let mut name = String::new();
    for character in url.chars().chain("-".chars()).chain(username.chars()) {
        match character {
            'a'..='z' | '0'..='9' | '-' | '.' => name.push(character),
            // Escaped, not replaced, so that two users never share a file.
            other => write!(name, "_{:x}", u32::from(other)).unwrap_or_default(),
        }
    }
    name + ".json"
}

fn unreadable_note(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| {
        format!(" ({} exists, but you may not read it)", path.display())
    })
}
