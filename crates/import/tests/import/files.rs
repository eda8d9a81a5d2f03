//! Files that are no database of a site.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};

use perilune_import::{Error, Source};
use rusqlite::Connection;

use perilune_testkit::luna::Database;

use crate::database::plan;

fn refusal(content: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("luna.db");
    fs::write(&file, content).unwrap();
    Source::read(&file).unwrap_err().to_string()
}

#[test]
fn what_is_no_database_is_refused_by_its_first_bytes() {
    let not = "the file is not an SQLite database";
    assert!(refusal(b"").starts_with(not));
    assert!(refusal(b"SQLite").starts_with(not));
    assert!(refusal(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).starts_with(not));
    let only_the_beginning = refusal(b"SQLite format 3\0 and then something else that is long enough to look like a header of a hundred bytes, but is not.");
    assert!(only_the_beginning.starts_with(not), "{only_the_beginning}");
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused_and_one_that_is_scribbled_on_never_panics() {
    let database = Database::site();
    database.sql("PRAGMA wal_checkpoint");
    let whole = fs::read(database.file()).unwrap();
    for length in (512..whole.len() - 1).step_by(whole.len() / 40) {
        let error = refusal(&whole[..length]);
        assert!(error.contains("damaged"), "{length}: {error}");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("luna.db");
    for position in (16..whole.len()).step_by(whole.len() / 200) {
        let mut scribbled = whole.clone();
        scribbled[position] ^= 0xff;
        fs::write(&file, scribbled).unwrap();
        // Many are still databases, with other values.
        Source::read(&file).map(|source| perilune_import::plan(&source)).ok();
    }
}

#[test]
fn a_database_of_something_else_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("other ?#%.db");
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE songs (id)").unwrap();
    let error = Source::read(&file).unwrap_err();
    assert!(matches!(error, Error::Foreign(_)), "{error}");
    assert!(
        error.to_string().contains("none of the tables cluster, group, network, node"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_not_there_is_said_to_be_unreadable() {
    let error = Source::read("/nonexistent/luna.db".as_ref()).unwrap_err();
    assert!(matches!(error, Error::File(_)), "{error}");
}

#[test]
fn a_database_in_write_ahead_mode_is_read() {
    let database = Database::site();
    database.sql("PRAGMA journal_mode = WAL; UPDATE cluster SET name = 'ahead'; PRAGMA wal_checkpoint(TRUNCATE);");
    let plan = plan(&database);
    assert_eq!(plan.report.taken.get("node"), Some(&2));
}

#[test]
fn nothing_in_the_file_is_run() {
    let database = Database::empty();
    database.sql(
        "DROP TABLE node; DROP TABLE rack; DROP TABLE cloud;
         CREATE TABLE node (id INTEGER PRIMARY KEY, name TEXT, computed TEXT GENERATED ALWAYS AS (hex(zeroblob(9999999))) VIRTUAL);
         CREATE VIEW rack AS WITH RECURSIVE forever(x) AS (SELECT 1 UNION ALL SELECT x FROM forever) SELECT x AS id FROM forever;
         CREATE VIRTUAL TABLE cloud USING fts5(name);",
    );
    let plan = plan(&database);
    let left: Vec<&str> = plan
        .report
        .findings
        .iter()
        .filter(|finding| finding.message.starts_with("there is no such table"))
        .map(|finding| finding.table.as_str())
        .collect();
    assert_eq!(left, ["cloud", "rack"]);
}

#[test]
fn a_database_with_more_than_any_site_has_is_refused() {
    let database = Database::empty();
    database.sql(
        "WITH RECURSIVE counter(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM counter WHERE x < 400000) INSERT INTO network (name) SELECT x FROM counter;",
    );
    let error = Source::read(&database.file()).unwrap_err().to_string();
    assert!(error.contains("more than 8000000 values"), "{error}");
}

#[test]
fn a_page_of_zeros_in_the_middle_is_found() {
    let database = Database::site();
    let file = database.file();
    let length = fs::metadata(&file).unwrap().len();
    let mut handle = fs::OpenOptions::new().write(true).open(&file).unwrap();
    handle.seek(SeekFrom::Start(length / 2 / 4096 * 4096)).unwrap();
    handle.write_all(&[0; 4096]).unwrap();
    let error = Source::read(&file).unwrap_err().to_string();
    assert!(error.contains("damaged"), "{error}");
}
