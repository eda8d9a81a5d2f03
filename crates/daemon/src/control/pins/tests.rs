//! Pinned certificates outlive the daemon, and the first one that a BMC showed stays.

use std::sync::Arc;

use perilune_boards::Since;
use perilune_store::Write;
use tokio::task::JoinSet;

use super::*;
use crate::leases::tests::{reopen, store_in};

const BMC: &str = "10.148.0.1 443";

fn shown(number: u8) -> Fingerprint {
    Fingerprint::of(&[number])
}

fn pinned(pins: &PinnedCertificates, bmc: &str) -> Option<Fingerprint> {
    pins.snapshot().get(bmc).map(|pin| pin.0)
}

async fn open(store: &Store) -> (PinnedCertificates, JoinSet<()>) {
    let (pins, writer, unreadable) = PinnedCertificates::open(store).await.unwrap();
    assert_eq!(unreadable, []);
    let mut tasks = JoinSet::new();
    tasks.spawn(writer.run());
    (pins, tasks)
}

#[tokio::test]
async fn the_first_certificate_is_stored_before_the_answer_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path());
    let (pins, mut tasks) = open(&store).await;
    tokio::join!(pins.pin(BMC, shown(1)), pins.pin(BMC, shown(2)));
    // Killed: what writes is gone without a last word.
    tasks.shutdown().await;
    drop((pins, store));

    let store = reopen(directory.path()).await;
    let (pins, mut tasks) = open(&store).await;
    assert_eq!(pinned(&pins, BMC), Some(shown(1)));
    assert!(pins.forget(BMC) && !pins.forget(BMC));
    pins.pin("other 443", shown(3)).await;
    pins.forget_stored(&["other 443".to_owned(), "nobody 443".to_owned()]).await.unwrap();
    tasks.shutdown().await;
    drop((pins, store));

    let (pins, _tasks) = open(&reopen(directory.path()).await).await;
    assert!(pins.snapshot().is_empty(), "what was forgotten stays so");
}

#[tokio::test]
async fn a_kill_between_update_and_answer_leaves_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path());
    let (pins, mut tasks) = open(&store).await;
    tasks.shutdown().await;
    let stored =
        pins.0.update_stored(&BMC.to_owned(), |_| Update::Put(PinnedCertificate(shown(1)))).await;
    assert!(stored.is_err());
    drop((pins, store));
    let (pins, _tasks) = open(&reopen(directory.path()).await).await;
    assert_eq!(pinned(&pins, BMC), None);
}

#[tokio::test]
async fn a_slow_follower_begins_anew_and_a_number_of_a_former_life_is_told_everything() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path());
    let (pins, mut tasks) = open(&store).await;
    let (_, mut slow) = pins.0.subscribe();
    let bmcs: Vec<String> = (0..RULES.changes + 2).map(|number| format!("{number} 443")).collect();
    let put =
        |_: &String, _: Option<&Arc<PinnedCertificate>>| Update::Put(PinnedCertificate(shown(1)));
    let known = pins.0.update_each_stored(&bmcs, put).await.unwrap();
    assert!(matches!(slow.next().await, Some(Since::Whole(all)) if all.len() == bmcs.len()));
    tasks.shutdown().await;
    drop((slow, pins, store));
    let (pins, _tasks) = open(&reopen(directory.path()).await).await;
    assert!(matches!(pins.0.since(known), Since::Whole(all) if all.len() == bmcs.len()));
}

#[tokio::test]
async fn a_record_that_is_no_fingerprint_is_reported_and_kept_aside() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path());
    let good = serde_json::to_string(&PinnedCertificate(shown(1))).unwrap();
    assert_eq!(good, format!("\"{}\"", shown(1)), "as it was always stored");
    let records = [(BMC, good.as_str()), ("odd 443", "\"12:34\""), ("worse 443", "7")];
    let writes = records.map(|(key, body)| Write::put(key.to_owned(), body.to_owned()));
    store.put_if(Table::BmcCertificates, writes.to_vec()).await.unwrap();
    let (pins, _writer, unreadable) = PinnedCertificates::open(&store).await.unwrap();
    assert_eq!(pinned(&pins, BMC), Some(shown(1)));
    let keys: Vec<&str> = unreadable.iter().map(|record| record.key.as_str()).collect();
    assert_eq!(keys, ["odd 443", "worse 443"]);
    assert_eq!(store.aside().await.unwrap().len(), 2);
}
