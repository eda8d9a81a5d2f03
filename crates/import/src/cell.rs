//! Values as SQLite holds them: any column may hold a value of any type.

use perilune_model::label::Labels;
use rusqlite::types::ValueRef;

/// As much of a value as a message shows.
const SHOWN: usize = 60;

/// One value of one row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    /// Bytes, or a text that is not UTF-8.
    Bytes,
}

impl Cell {
    pub(crate) fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(bytes) => {
                std::str::from_utf8(bytes).map_or(Self::Bytes, |text| Self::Text(text.to_owned()))
            }
            ValueRef::Blob(_) => Self::Bytes,
        }
    }

    /// A text that may be unset.
    pub(crate) fn some(text: Option<impl ToString>) -> Self {
        text.map_or(Self::Null, |text| Self::Text(text.to_string()))
    }

    /// A number that may be unset.
    pub(crate) fn number(number: Option<impl Into<i64>>) -> Self {
        number.map_or(Self::Null, |number| Self::Integer(number.into()))
    }

    /// A boolean that may be unset, as the old database keeps it.
    pub(crate) fn boolean(boolean: Option<bool>) -> Self {
        Self::number(boolean)
    }

    /// Words with commas between them; unset when there is none.
    pub(crate) fn list(words: &[impl ToString]) -> Self {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        Self::some((!words.is_empty()).then(|| words.join(",")))
    }

    /// Labels as requests take them; unset when there are none.
    pub(crate) fn labels(labels: &Labels) -> Self {
        Self::some((!labels.is_empty()).then_some(labels))
    }

    /// The value as a text; nothing for null and for bytes.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Null | Self::Bytes => None,
            Self::Integer(number) => Some(number.to_string()),
            Self::Real(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone()),
        }
    }
}

/// A value as a message can show it: short, and without control characters.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
