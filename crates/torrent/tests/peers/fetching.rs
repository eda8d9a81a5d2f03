//! Clients that fetch from a seed and from each other.

use std::collections::BTreeMap;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use perilune_torrent::client::Stalled;
use perilune_torrent::tracker::Event;
use perilune_torrent::wire;

use crate::fake::{Caller, Fake, PATIENCE, Tracker, fetch, original};

#[test]
fn a_file_comes_from_one_peer_and_the_tracker_hears_of_it() {
    let original = original(20);
    let seed = Fake::at(&original, 1);
    let tracker = Tracker::of(&[seed.address()]);
    thread::scope(|scope| {
        scope.spawn(|| seed.serve(1));
        let got = fetch(&original, &tracker, 1, PATIENCE, |progress| {
            assert!(progress.is_complete());
            assert_eq!(progress.verified(), original.data.len() as u64);
        });
        assert!(got.unwrap() == original.data);
    });
    let events = tracker.events();
    assert_eq!((events.first(), events.last()), (Some(&Event::Started), Some(&Event::Stopped)));
}

#[test]
fn what_nobody_gives_is_not_waited_for_and_said_to_be_so() {
    let original = original(2);
    let silent = Fake::at(&original, 1);
    let soon = Duration::from_millis(300);
    let alone = fetch(&original, &Tracker::default(), 1, soon, |_| {}).unwrap_err();
    assert!(matches!(alone, Stalled::Silent { peers: 0, .. }), "{alone}");
    assert!(alone.to_string().ends_with("from 0 peers"), "{alone}");
    let tracker = Tracker::of(&[silent.address()]);
    let stalled = fetch(&original, &tracker, 1, soon, |_| {}).unwrap_err();
    assert!(matches!(stalled, Stalled::Silent { .. }), "it accepts and says nothing: {stalled}");
}

#[test]
fn clients_give_each_other_what_the_seed_has_given_once() {
    const CLIENTS: u8 = 5;
    let original = original(60);
    let seed = Fake::at(&original, 1);
    let tracker = Tracker::of(&[seed.address()]);
    let given: Mutex<BTreeMap<u32, usize>> = Mutex::default();
    let all_are_done = Barrier::new(usize::from(CLIENTS));
    let give = |caller: &mut Caller, number: u8| {
        // Each is told of other pieces, and of no more.
        for piece in (0..60).filter(|piece| *piece % u32::from(CLIENTS) == u32::from(number)) {
            caller.say(&wire::have(piece));
        }
        while let Some(blocks) = caller.requests() {
            for block in blocks {
                if block.begin == 0 {
                    *given.lock().unwrap().entry(block.piece).or_default() += 1;
                }
                caller.say(&wire::piece(&block, seed.bytes(&block)));
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..CLIENTS {
                let mut caller = seed.greet_with_nothing();
                let give = &give;
                scope.spawn(move || give(&mut caller, number));
            }
        });
        for number in 0..CLIENTS {
            let (original, tracker, all_are_done) = (&original, &tracker, &all_are_done);
            scope.spawn(move || {
                let got = fetch(original, tracker, number, PATIENCE, |progress| {
                    all_are_done.wait();
                    assert!(progress.given() > 0, "it gave to others");
                });
                assert!(got.unwrap() == original.data);
            });
        }
    });
    let given = given.lock().unwrap();
    assert!(given.len() == 60 && given.values().all(|times| *times == 1), "{given:?}");
}
