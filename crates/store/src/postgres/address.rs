//! Where the PostgreSQL database is, and how it is reached.

use std::path::PathBuf;

use crate::Error;

const PORT: u16 = 5432;
const SCHEMES: [&str; 2] = ["postgresql://", "postgres://"];

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The servers of the database; the one that takes changes is used.
    pub hosts: Vec<Host>,
    /// The name of the database.
    pub database: String,
    /// Who the daemon is there.
    pub user: String,
    /// The file with the password, and nothing else in it.
    pub password_file: Option<PathBuf>,
    /// How connections are protected.
    pub encryption: Encryption,
    /// What is to be where the server acknowledges changes that it alone has.
    pub standby: Standby,
}

/// Whether changes are to be on a standby before they are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standby {
    /// Nothing is acknowledged without.
    Required,
    /// Where the server waits for none, that is told to whoever looks.
    Expected,
    /// One server alone is enough.
    Optional,
}

impl Standby {
    /// The one of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "require" => Some(Self::Required),
            "warn" => Some(Self::Expected),
            "no" => Some(Self::Optional),
            _ => None,
        }
    }

    /// What is meant where nobody says it: several servers are there to take each other's place.
    fn usual(hosts: &[Host]) -> Self {
        if hosts.len() > 1 { Self::Expected } else { Self::Optional }
    }
}

/// A server of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// A name, an address, or the directory of a local socket.
    pub name: String,
    /// The port.
    pub port: u16,
}

/// How connections are protected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Encryption {
    /// By TLS, with a certificate that an authority has signed which this machine believes.
    #[default]
    System,
    /// By TLS, with a certificate that an authority in this file has signed.
    Authority(PathBuf),
    /// Not at all.
    None,
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "'{}' at {}", self.database, self.servers())
    }
}

impl Address {
    /// The servers, with commas.
    pub fn servers(&self) -> String {
        let one = |host: &Host| format!("{}:{}", host.name, host.port);
        self.hosts.iter().map(one).collect::<Vec<_>>().join(",")
    }
}

impl Host {
    /// Reads `NAME` or `NAME:PORT`; IPv6 addresses with a port are in brackets.
    pub fn parse(text: &str, port: u16) -> Result<Self, Error> {
        let wrong = || Error::Address(format!("'{text}' is not a host; write NAME or NAME:PORT"));
        let (name, given) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, rest)) => (name, rest.strip_prefix(':')),
            None if text.starts_with('/') || text.matches(':').count() > 1 => (text, None),
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        let port = given.map_or(Ok(port), |given| given.parse().ok().ok_or_else(wrong))?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(wrong());
        }
        Ok(Self { name: name.to_owned(), port })
    }

    /// Whether what is said to it stays on this machine.
    fn is_here(&self) -> bool {
        let address = self.name.parse::<std::net::IpAddr>();
        self.name.starts_with('/')
            || self.name == "localhost"
            || address.is_ok_and(|address| address.is_loopback())
    }
}

/// How connections to these hosts are protected where nobody says it.
pub(crate) fn usual_encryption(hosts: &[Host]) -> Encryption {
    if hosts.iter().all(Host::is_here) { Encryption::None } else { Encryption::System }
}

impl Address {
    /// An address of parts, with what is usual for those that are not given.
    pub fn of(hosts: Vec<Host>, database: &str, user: &str) -> Self {
        let (encryption, standby) = (usual_encryption(&hosts), Standby::usual(&hosts));
        let (database, user) = (database.to_owned(), user.to_owned());
        Self { hosts, database, user, password_file: None, encryption, standby }
    }
}

impl std::str::FromStr for Address {
    type Err = Error;

    /// Reads `postgresql://USER@HOST[:PORT][,HOST[:PORT]…]/DATABASE[?password_file=FILE&sslrootcert=FILE&sslmode=disable&synchronous=require]`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |what: &str| {
            Error::Address(format!("{what}; write postgresql://USER@HOST:PORT,HOST:PORT/DATABASE"))
        };
        let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.ok_or_else(|| wrong("it does not begin with postgresql://"))?;
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) =
            rest.split_once('/').ok_or_else(|| wrong("it names no database"))?;
        let (user, hosts) = authority.rsplit_once('@').ok_or_else(|| wrong("it names no user"))?;
        if user.contains(':') {
            // Everybody on the machine can read the arguments of programs.
            return Err(Error::Address("it has a password, which others would see in the list of processes; write that to a file, and add ?password_file=FILE".to_owned()));
        }
        let mut hosts = hosts
            .split(',')
            .filter(|host| !host.is_empty())
            .map(|host| Host::parse(&decoded(host), PORT))
            .collect::<Result<Vec<_>, _>>()?;
        let mut options = Options::parse(options)?;
        hosts.extend(options.host.take());
        if hosts.is_empty() || database.is_empty() || user.is_empty() {
            return Err(wrong("it lacks a host, a user or a database"));
        }
        let address = Self::of(hosts, &decoded(database), &decoded(user));
        let encryption = options.encryption.unwrap_or(address.encryption);
        let standby = options.standby.unwrap_or(address.standby);
        Ok(Self { password_file: options.password_file, encryption, standby, ..address })
    }
}

/// What stands behind the question mark.
#[derive(Default)]
struct Options {
    host: Option<Host>,
    password_file: Option<PathBuf>,
    encryption: Option<Encryption>,
    standby: Option<Standby>,
}

impl Options {
    fn parse(text: &str) -> Result<Self, Error> {
        let mut options = Self::default();
        for option in text.split('&').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let value = decoded(value);
            match (key, value.as_str()) {
                ("password_file", file) => options.password_file = Some(file.into()),
                ("sslrootcert", file) => {
                    options.encryption = Some(Encryption::Authority(file.into()));
                }
                ("sslmode", "disable") => options.encryption = Some(Encryption::None),
                ("sslmode", "verify-full") => {
                    options.encryption.get_or_insert(Encryption::System);
                }
                ("sslmode", other) => {
                    return Err(Error::Address(format!(
                        "sslmode={other} is not known here: verify-full checks the server's certificate, disable encrypts nothing"
                    )));
                }
                ("synchronous", word) => {
                    let wrong = || {
                        Error::Address(format!(
                            "synchronous={word} is not known here; write require, warn or no"
                        ))
                    };
                    options.standby = Some(Standby::from_word(word).ok_or_else(wrong)?);
                }
                ("host", directory) => options.host = Some(Host::parse(directory, PORT)?),
                (other, _) => {
                    return Err(Error::Address(format!(
                        "'{other}' is not known here; known are password_file, sslrootcert, sslmode, synchronous and host"
                    )));
                }
            }
        }
        Ok(options)
    }
}

/// A part of an address without its percent signs.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let hex = others.first_chunk::<2>().filter(|_| *first == b'%');
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { others.get(2..).unwrap_or_default() } else { others };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_where_the_database_is() {
        let read = |text: &str| text.parse::<Address>();
        let address = read("postgresql://perilune@db1,db2:5433/lab").unwrap();
        assert_eq!(address.servers(), "db1:5432,db2:5433");
        assert_eq!((address.user.as_str(), address.database.as_str()), ("perilune", "lab"));
        assert_eq!(address.encryption, Encryption::System);
        let address = read("postgres://p@[::1]:5433/lab?password_file=/etc/p%20w").unwrap();
        assert_eq!(address.hosts, [Host { name: "::1".to_owned(), port: 5433 }]);
        assert_eq!(address.password_file, Some("/etc/p w".into()));
        assert_eq!(address.encryption, Encryption::None, "it does not leave the machine");
        assert_eq!(address.standby, Standby::Optional, "there is one server");
        let address = read("postgresql://p@db1,db2/lab").unwrap();
        assert_eq!(address.standby, Standby::Expected);
        let address = read("postgresql://p@db1,db2/lab?synchronous=require").unwrap();
        assert_eq!(address.standby, Standby::Required);
        let address = read("postgresql://p@/lab?host=/run/postgresql").unwrap();
        assert_eq!(address.hosts[0].name, "/run/postgresql");
        let address = read("postgresql://p@db/lab?sslrootcert=/ca&sslmode=verify-full").unwrap();
        assert_eq!(address.encryption, Encryption::Authority("/ca".into()));
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, told) in [
            ("mysql://p@db/lab", "does not begin with postgresql://"),
            ("postgresql://p@db", "names no database"),
            ("postgresql://db/lab", "names no user"),
            ("postgresql://p@/lab", "lacks a host"),
            ("postgresql://p:secret@db/lab", "others would see"),
            ("postgresql://p@db:port/lab", "'db:port' is not a host"),
            ("postgresql://p@db/lab?sslmode=require", "sslmode=require is not known"),
            ("postgresql://p@db/lab?synchronous=perhaps", "write require, warn or no"),
            ("postgresql://p@db/lab?passwordfile=x", "'passwordfile' is not known"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
