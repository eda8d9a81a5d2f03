//! What is committed, and what others have committed since.

use perilune_model::{Change, Edit};

use crate::Meta;

/// A change and who made it.
#[derive(Debug, Clone)]
pub struct Commit {
    /// What is done.
    pub change: Change,
    /// Who, when, from where, and why.
    pub meta: Meta,
    /// Names the request, where it may be sent again: [`Store::committed`](crate::Store::committed) tells whether it was stored.
    pub key: Option<String>,
}

/// The table of records that has the keys of commits.
pub(crate) const KEYS: &str = "commit_key";

/// What was committed after a revision, by whomever.
#[derive(Debug, Clone, PartialEq)]
pub struct Later {
    /// The revision that is stored.
    pub revision: u64,
    /// What leads to it, in order.
    pub edits: Vec<Edit>,
}

/// Who is further behind than this many commits loads the whole cluster.
pub(crate) const CATCH_UP: u64 = 1000;
