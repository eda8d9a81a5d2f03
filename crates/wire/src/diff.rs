//! What commits change, as people and programs read it: objects, and of each the fields before and after. No secret is shown.

use std::collections::{BTreeMap, BTreeSet};

use perilune_model::{Edit, Kind, Name, Object};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::any_json::AnyJson;
use crate::hidden::HIDDEN;

/// Fields whose values only few may see, wherever they stand.
const SECRET: [&str; 9] = [
    "ztpconfig",
    "password",
    "password_hash",
    "content",
    "read",
    "rw",
    "machine_id",
    "tpm_sha256",
    "hash",
];

/// What becomes of one object.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ObjectChange {
    /// What it is, such as `node`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// `create`, `change` or `remove`.
    pub action: &'static str,
    /// The fields that differ. For a new object those that are set; for one that goes, those that were.
    pub fields: BTreeMap<String, FieldChange>,
}

/// One field before and after.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FieldChange {
    #[schema(value_type = AnyJson)]
    from: Value,
    #[schema(value_type = AnyJson)]
    to: Value,
}

/// Edits of one or more commits, in their order, and what takes each back.
#[derive(Debug, Default)]
pub struct Net {
    before: BTreeMap<(Kind, Name), Option<Object>>,
    after: BTreeMap<(Kind, Name), Option<Object>>,
}

impl Net {
    /// Adds a commit that comes after those that were added.
    pub fn add(&mut self, edits: &[Edit], inverse: &[Edit]) {
        let mut before = BTreeMap::new();
        for edit in inverse {
            before.extend([state(edit)]);
        }
        for (key, object) in before {
            self.before.entry(key).or_insert(object);
        }
        for edit in edits {
            self.after.extend([state(edit)]);
        }
    }

    /// What differs in the end.
    pub fn changes(&self) -> Vec<ObjectChange> {
        self.differing().map(Differing::change).collect()
    }

    /// The same, without a look at fields.
    pub fn differing(&self) -> impl Iterator<Item = Differing<'_>> {
        let keys: BTreeSet<_> = self.before.keys().chain(self.after.keys()).collect();
        keys.into_iter().filter_map(|(kind, name)| {
            let key = (*kind, name.clone());
            let before = self.before.get(&key).and_then(Option::as_ref);
            let after = self.after.get(&key).and_then(Option::as_ref);
            let action = action(before, after)?;
            Some(Differing { kind: kind.word(), name, action, before, after })
        })
    }

    /// What the commits left: objects with their names, `None` for those that went.
    pub fn after(&self) -> &BTreeMap<(Kind, Name), Option<Object>> {
        &self.after
    }
}

fn state(edit: &Edit) -> ((Kind, Name), Option<Object>) {
    match edit {
        Edit::Put(object) => ((object.kind(), object.name().clone()), Some(object.clone())),
        Edit::Remove(kind, name) => ((*kind, name.clone()), None),
    }
}

/// An object that is another in the end.
#[derive(Debug, Clone, Copy)]
pub struct Differing<'a> {
    /// What it is, such as `node`.
    pub kind: &'static str,
    /// Its name.
    pub name: &'a Name,
    /// `create`, `change` or `remove`.
    pub action: &'static str,
    before: Option<&'a Object>,
    after: Option<&'a Object>,
}

impl Differing<'_> {
    /// With the fields that differ.
    pub fn change(self) -> ObjectChange {
        let (before, after) = (fields(self.before), fields(self.after));
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let mut differing = BTreeMap::new();
        for key in keys {
            let (from, to) = (value(&before, key), value(&after, key));
            if from != to {
                let fields = FieldChange { from: shown(key, from), to: shown(key, to) };
                differing.insert(key.clone(), fields);
            }
        }
        let (kind, name, action) = (self.kind, self.name.to_string(), self.action);
        ObjectChange { kind, name, action, fields: differing }
    }
}

fn action(before: Option<&Object>, after: Option<&Object>) -> Option<&'static str> {
    match (before, after) {
        (None, None) => None,
        (None, Some(_)) => Some("create"),
        (Some(_), None) => Some("remove"),
        (Some(before), Some(after)) => (before != after).then_some("change"),
    }
}

fn fields(object: Option<&Object>) -> Map<String, Value> {
    let json = object.and_then(|object| object.to_json().ok());
    let value = json.and_then(|json| serde_json::from_str::<Value>(&json).ok());
    match value {
        Some(Value::Object(map)) => flat(map),
        Some(_) | None => Map::new(),
    }
}

/// The parts of an object as fields of their own: `interfaces.BOOTIF.addresses.ipv4`. Parts of a list go by their names. Settings
/// that objects keep in a part of their own are fields like others to whoever reads of them.
fn flat(map: Map<String, Value>) -> Map<String, Value> {
    let mut fields = Map::new();
    for (key, value) in map {
        let prefix = if key == "provisioning" { "" } else { key.as_str() };
        flatten(prefix, value, &mut fields);
    }
    fields
}

fn flatten(place: &str, value: Value, fields: &mut Map<String, Value>) {
    let below = |key: &str| {
        if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
    };
    match value {
        Value::Null => {}
        Value::Object(map) => {
            for (key, value) in map {
                flatten(&below(&key), value, fields);
            }
        }
        Value::Array(items) if items.is_empty() => {}
        Value::Array(items) => match items.iter().map(name_of).collect::<Option<Vec<_>>>() {
            Some(names) => {
                for (name, item) in names.iter().zip(items) {
                    flatten(&below(name), item, fields);
                }
            }
            None => drop(fields.insert(place.to_owned(), Value::Array(items))),
        },
        value => drop(fields.insert(place.to_owned(), value)),
    }
}

fn name_of(item: &Value) -> Option<String> {
    let name = item.get("name").or_else(|| item.get("host"))?;
    name.as_str().map(str::to_owned)
}

fn value(fields: &Map<String, Value>, key: &str) -> Value {
    fields.get(key).cloned().unwrap_or_default()
}

fn shown(field: &str, value: Value) -> Value {
    let last = field.rsplit('.').next().unwrap_or(field);
    // The key of a label is the site's own word.
    let is_label = field.starts_with("labels.");
    if !is_label && SECRET.contains(&last) && !value.is_null() { HIDDEN.into() } else { value }
}

#[cfg(test)]
mod tests {
    use perilune_model::bmc_setup::BmcSetup;

    use super::*;

    fn setup(username: &str, password: &str) -> Object {
        let setup = BmcSetup {
            name: Name::trusted("a"),
            username: username.into(),
            password: password.into(),
            ..BmcSetup::default()
        };
        setup.into()
    }

    #[test]
    fn several_commits_are_told_as_what_they_come_to_and_no_password_is_shown() {
        let (first, second) = (setup("ann", "one"), setup("bob", "two"));
        let mut net = Net::default();
        net.add(&[Edit::Put(first.clone())], &[Edit::Remove(Kind::BmcSetup, Name::trusted("a"))]);
        assert_eq!(net.changes()[0].action, "create");
        net.add(&[Edit::Put(second.clone())], &[Edit::Put(first.clone())]);
        let mut later = Net::default();
        later.add(&[Edit::Put(second.clone())], &[Edit::Put(first.clone())]);
        let [change] = &later.changes()[..] else { panic!("one object changes") };
        let text = serde_json::to_string(change).unwrap();
        assert_eq!(
            text,
            r#"{"kind":"bmcsetup","name":"a","action":"change","fields":{"password":{"from":"(hidden)","to":"(hidden)"},"username":{"from":"ann","to":"bob"}}}"#
        );
        later.add(&[Edit::Put(first)], &[Edit::Put(second)]);
        assert!(later.changes().is_empty(), "back to where it was");
    }
}
