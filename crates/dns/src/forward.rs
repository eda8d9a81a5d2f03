//! A question that other servers are asked, and their answer. It goes on as it came, byte for byte, so that records of every type do.

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name as DnsName, RData, Record as DnsRecord};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

use crate::records::{Data, Record};
use crate::walk;
use crate::writer::{HEADER, PAYLOAD, Writer, flag};

const SMALLEST: u16 = 512;
const SERVER_FAILURE: u16 = 2;
const NAME_ERROR: u16 = 3;
const REFUSED: u16 = 5;

/// A question of a client for other servers.
#[derive(Debug, Clone)]
pub struct Question {
    id: u16,
    /// Name, type and class as the client wrote them.
    own: Vec<u8>,
    /// Those that other servers are asked for.
    bytes: Vec<u8>,
    /// What leads from the one name to the other.
    names: Vec<Record>,
    is_recursive: bool,
    /// Whether the client checks signatures itself.
    is_unchecked: bool,
    /// The payload that the client takes, and whether it wants signatures; `None` without the extension.
    edns: Option<(u16, bool)>,
}

/// What tells whether an answer serves another question, too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sameness {
    question: Vec<u8>,
    is_unchecked: bool,
    wants_signatures: Option<bool>,
}

impl Question {
    /// The one of a client's message that was decided to be forwarded.
    pub fn read(request: &[u8]) -> Option<Self> {
        let message = Message::from_vec(request).ok()?;
        let edns = message.edns.as_ref();
        let own = walk::question(request)?.to_vec();
        Some(Self {
            id: message.id,
            bytes: own.clone(),
            own,
            names: Vec::new(),
            is_recursive: message.recursion_desired,
            is_unchecked: message.checking_disabled,
            edns: edns
                .map(|edns| (edns.max_payload().clamp(SMALLEST, PAYLOAD), edns.flags().dnssec_ok)),
        })
    }

    /// The same for the name that these records lead to, the last of them from name to name.
    pub fn behind(mut self, names: Vec<Record>) -> Option<Self> {
        let Data::Cname(name) = &names.last()?.data else { return None };
        let mut bytes = Vec::with_capacity(name.len() + 6);
        for label in name.split('.') {
            bytes.push(u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?);
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend(self.own.last_chunk::<4>()?);
        self.bytes = bytes;
        self.names = names;
        Some(self)
    }

    /// What tells whether the answer to this question serves another.
    pub fn sameness(&self) -> Sameness {
        Sameness {
            question: self.bytes.to_ascii_lowercase(),
            is_unchecked: self.is_unchecked,
            wants_signatures: self.edns.map(|(_, wants)| wants),
        }
    }

    /// What other servers are sent, under this number.
    pub fn to_server(&self, id: u16) -> Vec<u8> {
        let checking = if self.is_unchecked { flag::CHECKING_DISABLED } else { 0 };
        let mut writer = Writer::new(id, flag::RECURSION_DESIRED | checking);
        writer.question(&self.bytes, String::new());
        if let Some((_, wants_signatures)) = self.edns {
            writer.edns(0, wants_signatures);
        }
        writer.into_bytes()
    }

    /// Whether a message is the answer to what was sent under this number: of one who does not know number, port and question, it is not.
    pub fn is_answered_by(&self, answer: &[u8], id: u16) -> bool {
        let is_answer = walk::u16_at(answer, 2).is_some_and(|flags| flags & flag::RESPONSE != 0);
        let is_same = walk::question(answer)
            .is_some_and(|question| question.eq_ignore_ascii_case(&self.bytes));
        walk::u16_at(answer, 0) == Some(id)
            && is_answer
            && is_same
            && walk::records(answer).is_some()
    }

    /// What the client is sent of an answer that was taken, by UDP or TCP.
    pub fn to_client(&self, answer: &[u8], is_udp: bool) -> Vec<u8> {
        let mut bytes = if self.names.is_empty() {
            answer.to_vec()
        } else {
            let Some(bytes) = self.with_names(answer) else { return self.failed() };
            bytes
        };
        let flags = walk::u16_at(&bytes, 2).unwrap_or_default();
        // It is not our own word, and we have not checked it.
        let flags = flags & !(flag::AUTHORITATIVE | flag::AUTHENTIC | flag::RECURSION_DESIRED);
        let flags = flags | flag::RECURSION_AVAILABLE | self.desired();
        let limit = self.edns.map_or(SMALLEST, |(payload, _)| payload);
        if is_udp && bytes.len() > usize::from(limit) {
            return self.without_records(flags | flag::TRUNCATED);
        }
        if let Some(head) = bytes.get_mut(..4) {
            head.copy_from_slice(&[self.id.to_be_bytes(), flags.to_be_bytes()].concat());
        }
        if let Some(question) = bytes.get_mut(HEADER..HEADER + self.own.len()) {
            question.copy_from_slice(&self.own);
        }
        bytes
    }

    /// An answer for the other name as one for the name that was asked for. It is written anew: names in it point to the question.
    fn with_names(&self, answer: &[u8]) -> Option<Vec<u8>> {
        let mut message = Message::from_vec(answer).ok()?;
        let [query] = message.queries.as_mut_slice() else { return None };
        let mut own = BinDecoder::new(&self.own);
        query.set_name(DnsName::read(&mut own).ok()?);
        let whole = |name: &str| DnsName::from_ascii(format!("{name}.")).ok();
        let names = self.names.iter().map(|record| match &record.data {
            Data::Cname(target) => {
                let data = RData::CNAME(CNAME(whole(target)?));
                Some(DnsRecord::from_rdata(whole(&record.name)?, record.ttl, data))
            }
            _ => None,
        });
        let mut answers: Vec<DnsRecord> = names.collect::<Option<_>>()?;
        answers.append(&mut message.answers);
        message.answers = answers;
        message.to_vec().ok()
    }

    /// What the client is sent when no server answers.
    pub fn failed(&self) -> Vec<u8> {
        self.without_records(
            flag::RESPONSE | flag::RECURSION_AVAILABLE | self.desired() | SERVER_FAILURE,
        )
    }

    /// What a client is sent who is itself the server that would be asked.
    pub fn refused(&self) -> Vec<u8> {
        self.without_records(flag::RESPONSE | self.desired() | REFUSED)
    }

    fn desired(&self) -> u16 {
        if self.is_recursive { flag::RECURSION_DESIRED } else { 0 }
    }

    fn without_records(&self, flags: u16) -> Vec<u8> {
        let mut writer = Writer::new(self.id, flags);
        writer.question(&self.own, String::new());
        if let Some((_, wants_signatures)) = self.edns {
            writer.edns(0, wants_signatures);
        }
        writer.into_bytes()
    }
}

/// Whether an answer is only a part of what there is by TCP.
pub fn is_truncated(answer: &[u8]) -> bool {
    walk::u16_at(answer, 2).is_some_and(|flags| flags & flag::TRUNCATED != 0)
}

/// Whether an answer says something about the name; another server may know more otherwise.
pub fn is_helpful(answer: &[u8]) -> bool {
    let code = walk::u16_at(answer, 2).unwrap_or(SERVER_FAILURE) & 15;
    matches!(code, 0 | NAME_ERROR)
}
