//! What every store promises.
#![cfg(test)]

use perilune_model::group::Group;
use perilune_model::network::Network;
use perilune_model::{Cluster, Draft, Error as Refusal, Kind, Name, Object};
use perilune_store::{Commit, Error, Meta, Record, Store, Table};

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
    let (store, empty) = Store::open(directory.path()).unwrap();
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
    let (store, empty) = Store::open(directory.path()).unwrap();
    let (_, one) = commit(&empty, |draft| draft.put(group("compute")));
    store.apply(0, vec![one]).await.unwrap();
    let (_, late) = commit(&empty, |draft| draft.put(group("late")));
    let refused = store.apply(0, vec![late]).await;
    assert!(matches!(refused, Err(Error::Stale { stored: 1, expected: 0 })), "{refused:?}");
    assert!(store.load().await.unwrap().group("late").is_err());
}

#[tokio::test]
async fn the_history_tells_who_did_what_and_how_to_take_it_back() {
    let directory = tempfile::tempdir().unwrap();
    let (store, empty) = Store::open(directory.path()).unwrap();
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
    let (store, empty) = Store::open(directory.path()).unwrap();
    let (_, stale) = commit(&empty, |draft| draft.put(group("never")));
    let puts = (0..500).map(|number| {
        let store = store.clone();
        let record =
            Record { key: format!("10.141.0.{number}"), body: format!("{{\"number\":{number}}}") };
        async move { store.put(Table::Leases, vec![record]).await }
    });
    let (stored, refused) = tokio::join!(futures(puts), store.apply(7, vec![stale]));
    assert!(stored.iter().all(Result::is_ok));
    assert!(refused.is_err());
    assert_eq!(store.records(Table::Leases).await.unwrap().len(), 500);
    store.remove(Table::Leases, vec!["10.141.0.7".into()]).await.unwrap();
    assert_eq!(store.records(Table::Leases).await.unwrap().len(), 499);
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
    let (_store, _) = Store::open(directory.path()).unwrap();
    let second = Store::open(directory.path()).unwrap_err();
    assert!(matches!(second, Error::Locked { .. }));
    assert!(second.to_string().contains("another perilune"));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("perilune.db");
    std::fs::write(&file, "no database ".repeat(1000)).unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    assert!(error.to_string().contains("backup"), "{error}");
}

#[tokio::test]
async fn a_backup_is_a_whole_store() {
    let directory = tempfile::tempdir().unwrap();
    let (store, empty) = Store::open(directory.path()).unwrap();
    let (first, one) = commit(&empty, |draft| draft.put(group("compute")));
    store.apply(0, vec![one]).await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    store.backup(copy.path().join("perilune.db")).await.unwrap();
    let (_, loaded) = Store::open(copy.path()).unwrap();
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
        match Store::open(directory) {
            Err(Error::Locked { .. }) => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            opened => return opened.unwrap(),
        }
    }
    panic!("the store was not let go of");
}
