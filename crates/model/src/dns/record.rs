//! Records beside addresses: what they say, checked when it is given.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Name, NameError};

/// The host of records of the network's own name.
pub const APEX: &str = "@";
/// As many bytes a text may have: of a name's 20 texts, all fit into one message by TCP.
const LONGEST_TEXT: usize = 2048;
/// The longest part of a name between dots, and the longest name (RFC 1035, section 2.3.4).
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 253;

/// Types of records beside addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordType {
    /// Another name of a host.
    Cname,
    /// A server that takes mail.
    Mx,
    /// A server of a service.
    Srv,
    /// A text.
    Txt,
}

impl RecordType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Txt, Self::Srv, Self::Cname, Self::Mx];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cname => "CNAME",
            Self::Mx => "MX",
            Self::Srv => "SRV",
            Self::Txt => "TXT",
        }
    }
}

/// A record of a name in the domain of a network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DnsRecord {
    /// The name, without the domain; [`APEX`] for the domain itself.
    pub host: Name,
    /// What it says.
    #[serde(flatten)]
    pub data: RecordData,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "UPPERCASE")]
pub enum RecordData {
    /// Another name.
    Cname {
        /// What it is the name of.
        target: Target,
    },
    /// A server that takes mail for the name.
    Mx {
        /// Servers with lower numbers are tried first.
        preference: u16,
        /// The server.
        target: Target,
    },
    /// A server of a service (RFC 2782).
    Srv {
        /// Servers with lower numbers are tried first.
        priority: u16,
        /// How often a server is chosen among those of its priority.
        weight: u16,
        /// Its port.
        port: u16,
        /// The server.
        target: Target,
    },
    /// A text.
    Txt {
        /// The text.
        text: String,
    },
}

/// Whom a record leads to. Without a dot it is a host of the network; with one, a whole name. A dot alone is nobody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Target(String);

/// Why a record cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A name that is none.
    #[error(
        "'{0}' is not a host name; its parts between dots have 1 to 63 letters, digits or '-', without '-' at their ends, and all of it at most 253"
    )]
    Target(String),
    /// A number or a name is missing, or too much.
    #[error("write {0}")]
    Form(&'static str),
    /// A number that is none.
    #[error("'{0}' is not a number from 0 to 65535")]
    Number(String),
    /// Nobody is meant where somebody must be.
    #[error("another name is that of a host; write its name")]
    Nobody,
    /// More than a record takes.
    #[error("it has {0} bytes; {LONGEST_TEXT} at most")]
    TooLong(usize),
}

impl RecordData {
    /// Reads what a record of a type says, as zone files have it. A text is the text alone.
    pub fn read(of: RecordType, value: &str) -> Result<Self, RecordError> {
        if of == RecordType::Txt {
            let text = value.to_owned();
            return if text.len() > LONGEST_TEXT {
                Err(RecordError::TooLong(text.len()))
            } else {
                Ok(Self::Txt { text })
            };
        }
        let words: Vec<&str> = value.split_whitespace().collect();
        match (of, words.as_slice()) {
            (RecordType::Cname, [target]) => {
                let target = Target::read(target, |letter| letter == '-' || letter == '_')?;
                if target.0 == "." { Err(RecordError::Nobody) } else { Ok(Self::Cname { target }) }
            }
            (RecordType::Mx, [preference, target]) => {
                Ok(Self::Mx { preference: number(preference)?, target: Target::host(target)? })
            }
            (RecordType::Srv, [priority, weight, port, target]) => Ok(Self::Srv {
                priority: number(priority)?,
                weight: number(weight)?,
                port: number(port)?,
                target: Target::host(target)?,
            }),
            (RecordType::Cname, _) => Err(RecordError::Form("the one name that it stands for")),
            (RecordType::Mx, _) => {
                Err(RecordError::Form("a preference and a server, such as '10 mail'"))
            }
            (RecordType::Srv | RecordType::Txt, _) => Err(RecordError::Form(
                "priority, weight, port and server, such as '0 5 389 ldap01'",
            )),
        }
    }

    /// Its type.
    pub fn of(&self) -> RecordType {
        match self {
            Self::Cname { .. } => RecordType::Cname,
            Self::Mx { .. } => RecordType::Mx,
            Self::Srv { .. } => RecordType::Srv,
            Self::Txt { .. } => RecordType::Txt,
        }
    }

    /// Whom it leads to, if to anybody.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Cname { target } | Self::Mx { target, .. } | Self::Srv { target, .. } => {
                Some(target)
            }
            Self::Txt { .. } => None,
        }
    }
}

/// As [`RecordData::read`] takes it.
impl fmt::Display for RecordData {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cname { target } => write!(formatter, "{}", target.0),
            Self::Mx { preference, target } => write!(formatter, "{preference} {}", target.0),
            Self::Srv { priority, weight, port, target } => {
                write!(formatter, "{priority} {weight} {port} {}", target.0)
            }
            Self::Txt { text } => formatter.write_str(text),
        }
    }
}

impl Target {
    fn host(text: &str) -> Result<Self, RecordError> {
        Self::read(text, |letter| letter == '-')
    }

    fn read(text: &str, may_have: fn(char) -> bool) -> Result<Self, RecordError> {
        if text == "." {
            return Ok(Self(text.to_owned()));
        }
        let whole = text.to_ascii_lowercase();
        let name = whole.strip_suffix('.').unwrap_or(&whole);
        if name.len() > LONGEST_NAME || !name.split('.').all(|label| is_label(label, may_have)) {
            return Err(RecordError::Target(text.to_owned()));
        }
        // The dot at the end tells something only where there is no other.
        let name = if name.contains('.') { name } else { &whole };
        Ok(Self(name.to_owned()))
    }

    /// The whole name, without the dot of the root; empty for nobody.
    pub fn whole(&self, network: &Name) -> String {
        match self.0.strip_suffix('.') {
            Some(name) => name.to_owned(),
            None if self.0.contains('.') => self.0.clone(),
            None => format!("{}.{network}", self.0),
        }
    }
}

/// The name of a record, without the domain: `@`, or labels, which may have underscores as those of services do.
pub fn host(text: &str) -> Result<Name, NameError> {
    let is_name = text.split('.').all(|label| is_label(label, |letter| "-_".contains(letter)));
    if text.is_empty() {
        Err(NameError::Empty)
    } else if text.len() > LONGEST_NAME {
        Err(NameError::TooLong(LONGEST_NAME))
    } else if text == APEX || (is_name && !text.contains(|c: char| c.is_ascii_uppercase())) {
        Ok(Name::trusted(text))
    } else {
        Err(NameError::Characters(
            "'@' for the network itself, or lower-case letters, digits, '-', '_' and '.', with 1 to 63 of them between dots and no '-' at their ends",
        ))
    }
}

fn is_label(label: &str, may_have: fn(char) -> bool) -> bool {
    (1..=LONGEST_LABEL).contains(&label.len())
        && label.chars().all(|letter| letter.is_ascii_alphanumeric() || may_have(letter))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn number(text: &str) -> Result<u16, RecordError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_plain);
    number.ok_or_else(|| RecordError::Number(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(of: RecordType, value: &str) -> String {
        match RecordData::read(of, value) {
            Ok(data) => format!("{data} -> {:?}", data.target().map(whole)),
            Err(error) => format!("refused: {error}"),
        }
    }

    fn whole(target: &Target) -> String {
        target.whole(&Name::trusted("cluster"))
    }

    #[test]
    fn what_is_read_is_shown_as_it_was_given() {
        use RecordType::{Cname, Mx, Srv, Txt};
        for (of, value, expected) in [
            (Cname, "www", "www -> Some(\"www.cluster\")"),
            (Cname, "WWW.Example.org.", "www.example.org -> Some(\"www.example.org\")"),
            (Cname, "_a.b", "_a.b -> Some(\"_a.b\")"),
            (Mx, "10 mail", "10 mail -> Some(\"mail.cluster\")"),
            (Mx, " 10\tmail. ", "10 mail. -> Some(\"mail\")"),
            (Mx, "0 .", "0 . -> Some(\"\")"),
            (Srv, "0 5 389 ldap01.cluster", "0 5 389 ldap01.cluster -> Some(\"ldap01.cluster\")"),
            (Txt, "a \"b\" \\ \n c ", "a \"b\" \\ \n c  -> None"),
        ] {
            assert_eq!(read(of, value), expected, "{value}");
        }
    }

    #[test]
    fn what_no_record_says_is_refused() {
        use RecordType::{Cname, Mx, Srv};
        let long = "ab.".repeat(100);
        for (of, value) in [
            (Cname, ""),
            (Cname, "."),
            (Cname, "a b"),
            (Cname, "a..b"),
            (Cname, ".a"),
            (Cname, "a\"b"),
            (Cname, "-a"),
            (Cname, "caf\u{e9}"),
            (Cname, long.as_str()),
            (Mx, "mail"),
            (Mx, "10"),
            (Mx, "10 a_b"),
            (Mx, "-1 mail"),
            (Mx, "+1 mail"),
            (Mx, "65536 mail"),
            (Mx, "10 mail two"),
            (Srv, "0 5 389"),
            (Srv, "0 5 70000 a"),
            (Srv, "0 5 389 a;b"),
        ] {
            assert!(RecordData::read(of, value).is_err(), "{value}");
        }
        let label = "a".repeat(64);
        assert!(RecordData::read(Cname, &label).is_err());
        assert!(RecordData::read(RecordType::Txt, &"a".repeat(LONGEST_TEXT)).is_ok());
        assert!(RecordData::read(RecordType::Txt, &"a".repeat(LONGEST_TEXT + 1)).is_err());
    }

    #[test]
    fn records_have_names_that_hosts_cannot_have() {
        for text in ["@", "_ldap._tcp", "www", "a.b-c"] {
            assert!(host(text).is_ok(), "{text}");
        }
        for text in ["", "a b", "a..b", ".a", "a.", "-a", "A", "*", "a@b", "a\nb", "a;b", "a\"b"] {
            assert!(host(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_record_is_stored_as_it_is_read_again() {
        for (of, value) in [
            (RecordType::Cname, "www"),
            (RecordType::Mx, "10 mail"),
            (RecordType::Srv, "0 5 389 ldap01"),
            (RecordType::Txt, "v=spf1 -all"),
        ] {
            let data = RecordData::read(of, value).unwrap();
            let record = DnsRecord { host: Name::trusted("x"), data };
            let text = serde_json::to_string(&record).unwrap();
            assert!(text.contains(&format!("\"type\":\"{}\"", of.word())), "{text}");
            assert_eq!(serde_json::from_str::<DnsRecord>(&text).unwrap(), record);
        }
    }
}
