//! The envelope of configuration answers: `{"config": {"<resource>": {"<name>": …}}}`.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Objects of one resource by name, in their order, in the API's envelope.
#[derive(Debug)]
pub struct Config<'a, T> {
    /// The resource's word, such as `node`.
    pub resource: &'static str,
    /// Names and what is answered under them.
    pub entries: Vec<(&'a str, T)>,
}

impl<'a, T> Config<'a, T> {
    /// The envelope of one object.
    pub fn one(resource: &'static str, name: &'a str, value: T) -> Self {
        Self { resource, entries: vec![(name, value)] }
    }
}

impl<T: Serialize> Serialize for Config<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut outer = serializer.serialize_map(Some(1))?;
        outer.serialize_entry("config", &Resource(self))?;
        outer.end()
    }
}

struct Resource<'a, 'b, T>(&'a Config<'b, T>);

impl<T: Serialize> Serialize for Resource<'_, '_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.0.resource, &Entries(&self.0.entries))?;
        map.end()
    }
}

struct Entries<'a, 'b, T>(&'a [(&'b str, T)]);

impl<T: Serialize> Serialize for Entries<'_, '_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_stand_under_their_resource_and_name_in_their_order() {
        let config = Config { resource: "rack", entries: vec![("b", 1), ("a", 2)] };
        assert_eq!(serde_json::to_string(&config).unwrap(), r#"{"config":{"rack":{"b":1,"a":2}}}"#);
    }
}
