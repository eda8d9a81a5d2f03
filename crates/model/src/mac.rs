//! Hardware addresses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest that there are.
const LONGEST: usize = 20;

/// A hardware address: of Ethernet (6 bytes), the GUID of an InfiniBand port (8), or the address of an InfiniBand link (20), whose last
/// 8 bytes are the GUID. Shown in lower case with colons.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress {
    length: u8,
    /// Zero behind its length.
    bytes: [u8; LONGEST],
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MacAddress({self})")
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Lists of nodes have thousands of them: a call of the formatter for each byte is a tenth of what such a list takes.
        let mut text = String::with_capacity(3 * LONGEST);
        for byte in self.as_bytes() {
            if !text.is_empty() {
                text.push(':');
            }
            let digits = [byte >> 4, byte & 0xf];
            text.extend(digits.iter().filter_map(|digit| char::from_digit((*digit).into(), 16)));
        }
        formatter.pad(&text)
    }
}

/// Why a text is not a hardware address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not a MAC address; write six pairs of hexadecimal digits joined by ':', such as 52:54:00:12:34:56 (8 or 20 pairs for InfiniBand)"
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
    /// How it is written, as a regular expression.
    pub const FORM: &str = concat!(
        "^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}",
        "(([:-][0-9A-Fa-f]{2}){2}(([:-][0-9A-Fa-f]{2}){12})?)?$"
    );

    /// That of an Ethernet card.
    pub const fn ethernet(bytes: [u8; 6]) -> Self {
        let mut all = [0; LONGEST];
        if let Some(first) = all.first_chunk_mut() {
            *first = bytes;
        }
        Self { length: 6, bytes: all }
    }

    /// How one that [`MacAddress::of_one_machine`] takes is written.
    pub fn form_of_one_machine() -> String {
        let all = |pair: &str| {
            format!("(?!({pair}[:-]){{5}}{pair}$)(?!(.{{36}})?({pair}[:-]){{7}}{pair}$)")
        };
        let form = Self::FORM.trim_start_matches('^');
        format!("^{}{}{form}", all("00"), all("[Ff]{2}"))
    }

    /// From its bytes: 6, 8 or 20.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let length =
            u8::try_from(bytes.len()).ok().filter(|length| matches!(length, 6 | 8 | 20))?;
        let mut all = [0; LONGEST];
        all.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { length, bytes: all })
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Its bytes, when it is of Ethernet.
    pub fn as_ethernet(&self) -> Option<[u8; 6]> {
        self.as_bytes().try_into().ok()
    }

    /// What tells its port from all others. The rest of an InfiniBand link's address changes from boot to boot and from subnet to subnet.
    #[must_use]
    pub fn port(self) -> Self {
        let guid =
            self.as_bytes().last_chunk::<8>().filter(|_| usize::from(self.length) == LONGEST);
        guid.and_then(|guid| Self::from_bytes(guid)).unwrap_or(self)
    }

    /// Refuses the addresses that stand for none and for all. Others with the bit of groups pass: those that are made of InfiniBand's
    /// may have it.
    pub fn of_one_machine(self) -> Result<Self, NotOfAMachine> {
        let port = self.port();
        let is_all = |byte: u8| port.as_bytes().iter().all(|known| *known == byte);
        if is_all(0) {
            Err(NotOfAMachine { address: self, what: "no machine's" })
        } else if is_all(0xff) {
            Err(NotOfAMachine { address: self, what: "that of all machines at once" })
        } else {
            Ok(self)
        }
    }
}

impl FromStr for MacAddress {
    type Err = NotAMacAddress;

    fn from_str(text: &str) -> Result<Self, NotAMacAddress> {
        let pair = |pair: &str| {
            let digits = pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
            if digits { u8::from_str_radix(pair, 16).ok() } else { None }
        };
        // One more than there may be is enough to see that there are too many.
        let bytes: Option<Vec<u8>> = text.split([':', '-']).take(LONGEST + 1).map(pair).collect();
        bytes.and_then(|bytes| Self::from_bytes(&bytes)).ok_or(NotAMacAddress)
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

    proptest::proptest! {
        #[test]
        fn every_text_of_the_form_is_read(text in form()) {
            text.parse::<MacAddress>().unwrap();
        }
    }

    /// What makes the texts knows no ends of them.
    fn form() -> impl proptest::strategy::Strategy<Value = String> {
        let inner = MacAddress::FORM.trim_start_matches('^').trim_end_matches('$');
        proptest::string::string_regex(inner).unwrap()
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "52:54:00:ab:cd",
            "52:54:00:ab:cd:ef:01",
            "52:54:00:ab:cd:ef:01:02:03",
            "00:02:c9:03:00:10:39:",
            "00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:01",
            "52:54:00:ab:cd:gg",
            "5254.00ab.cdef",
            "+2:54:00:ab:cd:ef",
        ] {
            assert!(text.parse::<MacAddress>().is_err(), "{text:?}");
        }
    }

    const LINK: &str = "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:00:10:39";
    const GUID: &str = "00:02:c9:03:00:00:10:39";

    #[test]
    fn addresses_of_infiniband_are_of_one_port_whatever_their_form() {
        let [link, guid] = [LINK, GUID].map(|text| text.parse::<MacAddress>().unwrap());
        assert_eq!((link.to_string().as_str(), guid.to_string().as_str()), (LINK, GUID));
        assert_ne!(link, guid);
        assert_eq!((link.port(), guid.port()), (guid, guid));
        let ethernet = MacAddress::ethernet([0x52, 0x54, 0, 1, 2, 3]);
        assert_eq!(ethernet.port(), ethernet);
        assert_eq!(ethernet.as_ethernet(), Some([0x52, 0x54, 0, 1, 2, 3]));
        assert_eq!((guid.as_ethernet(), link.as_bytes().len()), (None, 20));
    }

    #[test]
    fn an_address_of_no_port_is_no_machines() {
        for text in [
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
            "00:00:00:00:00:00:00:00",
            "80:00:02:08:fe:80:00:00:00:00:00:00:00:00:00:00:00:00:00:00",
            "00:ff:ff:ff:ff:12:40:1b:ff:ff:00:00:ff:ff:ff:ff:ff:ff:ff:ff",
        ] {
            assert!(text.parse::<MacAddress>().unwrap().of_one_machine().is_err(), "{text}");
        }
        assert!(LINK.parse::<MacAddress>().unwrap().of_one_machine().is_ok());
    }
}
