//! All that a store holds, as it goes from one engine to the other.

use crate::{Aside, Meta, Record, Table};

/// All that a store holds, as it is stored.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) revision: u64,
    pub(crate) life: u64,
    /// Kind, name and body.
    pub(crate) objects: Vec<(String, String, String)>,
    pub(crate) history: Vec<StoredEntry>,
    pub(crate) boards: Vec<StoredBoard>,
    pub(crate) aside: Vec<Aside>,
}

/// An entry of the history as it is stored.
#[derive(Debug)]
pub(crate) struct StoredEntry {
    pub(crate) revision: u64,
    pub(crate) meta: Meta,
    pub(crate) edits: String,
    pub(crate) inverse: String,
}

/// A table of records, with those that tell of removals.
#[derive(Debug)]
pub(crate) struct StoredBoard {
    pub(crate) table: Table,
    pub(crate) last: u64,
    pub(crate) horizon: u64,
    pub(crate) records: Vec<Record>,
}
