//! Counts how transfers ended, for monitoring.

use std::sync::atomic::{AtomicU64, Ordering};

/// How a transfer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Sent,
    Stopped,
    Vanished,
    Refused,
    Shed,
}

/// The words for them, in the same order.
const WORDS: [&str; 5] = ["sent", "stopped", "vanished", "refused", "shed"];

/// Transfers since the start, by how they ended.
#[derive(Debug, Default)]
pub struct Counters([AtomicU64; WORDS.len()]);

impl Counters {
    pub(super) fn count(&self, fate: Fate) {
        if let Some(counter) = self.0.get(fate as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each word with its number: `sent` whole, `stopped` by the client, `vanished` without a word, `refused`, or `shed` since there
    /// were too many at once.
    pub fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
        WORDS
            .into_iter()
            .zip(&self.0)
            .map(|(word, counter)| (word, counter.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fate_has_its_word() {
        let counters = Counters::default();
        counters.count(Fate::Vanished);
        counters.count(Fate::Shed);
        counters.count(Fate::Shed);
        let read: Vec<_> = counters.read().collect();
        assert_eq!(
            read,
            [("sent", 0), ("stopped", 0), ("vanished", 1), ("refused", 0), ("shed", 2)]
        );
    }
}
