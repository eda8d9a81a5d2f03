//! `perilune import` as a shell sees it.

use std::path::Path;
use std::process::Output;

use perilune_testkit::luna::Database;

use crate::kill::Daemon;
use crate::{perilune, said};

fn import(data: &Path, database: &Path, more: &[&str]) -> Output {
    let arguments = [&["import", database.to_str().unwrap()], more].concat();
    perilune(data, &arguments)
}

#[test]
fn a_site_is_looked_at_first_and_taken_then() {
    let data = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(data.path());
    let database = Database::site();
    database.sql("INSERT INTO node (id, name, groupid) VALUES (7, 'lost', NULL)");

    let output = import(data.path(), &database.file(), &[]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in [
        "Refused: these rows are not taken",
        "lost",
        "a node must have a group",
        "Nothing was changed. To do it, add --commit.",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(daemon.get("/config/node").unwrap().0, 404);

    let output = import(data.path(), &database.file(), &["--commit"]);
    assert!(said(&output).contains("All of this was done in one change."), "{}", said(&output));
    assert_eq!(daemon.get("/config/node/node001").unwrap().0, 200);

    database.sql("UPDATE node SET comment = 'changed'");
    let output = import(data.path(), &database.file(), &["-o", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["obstacles"].as_array().unwrap().len(), 3, "{report}");
}

#[test]
fn a_database_whose_newest_changes_stand_beside_it_is_not_sent() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("luna.db");
    std::fs::write(&file, "x").unwrap();
    std::fs::write(data.path().join("luna.db-wal"), "x").unwrap();
    let login = "[API]\nUSERNAME = luna\nPASSWORD = x\nENDPOINT = localhost:1\n";
    std::fs::write(data.path().join("luna.ini"), login).unwrap();
    let output = import(data.path(), &file, &[]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("is not whole") && text.contains("VACUUM INTO"), "{text}");
}
