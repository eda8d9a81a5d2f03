//! The fingerprint of all objects in SQLite: the exclusive or of their numbers.

use rusqlite::{Connection, OptionalExtension as _};

use crate::Error;
use crate::fingerprint::of;

const KEY: &str = "objects";

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
