//! Servers that machines are told, as lists that are read once: name servers by their addresses, time servers by address or name.

use std::fmt::{self, Display};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::Name;

/// As much of a wrong word is shown.
const SHOWN: usize = 80;

/// Some servers, in the order in which machines are told them; at least one, but for an empty list that an older version stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct Servers(Vec<Server>);

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// By its address.
    Address(IpAddr),
    /// By its name, in small letters.
    Host(Name),
    /// What an older version stored and no machine can be told. It stays visible to whoever looks at the network.
    Unread(String),
}

impl Servers {
    /// Addresses, separated by commas or blanks; why it is none.
    pub fn by_address(text: &str) -> Result<Self, String> {
        let read = |word: &str| match word.parse() {
            Ok(address) => Ok(Server::Address(address)),
            Err(_) => Err(format!("'{}' is not an IP address", shown(word))),
        };
        Self::read(text, read)
    }

    /// Addresses and names of hosts, likewise.
    pub fn by_address_or_name(text: &str) -> Result<Self, String> {
        let read = |word: &str| match Server::from(word) {
            Server::Unread(_) => {
                Err(format!("'{}' is neither an IP address nor a host name", shown(word)))
            }
            server @ (Server::Address(_) | Server::Host(_)) => Ok(server),
        };
        Self::read(text, read)
    }

    /// Those of a list, without a second of the same; none where it is empty.
    pub fn of(all: impl IntoIterator<Item = Server>) -> Option<Self> {
        let mut servers = Vec::new();
        for server in all {
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        (!servers.is_empty()).then_some(Self(servers))
    }

    fn read(text: &str, read: impl FnMut(&str) -> Result<Server, String>) -> Result<Self, String> {
        let servers: Vec<Server> = words(text).map(read).collect::<Result<_, _>>()?;
        Self::of(servers).ok_or_else(|| "it names no server".to_owned())
    }

    /// The servers.
    pub fn iter(&self) -> impl Iterator<Item = &Server> {
        self.0.iter()
    }

    /// The addresses of those that are known by one.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().filter_map(|server| match server {
            Server::Address(address) => Some(*address),
            Server::Host(_) | Server::Unread(_) => None,
        })
    }

    /// The same where a server has another address.
    pub(crate) fn moved(&self, old: IpAddr, new: IpAddr) -> Self {
        let moved = |server: &Server| match server {
            Server::Address(address) if *address == old => Server::Address(new),
            Server::Address(_) | Server::Host(_) | Server::Unread(_) => server.clone(),
        };
        Self(self.0.iter().map(moved).collect())
    }
}

/// What an older version stored is read whatever it is: a cluster must not be lost for a word.
impl From<String> for Servers {
    fn from(text: String) -> Self {
        Self(words(&text).map(Server::from).collect())
    }
}

impl From<&str> for Server {
    fn from(word: &str) -> Self {
        if let Ok(address) = word.parse() {
            return Self::Address(address);
        }
        // What looks like an address and is none is no host either.
        let is_number = word.split('.').all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        match Name::domain(&word.to_ascii_lowercase()) {
            Ok(name) if !is_number => Self::Host(name),
            _ => Self::Unread(word.to_owned()),
        }
    }
}

impl From<Servers> for String {
    fn from(servers: Servers) -> Self {
        servers.to_string()
    }
}

/// With commas and no blanks.
impl Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, server) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(",")?;
            }
            match server {
                Server::Address(address) => write!(f, "{address}")?,
                Server::Host(name) => f.write_str(name.as_str())?,
                Server::Unread(word) => f.write_str(word)?,
            }
        }
        Ok(())
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty())
}

fn shown(word: &str) -> String {
    word.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_once_and_written_in_one_way() {
        let list =
            Servers::by_address_or_name(" 10.0.0.1,  NTP.example.org fd00::1,10.0.0.1,").unwrap();
        assert_eq!(list.to_string(), "10.0.0.1,ntp.example.org,fd00::1");
        let addresses: Vec<String> = list.addresses().map(|address| address.to_string()).collect();
        assert_eq!(addresses, ["10.0.0.1", "fd00::1"]);
        let moved = list.moved("10.0.0.1".parse().unwrap(), "10.0.0.9".parse().unwrap());
        assert_eq!(moved.to_string(), "10.0.0.9,ntp.example.org,fd00::1");
    }

    #[test]
    fn what_is_no_server_is_refused_with_the_word() {
        for (text, reason) in [
            ("10.0.0.1,x", "'x' is not an IP address"),
            ("10.0.0.256", "'10.0.0.256' is not an IP address"),
            (" , ", "it names no server"),
        ] {
            assert_eq!(Servers::by_address(text).unwrap_err(), reason);
        }
        for text in ["10.0.0.256", "010.0.0.1.", "a_b", "-x", "a;b", "x\"", "1", "10.0.0.1:123"] {
            let reason = Servers::by_address_or_name(text).unwrap_err();
            assert!(reason.ends_with("is neither an IP address nor a host name"), "{reason}");
        }
    }

    #[test]
    fn what_an_older_version_stored_stays_and_is_told_nobody() {
        let list: Servers = serde_json::from_str("\"10.0.0.1, what;ever\"").unwrap();
        assert_eq!(list.addresses().count(), 1);
        assert_eq!(serde_json::to_string(&list).unwrap(), "\"10.0.0.1,what;ever\"");
    }
}
