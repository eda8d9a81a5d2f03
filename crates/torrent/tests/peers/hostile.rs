//! Peers that lie, dawdle, flood and break off. Each has an address of its own, since whoever gives a wrong piece is left by its address.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use perilune_torrent::wire::{self, BLOCK, Block};

use crate::fake::{Fake, Original, PATIENCE, Tracker, fetch, original};

/// Fetches from an honest peer and a liar.
fn beside_an_honest_peer(original: &Original, lie: impl Fn(&Fake<'_>) + Sync) -> usize {
    let (honest, liar) = (Fake::at(original, 1), Fake::at(original, 2));
    let tracker = Tracker::of(&[liar.address(), honest.address()]);
    let mut wrong = 0;
    thread::scope(|scope| {
        let (honest, liar, lie) = (&honest, &liar, &lie);
        scope.spawn(move || lie(liar));
        scope.spawn(move || honest.serve(1));
        let got = fetch(original, &tracker, 1, PATIENCE, |progress| wrong = progress.wrong());
        assert!(got.unwrap() == original.data);
    });
    wrong
}

#[test]
fn wrong_pieces_are_thrown_away_and_their_giver_is_left() {
    let original = original(40);
    // The honest one comes when the liar was found out: nothing depends on who is quicker.
    let (honest, liar) = (Fake::at(&original, 1), Fake::at(&original, 2));
    let tracker = Tracker::of(&[liar.address()]);
    let mut wrong = 0;
    thread::scope(|scope| {
        let (honest, liar, tracker) = (&honest, &liar, &tracker);
        scope.spawn(move || {
            let mut caller = liar.greet().unwrap();
            while let Some(blocks) = caller.requests() {
                for block in blocks {
                    caller.say(&wire::piece(&block, &vec![7; block.length as usize]));
                }
            }
            tracker.add(honest.address());
            honest.serve(1);
        });
        let got = fetch(&original, tracker, 1, PATIENCE, |progress| wrong = progress.wrong());
        assert!(got.unwrap() == original.data);
    });
    assert_eq!(wrong, 1, "after the first one it is asked for nothing");
}

#[test]
fn lengths_and_numbers_that_cannot_be_end_a_connection_and_nothing_else() {
    let original = original(6);
    let pieces = original.torrent.layout.pieces;
    let block = Block { piece: 0, begin: 0, length: BLOCK };
    let request = |piece, begin, length| wire::request(&Block { piece, begin, length });
    let wrong: Vec<Vec<u8>> = vec![
        vec![0xff; 9],
        wire::piece(&block, &vec![0; 1 << 20]),
        wire::have(pieces).to_vec(),
        wire::bitfield(&vec![true; pieces as usize + 8]),
        vec![0, 0, 0, 2, 5, 0xff],
        request(0, 0, 0),
        request(0, 0, u32::MAX),
        request(u32::MAX, u32::MAX, BLOCK),
        // It has none yet.
        request(pieces - 1, 0, 1),
        vec![0, 0, 0, 2, 4, 0],
        request(0, 0, 1).repeat(3000),
    ];
    thread::scope(|scope| {
        for lie in &wrong {
            let original = &original;
            scope.spawn(move || {
                beside_an_honest_peer(original, |liar| {
                    let mut caller = liar.greet_with_nothing();
                    caller.say(lie);
                    caller.wait_for_end();
                })
            });
        }
    });
}

#[test]
fn blocks_that_nobody_asked_for_are_nothing() {
    let original = original(6);
    let wrong = beside_an_honest_peer(&original, |liar| {
        let mut caller = liar.greet_with_nothing();
        for piece in 0..6 {
            for begin in [0, 1, BLOCK, u32::MAX - 1] {
                let block = Block { piece, begin, length: 100 };
                caller.say(&wire::piece(&block, &[7; 100]));
            }
        }
        caller.wait_for_end();
    });
    assert_eq!(wrong, 0);
}

#[test]
fn whoever_promises_everything_and_gives_nothing_holds_up_nobody_for_long() {
    let original = original(40);
    let lies: [fn(&Fake<'_>); 4] = [
        |liar| liar.greet().unwrap().wait_for_end(),
        // The beginning of each piece, and no more.
        |liar| {
            let mut caller = liar.greet().unwrap();
            while let Some(blocks) = caller.requests() {
                for block in blocks.iter().filter(|block| block.begin == 0) {
                    caller.say(&wire::piece(block, liar.bytes(block)));
                }
            }
        },
        // It may not be asked, after it was.
        |liar| {
            let mut caller = liar.greet().unwrap();
            caller.requests();
            caller.say(&[0, 0, 0, 1, 0]);
            caller.wait_for_end();
        },
        |liar| {
            liar.greet().unwrap().requests();
        },
    ];
    thread::scope(|scope| {
        for lie in lies {
            let original = &original;
            scope.spawn(move || beside_an_honest_peer(original, lie));
        }
    });
}

#[test]
fn who_calls_and_is_no_peer_is_left() {
    let original = original(30);
    let seed = Fake::at(&original, 1);
    let tracker = Tracker::of(&[seed.address()]);
    thread::scope(|scope| {
        scope.spawn(|| seed.serve(1));
        let got = fetch(&original, &tracker, 1, PATIENCE, |_| {
            let client = tracker.others(&[seed.address()]);
            let client = *client.first().unwrap();
            let call = || TcpStream::connect(client).unwrap();
            // Another torrent, another protocol, and one that is itself.
            for greeting in [
                wire::handshake(&[9; 20], &[9; 20]),
                vec![b'G'; 68],
                wire::handshake(&original.torrent.hash, &[1; 20]),
            ] {
                let mut stream = call();
                stream.write_all(&greeting).unwrap();
                assert_eq!(std::io::copy(&mut stream, &mut std::io::sink()).unwrap_or(0), 0);
            }
            // More calls from one address than it may have.
            let calls: Vec<TcpStream> = (0..10).map(|_| call()).collect();
            let is_closed = |mut stream: TcpStream| {
                stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
                std::io::copy(&mut stream, &mut std::io::sink()).is_ok()
            };
            assert!(calls.into_iter().map(is_closed).filter(|c| *c).count() >= 8);
        });
        assert!(got.unwrap() == original.data);
    });
}

#[test]
fn a_client_that_cannot_keep_pieces_says_so() {
    use perilune_torrent::client::{Fetch, Stalled};
    let original = original(4);
    let seed = Fake::at(&original, 1);
    let tracker = Tracker::of(&[seed.address()]);
    // Nothing can be written there.
    let full = std::fs::File::options().read(true).write(true).open("/dev/full").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| seed.serve(1));
        let fetch = Fetch { torrent: &original.torrent, file: &full, id: [1; 20], port: 0 };
        let result = fetch
            .while_fetching(&|said| Ok(tracker.ask(said)), |progress| progress.wait(0, PATIENCE));
        let Err(Stalled::Failed(reason)) = result.unwrap() else { panic!("it has no room") };
        assert!(reason.contains("No space left on device"), "{reason}");
    });
}
