//! Passwords of BMCs, configurations of switches, contents of secrets and private keys of nodes are sealed where they are stored, in the history too, and nowhere else: the
//! cluster in memory has them as they are used. A sealed text is an object with the one field `sealed`, so that no text that
//! somebody gives is ever taken for one.

use perilune_model::Kind;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use crate::Error;
use crate::history::StoredEdit;
use crate::key::{KeyId, Keys, looks_sealed};
use crate::record::corrupt;

const SEALED: &str = "sealed";
/// The key that the whole store is sealed with.
const KEY: &str = "key";
/// There is still what was stored before, in pages that are free.
const UNCLEAN: &str = "unclean";
const KINDS: [Kind; 6] = [
    Kind::BmcSetup,
    Kind::Switch,
    Kind::NodeSecrets,
    Kind::NodeIdentity,
    Kind::GroupSecrets,
    Kind::ClusterSecrets,
];

/// Does something with each text of an object that is secret.
fn each(
    kind: Kind,
    body: &mut Value,
    work: &mut dyn FnMut(&mut Value) -> Result<(), Error>,
) -> Result<(), Error> {
    match kind {
        Kind::BmcSetup => body.get_mut("password").map_or(Ok(()), work),
        Kind::Switch => body.pointer_mut("/ztp/ztpconfig").map_or(Ok(()), work),
        Kind::NodeSecrets | Kind::GroupSecrets | Kind::ClusterSecrets => {
            let secrets = body.get_mut("secrets").and_then(Value::as_array_mut);
            let contents = secrets.into_iter().flatten().filter_map(|one| one.get_mut("content"));
            contents.into_iter().try_for_each(work)
        }
        Kind::NodeIdentity => {
            body.get_mut("machine_id").map_or(Ok(()), &mut *work)?;
            let keys = body.get_mut("ssh_host_keys").and_then(Value::as_array_mut);
            let contents = keys.into_iter().flatten().filter_map(|one| one.get_mut("content"));
            contents.into_iter().try_for_each(work)
        }
        _ => Ok(()),
    }
}

fn seal_text(keys: &Keys, text: &mut Value) -> Result<(), Error> {
    if let Value::String(content) = text
        && !content.is_empty()
    {
        *text = json!({ SEALED: keys.seal(content)? });
    }
    Ok(())
}

/// A body as it is stored.
pub(crate) fn seal(keys: &Keys, kind: Kind, name: &str, body: String) -> Result<String, Error> {
    if !KINDS.contains(&kind) {
        return Ok(body);
    }
    let mut value = parsed(kind, name, &body)?;
    each(kind, &mut value, &mut |text| seal_text(keys, text))?;
    Ok(value.to_string())
}

/// A body as it is used.
pub(crate) fn open(
    keys: &Keys,
    kind: Kind,
    name: &str,
    body: &str,
) -> Result<Option<String>, Error> {
    if !KINDS.contains(&kind) {
        return Ok(None);
    }
    let mut value = parsed(kind, name, body)?;
    each(kind, &mut value, &mut |text| open_text(keys, kind, name, text))?;
    Ok(Some(value.to_string()))
}

fn open_text(keys: &Keys, kind: Kind, name: &str, text: &mut Value) -> Result<(), Error> {
    if let Some(token) = text.get(SEALED).and_then(Value::as_str) {
        *text = Value::String(keys.open(token).ok_or_else(|| foreign(keys, kind, name))?);
    }
    Ok(())
}

fn foreign(keys: &Keys, kind: Kind, name: &str) -> Error {
    let (kind, name) = (kind.word(), name.to_owned());
    Error::ForeignSecret { kind, name, file: keys.file().to_owned(), found: keys.id() }
}

fn parsed(kind: Kind, name: &str, body: &str) -> Result<Value, Error> {
    serde_json::from_str(body).map_err(|source| corrupt(kind.word(), name, source))
}

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
        let mut value = parsed(kind, name, body)?;
        each(kind, &mut value, &mut |text| {
            found |= text.is_object() || text.as_str().is_some_and(looks_sealed);
            Ok(())
        })
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
    let again = |kind: Kind, name: &str, body: &str, is_past: bool| {
        let mut value = parsed(kind, name, body)?;
        each(kind, &mut value, &mut |text| {
            if let Some(token) = text.as_str().filter(|text| legacy && looks_sealed(text)) {
                match from.open(token) {
                    Some(content) => *text = Value::String(content),
                    // The key of a secret of the past may be gone; what it has sealed is nothing to anybody.
                    None if is_past => *text = Value::String(String::new()),
                    None => return Err(foreign(from, kind, name)),
                }
            }
            open_text(from, kind, name, text)?;
            seal_text(to, text)
        })?;
        Ok::<_, Error>(value.to_string())
    };
    for_each_object(connection, &mut |connection, kind, name, body| {
        let body = again(kind, name, body, false)?;
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
                    *body = again(kind, &edit.name, body, true)?;
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
