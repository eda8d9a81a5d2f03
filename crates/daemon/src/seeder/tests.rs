use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use perilune_torrent::wire::{INTERESTED, request};

use super::*;
use crate::swarm::Announcement;
use crate::torrents::{self, Addresses};

const ARCHIVE: &str = "a-1.tar.zst";
const PIECE: usize = 256 << 10;
const BLOCK: usize = 16 << 10;

/// A seeder of one archive; clients at the loopback address have announced it.
struct Site {
    directory: tempfile::TempDir,
    swarm: Swarm,
    hash: InfoHash,
    data: Vec<u8>,
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

async fn site(pieces: usize, is_announced: bool) -> Site {
    let directory = tempfile::tempdir().unwrap();
    let count = u32::try_from((pieces * PIECE - 1000) / 4).unwrap();
    let data: Vec<u8> = (0..count).flat_map(u32::to_le_bytes).collect();
    fs::write(directory.path().join(ARCHIVE), &data).unwrap();
    let addresses = Addresses { announce: "http://c/announce".to_owned(), seed: None };
    torrents::write(directory.path(), ARCHIVE, &addresses, &|| false).unwrap();
    let hash = *torrents::known(directory.path()).first_key_value().unwrap().0;
    let swarm = Swarm::default();
    let now = clock::steady_milliseconds();
    assert_eq!(swarm.archive(&hash, directory.path(), now).as_deref(), Some(ARCHIVE));
    if is_announced {
        let address = "127.0.0.1:6881".parse().unwrap();
        let said = Announcement { hash, address, id: [1; 20], is_complete: false, is_over: false };
        swarm.announce(&said, 0, now);
    }
    let seeder = Seeder::new(swarm.clone(), directory.path().to_owned(), None);
    let listener = seeder.listen(0).await.unwrap();
    let address = ([127, 0, 0, 1], listener.local_addr().unwrap().port()).into();
    let mut tasks = JoinSet::new();
    tasks.spawn(seeder.run(listener, CancellationToken::new()));
    Site { directory, swarm, hash, data, address, _tasks: tasks }
}

impl Site {
    async fn greet(&self, hash: &InfoHash) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(&wire::handshake(hash, b"-TE0001-aaaaaaaaaaaa")).await.unwrap();
        stream
    }

    async fn friend(&self) -> TcpStream {
        let mut stream = self.greet(&self.hash).await;
        let mut answer = [0; HANDSHAKE];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(wire::hash(&answer), Some(self.hash));
        stream
    }
}

/// The kind of the next message and what is in it; `None` when it is over.
async fn message(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    loop {
        let length = stream.read_u32().await.ok()?;
        let mut body = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut body).await.ok()?;
        if let Some((kind, rest)) = body.split_first() {
            return Some((*kind, rest.to_vec()));
        }
    }
}

fn block(piece: usize, begin: usize, length: usize) -> Block {
    let [piece, begin, length] =
        [piece, begin, length].map(|number| u32::try_from(number).unwrap());
    Block { piece, begin, length }
}

/// Fetches everything as a client that asks for what it is told of; the order of the pieces.
async fn fetch(site: &Site, mut stream: TcpStream) -> Vec<usize> {
    let mut got = vec![0; site.data.len()];
    let mut order = Vec::new();
    let (mut open, mut unchoked) = (Vec::new(), false);
    stream.write_all(&INTERESTED).await.unwrap();
    while let Some((kind, body)) = message(&mut stream).await {
        let number = |at: usize| {
            usize::try_from(u32::from_be_bytes(body[at..at + 4].try_into().unwrap())).unwrap()
        };
        match kind {
            1 => unchoked = true,
            4 => open.push(number(0)),
            7 => {
                let begin = number(0) * PIECE + number(4);
                got[begin..begin + body.len() - 8].copy_from_slice(&body[8..]);
                let end = (number(0) + 1) * PIECE;
                if begin + body.len() - 8 == end.min(got.len()) {
                    order.push(number(0));
                    stream.write_all(&wire::have(u32::try_from(number(0)).unwrap())).await.unwrap();
                }
            }
            other => panic!("it says {other}"),
        }
        if unchoked {
            for piece in open.drain(..) {
                let length = PIECE.min(got.len() - piece * PIECE);
                for begin in (0..length).step_by(BLOCK) {
                    let block = block(piece, begin, BLOCK.min(length - begin));
                    stream.write_all(&request(&block)).await.unwrap();
                }
            }
        }
        if order.len() == got.len().div_ceil(PIECE) {
            break;
        }
    }
    assert!(got == site.data, "it is what the archive has");
    order
}

#[tokio::test]
async fn a_peer_gets_the_archive_and_two_get_other_pieces_first() {
    let site = site(40, true).await;
    let (first, second) = (site.friend().await, site.friend().await);
    let (first, second) = tokio::join!(fetch(&site, first), fetch(&site, second));
    let begin = |order: &[usize]| order[..10].to_vec();
    assert!(
        begin(&first).iter().all(|piece| !begin(&second).contains(piece)),
        "{first:?} {second:?}"
    );
}

#[tokio::test]
async fn who_asks_out_of_its_turn_is_answered_in_it_and_is_never_told_to_wait() {
    let site = site(3, true).await;
    let mut stream = site.friend().await;
    let mut told = Vec::new();
    // It asks for nothing in any turn, until it was told of everything.
    while told.len() < 3 {
        match message(&mut stream).await.unwrap() {
            (1, _) => {}
            (4, body) => told.push(body[3]),
            other => panic!("{other:?}"),
        }
    }
    told.sort_unstable();
    assert_eq!(told, [0, 1, 2]);
    stream.write_all(&request(&block(1, 0, BLOCK))).await.unwrap();
    let (kind, body) = message(&mut stream).await.unwrap();
    assert_eq!((kind, &body[8..]), (7, &site.data[PIECE..PIECE + BLOCK]));
}

#[tokio::test]
async fn more_peers_than_slots_take_turns_and_all_get_everything() {
    let site = Arc::new(site(20, true).await);
    let mut peers = JoinSet::new();
    // As many as one address may have, each more than once.
    for _ in 0..3 {
        for _ in 0..MOST_OF_ADDRESS {
            let (site, stream) = (Arc::clone(&site), site.friend().await);
            peers.spawn(async move { fetch(&site, stream).await.len() });
        }
        while let Some(pieces) = peers.join_next().await {
            assert_eq!(pieces.unwrap(), 20);
        }
    }
}

#[tokio::test]
async fn who_has_not_announced_or_speaks_otherwise_is_left_without_an_answer() {
    let strangers = site(2, false).await;
    let mut nothing = Vec::new();
    strangers.greet(&strangers.hash).await.read_to_end(&mut nothing).await.unwrap();
    let known = site(2, true).await;
    known.greet(&[9; 20]).await.read_to_end(&mut nothing).await.ok();
    let mut other = TcpStream::connect(known.address).await.unwrap();
    other.write_all(&[b'G'; 200]).await.unwrap();
    other.read_to_end(&mut nothing).await.ok();
    assert_eq!(nothing, b"");
    // An archive that is not what its torrent says is nobody's.
    fs::write(known.directory.path().join(ARCHIVE), "other").unwrap();
    known.greet(&known.hash).await.read_to_end(&mut nothing).await.ok();
    assert_eq!(nothing, b"");
    let (port, id) = known.swarm.seeder().unwrap();
    assert_eq!((port, &id), (known.address.port(), ID));
}

#[tokio::test]
async fn who_asks_for_the_same_again_and_again_is_left() {
    let site = site(2, true).await;
    let stream = site.friend().await;
    let (mut reading, mut writing) = stream.into_split();
    let mut asking = JoinSet::new();
    asking.spawn(async move {
        let pieces = [block(0, 0, BLOCK), block(1, 0, BLOCK)];
        // Few at a time: more than there may be would end it at once.
        while writing.write_all(&pieces.map(|block| request(&block)).concat()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let given = tokio::io::copy(&mut reading, &mut tokio::io::sink()).await.unwrap_or_default();
    assert!(given < 2 * site.data.len() as u64 + SPARE + (1 << 20), "{given}");
}

#[tokio::test]
async fn liars_are_left_and_nobody_else_is_harmed() {
    let site = site(4, true).await;
    for wrong in [
        &[0xff, 0xff, 0xff, 0xff, 5][..],
        &[0, 0, 0, 2, 4, 0],
        &request(&block(99, 0, BLOCK)),
        &request(&block(0, PIECE - 1, BLOCK)),
        &request(&block(0, 0, 1 << 20)),
        &request(&block(0, 0, 0)),
    ] {
        let mut stream = site.friend().await;
        // It takes nothing meanwhile, and what it says at last may find nobody.
        stream.write_all(wrong).await.ok();
        while message(&mut stream).await.is_some() {}
    }
    assert_eq!(fetch(&site, site.friend().await).await.len(), 4);
}

#[test]
fn every_piece_leaves_once_before_any_leaves_twice() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), 5);
    let share = Share::open(directory.path(), ARCHIVE).unwrap();
    let [mut one, mut two, mut three] = [(); 3].map(|()| Peer::new(share.pieces()));
    let offered = |peer: &mut Peer| share.offer(peer).map(|(piece, _)| piece);
    assert_eq!([offered(&mut one), offered(&mut one)], [Some(0), Some(1)]);
    share.note(&mut two, pieces_of(&[0b0010_0111]));
    share.note(&mut two, std::iter::once(1_000_000));
    assert_eq!(
        [offered(&mut two), offered(&mut three)],
        [Some(3), Some(4)],
        "2 is with the second"
    );
    assert_eq!(offered(&mut three), Some(0), "now all have left once");
    share.leave(&two);
    assert_eq!(
        [offered(&mut one), offered(&mut one)],
        [Some(2), Some(3)],
        "they were lost with it"
    );
    assert_eq!([offered(&mut one), offered(&mut one)], [Some(4), None]);
    assert!(!one.can_be_told() && one.was_told(0) && !one.was_told(9) && !one.has(0));
    share.note(&mut one, 0..5);
    assert!(one.has_all());
    let block = |piece, begin, length| Block { piece, begin, length };
    assert!(share.has(&block(4, 0, 1)) && !share.has(&block(5, 0, 1)));
    assert!(!share.has(&block(0, u32::MAX, u32::MAX)) && !share.has(&block(0, 0, 0)));
}

fn make(directory: &Path, pieces: usize) {
    fs::write(directory.join(ARCHIVE), vec![7; pieces * PIECE - 100]).unwrap();
    let addresses = Addresses { announce: "http://c/announce".to_owned(), seed: None };
    torrents::write(directory, ARCHIVE, &addresses, &|| false).unwrap();
}
