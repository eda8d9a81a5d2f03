//! How nodes get the addresses of an interface of their group.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Name;
use crate::interface::GroupInterface;

/// How an address is made: `first`, `first+100`, `like BOOTIF` or `like BOOTIF+100`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Numbering {
    /// The interface of the node whose place in its network this one has in its own; without, it is the first that is free.
    pub like: Option<Name>,
    /// So many places further on.
    pub offset: u32,
}

/// Why a text says nothing about how addresses are made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' must be first (the first free address), like INTERFACE (the same place in the network as that interface), or one of these with +N, such as like BOOTIF or first+100"
)]
pub struct NotANumbering(String);

impl Numbering {
    /// Whether it says nothing beyond what holds anyway.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Numbering {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.like {
            Some(interface) => write!(formatter, "like {interface}")?,
            None => formatter.write_str("first")?,
        }
        if self.offset > 0 { write!(formatter, "+{}", self.offset) } else { Ok(()) }
    }
}

impl FromStr for Numbering {
    type Err = NotANumbering;

    fn from_str(text: &str) -> Result<Self, NotANumbering> {
        let wrong = || NotANumbering(text.chars().take(80).collect());
        let (base, offset) = match text.split_once('+') {
            Some((base, number)) => {
                let is_plain =
                    !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
                let is_plain = is_plain && (number == "0" || !number.starts_with('0'));
                let number = Some(number).filter(|_| is_plain);
                (base, number.and_then(|number| number.parse().ok()).ok_or_else(wrong)?)
            }
            None => (text, 0),
        };
        let mut words = base.split_ascii_whitespace();
        let like = match (words.next(), words.next(), words.next()) {
            (Some("first"), None, None) => None,
            (Some("like"), Some(name), None) => {
                Some(Name::interface(name).map_err(|_error| wrong())?)
            }
            _ => return Err(wrong()),
        };
        Ok(Self { like, offset })
    }
}

impl TryFrom<String> for Numbering {
    type Error = NotANumbering;

    fn try_from(text: String) -> Result<Self, NotANumbering> {
        text.parse()
    }
}

impl From<Numbering> for String {
    fn from(numbering: Numbering) -> Self {
        numbering.to_string()
    }
}

/// The place and the reason of the first interface whose addresses cannot be made as it says: each must be like one of the others, and that
/// one like none.
pub fn impossible(interfaces: &[GroupInterface]) -> Option<(usize, String)> {
    interfaces.iter().enumerate().find_map(|(place, interface)| {
        let like = interface.numbering.like.as_ref()?;
        let name = &interface.name;
        let reason = match interfaces.iter().find(|other| other.name == *like) {
            None => format!("the addresses of '{name}' are to be like those of '{like}', which the group does not have"),
            Some(_) if like == name => format!("the addresses of '{name}' cannot be like its own"),
            Some(other) if other.numbering.like.is_some() => format!(
                "the addresses of '{name}' are to be like those of '{like}', which are like others themselves; name that one"
            ),
            Some(_) => return None,
        };
        Some((place, reason))
    })
}

#[cfg(test)]
mod tests {
    use super::{GroupInterface, Name, Numbering, impossible};

    #[test]
    fn what_is_said_is_read_again() {
        for text in ["first", "first+100", "like BOOTIF", "like eth0.7+4294967295"] {
            assert_eq!(text.parse::<Numbering>().unwrap().to_string(), text);
        }
        assert_eq!("  like   BOOTIF +7".parse::<Numbering>().unwrap().to_string(), "like BOOTIF+7");
        assert!("first+0".parse::<Numbering>().unwrap().is_usual());
        for text in [
            "",
            "like",
            "like a b",
            "last",
            "first+",
            "first+-1",
            "first+ 1",
            "first+010",
            "like BOOTIF+4294967296",
            "First",
            "+100",
            "like /etc",
        ] {
            assert!(text.parse::<Numbering>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_interface_is_like_one_that_is_there_and_like_none() {
        let interface = |name: &str, numbering: &str| GroupInterface {
            name: Name::trusted(name),
            numbering: numbering.parse().unwrap(),
            ..GroupInterface::default()
        };
        let (boot, bmc) = (interface("BOOTIF", "first"), interface("BMC", "like BOOTIF"));
        assert_eq!(impossible(&[bmc.clone(), boot.clone()]), None);
        let place = |interfaces: &[GroupInterface]| impossible(interfaces).map(|(place, _)| place);
        assert_eq!(place(&[boot.clone(), interface("a", "like b")]), Some(1));
        assert_eq!(place(&[interface("a", "like a")]), Some(0));
        assert_eq!(place(&[boot, bmc, interface("a", "like BMC")]), Some(2));
    }
}
