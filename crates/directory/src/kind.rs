//! What there is in a directory.

use serde_json::{Map, Value};

/// Users or groups by name, each with its attributes.
pub type Entries = Map<String, Value>;

/// What there is an entry of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Users.
    User,
    /// Groups.
    Group,
}

impl Kind {
    /// The word for one.
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
        }
    }
}
