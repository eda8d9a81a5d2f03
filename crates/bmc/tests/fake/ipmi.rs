//! A BMC that speaks IPMI 2.0 on a port of its own, and can be told to misbehave. `ipmitool` talks to it as to any
//! other, which is how it is known to be right.

pub(crate) mod redfish;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use perilune_bmc::ipmi::message::{self, Command};
use perilune_bmc::ipmi::packet::{self, Kind, Packet};
use perilune_bmc::ipmi::rakp::Exchange;
use perilune_bmc::ipmi::suite::{Keys, Suite};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

pub(crate) const USER: &str = "admin";
pub(crate) const PASSWORD: &str = "password";
const RANDOM: [u8; 16] = [0x5a; 16];
const GUID: [u8; 16] = [0x17; 16];
const OPERATOR: u8 = 3;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Behaviour {
    #[default]
    Good,
    /// Never says anything.
    Hangs,
    /// Stops answering for ever after so many answers.
    HangsAfter(u32),
    Late(Duration),
    Twice,
    /// Keeps each answer back until the same question comes again, then sends the newer one first.
    OutOfOrder,
    /// Bytes that are nothing.
    Garbage,
    /// Sessions begin well, and then every packet has a wrong check code.
    WrongChecks,
    /// The same, but packets are well-formed and the checksum of the message inside is wrong.
    WrongChecksums,
    /// Starts anew after so many answers: forgets its sessions, once.
    ResetsAfter(u32),
    /// Each answer takes a time between these, and may come twice; so answers overtake each other. The number is for chance.
    Slow(Duration, Duration, u64),
    /// The same, and with each answer come those of earlier sessions once more.
    Haunted(Duration, Duration, u64),
    /// One packet after the other, each for so long.
    OneByOne(Duration),
    /// Slow, and of an opening that is sent again it makes a session in place of the former.
    Replaces(Duration),
    /// Refuses the opening with this status.
    Opening(u8),
    /// Answers commands for the power with this completion code, and does them when the second says so.
    PowerCode(u8, bool),
    /// Accepts commands for the power, and does nothing.
    IgnoresPower,
    /// Does what it is told, and says nothing about it.
    SilentPower,
    NoFreeSession,
}

/// Function, number and data of a command.
type Question = (u8, u8, Vec<u8>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    pub(crate) is_on: bool,
    pub(crate) is_identified: bool,
    /// Every command for the chassis, in order: 0 off, 1 on, 2 cycle, 3 reset, 5 soft.
    pub(crate) controls: Vec<u8>,
    /// How often a session was asked for.
    pub(crate) openings: u32,
    /// Sessions that were begun and not closed.
    pub(crate) open_sessions: usize,
    pub(crate) packets: u64,
    /// Answers to commands beside the chassis's.
    pub(crate) canned: BTreeMap<Question, (u8, Vec<u8>)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    pub(crate) machine: Arc<Mutex<Machine>>,
}

impl Fake {
    pub(crate) async fn start(
        tasks: &mut JoinSet<()>,
        suites: &[Suite],
        behaviour: Behaviour,
    ) -> Self {
        Self::start_at(tasks, (Ipv4Addr::LOCALHOST, 0).into(), suites, behaviour).await
    }

    pub(crate) async fn start_at(
        tasks: &mut JoinSet<()>,
        address: SocketAddr,
        suites: &[Suite],
        behaviour: Behaviour,
    ) -> Self {
        let socket = UdpSocket::bind(address).await.expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        let machine = Arc::new(Mutex::new(Machine::default()));
        let bmc = Bmc {
            machine: Arc::clone(&machine),
            suites: suites.to_vec(),
            behaviour,
            sessions: BTreeMap::new(),
            answers: 0,
            kept: None,
            next_session: 0x0100_0001,
            next_random: 0,
            chance: match behaviour {
                Behaviour::Slow(_, _, seed) | Behaviour::Haunted(_, _, seed) => seed,
                _ => 0,
            },
            said: Vec::new(),
            busy_until: Instant::now(),
        };
        tasks.spawn(bmc.serve(Arc::new(socket)));
        Self { address, machine }
    }

    pub(crate) fn machine(&self) -> Machine {
        self.machine.lock().unwrap().clone()
    }
}

struct Session {
    exchange: Exchange,
    keys: Option<Keys>,
    privilege: u8,
    sequence: u32,
    /// The highest packet number seen: what is not above is a replay.
    seen: u32,
}

struct Bmc {
    machine: Arc<Mutex<Machine>>,
    suites: Vec<Suite>,
    behaviour: Behaviour,
    sessions: BTreeMap<u32, Session>,
    answers: u32,
    kept: Option<Vec<u8>>,
    next_session: u32,
    /// Every message 1 gets another secret, as from most firmware.
    next_random: u8,
    chance: u64,
    /// Answers before a session: whose, and what.
    said: Vec<(u32, Vec<u8>)>,
    busy_until: Instant,
}

impl Bmc {
    async fn serve(mut self, socket: Arc<UdpSocket>) {
        let mut buffer = [0; 1024];
        let mut later = JoinSet::new();
        loop {
            let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
            self.machine.lock().unwrap().packets += 1;
            while later.try_join_next().is_some() {}
            for (delay, answer) in self.answers_to(&buffer[..length]) {
                let socket = Arc::clone(&socket);
                if delay.is_zero() {
                    drop(socket.send_to(&answer, from).await);
                } else {
                    later.spawn(async move {
                        tokio::time::sleep(delay).await;
                        drop(socket.send_to(&answer, from).await);
                    });
                }
            }
            let open = self.sessions.values().filter(|session| session.keys.is_some()).count();
            self.machine.lock().unwrap().open_sessions = open;
        }
    }

    /// What the behaviour makes of the right answer.
    fn answers_to(&mut self, bytes: &[u8]) -> Vec<(Duration, Vec<u8>)> {
        let now = Duration::ZERO;
        match self.behaviour {
            Behaviour::Hangs => return Vec::new(),
            Behaviour::HangsAfter(answers) if self.answers >= answers => return Vec::new(),
            Behaviour::Garbage => {
                return vec![(now, vec![0x06, 0x00, 0xff, 0x07, 0x06, 0xff, 1, 2, 3])];
            }
            Behaviour::ResetsAfter(answers) if self.answers >= answers => {
                self.sessions.clear();
                self.behaviour = Behaviour::Good;
            }
            _ => {}
        }
        let Some(answer) = self.answer(bytes) else { return Vec::new() };
        self.answers += 1;
        match self.behaviour {
            Behaviour::Late(delay) | Behaviour::Replaces(delay) => vec![(delay, answer)],
            Behaviour::OneByOne(delay) => {
                self.busy_until = self.busy_until.max(Instant::now()) + delay;
                vec![(self.busy_until - Instant::now(), answer)]
            }
            Behaviour::Slow(least, most, _) => self.slowly(least, most, answer),
            Behaviour::Haunted(least, most, _) => {
                let own = packet::console_session(&answer).unwrap_or_default();
                let earlier = self.said.iter().filter(|(whose, _)| *whose != own);
                let mut answers: Vec<_> = earlier.map(|(_, said)| (now, said.clone())).collect();
                if answer[5] != 0xc0 {
                    self.said.push((own, answer.clone()));
                }
                answers.extend(self.slowly(least, most, answer));
                answers
            }
            Behaviour::Twice => vec![(now, answer.clone()), (now, answer)],
            Behaviour::OutOfOrder => match self.kept.take() {
                Some(kept) => vec![(now, answer), (now, kept)],
                None => {
                    self.kept = Some(answer);
                    Vec::new()
                }
            },
            Behaviour::WrongChecks => {
                let mut answer = answer;
                if answer[5] == 0xc0 {
                    *answer.last_mut().unwrap() ^= 1;
                }
                vec![(now, answer)]
            }
            _ => vec![(now, answer)],
        }
    }

    /// An answer after some time, and for every fourth once more after another.
    fn slowly(
        &mut self,
        least: Duration,
        most: Duration,
        answer: Vec<u8>,
    ) -> Vec<(Duration, Vec<u8>)> {
        let mut delay = || {
            let numbers = self.chance.wrapping_mul(6_364_136_223_846_793_005);
            self.chance = numbers.wrapping_add(1_442_695_040_888_963_407);
            let share = f64::from(u32::try_from(self.chance >> 32).unwrap()) / f64::from(u32::MAX);
            least + most.saturating_sub(least).mul_f64(share)
        };
        let mut answers = vec![(delay(), answer.clone())];
        if delay() < least + most.saturating_sub(least) / 4 {
            answers.push((delay(), answer));
        }
        answers
    }

    fn answer(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if bytes.get(4) == Some(&0) {
            return capabilities(bytes);
        }
        let packet = packet::decode(bytes).ok()?;
        match packet.kind {
            Kind::OpenSessionRequest => self.open(packet.payload),
            Kind::Rakp1 => Some(self.message_1(packet.payload)),
            Kind::Rakp3 => self.message_3(packet.payload),
            Kind::Ipmi => self.command(&packet),
            _ => None,
        }
    }

    fn open(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        self.machine.lock().unwrap().openings += 1;
        let (tag, console) = (payload[0], &payload[4..8]);
        let refuse = |status| {
            let mut answer = vec![tag, status, 0, 0];
            answer.extend(console);
            Some(packet::encode_plain(Kind::OpenSessionResponse, &answer))
        };
        match self.behaviour {
            Behaviour::NoFreeSession => return refuse(0x01),
            Behaviour::Opening(status) => return refuse(status),
            Behaviour::Replaces(_) => self.sessions.clear(),
            _ => {}
        }
        let suite = Suite::from_algorithms([payload[12], payload[20], payload[28]]);
        let Some(suite) = suite.filter(|suite| self.suites.contains(suite)) else {
            return refuse(0x11);
        };
        let number = self.next_session;
        self.next_session += 1;
        let exchange = Exchange {
            suite,
            console_session: u32::from_le_bytes(console.try_into().unwrap()),
            managed_session: number,
            console_random: [0; 16],
            managed_random: RANDOM,
            managed_guid: GUID,
            privilege: 0,
            user: Vec::new(),
        };
        let mut answer = vec![tag, 0, 4, 0];
        answer.extend(console);
        answer.extend(number.to_le_bytes());
        answer.extend(&payload[8..32]);
        let session = Session { exchange, keys: None, privilege: 2, sequence: 0, seen: 0 };
        self.sessions.insert(number, session);
        Some(packet::encode_plain(Kind::OpenSessionResponse, &answer))
    }

    fn message_1(&mut self, payload: &[u8]) -> Vec<u8> {
        let number = u32::from_le_bytes(payload[4..8].try_into().unwrap());
        self.next_random = self.next_random.wrapping_add(1);
        let random = [self.next_random; 16];
        let Some(session) = self.sessions.get_mut(&number) else {
            return packet::encode_plain(Kind::Rakp2, &[payload[0], 0x02, 0, 0]);
        };
        let exchange = &mut session.exchange;
        exchange.managed_random = random;
        exchange.console_random = payload[8..24].try_into().unwrap();
        exchange.privilege = payload[24] & 0x0f;
        exchange.user = payload[28..].to_vec();
        let status = if exchange.user == USER.as_bytes() { 0 } else { 0x0d };
        let mut answer = vec![payload[0], status, 0, 0];
        answer.extend(exchange.console_session.to_le_bytes());
        if status == 0 {
            answer.extend(random);
            answer.extend(GUID);
            answer.extend(exchange.managed_code(PASSWORD.as_bytes()));
        }
        packet::encode_plain(Kind::Rakp2, &answer)
    }

    fn message_3(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let number = u32::from_le_bytes(payload[4..8].try_into().unwrap());
        if payload[1] != 0 {
            self.sessions.remove(&number);
            return None;
        }
        let session = self.sessions.get_mut(&number).filter(|session| session.keys.is_none());
        // A session that has begun is not begun again.
        let Some(session) = session else {
            return Some(packet::encode_plain(Kind::Rakp4, &[payload[0], 0x02, 0, 0]));
        };
        let exchange = &session.exchange;
        let key = exchange.session_key(PASSWORD.as_bytes());
        let is_right = exchange.console_code(PASSWORD.as_bytes()) == payload[8..];
        let mut answer = vec![payload[0], if is_right { 0 } else { 0x0f }, 0, 0];
        answer.extend(exchange.console_session.to_le_bytes());
        if is_right {
            answer.extend(exchange.final_check(&key));
            session.keys = Some(Keys::new(exchange.suite, &key));
        }
        Some(packet::encode_plain(Kind::Rakp4, &answer))
    }

    fn command(&mut self, packet: &Packet<'_>) -> Option<Vec<u8>> {
        let session = self.sessions.get_mut(&packet.session)?;
        let keys = session.keys.clone()?;
        let payload = packet.open(&keys).ok()?;
        if packet.sequence <= session.seen {
            return None;
        }
        session.seen = packet.sequence;
        let (command, number, data) = message::decode_request(&payload).ok()?;
        let (completion, data) = self.perform(packet.session, command, &data)?;
        let session = self.sessions.get_mut(&packet.session)?;
        session.sequence += 1;
        let mut response = message::encode_response(command, number, completion, &data);
        if self.behaviour == Behaviour::WrongChecksums {
            *response.last_mut().unwrap() ^= 1;
        }
        let console = session.exchange.console_session;
        let bytes = packet::encode_protected(&keys, console, session.sequence, RANDOM, &response);
        if command == (Command { function: 6, number: 0x3c }) {
            self.sessions.remove(&packet.session);
        }
        Some(bytes)
    }

    /// Completion code and data.
    fn perform(&mut self, session: u32, command: Command, data: &[u8]) -> Option<(u8, Vec<u8>)> {
        let session = self.sessions.get_mut(&session)?;
        let mut machine = self.machine.lock().unwrap();
        let Command { function, number } = command;
        let answer = match (function, number) {
            (0x06, 0x3b) => {
                session.privilege = data[0].min(session.exchange.privilege);
                (0, vec![session.privilege])
            }
            (0x06, 0x3c) => (0, Vec::new()),
            (0x00, 0x01) => (0, vec![u8::from(machine.is_on), 0, 0, 0]),
            (0x00, _) if session.privilege < OPERATOR => (0xd4, Vec::new()),
            (0x00, 0x02) => {
                machine.controls.push(data[0]);
                if let Behaviour::PowerCode(code, false) = self.behaviour {
                    return Some((code, Vec::new()));
                }
                match (self.behaviour, data[0]) {
                    (Behaviour::IgnoresPower, _) | (_, 3) => {}
                    (_, 0 | 5) => machine.is_on = false,
                    _ => machine.is_on = true,
                }
                match self.behaviour {
                    Behaviour::SilentPower => return None,
                    Behaviour::PowerCode(code, true) => (code, Vec::new()),
                    _ => (0, Vec::new()),
                }
            }
            // As on old firmware: knows no byte for "until told otherwise".
            (0x00, 0x04) if data.len() == 1 => {
                machine.is_identified = data[0] != 0;
                (0, Vec::new())
            }
            (0x00, 0x04) => (0xc7, Vec::new()),
            _ => {
                let canned = machine.canned.get(&(function, number, data.to_vec()));
                canned.cloned().unwrap_or((0xc1, Vec::new()))
            }
        };
        Some(answer)
    }
}

/// "Get channel authentication capabilities", which comes in a packet of IPMI 1.5; other tools ask it first.
fn capabilities(bytes: &[u8]) -> Option<Vec<u8>> {
    let (command, number, _) = message::decode_request(bytes.get(14..)?).ok()?;
    if command != (Command { function: 6, number: 0x38 }) {
        return None;
    }
    let data = [1, 0x80, 0x04, 0x02, 0, 0, 0, 0];
    let response = message::encode_response(command, number, 0, &data);
    let mut answer = bytes[..4].to_vec();
    answer.extend([0; 9]);
    answer.push(u8::try_from(response.len()).unwrap());
    answer.extend(response);
    Some(answer)
}
