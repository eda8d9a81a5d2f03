//! What one commit does.

use crate::{Kind, Name, Object};

/// One step of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// The object is there afterwards, in place of one with its name.
    Put(Object),
    /// The object is gone afterwards.
    Remove(Kind, Name),
}

/// The edits of one commit, and those that take it back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Change {
    /// What is done, in order.
    pub edits: Vec<Edit>,
    /// What takes it back, in order.
    pub inverse: Vec<Edit>,
}

impl Change {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }
}
