//! What became of messages, for monitoring.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::request::Kind;
use crate::v6;

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
const KINDS: [Counted; 19] = [
    Counted::V4(Kind::Discover),
    Counted::V4(Kind::Offer),
    Counted::V4(Kind::Request),
    Counted::V4(Kind::Decline),
    Counted::V4(Kind::Ack),
    Counted::V4(Kind::Nak),
    Counted::V4(Kind::Release),
    Counted::V4(Kind::Inform),
    Counted::V4(Kind::Other),
    Counted::V6(v6::Kind::Solicit),
    Counted::V6(v6::Kind::Advertise),
    Counted::V6(v6::Kind::Request),
    Counted::V6(v6::Kind::Confirm),
    Counted::V6(v6::Kind::Renew),
    Counted::V6(v6::Kind::Rebind),
    Counted::V6(v6::Kind::Reply),
    Counted::V6(v6::Kind::Release),
    Counted::V6(v6::Kind::Decline),
    Counted::V6(v6::Kind::InformationRequest),
];

/// A message of one of the two protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    V4(Kind),
    V6(v6::Kind),
}

impl Counted {
    /// The protocol, and the message in its words.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::V4(kind) => ("dhcp", kind.word()),
            Self::V6(kind) => ("dhcp6", kind.word()),
        }
    }
}

/// Counts messages by kind and fate, since it was made. All interfaces share one.
#[derive(Debug, Default)]
pub struct Counters([[AtomicU64; KINDS.len()]; FATES.len()]);

/// How many messages had one fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// `dhcp` or `dhcp6`.
    pub protocol: &'static str,
    /// What became of them: `heard`, `sent` or `shed`.
    pub fate: &'static str,
    /// What they are, as their RFC calls it.
    pub kind: &'static str,
    /// So many.
    pub count: u64,
}

impl Counters {
    pub(crate) fn count(&self, fate: Fate, kind: Counted) {
        let row = FATES.iter().zip(&self.0).find(|((known, _), _)| *known == fate);
        let cell = row.and_then(|(_, row)| {
            KINDS.iter().zip(row).find(|(known, _)| **known == kind).map(|(_, cell)| cell)
        });
        if let Some(cell) = cell {
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every count that is not zero.
    pub fn read(&self) -> impl Iterator<Item = Count> {
        FATES.iter().zip(&self.0).flat_map(|((_, fate), row)| {
            KINDS.iter().zip(row).filter_map(|(kind, cell)| {
                let count = cell.load(Ordering::Relaxed);
                let (protocol, kind) = kind.words();
                (count > 0).then_some(Count { protocol, fate, kind, count })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_protocol_kind_and_fate() {
        let counters = Counters::default();
        counters.count(Fate::Heard, Counted::V4(Kind::Discover));
        counters.count(Fate::Heard, Counted::V4(Kind::Discover));
        counters.count(Fate::Sent, Counted::V6(v6::Kind::Reply));
        let read = counters.read().map(|own| (own.protocol, own.fate, own.kind, own.count));
        let read: Vec<_> = read.collect();
        assert_eq!(read, [("dhcp", "heard", "discover", 2), ("dhcp6", "sent", "reply", 1)]);
    }
}
