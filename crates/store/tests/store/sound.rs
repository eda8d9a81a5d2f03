//! Databases that lost a part of what was in them.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use perilune_model::group::Group;
use perilune_model::settings::Settings;
use perilune_model::{Cluster, Draft, Kind, Name};
use perilune_store::{Commit, Error, Meta, Store};

fn group(name: &str) -> Group {
    Group { name: Name::trusted(name), ..Group::default() }
}

fn open(directory: &Path) -> Result<(Store, Cluster), Error> {
    for _ in 0..500 {
        match Store::open(directory, &directory.join("luna.key")) {
            // A store that was dropped a moment ago.
            Err(Error::Locked { .. }) => {}
            opened => return opened,
        }
    }
    panic!("the store was not let go of");
}

/// A store of three commits: groups that are there, and one that went.
async fn store() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let (store, mut cluster) = open(directory.path()).unwrap();
    let steps: [fn(&mut Draft); 3] = [
        |draft| {
            for number in 0..300 {
                draft.put(group(&format!("group{number:03}"))).unwrap();
            }
        },
        |draft| draft.put(group("late")).unwrap(),
        |draft| draft.remove(Kind::Group, "group007").unwrap(),
    ];
    for (base, decide) in (0..).zip(steps) {
        let mut draft = Draft::new(&cluster);
        decide(&mut draft);
        let (next, change) = draft.finish();
        store.apply(base, vec![Commit { change, meta: Meta::default(), key: None }]).await.unwrap();
        cluster = next;
    }
    drop(store);
    let file = directory.path().join("perilune.db");
    // It is whole, and all of it is in the one file.
    drop(open(directory.path()).unwrap());
    let whole = rusqlite::Connection::open(&file).unwrap();
    whole.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(whole);
    (directory, file)
}

fn refused(directory: &Path) -> String {
    let error = open(directory).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("perilune.db") && error.contains("backup"), "{error}");
    error
}

#[tokio::test]
async fn what_is_missing_of_cluster_or_history_is_told_and_nothing_is_served() {
    for (damage, told) in [
        ("DELETE FROM object WHERE name = 'group123'", "the group 'group123' is missing"),
        ("DELETE FROM object", "is missing"),
        (
            "INSERT INTO object SELECT kind, 'ghost', body FROM object WHERE name = 'late'",
            "the group 'ghost' was never made",
        ),
        ("UPDATE object SET body = '{' WHERE name = 'late'", "the group 'late' cannot be read"),
        ("UPDATE object SET kind = 'nonsense' WHERE name = 'late'", "unknown kind 'nonsense'"),
        ("DELETE FROM history WHERE revision = 2", "has 2 entries from 1 to 3"),
        ("DELETE FROM history WHERE revision = 1", "has 2 entries from 2 to 3"),
        ("DELETE FROM history WHERE revision = 3", "of revision 3, and its history ends with 2"),
        ("DELETE FROM history", "of revision 3, and its history ends with 0"),
        ("UPDATE history SET edits = '[{' WHERE revision = 2", "the entry 2 of its history"),
        ("UPDATE history SET inverse = '' WHERE revision = 1", "the entry 1 of its history"),
        ("UPDATE meta SET value = 2 WHERE key = 'revision'", "of revision 2"),
        ("DELETE FROM meta WHERE key = 'revision'", "its revision is missing"),
        ("DELETE FROM meta", "its revision is missing"),
        ("DROP TABLE record", "the table record is missing"),
        ("DROP TABLE history", "the table history is missing"),
    ] {
        let (directory, file) = store().await;
        rusqlite::Connection::open(&file).unwrap().execute_batch(damage).unwrap();
        let said = refused(directory.path());
        assert!(said.contains(told), "{damage}: {said}");
    }
}

/// What is noted of all objects goes with every way in which they come, change and go, also several times in one commit.
#[tokio::test]
async fn a_store_that_was_used_is_whole_after_every_kind_of_commit() {
    let directory = tempfile::tempdir().unwrap();
    let steps: [fn(&mut Draft); 9] = [
        // There is an object for these once they are other than usual, and always one in the cluster.
        |draft| draft.put(Settings { debug: true, ..Settings::default() }).unwrap(),
        |draft| draft.put(Settings::default()).unwrap(),
        |draft| draft.put(group("one")).unwrap(),
        |draft| draft.put(Group { comment: Some("another".into()), ..group("one") }).unwrap(),
        |draft| {
            draft.remove(Kind::Group, "one").unwrap();
            draft.put(group("one")).unwrap();
        },
        |draft| {
            draft.put(group("two")).unwrap();
            draft.remove(Kind::Group, "two").unwrap();
        },
        |draft| {
            draft.remove(Kind::Group, "one").unwrap();
            draft.put(group("two")).unwrap();
            draft.put(group("three")).unwrap();
        },
        |draft| draft.remove(Kind::Group, "three").unwrap(),
        |draft| draft.remove(Kind::Group, "two").unwrap(),
    ];
    for (number, decide) in steps.into_iter().enumerate() {
        let (store, cluster) =
            open(directory.path()).unwrap_or_else(|error| panic!("{number}: {error}"));
        let mut draft = Draft::new(&cluster);
        decide(&mut draft);
        let (_, change) = draft.finish();
        if !change.is_empty() {
            let commit = Commit { change, meta: Meta::default(), key: None };
            store.apply(cluster.revision(), vec![commit]).await.unwrap();
        }
    }
    let (_, cluster) = open(directory.path()).unwrap();
    assert!(cluster.groups().is_empty());
}

#[tokio::test]
async fn a_file_that_is_empty_or_gone_is_no_new_beginning() {
    let (directory, file) = store().await;
    std::fs::File::create(&file).unwrap();
    assert!(refused(directory.path()).contains("empty"));
    std::fs::remove_file(&file).unwrap();
    assert!(refused(directory.path()).contains("empty"));
    assert!(refused(directory.path()).contains("empty"), "again");
}

#[tokio::test]
async fn a_first_start_that_was_cut_off_before_anything_was_stored_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    for file in ["perilune.lock", "perilune.db"] {
        std::fs::File::create(directory.path().join(file)).unwrap();
    }
    let (_store, cluster) = open(directory.path()).unwrap();
    assert_eq!(cluster.revision(), 0);
}

#[tokio::test]
async fn a_part_of_the_file_that_is_overwritten_or_cut_off_is_found() {
    let (directory, file) = store().await;
    let size = std::fs::metadata(&file).unwrap().len();
    let (_, intact) = open(directory.path()).unwrap();
    let (pages, mut found) = (size / 4096, 0);
    for page in 1..pages {
        let (directory, file) = store().await;
        let mut damaged = std::fs::File::options().write(true).open(&file).unwrap();
        damaged.seek(SeekFrom::Start(page * 4096)).unwrap();
        damaged.write_all(&[0; 4096]).unwrap();
        drop(damaged);
        // Nothing is lost with a page that was not in use.
        match open(directory.path()) {
            Ok((_, cluster)) => assert_eq!(cluster, intact, "page {page} of {pages}"),
            Err(_) => found += 1,
        }
    }
    assert!(found > pages / 2, "{found} of {pages}");
    let (directory, file) = store().await;
    std::fs::File::options().write(true).open(&file).unwrap().set_len(size / 2).unwrap();
    refused(directory.path());
}
