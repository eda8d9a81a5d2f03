//! What can go wrong with the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

/// What can go wrong with the store. Nothing of the work that failed is stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Another writer was first; load and decide again.
    #[error("the stored cluster is of revision {stored}, not {expected}")]
    Stale {
        /// The revision that is stored.
        stored: u64,
        /// The revision that the change was decided on.
        expected: u64,
    },
    /// Another process has the store open.
    #[error("another perilune has the data directory {} open; stop it, or choose another with --data-dir", path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// The data directory cannot be used.
    #[error("the data directory {} cannot be used", path.display())]
    Directory {
        /// The data directory.
        path: PathBuf,
        /// Why.
        source: Arc<std::io::Error>,
    },
    /// The file cannot be read as a database.
    #[error(
        "{} is damaged, or is no database: put a backup of it in its place, or begin anew with another --data-dir",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// There is no room.
    #[error("the disk of the database is full; make room on it and try again")]
    Full,
    /// The database refused for another reason.
    #[error("the database refused the work")]
    Database(#[source] Arc<rusqlite::Error>),
    /// What is stored cannot be understood.
    #[error("the stored {table} '{key}' cannot be understood")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The key of the row.
        key: String,
        /// Why.
        source: Arc<serde_json::Error>,
    },
    /// The store was made by a newer program.
    #[error(
        "the database has layout {found}, this program knows up to {known}; use the newer program"
    )]
    Newer {
        /// The layout that was found.
        found: u32,
        /// The newest layout that this program knows.
        known: u32,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

impl From<rusqlite::Error> for Error {
    fn from(source: rusqlite::Error) -> Self {
        if source.sqlite_error_code() == Some(ErrorCode::DiskFull) {
            return Self::Full;
        }
        Self::Database(Arc::new(source))
    }
}

impl Error {
    /// What it means when the file is opened.
    pub(crate) fn at_opening(self, path: &Path) -> Self {
        let Self::Database(source) = &self else { return self };
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { path: path.to_owned() }
            }
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_as_that() {
        let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
        let error = Error::from(rusqlite::Error::SqliteFailure(full, None));
        assert!(error.to_string().contains("make room"), "{error}");
    }
}
