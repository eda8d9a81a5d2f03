//! The layout of the database.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
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
", "
    -- There are identities of nodes from here on, a kind of object that an older program does not know.
", "
    -- Each commit takes part in the fingerprint of all objects from here on (fingerprint.rs); an older program would leave it as it is.
    -- There are secrets of the whole cluster as well, a kind of object that it does not know.
    DELETE FROM meta WHERE key = 'objects';
"];

/// With which layout each format came (program.rs), the first one first: a file has no other number by which an older program would see that it
/// does not know all that may be stored, so that each format needs a step, be it an empty one.
#[cfg(test)]
const FORMATS: &[usize] = &[5];

/// So long one connection waits for what another writes.
const BUSY: Duration = Duration::from_secs(10);

/// Gives back the memory of pages that were read: all of them were, to see whether they are sound, and few are read again.
pub(crate) fn forget_pages(connection: &Connection) -> Result<(), Error> {
    Ok(connection.execute_batch("PRAGMA shrink_memory")?)
}

/// Opens the database file and brings its layout up to date.
pub(crate) fn open(file: &Path) -> Result<Connection, Error> {
    let mut connection = Connection::open(file)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -8_000)?;
    connection.set_prepared_statement_cache_capacity(64);
    let known = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(Error::Newer { found, known });
    }
    if (1..known).contains(&found) {
        keep(&connection, file, found)?;
    }
    let transaction = connection.transaction()?;
    for step in STEPS.iter().skip(found as usize) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(connection)
}

/// Another connection to a file that was opened.
pub(crate) fn beside(file: &Path) -> Result<Connection, Error> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// Counts that the store was opened, and answers how often it was.
pub(crate) fn begin_life(connection: &Connection) -> Result<u64, Error> {
    let sql = "UPDATE meta SET value = value + 1 WHERE key = 'life' RETURNING value";
    let life: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(life.unsigned_abs())
}

/// How often the store was opened.
pub(super) fn life(connection: &Connection) -> Result<u64, Error> {
    let sql = "SELECT value FROM meta WHERE key = 'life'";
    let life: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(life.unsigned_abs())
}

/// Writes a copy of the database to a new file; answers its revision.
pub(crate) fn backup(connection: &Connection, file: &Path) -> Result<u64, Error> {
    connection.execute("VACUUM INTO ?1", [file.to_string_lossy()])?;
    super::cluster::revision(&Connection::open(file)?)
}

/// Keeps the database beside itself as it is before its layout changes: a former program reads no newer layout.
fn keep(connection: &Connection, file: &Path, layout: u32) -> Result<(), Error> {
    let failed =
        |source| Error::Directory { path: file.to_owned(), source: std::sync::Arc::new(source) };
    let copy = file.with_file_name(format!("perilune-layout-{layout}.db"));
    let unfinished = copy.with_extension("db.new");
    // What a kill left behind is not whole, and may be readable by others; the copy holds what the database holds.
    match std::fs::remove_file(&unfinished) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(failed(source)),
        _ => {}
    }
    let made = File::options().create_new(true).write(true).mode(0o600).open(&unfinished);
    drop(made.map_err(failed)?);
    backup(connection, &unfinished)?;
    let synced = File::open(&unfinished).and_then(|file| file.sync_all());
    synced.and_then(|()| std::fs::rename(&unfinished, &copy)).map_err(failed)?;
    let directory = copy.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all());
    directory.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::{FORMATS, STEPS};
    use crate::Program;

    #[test]
    fn each_format_has_a_layout_of_its_own_so_that_older_programs_refuse_it() {
        assert_eq!(
            FORMATS.len(),
            Program::THIS.format as usize,
            "a format was added: add a step to STEPS, a database of that layout to the tests, and the layout here"
        );
        assert!(FORMATS.is_sorted_by(|before, next| before < next), "{FORMATS:?}");
        assert!(FORMATS.iter().all(|layout| *layout <= STEPS.len()), "there is no such layout");
    }
}
