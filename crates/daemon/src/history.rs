//! What was changed in the past. Whoever has this can read it, and write nothing.

use std::collections::BTreeMap;

use perilune_store::{Entry, Error, Store};

/// The history of the cluster; clones share it.
#[derive(Clone)]
pub struct History(Store);

impl History {
    pub(crate) fn of(store: Store) -> Self {
        Self(store)
    }

    /// The newest entries, at most `limit`, before revision `before` where one is given. Newest first.
    pub async fn page(&self, before: Option<u64>, limit: u32) -> Result<Vec<Entry>, Error> {
        self.0.history(before, limit).await
    }

    /// The entries from one revision to another, both included. Oldest first.
    pub async fn between(&self, first: u64, last: u64) -> Result<Vec<Entry>, Error> {
        self.0.history_between(first, last).await
    }

    /// Which of these keys of requests name commits that are stored, and the revision of each.
    pub async fn committed(&self, keys: Vec<String>) -> Result<BTreeMap<String, u64>, Error> {
        self.0.committed(keys).await
    }

    /// Whether changes are refused since the disk is full.
    pub(crate) fn is_short_of_room(&self) -> bool {
        self.0.is_short_of_room()
    }
}
