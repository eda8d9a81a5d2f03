//! The database, as far as a backup needs it.

use std::path::PathBuf;

use perilune_store::{Error, Store};

/// The database of the daemon, to be copied and nothing else.
pub struct Database(Store);

impl Database {
    pub(crate) fn of(store: Store) -> Self {
        Self(store)
    }

    /// Writes a copy to a new file, as of one moment, while work goes on; answers the revision that it has.
    pub async fn copy(&self, file: PathBuf) -> Result<u64, Error> {
        self.0.backup(file).await
    }
}
