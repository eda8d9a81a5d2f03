//! What is known of one peer, and what waits to be sent to it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::metainfo::Layout;
use crate::wire::{self, BLOCK, Block, HANDSHAKE, Inbox};

/// So many blocks are asked for at a time.
const WINDOW: usize = 32;
/// As many blocks may a peer wait for: what is more is no honest client's.
const MOST_WANTED: usize = 1024;
/// Whoever has not said who it is by then is left.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Peers say something every two minutes.
const SILENCE: Duration = Duration::from_secs(200);
const KEEP_ALIVE: Duration = Duration::from_secs(90);
/// A peer that takes nothing of what waits for it for so long is gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// A peer that is asked and gives nothing for so long is asked for nothing for a while.
const STALL: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_secs(20);
/// One that takes something is no hindrance to the others.
const TAKES: Duration = Duration::from_secs(1);

/// A piece that comes from this peer.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) piece: usize,
    /// Its bytes, from the first block on.
    pub(super) bytes: Vec<u8>,
    length: u32,
    came: Vec<bool>,
    /// Blocks before this one are asked for.
    next: usize,
}

impl Part {
    pub(super) fn new(piece: usize, length: u32) -> Self {
        let blocks = usize::try_from(length.div_ceil(BLOCK)).unwrap_or_default();
        Self { piece, bytes: Vec::new(), length, came: vec![false; blocks], next: 0 }
    }

    fn block(&self, index: usize) -> Option<Block> {
        let begin = u32::try_from(index).ok()?.checked_mul(BLOCK)?;
        let length = self.length.checked_sub(begin)?.min(BLOCK);
        Some(Block { piece: u32::try_from(self.piece).ok()?, begin, length })
    }

    fn open(&self) -> usize {
        self.came.iter().take(self.next).filter(|came| !**came).count()
    }

    fn is_asked(&self) -> bool {
        self.next == self.came.len()
    }

    fn is_whole(&self) -> bool {
        self.came.iter().all(|came| *came)
    }

    /// Takes a block that was asked for; whether it is one.
    fn take(&mut self, begin: u32, bytes: &[u8]) -> bool {
        let index = usize::try_from(begin / BLOCK).unwrap_or(usize::MAX);
        let expected =
            self.block(index).filter(|_| begin.is_multiple_of(BLOCK) && index < self.next);
        if expected.is_none_or(|block| bytes.len() != block.length as usize) {
            return false;
        }
        // Only now, so that who promises and gives nothing takes no memory.
        self.bytes.resize(self.length as usize, 0);
        let begin = begin as usize;
        if let Some(place) = self.bytes.get_mut(begin..begin + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        if let Some(came) = self.came.get_mut(index) {
            *came = true;
        }
        true
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    /// What it calls itself, once it has said that it speaks of this torrent.
    pub(super) id: Option<[u8; 20]>,
    /// This side has made the connection.
    pub(super) is_ours: bool,
    greeting: Vec<u8>,
    pub(super) inbox: Inbox,
    pub(super) has: Vec<bool>,
    pub(super) held: usize,
    /// Pieces that it has and that are missing here.
    pub(super) useful: usize,
    pub(super) is_choked: bool,
    told_interested: bool,
    pub(super) parts: Vec<Part>,
    rests_until: Option<Instant>,
    pub(super) wanted: VecDeque<Block>,
    out: Vec<u8>,
    sent: usize,
    began: Instant,
    heard: Instant,
    said: Instant,
    took: Instant,
    gave: Instant,
}

impl Peer {
    pub(super) fn new(address: IpAddr, is_ours: bool, pieces: usize, now: Instant) -> Self {
        let count = u32::try_from(pieces).unwrap_or(u32::MAX);
        Self {
            address,
            id: None,
            is_ours,
            greeting: Vec::new(),
            inbox: Inbox::new(count, true),
            has: vec![false; pieces],
            held: 0,
            useful: 0,
            is_choked: true,
            told_interested: false,
            parts: Vec::new(),
            rests_until: None,
            wanted: VecDeque::new(),
            out: Vec::new(),
            sent: 0,
            began: now,
            heard: now,
            said: now,
            took: now,
            gave: now,
        }
    }

    /// Takes the handshake out of what has come: it, once it is whole, and the rest.
    pub(super) fn greeted<'b>(&mut self, bytes: &'b [u8]) -> (Option<[u8; HANDSHAKE]>, &'b [u8]) {
        let (own, rest) = bytes.split_at(bytes.len().min(HANDSHAKE - self.greeting.len()));
        self.greeting.extend_from_slice(own);
        (self.greeting.as_slice().try_into().ok(), rest)
    }

    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn say(&mut self, bytes: &[u8], now: Instant) {
        if self.unsent().is_empty() {
            self.took = now;
        }
        self.out.extend_from_slice(bytes);
        self.said = now;
    }

    /// What is to be sent.
    pub(super) fn unsent(&self) -> &[u8] {
        self.out.get(self.sent..).unwrap_or_default()
    }

    pub(super) fn sent(&mut self, count: usize, now: Instant) {
        self.sent += count;
        if count > 0 {
            self.took = now;
        }
        if self.sent >= self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
    }

    /// Whether it is at taking something.
    pub(super) fn takes(&self, now: Instant) -> bool {
        !self.unsent().is_empty() && now.saturating_duration_since(self.took) < TAKES
    }

    /// Says whether it has something of interest, where that is news to it.
    pub(super) fn tell_interest(&mut self, now: Instant) {
        let is_interesting = self.useful > 0;
        if self.id.is_some() && is_interesting != self.told_interested {
            self.told_interested = is_interesting;
            let word = if is_interesting { wire::INTERESTED } else { wire::NOT_INTERESTED };
            self.say(&word, now);
        }
    }

    /// Whether more can be asked for.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        let rests = self.rests_until.is_some_and(|until| now < until);
        self.id.is_some() && !self.is_choked && !rests && self.open() < WINDOW
    }

    /// Whether a further piece can be begun.
    pub(super) fn wants_piece(&self, now: Instant) -> bool {
        self.useful > 0 && self.has_room(now) && self.parts.iter().all(Part::is_asked)
    }

    fn open(&self) -> usize {
        self.parts.iter().map(Part::open).sum()
    }

    /// Asks for blocks of the pieces that were begun.
    pub(super) fn ask(&mut self, now: Instant) {
        if self.open() == 0 {
            // It is waited for from now on.
            self.gave = now;
        }
        let mut room = WINDOW.saturating_sub(self.open());
        let mut requests = Vec::new();
        for part in &mut self.parts {
            while room > 0 && !part.is_asked() {
                let Some(block) = part.block(part.next) else { break };
                requests.extend(wire::request(&block));
                part.next += 1;
                room -= 1;
            }
        }
        if !requests.is_empty() {
            self.say(&requests, now);
        }
    }

    /// Takes a block; the piece, where it is the last of it. What nobody asked for is none: it was late.
    pub(super) fn take(
        &mut self,
        piece: u32,
        begin: u32,
        bytes: &[u8],
        now: Instant,
    ) -> Option<Part> {
        let index = self.parts.iter().position(|part| part.piece as u64 == u64::from(piece))?;
        let part = self.parts.get_mut(index)?;
        if part.take(begin, bytes) {
            self.gave = now;
            self.rests_until = None;
        }
        part.is_whole().then(|| self.parts.swap_remove(index))
    }

    /// It need not send this piece any more; whether it was asked for it.
    pub(super) fn forget(&mut self, piece: usize, now: Instant) -> bool {
        let Some(index) = self.parts.iter().position(|part| part.piece == piece) else {
            return false;
        };
        let part = self.parts.swap_remove(index);
        let open = (0..part.next).filter(|index| part.came.get(*index) == Some(&false));
        let cancels: Vec<u8> = open
            .filter_map(|index| part.block(index))
            .flat_map(|block| wire::cancel(&block))
            .collect();
        if !cancels.is_empty() {
            self.say(&cancels, now);
        }
        true
    }

    /// The pieces that it was asked for and does not give: it is asked for nothing for a while.
    pub(super) fn stalled(&mut self, now: Instant) -> Vec<usize> {
        let waits = self.open() > 0 && now.saturating_duration_since(self.gave) >= STALL;
        if !waits {
            return Vec::new();
        }
        self.rests_until = Some(now + REST);
        let pieces: Vec<usize> = self.parts.iter().map(|part| part.piece).collect();
        for piece in &pieces {
            self.forget(*piece, now);
        }
        pieces
    }

    /// It wants a block; whether that can be.
    pub(super) fn want(&mut self, block: Block, layout: &Layout) -> bool {
        let end = u64::from(block.begin) + u64::from(block.length);
        let is_inside = end <= layout.length_of(block.piece);
        if !is_inside || !(1..=wire::LONGEST_BLOCK).contains(&block.length) {
            return false;
        }
        self.wanted.push_back(block);
        self.wanted.len() <= MOST_WANTED
    }

    /// Keeps the connection alive; whether it is to be left.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        let since = |then: Instant| now.saturating_duration_since(then);
        if since(self.said) >= KEEP_ALIVE && self.id.is_some() {
            self.say(&wire::KEEP_ALIVE, now);
        }
        let is_unknown = self.id.is_none() && since(self.began) >= HANDSHAKE_TIME;
        let takes_nothing = !self.unsent().is_empty() && since(self.took) >= PATIENCE;
        is_unknown || takes_nothing || since(self.heard) >= SILENCE
    }
}
