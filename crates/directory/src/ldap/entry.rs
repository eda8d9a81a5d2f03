//! Entries of the server as clients see them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ldap3::SearchEntry;
use serde_json::{Map, Value};

/// Attributes that nobody is shown.
const HIDDEN: [&str; 3] = ["objectclass", "userpassword", "shadowlastchange"];

/// An entry: its place and its attributes.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) dn: String,
    attributes: BTreeMap<String, Vec<String>>,
}

impl Entry {
    pub(super) fn of(entry: SearchEntry) -> Self {
        Self { dn: entry.dn, attributes: entry.attrs.into_iter().collect() }
    }

    /// The values of an attribute. Names of attributes are the same in any case.
    pub(super) fn values(&self, attribute: &str) -> &[String] {
        let found = self.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
        found.map(|(_, values)| values.as_slice()).unwrap_or_default()
    }

    pub(super) fn first(&self, attribute: &str) -> Option<&str> {
        self.values(attribute).first().map(String::as_str)
    }

    pub(super) fn number(&self, attribute: &str) -> Option<u32> {
        self.first(attribute)?.parse().ok()
    }

    /// The attributes as JSON: a text for one value, a list for several.
    pub(super) fn shown(&self, without: &[&str]) -> Map<String, Value> {
        let is_shown = |name: &str| {
            let name = name.to_ascii_lowercase();
            !HIDDEN.contains(&name.as_str()) && !without.contains(&name.as_str())
        };
        self.attributes
            .iter()
            .filter(|(name, _)| is_shown(name))
            .map(|(name, values)| {
                let value = match values.as_slice() {
                    [one] => Value::from(one.as_str()),
                    values => Value::from(values.to_vec()),
                };
                (name.clone(), value)
            })
            .collect()
    }
}

/// The number after the highest that is taken, and not below `first`. Numbers that systems use for nobody and for services of
/// their own are passed over.
pub(super) fn next_number(first: u32, taken: impl Iterator<Item = u32>) -> Option<u32> {
    const RESERVED: RangeInclusive<u32> = 60_000..=65_535;
    let highest = taken.filter(|number| !RESERVED.contains(number)).max();
    let next = match highest {
        None => first,
        Some(highest) => highest.checked_add(1)?.max(first),
    };
    Some(if RESERVED.contains(&next) { RESERVED.end() + 1 } else { next })
}

#[cfg(test)]
mod tests {
    use super::next_number;

    #[test]
    fn numbers_follow_the_highest_and_pass_over_those_of_systems() {
        let next = |taken: &[u32]| next_number(1000, taken.iter().copied());
        assert_eq!(next(&[]), Some(1000));
        assert_eq!(next(&[3, 7]), Some(1000));
        assert_eq!(next(&[1000, 1005, 65_534]), Some(1006));
        assert_eq!(next(&[59_999]), Some(65_536));
        assert_eq!(next(&[u32::MAX]), None);
    }
}
