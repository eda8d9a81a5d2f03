//! What every board promises, over a real store.
#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use perilune_boards::{Board, Durability, Error, Rules, Since, Unreadable, Update, Writer};
use perilune_store::{Store, Table, Write};
use tokio::task::JoinSet;

const RULES: Rules = Rules { keys: 100, changes: 10 };

fn key(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

async fn open(store: &Store) -> (Board<String, u32>, Writer<String, u32>, Vec<Unreadable>) {
    Board::open(store, Table::NodeStates, key, Durability::Behind, RULES).await.unwrap()
}

fn set(board: &Board<String, u32>, key: &str, value: u32) -> u64 {
    board.update(&key.to_owned(), |_| Update::Put(value))
}

fn add(former: Option<&Arc<u32>>) -> Update<u32> {
    Update::Put(former.map_or(1, |former| **former + 1))
}

fn changes(news: Since<String, u32>) -> Vec<(String, Option<u32>)> {
    match news {
        Since::Changes(changes) => changes
            .into_iter()
            .map(|change| (change.key, change.value.map(|value| *value)))
            .collect(),
        Since::Whole(snapshot) => panic!("begun anew as of {}", snapshot.sequence()),
    }
}

fn is_whole(news: &Since<String, u32>) -> bool {
    matches!(news, Since::Whole(_))
}

/// Opens the directory again as soon as the former store has let go of it.
async fn reopen(directory: &std::path::Path) -> Store {
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

#[tokio::test]
async fn every_change_has_a_number_and_a_snapshot_does_not_change() {
    let board = Board::volatile(1, RULES);
    let first = set(&board, "a", 1);
    let before = board.snapshot();
    let second = set(&board, "b", 2);
    let third = board.update(&"a".to_owned(), |_| Update::Remove);
    assert!(first < second && second < third, "{first} {second} {third}");
    assert_eq!(board.update(&"c".to_owned(), |_| Update::Remove), third, "nothing to remove");
    assert_eq!((before.get("a").map(|value| **value), before.len()), (Some(1), 1));
    assert_eq!(changes(board.since(first)), [("b".to_owned(), Some(2)), ("a".to_owned(), None)]);
    assert_eq!(changes(board.since(third)), []);
}

#[tokio::test]
async fn a_follower_gets_every_change_and_a_slow_one_begins_anew_and_holds_nobody_back() {
    let board = Board::volatile(1, RULES);
    let (snapshot, mut follower) = board.subscribe();
    let (_, mut slow) = board.subscribe();
    assert!(snapshot.is_empty());
    for value in 0..5 {
        set(&board, "a", value);
    }
    let told = changes(follower.next().await.unwrap());
    assert_eq!(told.iter().map(|(_, value)| value.unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    for value in 5..1000 {
        set(&board, &format!("{}", value % 7), value);
    }
    assert!(is_whole(&slow.next().await.unwrap()), "it missed more than is kept");
    set(&board, "a", 1000);
    assert_eq!(changes(slow.next().await.unwrap()), [("a".to_owned(), Some(1000))]);
    drop(board);
    assert!(slow.next().await.is_none(), "the board is gone");
}

#[tokio::test]
async fn who_waits_for_a_key_is_told_when_it_is_as_wanted() {
    let board = Board::volatile(1, RULES);
    let key = "a".to_owned();
    let waits = board.until(&key, |value| value.is_some_and(|value| **value == 3));
    let works = async {
        for value in 0..=3 {
            set(&board, "a", value);
            tokio::task::yield_now().await;
        }
    };
    let both = async { tokio::join!(waits, works) };
    tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    board.until(&key, |value| value.is_some()).await;
}

#[tokio::test]
async fn the_key_that_was_unchanged_for_longest_goes_first_and_followers_hear_of_it() {
    let board = Board::volatile(1, Rules { keys: 2, changes: 10 });
    set(&board, "a", 1);
    set(&board, "b", 2);
    let known = set(&board, "a", 3);
    set(&board, "c", 4);
    let left: Vec<_> = board.snapshot().iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(left, ["a", "c"]);
    assert_eq!(changes(board.since(known)), [("c".to_owned(), Some(4)), ("b".to_owned(), None)]);
}

#[tokio::test]
async fn what_was_answered_outlives_a_kill_and_what_was_not_was_not_answered() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    let (board, writer, _) = open(&store).await;
    let mut tasks = JoinSet::new();
    tasks.spawn(writer.run());
    board.update_stored(&"answered".to_owned(), add).await.unwrap();
    // Killed: what writes is gone without a last word.
    tasks.shutdown().await;
    let unanswered = board.update_stored(&"lost".to_owned(), add).await;
    assert!(unanswered.is_err(), "nobody was told that it is stored");
    assert_eq!(board.get("lost").as_deref(), Some(&1), "it was seen all the same");
    drop((board, store));

    let store = reopen(directory.path()).await;
    let (board, _writer, _) = open(&store).await;
    assert_eq!(board.get("answered").as_deref(), Some(&1));
    assert_eq!(board.get("lost"), None);
}

#[tokio::test]
async fn a_number_of_a_former_life_is_told_everything() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    let (board, writer, _) = open(&store).await;
    set(&board, "a", 1);
    set(&board, "b", 1);
    let known = board.update(&"b".to_owned(), |_| Update::Remove);
    drop(board);
    // The last handle is gone: what is not stored is, and the writer ends.
    writer.run().await;
    drop(store);

    let store = reopen(directory.path()).await;
    let (board, _writer, _) = open(&store).await;
    assert!(is_whole(&board.since(known)));
    let now = board.snapshot();
    assert!(now.sequence() > known, "numbers never go back");
    assert_eq!(now.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["a"]);
    set(&board, "c", 1);
    assert!(is_whole(&board.since(known)));
    assert_eq!(changes(board.since(now.sequence())), [("c".to_owned(), Some(1))]);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_reported_and_kept_aside() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    let good = Write::put("good".to_owned(), "7".to_owned());
    let bad = Write::put("bad".to_owned(), "{ no number".to_owned());
    store.put_if(Table::NodeStates, vec![good, bad]).await.unwrap();
    let (board, _writer, unreadable) = open(&store).await;
    assert_eq!(board.get("good").as_deref(), Some(&7));
    assert_eq!((unreadable.len(), unreadable[0].key.as_str()), (1, "bad"));
    assert!(!unreadable[0].reason.is_empty());
    let aside = store.aside().await.unwrap();
    assert_eq!((aside[0].table.as_str(), aside[0].body.as_str()), ("node_state", "{ no number"));
    let (_, _, unreadable) = open(&store).await;
    assert_eq!(unreadable, [], "it is out of the way");
}

#[tokio::test]
async fn of_two_controllers_each_change_counts() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    let mut tasks = JoinSet::new();
    let mut adders = JoinSet::new();
    for _ in 0..2 {
        let (board, writer, _) = open(&store).await;
        tasks.spawn(writer.run());
        adders.spawn(async move {
            for _ in 0..20 {
                // As a client would that was told to try again.
                while let Err(error) = board.update_stored(&"a".to_owned(), add).await {
                    assert!(matches!(error, Error::Contended), "{error}");
                }
            }
        });
    }
    adders.join_all().await;
    tasks.join_all().await;
    let record = store.records(Table::NodeStates).await.unwrap();
    assert_eq!(record[0].body.as_deref(), Some("40"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_share_writes_and_all_count() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    let (board, writer, _) = open(&store).await;
    let mut tasks = JoinSet::new();
    tasks.spawn(writer.run());
    let mut writers = JoinSet::new();
    for number in 0..400 {
        let board = board.clone();
        writers.spawn(async move {
            board.update_stored(&format!("{}", number % 3), add).await.unwrap();
        });
    }
    writers.join_all().await;
    let records = store.records(Table::NodeStates).await.unwrap();
    let stored = records.iter().map(|record| record.body.as_deref().unwrap().parse::<u32>());
    assert_eq!(stored.map(Result::unwrap).sum::<u32>(), 400);
    drop(board);
    tasks.join_all().await;
}

#[tokio::test]
async fn when_nothing_is_stored_any_more_nobody_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    let (board, writer, _) = open(&store).await;
    let key = "a".to_owned();
    let (waits, ()) = tokio::join!(board.update_stored(&key, add), async { drop(writer) });
    assert!(matches!(waits, Err(Error::Stopping)), "{waits:?}");
    assert!(matches!(board.update_stored(&key, add).await, Err(Error::Stopping)));
}
