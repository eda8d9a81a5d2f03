//! Hardware addresses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An Ethernet hardware address (48 bits), shown in lower case with colons.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, byte) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { ":" };
            write!(formatter, "{separator}{byte:02x}")?;
        }
        Ok(())
    }
}

/// Why a text is not a hardware address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not a MAC address; write six pairs of hexadecimal digits joined by ':', such as 52:54:00:12:34:56"
)]
pub struct NotAMacAddress;

/// Why a hardware address is not that of a machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {what}; give the address of the machine's own port")]
pub struct NotOfAMachine {
    address: MacAddress,
    what: &'static str,
}

impl MacAddress {
    /// Refuses the addresses that stand for none and for all. Others with the bit of groups pass: those that are made of InfiniBand's
    /// may have it.
    pub fn of_one_machine(self) -> Result<Self, NotOfAMachine> {
        match self.0 {
            [0, 0, 0, 0, 0, 0] => Err(NotOfAMachine { address: self, what: "no machine's" }),
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => {
                Err(NotOfAMachine { address: self, what: "that of all machines at once" })
            }
            _ => Ok(self),
        }
    }
}

impl FromStr for MacAddress {
    type Err = NotAMacAddress;

    fn from_str(text: &str) -> Result<Self, NotAMacAddress> {
        let mut bytes = [0; 6];
        let mut pairs = text.split([':', '-']);
        for byte in &mut bytes {
            let pair = pairs.next().ok_or(NotAMacAddress)?;
            let digits = pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
            let value = if digits { u8::from_str_radix(pair, 16).ok() } else { None };
            *byte = value.ok_or(NotAMacAddress)?;
        }
        if pairs.next().is_some() { Err(NotAMacAddress) } else { Ok(Self(bytes)) }
    }
}

impl Serialize for MacAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_separators_and_cases_are_read_and_one_form_is_shown() {
        let mac: MacAddress = "52-54:00:AB:cd:Ef".parse().unwrap();
        assert_eq!(mac.to_string(), "52:54:00:ab:cd:ef");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "52:54:00:ab:cd",
            "52:54:00:ab:cd:ef:01",
            "52:54:00:ab:cd:gg",
            "5254.00ab.cdef",
            "+2:54:00:ab:cd:ef",
        ] {
            assert!(text.parse::<MacAddress>().is_err(), "{text:?}");
        }
    }
}
