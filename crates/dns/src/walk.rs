//! Where the parts of a message are, without looking what they say. For messages that are passed on as they are.

use crate::writer::HEADER;

/// Type of the extension's record (OPT), in which the field for the time to live means something else.
const OPT: u16 = 41;

/// The number at this place.
pub(crate) fn u16_at(message: &[u8], place: usize) -> Option<u16> {
    let bytes = message.get(place..place.checked_add(2)?)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

/// Where the name that begins here ends.
fn after_name(message: &[u8], mut place: usize) -> Option<usize> {
    loop {
        let length = *message.get(place)?;
        match length {
            0 => return Some(place + 1),
            1..=63 => place += usize::from(length) + 1,
            0xc0.. => return Some(place + 2),
            _ => return None,
        }
    }
}

/// The bytes of the one question, name and type and class; `None` where there is not one, or its name points elsewhere: before it is only the
/// header, which is another in the answer and for other servers, and then the name would be another, too.
pub(crate) fn question(message: &[u8]) -> Option<&[u8]> {
    if u16_at(message, 4)? != 1 {
        return None;
    }
    let mut place = HEADER;
    loop {
        match *message.get(place)? {
            0 => break,
            length @ 1..=63 => place += usize::from(length) + 1,
            _ => return None,
        }
    }
    message.get(HEADER..place + 5)
}

/// Where each record begins, with its type, where its time to live is, and where it ends.
pub(crate) struct Part {
    pub(crate) begin: usize,
    pub(crate) kind: u16,
    pub(crate) ttl: usize,
}

/// All records of a message; `None` where it is broken.
pub(crate) fn records(message: &[u8]) -> Option<Vec<Part>> {
    let mut place = HEADER;
    for _ in 0..u16_at(message, 4)? {
        place = after_name(message, place)? + 4;
    }
    let count: u32 =
        [6, 8, 10].into_iter().filter_map(|at| u16_at(message, at)).map(u32::from).sum();
    let mut parts = Vec::new();
    for _ in 0..count {
        let name_end = after_name(message, place)?;
        let kind = u16_at(message, name_end)?;
        let length = usize::from(u16_at(message, name_end + 8)?);
        parts.push(Part { begin: place, kind, ttl: name_end + 4 });
        place = name_end + 10 + length;
        if place > message.len() {
            return None;
        }
    }
    Some(parts)
}

/// Where the last record begins.
pub(crate) fn last_record(message: &[u8]) -> Option<usize> {
    records(message)?.last().map(|part| part.begin)
}

impl Part {
    /// Whether its time to live is one.
    pub(crate) fn has_ttl(&self) -> bool {
        self.kind != OPT
    }
}
