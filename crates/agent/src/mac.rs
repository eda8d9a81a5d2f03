//! Hardware addresses of network cards.

use std::fmt;
use std::str::FromStr;

/// The longest that there are.
const LONGEST: usize = 20;
/// A MAC address.
const MAC: usize = 6;
/// What tells one port of InfiniBand from all others.
const GUID: usize = 8;

/// A hardware address: of Ethernet (6 bytes), the GUID of an InfiniBand port (8), or the address of an InfiniBand link (20), whose last
/// 8 bytes are the GUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MacAddress {
    length: usize,
    /// Zero behind its length.
    bytes: [u8; LONGEST],
}

impl MacAddress {
    /// That of an Ethernet card.
    pub const fn ethernet(bytes: [u8; MAC]) -> Self {
        let mut all = [0; LONGEST];
        if let Some(first) = all.first_chunk_mut() {
            *first = bytes;
        }
        Self { length: MAC, bytes: all }
    }

    /// From its bytes: 6, 8 or 20.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let length = Some(bytes.len()).filter(|length| [MAC, GUID, LONGEST].contains(length))?;
        let mut all = [0; LONGEST];
        all.get_mut(..length)?.copy_from_slice(bytes);
        Some(Self { length, bytes: all })
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// The GUID of a port of InfiniBand; none on Ethernet.
    pub fn guid(&self) -> Option<[u8; GUID]> {
        self.as_bytes().last_chunk().copied().filter(|_| self.length != MAC)
    }

    /// Whether this is how the cluster may call a card that has this address. An InfiniBand link's is known whole, by its GUID, or by the
    /// last six bytes, which stood for it where only those of Ethernet were known.
    pub fn means(&self, card: &Self) -> bool {
        match (self.guid(), card.guid()) {
            (Some(own), Some(its)) => own == its,
            (None, Some(its)) => its.ends_with(self.as_bytes()),
            (None, None) => self == card,
            (Some(_), None) => false,
        }
    }
}

/// The text is not a hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAMac;

impl FromStr for MacAddress {
    type Err = NotAMac;

    fn from_str(text: &str) -> Result<Self, NotAMac> {
        let byte = |pair: &str| {
            let digits = pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
            if digits { u8::from_str_radix(pair, 16).ok() } else { None }
        };
        // One more than there may be is enough to see that there are too many.
        let bytes: Option<Vec<u8>> = text.split([':', '-']).take(LONGEST + 1).map(byte).collect();
        bytes.and_then(|bytes| Self::from_bytes(&bytes)).ok_or(NotAMac)
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<String> = self.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        formatter.write_str(&bytes.join(":"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mac(text: &str) -> MacAddress {
        text.parse().unwrap()
    }

    #[test]
    fn a_card_of_infiniband_is_meant_by_whatever_the_cluster_knows_of_it() {
        let link = mac("80:00:02:08:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:11:22:33");
        let moved = mac("80:00:09:99:fe:80:00:00:00:00:00:01:e4:1d:2d:03:00:11:22:33");
        for known in [link, moved, mac("e4:1d:2d:03:00:11:22:33"), mac("2d:03:00:11:22:33")] {
            assert!(known.means(&link), "{known}");
        }
        for other in [mac("e4:1d:2d:03:00:11:22:34"), mac("2d:03:00:11:22:34")] {
            assert!(!other.means(&link), "{other}");
        }
        let ethernet = mac("2d:03:00:11:22:33");
        assert!(ethernet.means(&ethernet));
        assert!(!link.means(&ethernet), "a card of Ethernet is none of InfiniBand");
    }

    proptest! {
        #[test]
        fn hardware_addresses_are_read_as_they_are_written(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            if let Some(address) = MacAddress::from_bytes(&bytes) {
                prop_assert_eq!(address.to_string().parse(), Ok(address));
                prop_assert_eq!(address.as_bytes(), &bytes[..]);
                prop_assert!(address.means(&address));
            }
        }

        #[test]
        fn no_text_is_too_strange(text in "[0-9a-f:+-]{0,70}") {
            text.parse::<MacAddress>().ok();
        }
    }
}
