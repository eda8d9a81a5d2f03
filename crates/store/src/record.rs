//! Tables of plain records: a key and a text.

use std::sync::Arc;

use rusqlite::{Connection, params};

use crate::Error;

/// The tables of plain records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// DHCP leases, by address.
    Leases,
    /// What nodes last reported, by node.
    NodeStates,
    /// Long operations, by request.
    Jobs,
    /// Certificates that BMCs showed first, by address.
    BmcCertificates,
}

/// A key and the text that is stored under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The key, unique in its table.
    pub key: String,
    /// The text, JSON by convention.
    pub body: String,
}

struct Statements {
    put: &'static str,
    remove: &'static str,
    all: &'static str,
}

macro_rules! statements {
    ($table:literal) => {
        Statements {
            put: concat!(
                "INSERT INTO ",
                $table,
                " VALUES (?1, ?2) ON CONFLICT DO UPDATE SET body = excluded.body"
            ),
            remove: concat!("DELETE FROM ", $table, " WHERE key = ?1"),
            all: concat!("SELECT key, body FROM ", $table, " ORDER BY key"),
        }
    };
}

impl Table {
    fn statements(self) -> Statements {
        match self {
            Self::Leases => statements!("lease"),
            Self::NodeStates => statements!("node_state"),
            Self::Jobs => statements!("job"),
            Self::BmcCertificates => statements!("bmc_certificate"),
        }
    }
}

pub(crate) fn put(connection: &Connection, table: Table, records: &[Record]) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(table.statements().put)?;
    for record in records {
        statement.execute(params![record.key, record.body])?;
    }
    Ok(())
}

pub(crate) fn remove(connection: &Connection, table: Table, keys: &[String]) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(table.statements().remove)?;
    for key in keys {
        statement.execute([key])?;
    }
    Ok(())
}

pub(crate) fn all(connection: &Connection, table: Table) -> Result<Vec<Record>, Error> {
    let mut statement = connection.prepare_cached(table.statements().all)?;
    let rows = statement.query_map([], |row| Ok(Record { key: row.get(0)?, body: row.get(1)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn corrupt(table: &'static str, key: &str, source: serde_json::Error) -> Error {
    Error::Corrupt { table, key: key.to_owned(), source: Arc::new(source) }
}

/// SQLite's integers are signed; revisions and times never come near the end.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
