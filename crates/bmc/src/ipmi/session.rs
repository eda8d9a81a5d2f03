//! A session with one BMC, from its first command to closing (IPMI 2.0, 13.14 and following).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::completion;
use super::garbled::Garbled;
use super::hub::Hub;
use super::line::{Heard, Line, Patience};
use super::login::{self, LoggedIn};
use super::message::{self, Command, Response};
use super::packet::{self, Kind};
use super::suite::{Keys, Suite};
use super::window::Window;
use crate::{Credentials, Error};

const SET_PRIVILEGE: Command = Command { function: 0x06, number: 0x3b };
const CLOSE: Command = Command { function: 0x06, number: 0x3c };
const NODE_BUSY: u8 = 0xc0;
/// How often a BMC may say that it is busy, and how long it is then left alone.
const BUSY_TRIES: u32 = 5;
const BUSY_PAUSE: Duration = Duration::from_millis(200);
/// Set session privilege level: not for this user, or not on this channel.
const PRIVILEGE_REFUSED: [u8; 3] = [0x80, 0x81, completion::NOT_PRIVILEGED];

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
    /// How long an answer of this BMC has taken before.
    pub(crate) slowest: Duration,
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
        let mut line = Line::new(hub, access.peer, access.patience, access.slowest);
        let LoggedIn { keys, managed_session } = login::log_in(&mut line, access).await?;
        Ok(Self {
            line,
            keys,
            remote: managed_session,
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

    pub(crate) fn slowest(&self) -> Duration {
        self.line.slowest
    }

    /// A session begins with the privilege of a user, which may ask. This is for what changes something.
    pub(crate) async fn raise_privilege(&mut self) -> Result<(), Error> {
        if self.is_raised || self.privilege == Privilege::User {
            return Ok(());
        }
        let response = self.call(SET_PRIVILEGE, &[self.privilege as u8]).await?;
        match response.completion {
            completion::SUCCESS => {
                self.is_raised = true;
                Ok(())
            }
            refusal if PRIVILEGE_REFUSED.contains(&refusal) => Err(self.not_permitted()),
            other => Err(self.rejected(other)),
        }
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
        self.checked(response)
    }

    /// The answer to a command that must not be done twice: one packet, whatever becomes of it.
    pub(crate) async fn call_single(
        &mut self,
        command: Command,
        data: &[u8],
    ) -> Result<Response, Error> {
        self.call_once(command, data, 1).await
    }

    pub(crate) fn checked(&self, response: Response) -> Result<Vec<u8>, Error> {
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
        let accept = |bytes: &[u8], _| {
            let packet = packet::decode(bytes)?;
            if packet.kind != Kind::Ipmi || packet.session != own {
                return Ok(Heard::Nothing);
            }
            let payload = packet.open(keys)?;
            if !window.accept(packet.sequence) {
                return Ok(Heard::Nothing);
            }
            let response = message::decode_response(&payload)?;
            let is_answer = response.number == *number && response.command == command;
            Ok(if is_answer { Heard::Answer(response) } else { Heard::Nothing })
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
