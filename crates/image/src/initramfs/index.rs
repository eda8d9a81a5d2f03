//! The lists of modules in the form in which modprobe reads them: a tree of keys, written from its leaves to its
//! root, all numbers big-endian.

const MAGIC: u32 = 0xb007_f457;
const VERSION: u32 = 0x0002_0001;
/// Flags in the upper bits of a node's place say which of its fields are there.
const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;

/// A key and its value; of several values of one key the first is preferred.
pub(crate) fn binary_index(entries: &[(String, String)]) -> Vec<u8> {
    let mut sorted: Vec<Entry<'_>> = entries
        .iter()
        .zip(0..)
        // Only these can be written; nothing else occurs.
        .filter(|((key, _), _)| key.bytes().all(|byte| (1..128).contains(&byte)))
        .map(|((key, value), priority)| Entry { key: key.as_bytes(), priority, value })
        .collect();
    sorted.sort();
    let mut bytes = [MAGIC, VERSION, 0].map(u32::to_be_bytes).concat();
    let root = if sorted.is_empty() { 0 } else { write_node(&mut bytes, &sorted, 0) };
    for (to, from) in bytes.iter_mut().skip(8).zip(root.to_be_bytes()) {
        *to = from;
    }
    bytes
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry<'a> {
    key: &'a [u8],
    priority: u32,
    value: &'a str,
}

/// Writes the node of all `entries`, whose keys agree in their first `depth` bytes, and returns its place.
fn write_node(bytes: &mut Vec<u8>, entries: &[Entry<'_>], depth: usize) -> u32 {
    let prefix = common_prefix(entries, depth);
    let depth = depth + prefix.len();
    let ending = entries.partition_point(|entry| entry.key.len() == depth);
    let (values, longer) = entries.split_at_checked(ending).unwrap_or((entries, &[]));

    let mut children = Vec::new();
    for group in longer.chunk_by(|one, other| one.key.get(depth) == other.key.get(depth)) {
        let Some(byte) = group.first().and_then(|entry| entry.key.get(depth)) else { continue };
        children.push((*byte, write_node(bytes, group, depth + 1)));
    }

    let mut place = u32::try_from(bytes.len()).unwrap_or_default();
    if !prefix.is_empty() {
        place |= HAS_PREFIX;
        bytes.extend_from_slice(prefix);
        bytes.push(0);
    }
    if let (Some((first, _)), Some((last, _))) = (children.first(), children.last()) {
        place |= HAS_CHILDREN;
        bytes.extend_from_slice(&[*first, *last]);
        for byte in *first..=*last {
            let child = children.iter().find(|(of, _)| *of == byte).map_or(0, |(_, child)| *child);
            bytes.extend_from_slice(&child.to_be_bytes());
        }
    }
    if !values.is_empty() {
        place |= HAS_VALUES;
        bytes.extend_from_slice(&u32::try_from(values.len()).unwrap_or_default().to_be_bytes());
        for entry in values {
            bytes.extend_from_slice(&entry.priority.to_be_bytes());
            bytes.extend_from_slice(entry.value.as_bytes());
            bytes.push(0);
        }
    }
    place
}

/// What all keys have in common behind their first `depth` bytes. They are sorted: the first and last decide.
fn common_prefix<'a>(entries: &[Entry<'a>], depth: usize) -> &'a [u8] {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return &[] };
    let (first, last) =
        (first.key.get(depth..).unwrap_or_default(), last.key.get(depth..).unwrap_or_default());
    let length = first.iter().zip(last).take_while(|(one, other)| one == other).count();
    first.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Looks a key up as modprobe does, and returns the preferred value.
    fn look_up(index: &[u8], key: &str) -> Option<String> {
        let number = |at: usize| u32::from_be_bytes(index[at..at + 4].try_into().unwrap());
        let text = |at: usize| index[at..].split(|byte| *byte == 0).next().unwrap();
        let mut place = number(8);
        let mut rest = key.as_bytes();
        loop {
            let mut at = (place & 0x0fff_ffff) as usize;
            if at == 0 {
                return None;
            }
            if place & HAS_PREFIX != 0 {
                rest = rest.strip_prefix(text(at))?;
                at += text(at).len() + 1;
            }
            let children = at;
            if place & HAS_CHILDREN != 0 {
                at += 2 + 4 * (usize::from(index[at + 1] - index[at]) + 1);
            }
            let Some((byte, tail)) = rest.split_first() else {
                return (place & HAS_VALUES != 0)
                    .then(|| String::from_utf8(text(at + 8).to_vec()).unwrap());
            };
            let is_child =
                place & HAS_CHILDREN != 0 && (index[children]..=index[children + 1]).contains(byte);
            place = if is_child {
                number(children + 2 + 4 * usize::from(byte - index[children]))
            } else {
                0
            };
            rest = tail;
        }
    }

    #[test]
    fn an_empty_index_has_nothing() {
        assert_eq!(look_up(&binary_index(&[]), "ext4"), None);
    }

    proptest! {
        #[test]
        fn every_key_leads_to_its_first_value(
            entries in prop::collection::vec(("[a-c_*:]{0,5}", "[a-z]{1,8}"), 1..40),
            other in "[a-c_*:]{0,5}",
        ) {
            let index = binary_index(&entries);
            let mut expected = BTreeMap::new();
            for (key, value) in &entries {
                expected.entry(key.clone()).or_insert_with(|| value.clone());
            }
            for (key, value) in &expected {
                prop_assert_eq!(look_up(&index, key), Some(value.clone()));
            }
            prop_assert_eq!(look_up(&index, &other), expected.get(&other).cloned());
        }
    }
}
