//! Servers that acknowledge what they alone have, and sites that do not want that.

use std::time::Duration;

use perilune_store::{Address, Beat, Error, Standby, Store, Table, Write, Written};

use crate::contract::{commit, group};
use crate::postgres::until_waiting;
use crate::site::{OTHER, Site};

async fn connect(site: &Site) -> Store {
    let address = Address { standby: Standby::Required, ..site.address() };
    Store::connect(&address, OTHER, &site.key()).await.unwrap().0
}

/// What Patroni does when it sees that the standby is gone, without its strict mode.
fn wait_for(site: &Site, names: &str) {
    let sql = format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'");
    site.server().sql(site.database(), &sql);
    site.server().sql(site.database(), "SELECT pg_reload_conf()");
}

fn record() -> Vec<Write> {
    vec![Write::put("10.0.0.1".to_owned(), "{}".to_owned())]
}

#[tokio::test]
async fn nothing_is_acknowledged_without_a_standby_where_one_is_required() {
    let Some(site) = Site::postgres() else { return };
    let (free, empty) = site.open().await;
    let store = connect(&site).await;
    let (_, one) = commit(&empty, |draft| draft.put(group("compute")));
    for error in [
        store.apply(0, vec![one.clone()]).await.unwrap_err(),
        store.put_if(Table::Leases, record()).await.unwrap_err(),
        store.claim_master(0, false).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::NoStandby) && error.is_away(), "{error:?}");
    }
    assert_eq!(store.load().await.unwrap().revision(), 0, "it can be read, and nothing is stored");
    let beat = Beat {
        name: OTHER.to_owned(),
        url: String::new(),
        revision: 0,
        in_sync: true,
        is_first: true,
    };
    assert!(!store.beat(&beat).await.unwrap().waits_for_standby);
    let standby = site.server().standby();
    while !store.beat(&beat).await.unwrap().waits_for_standby {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(store.apply(0, vec![one]).await.unwrap(), 1);
    store.put_if(Table::Leases, record()).await.unwrap();
    assert!(store.claim_master(0, false).await.unwrap().is_some());
    drop((standby, free));
}

/// The server lets whoever waits go on, as if all were well.
#[tokio::test]
async fn what_stops_waiting_for_the_standby_is_not_acknowledged_until_it_is_there() {
    let Some(site) = Site::postgres() else { return };
    drop(site.open().await);
    let store = connect(&site).await;
    let standby = site.server().standby();
    let empty = store.load().await.unwrap();
    let (first, one) = commit(&empty, |draft| draft.put(group("one")));
    while store.apply(0, vec![one.clone()]).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    standby.stop();
    let (_, two) = commit(&first, |draft| draft.put(group("two")));
    let mut applying = Box::pin(store.apply(1, vec![two.clone()]));
    let mut writing = Box::pin(store.put_if(Table::Leases, record()));
    let both = async {
        until_waiting(&site, "WITH moved", "1").await;
        until_waiting(&site, "COMMIT", "1").await;
    };
    tokio::select! {
        _ = &mut applying => panic!("acknowledged without the standby"),
        _ = &mut writing => panic!("acknowledged without the standby"),
        () = both => {}
    }
    wait_for(&site, "");
    let soon = async {
        tokio::select! {
            done = &mut applying => format!("{done:?}"),
            done = &mut writing => format!("{done:?}"),
        }
    };
    let soon = tokio::time::timeout(Duration::from_secs(2), soon).await;
    assert!(soon.is_err(), "one server alone has it: {soon:?}");
    let there = site.server().sql(site.database(), "SELECT revision FROM head");
    assert_eq!(there, "2", "the server has let it go on");
    // The standby is back, and has everything.
    standby.go_on();
    wait_for(&site, "*");
    let (applied, written) = tokio::join!(applying, writing);
    assert_eq!(applied.unwrap(), 2);
    assert!(matches!(written.unwrap()[..], [Written::At(_)]));
    assert_eq!(standby.sql(site.database(), "SELECT revision FROM head"), "2");
}
