//! Telling secondary servers that a zone has changed (NOTIFY, RFC 1996).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::tsig::{Key, Signer};
use crate::view::View;
use crate::walk;
use crate::writer::{Section, Writer, flag, kind};
use crate::zone::Zone;

const NOTIFY: u16 = 4 << 11;
const OPERATION: u16 = 15 << 11;
const CLASS_IN: u16 = 1;

/// What a secondary is sent under this number, signed at this time in seconds since 1970 where there is a key.
pub fn notify(view: &View, zone: &Zone, key: Option<&Key>, id: u16, now: u64) -> Vec<u8> {
    let mut writer = Writer::new(id, NOTIFY | flag::AUTHORITATIVE);
    let name = zone.name();
    let mut question = Vec::new();
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).unwrap_or_default());
        question.extend(label.as_bytes());
    }
    question.push(0);
    question.extend(kind::SOA.to_be_bytes());
    question.extend(CLASS_IN.to_be_bytes());
    writer.question(&question, name);
    writer.record(Section::Answer, &view.soa(zone));
    let mut bytes = writer.into_bytes();
    if let Some(key) = key {
        Signer::of_request(key, id).sign(&mut bytes, now);
    }
    bytes
}

/// Whether a message says that the one with this number has come.
pub fn is_noticed(answer: &[u8], id: u16) -> bool {
    let is_answer = walk::u16_at(answer, 2)
        .is_some_and(|flags| flags & flag::RESPONSE != 0 && flags & OPERATION == NOTIFY);
    walk::u16_at(answer, 0) == Some(id) && is_answer
}

impl View {
    /// A number that changes with what a zone says, its serial number aside. It means nothing in another process.
    pub fn fingerprint(&self, zone: &Zone) -> u64 {
        let mut hasher = DefaultHasher::new();
        for record in self.records(zone).iter().filter(|own| own.data.kind() != kind::SOA) {
            record.hash(&mut hasher);
        }
        hasher.finish()
    }
}
