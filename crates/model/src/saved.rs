//! What saving an object came to.

/// What saving an object came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// It is new.
    Created,
    /// It was there, and is as was asked.
    Updated,
    /// It has a new name.
    Renamed,
}

impl Saved {
    /// What saving will come to; `None` when a new name is asked for an object that does not exist.
    pub(crate) fn foreseen(is_known: bool, is_renamed: bool) -> Option<Self> {
        match (is_known, is_renamed) {
            (true, true) => Some(Self::Renamed),
            (true, false) => Some(Self::Updated),
            (false, false) => Some(Self::Created),
            (false, true) => None,
        }
    }
}
