//! The layout of the database.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use crate::Error;

/// Each step takes the layout from its position to the next. Steps are never changed once they were released.
const STEPS: &[&str] = &["
    CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO meta VALUES ('revision', 0);
    CREATE TABLE object (kind TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
    CREATE TABLE history (
        revision INTEGER PRIMARY KEY, at BIGINT NOT NULL, author TEXT NOT NULL, origin TEXT NOT NULL, action TEXT NOT NULL,
        edits TEXT NOT NULL, inverse TEXT NOT NULL
    );
    CREATE TABLE lease (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE node_state (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE bmc_certificate (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE job (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
"];

/// Opens the database file and brings its layout up to date.
pub(crate) fn open(file: &Path) -> Result<Connection, Error> {
    let mut connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    connection.set_prepared_statement_cache_capacity(64);
    let known = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(Error::Newer { found, known });
    }
    let transaction = connection.transaction()?;
    for step in STEPS.iter().skip(found as usize) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(connection)
}

/// Writes a copy of the database to a new file.
pub(crate) fn backup(connection: &Connection, file: &Path) -> Result<(), Error> {
    connection.execute("VACUUM INTO ?1", [file.to_string_lossy()])?;
    Ok(())
}
