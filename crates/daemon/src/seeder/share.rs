//! An archive that is given away, and who is told of which of its pieces.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::wire::{Block, LONGEST_BLOCK};
use crate::torrents::{self, Layout};

/// An archive. It is closed when the last peer goes.
#[derive(Debug)]
pub(super) struct Share {
    file: File,
    layout: Layout,
    offered: Mutex<Offered>,
}

/// What peers were told of.
#[derive(Debug)]
struct Offered {
    /// How many peers were told of each piece.
    times: Vec<u32>,
    /// Where to look first, so that peers are told of other pieces.
    next: usize,
}

/// What a peer is given in its turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) pieces: Vec<u32>,
    /// Those of them that it was not told of before.
    pub(super) new: Vec<u32>,
    pub(super) bytes: u64,
}

impl Share {
    pub(super) fn open(files: &Path, archive: &str) -> io::Result<Self> {
        let torrent = fs::read(files.join(format!("{archive}{}", torrents::ENDING)))?;
        let layout = torrents::layout(&torrent)
            .ok_or_else(|| io::Error::other(format!("the torrent of {archive} cannot be read")))?;
        let file = File::open(files.join(archive))?;
        if file.metadata()?.len() != layout.length {
            return Err(io::Error::other(format!("{archive} is not what its torrent is of")));
        }
        let times = vec![0; usize::try_from(layout.pieces).map_err(io::Error::other)?];
        Ok(Self { file, layout, offered: Mutex::new(Offered { times, next: 0 }) })
    }

    pub(super) fn pieces(&self) -> u32 {
        self.layout.pieces
    }

    fn length(&self, piece: u32) -> u64 {
        let begin = u64::from(piece).saturating_mul(self.layout.piece);
        self.layout.length.saturating_sub(begin).min(self.layout.piece)
    }

    /// Whether a block is one of this archive that may be asked for.
    pub(super) fn has(&self, block: &Block) -> bool {
        let end = u64::from(block.begin) + u64::from(block.length);
        let is_inside = block.piece < self.layout.pieces && end <= self.length(block.piece);
        is_inside && (1..=LONGEST_BLOCK).contains(&block.length)
    }

    pub(super) fn read(&self, block: &Block) -> io::Result<Vec<u8>> {
        let begin = u64::from(block.piece) * self.layout.piece + u64::from(block.begin);
        let mut bytes = vec![0; usize::try_from(block.length).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, begin)?;
        Ok(bytes)
    }

    /// Chooses pieces for a peer: those that it was told of and did not get, then those that the fewest were told of.
    pub(super) fn offer(&self, peer: &mut Peer, wanted: u64) -> Offer {
        let mut guard = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        let Offered { times, next } = &mut *guard;
        let mut candidates: Vec<(bool, u32, usize, usize)> = times
            .iter()
            .enumerate()
            .filter(|(index, _)| peer.has.get(*index) == Some(&false))
            .map(|(index, times)| {
                let is_new = peer.offered.get(index) == Some(&false);
                let distance =
                    (index + self.layout.pieces as usize - *next) % self.layout.pieces as usize;
                (is_new, *times, distance, index)
            })
            .collect();
        candidates.sort_unstable();
        let mut offer = Offer { pieces: Vec::new(), new: Vec::new(), bytes: 0 };
        for (is_new, _, _, index) in candidates {
            let Ok(piece) = u32::try_from(index) else { break };
            let length = self.length(piece);
            if offer.bytes > 0 && offer.bytes + length > wanted {
                break;
            }
            offer.bytes += length;
            offer.pieces.push(piece);
            if is_new {
                offer.new.push(piece);
                *next = index + 1;
                if let Some(times) = times.get_mut(index) {
                    *times = times.saturating_add(1);
                }
                if let Some(offered) = peer.offered.get_mut(index) {
                    *offered = true;
                }
            }
        }
        *next %= times.len().max(1);
        offer
    }
}

/// What is known of a peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) is_interested: bool,
    has: Vec<bool>,
    /// The pieces that it was told of.
    offered: Vec<bool>,
    missing: usize,
}

impl Peer {
    pub(super) fn new(pieces: u32) -> Self {
        let missing = usize::try_from(pieces).unwrap_or_default();
        let none = vec![false; missing];
        Self { is_interested: false, has: none.clone(), offered: none, missing }
    }

    /// Whether it waits for a turn. Nobody is interested who has all that it was told of: that one is to be told of more.
    pub(super) fn wants(&self) -> bool {
        let mut both = self.has.iter().zip(&self.offered);
        self.is_interested || both.all(|(has, offered)| *has || !offered)
    }

    pub(super) fn has_all(&self) -> bool {
        self.missing == 0
    }

    pub(super) fn has(&self, piece: u32) -> bool {
        usize::try_from(piece).ok().and_then(|piece| self.has.get(piece)) == Some(&true)
    }

    pub(super) fn was_offered(&self, piece: u32) -> bool {
        usize::try_from(piece).ok().and_then(|piece| self.offered.get(piece)) == Some(&true)
    }

    /// What is none of the archive's is of no interest.
    pub(super) fn got(&mut self, piece: u32) {
        let Some(has) = usize::try_from(piece).ok().and_then(|piece| self.has.get_mut(piece))
        else {
            return;
        };
        if !*has {
            *has = true;
            self.missing -= 1;
        }
    }

    pub(super) fn got_all_of(&mut self, bits: &[u8]) {
        let pieces = bits.iter().flat_map(|byte| (0..8).map(move |bit| byte & (0x80 >> bit) != 0));
        for (piece, _) in (0..).zip(pieces).filter(|(_, has)| *has) {
            self.got(piece);
        }
    }
}
