//! What can go wrong with the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::KeyId;

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
    /// A part of the database is lost.
    #[error(
        "{} is damaged: {wrong}. Nothing is served from it, since what is missing would be given to others. Restore a backup (perilune restore, docs/backup.md), or \
         begin anew with another --data-dir",
        path.display()
    )]
    Unsound {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        wrong: String,
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
        "the database has layout {found}, this program knows up to {known}: use the newer program, or put what it kept before it changed the layout (perilune-layout-{known}.db in the data directory) in the place of perilune.db, and lose what was changed since"
    )]
    Newer {
        /// The layout that was found.
        found: u32,
        /// The newest layout that this program knows.
        known: u32,
    },
    /// The key file is that of another store, or gone.
    #[error(
        "the database is sealed with the key {needed}, and {} ([FILES] KEYFILE) {}; put the file of the key {needed} there: it is in the backup of the data directory",
        file.display(),
        found.map_or_else(|| "is not there".to_owned(), |found| format!("holds the key {found}"))
    )]
    WrongKey {
        /// The file of the key.
        file: PathBuf,
        /// The key that is meant.
        needed: KeyId,
        /// The key that is there.
        found: Option<KeyId>,
    },
    /// Something is sealed with another key than the rest.
    #[error(
        "{kind} '{name}' is sealed with another key than {found}, which {} ([FILES] KEYFILE) holds; put the file of the key there with which it was stored",
        file.display()
    )]
    ForeignSecret {
        /// The kind of the object.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The file of the key.
        file: PathBuf,
        /// The key that is there.
        found: KeyId,
    },
    /// Something is sealed, and no key is there.
    #[error(
        "there are sealed secrets in the database, and the file of their key, {} ([FILES] KEYFILE), is not there; put it back",
        file.display()
    )]
    NoKeyFile {
        /// The file of the key.
        file: PathBuf,
    },
    /// The file holds no key.
    #[error(
        "{} ([FILES] KEYFILE) holds no key: each line must be the URL-safe base64 of 32 bytes, the first one the key in use; put the right file in its place",
        file.display()
    )]
    NoKey {
        /// The file of the key.
        file: PathBuf,
    },
    /// A file of a key cannot be used.
    #[error("the key file {} ([FILES] KEYFILE) cannot be {action}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: Arc<std::io::Error>,
    },
    /// There is no randomness.
    #[error("the system's source of randomness cannot be read: {0}")]
    Random(String),
    /// The database server cannot be reached, or has ended the connection. Nothing was stored.
    #[error("the database cannot be reached")]
    Unreachable(#[source] Arc<tokio_postgres::Error>),
    /// No connection to the database server was made in time. Nothing was stored.
    #[error("the database does not answer")]
    NoAnswer,
    /// The connection was lost while commits were stored, and the database has not told since what became of them.
    #[error(
        "the database was lost while this was stored, and does not tell whether it is; look at the history before you do it again"
    )]
    InDoubt,
    /// The database server refused for another reason.
    #[error("the database refused the work")]
    Postgres(#[source] Arc<tokio_postgres::Error>),
    /// What was read from the database is not what it must be.
    #[error(
        "the database {database} is not whole: {wrong}. Nothing is served from it, since what is missing would be given to others. Restore it from a backup"
    )]
    Incomplete {
        /// The database.
        database: String,
        /// What is wrong with it.
        wrong: String,
    },
    /// The tables of the store are not in the database.
    #[error(
        "the database {database} has no tables of perilune: make them with `perilune database init`"
    )]
    Unprepared {
        /// The database.
        database: String,
    },
    /// The tables of the store are of an older program.
    #[error(
        "the database {database} has layout {found}, this program needs {needed}: {}run `perilune database migrate`",
        if *others_go_on { "" } else { "stop all controllers, and " }
    )]
    Older {
        /// The database.
        database: String,
        /// The layout that was found.
        found: u32,
        /// The layout that this program works with.
        needed: u32,
        /// Whether controllers of the version before can run meanwhile and afterwards.
        others_go_on: bool,
    },
    /// Newer controllers have made of the database what this program does not know.
    #[error(
        "the database {database} has {what} {found} of a newer version, and this program ({}) knows no newer one than {known}: install the version of the other controllers \
         here, as `perilune controller list` shows it",
        env!("CARGO_PKG_VERSION")
    )]
    Outdated {
        /// The database.
        database: String,
        /// What of it: the layout of the tables, or the format of what is in them.
        what: &'static str,
        /// The one that was found.
        found: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// Other controllers could not read what is to be stored.
    #[error(
        "{what} is new, and would be lost by controllers that do not know it: {}. Bring all to one version first; one that is gone for good is forgotten with \
         `perilune controller remove NAME`",
        controllers.join(", ")
    )]
    NotYet {
        /// What is new.
        what: String,
        /// Who does not know it.
        controllers: Vec<String>,
    },
    /// A change would be acknowledged by one server alone, which the site does not want.
    #[error(
        "the database waits for no standby (synchronous_standby_names is empty), and [DATABASE] SYNCHRONOUS = require: nothing is stored until it does. Start a standby and name it there; to go on with one server, SYNCHRONOUS = warn"
    )]
    NoStandby,
    /// A controller of this name runs.
    #[error(
        "a controller named '{name}' runs already on the database {database}: stop that one, or give this one another name ([DATABASE] CONTROLLER)"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// The database.
        database: String,
    },
    /// Nothing is put beside what is there.
    #[error("{place} has a cluster already; choose an empty place")]
    NotEmpty {
        /// The directory or database.
        place: String,
    },
    /// A controller uses the database.
    #[error("the database {database} is used by a controller; stop all controllers first")]
    InUse {
        /// The database.
        database: String,
    },
    /// The address of the database means nothing.
    #[error("the address of the database cannot be used: {0}")]
    Address(String),
    /// Only the embedded database can do it.
    #[error(
        "{what} is only possible with the embedded database; on PostgreSQL, docs/controllers.md says what to do instead"
    )]
    OnlyEmbedded {
        /// What was asked for.
        what: &'static str,
    },
    /// Only a database that controllers share can do it.
    #[error(
        "{what} is only possible where several controllers share a PostgreSQL database (docs/controllers.md); here is one controller with a database of its own"
    )]
    OnlyShared {
        /// What was asked for.
        what: &'static str,
    },
    /// There is no controller of this name.
    #[error(
        "no controller '{name}' has ever run on this database; `perilune controller list` names those that have"
    )]
    NoController {
        /// The name.
        name: String,
    },
    /// A controller that runs cannot be forgotten.
    #[error("the controller '{name}' runs; stop its daemon first")]
    ControllerRuns {
        /// The name.
        name: String,
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

/// An error of a connection that had been made.
impl From<tokio_postgres::Error> for Error {
    fn from(source: tokio_postgres::Error) -> Self {
        use tokio_postgres::error::SqlState;
        let is_lost = source.is_closed()
            || std::error::Error::source(&source)
                .is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
        match source.code() {
            Some(code) if *code == SqlState::DISK_FULL => Self::Full,
            // The server is being stopped, was just started, or takes no changes since another is the primary now.
            Some(code)
                if code.code().starts_with("57P")
                    || code.code().starts_with("08")
                    || *code == SqlState::READ_ONLY_SQL_TRANSACTION
                    || *code == SqlState::TOO_MANY_CONNECTIONS
                    || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT =>
            {
                Self::Unreachable(Arc::new(source))
            }
            None if is_lost => Self::Unreachable(Arc::new(source)),
            _ => Self::Postgres(Arc::new(source)),
        }
    }
}

impl Error {
    /// Whether the database is away: what was asked for may work later, and is not at fault.
    pub fn is_away(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::NoAnswer
                | Self::InDoubt
                | Self::NoStandby
                | Self::Outdated { .. }
        )
    }

    /// Whether something is there already that is to be there once.
    pub(crate) fn is_doubled(&self) -> bool {
        let Self::Postgres(source) = self else { return false };
        source.code() == Some(&tokio_postgres::error::SqlState::UNIQUE_VIOLATION)
    }

    /// What a failure means while a connection is made.
    pub(crate) fn connecting(source: tokio_postgres::Error) -> Self {
        match Self::from(source) {
            Self::Postgres(source) => Self::Unreachable(source),
            other => other,
        }
    }

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
