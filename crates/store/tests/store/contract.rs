//! What every store promises, on both engines.

use perilune_model::group::Group;
use perilune_model::network::Network;
use perilune_model::{Change, Cluster, Draft, Error as Refusal, Kind, Name, Object};
use perilune_store::{Commit, Error, Expected, Meta, Table, Write, Written};

use crate::site::Site;

pub(crate) fn commit(
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
    (cluster, Commit { change, meta, key: None })
}

pub(crate) fn group(name: &str) -> Group {
    Group { name: Name::trusted(name), domain: Some("cluster".into()), ..Group::default() }
}

pub(crate) fn network(name: &str) -> Network {
    Network { name: Name::trusted(name), ipv4: "10.141.0.0/16".parse().ok(), ..Network::default() }
}

#[tokio::test]
async fn what_was_applied_is_there_after_a_restart() {
    for site in Site::each() {
        let (store, empty) = site.open().await;
        let (first, one) = commit(&empty, |draft| draft.put(group("compute")));
        let (second, two) = commit(&first, |draft| draft.put(network("cluster")));
        assert_eq!(store.apply(0, vec![one, two]).await.unwrap(), 2);
        drop(store);

        let (store, loaded) = site.open().await;
        assert_eq!(loaded, second);
        assert_eq!(loaded.revision(), 2);
        assert_eq!(store.load().await.unwrap(), second);
    }
}

#[tokio::test]
async fn a_change_on_an_old_revision_is_refused_and_leaves_nothing() {
    for site in Site::each() {
        let (store, empty) = site.open().await;
        let (_, one) = commit(&empty, |draft| draft.put(group("compute")));
        store.apply(0, vec![one]).await.unwrap();
        let (_, late) = commit(&empty, |draft| draft.put(group("late")));
        let refused = store.apply(0, vec![late]).await;
        assert!(matches!(refused, Err(Error::Stale { stored: 1, expected: 0 })), "{refused:?}");
        assert!(store.load().await.unwrap().group("late").is_err());
    }
}

#[tokio::test]
async fn who_was_not_first_is_told_what_was_committed_since_and_ends_where_the_first_is() {
    for site in Site::each() {
        let (store, empty) = site.open().await;
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
        let many = (0..1001).map(|_| Commit {
            change: Change::default(),
            meta: Meta::default(),
            key: None,
        });
        store.apply(3, many.collect::<Vec<_>>()).await.unwrap();
        assert_eq!(store.later(3).await.unwrap(), None, "too much to follow step by step");
        assert!(store.later(4).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_commit_that_was_named_is_found_by_its_name_also_after_a_restart() {
    for site in Site::each() {
        let (store, empty) = site.open().await;
        let names = || ["one", "two", "never"].map(str::to_owned).to_vec();
        assert!(store.committed(names()).await.unwrap().is_empty());
        let (first, one) = commit(&empty, |draft| draft.put(group("compute")));
        let (second, between) = commit(&first, |draft| draft.put(group("between")));
        let (_, two) = commit(&second, |draft| draft.put(network("cluster")));
        let named = |commit: Commit, key: &str| Commit { key: Some(key.to_owned()), ..commit };
        let (_, stale) = commit(&empty, |draft| draft.put(group("late")));
        store.apply(0, vec![named(one, "one"), between, named(two, "two")]).await.unwrap();
        store.apply(0, vec![named(stale, "never")]).await.unwrap_err();
        drop(store);
        let (store, _) = site.open().await;
        let found = store.committed(names()).await.unwrap();
        let found: Vec<(&str, u64)> =
            found.iter().map(|(key, revision)| (key.as_str(), *revision)).collect();
        assert_eq!(found, [("one", 1), ("two", 3)]);
    }
}

#[tokio::test]
async fn the_history_tells_who_did_what_and_how_to_take_it_back() {
    for site in Site::each() {
        let (store, empty) = site.open().await;
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
}

#[tokio::test]
async fn work_of_many_shares_transactions_and_each_gets_its_own_answer() {
    for site in Site::each() {
        let (store, empty) = site.open().await;
        let (_, stale) = commit(&empty, |draft| draft.put(group("never")));
        let puts = (0..500).map(|number| {
            let store = store.clone();
            let write =
                Write::put(format!("10.141.0.{number}"), format!("{{\"number\":{number}}}"));
            async move { store.put_if(Table::Leases, vec![write]).await }
        });
        let (stored, refused) = tokio::join!(futures(puts), store.apply(7, vec![stale]));
        assert!(stored.iter().all(Result::is_ok));
        assert!(refused.is_err());
        assert_eq!(store.records(Table::Leases).await.unwrap().len(), 500);
        store.put_if(Table::Leases, vec![Write::remove("10.141.0.7".into())]).await.unwrap();
        assert_eq!(store.records(Table::Leases).await.unwrap().len(), 499);
    }
}

fn write(key: &str, body: Option<&str>, expected: Expected) -> Write {
    Write { key: key.to_owned(), body: body.map(str::to_owned), expected }
}

#[tokio::test]
async fn a_record_is_written_only_if_it_is_as_expected() {
    for site in Site::each() {
        let (store, _) = site.open().await;
        let put = async |key: &str, body, expected| {
            store.put_if(Table::Leases, vec![write(key, body, expected)]).await.unwrap()[0]
        };
        assert_eq!(put("a", Some("1"), Expected::Nothing).await, Written::At(1));
        assert_eq!(put("a", Some("2"), Expected::Nothing).await, Written::Stale);
        assert_eq!(put("a", Some("2"), Expected::Sequence(7)).await, Written::Stale);
        assert_eq!(put("a", Some("2"), Expected::Sequence(1)).await, Written::At(2));
        assert_eq!(put("a", None, Expected::Sequence(1)).await, Written::Stale);
        assert_eq!(put("a", None, Expected::Sequence(2)).await, Written::At(3));
        assert_eq!(
            put("a", Some("3"), Expected::Sequence(3)).await,
            Written::Stale,
            "it was removed"
        );
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
}

#[tokio::test]
async fn changes_since_a_number_are_told_with_removals_also_after_a_restart() {
    for site in Site::each() {
        let (store, _) = site.open().await;
        let all = ["a", "b", "c"].map(|key| write(key, Some("1"), Expected::Anything));
        store.put_if(Table::Leases, all.to_vec()).await.unwrap();
        store.put_if(Table::Leases, vec![write("a", None, Expected::Anything)]).await.unwrap();
        drop(store);
        let (store, _) = site.open().await;
        let since = store.since(Table::Leases, 2).await.unwrap();
        let told: Vec<_> = since
            .records
            .iter()
            .map(|record| (record.key.as_str(), record.body.as_deref()))
            .collect();
        assert_eq!((told, since.is_whole), (vec![("c", Some("1")), ("a", None)], false));
        assert_eq!(store.since(Table::Leases, 4).await.unwrap().records, []);
        let unknown = store.since(Table::Leases, 5).await.unwrap();
        assert_eq!((unknown.records.len(), unknown.is_whole), (2, true), "of another database");
    }
}

#[tokio::test]
async fn removals_are_forgotten_in_time_and_who_was_away_longer_is_told_everything() {
    for site in Site::each() {
        let (store, _) = site.open().await;
        store
            .put_if(Table::Leases, vec![write("stays", Some("1"), Expected::Anything)])
            .await
            .unwrap();
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
