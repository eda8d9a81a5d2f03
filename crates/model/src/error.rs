//! Why a change is refused.

use std::fmt;

use crate::Kind;

/// Why a change is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The object that the request is about does not exist.
    #[error("there is no {kind} '{name}'")]
    NotFound {
        /// What kind of object.
        kind: Kind,
        /// The name that was asked for.
        name: String,
    },
    /// The object has no such part.
    #[error("the {kind} '{name}' has no {part} '{wanted}'")]
    NoPart {
        /// What kind of object.
        kind: Kind,
        /// Its name.
        name: String,
        /// What kind of part, such as `secret`.
        part: &'static str,
        /// The part that was asked for.
        wanted: String,
    },
    /// The name is taken.
    #[error("the {kind} '{name}' is there already; choose another name")]
    AlreadyExists {
        /// What kind of object.
        kind: Kind,
        /// The name that is taken.
        name: String,
    },
    /// Fields with values that cannot be, each with its reason.
    #[error("{}", Sentences(.0))]
    Invalid(Vec<Violation>),
    /// The object cannot go while others refer to it.
    #[error("the {kind} '{name}' is in use by {}; change or remove them first", Users(.by))]
    InUse {
        /// What kind of object.
        kind: Kind,
        /// Its name.
        name: String,
        /// Who refers to it, such as `node node001`.
        by: Vec<String>,
    },
    /// A network has no free address left.
    #[error(
        "the network '{network}' has no free address left; widen it, shrink its DHCP range, or remove what holds addresses"
    )]
    Exhausted {
        /// The network.
        network: String,
    },
}

/// One field and why its value is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field's name, as it stands in the request.
    pub field: String,
    /// What is wrong and what to do, lower case, no full stop.
    pub reason: String,
}

impl Error {
    /// A refusal because of one field.
    pub fn invalid(field: &str, reason: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation { field: field.to_owned(), reason: reason.into() }])
    }
}

struct Sentences<'a>(&'a [Violation]);

impl fmt::Display for Sentences<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, violation) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(formatter, "{separator}{}: {}", violation.field, violation.reason)?;
        }
        Ok(())
    }
}

/// As many users as an error names before it only counts.
const NAMED_USERS: usize = 10;

struct Users<'a>(&'a [String]);

impl fmt::Display for Users<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, user) in self.0.iter().take(NAMED_USERS).enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(formatter, "{separator}{user}")?;
        }
        match self.0.len().saturating_sub(NAMED_USERS) {
            0 => Ok(()),
            more => write!(formatter, " and {more} more"),
        }
    }
}
