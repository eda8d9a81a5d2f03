//! All peers of a client: what they say is turned into pieces, and into what they are told. Without sockets: bytes come in and wait to go out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use super::peer::{Part, Peer};
use super::pieces::Pieces;
use super::progress::Progress;
use super::{Fetch, MEMORY};
use crate::metainfo::Torrent;
use crate::wire::{self, Block, Message};

/// As many bytes wait for peers that take them, all together and of one: whoever asked first has its piece soon and gives it to others.
const MOST_UNSENT: usize = 512 << 10;
const MOST_UNSENT_OF_PEER: usize = 128 << 10;
/// Requests of all peers that wait.
const MOST_WAITING: usize = 65_536;

/// Names a connection.
pub(super) type Key = u64;

pub(super) struct Session<'a> {
    torrent: &'a Torrent,
    file: &'a File,
    id: [u8; 20],
    pieces: Pieces,
    /// As many pieces are asked for at a time, so that memory is bounded.
    most_parts: usize,
    peers: BTreeMap<Key, Peer>,
    /// Who waits for a block, in the order of asking.
    waiting: VecDeque<Key>,
    /// Who gave a wrong piece.
    banned: BTreeSet<IpAddr>,
    gone: Vec<Key>,
    given: u64,
    wrong: usize,
    progress: &'a Progress,
}

impl<'a> Session<'a> {
    pub(super) fn new(fetch: Fetch<'a>, progress: &'a Progress) -> Self {
        let Fetch { torrent, file, id, .. } = fetch;
        let seed = id.last_chunk::<8>().map_or(1, |bytes| u64::from_le_bytes(*bytes));
        let most = (MEMORY / torrent.layout.piece.max(1)).max(4);
        Self {
            torrent,
            file,
            id,
            pieces: Pieces::new(torrent.pieces.len(), seed),
            most_parts: usize::try_from(most).unwrap_or(usize::MAX),
            peers: BTreeMap::new(),
            waiting: VecDeque::new(),
            banned: BTreeSet::new(),
            gone: Vec::new(),
            given: 0,
            wrong: 0,
            progress,
        }
    }

    /// Whether a connection with this address is of use.
    pub(super) fn is_welcome(&self, address: IpAddr) -> bool {
        !self.banned.contains(&address)
    }

    /// Connections by address, those included whose peer has not said anything yet.
    pub(super) fn connections(&self) -> impl Iterator<Item = (IpAddr, bool)> {
        self.peers.values().map(|peer| (peer.address, peer.is_ours))
    }

    /// A connection is there.
    pub(super) fn connected(&mut self, key: Key, address: IpAddr, is_ours: bool, now: Instant) {
        let mut peer = Peer::new(address, is_ours, self.torrent.pieces.len(), now);
        if is_ours {
            // And nothing else before the answer: aria2c leaves whoever goes on.
            peer.say(&wire::handshake(&self.torrent.hash, &self.id), now);
        }
        self.peers.insert(key, peer);
    }

    /// What stands behind a handshake. Everybody may ask at once: nobody is ever choked, since all are to have all of it.
    fn greeting(&self) -> Vec<u8> {
        let here = self.pieces.here();
        let mut greeting = if here.contains(&true) { wire::bitfield(&here) } else { Vec::new() };
        greeting.extend(wire::UNCHOKE);
        greeting
    }

    /// Takes what a peer has sent. An error is this machine's: the file cannot be written or read.
    pub(super) fn received(&mut self, key: Key, bytes: &[u8], now: Instant) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        peer.hear(now);
        let mut rest = bytes;
        if peer.id.is_none() {
            let (handshake, after) = peer.greeted(bytes);
            rest = after;
            let Some(handshake) = handshake else { return Ok(()) };
            if !self.is_met(key, &handshake, now) {
                self.leave(key);
                return Ok(());
            }
        }
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        peer.inbox.add(rest);
        for message in peer.inbox.messages() {
            let Ok(message) = message else {
                self.leave(key);
                return Ok(());
            };
            if !self.heard(key, message, now)? {
                self.leave(key);
                return Ok(());
            }
            if !self.peers.contains_key(&key) {
                return Ok(());
            }
        }
        self.ask(key, now);
        self.give(now)
    }

    /// Whether somebody who says who it is stays.
    fn is_met(&mut self, key: Key, handshake: &[u8; wire::HANDSHAKE], now: Instant) -> bool {
        let id = wire::id(handshake);
        if wire::hash(handshake) != Some(self.torrent.hash) || id == self.id {
            return false;
        }
        let twin = self.peers.iter().find(|(_, peer)| peer.id == Some(id));
        let twin = twin.map(|(key, peer)| (*key, peer.is_ours));
        let greeting = self.greeting();
        let Some(peer) = self.peers.get_mut(&key) else { return false };
        // Two that have called each other keep the call of the same one of them.
        if let Some((other, is_ours)) = twin {
            if is_ours == peer.is_ours || is_ours == (self.id < id) {
                return false;
            }
            self.leave(other);
        }
        let Some(peer) = self.peers.get_mut(&key) else { return false };
        peer.id = Some(id);
        if !peer.is_ours {
            peer.say(&wire::handshake(&self.torrent.hash, &self.id), now);
        }
        peer.say(&greeting, now);
        true
    }

    /// Follows a message; `false` when the peer is to be left.
    fn heard(&mut self, key: Key, message: Message, now: Instant) -> io::Result<bool> {
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(false) };
        match message {
            Message::Choke(is_choked) => {
                peer.is_choked = is_choked;
                // What it was asked for it does not give any more.
                let parts = if is_choked { std::mem::take(&mut peer.parts) } else { Vec::new() };
                for part in parts {
                    self.pieces.released(part.piece);
                }
            }
            Message::Have(piece) => {
                let piece = usize::try_from(piece).unwrap_or(usize::MAX);
                if piece >= peer.has.len() {
                    return Ok(false);
                }
                self.holds(key, piece);
            }
            Message::Bitfield(bits) => {
                if !self.holds_all_of(key, &bits) {
                    return Ok(false);
                }
            }
            Message::Request(block) => {
                if !peer.want(block, &self.torrent.layout) || self.waiting.len() >= MOST_WAITING {
                    return Ok(false);
                }
                self.waiting.push_back(key);
            }
            // It stays in the order, and is passed over.
            Message::Cancel(block) => peer.wanted.retain(|wanted| *wanted != block),
            Message::Piece { piece, begin, bytes } => {
                if let Some(part) = peer.take(piece, begin, &bytes, now) {
                    return self.whole(key, &part, now);
                }
            }
            // Whoever asks is interested.
            Message::Interested(_) | Message::Other => {}
        }
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.tell_interest(now);
        }
        Ok(true)
    }

    fn holds(&mut self, key: Key, piece: usize) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let Some(has) = peer.has.get_mut(piece).filter(|has| !**has) else { return };
        *has = true;
        peer.held += 1;
        self.pieces.held(piece);
        if !self.pieces.is_here(piece) {
            peer.useful += 1;
        }
    }

    /// Whether these are as many pieces as there are.
    fn holds_all_of(&mut self, key: Key, bits: &[u8]) -> bool {
        let count = self.torrent.pieces.len();
        let bit = |index: usize| {
            bits.get(index / 8).is_some_and(|byte| byte & (0x80 >> (index % 8)) != 0)
        };
        let is_right = bits.len() == count.div_ceil(8) && !(count..bits.len() * 8).any(bit);
        if is_right {
            (0..count).filter(|index| bit(*index)).for_each(|piece| self.holds(key, piece));
        }
        is_right
    }

    /// A piece has come from a peer: it is kept and told, or the peer is left.
    fn whole(&mut self, key: Key, part: &Part, now: Instant) -> io::Result<bool> {
        self.pieces.released(part.piece);
        let Ok(piece) = u32::try_from(part.piece) else { return Ok(false) };
        if !self.torrent.is_piece(piece, &part.bytes) {
            self.wrong += 1;
            self.progress.note(self.peers.len(), self.wrong);
            self.ban(key);
            return Ok(false);
        }
        if self.pieces.is_here(part.piece) {
            return Ok(true);
        }
        self.file.write_all_at(&part.bytes, self.torrent.layout.begin(piece))?;
        self.pieces.came(part.piece);
        for peer in self.peers.values_mut() {
            if peer.forget(part.piece, now) {
                self.pieces.released(part.piece);
            }
            let has = peer.has.get(part.piece) == Some(&true);
            if has {
                peer.useful = peer.useful.saturating_sub(1);
                peer.tell_interest(now);
            } else if peer.id.is_some() {
                peer.say(&wire::have(piece), now);
            }
        }
        self.progress.came(part.piece, part.bytes.len() as u64);
        Ok(true)
    }

    /// What is at this address gives no more.
    fn ban(&mut self, key: Key) {
        let Some(address) = self.peers.get(&key).map(|peer| peer.address) else { return };
        self.banned.insert(address);
        let same = self.peers.iter().filter(|(_, peer)| peer.address == address);
        let same: Vec<Key> = same.map(|(key, _)| *key).collect();
        for key in same {
            self.leave(key);
        }
    }

    /// Asks a peer for what it has.
    fn ask(&mut self, key: Key, now: Instant) {
        loop {
            let asked: usize = self.peers.values().map(|peer| peer.parts.len()).sum();
            let Some(peer) = self.peers.get_mut(&key) else { return };
            peer.tell_interest(now);
            if !peer.has_room(now) {
                return;
            }
            peer.ask(now);
            if asked >= self.most_parts || !peer.wants_piece(now) {
                return;
            }
            let is_asked = |piece| peer.parts.iter().any(|part| part.piece == piece);
            let is_idle = peer.parts.is_empty();
            let Some(piece) = self.pieces.choose(&peer.has, is_asked, is_idle, now) else { return };
            let number = u32::try_from(piece).unwrap_or(u32::MAX);
            let length = self.torrent.layout.length_of(number);
            peer.parts.push(Part::new(piece, u32::try_from(length).unwrap_or(u32::MAX)));
        }
    }

    /// Gives blocks to those who asked first, as long as they take them.
    pub(super) fn give(&mut self, now: Instant) -> io::Result<()> {
        let taking = self.peers.values().filter(|peer| peer.takes(now));
        let mut unsent: usize = taking.map(|peer| peer.unsent().len()).sum();
        let (mut later, before) = (VecDeque::new(), self.given);
        while unsent < MOST_UNSENT {
            let Some(key) = self.waiting.pop_front() else { break };
            let Some(peer) = self.peers.get_mut(&key) else { continue };
            if peer.unsent().len() >= MOST_UNSENT_OF_PEER {
                later.push_back(key);
                continue;
            }
            let Some(block) = peer.wanted.pop_front() else { continue };
            let index = usize::try_from(block.piece).unwrap_or(usize::MAX);
            if !self.pieces.is_here(index) {
                // It asks for what it was not told of.
                self.leave(key);
                continue;
            }
            let bytes = read(self.file, self.torrent, &block)?;
            peer.say(&wire::piece(&block, &bytes), now);
            unsent += bytes.len();
            self.given += bytes.len() as u64;
        }
        later.append(&mut self.waiting);
        self.waiting = later;
        if self.given > before {
            self.progress.gave(self.given);
        }
        Ok(())
    }

    /// What time brings: peers that say nothing, and pieces that somebody else is to be asked for.
    pub(super) fn tick(&mut self, now: Instant) -> io::Result<()> {
        let mut left = Vec::new();
        let is_complete = self.pieces.is_complete();
        for (key, peer) in &mut self.peers {
            for piece in peer.stalled(now) {
                self.pieces.released(piece);
            }
            // Two that have everything have nothing to say to each other.
            let is_over = is_complete && peer.held == peer.has.len();
            if peer.tick(now) || is_over {
                left.push(*key);
            }
        }
        for key in left {
            self.leave(key);
        }
        let keys: Vec<Key> = self.peers.keys().copied().collect();
        for key in keys {
            self.ask(key, now);
        }
        let met = self.peers.values().filter(|peer| peer.id.is_some()).count();
        self.progress.note(met, self.wrong);
        self.give(now)
    }

    /// Has a connection closed.
    fn leave(&mut self, key: Key) {
        self.closed(key);
        self.gone.push(key);
    }

    /// A connection is closed.
    pub(super) fn closed(&mut self, key: Key) {
        let Some(peer) = self.peers.remove(&key) else { return };
        for part in &peer.parts {
            self.pieces.released(part.piece);
        }
        for (piece, _) in peer.has.iter().enumerate().filter(|(_, has)| **has) {
            self.pieces.lost(piece);
        }
    }

    /// The connections that are to be closed.
    pub(super) fn take_gone(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.gone)
    }

    pub(super) fn unsent(&self, key: Key) -> &[u8] {
        self.peers.get(&key).map(Peer::unsent).unwrap_or_default()
    }

    pub(super) fn sent(&mut self, key: Key, count: usize, now: Instant) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.sent(count, now);
        }
    }
}

fn read(file: &File, torrent: &Torrent, block: &Block) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; block.length as usize];
    file.read_exact_at(&mut bytes, torrent.layout.begin(block.piece) + u64::from(block.begin))?;
    Ok(bytes)
}
