//! Why a selector selects nothing.

use crate::MAXIMUM_NAMES;

/// So much of a long selector is shown beside an error.
const SHOWN: usize = 40;
/// So much of that stands before the place of the error.
const SHOWN_BEFORE: usize = 15;

/// Why a selector, or a host list, selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not written as one.
    #[error("{reason} (character {at} of {shown:?})")]
    Syntax {
        /// Which character is wrong, counted from 1.
        at: usize,
        /// The text around it.
        shown: String,
        /// What is wrong, and how it should be written.
        reason: String,
    },
    /// It is written well, and cannot be asked for here.
    #[error("{0}")]
    Refused(String),
    /// It names more hosts than any cluster has.
    #[error("host list names {count} hosts; at most {MAXIMUM_NAMES} are accepted")]
    TooMany {
        /// How many names it would make.
        count: u128,
    },
    /// What it names is not there.
    #[error("there is no {what} {name}")]
    Unknown {
        /// What kind of thing: a node, a group, a rack …
        what: &'static str,
        /// What it was called.
        name: String,
        /// Names that are like it, the nearest first.
        near: Vec<String>,
    },
    /// All that it names is there, and no node is all of it.
    #[error("no node is {part}")]
    Nothing {
        /// The part that no node is.
        part: String,
    },
    /// A file, or the standard input, holds something else than selectors.
    #[error("{source_name}, line {line}: {error}")]
    InSource {
        /// The file, or `standard input`.
        source_name: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        error: Box<Self>,
    },
}

impl Error {
    /// `offset` is in bytes from the start of `text`.
    pub(crate) fn syntax(text: &str, offset: usize, reason: impl Into<String>) -> Self {
        let before = text.get(..offset).unwrap_or(text).chars().count();
        let length = text.chars().count();
        let start = if length <= SHOWN { 0 } else { before.saturating_sub(SHOWN_BEFORE) };
        let mut shown: String = text.chars().skip(start).take(SHOWN).collect();
        if start > 0 {
            shown.insert(0, '…');
        }
        if start + SHOWN < length {
            shown.push('…');
        }
        Self::Syntax { at: before + 1, shown, reason: reason.into() }
    }

    /// Whether what it names is not there, as opposed to a slip in how it is written.
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Unknown { .. } | Self::Nothing { .. } => true,
            Self::Syntax { .. } | Self::Refused(_) | Self::TooMany { .. } => false,
            Self::InSource { error, .. } => error.is_missing(),
        }
    }

    /// What may have been meant, as a sentence.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { near, .. } if !near.is_empty() => {
                Some(format!("did you mean {}?", near.join(" or ")))
            }
            Self::InSource { error, .. } => error.hint(),
            Self::Unknown { .. }
            | Self::Nothing { .. }
            | Self::Syntax { .. }
            | Self::Refused(_)
            | Self::TooMany { .. } => None,
        }
    }
}
