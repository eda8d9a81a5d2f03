//! What became of questions, for whoever watches.

use std::sync::atomic::{AtomicU64, Ordering};

/// What becomes of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Answered,
    Refused,
    Forwarded,
    Transferred,
    Ignored,
}

/// The words for them, in the same order.
const WORDS: [&str; 5] = ["answered", "refused", "forwarded", "transferred", "ignored"];

/// Questions since the start, by what became of them.
#[derive(Debug, Default)]
pub(crate) struct Counters([AtomicU64; WORDS.len()]);

impl Counters {
    pub(super) fn count(&self, fate: Fate) {
        if let Some(counter) = self.0.get(fate as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each word with its number.
    pub(crate) fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
        WORDS
            .into_iter()
            .zip(&self.0)
            .map(|(word, counter)| (word, counter.load(Ordering::Relaxed)))
    }
}
