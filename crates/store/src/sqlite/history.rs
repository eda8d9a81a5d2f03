//! The entries of the history, one row each.

use rusqlite::{Connection, Row, params};

use crate::history::{StoredEdit, decode, encode};
use crate::key::Keys;
use crate::record::signed;
use crate::{Entry, Error, Meta};

pub(crate) fn append(
    connection: &Connection,
    revision: u64,
    Meta { at, author, origin, action }: &Meta,
    edits: &[StoredEdit<'_>],
    inverse: &[StoredEdit<'_>],
) -> Result<(), Error> {
    let (edits, inverse) = (encode(edits)?, encode(inverse)?);
    let mut insert =
        connection.prepare_cached("INSERT INTO history VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    insert.execute(params![
        signed(revision),
        signed(*at),
        author,
        origin,
        action,
        edits,
        inverse
    ])?;
    Ok(())
}

pub(crate) fn list(
    connection: &Connection,
    keys: &Keys,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<Entry>, Error> {
    let sql = "SELECT * FROM history WHERE revision < ?1 ORDER BY revision DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![before.map_or(i64::MAX, signed), limit])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(decode_row(row, keys)?);
    }
    Ok(entries)
}

pub(crate) fn between(
    connection: &Connection,
    keys: &Keys,
    first: u64,
    last: u64,
) -> Result<Vec<Entry>, Error> {
    let sql = "SELECT * FROM history WHERE revision BETWEEN ?1 AND ?2 ORDER BY revision";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([signed(first), signed(last)])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(decode_row(row, keys)?);
    }
    Ok(entries)
}

fn decode_row(row: &Row<'_>, keys: &Keys) -> Result<Entry, Error> {
    let revision = row.get::<_, i64>(0)?.unsigned_abs();
    let at = row.get::<_, i64>(1)?.unsigned_abs();
    let meta = Meta { at, author: row.get(2)?, origin: row.get(3)?, action: row.get(4)? };
    let edits = decode(revision, keys, &row.get::<_, String>(5)?)?;
    let inverse = decode(revision, keys, &row.get::<_, String>(6)?)?;
    Ok(Entry { revision, meta, edits, inverse })
}
