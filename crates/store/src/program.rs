//! Which program this is, as far as the other controllers of a database need to know: what it can read of what is stored, and what of
//! that older ones cannot.
//!
//! While a site is upgraded, controllers of two versions share a database. An older one loses a field that it does not know when it writes
//! the object back, and cannot read a kind or a word that it does not know. So nobody stores what is new before all know it: each
//! controller says which *format* it knows, the database has the one that all know, and a commit is stored only where it was
//! decided for that one.

use perilune_model::{Change, Edit, Kind, Object};
use serde_json::Value;

/// The format of this version. It grows by one with a version that may store what the version before cannot read, and so does the layout of the
/// embedded database (`sqlite/schema.rs`).
const FORMAT: u32 = 1;
/// What came with which format. Whoever adds a kind, a field or a word to what is stored notes it here.
const NEWER: &[(u32, Newer)] = &[];

/// Something that programs of older formats do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newer {
    /// A kind of objects.
    Kind(Kind),
    /// A field of objects.
    Field {
        /// Whose field it is.
        kind: Kind,
        /// The way to it, such as `comment` or `interfaces.*.vlan`.
        place: &'static str,
        /// Its value where nobody has said anything, as JSON: nothing is lost with that.
        usual: &'static str,
    },
    /// One more word that a field may have.
    Word {
        /// Whose field it is.
        kind: Kind,
        /// The way to it.
        place: &'static str,
        /// The word.
        word: &'static str,
    },
}

/// A version of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// What the version is called.
    pub version: &'static str,
    /// The newest format that it knows.
    pub format: u32,
    /// What came with which format.
    pub newer: &'static [(u32, Newer)],
}

impl Program {
    /// This one.
    pub const THIS: Self =
        Self { version: env!("CARGO_PKG_VERSION"), format: FORMAT, newer: NEWER };

    /// What of a change programs of this format cannot read, for people.
    pub(crate) fn newer_than(&self, format: u32, change: &Change) -> Option<String> {
        let newer = || self.newer.iter().filter(|(came, _)| *came > format).map(|(_, newer)| newer);
        if self.format <= format || newer().next().is_none() {
            return None;
        }
        change.edits.iter().find_map(|edit| {
            let Edit::Put(object) = edit else { return None };
            newer().find_map(|newer| newer.of(object))
        })
    }
}

impl Default for Program {
    fn default() -> Self {
        Self::THIS
    }
}

impl Newer {
    /// What of an object this is.
    fn of(self, object: &Object) -> Option<String> {
        let (Self::Kind(kind) | Self::Field { kind, .. } | Self::Word { kind, .. }) = self;
        if object.kind() != kind {
            return None;
        }
        let of = format!("{kind} '{}'", object.name());
        let value = || object.to_json().ok().and_then(|text| serde_json::from_str(&text).ok());
        match self {
            Self::Kind(_) => Some(of),
            Self::Field { place, usual, .. } => {
                let usual: Value = serde_json::from_str(usual).unwrap_or_default();
                let is_new = |found: &Value| *found != usual;
                any(&value()?, place, &is_new).then(|| format!("'{place}' of {of}"))
            }
            Self::Word { place, word, .. } => any(&value()?, place, &|found| found == word)
                .then(|| format!("'{word}' as '{place}' of {of}")),
        }
    }
}

/// Whether a value at this place is so.
fn any(value: &Value, place: &str, is_so: &dyn Fn(&Value) -> bool) -> bool {
    let (first, rest) = place.split_once('.').unwrap_or((place, ""));
    match (first, value) {
        ("", value) => is_so(value),
        ("*", Value::Array(items)) => items.iter().any(|item| any(item, rest, is_so)),
        ("*", Value::Object(fields)) => fields.values().any(|field| any(field, rest, is_so)),
        (name, value) => value.get(name).is_some_and(|field| any(field, rest, is_so)),
    }
}

#[cfg(test)]
mod tests {
    use perilune_model::Name;
    use perilune_model::group::Group;
    use serde_json::json;

    use super::*;

    const COMMENT: Newer = Newer::Field { kind: Kind::Group, place: "comment", usual: "null" };

    fn change(comment: &str) -> Change {
        let group = Group {
            name: Name::trusted("compute"),
            comment: (!comment.is_empty()).then(|| comment.to_owned()),
            ..Group::default()
        };
        Change { edits: vec![Edit::Put(group.into())], inverse: Vec::new() }
    }

    #[test]
    fn what_older_programs_do_not_know_is_found_and_nothing_else() {
        let later = |newer| Program { version: "later", format: 2, newer };
        let program = later(&[(2, COMMENT)]);
        let found = program.newer_than(1, &change("blue"));
        assert_eq!(found.as_deref(), Some("'comment' of group 'compute'"));
        assert_eq!(program.newer_than(1, &change("")), None, "nothing is lost");
        assert_eq!(program.newer_than(2, &change("blue")), None, "all know it");
        assert_eq!(Program::THIS.newer_than(0, &change("blue")), None);
        let other = later(&[(2, Newer::Kind(Kind::Node))]);
        assert_eq!(other.newer_than(1, &change("blue")), None);
        let kind = later(&[(2, Newer::Kind(Kind::Group))]);
        assert_eq!(kind.newer_than(1, &change("")).as_deref(), Some("group 'compute'"));
        let word = later(&[(2, Newer::Word { kind: Kind::Group, place: "comment", word: "blue" })]);
        assert!(word.newer_than(1, &change("blue")).is_some());
        assert_eq!(word.newer_than(1, &change("red")), None);
    }

    #[test]
    fn a_place_may_be_in_lists_and_in_objects() {
        let value = json!({ "interfaces": [{ "name": "a" }, { "name": "b", "vlan": 7 }] });
        let is_there = |place: &str| any(&value, place, &|found| !found.is_null());
        assert!(is_there("interfaces.*.vlan") && is_there("interfaces.*.name"));
        assert!(!is_there("interfaces.*.colour") && !is_there("vlan") && !is_there("*.vlan"));
        assert!(is_there("*.*.vlan"));
    }

    #[test]
    fn what_is_new_came_with_a_format_that_this_program_knows() {
        let Program { format, newer, .. } = Program::THIS;
        assert!(newer.iter().all(|(came, _)| *came > 1 && *came <= format));
    }
}
