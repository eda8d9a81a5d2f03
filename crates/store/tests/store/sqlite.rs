//! What the embedded engine promises beside the contract: its file, its layouts, its backup.

use perilune_model::Cluster;
use perilune_store::{Error, Store, Table};

use crate::contract::{commit, group};

#[tokio::test]
async fn records_of_the_former_layout_are_there_after_an_upgrade() {
    let directory = tempfile::tempdir().unwrap();
    let former = rusqlite::Connection::open(directory.path().join("perilune.db")).unwrap();
    let layout = include_str!("layout_1.sql");
    former.execute_batch(layout).unwrap();
    drop(former);
    let (store, cluster) =
        Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    assert_eq!(cluster.revision(), 7);
    let leases = store.records(Table::Leases).await.unwrap();
    assert_eq!(leases.iter().map(|record| record.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(leases[1].body.as_deref(), Some("{\"lease\":2}"));
    let pins = store.records(Table::BmcCertificates).await.unwrap();
    assert_eq!(pins[0].body.as_deref(), Some("\"sha256:00\""), "a text of JSON now");
    assert_eq!(store.since(Table::Leases, 1).await.unwrap().records.len(), 1);
}

/// A database of each layout that was ever released: the same cluster in all. The third was written by the daemon; the others were made of it by
/// the statements that turn one layout into the next. A new layout adds one.
const LAYOUTS: [(u32, &str); 5] = [
    (1, include_str!("layouts/1.sql")),
    (2, include_str!("layouts/2.sql")),
    (3, include_str!("layouts/3.sql")),
    (4, include_str!("layouts/4.sql")),
    (5, include_str!("layouts/5.sql")),
];

#[tokio::test]
async fn a_database_of_every_layout_is_opened_with_all_that_is_in_it() {
    let mut clusters = Vec::new();
    for (layout, sql) in LAYOUTS {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("luna.key");
        std::fs::write(&key, include_str!("layouts/luna.key")).unwrap();
        let file = directory.path().join("perilune.db");
        rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
        let (store, cluster) = Store::open(directory.path(), &key).unwrap();
        let setup = cluster.bmc_setup("lom").unwrap();
        assert_eq!(setup.password, "calvin", "{layout}");
        let secrets = cluster.node_secrets().get("node001").unwrap();
        assert_eq!(secrets.secrets[0].content, "aGlkZGVu", "{layout}");
        let history = store.history(None, 10).await.unwrap();
        assert_eq!(history.len(), 3, "{layout}");
        for table in [Table::Leases, Table::NodeStates, Table::BmcCertificates] {
            assert_eq!(store.records(table).await.unwrap().len(), 1, "{layout} {table:?}");
        }
        let kept = directory.path().join(format!("perilune-layout-{layout}.db"));
        assert_eq!(kept.exists(), usize::try_from(layout).unwrap() < LAYOUTS.len(), "{layout}");
        drop(store);
        let connection = rusqlite::Connection::open(&file).unwrap();
        let now: u32 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert!(
            usize::try_from(now).unwrap() == LAYOUTS.len(),
            "layout {now} has no database here"
        );
        clusters.push(cluster);
    }
    assert!(clusters.windows(2).all(|two| two[0] == two[1]));
}

#[tokio::test]
async fn the_database_is_kept_as_it_was_before_its_layout_changes() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let layout = |file: &str| -> u32 {
        let connection = rusqlite::Connection::open(directory.path().join(file)).unwrap();
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    let former = rusqlite::Connection::open(directory.path().join("perilune.db")).unwrap();
    former.execute_batch(include_str!("layout_1.sql")).unwrap();
    drop(former);
    // A kill while it was written left this.
    std::fs::write(directory.path().join("perilune-layout-1.db.new"), "half").unwrap();
    let (store, cluster) =
        Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    assert!(layout("perilune.db") > 1);
    assert_eq!(layout("perilune-layout-1.db"), 1);
    let kept = directory.path().join("perilune-layout-1.db");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    drop(store);
    // What was kept is a whole store: the way back, and forward again.
    let back = tempfile::tempdir().unwrap();
    std::fs::copy(&kept, back.path().join("perilune.db")).unwrap();
    assert_eq!(Store::open(back.path(), &directory.path().join("luna.key")).unwrap().1, cluster);
    drop(reopen(directory.path()).await);
    assert!(
        !directory.path().join(format!("perilune-layout-{}.db", layout("perilune.db"))).exists()
    );
}

#[tokio::test]
async fn a_newer_database_is_refused_with_what_to_do_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (store, empty) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    let (_, one) = commit(&empty, |draft| draft.put(group("compute")));
    store.apply(0, vec![one]).await.unwrap();
    drop(store);
    drop(reopen(directory.path()).await);
    let file = directory.path().join("perilune.db");
    let newer = rusqlite::Connection::open(&file).unwrap();
    let known: u32 = newer.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    newer.pragma_update(None, "user_version", known + 1).unwrap();
    drop(newer);
    let refused = loop {
        match Store::open(directory.path(), &directory.path().join("luna.key")) {
            Err(Error::Locked { .. }) => {}
            other => break other.unwrap_err(),
        }
    };
    assert!(matches!(refused, Error::Newer { .. }), "{refused:?}");
    let what_to_do = format!("perilune-layout-{known}.db");
    assert!(refused.to_string().contains(&what_to_do), "{refused}");
    let after = rusqlite::Connection::open(&file).unwrap();
    let found: u32 = after.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(found, known + 1);
}

#[tokio::test]
async fn a_second_process_is_told_who_has_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let (_store, _) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    let second = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap_err();
    assert!(matches!(second, Error::Locked { .. }));
    assert!(second.to_string().contains("another perilune"));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("perilune.db");
    std::fs::write(&file, "no database ".repeat(1000)).unwrap();
    let error = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    assert!(error.to_string().contains("backup"), "{error}");
}

#[tokio::test]
async fn a_backup_is_a_whole_store() {
    let directory = tempfile::tempdir().unwrap();
    let (store, empty) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    let (first, one) = commit(&empty, |draft| draft.put(group("compute")));
    store.apply(0, vec![one]).await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    store.backup(copy.path().join("perilune.db")).await.unwrap();
    let (_, loaded) = Store::open(copy.path(), &directory.path().join("luna.key")).unwrap();
    assert_eq!(loaded, first);
}

/// Opens the directory again as soon as the former store has let go of it.
async fn reopen(directory: &std::path::Path) -> (Store, Cluster) {
    for _ in 0..500 {
        match Store::open(directory, &directory.join("luna.key")) {
            Err(Error::Locked { .. }) => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            opened => return opened.unwrap(),
        }
    }
    panic!("the store was not let go of");
}
