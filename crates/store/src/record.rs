//! Plain records: a key and a text in a table, with a number that grows with every change of the table.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::Error;

/// Removals are remembered for this many changes of their table; who was away longer reads the whole table.
const REMEMBERED: u64 = 10_000;
/// Records that could not be read are kept up to this number; the oldest go first.
const KEPT_ASIDE: u32 = 1000;

/// The tables of plain records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// DHCP leases, by address.
    Leases,
    /// What nodes last reported, by node.
    NodeStates,
    /// Long operations, by number.
    Jobs,
    /// Certificates that BMCs showed first, by BMC.
    BmcCertificates,
    /// Which boots are expected, by node.
    BootWindows,
    /// Whom a node's secrets were given to, by node.
    Boots,
    /// What installers last said, by node.
    InstallLogs,
    /// Where nodes start from by themselves, by node.
    Installations,
    /// What machines are made of, by node.
    Inventories,
    /// What people and programs did, by number.
    Audit,
    /// What nodes and machines did, by number.
    AuditNodes,
    /// What was refused, by number.
    AuditRefusals,
    /// When API tokens were last used, by token.
    TokenUses,
}

impl Table {
    /// The name of the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Leases => "lease",
            Self::NodeStates => "node_state",
            Self::Jobs => "job",
            Self::BmcCertificates => "bmc_certificate",
            Self::BootWindows => "boot_window",
            Self::Boots => "boot",
            Self::InstallLogs => "install_log",
            Self::Installations => "installation",
            Self::Inventories => "inventory",
            Self::Audit => "audit",
            Self::AuditNodes => "audit_node",
            Self::AuditRefusals => "audit_refusal",
            Self::TokenUses => "token_use",
        }
    }

    /// Where the last change is noted whose removal is forgotten.
    fn horizon(self) -> String {
        format!("horizon.{}", self.word())
    }
}

/// A key and the text that is stored under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The key, unique in its table.
    pub key: String,
    /// The text, JSON by convention. `None` tells that the record was removed.
    pub body: Option<String>,
    /// The number of the change that made it so; later changes of the table have larger ones.
    pub sequence: u64,
}

/// What is to be written under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: String,
    /// The new text; `None` removes the record.
    pub body: Option<String>,
    /// Only if the record still is what it was.
    pub expected: Expected,
}

impl Write {
    /// A record in place of whatever is there.
    pub fn put(key: String, body: String) -> Self {
        Self { key, body: Some(body), expected: Expected::Anything }
    }

    /// Removes whatever is there.
    pub fn remove(key: String) -> Self {
        Self { key, body: None, expected: Expected::Anything }
    }
}

/// What a writer takes a record to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing is assumed.
    Anything,
    /// There is none.
    Nothing,
    /// It was last changed by this change.
    Sequence(u64),
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is stored, as this change of the table.
    At(u64),
    /// Somebody else changed the record before; nothing is stored of this write.
    Stale,
}

/// The changes of a table after a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    /// The records in the order of their changes; only the last change of each key.
    pub records: Vec<Record>,
    /// The number was too old to tell what was removed since: `records` is the whole table.
    pub is_whole: bool,
}

/// A record that could not be read, and was kept out of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// The table that it was in.
    pub table: String,
    /// Its key.
    pub key: String,
    /// Its text.
    pub body: String,
    /// Why it could not be read.
    pub reason: String,
}

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
fn last(connection: &Connection, table: Table) -> Result<u64, Error> {
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

fn horizon(connection: &Connection, table: Table) -> Result<u64, Error> {
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

pub(crate) fn corrupt(table: &'static str, key: &str, source: serde_json::Error) -> Error {
    Error::Corrupt { table, key: key.to_owned(), source: Arc::new(source) }
}

/// SQLite's integers are signed; revisions and times never come near the end.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
