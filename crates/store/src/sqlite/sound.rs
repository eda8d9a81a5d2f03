//! Whether a database is whole, looked at before anybody is served from it: a file that lost a part of what was in it must not become the
//! site's, since what is missing would be given anew to others.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use perilune_model::Kind;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};

use super::{cluster, fingerprint};
use crate::Error;

/// What the lock file says as soon as a database was made beside it: one that is empty then has lost everything.
const MADE: &[u8] = b"a database was made in this directory\n";
const TABLES: [&str; 5] = ["aside", "history", "meta", "object", "record"];

/// As many of the newest entries of the history are read. What is older was read before, at the start that followed it.
const READ: i64 = 1000;

/// Looks for one thing; answers what is wrong.
type Check = fn(&Connection) -> Result<Option<String>, Error>;

/// Whether a database was made in the directory of this lock.
pub(crate) fn was_made(mut lock: &File) -> std::io::Result<bool> {
    let mut text = Vec::new();
    lock.read_to_end(&mut text)?;
    Ok(text == MADE)
}

/// Notes that there is a database now.
pub(crate) fn note_made(lock: &File) -> std::io::Result<()> {
    lock.write_all_at(MADE, 0)?;
    lock.sync_all()
}

/// Refuses a file in which nothing is, although there was a database.
pub(crate) fn check_not_empty(file: &Path, was_made: bool) -> Result<(), Error> {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    if length(file) > 0 {
        return Ok(());
    }
    let journal = file.with_extension("db-wal");
    if was_made || length(&journal) > 0 {
        return Err(unsound(file, "it is empty, and was not".to_owned()));
    }
    Ok(())
}

/// Refuses a database that is not whole.
pub(crate) fn check(connection: &Connection, file: &Path) -> Result<(), Error> {
    let checks: [Check; 6] = [pages, tables, numbers, history_entries, kinds, objects];
    for find in checks {
        if let Some(wrong) = find(connection)? {
            return Err(unsound(file, wrong));
        }
    }
    Ok(())
}

/// What to say of an object that cannot be read.
pub(crate) fn unreadable(error: Error, file: &Path) -> Error {
    match error {
        Error::Corrupt { table, key, source } => {
            unsound(file, format!("the {table} '{key}' cannot be read ({source})"))
        }
        other => other,
    }
}

fn unsound(file: &Path, wrong: String) -> Error {
    Error::Unsound { path: file.to_owned(), wrong }
}

fn pages(connection: &Connection) -> Result<Option<String>, Error> {
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((said != "ok").then_some(said))
}

fn tables(connection: &Connection) -> Result<Option<String>, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1)";
    for table in TABLES {
        if !connection.query_row(sql, [table], |row| row.get::<_, bool>(0))? {
            return Ok(Some(format!("the table {table} is missing")));
        }
    }
    Ok(None)
}

/// The revision is that of the last entry of the history, and none is missing before.
fn numbers(connection: &Connection) -> Result<Option<String>, Error> {
    for key in ["revision", "life"] {
        let sql = "SELECT EXISTS (SELECT 1 FROM meta WHERE key = ?1)";
        if !connection.query_row(sql, [key], |row| row.get::<_, bool>(0))? {
            return Ok(Some(format!("its {key} is missing")));
        }
    }
    let revision = cluster::revision(connection)?;
    let sql =
        "SELECT count(*), coalesce(min(revision), 1), coalesce(max(revision), 0) FROM history";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (count, first, last): (i64, i64, i64) = connection.query_row(sql, [], read)?;
    if last.unsigned_abs() != revision {
        let wrong = format!("it is of revision {revision}, and its history ends with {last}");
        return Ok(Some(wrong));
    }
    let is_whole = first == 1 && count == last;
    Ok((!is_whole).then(|| {
        format!("its history has {count} entries from {first} to {last}; some are missing")
    }))
}

fn history_entries(connection: &Connection) -> Result<Option<String>, Error> {
    let sql = "
        SELECT revision FROM history
        WHERE revision > (SELECT max(revision) FROM history) - ?1 AND NOT (json_valid(edits) AND json_valid(inverse))
        LIMIT 1";
    let broken: Option<i64> = connection.query_row(sql, [READ], |row| row.get(0)).optional()?;
    Ok(broken.map(|revision| format!("the entry {revision} of its history cannot be read")))
}

/// No object is of a kind that this program does not know: it would be there, and in nobody's sight.
fn kinds(connection: &Connection) -> Result<Option<String>, Error> {
    let places = vec!["?"; Kind::ALL.len()].join(", ");
    let sql = format!("SELECT kind, name FROM object WHERE kind NOT IN ({places}) LIMIT 1");
    let words = params_from_iter(Kind::ALL.iter().map(|kind| kind.word()));
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let unknown: Option<(String, String)> = connection.query_row(&sql, words, read).optional()?;
    Ok(unknown.map(|(kind, name)| format!("'{name}' is of the unknown kind '{kind}'")))
}

/// Every object is there that was committed, and no other.
fn objects(connection: &Connection) -> Result<Option<String>, Error> {
    let there = fingerprint::of_objects(connection)?;
    match fingerprint::noted(connection)? {
        Some(noted) if noted == there => return Ok(None),
        Some(_) => {
            let unnamed = "some of its objects are missing, or were never made".to_owned();
            return Ok(Some(odd_object(connection)?.unwrap_or(unnamed)));
        }
        None => {}
    }
    let odd = odd_object(connection)?;
    if odd.is_none() {
        fingerprint::note(connection, there)?;
    }
    Ok(odd)
}

/// An object that is not there although the history made it last, or that it did not make. Reads all of the history.
fn odd_object(connection: &Connection) -> Result<Option<String>, Error> {
    // Of an aggregate with max(), SQLite takes the other columns from the row that has it (sqlite.org/lang_select.html).
    let sql = "
        WITH edit AS (
            SELECT revision * 10000000 + each.key AS place, each.value ->> 'kind' AS kind, each.value ->> 'name' AS name,
                json_type(each.value, '$.body') = 'text' AS is_there
            FROM history, json_each(history.edits) AS each
        ), last AS (
            SELECT kind, name, is_there, max(place) FROM edit GROUP BY kind, name
        ), expected AS (
            SELECT kind, name FROM last WHERE is_there
        )
        SELECT 'is missing', kind, name FROM (SELECT * FROM expected EXCEPT SELECT kind, name FROM object)
        UNION ALL
        SELECT 'was never made', kind, name FROM (SELECT kind, name FROM object EXCEPT SELECT * FROM expected)
        LIMIT 1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let odd: Option<(String, String, String)> = connection.query_row(sql, [], read).optional()?;
    Ok(odd.map(|(what, kind, name)| format!("the {kind} '{name}' {what}, as its history has it")))
}
