//! One engine's contents in the other.

use perilune_model::bmc_setup::BmcSetup;
use perilune_model::{Kind, Name};
use perilune_store::{Error, Expected, Store, Table, Write, Written};

use crate::contract::{commit, group, network};
use crate::site::{OTHER, Site};

fn write(key: &str, body: Option<&str>) -> Write {
    Write { key: key.to_owned(), body: body.map(str::to_owned), expected: Expected::Anything }
}

/// A store with something of everything; answers its directory.
async fn filled() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("luna.key");
    let (store, empty) = Store::open(directory.path(), &key).unwrap();
    let setup = BmcSetup {
        name: Name::trusted("lom"),
        password: "calvin".to_owned(),
        ..BmcSetup::default()
    };
    let (first, one) = commit(&empty, |draft| draft.put(group("compute")));
    let (second, two) = commit(&first, |draft| draft.put(network("cluster")));
    let (third, three) = commit(&second, |draft| draft.put(setup.clone()));
    let (_, four) = commit(&third, |draft| draft.remove(Kind::Group, "compute"));
    store.apply(0, vec![one, two, three, four]).await.unwrap();
    for table in Table::ALL {
        let writes = vec![write("a", Some("1")), write("b", Some("2"))];
        store.put_if(table, writes).await.unwrap();
        store.put_if(table, vec![write("a", None)]).await.unwrap();
    }
    let aside = perilune_store::Aside {
        table: "lease".into(),
        key: "b".into(),
        body: "2".into(),
        reason: "it makes no sense".into(),
    };
    store.set_aside(Table::Leases, vec![aside]).await.unwrap();
    directory
}

async fn open(directory: &std::path::Path) -> (Store, perilune_model::Cluster) {
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

#[tokio::test]
async fn everything_is_moved_there_and_back() {
    let Some(site) = Site::postgres() else { return };
    let there = filled().await;
    let key = there.path().join("luna.key");
    let (store, cluster) = open(there.path()).await;
    let history = store.history(None, 10).await.unwrap();
    let (states, aside) =
        (store.since(Table::NodeStates, 0).await.unwrap(), store.aside().await.unwrap());
    drop(store);
    drop(open(there.path()).await);
    let address = site.address();
    let moved = Store::move_to_postgres(there.path(), (&address, "one"), &key).await.unwrap();
    assert_eq!((moved.revision, moved.objects, moved.entries), (4, 2, 4));
    assert_eq!(moved.records, Table::ALL.len() - 1);

    let (shared, loaded) = Store::connect(&address, "one", &key).await.unwrap();
    assert_eq!((&loaded, loaded.revision()), (&cluster, 4));
    assert_eq!(loaded.bmc_setup("lom").unwrap().password, "calvin");
    assert_eq!(shared.history(None, 10).await.unwrap(), history);
    assert_eq!(shared.since(Table::NodeStates, 0).await.unwrap(), states);
    assert_eq!(shared.aside().await.unwrap(), aside);
    assert_eq!(shared.records(Table::Jobs).await.unwrap().len(), 1);
    let next = shared.put_if(Table::NodeStates, vec![write("c", Some("3"))]).await.unwrap();
    assert_eq!(next, [Written::At(4)], "no number is given twice");
    let (_, five) = commit(&loaded, |draft| draft.put(group("late")));
    shared.apply(4, vec![five]).await.unwrap();
    let changed = shared.load().await.unwrap();

    let back = tempfile::tempdir().unwrap();
    let to = |key: &std::path::Path| std::fs::copy(key, back.path().join("luna.key")).unwrap();
    to(&key);
    let (from, own) = ((&address, "one"), back.path().join("luna.key"));
    let taken = Store::move_to_embedded(from, back.path(), &own).await.unwrap_err();
    assert!(matches!(taken, Error::NameTaken { .. }), "the controller runs: {taken:?}");
    let (other, _) = Store::connect(&address, OTHER, &key).await.unwrap();
    drop(shared);
    let used = Store::move_to_embedded(from, back.path(), &own).await.unwrap_err();
    assert!(matches!(used, Error::InUse { .. }), "another controller runs: {used:?}");
    drop(other);
    let moved = Store::move_to_embedded(from, back.path(), &own).await.unwrap();
    assert_eq!((moved.revision, moved.entries), (5, 5));
    let (store, loaded) = open(back.path()).await;
    assert_eq!((&loaded, loaded.revision()), (&changed, 5));
    assert_eq!(store.history(None, 10).await.unwrap()[1..], history);
    assert_eq!(store.aside().await.unwrap(), aside);
    assert_eq!(store.since(Table::NodeStates, 2).await.unwrap().records.len(), 2);
}

#[tokio::test]
async fn nothing_is_put_beside_what_is_there() {
    let Some(site) = Site::postgres() else { return };
    let there = filled().await;
    let key = there.path().join("luna.key");
    drop(open(there.path()).await);
    let to = (&site.address(), "one");
    Store::move_to_postgres(there.path(), to, &key).await.unwrap();
    let again = Store::move_to_postgres(there.path(), to, &key).await.unwrap_err();
    assert!(matches!(again, Error::NotEmpty { .. }), "{again:?}");
    let back = Store::move_to_embedded(to, there.path(), &key).await.unwrap_err();
    assert!(matches!(back, Error::NotEmpty { .. }), "{back:?}");
    let other = tempfile::tempdir().unwrap();
    let wrong = Store::move_to_embedded(to, other.path(), &other.path().join("luna.key")).await;
    assert!(matches!(wrong, Err(Error::WrongKey { .. })), "{wrong:?}");
}
