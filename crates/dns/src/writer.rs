//! Messages as they are sent (RFC 1035, section 4.1). What comes from others is read by `hickory-proto`; this writes what we say, which is
//! always well formed.

use crate::records::{Data, Record, Soa};

pub(crate) const HEADER: usize = 12;
/// As large as a message over TCP is.
pub(crate) const LARGEST: usize = u16::MAX as usize;
/// What marks a pointer to a name, and how far it reaches.
const POINTER: u16 = 0xc000;
const REACH: usize = 0x4000;
/// The payload that we take by UDP: it passes every link in one piece (DNS flag day 2020).
pub(crate) const PAYLOAD: u16 = 1232;
const CLASS_IN: u16 = 1;
const OPT: u16 = 41;

/// Types of records.
pub(crate) mod kind {
    pub(crate) const A: u16 = 1;
    pub(crate) const NS: u16 = 2;
    pub(crate) const SOA: u16 = 6;
    pub(crate) const CNAME: u16 = 5;
    pub(crate) const PTR: u16 = 12;
    pub(crate) const MX: u16 = 15;
    pub(crate) const TXT: u16 = 16;
    pub(crate) const AAAA: u16 = 28;
    pub(crate) const SRV: u16 = 33;
    pub(crate) const IXFR: u16 = 251;
    pub(crate) const AXFR: u16 = 252;
    pub(crate) const ANY: u16 = 255;
}

/// Bits of the header's second word.
pub(crate) mod flag {
    pub(crate) const RESPONSE: u16 = 1 << 15;
    pub(crate) const AUTHORITATIVE: u16 = 1 << 10;
    pub(crate) const TRUNCATED: u16 = 1 << 9;
    pub(crate) const RECURSION_DESIRED: u16 = 1 << 8;
    pub(crate) const RECURSION_AVAILABLE: u16 = 1 << 7;
    pub(crate) const AUTHENTIC: u16 = 1 << 5;
    pub(crate) const CHECKING_DISABLED: u16 = 1 << 4;
}

/// The sections after the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Answer,
    Authority,
    Additional,
}

impl Section {
    /// Where the header counts its records.
    fn count(self) -> usize {
        match self {
            Self::Answer => 6,
            Self::Authority => 8,
            Self::Additional => ADDITIONAL_COUNT,
        }
    }
}

const ADDITIONAL_COUNT: usize = 10;

/// A message in the making.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    /// The key of the question, which is written at [`HEADER`]: later names that end as it does point there.
    question: String,
}

impl Writer {
    /// Begins a message; the flags have the response code in their last four bits.
    pub(crate) fn new(id: u16, flags: u16) -> Self {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend(id.to_be_bytes());
        bytes.extend(flags.to_be_bytes());
        bytes.resize(HEADER, 0);
        Self { bytes, question: String::new() }
    }

    /// Repeats a question as it came, name in wire form, which has this key.
    pub(crate) fn question(&mut self, question: &[u8], key: String) {
        self.bytes.extend(question);
        self.add(4, 1);
        self.question = key;
    }

    pub(crate) fn record(&mut self, section: Section, record: &Record) {
        self.name(&record.name);
        let kind = record.data.kind();
        self.u16(kind);
        self.u16(CLASS_IN);
        self.bytes.extend(record.ttl.to_be_bytes());
        let place = self.bytes.len();
        self.u16(0);
        match &record.data {
            Data::A(address) => self.bytes.extend(address.octets()),
            Data::Aaaa(address) => self.bytes.extend(address.octets()),
            Data::Ns(name) | Data::Ptr(name) | Data::Cname(name) => self.name(name),
            Data::Soa(soa) => self.soa(soa),
            Data::Mx { preference, server } => {
                self.u16(*preference);
                self.name(server);
            }
            Data::Srv { priority, weight, port, server } => {
                for number in [*priority, *weight, *port] {
                    self.u16(number);
                }
                // RFC 2782: no pointers here.
                self.labels(server, |_, _| None);
            }
            Data::Txt(text) => self.text(text),
        }
        let length = self.bytes.len() - place - 2;
        self.put(place, u16::try_from(length).unwrap_or_default());
        self.add(section.count(), 1);
    }

    fn soa(&mut self, soa: &Soa) {
        self.name(&soa.primary);
        self.name(&soa.mailbox);
        for number in [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum] {
            self.bytes.extend(number.to_be_bytes());
        }
    }

    /// The extension of RFC 6891: the payload that we take, the upper bits of the response code, and whether signatures were asked for.
    pub(crate) fn edns(&mut self, code: u16, wants_signatures: bool) {
        self.bytes.push(0);
        self.u16(OPT);
        self.u16(PAYLOAD);
        self.bytes.push(u8::try_from(code >> 4).unwrap_or_default());
        self.bytes.push(0);
        self.u16(u16::from(wants_signatures) << 15);
        self.u16(0);
        self.add(ADDITIONAL_COUNT, 1);
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Pieces, each after its length; one of nothing for nothing (RFC 1035, section 3.3.14).
    fn text(&mut self, text: &str) {
        for piece in text_pieces(text) {
            self.bytes.push(u8::try_from(piece.len()).unwrap_or_default());
            self.bytes.extend(piece);
        }
    }

    /// A name; what ends as the question does points there.
    fn name(&mut self, name: &str) {
        self.labels(name, Self::pointer);
    }

    fn labels(&mut self, name: &str, pointer: impl Fn(&Self, &str) -> Option<u16>) {
        let mut rest = name;
        while !rest.is_empty() {
            if let Some(pointer) = pointer(self, rest) {
                self.u16(pointer);
                return;
            }
            let (label, tail) = rest.split_once('.').unwrap_or((rest, ""));
            self.bytes.push(u8::try_from(label.len()).unwrap_or_default());
            self.bytes.extend(label.as_bytes());
            rest = tail;
        }
        self.bytes.push(0);
    }

    /// In a key and in a name on the wire, each label takes one byte more than it has.
    fn pointer(&self, name: &str) -> Option<u16> {
        let before = self.question.strip_suffix(name)?;
        let place = HEADER + before.len();
        let is_whole = before.is_empty() || before.ends_with('.');
        u16::try_from(place).ok().filter(|_| is_whole && place < REACH).map(|at| POINTER | at)
    }

    fn u16(&mut self, number: u16) {
        self.bytes.extend(number.to_be_bytes());
    }

    fn put(&mut self, place: usize, number: u16) {
        if let Some(bytes) = self.bytes.get_mut(place..place + 2) {
            bytes.copy_from_slice(&number.to_be_bytes());
        }
    }

    fn add(&mut self, place: usize, count: u16) {
        add(&mut self.bytes, place, count);
    }
}

/// The pieces of a text (RFC 1035, section 3.3.14): readers put them together again.
pub fn text_pieces(text: &str) -> impl Iterator<Item = &[u8]> {
    const LONGEST: usize = 255;
    let nothing = text.is_empty().then_some(&[][..]);
    text.as_bytes().chunks(LONGEST).chain(nothing)
}

/// Raises a count of a header.
pub(crate) fn add(message: &mut [u8], place: usize, count: u16) {
    if let Some([high, low]) = message.get_mut(place..place + 2) {
        let number = u16::from_be_bytes([*high, *low]).wrapping_add(count);
        [*high, *low] = number.to_be_bytes();
    }
}

impl Data {
    /// The number of its type.
    pub(crate) fn kind(&self) -> u16 {
        match self {
            Self::Soa(_) => kind::SOA,
            Self::Ns(_) => kind::NS,
            Self::A(_) => kind::A,
            Self::Aaaa(_) => kind::AAAA,
            Self::Ptr(_) => kind::PTR,
            Self::Cname(_) => kind::CNAME,
            Self::Mx { .. } => kind::MX,
            Self::Srv { .. } => kind::SRV,
            Self::Txt(_) => kind::TXT,
        }
    }
}
