//! The section `[DNS]`, and what `[SERVICES] DNS` says: whether names are answered, where, for whom, and who is given whole zones.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use perilune_dns::Key;

use super::ini::Ini;
use super::keys;

const SECTION: &str = "DNS";
const PORT: u16 = 53;
/// Longer files hold no keys.
const LONGEST_KEY_FILE: u64 = 64 << 10;

/// How the DNS server is configured.
#[derive(Debug, Clone)]
pub struct NameSettings {
    /// Whether it serves at all.
    pub serve: Serve,
    /// At which addresses; without any, those of the interfaces that DHCP serves.
    pub listen: Vec<IpAddr>,
    /// At which port.
    pub port: u16,
    /// Who is answered beside the cluster's networks.
    pub clients: Vec<IpNet>,
    /// Who is given whole zones, and told of changes.
    pub secondaries: Secondaries,
    /// With what whole zones are signed; the first signs what we say of our own accord.
    pub keys: Vec<Key>,
}

/// Whether names are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serve {
    /// Yes, by the word of the configuration.
    Yes,
    /// No, by the word of the configuration.
    No,
    /// The configuration names another server.
    Other(String),
    /// Nothing is said: where DHCP is served.
    WithDhcp,
}

/// Who is given whole zones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secondaries {
    /// By address.
    pub networks: Vec<IpNet>,
    /// Whoever signs with a key.
    pub by_key: bool,
}

impl Secondaries {
    /// Those that can be told of changes: single addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let single = |network: &&IpNet| network.prefix_len() == network.max_prefix_len();
        self.networks.iter().filter(single).map(IpNet::addr)
    }
}

pub(super) fn read(ini: &Ini, data_dir: &Path) -> Result<NameSettings, String> {
    let serve = match (keys::boolean(ini, SECTION, "SERVE")?, ini.get("SERVICES", "DNS")) {
        (Some(true), _) => Serve::Yes,
        (Some(false), _) => Serve::No,
        (None, Some(other)) => Serve::Other(other.to_owned()),
        (None, None) => Serve::WithDhcp,
    };
    let listen = keys::words(ini, SECTION, "LISTEN").into_iter().map(|word| {
        let address = word.trim_matches(['[', ']']).parse().ok();
        address.ok_or_else(|| {
            format!("[{SECTION}] LISTEN has '{word}'; write addresses of this host, such as 10.141.255.254, fd00:141::fe")
        })
    });
    let file = ini.get(SECTION, "TSIG_KEY_FILE").map(|file| data_dir.join(file));
    let keys = file.as_deref().map(read_keys).transpose()?.unwrap_or_default();
    let secondaries = secondaries(ini)?;
    if secondaries.by_key && keys.is_empty() {
        return Err(format!(
            "[{SECTION}] SECONDARIES has 'key', and there is none: name the file that has it with TSIG_KEY_FILE"
        ));
    }
    let port = keys::number(ini, SECTION, "PORT")?.unwrap_or(PORT);
    if port == 0 {
        return Err(format!("[{SECTION}] PORT is '0'; write a whole number from 1 to 65535"));
    }
    Ok(NameSettings {
        serve,
        listen: listen.collect::<Result<_, _>>()?,
        port,
        clients: networks(ini, "CLIENTS")?,
        secondaries,
        keys,
    })
}

fn networks(ini: &Ini, key: &str) -> Result<Vec<IpNet>, String> {
    keys::words(ini, SECTION, key).iter().map(|word| network(key, word)).collect()
}

fn network(key: &str, word: &str) -> Result<IpNet, String> {
    let network = word.parse().ok();
    let network = network.or_else(|| word.parse().ok().map(|address: IpAddr| address.into()));
    network.ok_or_else(|| {
        format!(
            "[{SECTION}] {key} has '{word}'; write addresses or networks, such as 10.141.255.1, 192.0.2.0/24"
        )
    })
}

fn secondaries(ini: &Ini) -> Result<Secondaries, String> {
    let mut all = Secondaries::default();
    for word in keys::words(ini, SECTION, "SECONDARIES") {
        if word.eq_ignore_ascii_case("key") {
            all.by_key = true;
        } else {
            all.networks.push(network("SECONDARIES", &word)?);
        }
    }
    Ok(all)
}

/// The keys of a file, as `tsig-keygen` writes them.
fn read_keys(file: &Path) -> Result<Vec<Key>, String> {
    let wrong = |reason: &str| {
        format!("[{SECTION}] TSIG_KEY_FILE is {}, and {reason}", PathBuf::from(file).display())
    };
    let size =
        std::fs::metadata(file).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    if size.len() > LONGEST_KEY_FILE {
        return Err(wrong("is too long for a file of keys"));
    }
    let text = std::fs::read_to_string(file)
        .map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    let keys = parse_keys(&text).map_err(|reason| wrong(&reason))?;
    if keys.is_empty() {
        return Err(wrong("has no key; make one with: tsig-keygen NAME"));
    }
    Ok(keys)
}

/// What can stand in a file of keys.
fn parse_keys(text: &str) -> Result<Vec<Key>, String> {
    let tokens = tokens(text);
    let mut words = tokens.iter().map(String::as_str);
    let mut keys = Vec::new();
    while let Some(word) = words.next() {
        if word == ";" {
            continue;
        }
        let (name, open) = (words.next(), words.next());
        let (Some(name), "key", Some("{")) = (name, word, open) else {
            return Err(format!(
                "'{}' is not a key; write: key \"NAME\" {{ algorithm hmac-sha256; secret \"…\"; }};",
                shown(word)
            ));
        };
        let (mut algorithm, mut secret) = (None, None);
        loop {
            match (words.next(), words.next()) {
                (Some("algorithm"), Some(value)) => algorithm = Some(value),
                (Some("secret"), Some(value)) => secret = Some(value),
                (Some("}"), _) => break,
                _ => {
                    return Err(format!(
                        "the key '{}' is not as tsig-keygen writes it",
                        shown(name)
                    ));
                }
            }
            if words.next() != Some(";") {
                return Err(format!("the key '{}' lacks a ';'", shown(name)));
            }
        }
        let (Some(algorithm), Some(secret)) = (algorithm, secret) else {
            return Err(format!("the key '{}' lacks its algorithm or its secret", shown(name)));
        };
        let key = Key::new(name, algorithm, secret);
        keys.push(
            key.map_err(|error| format!("the key '{}' cannot be used: {error}", shown(name)))?,
        );
    }
    Ok(keys)
}

/// A word of a file that may be a secret, as far as it may be shown.
fn shown(word: &str) -> String {
    word.chars().filter(|c| !c.is_control()).take(16).collect()
}

/// Words, quoted or not, and marks; remarks are left out.
fn tokens(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| {
        let end = ["#", "//"].iter().filter_map(|mark| find_outside(line, mark)).min();
        line.get(..end.unwrap_or(line.len())).unwrap_or_default()
    });
    let mut tokens = Vec::new();
    for line in lines {
        let mut word = String::new();
        let mut is_quoted = false;
        for letter in line.chars() {
            match letter {
                '"' => is_quoted = !is_quoted,
                '{' | '}' | ';' if !is_quoted => {
                    tokens.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                    tokens.push(letter.to_string());
                }
                letter if letter.is_whitespace() && !is_quoted => {
                    tokens.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                }
                letter => word.push(letter),
            }
        }
        tokens.extend((!word.is_empty()).then_some(word));
    }
    tokens
}

/// Where a mark is that does not stand between quotes: secrets have slashes.
fn find_outside(line: &str, mark: &str) -> Option<usize> {
    let places = line.match_indices(mark).map(|(place, _)| place);
    let is_outside = |place: &usize| {
        line.get(..*place).is_some_and(|before| before.matches('"').count() % 2 == 0)
    };
    places.into_iter().find(is_outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "key \"transfer.cluster\" {\n\talgorithm hmac-sha256;\n\tsecret \"aGVs//8=\";\n};\n";

    fn parsed(text: &str, key_file: &str) -> Result<NameSettings, String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("key"), key_file).unwrap();
        read(&Ini::parse(text).unwrap(), directory.path())
    }

    #[test]
    fn what_the_section_says_is_read() {
        let settings = parsed(
            "[DNS]\nLISTEN = 10.9.0.1, [fd00::1]\nPORT = 5353\nCLIENTS = 192.0.2.0/24\n\
             SECONDARIES = 10.9.0.2, 10.8.0.0/24, key\nTSIG_KEY_FILE = key\n",
            &format!("# made by hand\n{KEY}"),
        )
        .unwrap();
        assert_eq!(settings.listen.len(), 2);
        assert_eq!((settings.port, settings.clients.len()), (5353, 1));
        let told: Vec<IpAddr> = settings.secondaries.addresses().collect();
        assert_eq!(told, [IpAddr::from([10, 9, 0, 2])]);
        assert!(settings.secondaries.by_key);
        assert_eq!(settings.keys.iter().map(Key::name).collect::<Vec<_>>(), ["transfer.cluster"]);
    }

    #[test]
    fn another_server_that_is_named_is_left_to_serve_unless_ours_is_asked_for() {
        let serve = |text: &str| parsed(text, "").unwrap().serve;
        assert_eq!(serve(""), Serve::WithDhcp);
        assert_eq!(serve("[SERVICES]\nDNS = named\n"), Serve::Other("named".to_owned()));
        assert_eq!(serve("[SERVICES]\nDNS = named\n[DNS]\nSERVE = yes\n"), Serve::Yes);
        assert_eq!(serve("[DNS]\nSERVE = no\n"), Serve::No);
    }

    #[test]
    fn what_means_nothing_is_refused_with_its_place() {
        for (text, key_file, expected) in [
            ("[DNS]\nSERVE = perhaps\n", "", "[DNS] SERVE"),
            ("[DNS]\nLISTEN = eth0\n", "", "[DNS] LISTEN has 'eth0'"),
            ("[DNS]\nPORT = 0\n", "", "[DNS] PORT"),
            ("[DNS]\nPORT = 99999\n", "", "[DNS] PORT"),
            ("[DNS]\nCLIENTS = all\n", "", "[DNS] CLIENTS has 'all'"),
            ("[DNS]\nSECONDARIES = ns1\n", "", "[DNS] SECONDARIES has 'ns1'"),
            ("[DNS]\nSECONDARIES = key\n", "", "TSIG_KEY_FILE"),
            ("[DNS]\nTSIG_KEY_FILE = gone\n", "", "cannot be read"),
            ("[DNS]\nTSIG_KEY_FILE = key\n", "", "has no key"),
            ("[DNS]\nTSIG_KEY_FILE = key\n", "zone \"a\" {}", "'zone' is not a key"),
            (
                "[DNS]\nTSIG_KEY_FILE = key\n",
                "key \"a\" { secret \"aGVs\"; };",
                "lacks its algorithm",
            ),
            ("[DNS]\nTSIG_KEY_FILE = key\n", "key \"a\" { secret \"aGVs\" };", "lacks a ';'"),
            (
                "[DNS]\nTSIG_KEY_FILE = key\n",
                "key \"a\" { algorithm hmac-md5; secret \"aGVs\"; };",
                "hmac-sha256",
            ),
            ("[DNS]\nTSIG_KEY_FILE = key\n", "key \"a\" {", "not as tsig-keygen writes it"),
        ] {
            let error = parsed(text, key_file).unwrap_err();
            assert!(error.contains(expected), "{text}{key_file}: {error}");
            assert!(!error.contains("aGVs"), "{error}");
        }
    }
}
