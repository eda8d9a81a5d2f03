//! What tells in a moment whether every object is there and no other: the exclusive or of a number of each. A commit changes it by the objects
//! that it makes and removes, in its own transaction; nobody has to read the history, which grows for years, to know what must be there.

use rusqlite::{Connection, OptionalExtension as _};
use sha2::{Digest as _, Sha256};

use crate::Error;

const KEY: &str = "objects";

/// The number of an object.
pub(crate) fn of(kind: &str, name: &str) -> i64 {
    let mut digest = Sha256::new();
    digest.update(kind);
    digest.update([0]);
    digest.update(name);
    let digest = digest.finalize();
    digest.first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

/// That of the objects which are there.
pub(crate) fn of_objects(connection: &Connection) -> Result<i64, Error> {
    let mut statement = connection.prepare("SELECT kind, name FROM object")?;
    let mut rows = statement.query([])?;
    let mut all = 0;
    while let Some(row) = rows.next()? {
        let text = |place| row.get_ref(place)?.as_str().map_err(rusqlite::Error::from);
        all ^= of(text(0)?, text(1)?);
    }
    Ok(all)
}

/// What was written down; `None` in a database of a former layout that was not checked since.
pub(crate) fn noted(connection: &Connection) -> Result<Option<i64>, Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    Ok(statement.query_row([KEY], |row| row.get(0)).optional()?)
}

/// Writes it down for the first time.
pub(crate) fn note(connection: &Connection, value: i64) -> Result<(), Error> {
    let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
    insert.execute(rusqlite::params![KEY, value])?;
    Ok(())
}

/// Takes what commits change into what was written down.
pub(crate) fn change(connection: &Connection, by: i64) -> Result<(), Error> {
    if let Some(noted) = noted(connection)?.filter(|_| by != 0) {
        note(connection, noted ^ by)?;
    }
    Ok(())
}
