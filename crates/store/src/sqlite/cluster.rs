//! The cluster's objects, one row each, and the revision that they are of.

use std::collections::BTreeMap;

use perilune_model::{Cluster, Edit, Kind, Object};
use rusqlite::{Connection, OptionalExtension, params};

use super::{fingerprint, history};
use crate::commit::{CATCH_UP, KEYS};
use crate::history::StoredEdit;
use crate::key::Keys;
use crate::record::{corrupt, signed};
use crate::{Commit, Error, Later, sealed};

/// Reads the whole cluster.
pub(crate) fn load(connection: &Connection, keys: &Keys) -> Result<Cluster, Error> {
    let mut cluster = Cluster::default();
    let mut statement =
        connection.prepare_cached("SELECT name, body FROM object WHERE kind = ?1 ORDER BY name")?;
    for kind in Kind::ALL {
        let mut rows = statement.query([kind.word()])?;
        while let Some(row) = rows.next()? {
            let body = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
            let name = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            let opened = sealed::open(keys, *kind, name, body)?;
            let parsed = Object::from_json(*kind, opened.as_deref().unwrap_or(body));
            let object = parsed.map_err(|source| corrupt(kind.word(), name, source))?;
            cluster.apply(&Edit::Put(object));
        }
    }
    cluster.set_revision(revision(connection)?);
    Ok(cluster)
}

/// Which of these keys name commits that are stored.
pub(crate) fn committed(
    connection: &Connection,
    keys: &[String],
) -> Result<BTreeMap<String, u64>, Error> {
    let sql = "SELECT sequence FROM record WHERE board = ?1 AND key = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = BTreeMap::new();
    for key in keys {
        let revision = statement.query_row(params![KEYS, key], |row| row.get::<_, i64>(0));
        if let Some(revision) = revision.optional()? {
            found.insert(key.clone(), revision.unsigned_abs());
        }
    }
    Ok(found)
}

/// Stores commits after the revision that they were decided on; answers the new revision.
pub(crate) fn apply(
    connection: &Connection,
    keys: &Keys,
    base: u64,
    commits: &[Commit],
) -> Result<u64, Error> {
    let stored = revision(connection)?;
    if stored != base {
        return Err(Error::Stale { stored, expected: base });
    }
    let (mut revision, mut fingerprint) = (base, 0);
    for commit in commits {
        revision += 1;
        let edits = StoredEdit::all(keys, &commit.change.edits)?;
        let inverse = StoredEdit::all(keys, &commit.change.inverse)?;
        for edit in &edits {
            if store(connection, edit)? {
                fingerprint ^= crate::fingerprint::of(edit.kind, &edit.name);
            }
        }
        history::append(connection, revision, &commit.meta, &edits, &inverse)?;
        if let Some(key) = &commit.key {
            let sql = "INSERT INTO record VALUES (?1, ?2, ?3, '')";
            connection.prepare_cached(sql)?.execute(params![KEYS, key, signed(revision)])?;
        }
    }
    let mut update =
        connection.prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'revision'")?;
    update.execute([signed(revision)])?;
    fingerprint::change(connection, fingerprint)?;
    Ok(revision)
}

/// What was committed after a revision. `None` when that is too much, or cannot be told: the stored cluster is an older one, such as
/// that of a backup.
pub(crate) fn later(
    connection: &Connection,
    keys: &Keys,
    known: u64,
) -> Result<Option<Later>, Error> {
    let revision = revision(connection)?;
    let Some(behind) = revision.checked_sub(known).filter(|behind| *behind <= CATCH_UP) else {
        return Ok(None);
    };
    let entries = history::between(connection, keys, known + 1, revision)?;
    let is_whole = u64::try_from(entries.len()) == Ok(behind);
    let edits = || entries.into_iter().flat_map(|entry| entry.edits).collect();
    Ok(is_whole.then(|| Later { revision, edits: edits() }))
}

pub(crate) fn revision(connection: &Connection) -> Result<u64, Error> {
    let mut statement =
        connection.prepare_cached("SELECT value FROM meta WHERE key = 'revision'")?;
    let revision: i64 = statement.query_row([], |row| row.get(0))?;
    Ok(revision.unsigned_abs())
}

/// Stores an edit; answers whether the object came or went.
fn store(connection: &Connection, edit: &StoredEdit<'_>) -> Result<bool, Error> {
    let StoredEdit { kind, name, body } = edit;
    let Some(body) = body else {
        let sql = "DELETE FROM object WHERE kind = ?1 AND name = ?2";
        return Ok(connection.prepare_cached(sql)?.execute(params![kind, name])? > 0);
    };
    let sql = "UPDATE object SET body = ?3 WHERE kind = ?1 AND name = ?2";
    if connection.prepare_cached(sql)?.execute(params![kind, name, body])? > 0 {
        return Ok(false);
    }
    let sql = "INSERT INTO object VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute(params![kind, name, body])?;
    Ok(true)
}
