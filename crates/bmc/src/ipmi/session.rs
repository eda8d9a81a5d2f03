//! A session with one BMC, from opening to closing (IPMI 2.0, 13.14 and following).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::hub::Hub;
use super::line::{Line, Patience};
use super::message::{self, Command, Response};
use super::packet::{self, Kind};
use super::rakp::{self, Answer, Exchange, Opened};
use super::suite::{Keys, Suite};
use super::window::Window;
use super::{Garbled, completion};
use crate::{Credentials, Error};

const SET_PRIVILEGE: Command = Command { function: 0x06, number: 0x3b };
const CLOSE: Command = Command { function: 0x06, number: 0x3c };
const NODE_BUSY: u8 = 0xc0;
/// How often a BMC may say that it is busy, and how long it is then left alone.
const BUSY_TRIES: u32 = 5;
const BUSY_PAUSE: Duration = Duration::from_millis(200);
const TAG_SEVENTEEN: u8 = 17;
const TAG_THREE: u8 = 3;
const TAG_MESSAGE_1: u8 = 0x41;
const TAG_MESSAGE_3: u8 = 0x43;

/// What a user may do: as much as is asked for when the session begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Privilege {
    User = 2,
    Operator = 3,
    #[default]
    Administrator = 4,
}

/// Who asks whom, and how.
pub(crate) struct Access<'a> {
    pub(crate) peer: SocketAddr,
    pub(crate) credentials: &'a Credentials,
    pub(crate) privilege: Privilege,
    /// In the order in which they are offered.
    pub(crate) suites: &'a [Suite],
    pub(crate) patience: Patience,
}

pub(crate) struct Session {
    line: Line,
    keys: Keys,
    /// The BMC's number of the session.
    remote: u32,
    user: String,
    privilege: Privilege,
    is_raised: bool,
    is_open: bool,
    /// Of the last packet that was sent.
    sequence: u32,
    /// Of the last command.
    number: u8,
    window: Window,
}

impl Session {
    pub(crate) async fn open(hub: &Arc<Hub>, access: &Access<'_>) -> Result<Self, Error> {
        let mut line = Line::new(hub, access.peer, access.patience);
        let opened = agree(&mut line, access).await?;
        let exchange = Exchange {
            suite: opened.suite,
            console_session: line.mailbox.number,
            managed_session: opened.managed_session,
            console_random: crate::random::bytes(),
            managed_random: [0; 16],
            managed_guid: [0; 16],
            privilege: access.privilege as u8,
            user: access.credentials.user.clone().into_bytes(),
        };
        let exchange = hear_proof(&mut line, access, exchange).await?;
        let keys = give_proof(&mut line, access, &exchange).await?;
        Ok(Self {
            line,
            keys,
            remote: exchange.managed_session,
            user: access.credentials.user.clone(),
            privilege: access.privilege,
            is_raised: false,
            is_open: true,
            sequence: 0,
            number: 0,
            window: Window::default(),
        })
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.line.peer
    }

    pub(crate) fn suite(&self) -> Suite {
        self.keys.suite
    }

    /// A session begins with the privilege of a user, which may ask. This is for what changes something.
    pub(crate) async fn raise_privilege(&mut self) -> Result<(), Error> {
        if self.is_raised || self.privilege == Privilege::User {
            return Ok(());
        }
        let response = self.call(SET_PRIVILEGE, &[self.privilege as u8]).await?;
        if response.completion != completion::SUCCESS {
            return Err(self.not_permitted());
        }
        self.is_raised = true;
        Ok(())
    }

    pub(crate) fn not_permitted(&self) -> Error {
        Error::NotPermitted { address: self.line.peer, user: self.user.clone() }
    }

    /// The data of the answer; any completion but success is an error.
    pub(crate) async fn request(
        &mut self,
        command: Command,
        data: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let response = self.call(command, data).await?;
        match response.completion {
            completion::SUCCESS => Ok(response.data),
            completion::NOT_PRIVILEGED => Err(self.not_permitted()),
            other => Err(self.rejected(other)),
        }
    }

    pub(crate) fn rejected(&self, code: u8) -> Error {
        Error::Rejected { address: self.line.peer, reason: completion::text(code) }
    }

    pub(crate) fn garbled(&self, Garbled(reason): Garbled) -> Error {
        Error::Garbled { address: self.line.peer, reason }
    }

    /// One command and its answer, whatever it is.
    pub(crate) async fn call(&mut self, command: Command, data: &[u8]) -> Result<Response, Error> {
        for _ in 1..BUSY_TRIES {
            let response = self.call_once(command, data, self.line.patience.to_alive).await?;
            if response.completion != NODE_BUSY {
                return Ok(response);
            }
            tokio::time::sleep(BUSY_PAUSE).await;
        }
        self.call_once(command, data, self.line.patience.to_alive).await
    }

    async fn call_once(
        &mut self,
        command: Command,
        data: &[u8],
        sends: u32,
    ) -> Result<Response, Error> {
        self.number = (self.number + 1) & 0x3f;
        let Self { line, keys, remote, sequence, number, window, .. } = self;
        let own = line.mailbox.number;
        let request = message::encode_request(command, *number, data);
        // Sent again, it is the same message in a new packet: the BMC drops a packet number that it has seen.
        let question = |_| {
            *sequence = sequence.wrapping_add(1).max(1);
            packet::encode_protected(keys, *remote, *sequence, crate::random::bytes(), &request)
        };
        let accept = |bytes: &[u8]| {
            let packet = packet::decode(bytes)?;
            if packet.kind != Kind::Ipmi || packet.session != own {
                return Ok(None);
            }
            let payload = packet.open(keys)?;
            if !window.accept(packet.sequence) {
                return Ok(None);
            }
            let response = message::decode_response(&payload)?;
            Ok((response.number == *number && response.command == command).then_some(response))
        };
        line.ask(sends, question, accept).await
    }

    /// A BMC has few sessions, and keeps one that is not closed for a minute.
    pub(crate) async fn close(mut self) {
        self.is_open = false;
        let closing = self.call_once(CLOSE, &self.remote.to_le_bytes(), 1).await;
        if let Err(error) = closing {
            tracing::debug!(bmc = %self.line.peer, %error, "the end of a session was not confirmed");
        }
    }
}

impl Drop for Session {
    /// For a session whose work was cut off: says goodbye without waiting for an answer.
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let data = self.remote.to_le_bytes();
        let request = message::encode_request(CLOSE, (self.number + 1) & 0x3f, &data);
        let sequence = self.sequence.wrapping_add(1).max(1);
        let vector = crate::random::bytes();
        let bytes = packet::encode_protected(&self.keys, self.remote, sequence, vector, &request);
        self.line.hub.try_send(self.line.peer, &bytes);
    }
}

/// Opens the session with the first suite that the BMC takes. A BMC may refuse a suite or not answer to it at all.
async fn agree(line: &mut Line, access: &Access<'_>) -> Result<Opened, Error> {
    let mut offers = access.suites;
    let mut sends = access.patience.to_silent;
    loop {
        let Some(first) = offers.first() else {
            let reason = "it accepts no cipher suite that is allowed here (17, 3)".to_owned();
            return Err(Error::Rejected { address: line.peer, reason });
        };
        let number = line.mailbox.number;
        // Twice with each, so that one lost packet does not choose the weaker one.
        let offer = |attempt: u32| offers.get(attempt as usize / 2 % offers.len()).unwrap_or(first);
        let question = |attempt| {
            let suite = *offer(attempt);
            packet::encode_plain(
                Kind::OpenSessionRequest,
                &rakp::encode_open_request(tag(suite), number, suite),
            )
        };
        let accept = |bytes: &[u8]| {
            let Some(payload) = plain(bytes, Kind::OpenSessionResponse)? else { return Ok(None) };
            let (answered, answer) = rakp::decode_open_response(payload)?;
            let Some(asked) = offers.iter().position(|suite| tag(*suite) == answered) else {
                return Ok(None);
            };
            match &answer {
                Answer::Success(opened) if tag(opened.suite) != answered => {
                    Err(Garbled("another suite than asked for"))
                }
                _ => Ok(Some((asked, answer))),
            }
        };
        match line.ask(sends, question, accept).await? {
            (_, Answer::Success(opened)) => return Ok(opened),
            (_, Answer::Status(status @ (0x01 | 0x0b))) => return Err(refused(access, status)),
            (asked, Answer::Status(_)) => offers = offers.get(asked + 1..).unwrap_or_default(),
        }
        sends = access.patience.to_alive;
    }
}

fn tag(suite: Suite) -> u8 {
    match suite {
        Suite::Three => TAG_THREE,
        Suite::Seventeen => TAG_SEVENTEEN,
    }
}

/// Messages 1 and 2: the BMC proves that it knows the password. When its proof is wrong, ours would be too.
async fn hear_proof(
    line: &mut Line,
    access: &Access<'_>,
    mut exchange: Exchange,
) -> Result<Exchange, Error> {
    let question = |_| packet::encode_plain(Kind::Rakp1, &exchange.encode_message_1(TAG_MESSAGE_1));
    let accept = |bytes: &[u8]| {
        let Some(payload) = plain(bytes, Kind::Rakp2)? else { return Ok(None) };
        let (tag, answer) = rakp::decode_message_2(payload)?;
        Ok((tag == TAG_MESSAGE_1).then_some(answer))
    };
    let message = match line.ask(access.patience.to_alive, question, accept).await? {
        Answer::Success(message) => message,
        Answer::Status(status) => return Err(refused(access, status)),
    };
    exchange.managed_random = message.managed_random;
    exchange.managed_guid = message.managed_guid;
    if exchange.is_managed_code(access.credentials.password.as_bytes(), &message.code) {
        return Ok(exchange);
    }
    let goodbye = exchange.encode_message_3(TAG_MESSAGE_3, rakp::INVALID_CHECK, &[]);
    line.hub.send(line.peer, &packet::encode_plain(Kind::Rakp3, &goodbye)).await?;
    Err(wrong_password(access))
}

/// Messages 3 and 4: we prove it, and both have the keys.
async fn give_proof(
    line: &mut Line,
    access: &Access<'_>,
    exchange: &Exchange,
) -> Result<Keys, Error> {
    let password = access.credentials.password.as_bytes();
    let proof =
        exchange.encode_message_3(TAG_MESSAGE_3, rakp::SUCCESS, &exchange.console_code(password));
    let session_key = exchange.session_key(password);
    let question = |_| packet::encode_plain(Kind::Rakp3, &proof);
    let accept = |bytes: &[u8]| {
        let Some(payload) = plain(bytes, Kind::Rakp4)? else { return Ok(None) };
        let (tag, answer) = rakp::decode_message_4(payload)?;
        if let Answer::Success(check) = &answer
            && !exchange.is_final_check(&session_key, check)
        {
            return Err(Garbled("wrong check in message 4 (a BMC key, K_g, is not supported)"));
        }
        Ok((tag == TAG_MESSAGE_3).then_some(answer))
    };
    match line.ask(access.patience.to_alive, question, accept).await? {
        Answer::Success(_) => Ok(Keys::new(exchange.suite, &session_key)),
        // The password was right in message 2: two answers to a repeated message 1 have crossed.
        Answer::Status(rakp::INVALID_CHECK) => Err(Error::SessionLost { address: line.peer }),
        Answer::Status(status) => Err(refused(access, status)),
    }
}

/// The payload of a packet outside a session; None when it is of another kind.
fn plain(bytes: &[u8], kind: Kind) -> Result<Option<&[u8]>, Garbled> {
    let packet = packet::decode(bytes)?;
    Ok((packet.kind == kind && packet.session == 0).then_some(packet.payload))
}

fn wrong_password(access: &Access<'_>) -> Error {
    Error::WrongPassword { address: access.peer, user: access.credentials.user.clone() }
}

fn refused(access: &Access<'_>, status: u8) -> Error {
    let address = access.peer;
    match status {
        0x0d | rakp::INVALID_CHECK => wrong_password(access),
        0x09 | 0x0a => Error::NotPermitted { address, user: access.credentials.user.clone() },
        0x01 | 0x0b => Error::NoFreeSession { address },
        0x02 | 0x08 => Error::SessionLost { address },
        other => Error::Rejected { address, reason: rakp::status_text(other).to_owned() },
    }
}
