//! All that is in the file, as it is stored.

use rusqlite::{Connection, Row, params};

use super::{cluster, fingerprint, record, schema};
use crate::contents::{Contents, StoredBoard, StoredEntry};
use crate::record::signed;
use crate::{Aside, Error, Meta, Record, Table};

pub(super) fn read(connection: &Connection) -> Result<Contents, Error> {
    let all = |sql: &str| connection.prepare(sql);
    let object = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let objects = all("SELECT kind, name, body FROM object")?
        .query_map([], object)?
        .collect::<Result<_, _>>()?;
    let entry = |row: &Row<'_>| {
        let number = |place| row.get::<_, i64>(place).map(i64::unsigned_abs);
        let meta =
            Meta { at: number(1)?, author: row.get(2)?, origin: row.get(3)?, action: row.get(4)? };
        Ok(StoredEntry { revision: number(0)?, meta, edits: row.get(5)?, inverse: row.get(6)? })
    };
    let history = all("SELECT revision, at, author, origin, action, edits, inverse FROM history ORDER BY revision")?
        .query_map([], entry)?
        .collect::<Result<_, _>>()?;
    let boards = Table::ALL.into_iter().map(|table| board(connection, table));
    Ok(Contents {
        revision: cluster::revision(connection)?,
        life: schema::life(connection)?,
        objects,
        history,
        boards: boards.collect::<Result<_, _>>()?,
        aside: record::aside(connection)?,
    })
}

fn board(connection: &Connection, table: Table) -> Result<StoredBoard, Error> {
    let sql = "SELECT key, body, sequence FROM record WHERE board = ?1 ORDER BY sequence";
    let read = |row: &Row<'_>| {
        let sequence = row.get::<_, i64>(2)?.unsigned_abs();
        Ok(Record { key: row.get(0)?, body: row.get(1)?, sequence })
    };
    let mut statement = connection.prepare(sql)?;
    let records = statement.query_map([table.word()], read)?.collect::<Result<Vec<_>, _>>()?;
    let (last, horizon) = (record::last(connection, table)?, record::horizon(connection, table)?);
    Ok(StoredBoard { table, last, horizon, records })
}

/// Fills a database in which nothing is yet.
pub(super) fn write(connection: &Connection, contents: &Contents) -> Result<(), Error> {
    let mut put = connection.prepare("INSERT INTO object VALUES (?1, ?2, ?3)")?;
    for (kind, name, body) in &contents.objects {
        put.execute(params![kind, name, body])?;
    }
    let mut put = connection.prepare("INSERT INTO history VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for StoredEntry { revision, meta, edits, inverse } in &contents.history {
        let Meta { at, author, origin, action } = meta;
        put.execute(params![
            signed(*revision),
            signed(*at),
            author,
            origin,
            action,
            edits,
            inverse
        ])?;
    }
    let mut put = connection.prepare("INSERT INTO record VALUES (?1, ?2, ?3, ?4)")?;
    let mut note = connection.prepare("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
    for StoredBoard { table, horizon, records, .. } in &contents.boards {
        for Record { key, body, sequence } in records {
            put.execute(params![table.word(), key, signed(*sequence), body])?;
        }
        note.execute(params![table.horizon(), signed(*horizon)])?;
    }
    let mut put = connection
        .prepare("INSERT INTO aside (board, key, body, reason) VALUES (?1, ?2, ?3, ?4)")?;
    for Aside { table, key, body, reason } in &contents.aside {
        put.execute(params![table, key, body, reason])?;
    }
    note.execute(params!["revision", signed(contents.revision)])?;
    note.execute(params!["life", signed(contents.life)])?;
    fingerprint::note(connection, fingerprint::of_objects(connection)?)
}
