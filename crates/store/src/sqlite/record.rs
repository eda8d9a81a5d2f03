//! Plain records in one table, with a number for each change.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::record::{KEPT_ASIDE, REMEMBERED, signed};
use crate::{Aside, Error, Expected, Record, Since, Table, Write, Written};

pub(crate) fn put_if(
    connection: &Connection,
    table: Table,
    writes: &[Write],
) -> Result<Vec<Written>, Error> {
    let first = last(connection, table)? + 1;
    let mut next = first;
    let mut removes = false;
    let mut written = Vec::with_capacity(writes.len());
    for write in writes {
        if !is_as_expected(connection, table, write)? {
            written.push(Written::Stale);
            continue;
        }
        let sql = "INSERT INTO record VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET sequence = excluded.sequence, body = excluded.body";
        let mut statement = connection.prepare_cached(sql)?;
        statement.execute(params![table.word(), write.key, signed(next), write.body])?;
        removes |= write.body.is_none();
        written.push(Written::At(next));
        next += 1;
    }
    if removes {
        forget_removals(connection, table, next - 1)?;
    }
    Ok(written)
}

fn is_as_expected(connection: &Connection, table: Table, write: &Write) -> Result<bool, Error> {
    let expected = match write.expected {
        Expected::Anything => return Ok(true),
        Expected::Nothing => None,
        Expected::Sequence(sequence) => Some(signed(sequence)),
    };
    let sql = "SELECT sequence FROM record WHERE board = ?1 AND key = ?2 AND body IS NOT NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let stored = statement.query_row(params![table.word(), write.key], |row| row.get(0));
    Ok(stored.optional()? == expected)
}

/// The number of the last change of a table.
pub(super) fn last(connection: &Connection, table: Table) -> Result<u64, Error> {
    let sql = "SELECT max(sequence) FROM record WHERE board = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let last: Option<i64> = statement.query_row([table.word()], |row| row.get(0))?;
    Ok(last.unwrap_or_default().unsigned_abs())
}

/// The last change is never forgotten, so that numbers are not given twice.
fn forget_removals(connection: &Connection, table: Table, last: u64) -> Result<(), Error> {
    if last < horizon(connection, table)? + 2 * REMEMBERED {
        return Ok(());
    }
    let until = signed(last - REMEMBERED);
    let sql = "DELETE FROM record WHERE board = ?1 AND sequence <= ?2 AND body IS NULL";
    connection.prepare_cached(sql)?.execute(params![table.word(), until])?;
    let sql = "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute(params![table.horizon(), until])?;
    Ok(())
}

pub(super) fn horizon(connection: &Connection, table: Table) -> Result<u64, Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    let horizon = statement.query_row([table.horizon()], |row| row.get::<_, i64>(0)).optional()?;
    Ok(horizon.unwrap_or_default().unsigned_abs())
}

pub(crate) fn since(connection: &Connection, table: Table, after: u64) -> Result<Since, Error> {
    // A number that was not given yet comes from before a backup was put in place.
    if after < horizon(connection, table)? || after > last(connection, table)? {
        return Ok(Since { records: all(connection, table)?, is_whole: true });
    }
    let sql = "SELECT key, body, sequence FROM record WHERE board = ?1 AND sequence > ?2 ORDER BY sequence";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![table.word(), signed(after)], read)?;
    Ok(Since { records: rows.collect::<Result<_, _>>()?, is_whole: false })
}

pub(crate) fn all(connection: &Connection, table: Table) -> Result<Vec<Record>, Error> {
    let sql =
        "SELECT key, body, sequence FROM record WHERE board = ?1 AND body IS NOT NULL ORDER BY key";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([table.word()], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Record> {
    let sequence = row.get::<_, i64>(2)?.unsigned_abs();
    Ok(Record { key: row.get(0)?, body: row.get(1)?, sequence })
}

/// Moves records out of their table.
pub(crate) fn set_aside(
    connection: &Connection,
    table: Table,
    records: &[Aside],
) -> Result<(), Error> {
    let insert = "INSERT INTO aside (board, key, body, reason) VALUES (?1, ?2, ?3, ?4)";
    for record in records {
        let Aside { table, key, body, reason } = record;
        connection.prepare_cached(insert)?.execute(params![table, key, body, reason])?;
    }
    let gone: Vec<Write> = records.iter().map(|record| Write::remove(record.key.clone())).collect();
    put_if(connection, table, &gone)?;
    let sql = "DELETE FROM aside WHERE number <= (SELECT max(number) FROM aside) - ?1";
    connection.prepare_cached(sql)?.execute([KEPT_ASIDE])?;
    Ok(())
}

pub(crate) fn aside(connection: &Connection) -> Result<Vec<Aside>, Error> {
    let sql = "SELECT board, key, body, reason FROM aside ORDER BY number";
    let mut statement = connection.prepare_cached(sql)?;
    let read = |row: &Row<'_>| {
        let (table, key) = (row.get(0)?, row.get(1)?);
        Ok(Aside { table, key, body: row.get(2)?, reason: row.get(3)? })
    };
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
