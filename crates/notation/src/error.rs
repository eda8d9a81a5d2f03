//! Why a document cannot be read, and where.

use std::fmt;

/// A place in a text, counted from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {} column {}", self.line, self.column)
    }
}

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An object has a key twice.
    #[error(
        "the key '{key}' is there twice, at {first} and at {second}; put both together, or remove one"
    )]
    Twice {
        /// The key.
        key: String,
        /// Where it is first.
        first: Place,
        /// Where it is again.
        second: Place,
    },
    /// Lists and objects are nested too deeply.
    #[error("{0}: it is nested too deeply")]
    TooDeep(Place),
    /// It is not of this notation, or has something that is not read here.
    #[error("{place}: {reason}")]
    Unreadable {
        /// Where.
        place: Place,
        /// What is wrong.
        reason: String,
    },
}
