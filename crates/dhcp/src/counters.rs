//! What became of messages, for monitoring.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::request::Kind;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was heard.
    Heard,
    /// It was sent.
    Sent,
    /// There was no time for it: its machine asks again.
    Shed,
}

const FATES: [(Fate, &str); 3] =
    [(Fate::Heard, "heard"), (Fate::Sent, "sent"), (Fate::Shed, "shed")];
const KINDS: [Kind; 9] = [
    Kind::Discover,
    Kind::Offer,
    Kind::Request,
    Kind::Decline,
    Kind::Ack,
    Kind::Nak,
    Kind::Release,
    Kind::Inform,
    Kind::Other,
];

/// Counts messages by kind and fate, since it was made. All interfaces share one.
#[derive(Debug, Default)]
pub struct Counters([[AtomicU64; KINDS.len()]; FATES.len()]);

impl Counters {
    pub(crate) fn count(&self, fate: Fate, kind: Kind) {
        let row = FATES.iter().zip(&self.0).find(|((known, _), _)| *known == fate);
        let cell = row.and_then(|(_, row)| {
            KINDS.iter().zip(row).find(|(known, _)| **known == kind).map(|(_, cell)| cell)
        });
        if let Some(cell) = cell {
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every count that is not zero, with what became of messages and of which kind.
    pub fn read(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        FATES.iter().zip(&self.0).flat_map(|((_, fate), row)| {
            KINDS.iter().zip(row).filter_map(|(kind, cell)| {
                let count = cell.load(Ordering::Relaxed);
                (count > 0).then(|| (*fate, kind.word(), count))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_kind_and_fate() {
        let counters = Counters::default();
        counters.count(Fate::Heard, Kind::Discover);
        counters.count(Fate::Heard, Kind::Discover);
        counters.count(Fate::Sent, Kind::Offer);
        let read: Vec<_> = counters.read().collect();
        assert_eq!(read, [("heard", "discover", 2), ("sent", "offer", 1)]);
    }
}
