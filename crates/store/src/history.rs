//! Every commit, with its author, what it did and what takes it back.

use perilune_model::{Edit, Kind, Name, Object};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use crate::key::Keys;
use crate::record::{corrupt, signed};
use crate::{Error, sealed};

/// Who changed the cluster, when, from where, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// Milliseconds since 1970, UTC.
    pub at: u64,
    /// The user.
    pub author: String,
    /// The address that the request came from, or the part of the program that asked.
    pub origin: String,
    /// What was asked, such as `POST /config/node/node001`.
    pub action: String,
}

/// One commit of the past.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its number.
    pub revision: u64,
    /// Who made it.
    pub meta: Meta,
    /// What it did.
    pub edits: Vec<Edit>,
    /// What takes it back.
    pub inverse: Vec<Edit>,
}

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

/// An edit as it is stored: no body means that the object goes.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredEdit<'a> {
    pub(crate) kind: &'a str,
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<String>,
}

impl StoredEdit<'static> {
    /// Each of these edits; an object is turned into text once, for the history and for its own row.
    pub(crate) fn all(keys: &Keys, edits: &[Edit]) -> Result<Vec<Self>, Error> {
        let stored = |edit: &Edit| {
            let (kind, name, body) = match edit {
                Edit::Put(object) => {
                    let (kind, name) = (object.kind().word(), object.name());
                    let body = object.to_json();
                    let body = body.map_err(|source| corrupt(kind, name.as_str(), source))?;
                    let body = sealed::seal(keys, object.kind(), name.as_str(), body)?;
                    (kind, name, Some(body))
                }
                Edit::Remove(kind, name) => (kind.word(), name, None),
            };
            Ok(Self { kind, name: name.to_string(), body })
        };
        edits.iter().map(stored).collect()
    }
}

fn encode(edits: &[StoredEdit<'_>]) -> Result<String, Error> {
    serde_json::to_string(edits).map_err(|source| corrupt("history", "edits", source))
}

fn decode_row(row: &Row<'_>, keys: &Keys) -> Result<Entry, Error> {
    let revision = row.get::<_, i64>(0)?.unsigned_abs();
    let at = row.get::<_, i64>(1)?.unsigned_abs();
    let meta = Meta { at, author: row.get(2)?, origin: row.get(3)?, action: row.get(4)? };
    let edits = decode(revision, keys, &row.get::<_, String>(5)?)?;
    let inverse = decode(revision, keys, &row.get::<_, String>(6)?)?;
    Ok(Entry { revision, meta, edits, inverse })
}

fn decode(revision: u64, keys: &Keys, text: &str) -> Result<Vec<Edit>, Error> {
    let unreadable = |source| corrupt("history", &revision.to_string(), source);
    let stored: Vec<StoredEdit<'_>> = serde_json::from_str(text).map_err(unreadable)?;
    let mut edits = Vec::with_capacity(stored.len());
    for edit in stored {
        let unknown =
            || unreadable(serde::de::Error::custom(format!("unknown kind '{}'", edit.kind)));
        let kind = Kind::from_word(edit.kind).ok_or_else(unknown)?;
        edits.push(match edit.body {
            Some(body) => {
                let body = sealed::open(keys, kind, &edit.name, &body)?.unwrap_or(body);
                Edit::Put(Object::from_json(kind, &body).map_err(unreadable)?)
            }
            None => Edit::Remove(kind, Name::trusted(&edit.name)),
        });
    }
    Ok(edits)
}
