//! How a session begins: both ends agree on a suite and prove that they know the password (IPMI 2.0, 13.17 to 13.24).

use super::garbled::Garbled;
use super::suite::Suite;
use crate::bytes::Reader;

/// Looks a user up by name alone.
const BY_NAME: u8 = 0x10;
/// A status that says: all is well.
pub const SUCCESS: u8 = 0x00;
pub const NO_SESSION: u8 = 0x01;
pub const INVALID_SESSION: u8 = 0x02;
pub const INACTIVE_SESSION: u8 = 0x08;
pub const INVALID_ROLE: u8 = 0x09;
pub const UNAUTHORIZED_ROLE: u8 = 0x0a;
pub const NO_SESSION_OF_ROLE: u8 = 0x0b;
pub const UNKNOWN_USER: u8 = 0x0d;
pub const INVALID_CHECK: u8 = 0x0f;

/// What both ends have said, from which all codes and keys are made.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub suite: Suite,
    pub console_session: u32,
    pub managed_session: u32,
    pub console_random: [u8; 16],
    pub managed_random: [u8; 16],
    pub managed_guid: [u8; 16],
    pub privilege: u8,
    pub user: Vec<u8>,
}

impl Exchange {
    fn role(&self) -> u8 {
        self.privilege | BY_NAME
    }

    fn identity(&self) -> Vec<u8> {
        let mut bytes = vec![self.role(), u8::try_from(self.user.len()).unwrap_or(u8::MAX)];
        bytes.extend_from_slice(&self.user);
        bytes
    }

    fn managed_parts(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(80);
        bytes.extend(self.console_session.to_le_bytes());
        bytes.extend(self.managed_session.to_le_bytes());
        bytes.extend(self.console_random);
        bytes.extend(self.managed_random);
        bytes.extend(self.managed_guid);
        bytes.extend(self.identity());
        bytes
    }

    /// The BMC's proof, in message 2.
    pub fn managed_code(&self, password: &[u8]) -> Vec<u8> {
        self.suite.code(password, &[&self.managed_parts()])
    }

    pub fn is_managed_code(&self, password: &[u8], code: &[u8]) -> bool {
        code.len() == self.suite.code_length()
            && self.suite.is_code(password, &[&self.managed_parts()], code)
    }

    /// Our proof, in message 3.
    pub fn console_code(&self, password: &[u8]) -> Vec<u8> {
        let session = self.console_session.to_le_bytes();
        self.suite.code(password, &[&self.managed_random, &session, &self.identity()])
    }

    /// The key from which the session's keys are derived.
    pub fn session_key(&self, password: &[u8]) -> Vec<u8> {
        self.suite.code(password, &[&self.console_random, &self.managed_random, &self.identity()])
    }

    /// The BMC's proof in message 4 that it has the same session key.
    pub fn final_check(&self, session_key: &[u8]) -> Vec<u8> {
        let mut code =
            self.suite.code(session_key, &self.final_parts().each_ref().map(Vec::as_slice));
        code.truncate(self.suite.check_length());
        code
    }

    pub fn is_final_check(&self, session_key: &[u8], code: &[u8]) -> bool {
        code.len() == self.suite.check_length()
            && self.suite.is_code(
                session_key,
                &self.final_parts().each_ref().map(Vec::as_slice),
                code,
            )
    }

    fn final_parts(&self) -> [Vec<u8>; 3] {
        let session = self.managed_session.to_le_bytes();
        [self.console_random.to_vec(), session.to_vec(), self.managed_guid.to_vec()]
    }

    pub fn encode_message_1(&self, tag: u8) -> Vec<u8> {
        let mut bytes = vec![tag, 0, 0, 0];
        bytes.extend(self.managed_session.to_le_bytes());
        bytes.extend(self.console_random);
        bytes.extend([self.role(), 0, 0]);
        bytes.push(u8::try_from(self.user.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(&self.user);
        bytes
    }

    /// With our proof; or, when the BMC's was wrong, with that status, so that it gives up the half-made session.
    pub fn encode_message_3(&self, tag: u8, status: u8, code: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag, status, 0, 0];
        bytes.extend(self.managed_session.to_le_bytes());
        bytes.extend_from_slice(code);
        bytes
    }
}

/// Asks for a session with one suite.
pub fn encode_open_request(tag: u8, console_session: u32, suite: Suite) -> Vec<u8> {
    // Privilege zero: as much as the suite allows.
    let mut bytes = vec![tag, 0, 0, 0];
    bytes.extend(console_session.to_le_bytes());
    for (kind, algorithm) in (0_u8..).zip(suite.algorithms()) {
        bytes.extend([kind, 0, 0, 8, algorithm, 0, 0, 0]);
    }
    bytes
}

/// Whose answer to a message of the beginning this is: the number that we chose for the session. A refusal may leave it out.
pub fn console_session(payload: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(payload);
    reader.take(4)?;
    reader.u32().filter(|number| *number != 0)
}

/// The answer to a message of the beginning: that it failed, or what it says.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer<T> {
    Status(u8),
    Success(T),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    pub managed_session: u32,
    pub suite: Suite,
}

/// The tag that a message answers, and its content.
pub fn decode_open_response(payload: &[u8]) -> Result<(u8, Answer<Opened>), Garbled> {
    let cut_short = Garbled("answer to the opening cut short");
    let mut reader = Reader::new(payload);
    let [tag, status] = reader.array().ok_or(cut_short)?;
    if status != SUCCESS {
        return Ok((tag, Answer::Status(status)));
    }
    reader.take(6).ok_or(cut_short)?;
    let managed_session = reader.u32().ok_or(cut_short)?;
    let mut algorithms = [0; 3];
    for algorithm in &mut algorithms {
        let record = reader.array::<8>().ok_or(cut_short)?;
        *algorithm = record[4];
    }
    let suite =
        Suite::from_algorithms(algorithms).ok_or(Garbled("another suite than asked for"))?;
    Ok((tag, Answer::Success(Opened { managed_session, suite })))
}

#[derive(Debug, PartialEq, Eq)]
pub struct Message2 {
    pub managed_random: [u8; 16],
    pub managed_guid: [u8; 16],
    pub code: Vec<u8>,
}

pub fn decode_message_2(payload: &[u8]) -> Result<(u8, Answer<Message2>), Garbled> {
    let cut_short = Garbled("message 2 cut short");
    let mut reader = Reader::new(payload);
    let [tag, status] = reader.array().ok_or(cut_short)?;
    if status != SUCCESS {
        return Ok((tag, Answer::Status(status)));
    }
    reader.take(6).ok_or(cut_short)?;
    let managed_random = reader.array().ok_or(cut_short)?;
    let managed_guid = reader.array().ok_or(cut_short)?;
    let code = reader.rest().to_vec();
    Ok((tag, Answer::Success(Message2 { managed_random, managed_guid, code })))
}

/// Message 4: the final check.
pub fn decode_message_4(payload: &[u8]) -> Result<(u8, Answer<Vec<u8>>), Garbled> {
    let cut_short = Garbled("message 4 cut short");
    let mut reader = Reader::new(payload);
    let [tag, status] = reader.array().ok_or(cut_short)?;
    if status != SUCCESS {
        return Ok((tag, Answer::Status(status)));
    }
    reader.take(6).ok_or(cut_short)?;
    Ok((tag, Answer::Success(reader.rest().to_vec())))
}

/// What a status means that ends the beginning.
pub fn status_text(status: u8) -> &'static str {
    match status {
        NO_SESSION => "no free session",
        INVALID_SESSION => "it does not know the session",
        0x03 => "it does not know the kind of payload",
        0x04 => "it does not know the authentication algorithm",
        0x05 => "it does not know the integrity algorithm",
        0x06 | 0x07 => "the algorithms do not match",
        INACTIVE_SESSION => "the session is not active",
        INVALID_ROLE | UNAUTHORIZED_ROLE => "the user may not have this privilege",
        NO_SESSION_OF_ROLE => "no free session at this privilege",
        0x0c => "the length of the user's name is wrong for it",
        UNKNOWN_USER => "it does not know the user",
        0x0e => "it does not accept its own GUID",
        INVALID_CHECK => "wrong check code",
        0x10 => "it does not know the encryption algorithm",
        0x11 => "it does not know the cipher suite",
        0x12 => "it does not understand a value",
        _ => "it gives no known reason",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_opening_asks_for_the_three_algorithms() {
        let bytes = encode_open_request(5, 0x0403_0201, Suite::Seventeen);
        let expected = [
            5, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 8, 4, 0, 0, 0, 2, 0, 0, 8, 1,
            0, 0, 0,
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_refused_opening_may_be_short() {
        let answer = decode_open_response(&[5, 0x11, 0, 0, 1, 2, 3, 4]);
        assert_eq!(answer, Ok((5, Answer::Status(0x11))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..90)) {
            drop(decode_open_response(&payload));
            drop(decode_message_2(&payload));
            drop(decode_message_4(&payload));
        }
    }
}
