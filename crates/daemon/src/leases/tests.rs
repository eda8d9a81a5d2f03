//! What is lent outlives the daemon, and is lent once.

mod several;

use std::time::Duration;

use perilune_boards::Since;
use perilune_dhcp::Source;
use perilune_store::Write;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;

const ADDRESS: IpAddr = IpAddr::V4(FIRST);
const FIRST: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 141, 200, 1);
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

fn mac(last: u8) -> MacAddress {
    MacAddress::ethernet([2, 0, 0, 0, 0, last])
}

/// A lease of [`ADDRESS`] on the clock of leases.
fn lease(machine: u8, lasts: u64) -> Lease {
    let until = clock::steady_milliseconds() + lasts;
    Lease { address: ADDRESS, mac: mac(machine), until, source: Source::Machine, name: None }
}

pub(crate) fn store_in(directory: &std::path::Path) -> Store {
    Store::open(directory, &directory.join("luna.key")).unwrap().0
}

/// Opens the directory again as soon as the former store has let go of it.
pub(crate) async fn reopen(directory: &std::path::Path) -> Store {
    let opened = async {
        loop {
            match Store::open(directory, &directory.join("luna.key")) {
                Err(perilune_store::Error::Locked { .. }) => tokio::task::yield_now().await,
                opened => return opened.unwrap().0,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), opened).await.unwrap()
}

/// The leases of a store, and the task that stores them until it is killed.
async fn open(store: &Store) -> (Leases, JoinSet<()>) {
    let (leases, writer, unreadable) = Leases::open(store).await.unwrap();
    assert_eq!(unreadable, []);
    let mut tasks = JoinSet::new();
    tasks.spawn(writer.run());
    (leases, tasks)
}

/// As DHCP does it: decided in the table, then stored.
fn lend(leases: &Leases, lease: Lease) -> Storing {
    leases.lock().lend(lease.clone());
    leases.store(vec![Edit::Lent(lease)])
}

#[test]
fn a_clock_that_is_set_changes_nothing_of_what_a_lease_lasts() {
    let lease = |until| Lease { until, ..lease(1, 0) };
    // Two hours are left, and the other clock is a day and more behind or before.
    for now in [3 * DAY, 30 * DAY] {
        assert_eq!(to_be_stored(lease(100 * DAY + 2 * HOUR), now, 100 * DAY).until, now + 2 * HOUR);
    }
    assert_eq!(restored(lease(7 * DAY), 7 * DAY - HOUR, 50).until, 50 + HOUR);
    assert_eq!(restored(lease(7 * DAY), 6 * DAY, 50).until, 50 + 8 * HOUR, "a day back");
    assert_eq!(restored(lease(7 * DAY), 8 * DAY, 50).until, 50, "it has ended");
}

#[tokio::test]
async fn a_lease_that_was_answered_outlives_a_kill_and_one_that_was_not_stored_is_not_answered() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path());
    let (leases, mut tasks) = open(&store).await;
    assert_eq!(lend(&leases, lease(1, HOUR)).await, Stored::Durable(vec![]));
    // Killed between the update and the answer: what writes is gone without a last word.
    tasks.shutdown().await;
    let other = Lease { address: [10, 141, 200, 2].into(), ..lease(2, HOUR) };
    let storing = lend(&leases, other);
    assert!(leases.has(mac(2), [10, 141, 200, 2].into()), "it is seen at once");
    assert_eq!(storing.await, Stored::Failed, "nobody was told that it is lent");
    drop((leases, store));

    let store = reopen(directory.path()).await;
    let (leases, _tasks) = open(&store).await;
    let steady = clock::steady_milliseconds();
    assert!(leases.lock().is_lent(ADDRESS, mac(1), steady));
    assert!(leases.has(mac(1), ADDRESS) && !leases.has(mac(2), ADDRESS));
    assert_eq!((leases.of(mac(1)).next(), leases.of(mac(2)).next()), (Some(ADDRESS), None));
    let now = clock::milliseconds();
    assert_eq!(leases.lent_within(ADDRESS..=[10, 141, 200, 9].into(), now), 1);
    assert_eq!(leases.lent_within(ADDRESS..=[10, 141, 200, 9].into(), now + 2 * HOUR), 0);
}

#[tokio::test]
async fn a_lease_that_is_told_again_waits_for_the_store_only_while_it_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path());
    let (leases, writer, _) = Leases::open(&store).await.unwrap();
    let first = lease(1, HOUR);
    let storing = lend(&leases, first.clone());
    let mut again = lend(&leases, first.clone());
    assert!(futures_util::poll!(&mut again).is_pending(), "it is not stored yet");
    let mut tasks = JoinSet::new();
    tasks.spawn(writer.run());
    assert_eq!((storing.await, again.await), (Stored::Durable(vec![]), Stored::Durable(vec![])));
    // From now on nothing is written any more.
    tasks.shutdown().await;
    assert_eq!(lend(&leases, first.clone()).await, Stored::Durable(vec![]));
    let named = Lease { name: Some("laptop".to_owned()), ..first.clone() };
    assert_eq!(lend(&leases, named).await, Stored::Failed, "it is another");
    let later = Lease { until: first.until + 5_000, ..first };
    assert_eq!(lend(&leases, later).await, Stored::Failed, "it ends later");
}

#[tokio::test]
async fn a_lease_that_is_over_is_not_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path());
    let (leases, mut tasks) = open(&store).await;
    lend(&leases, lease(1, HOUR)).await;
    assert!(leases.lock().release(ADDRESS, mac(1)));
    let over = leases.lock().take_over();
    assert_eq!(leases.store(over).await, Stored::Durable(vec![]));
    tasks.shutdown().await;
    drop((leases, store));

    let (leases, _tasks) = open(&reopen(directory.path()).await).await;
    assert_eq!(leases.of(mac(1)).next(), None);
}

#[tokio::test]
async fn of_two_controllers_one_lends_an_address_and_the_other_learns_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path());
    let (here, _tasks) = open(&store).await;
    let (there, _others) = open(&store).await;
    assert_eq!(lend(&there, lease(1, HOUR)).await, Stored::Durable(vec![]));
    assert_eq!(lend(&here, lease(2, HOUR)).await, Stored::Durable(vec![ADDRESS]));
    assert_eq!((here.of(mac(1)).next(), here.of(mac(2)).next()), (Some(ADDRESS), None));
    assert!(here.has(mac(1), ADDRESS));
    // What has ended over there may be lent here.
    assert_eq!(lend(&there, lease(1, 0)).await, Stored::Durable(vec![]));
    assert_eq!(lend(&here, lease(2, HOUR)).await, Stored::Durable(vec![]));
    assert!(here.has(mac(2), ADDRESS));
}

#[tokio::test]
async fn a_record_that_is_no_lease_is_reported_and_kept_aside() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path());
    let body = serde_json::to_string(&lease(1, HOUR)).unwrap();
    let records = [("10.141.200.1", body.as_str()), ("nowhere", &body), ("10.141.200.3", "{")];
    let writes = records.map(|(key, body)| Write::put(key.to_owned(), body.to_owned()));
    store.put_if(Table::Leases, writes.to_vec()).await.unwrap();
    let (leases, _writer, unreadable) = Leases::open(&store).await.unwrap();
    let keys: Vec<&str> = unreadable.iter().map(|record| record.key.as_str()).collect();
    assert_eq!(keys, ["nowhere", "10.141.200.3"]);
    assert!(leases.has(mac(1), ADDRESS));
    assert_eq!(store.aside().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_slow_follower_begins_anew_and_a_number_of_a_former_life_is_told_everything() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path());
    let (leases, mut tasks) = open(&store).await;
    let (_, mut slow) = leases.board.subscribe();
    // More changes than are kept for who is slow.
    let last = u32::try_from(RULES.changes).unwrap() + 2;
    let edits = (0..last).map(|number| {
        let address = std::net::Ipv4Addr::from(u32::from(FIRST) + number % 256).into();
        // Each lasts longer than the one before, so that none is that one.
        let lasts = HOUR + u64::from(number) * 5_000;
        Edit::Lent(Lease { address, ..lease(u8::try_from(number % 256).unwrap(), lasts) })
    });
    for edit in edits {
        // Nobody waits for the one who is slow.
        drop(leases.store(vec![edit]));
    }
    assert!(matches!(slow.next().await, Some(Since::Whole(all)) if all.len() == 256));
    leases.board.stored_now(&ADDRESS).await.unwrap();
    let known = leases.board.snapshot().sequence();
    tasks.shutdown().await;
    drop((slow, leases, store));

    let (leases, _tasks) = open(&reopen(directory.path()).await).await;
    let Since::Whole(all) = leases.board.since(known) else { panic!("of a former life") };
    assert!(all.get(&ADDRESS).is_some());
}
