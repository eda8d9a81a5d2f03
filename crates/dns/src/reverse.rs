//! Names of addresses (RFC 1035, section 3.5; RFC 3596, section 2.5).

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;

pub(crate) const V4: &str = "in-addr.arpa";
pub(crate) const V6: &str = "ip6.arpa";

/// What a name below `in-addr.arpa` or `ip6.arpa` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reverse {
    /// Octets of an IPv4 address from its beginning, at most four.
    V4(Vec<u8>),
    /// A name in a classless zone (RFC 2317): three octets, the words of its label, and the octet below it.
    Classless { block: [u8; 3], label: String, last: Option<u8> },
    /// Nibbles of an IPv6 address from its beginning, at most 32.
    V6(Vec<u8>),
    /// Neither: no address has such a name.
    Odd,
}

/// Reads a key; `None` for one that is not below either domain.
pub(crate) fn read(key: &str) -> Option<Reverse> {
    let below =
        |domain| key.strip_suffix(domain).map(|rest| rest.strip_suffix('.').unwrap_or(rest));
    if let Some(rest) = below(V4).filter(|_| is_below(key, V4)) {
        return Some(read_v4(rest));
    }
    below(V6).filter(|_| is_below(key, V6)).map(read_v6)
}

fn is_below(key: &str, domain: &str) -> bool {
    key.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn labels(rest: &str) -> impl DoubleEndedIterator<Item = &str> {
    rest.split('.').filter(|label| !label.is_empty())
}

fn read_v4(rest: &str) -> Reverse {
    let mut octets = Vec::new();
    let mut words = labels(rest).rev();
    while let Some(label) = words.next() {
        match (octet(label), octets.as_slice()) {
            (Some(octet), [_, _, _] | [_, _] | [_] | []) => octets.push(octet),
            (None, [a, b, c]) => {
                let (last, more) = (words.next(), words.next());
                return match (last.map(octet), more) {
                    (None, None) => classless([*a, *b, *c], label, None),
                    (Some(Some(last)), None) => classless([*a, *b, *c], label, Some(last)),
                    _ => Reverse::Odd,
                };
            }
            _ => return Reverse::Odd,
        }
    }
    Reverse::V4(octets)
}

fn classless(block: [u8; 3], label: &str, last: Option<u8>) -> Reverse {
    Reverse::Classless { block, label: label.to_owned(), last }
}

/// An octet as it is written: without zeros in front.
fn octet(label: &str) -> Option<u8> {
    let is_usual = label.len() == 1 || !label.starts_with('0');
    let is_number = label.bytes().all(|byte| byte.is_ascii_digit());
    label.parse().ok().filter(|_| is_usual && is_number)
}

fn read_v6(rest: &str) -> Reverse {
    let nibble = |label: &str| match label.as_bytes() {
        [digit] => char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()),
        _ => None,
    };
    let nibbles: Option<Vec<u8>> = labels(rest).rev().map(nibble).collect();
    nibbles.filter(|nibbles| nibbles.len() <= 32).map_or(Reverse::Odd, Reverse::V6)
}

/// The key of an address.
pub(crate) fn name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => v4_name(&address.octets()),
        IpAddr::V6(address) => v6_name(&nibbles(address)),
    }
}

/// The key of the first octets of an address.
pub(crate) fn v4_name(octets: &[u8]) -> String {
    let mut name = String::with_capacity(V4.len() + 16);
    for octet in octets.iter().rev() {
        // Writing to a text does not fail.
        write!(name, "{octet}.").unwrap_or_default();
    }
    name.push_str(V4);
    name
}

/// The key of the first nibbles of an address.
pub(crate) fn v6_name(nibbles: &[u8]) -> String {
    let mut name = String::with_capacity(V6.len() + 64);
    for nibble in nibbles.iter().rev() {
        name.extend(char::from_digit(u32::from(*nibble), 16));
        name.push('.');
    }
    name.push_str(V6);
    name
}

pub(crate) fn nibbles(address: Ipv6Addr) -> Vec<u8> {
    address.octets().iter().flat_map(|octet| [octet >> 4, octet & 15]).collect()
}

/// The address that begins so, and goes on with zeros.
pub(crate) fn from_nibbles(nibbles: &[u8]) -> Ipv6Addr {
    let bits = (0..32).fold(0, |bits, place| {
        (bits << 4) | u128::from(nibbles.get(place).copied().unwrap_or_default())
    });
    Ipv6Addr::from_bits(bits)
}

/// The labels of a classless zone, in both usual spellings: `first-last`, and `first/prefix` as in RFC 2317.
pub(crate) fn classless_labels(range: Ipv4Net) -> [String; 2] {
    let last_octet = |address: Ipv4Addr| address.octets()[3];
    let (first, last) = (last_octet(range.network()), last_octet(range.broadcast()));
    [format!("{first}-{last}"), format!("{first}/{}", range.prefix_len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_addresses_are_read_as_they_are_written() {
        for address in ["10.141.0.1", "255.255.255.255", "0.0.0.0", "fd00:141::ab", "::"] {
            let address: IpAddr = address.parse().unwrap();
            let expected = match address {
                IpAddr::V4(address) => Reverse::V4(address.octets().to_vec()),
                IpAddr::V6(address) => Reverse::V6(nibbles(address)),
            };
            assert_eq!(read(&name(address)), Some(expected));
        }
        assert_eq!(name("10.141.0.1".parse().unwrap()), "1.0.141.10.in-addr.arpa");
        assert_eq!(from_nibbles(&[15, 13]), "fd00::".parse::<Ipv6Addr>().unwrap());
    }

    #[test]
    fn what_is_no_address_is_odd() {
        for odd in ["1.1.0.141.10", "x.141.10", "a.b.c.1.1.1"] {
            assert_eq!(read(&format!("{odd}.in-addr.arpa")), Some(Reverse::Odd), "{odd}");
        }
        for label in ["01", "256", "+1"] {
            let read = read(&format!("{label}.0.141.10.in-addr.arpa"));
            assert!(matches!(read, Some(Reverse::Classless { last: None, .. })), "{label}");
        }
        assert_eq!(read("10.f.ip6.arpa"), Some(Reverse::Odd));
        assert_eq!(read(&format!("{}ip6.arpa", "0.".repeat(33))), Some(Reverse::Odd));
        assert_eq!(read("xin-addr.arpa"), None);
        assert_eq!(read("in-addr.arpa"), Some(Reverse::V4(Vec::new())));
    }

    #[test]
    fn classless_names_are_read() {
        let block = [10, 1, 2];
        let label = "0-127".to_owned();
        assert_eq!(
            read("5.0-127.2.1.10.in-addr.arpa"),
            Some(Reverse::Classless { block, label: label.clone(), last: Some(5) })
        );
        assert_eq!(
            read("0-127.2.1.10.in-addr.arpa"),
            Some(Reverse::Classless { block, label, last: None })
        );
        let range = "10.1.2.128/25".parse().unwrap();
        assert_eq!(classless_labels(range), ["128-255", "128/25"]);
    }
}
