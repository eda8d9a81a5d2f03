//! One message in, and what becomes of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::DNSClass;

use crate::keys;
use crate::records::{Data, Found, Record};
use crate::transfer::Transfer;
use crate::tsig::{self, Checked, Keys, Refusal, Signer};
use crate::view::View;
use crate::walk;
use crate::writer::{HEADER, LARGEST, PAYLOAD, Section, Writer, flag, kind};
use crate::zone::{Place, Zone};

/// The smallest that a client takes by UDP (RFC 1035, section 4.2.1).
const SMALLEST: u16 = 512;
/// A name that is another's is followed so often: what is described has no circles, until something beside it is renamed.
const LONGEST_CHAIN: usize = 9;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Client {
    /// It is in a network of the cluster, or let in by the configuration: it is answered, and may ask for other names.
    pub is_served: bool,
    /// It is a secondary server of our zones.
    pub is_secondary: bool,
    /// It is one if it signs with a key of ours.
    pub is_secondary_by_key: bool,
}

/// How it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A datagram: the answer must be small.
    Udp,
    /// A connection.
    Tcp,
}

/// What time it is, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// By the clock that people set: what is signed is good for a while by it.
    pub time_of_day: u64,
    /// By the clock that leases end by.
    pub of_leases: u64,
}

impl From<u64> for Now {
    fn from(now: u64) -> Self {
        Self { time_of_day: now, of_leases: now }
    }
}

/// What becomes of a message.
#[derive(Debug)]
pub enum Decision {
    /// This goes back.
    Answer(Vec<u8>),
    /// A stranger asks, or one who must not have this: so little goes back, and seldom.
    Refuse(Vec<u8>),
    /// Other servers know.
    Forward(Vec<IpAddr>),
    /// What is asked for is another name, which other servers know.
    Follow {
        /// What there is on the way to that name; the last record leads to it.
        names: Vec<Record>,
        /// The servers.
        servers: Vec<IpAddr>,
    },
    /// A whole zone goes back.
    Transfer(Box<Transfer>),
    /// Nothing goes back: it is no request.
    Ignore,
}

/// A request, as far as it can be read.
struct Request<'a> {
    bytes: &'a [u8],
    message: Message,
    signature: Checked,
    transport: Transport,
    /// The time of day, in seconds since 1970.
    seconds: u64,
}

/// The records of an answer.
#[derive(Default)]
struct Sections {
    answers: Vec<Record>,
    authorities: Vec<Record>,
    /// What the client would ask next; left out where there is no room.
    additional: Vec<Record>,
}

/// Decides on a message. `keys` are those that zones are given out by: without any, the address of a
/// secondary server is enough.
pub fn answer(
    view: &View,
    keys: &Keys,
    (client, transport): (Client, Transport),
    bytes: &[u8],
    now: impl Into<Now>,
) -> Decision {
    // An answer to an answer would be answered again.
    if bytes.len() < HEADER || bytes.get(2).is_none_or(|flags| flags & 0x80 != 0) {
        return Decision::Ignore;
    }
    let Ok(message) = Message::from_vec(bytes) else {
        return if client.is_served { Decision::Answer(broken(bytes)) } else { Decision::Ignore };
    };
    if message.queries.len() == 1 && walk::question(bytes).is_none() {
        return if client.is_served { Decision::Answer(broken(bytes)) } else { Decision::Ignore };
    }
    let Now { time_of_day, of_leases: now } = now.into();
    let seconds = time_of_day / 1000;
    let signature = tsig::check(bytes, &message, keys, seconds);
    let request = Request { bytes, message, signature, transport, seconds };
    let is_known = client.is_served || client.is_secondary;
    match &request.signature {
        Checked::Wrong(refusal) => request.refuse_signature(refusal),
        Checked::Right(_) => {
            let is_secondary = client.is_secondary || client.is_secondary_by_key;
            decide(view, keys, Client { is_secondary, ..client }, &request, now)
        }
        Checked::Unsigned if is_known => decide(view, keys, client, &request, now),
        Checked::Unsigned => Decision::Refuse(request.say(ResponseCode::Refused)),
    }
}

fn decide(view: &View, keys: &Keys, client: Client, request: &Request<'_>, now: u64) -> Decision {
    let message = &request.message;
    if message.message_type != MessageType::Query || message.op_code != OpCode::Query {
        return Decision::Answer(request.say(ResponseCode::NotImp));
    }
    if message.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        return Decision::Answer(request.say(ResponseCode::BADVERS));
    }
    let [query] = message.queries.as_slice() else {
        return Decision::Answer(request.say(ResponseCode::FormErr));
    };
    if query.query_class() != DNSClass::IN {
        return Decision::Answer(request.say(ResponseCode::Refused));
    }
    let key = keys::key(query.name());
    let wanted = u16::from(query.query_type());
    if matches!(wanted, kind::AXFR | kind::IXFR) {
        return transfer(view, keys, client, request, &key);
    }
    // Types from here on are no types of records, but questions about questions.
    if (128..kind::ANY).contains(&wanted) || wanted == 41 {
        return Decision::Answer(request.say(ResponseCode::NotImp));
    }
    let may_ask_others = request.may_ask_others(client);
    let others =
        |servers: Vec<IpAddr>| Some(servers).filter(|all| may_ask_others && !all.is_empty());
    match view.place(&key) {
        Place::Ours(zone) => of_zone(view, request, client, (&zone, key), now),
        Place::Beside(zone) => match others(view.forwarders()) {
            Some(servers) => Decision::Forward(servers),
            None => of_zone(view, request, client, (&zone, key), now),
        },
        Place::Theirs(network) => match others(view.servers_of(network)) {
            Some(servers) => Decision::Forward(servers),
            None => Decision::Refuse(request.say(ResponseCode::Refused)),
        },
        Place::Elsewhere => match others(view.forwarders()) {
            Some(servers) => Decision::Forward(servers),
            None => Decision::Refuse(request.say(ResponseCode::Refused)),
        },
    }
}

fn of_zone(
    view: &View,
    request: &Request<'_>,
    client: Client,
    (zone, key): (&Zone, String),
    now: u64,
) -> Decision {
    let (code, sections, elsewhere) = found(view, request.wanted(), (zone, &key), now);
    if let Some(elsewhere) = elsewhere.filter(|_| request.may_ask_others(client)) {
        let servers = match view.place(&elsewhere) {
            Place::Theirs(network) => view.servers_of(network),
            Place::Ours(_) | Place::Beside(_) | Place::Elsewhere => view.forwarders(),
        };
        if !servers.is_empty() {
            return Decision::Follow { names: sections.answers, servers };
        }
    }
    let offers = client.is_served && !view.forwarders().is_empty();
    let recursion = if offers { flag::RECURSION_AVAILABLE } else { 0 };
    Decision::Answer(request.write(code, flag::AUTHORITATIVE | recursion, key, &sections))
}

/// What is found at a name, and at those that it is another name of, as far as they are ours (RFC 1034, section 4.3.2); and where it goes on, if it
/// does elsewhere.
fn found(
    view: &View,
    wanted: u16,
    (zone, key): (&Zone, &str),
    now: u64,
) -> (ResponseCode, Sections, Option<String>) {
    let (mut zone, mut key) = (zone.clone(), key.to_owned());
    let mut answers = Vec::new();
    for _ in 0..LONGEST_CHAIN {
        let Found::There(records) = view.find(&zone, &key, now) else {
            // Of the last name (RFC 6604).
            let sections = Sections { answers, ..negative(view, &zone) };
            return (ResponseCode::NXDomain, sections, None);
        };
        let other = records.iter().find_map(|record| match &record.data {
            Data::Cname(name) => Some((record.clone(), name.clone())),
            _ => None,
        });
        let chosen = chosen(records, wanted);
        if !chosen.is_empty() {
            let additional = additional(view, &chosen, now);
            answers.extend(chosen);
            let sections = Sections { answers, additional, ..Sections::default() };
            return (ResponseCode::NoError, sections, None);
        }
        let Some((record, name)) = other else {
            let sections = Sections { answers, ..negative(view, &zone) };
            return (ResponseCode::NoError, sections, None);
        };
        answers.push(record);
        match view.place(&name) {
            Place::Ours(other) => (zone, key) = (other, name),
            Place::Beside(_) | Place::Theirs(_) | Place::Elsewhere => {
                let sections = Sections { answers, ..Sections::default() };
                return (ResponseCode::NoError, sections, Some(name));
            }
        }
    }
    (ResponseCode::NoError, Sections { answers, ..Sections::default() }, None)
}

/// The addresses of servers that are named.
fn additional(view: &View, answers: &[Record], now: u64) -> Vec<Record> {
    let servers: BTreeSet<&str> = answers
        .iter()
        .filter_map(|record| match &record.data {
            Data::Mx { server, .. } | Data::Srv { server, .. } => Some(server.as_str()),
            _ => None,
        })
        .collect();
    servers.into_iter().flat_map(|server| view.addresses_of(server, now)).collect()
}

/// RFC 2308: who asks in vain learns from the zone's beginning for how long that holds.
fn negative(view: &View, zone: &Zone) -> Sections {
    Sections { authorities: vec![view.soa(zone)], ..Sections::default() }
}

/// The records of a type. Whoever asks for all gets those of one (RFC 8482), so that a small question never has a large answer.
fn chosen(mut records: Vec<Record>, wanted: u16) -> Vec<Record> {
    let first = records.first().map(|record| record.data.kind());
    let wanted = if wanted == kind::ANY { first.unwrap_or_default() } else { wanted };
    records.retain(|record| record.data.kind() == wanted);
    records
}

/// A whole zone, for secondary servers only.
fn transfer(
    view: &View,
    keys: &Keys,
    client: Client,
    request: &Request<'_>,
    key: &str,
) -> Decision {
    let is_signed = matches!(&request.signature, Checked::Right(signer) if signer.has(keys));
    if !client.is_secondary || (!keys.is_empty() && !is_signed) {
        return Decision::Refuse(request.say(ResponseCode::Refused));
    }
    let Place::Ours(zone) = view.place(key) else {
        return Decision::Answer(request.say(ResponseCode::NotAuth));
    };
    if zone.name() != key {
        return Decision::Answer(request.say(ResponseCode::NotAuth));
    }
    let is_whole = request.wanted() == kind::AXFR;
    // What a secondary has already, by its word (RFC 1995). Nothing is between two revisions but a new whole.
    let known = request.message.authorities.iter().find_map(|record| match &record.data {
        hickory_proto::rr::RData::SOA(soa) => Some(soa.serial),
        _ => None,
    });
    let is_current = !is_whole && known == Some(view.serial());
    if is_current || (request.transport == Transport::Udp && !is_whole) {
        // By UDP this says that there is more by TCP.
        let answers = vec![view.soa(&zone)];
        let sections = Sections { answers, ..Sections::default() };
        let bytes =
            request.write(ResponseCode::NoError, flag::AUTHORITATIVE, key.to_owned(), &sections);
        return Decision::Answer(bytes);
    }
    if request.transport == Transport::Udp {
        return Decision::Answer(request.say(ResponseCode::FormErr));
    }
    let question = walk::question(request.bytes).unwrap_or_default().to_vec();
    let signer = request.signer();
    let id = request.message.id;
    Decision::Transfer(Box::new(Transfer::new(view, &zone, (id, question), signer)))
}

impl Request<'_> {
    /// The type that is asked for.
    fn wanted(&self) -> u16 {
        self.message.queries.first().map_or(0, |query| u16::from(query.query_type()))
    }

    /// As large as the answer may be.
    fn limit(&self) -> usize {
        match (self.transport, &self.message.edns) {
            (Transport::Tcp, _) => LARGEST,
            (Transport::Udp, None) => SMALLEST.into(),
            (Transport::Udp, Some(edns)) => edns.max_payload().clamp(SMALLEST, PAYLOAD).into(),
        }
    }

    /// Whether other servers are asked for whoever asks.
    fn may_ask_others(&self, client: Client) -> bool {
        client.is_served
            && self.message.recursion_desired
            && matches!(self.signature, Checked::Unsigned)
    }

    fn signer(&self) -> Option<Signer> {
        match &self.signature {
            Checked::Right(signer) => Some(signer.clone()),
            Checked::Unsigned | Checked::Wrong(_) => None,
        }
    }

    /// An answer without records.
    fn say(&self, code: ResponseCode) -> Vec<u8> {
        let key = self.message.queries.first().map(|query| keys::key(query.name()));
        self.write(code, 0, key.unwrap_or_default(), &Sections::default())
    }

    /// RFC 8945, section 5.2: the answer says what is wrong with the signature.
    fn refuse_signature(&self, refusal: &Refusal) -> Decision {
        let mut bytes = self.say(ResponseCode::NotAuth);
        refusal.append(&mut bytes, self.seconds);
        Decision::Refuse(bytes)
    }

    fn write(&self, code: ResponseCode, flags: u16, key: String, sections: &Sections) -> Vec<u8> {
        let mut signer = self.signer();
        // Room for the signature, with the longest name and code that ours have.
        let reserved = if signer.is_some() { 400 } else { 0 };
        let limit = self.limit().saturating_sub(reserved);
        let whole = self.body(code, flags, key.clone(), sections);
        let mut bytes = if whole.len() <= limit {
            whole.into_bytes()
        } else {
            self.shorter(code, flags, key, sections, limit).into_bytes()
        };
        if let Some(signer) = &mut signer {
            signer.sign(&mut bytes, self.seconds);
        }
        bytes
    }

    /// Without what was not asked for; where that is too long as well, the client must ask by TCP.
    fn shorter(
        &self,
        code: ResponseCode,
        flags: u16,
        key: String,
        sections: &Sections,
        limit: usize,
    ) -> Writer {
        let (answers, authorities) = (sections.answers.clone(), sections.authorities.clone());
        let asked = Sections { answers, authorities, additional: Vec::new() };
        let asked = self.body(code, flags, key.clone(), &asked);
        if asked.len() <= limit {
            return asked;
        }
        self.body(code, flags | flag::TRUNCATED, key, &Sections::default())
    }

    fn body(&self, code: ResponseCode, flags: u16, key: String, sections: &Sections) -> Writer {
        let message = &self.message;
        let code = u16::from(code);
        let desired = if message.recursion_desired { flag::RECURSION_DESIRED } else { 0 };
        let checking = if message.checking_disabled { flag::CHECKING_DISABLED } else { 0 };
        let op_code = u16::from(u8::from(message.op_code) & 15) << 11;
        let flags = flag::RESPONSE | op_code | flags | desired | checking | (code & 15);
        let mut writer = Writer::new(message.id, flags);
        if let Some(question) = walk::question(self.bytes) {
            writer.question(question, key);
        }
        for record in &sections.answers {
            writer.record(Section::Answer, record);
        }
        for record in &sections.authorities {
            writer.record(Section::Authority, record);
        }
        for record in &sections.additional {
            writer.record(Section::Additional, record);
        }
        if let Some(edns) = &message.edns {
            writer.edns(code, edns.flags().dnssec_ok);
        }
        writer
    }
}

/// What goes back for a message that cannot be read: its number, and that it cannot.
fn broken(bytes: &[u8]) -> Vec<u8> {
    let id = walk::u16_at(bytes, 0).unwrap_or_default();
    let asked = walk::u16_at(bytes, 2).unwrap_or_default();
    // Its operation, and whether it wants recursion.
    let kept = asked & (15 << 11 | flag::RECURSION_DESIRED);
    let code = u16::from(ResponseCode::FormErr);
    Writer::new(id, flag::RESPONSE | kept | code).into_bytes()
}
