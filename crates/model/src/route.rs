//! Static routes: ways to ranges of addresses that nodes are given beside their gateways.

mod of_node;
mod save;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
pub use of_node::Placed;
pub use save::{Couple, Request, Target, couple, decouple, save};
use serde::{Deserialize, Serialize};

use crate::{Family, Name};

/// The most routes of one node, group or network: more would be for a routing protocol.
pub const MOST: usize = 64;

/// A way to a range of addresses. It counts for whom it is coupled to: nodes, groups, networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The name.
    pub name: Name,
    /// Where it leads.
    pub destination: Destination,
    /// The router that it leads through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// How much it is avoided: of two ways to one range the lower counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// The interface that it leads through; `BOOTIF` is the one that a node boots from, whatever its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Name>,
    /// Free text, as clients sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// A range, or one host, as it was written: clients are shown `10.1.2.3/8` and `10.1.2.3` again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Destination {
    range: IpNet,
    /// It was written without the length of a prefix.
    is_host: bool,
}

/// A text that is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is neither a range of addresses nor one address; write it like 10.0.0.0/8 or fd00:8::/32"
)]
pub struct NotADestination(String);

impl Destination {
    /// The range, without bits of a host.
    pub fn range(&self) -> IpNet {
        self.range.trunc()
    }

    /// The family of its addresses.
    pub fn family(&self) -> Family {
        Family::of(self.range.addr())
    }
}

/// All addresses of IPv4.
impl Default for Destination {
    fn default() -> Self {
        Self { range: IpNet::V4(Ipv4Net::default()), is_host: false }
    }
}

impl FromStr for Destination {
    type Err = NotADestination;

    fn from_str(text: &str) -> Result<Self, NotADestination> {
        let wrong = || NotADestination(text.chars().filter(|c| !c.is_control()).take(80).collect());
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { range: address.into(), is_host: true });
        }
        // `010` is eight to some and ten to others, so the standard library reads neither.
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_error| wrong())?;
        let number: u8 = length.parse().map_err(|_error| wrong())?;
        let range = IpNet::new(address, number).map_err(|_error| wrong())?;
        if number.to_string() == length { Ok(Self { range, is_host: false }) } else { Err(wrong()) }
    }
}

impl TryFrom<String> for Destination {
    type Error = NotADestination;

    fn try_from(text: String) -> Result<Self, NotADestination> {
        text.parse()
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> Self {
        destination.to_string()
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_host { self.range.addr().fmt(formatter) } else { self.range.fmt(formatter) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_shown_as_it_was_written_and_counts_as_a_range() {
        for (text, range) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("10.1.2.3/32", "10.1.2.3/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00:8::/32", "fd00:8::/32"),
            ("fd00::1", "fd00::1/128"),
        ] {
            let read: Destination = text.parse().unwrap();
            assert_eq!(
                (read.to_string().as_str(), read.range().to_string().as_str()),
                (text, range)
            );
            let json = serde_json::to_string(&read).unwrap();
            assert_eq!(serde_json::from_str::<Destination>(&json).unwrap(), read);
        }
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "010.0.0.0/8",
            "default",
            "10/8",
            "a\nb",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }
}
