//! What every store promises.
#![cfg(test)]

use perilune_model::group::Group;
use perilune_model::network::Network;
use perilune_model::{Change, Cluster, Draft, Error as Refusal, Kind, Name, Object};
use perilune_store::{Commit, Error, Expected, Meta, Store, Table, Write, Written};

fn commit(
    cluster: &Cluster,
    decide: impl FnOnce(&mut Draft) -> Result<(), Refusal>,
) -> (Cluster, Commit) {
    let mut draft = Draft::new(cluster);
    decide(&mut draft).unwrap();
    let (cluster, change) = draft.finish();
    let meta = Meta {
        at: 1_700_000_000_000,
        author: "ann".into(),
        origin: "10.0.0.1".into(),
        action: "test".into(),
    };
    (cluster, Commit { change, meta })
}

fn group(name: &str) -> Group {
    Group { name: Name::trusted(name), domain: Some("cluster".into()), ..Group::default() }
}

fn network(name: &str) -> Network {
    Network { name: Name::trusted(name), ipv4: "10.141.0.0/16".parse().ok(), ..Network::default() }
}

#[tokio::test]
async fn what_was_applied_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (store, empty) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    let (first, one) = commit(&empty, |draft| draft.put(group("compute")));
    let (second, two) = commit(&first, |draft| draft.put(network("cluster")));
    assert_eq!(store.apply(0, vec![one, two]).await.unwrap(), 2);
    drop(store);

    let (store, loaded) = reopen(directory.path()).await;
    assert_eq!(loaded, second);
    assert_eq!(loaded.revision(), 2);
    assert_eq!(store.load().await.unwrap(), second);
}

#[tokio::test]
async fn a_change_on_an_old_revision_is_refused_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (store, empty) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    let (_, one) = commit(&empty, |draft| draft.put(group("compute")));
    store.apply(0, vec![one]).await.unwrap();
    let (_, late) = commit(&empty, |draft| draft.put(group("late")));
    let refused = store.apply(0, vec![late]).await;
    assert!(matches!(refused, Err(Error::Stale { stored: 1, expected: 0 })), "{refused:?}");
    assert!(store.load().await.unwrap().group("late").is_err());
}

#[tokio::test]
async fn who_was_not_first_is_told_what_was_committed_since_and_ends_where_the_first_is() {
    let directory = tempfile::tempdir().unwrap();
    let (store, empty) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    let (first, one) = commit(&empty, |draft| draft.put(group("compute")));
    let (second, two) = commit(&first, |draft| draft.put(network("cluster")));
    let (third, three) = commit(&second, |draft| draft.remove(Kind::Group, "compute"));
    store.apply(0, vec![one, two, three]).await.unwrap();
    assert_eq!(store.refused_as_stale(), 0);
    let (_, late) = commit(&first, |draft| draft.put(group("late")));
    store.apply(1, vec![late]).await.unwrap_err();
    assert_eq!(store.refused_as_stale(), 1);

    let later = store.later(1).await.unwrap().unwrap();
    let mut followed = first;
    for edit in &later.edits {
        followed.apply(edit);
    }
    assert_eq!((later.revision, &followed), (3, &third));
    assert_eq!(store.later(3).await.unwrap().unwrap().edits, []);
    assert_eq!(store.later(4).await.unwrap(), None, "the stored cluster is an older one");
    let many = (0..1001).map(|_| Commit { change: Change::default(), meta: Meta::default() });
    store.apply(3, many.collect::<Vec<_>>()).await.unwrap();
    assert_eq!(store.later(3).await.unwrap(), None, "too much to follow step by step");
    assert!(store.later(4).await.unwrap().is_some());
}

#[tokio::test]
async fn the_history_tells_who_did_what_and_how_to_take_it_back() {
    let directory = tempfile::tempdir().unwrap();
    let (store, empty) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    let (first, one) = commit(&empty, |draft| draft.put(group("compute")));
    let (_, two) = commit(&first, |draft| draft.remove(Kind::Group, "compute"));
    store.apply(0, vec![one.clone(), two.clone()]).await.unwrap();

    let entries = store.history(None, 10).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.revision).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(entries[0].edits, two.change.edits);
    assert_eq!(entries[0].inverse, two.change.inverse);
    assert_eq!(entries[1].meta, one.meta);
    assert_eq!(store.history_between(1, 1).await.unwrap(), entries[1..]);
}

#[tokio::test]
async fn work_of_many_shares_transactions_and_each_gets_its_own_answer() {
    let directory = tempfile::tempdir().unwrap();
    let (store, empty) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    let (_, stale) = commit(&empty, |draft| draft.put(group("never")));
    let puts = (0..500).map(|number| {
        let store = store.clone();
        let write = Write::put(format!("10.141.0.{number}"), format!("{{\"number\":{number}}}"));
        async move { store.put_if(Table::Leases, vec![write]).await }
    });
    let (stored, refused) = tokio::join!(futures(puts), store.apply(7, vec![stale]));
    assert!(stored.iter().all(Result::is_ok));
    assert!(refused.is_err());
    assert_eq!(store.records(Table::Leases).await.unwrap().len(), 500);
    store.put_if(Table::Leases, vec![Write::remove("10.141.0.7".into())]).await.unwrap();
    assert_eq!(store.records(Table::Leases).await.unwrap().len(), 499);
}

fn write(key: &str, body: Option<&str>, expected: Expected) -> Write {
    Write { key: key.to_owned(), body: body.map(str::to_owned), expected }
}

#[tokio::test]
async fn a_record_is_written_only_if_it_is_as_expected() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    let put = async |key: &str, body, expected| {
        store.put_if(Table::Leases, vec![write(key, body, expected)]).await.unwrap()[0]
    };
    assert_eq!(put("a", Some("1"), Expected::Nothing).await, Written::At(1));
    assert_eq!(put("a", Some("2"), Expected::Nothing).await, Written::Stale);
    assert_eq!(put("a", Some("2"), Expected::Sequence(7)).await, Written::Stale);
    assert_eq!(put("a", Some("2"), Expected::Sequence(1)).await, Written::At(2));
    assert_eq!(put("a", None, Expected::Sequence(1)).await, Written::Stale);
    assert_eq!(put("a", None, Expected::Sequence(2)).await, Written::At(3));
    assert_eq!(put("a", Some("3"), Expected::Sequence(3)).await, Written::Stale, "it was removed");
    assert_eq!(put("a", Some("3"), Expected::Nothing).await, Written::At(4));
    let other = store.put_if(Table::Jobs, vec![write("a", Some("1"), Expected::Nothing)]).await;
    assert_eq!(other.unwrap(), [Written::At(1)], "each table has its own numbers");
    let both = vec![
        write("b", Some("1"), Expected::Sequence(9)),
        write("c", Some("1"), Expected::Anything),
    ];
    let both = store.put_if(Table::Leases, both).await.unwrap();
    assert_eq!(both, [Written::Stale, Written::At(5)], "one does not stop the other");
}

#[tokio::test]
async fn changes_since_a_number_are_told_with_removals_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    let all = ["a", "b", "c"].map(|key| write(key, Some("1"), Expected::Anything));
    store.put_if(Table::Leases, all.to_vec()).await.unwrap();
    store.put_if(Table::Leases, vec![write("a", None, Expected::Anything)]).await.unwrap();
    drop(store);
    let (store, _) = reopen(directory.path()).await;
    let since = store.since(Table::Leases, 2).await.unwrap();
    let told: Vec<_> =
        since.records.iter().map(|record| (record.key.as_str(), record.body.as_deref())).collect();
    assert_eq!((told, since.is_whole), (vec![("c", Some("1")), ("a", None)], false));
    assert_eq!(store.since(Table::Leases, 4).await.unwrap().records, []);
    let unknown = store.since(Table::Leases, 5).await.unwrap();
    assert_eq!((unknown.records.len(), unknown.is_whole), (2, true), "of another database");
}

#[tokio::test]
async fn removals_are_forgotten_in_time_and_who_was_away_longer_is_told_everything() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    store.put_if(Table::Leases, vec![write("stays", Some("1"), Expected::Anything)]).await.unwrap();
    for round in 0..30 {
        let writes = (0..1000).map(|number| {
            let is_put = (number + round) % 2 == 0;
            write(&format!("{number}"), is_put.then_some("1"), Expected::Anything)
        });
        store.put_if(Table::Leases, writes.collect()).await.unwrap();
    }
    let long_away = store.since(Table::Leases, 1).await.unwrap();
    assert_eq!((long_away.is_whole, long_away.records.len()), (true, 501));
    let last = store.since(Table::Leases, 29_001).await.unwrap();
    assert_eq!((last.is_whole, last.records.len()), (false, 1000));
}

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

#[test]
fn what_a_node_does_not_say_takes_no_room_and_reads_as_unset() {
    let node = perilune_model::node::Node {
        name: Name::trusted("node001"),
        group: Name::trusted("compute"),
        interfaces: vec![perilune_model::interface::Interface {
            name: Name::trusted("BOOTIF"),
            ..Default::default()
        }],
        ..Default::default()
    };
    let node = Object::from(node);
    let text = node.to_json().unwrap();
    assert!(!text.contains("null"), "{text}");
    assert_eq!(Object::from_json(Kind::Node, &text).unwrap(), node);
    let with_nulls = text.replace("\"service\"", "\"comment\":null,\"switch\":null,\"service\"");
    assert_eq!(Object::from_json(Kind::Node, &with_nulls).unwrap(), node, "as it once was written");
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

async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T> + Send + 'static>) -> Vec<T>
where
    T: Send + 'static,
{
    let mut tasks = tokio::task::JoinSet::new();
    for one in all {
        tasks.spawn(one);
    }
    tasks.join_all().await
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
