//! Peers that do as a test wants, and what they and a client share.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use perilune_torrent::bencode::bytes;
use perilune_torrent::client::{Fetch, Progress, Stalled};
use perilune_torrent::metainfo::{self, Torrent};
use perilune_torrent::tracker::{Announcement, Event};
use perilune_torrent::wire::{self, Block, HANDSHAKE, Inbox, Message};

pub(crate) const PIECE: usize = 64 << 10;
/// Longer than any test takes.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A file, and its torrent.
pub(crate) struct Original {
    pub(crate) data: Vec<u8>,
    pub(crate) torrent: Torrent,
    pub(crate) text: Vec<u8>,
}

pub(crate) fn original(pieces: usize) -> Original {
    let data: Vec<u8> = (0_u32..).flat_map(u32::to_le_bytes).take(pieces * PIECE - 1000).collect();
    let hashes: Vec<u8> = data.chunks(PIECE).flat_map(metainfo::sum).collect();
    let layout = (data.len() as u64, PIECE as u64);
    let text = metainfo::write("http://127.0.0.1:9/announce", None, "image", layout, &hashes);
    Original { torrent: Torrent::read(&text).unwrap(), data, text }
}

/// A tracker that tells everybody of everybody.
#[derive(Clone, Default)]
pub(crate) struct Tracker(Arc<Mutex<(BTreeSet<SocketAddr>, Vec<Event>)>>);

impl Tracker {
    pub(crate) fn of(peers: &[SocketAddr]) -> Self {
        Self(Arc::new(Mutex::new((peers.iter().copied().collect(), Vec::new()))))
    }

    pub(crate) fn ask(&self, said: &Announcement) -> Vec<u8> {
        let mut inner = self.0.lock().unwrap();
        let own = SocketAddr::from(([127, 0, 0, 1], said.port));
        inner.1.push(said.event);
        let mut peers = Vec::new();
        for peer in inner.0.iter().filter(|peer| **peer != own) {
            let IpAddr::V4(ip) = peer.ip() else { continue };
            peers.extend(ip.octets().into_iter().chain(peer.port().to_be_bytes()));
        }
        if said.event != Event::Stopped {
            inner.0.insert(own);
        }
        let mut answer = b"d8:intervali5e5:peers".to_vec();
        bytes(&mut answer, &peers);
        answer.push(b'e');
        answer
    }

    pub(crate) fn add(&self, peer: SocketAddr) {
        self.0.lock().unwrap().0.insert(peer);
    }

    /// The peers that are none of these.
    pub(crate) fn others(&self, known: &[SocketAddr]) -> Vec<SocketAddr> {
        let inner = self.0.lock().unwrap();
        inner.0.iter().filter(|peer| !known.contains(peer)).copied().collect()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().1.clone()
    }
}

/// Has a client fetch; what it got, in the order of the file, or why not.
pub(crate) fn fetch(
    original: &Original,
    tracker: &Tracker,
    name: u8,
    patience: Duration,
    then: impl FnOnce(&Progress),
) -> Result<Vec<u8>, Stalled> {
    let file = tempfile::tempfile().unwrap();
    let fetch = Fetch { torrent: &original.torrent, file: &file, id: [name; 20], port: 0 };
    fetch
        .while_fetching(&|said| Ok(tracker.ask(said)), |progress| {
            let mut got = vec![0; original.data.len()];
            for piece in 0..original.torrent.layout.pieces {
                progress.wait(piece, patience)?;
                read(&file, &mut got, piece as usize);
            }
            then(progress);
            Ok(got)
        })
        .unwrap()
}

fn read(file: &File, got: &mut [u8], piece: usize) {
    let end = got.len().min((piece + 1) * PIECE);
    file.read_exact_at(&mut got[piece * PIECE..end], (piece * PIECE) as u64).unwrap();
}

/// A peer of a test.
pub(crate) struct Fake<'a> {
    pub(crate) original: &'a Original,
    pub(crate) listener: TcpListener,
    pub(crate) id: [u8; 20],
}

impl<'a> Fake<'a> {
    /// At this address of the loopback interface.
    pub(crate) fn at(original: &'a Original, last: u8) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
        Self { original, listener, id: [last.wrapping_add(100); 20] }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Whoever calls next.
    pub(crate) fn accept(&self) -> Caller {
        Caller { stream: self.listener.accept().unwrap().0, inbox: Inbox::new(1000, true) }
    }

    /// Greets a caller as one that has all pieces.
    pub(crate) fn greet(&self) -> Option<Caller> {
        let mut caller = self.greet_with_nothing();
        caller.say(&wire::bitfield(&vec![true; self.original.torrent.pieces.len()]))?;
        Some(caller)
    }

    /// Greets a caller as one that has nothing yet.
    pub(crate) fn greet_with_nothing(&self) -> Caller {
        let mut caller = self.accept();
        let mut handshake = [0; HANDSHAKE];
        caller.stream.read_exact(&mut handshake).unwrap();
        assert_eq!(wire::hash(&handshake), Some(self.original.torrent.hash));
        caller.say(&wire::handshake(&self.original.torrent.hash, &self.id));
        caller.say(&wire::UNCHOKE);
        caller
    }

    pub(crate) fn bytes(&self, block: &Block) -> &[u8] {
        let begin = block.piece as usize * PIECE + block.begin as usize;
        &self.original.data[begin..begin + block.length as usize]
    }

    /// Gives whatever the next callers ask for, each until it goes.
    pub(crate) fn serve(&self, callers: usize) {
        thread::scope(|scope| {
            for _ in 0..callers {
                let Some(mut caller) = self.greet() else { continue };
                scope.spawn(move || self.give(&mut caller));
            }
        });
    }
}

impl Fake<'_> {
    /// Gives whatever is asked for until the caller goes.
    pub(crate) fn give(&self, caller: &mut Caller) {
        while let Some(blocks) = caller.requests() {
            for block in blocks {
                caller.say(&wire::piece(&block, self.bytes(&block)));
            }
        }
    }
}

/// Who has called a fake peer.
pub(crate) struct Caller {
    pub(crate) stream: TcpStream,
    inbox: Inbox,
}

impl Caller {
    /// `None` when it is gone.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).ok()
    }

    pub(crate) fn messages(&mut self) -> Option<Vec<Message>> {
        let mut part = [0; 4096];
        let count = self.stream.read(&mut part).ok().filter(|count| *count > 0)?;
        self.inbox.add(&part[..count]);
        Some(self.inbox.messages().into_iter().map(Result::unwrap).collect())
    }

    /// The blocks that it asks for next.
    pub(crate) fn requests(&mut self) -> Option<Vec<Block>> {
        loop {
            let messages = self.messages()?.into_iter();
            let blocks: Vec<Block> = messages
                .filter_map(|message| match message {
                    Message::Request(block) => Some(block),
                    _ => None,
                })
                .collect();
            if !blocks.is_empty() {
                return Some(blocks);
            }
        }
    }

    /// Waits until it hangs up.
    pub(crate) fn wait_for_end(&mut self) {
        while self.messages().is_some() {}
    }
}
