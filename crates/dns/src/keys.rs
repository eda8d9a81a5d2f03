//! Names as they are looked up: lower case, labels with dots between them, without the dot of the root.

use hickory_proto::rr::Name;

/// What stands for a byte that no name of a cluster has. A dot within a label is one.
const FOREIGN: char = '?';

/// The key of a name that somebody asks for.
pub(crate) fn key(name: &Name) -> String {
    let mut key = String::with_capacity(name.len());
    for label in name {
        if !key.is_empty() {
            key.push('.');
        }
        key.extend(label.iter().map(|byte| match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'/' => char::from(*byte),
            b'A'..=b'Z' => char::from(byte.to_ascii_lowercase()),
            _ => FOREIGN,
        }));
    }
    key
}

/// The ways to read a key as a host and its domain, the longest domain first. The first has no host.
pub(crate) fn splits(key: &str) -> impl Iterator<Item = (&str, &str)> {
    let whole = std::iter::once(("", key));
    whole.chain(key.match_indices('.').filter_map(|(dot, _)| {
        let (host, rest) = key.split_at_checked(dot)?;
        Some((host, rest.strip_prefix('.')?))
    }))
}

/// The parents of a name, the longest first, without the root.
pub(crate) fn parents(key: &str) -> impl Iterator<Item = &str> {
    splits(key).skip(1).map(|(_, parent)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_within_a_label_is_no_dot() {
        let name = Name::from_labels([b"a.b".as_slice(), b"Cluster"]).unwrap();
        assert_eq!(key(&name), "a?b.cluster");
        assert_eq!(key(&Name::root()), "");
        let unicode = Name::from_labels(["bücher".as_bytes(), b"cluster"]).unwrap();
        assert_eq!(key(&unicode), "b??cher.cluster");
    }

    #[test]
    fn the_longest_domain_comes_first() {
        let all: Vec<_> = splits("a.b.c").collect();
        assert_eq!(all, [("", "a.b.c"), ("a", "b.c"), ("a.b", "c")]);
        assert_eq!(parents("a.b.c").collect::<Vec<_>>(), ["b.c", "c"]);
    }
}
