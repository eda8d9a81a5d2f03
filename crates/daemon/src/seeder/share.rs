//! An archive that is given away, and who is told of which of its pieces.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use perilune_torrent::metainfo::{Layout, Torrent};
use perilune_torrent::wire::{Block, LONGEST_BLOCK};

use crate::torrents;

/// An archive. It is closed when the last peer goes.
#[derive(Debug)]
pub(super) struct Share {
    file: File,
    layout: Layout,
    copies: Mutex<Copies>,
}

/// Where the pieces are.
#[derive(Debug)]
struct Copies {
    /// How many peers that are there have each piece, or were told of it.
    counts: Vec<u32>,
    /// Where to look first, so that peers are told of other pieces.
    next: usize,
}

impl Share {
    pub(super) fn open(files: &Path, archive: &str) -> io::Result<Self> {
        let torrent = fs::read(files.join(format!("{archive}{}", torrents::ENDING)))?;
        let layout = Torrent::read(&torrent)
            .ok_or_else(|| io::Error::other(format!("the torrent of {archive} cannot be read")))?
            .layout;
        let file = File::open(files.join(archive))?;
        if file.metadata()?.len() != layout.length {
            return Err(io::Error::other(format!("{archive} is not what its torrent is of")));
        }
        let counts = vec![0; usize::try_from(layout.pieces).map_err(io::Error::other)?];
        Ok(Self { file, layout, copies: Mutex::new(Copies { counts, next: 0 }) })
    }

    pub(super) fn pieces(&self) -> u32 {
        self.layout.pieces
    }

    /// Bytes of the archive.
    pub(super) fn length(&self) -> u64 {
        self.layout.length
    }

    /// Whether a block is one of this archive that may be asked for.
    pub(super) fn has(&self, block: &Block) -> bool {
        let end = u64::from(block.begin) + u64::from(block.length);
        end <= self.layout.length_of(block.piece) && (1..=LONGEST_BLOCK).contains(&block.length)
    }

    pub(super) fn read(&self, block: &Block) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(block.length).map_err(io::Error::other)?];
        let begin = self.layout.begin(block.piece) + u64::from(block.begin);
        self.file.read_exact_at(&mut bytes, begin)?;
        Ok(bytes)
    }

    /// Chooses a piece for a peer to be told of, with its bytes: that which the fewest have or were told of. Every piece leaves once before
    /// any does twice, unless it is lost with the peer that had it.
    pub(super) fn offer(&self, peer: &mut Peer) -> Option<(u32, u64)> {
        let mut guard = self.lock();
        let Copies { counts, next } = &mut *guard;
        let all = counts.len().max(1);
        let candidates = counts.iter().enumerate().filter(|(index, _)| !peer.knows(*index));
        let (index, _) =
            candidates.min_by_key(|(index, count)| (**count, (index + all - *next) % all))?;
        *next = (index + 1) % all;
        if let Some(count) = counts.get_mut(index) {
            *count += 1;
        }
        peer.tell(index);
        let piece = u32::try_from(index).ok()?;
        Some((piece, self.layout.length_of(piece)))
    }

    /// A peer has these, from wherever.
    pub(super) fn note(&self, peer: &mut Peer, pieces: impl Iterator<Item = usize>) {
        let mut copies = self.lock();
        for piece in pieces {
            if peer.got(piece)
                && let Some(count) = copies.counts.get_mut(piece)
            {
                *count += 1;
            }
        }
    }

    /// What a peer has goes with it.
    pub(super) fn leave(&self, peer: &Peer) {
        let mut copies = self.lock();
        for (index, count) in copies.counts.iter_mut().enumerate() {
            *count -= u32::from(peer.knows(index) && *count > 0);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Copies> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a peer.
#[derive(Debug)]
pub(super) struct Peer {
    has: Vec<bool>,
    /// The pieces that it was told of.
    told: Vec<bool>,
    missing: usize,
    untold: usize,
}

impl Peer {
    pub(super) fn new(pieces: u32) -> Self {
        let missing = usize::try_from(pieces).unwrap_or_default();
        let none = vec![false; missing];
        Self { has: none.clone(), told: none, missing, untold: missing }
    }

    pub(super) fn has_all(&self) -> bool {
        self.missing == 0
    }

    /// Whether there is something that it does not know to be here, and lacks.
    pub(super) fn can_be_told(&self) -> bool {
        self.untold > 0
    }

    pub(super) fn has(&self, piece: u32) -> bool {
        is_marked(&self.has, piece)
    }

    pub(super) fn was_told(&self, piece: u32) -> bool {
        is_marked(&self.told, piece)
    }

    fn knows(&self, index: usize) -> bool {
        [&self.has, &self.told].into_iter().any(|marks| marks.get(index) == Some(&true))
    }

    fn tell(&mut self, index: usize) {
        self.untold -= usize::from(!self.knows(index));
        if let Some(told) = self.told.get_mut(index) {
            *told = true;
        }
    }

    /// It has a piece; whether that is one that is counted for it from now on. What is none of the archive's is of no interest.
    fn got(&mut self, index: usize) -> bool {
        let is_new = !self.knows(index);
        let Some(has) = self.has.get_mut(index).filter(|has| !**has) else { return false };
        *has = true;
        self.missing -= 1;
        self.untold -= usize::from(is_new);
        is_new
    }
}

fn is_marked(marks: &[bool], piece: u32) -> bool {
    usize::try_from(piece).ok().and_then(|piece| marks.get(piece)) == Some(&true)
}

/// The pieces that a peer says it has.
pub(super) fn pieces_of(bits: &[u8]) -> impl Iterator<Item = usize> {
    let bits = bits.iter().flat_map(|byte| (0..8).map(move |bit| byte & (0x80 >> bit) != 0));
    bits.enumerate().filter(|(_, has)| *has).map(|(index, _)| index)
}
