//! Long lists, entry by entry: a list of 50,000 nodes has some millions of values, and nobody needs all of them at once.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// Gives each entry of the object that is found by following `keys` to `visit`; says whether there is such an object.
pub(super) fn each(
    text: &[u8],
    keys: &[&str],
    visit: &mut dyn FnMut(String, Value),
) -> Result<bool, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let is_found = Below { keys, visit }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(is_found)
}

struct Below<'a> {
    keys: &'a [&'a str],
    visit: &'a mut dyn FnMut(String, Value),
}

impl<'de> DeserializeSeed<'de> for Below<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Below<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let Some((wanted, keys)) = self.keys.split_first() else {
            while let Some((name, value)) = map.next_entry()? {
                (self.visit)(name, value);
            }
            return Ok(true);
        };
        let mut is_found = false;
        while let Some(key) = map.next_key::<String>()? {
            if key != *wanted {
                map.next_value::<IgnoredAny>()?;
            } else if is_found {
                return Err(A::Error::custom("a key is there twice"));
            } else {
                is_found = map.next_value_seed(Below { keys, visit: &mut *self.visit })?;
            }
        }
        Ok(is_found)
    }
}

#[cfg(test)]
mod tests {
    use super::each;

    fn found(text: &str) -> Result<Option<Vec<String>>, serde_json::Error> {
        let mut entries = Vec::new();
        let is_found = each(text.as_bytes(), &["config", "node"], &mut |name, value| {
            entries.push(format!("{name}={value}"));
        })?;
        Ok(is_found.then_some(entries))
    }

    #[test]
    fn the_entries_below_a_place_are_given_in_their_order_and_nothing_else_is() {
        let text = r#"{"x": {"node": {"no": 1}}, "config": {"y": [{"node": 2}], "node": {"b": {"z": 1, "a": null}, "a": 2}}, "z": 1}"#;
        let entries = found(text).unwrap().unwrap();
        assert_eq!(entries, [r#"b={"z":1,"a":null}"#, "a=2"]);
        assert_eq!(found(r#"{"config": {"node": {}}}"#).unwrap(), Some(Vec::new()));
        assert_eq!(found(r#"{"config": {}}"#).unwrap(), None);
        assert_eq!(found("{}").unwrap(), None);
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_an_error() {
        for text in [
            "",
            "[]",
            "null",
            r#"{"config": {"node": {"a": 1}}"#,
            r#"{"config": {"node": {"a": 1}}} x"#,
            r#"{"config": {"node": []}}"#,
            r#"{"config": {"node": {}, "node": {}}}"#,
        ] {
            assert!(found(text).is_err(), "{text}");
        }
    }
}
