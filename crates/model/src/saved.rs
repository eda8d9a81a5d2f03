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
