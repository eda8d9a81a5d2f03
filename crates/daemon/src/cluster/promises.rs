//! Addresses that were promised to somebody a short while ago. No part of what is described: nobody is given them unasked, and that is
//! all.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use perilune_boards::{Board, Rules, Update};

/// How long a promised address is kept.
const PROMISE: Duration = Duration::from_mins(10);
/// As many are kept at most; beyond, the oldest promise is taken back.
const RULES: Rules = Rules { keys: 1000, changes: 1 };

/// Each address with the time when it was promised. Not stored: a restart takes all promises back.
pub(super) struct Promises {
    board: Board<IpAddr, Instant>,
}

impl Promises {
    /// `life` is the store's.
    pub(super) fn new(life: u64) -> Self {
        Self { board: Board::volatile(life, RULES) }
    }

    pub(super) fn promise(&self, address: IpAddr, now: Instant) {
        self.board.update(&address, |_| Update::Put(now));
    }

    /// What is promised; promises that are over are forgotten.
    pub(super) fn current(&self, now: Instant) -> Arc<BTreeSet<IpAddr>> {
        let promises = self.board.snapshot();
        let mut current = BTreeSet::new();
        for (address, made) in promises.iter() {
            if now.saturating_duration_since(**made) < PROMISE {
                current.insert(*address);
            } else {
                self.board.update(address, |_| Update::Remove);
            }
        }
        Arc::new(current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn a_promise_is_kept_for_ten_minutes_and_there_are_only_so_many() {
        let promises = Promises::new(1);
        let begin = Instant::now();
        promises.promise(address(0), begin);
        let later = begin + PROMISE / 2;
        for number in 1..RULES.keys {
            promises.promise(address(u32::try_from(number).unwrap()), later);
        }
        assert_eq!(promises.current(later).len(), RULES.keys);
        promises.promise(address(5000), later);
        let current = promises.current(later);
        assert_eq!((current.len(), current.contains(&address(0))), (RULES.keys, false));
        assert_eq!(promises.current(begin + PROMISE).len(), RULES.keys);
        assert_eq!(promises.current(later + PROMISE).len(), 0);
    }
}
