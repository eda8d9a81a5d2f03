use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use super::wire::Block;
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

fn request(piece: usize, begin: usize, length: usize) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
    [&[0, 0, 0, 13, 6][..], &number(piece), &number(begin), &number(length)].concat()
}

/// Fetches everything as a client that asks for what it is told of; the order of the pieces.
async fn fetch(site: &Site, mut stream: TcpStream) -> Vec<usize> {
    let mut got = vec![0; site.data.len()];
    let mut order = Vec::new();
    let (mut open, mut unchoked) = (Vec::new(), false);
    stream.write_all(&[0, 0, 0, 1, 2]).await.unwrap();
    while let Some((kind, body)) = message(&mut stream).await {
        let number = |at: usize| {
            usize::try_from(u32::from_be_bytes(body[at..at + 4].try_into().unwrap())).unwrap()
        };
        match kind {
            0 => unchoked = false,
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
                    let block = request(piece, begin, BLOCK.min(length - begin));
                    stream.write_all(&block).await.unwrap();
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
async fn liars_are_left_and_nobody_else_is_harmed() {
    let site = site(4, true).await;
    for wrong in [
        &[0xff, 0xff, 0xff, 0xff, 5][..],
        &[0, 0, 0, 2, 4, 0],
        &request(99, 0, BLOCK),
        &request(0, PIECE - 1, BLOCK),
        &request(0, 0, 1 << 20),
        &request(0, 0, 0),
    ] {
        let mut stream = site.friend().await;
        stream.write_all(&[0, 0, 0, 1, 2]).await.unwrap();
        // In its turn, so that it is heard.
        while message(&mut stream).await.is_some_and(|(kind, _)| kind != 1) {}
        stream.write_all(wrong).await.unwrap();
        while message(&mut stream).await.is_some() {}
    }
    assert_eq!(fetch(&site, site.friend().await).await.len(), 4);
}

#[test]
fn pieces_that_nobody_was_told_of_go_first_and_what_a_peer_has_is_not_offered() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), 5);
    let share = Share::open(directory.path(), ARCHIVE).unwrap();
    let [mut one, mut two] = [(); 2].map(|()| Peer::new(share.pieces()));
    assert_eq!(share.offer(&mut one, 2 * PIECE as u64).pieces, [0, 1]);
    two.got_all_of(&[0b0010_0111]);
    two.got(1_000_000);
    assert_eq!(
        share.offer(&mut two, 2 * PIECE as u64).pieces,
        [3, 4],
        "2 it has, 0 and 1 the other was told of"
    );
    let again = share.offer(&mut one, 2 * PIECE as u64);
    assert_eq!((again.pieces, again.new), (vec![0, 1], vec![]), "it did not get them");
    for piece in 0..5 {
        one.got(piece);
    }
    assert!(one.has_all() && share.offer(&mut one, 1).pieces.is_empty());
    let block = |piece, begin, length| Block { piece, begin, length };
    assert!(share.has(&block(4, 0, 1)) && !share.has(&block(5, 0, 1)));
    assert!(!share.has(&block(0, u32::MAX, u32::MAX)) && !share.has(&block(0, 0, 0)));
}

fn make(directory: &Path, pieces: usize) {
    fs::write(directory.join(ARCHIVE), vec![7; pieces * PIECE - 100]).unwrap();
    let addresses = Addresses { announce: "http://c/announce".to_owned(), seed: None };
    torrents::write(directory, ARCHIVE, &addresses, &|| false).unwrap();
}
