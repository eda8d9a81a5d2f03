//! A whole zone on its way to a secondary server (AXFR, RFC 5936).

use crate::records::Record;
use crate::tsig::Signer;
use crate::view::View;
use crate::walk;
use crate::writer::{Section, Writer, flag, kind};
use crate::zone::Zone;

/// As large as each message is: pointers reach as far.
const MESSAGE: usize = 16 << 10;
/// The largest record of ours: a name of 255 bytes, and a text of 2048 with the lengths of its pieces.
const RECORD: usize = 2400;

/// Whether a message asks for a whole zone, before it is looked at any further: gathering one takes time and memory.
pub fn is_transfer(message: &[u8]) -> bool {
    let kind = walk::question(message).and_then(|question| {
        let place = question.len().checked_sub(4)?;
        walk::u16_at(question, place)
    });
    matches!(kind, Some(kind::AXFR | kind::IXFR))
}

/// The messages of a transfer, one after the other.
#[derive(Debug)]
pub struct Transfer {
    records: std::vec::IntoIter<Record>,
    zone: String,
    id: u16,
    question: Vec<u8>,
    signer: Option<Signer>,
    is_over: bool,
}

impl Transfer {
    pub(crate) fn new(
        view: &View,
        zone: &Zone,
        (id, question): (u16, Vec<u8>),
        signer: Option<Signer>,
    ) -> Self {
        let mut records = view.records(zone);
        // It begins and ends with the zone's beginning (section 2.2).
        records.push(view.soa(zone));
        let records = records.into_iter();
        Self { records, zone: zone.name(), id, question, signer, is_over: false }
    }

    /// The name of the zone.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The next message, signed at this time in seconds since 1970; `None` after the last.
    pub fn next_message(&mut self, now: u64) -> Option<Vec<u8>> {
        if self.is_over {
            return None;
        }
        let mut writer = Writer::new(self.id, flag::RESPONSE | flag::AUTHORITATIVE);
        // Each has the question, for what follows to point to.
        writer.question(&self.question, self.zone.clone());
        while writer.len() + RECORD <= MESSAGE {
            let Some(record) = self.records.next() else {
                self.is_over = true;
                break;
            };
            writer.record(Section::Answer, &record);
        }
        self.is_over |= self.records.as_slice().is_empty();
        let mut bytes = writer.into_bytes();
        if let Some(signer) = &mut self.signer {
            signer.sign(&mut bytes, now);
        }
        Some(bytes)
    }
}
