//! The key that SQLite's database is sealed with, and sealing all of it with another.

use perilune_model::Kind;
use rusqlite::{Connection, OptionalExtension, params};

use crate::Error;
use crate::history::StoredEdit;
use crate::key::{KeyId, Keys};
use crate::record::corrupt;
use crate::sealed::{KINDS, Resealing, has_token};

/// The key that the whole store is sealed with.
const KEY: &str = "key";
/// There is still what was stored before, in pages that are free.
const UNCLEAN: &str = "unclean";

/// The key that the store says that it is sealed with.
pub(crate) fn needed(connection: &Connection) -> Result<Option<KeyId>, Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    let number: Option<i64> = statement.query_row([KEY], |row| row.get(0)).optional()?;
    Ok(number.map(KeyId::from_number))
}

/// Whether an object has a text that some key has sealed: then no new key is made in its place.
pub(crate) fn has_tokens(connection: &Connection) -> Result<bool, Error> {
    let mut found = false;
    for_each_object(connection, &mut |_, kind, name, body| {
        found |= has_token(kind, name, body)?;
        Ok(())
    })?;
    Ok(found)
}

/// Whether anything is sealed, also in the past. Looked for only when the key is another one: the history is long.
pub(crate) fn is_in_use(connection: &Connection) -> Result<bool, Error> {
    // How every token begins, in whatever it is wrapped.
    let sql = "SELECT EXISTS (SELECT 1 FROM object WHERE instr(body, 'gAAAA'))
        OR EXISTS (SELECT 1 FROM history WHERE instr(edits, 'gAAAA') OR instr(inverse, 'gAAAA'))";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

type Visit<'a> = dyn FnMut(&Connection, Kind, &str, &str) -> Result<(), Error> + 'a;

fn for_each_object(connection: &Connection, visit: &mut Visit<'_>) -> Result<(), Error> {
    for kind in KINDS {
        let mut select = connection.prepare("SELECT name, body FROM object WHERE kind = ?1")?;
        let rows = select.query_map([kind.word()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let rows: Vec<(String, String)> = rows.collect::<Result<_, _>>()?;
        for (name, body) in rows {
            visit(connection, kind, &name, &body)?;
        }
    }
    Ok(())
}

/// Seals everything with `to`; what is sealed is opened with `from`. All of it or nothing: whoever is killed meanwhile has lost
/// nothing, and begins anew. `legacy` is a store of before, whose texts are as somebody gave them or as tokens.
pub(crate) fn reseal(
    connection: &Connection,
    from: &Keys,
    to: &Keys,
    legacy: bool,
) -> Result<(), Error> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let result = reseal_all(connection, from, to, legacy);
    connection.execute_batch(if result.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    result
}

fn reseal_all(connection: &Connection, from: &Keys, to: &Keys, legacy: bool) -> Result<(), Error> {
    let resealing = Resealing { from, to, legacy };
    for_each_object(connection, &mut |connection, kind, name, body| {
        let body = resealing.body(kind, name, body, false)?;
        let mut update = connection
            .prepare_cached("UPDATE object SET body = ?1 WHERE kind = ?2 AND name = ?3")?;
        update.execute(params![body, kind.word(), name])?;
        Ok(())
    })?;
    let mut revisions = connection.prepare("SELECT revision FROM history")?;
    let revisions: Vec<i64> =
        revisions.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for revision in revisions {
        let mut select =
            connection.prepare_cached("SELECT edits, inverse FROM history WHERE revision = ?1")?;
        let (edits, inverse): (String, String) =
            select.query_row([revision], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut changed = false;
        let mut resealed = |text: &str| {
            let unreadable = |source| corrupt("history", &revision.to_string(), source);
            let mut edits: Vec<StoredEdit<'_>> = serde_json::from_str(text).map_err(unreadable)?;
            for edit in &mut edits {
                let kind = Kind::from_word(edit.kind).filter(|kind| KINDS.contains(kind));
                if let (Some(kind), Some(body)) = (kind, &mut edit.body) {
                    *body = resealing.body(kind, &edit.name, body, true)?;
                    changed = true;
                }
            }
            serde_json::to_string(&edits).map_err(unreadable)
        };
        let (edits, inverse) = (resealed(&edits)?, resealed(&inverse)?);
        if changed {
            let mut update = connection.prepare_cached(
                "UPDATE history SET edits = ?1, inverse = ?2 WHERE revision = ?3",
            )?;
            update.execute(params![edits, inverse, revision])?;
        }
    }
    let mut note = connection.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
    note.execute(params![KEY, to.id().number()])?;
    note.execute(params![UNCLEAN, 1])?;
    Ok(())
}

/// Writes the file anew where what was stored before is still in it.
pub(crate) fn clean(connection: &Connection) -> Result<(), Error> {
    let sql = "SELECT 1 FROM meta WHERE key = ?1";
    let is_unclean = connection.query_row(sql, [UNCLEAN], |_| Ok(())).optional()?.is_some();
    if !is_unclean {
        return Ok(());
    }
    connection.execute_batch("VACUUM")?;
    connection.execute("DELETE FROM meta WHERE key = ?1", [UNCLEAN])?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}
