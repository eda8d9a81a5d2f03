//! Which pieces are there, which are being fetched, and which one to ask a peer for next.

use std::time::{Duration, Instant};

/// A piece that so many peers are asked for is asked of no other.
const MOST_ASKED: u8 = 3;
/// What is fetched from one peer for so long is asked of another as well, where that has nothing else to give.
const SLOW: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Piece {
    is_here: bool,
    /// Peers that have it.
    holders: u32,
    /// Peers that are asked for it, and when the last one was.
    asked: u8,
    since: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Pieces {
    all: Vec<Piece>,
    missing: usize,
    random: u64,
}

impl Pieces {
    /// `seed` makes peers choose differently.
    pub(super) fn new(count: usize, seed: u64) -> Self {
        let none = || Piece { is_here: false, holders: 0, asked: 0, since: None };
        let all = std::iter::repeat_with(none).take(count).collect();
        Self { all, missing: count, random: seed | 1 }
    }

    pub(super) fn is_here(&self, piece: usize) -> bool {
        self.all.get(piece).is_some_and(|piece| piece.is_here)
    }

    pub(super) fn here(&self) -> Vec<bool> {
        self.all.iter().map(|piece| piece.is_here).collect()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.missing == 0
    }

    pub(super) fn came(&mut self, piece: usize) {
        if let Some(piece) = self.all.get_mut(piece).filter(|piece| !piece.is_here) {
            piece.is_here = true;
            self.missing -= 1;
        }
    }

    pub(super) fn held(&mut self, piece: usize) {
        if let Some(piece) = self.all.get_mut(piece) {
            piece.holders += 1;
        }
    }

    pub(super) fn lost(&mut self, piece: usize) {
        if let Some(piece) = self.all.get_mut(piece) {
            piece.holders = piece.holders.saturating_sub(1);
        }
    }

    /// A peer is not asked for it any longer.
    pub(super) fn released(&mut self, piece: usize) {
        if let Some(piece) = self.all.get_mut(piece) {
            piece.asked = piece.asked.saturating_sub(1);
        }
    }

    /// What a peer that has these is asked for: of what nobody is asked for, that which the fewest have. `is_idle` ones are asked for what is
    /// late elsewhere, so that nobody waits for the slowest peer at the end.
    pub(super) fn choose(
        &mut self,
        has: &[bool],
        is_asked: impl Fn(usize) -> bool,
        is_idle: bool,
        now: Instant,
    ) -> Option<usize> {
        let random = self.next_random();
        let count = self.all.len().max(1);
        // From a place of its own, so that of those that are equally rare each peer takes another.
        let begin = usize::try_from(random % count as u64).unwrap_or_default();
        let order = (begin..count).chain(0..begin);
        let missing = || {
            order.clone().filter_map(|index| {
                let piece = self.all.get(index).filter(|piece| !piece.is_here)?;
                (has.get(index) == Some(&true)).then_some((index, piece))
            })
        };
        let free = missing().filter(|(_, piece)| piece.asked == 0);
        let chosen = free.min_by_key(|(_, piece)| piece.holders).or_else(|| {
            let is_late = |piece: &Piece| {
                piece.asked < MOST_ASKED
                    && piece.since.is_some_and(|since| now.saturating_duration_since(since) >= SLOW)
            };
            let mut late =
                missing().filter(|(index, piece)| is_idle && is_late(piece) && !is_asked(*index));
            late.next()
        });
        let (index, _) = chosen?;
        let piece = self.all.get_mut(index)?;
        piece.asked += 1;
        piece.since = Some(now);
        Some(index)
    }

    /// Xorshift: it must differ, and not be hard to guess.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rarest_is_asked_for_first_and_each_of_one_peer() {
        let now = Instant::now();
        let mut pieces = Pieces::new(4, 7);
        for piece in [0, 0, 1, 2, 2, 3, 3] {
            pieces.held(piece);
        }
        let has = [true, true, true, false];
        let mut choose = |is_idle, now| pieces.choose(&has, |_| false, is_idle, now);
        assert_eq!(choose(true, now), Some(1));
        let mut rest = [choose(true, now).unwrap(), choose(true, now).unwrap()];
        rest.sort_unstable();
        assert_eq!((rest, choose(true, now)), ([0, 2], None));
        let later = now + SLOW;
        assert_eq!(choose(false, later), None);
        assert!(choose(true, later).is_some(), "somebody is late with it");
    }

    #[test]
    fn what_came_or_was_released_counts() {
        let now = Instant::now();
        let mut pieces = Pieces::new(2, 7);
        let has = [true, true];
        let first = pieces.choose(&has, |_| false, true, now).unwrap();
        pieces.came(first);
        pieces.came(first);
        let second = pieces.choose(&has, |_| false, true, now).unwrap();
        assert_ne!(first, second);
        pieces.released(second);
        assert_eq!(pieces.choose(&has, |_| false, true, now), Some(second));
        pieces.came(second);
        assert!(pieces.is_complete() && pieces.here() == [true, true]);
        assert_eq!(pieces.choose(&has, |_| false, true, now), None);
    }
}
