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
", "
    CREATE TABLE record (
        board TEXT NOT NULL, key TEXT NOT NULL, sequence BIGINT NOT NULL, body TEXT, PRIMARY KEY (board, key)
    ) WITHOUT ROWID;
    INSERT INTO record SELECT 'lease', key, row_number() OVER (ORDER BY key), body FROM lease;
    INSERT INTO record SELECT 'node_state', key, row_number() OVER (ORDER BY key), body FROM node_state;
    INSERT INTO record SELECT 'job', key, row_number() OVER (ORDER BY key), body FROM job;
    INSERT INTO record SELECT 'bmc_certificate', key, row_number() OVER (ORDER BY key), json_quote(body) FROM bmc_certificate;
    DROP TABLE lease;
    DROP TABLE node_state;
    DROP TABLE job;
    DROP TABLE bmc_certificate;
    CREATE INDEX record_sequence ON record (board, sequence);
    CREATE TABLE aside (number INTEGER PRIMARY KEY, board TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, reason TEXT NOT NULL);
    INSERT INTO meta VALUES ('life', 0);
", "
    -- What is secret is sealed from here on (sealed.rs does it, with the key); an older program would misread it.
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

/// Counts that the store was opened, and answers how often it was.
pub(crate) fn begin_life(connection: &Connection) -> Result<u64, Error> {
    let sql = "UPDATE meta SET value = value + 1 WHERE key = 'life' RETURNING value";
    let life: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(life.unsigned_abs())
}

/// Writes a copy of the database to a new file.
pub(crate) fn backup(connection: &Connection, file: &Path) -> Result<(), Error> {
    connection.execute("VACUUM INTO ?1", [file.to_string_lossy()])?;
    Ok(())
}
