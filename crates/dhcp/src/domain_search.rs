//! The domains in which a machine looks for names: option 119 of DHCP (RFC 3397), option 24 of DHCPv6 (RFC 3646).

use std::collections::BTreeMap;

/// A label ends here at the latest, and the whole name there (RFC 1035, section 2.3.4).
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 255;
/// What marks a pointer, and how far it reaches (RFC 1035, section 4.1.4).
const POINTER: u16 = 0xc000;
const REACH: u16 = 0x4000;

/// The value of the option: names as DNS writes them, each tail that was there already by a pointer to it. What is no name is left out.
pub(crate) fn encode(domains: &[String]) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    // Where a tail of labels was written.
    let mut known: BTreeMap<Vec<u8>, u16> = BTreeMap::new();
    for domain in domains {
        let Some(labels) = labels(domain) else { continue };
        let mut rest = labels.as_slice();
        let mut pointer = None;
        while let [label, tail @ ..] = rest {
            let key = rest.join(&b'.').to_ascii_lowercase();
            if let Some(place) = known.get(&key) {
                pointer = Some(POINTER | place);
                break;
            }
            if let Some(place) = u16::try_from(bytes.len()).ok().filter(|place| *place < REACH) {
                known.insert(key, place);
            }
            bytes.push(u8::try_from(label.len()).unwrap_or_default());
            bytes.extend(*label);
            rest = tail;
        }
        match pointer {
            Some(pointer) => bytes.extend(pointer.to_be_bytes()),
            None => bytes.push(0),
        }
    }
    bytes
}

/// The same names one after the other, each whole (RFC 8415, section 10: DHCPv6 has no pointers).
pub(crate) fn encode_whole<'a>(domains: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for labels in domains.into_iter().filter_map(labels) {
        for label in labels {
            bytes.push(u8::try_from(label.len()).unwrap_or_default());
            bytes.extend(label);
        }
        bytes.push(0);
    }
    bytes
}

fn labels(domain: &str) -> Option<Vec<&[u8]>> {
    let name = domain.strip_suffix('.').unwrap_or(domain);
    let labels: Vec<&[u8]> = name.split('.').map(str::as_bytes).collect();
    let right = |label: &&[u8]| !label.is_empty() && label.len() <= LONGEST_LABEL;
    (name.len() + 2 <= LONGEST_NAME && labels.iter().all(right)).then_some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_that_was_written_is_pointed_to() {
        let domains = ["cluster", "ib.cluster", "example.org.", "a.Example.org", "cluster"];
        let domains = domains.map(str::to_owned);
        let expected = [
            b"\x07cluster\0".as_slice(),
            b"\x02ib\xc0\0",
            b"\x07example\x03org\0",
            b"\x01a\xc0\x0e",
            b"\xc0\0",
        ];
        assert_eq!(encode(&domains), expected.concat());
    }

    #[test]
    fn what_is_no_name_is_left_out() {
        let long = "a".repeat(64);
        let domains = ["", ".", "a..b", &long, "good"].map(str::to_owned);
        assert_eq!(encode(&domains), b"\x04good\0");
        let whole = ["ib.cluster", "..", "cluster"];
        assert_eq!(encode_whole(whole), b"\x02ib\x07cluster\0\x07cluster\0");
    }
}
