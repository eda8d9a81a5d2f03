//! How a session is begun with a BMC that may be slow, on a network that may repeat and reorder: the four messages of
//! RAKP (IPMI 2.0, 13.15 to 13.24). A BMC makes a new secret, or a new session, of each message that is sent again. So
//! every sending has its own tag, answers to former sendings and former sessions are dropped, and where both ends have
//! missed each other all begins anew.

use super::garbled::Garbled;
use super::line::{Heard, Line};
use super::packet::{self, Kind};
use super::rakp::{self, Answer, Exchange, Opened};
use super::session::Access;
use super::suite::Keys;
use crate::Error;

/// How often all begins anew before it is given up.
const SESSIONS: u32 = 3;

pub(super) struct LoggedIn {
    pub(super) keys: Keys,
    /// The BMC's number of the session.
    pub(super) managed_session: u32,
}

pub(super) async fn log_in(line: &mut Line, access: &Access<'_>) -> Result<LoggedIn, Error> {
    for _ in 1..SESSIONS {
        match log_in_once(line, access).await {
            // What is known now of how slow the BMC is keeps the next messages from being sent too early.
            Err(Error::SessionLost { .. }) => line.begin_anew(),
            other => return other,
        }
    }
    log_in_once(line, access).await
}

async fn log_in_once(line: &mut Line, access: &Access<'_>) -> Result<LoggedIn, Error> {
    let opened = agree(line, access).await?;
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
    let exchange = hear_proof(line, access, exchange).await?;
    let keys = give_proof(line, access, &exchange).await?;
    Ok(LoggedIn { keys, managed_session: exchange.managed_session })
}

/// Opens the session with the first suite that the BMC takes. A BMC may refuse a suite or not answer to it at all.
async fn agree(line: &mut Line, access: &Access<'_>) -> Result<Opened, Error> {
    let mut offers = access.suites;
    let mut sends = access.patience.to_silent;
    let mut has_answered = false;
    let mut no_privilege = None;
    let number = line.mailbox.number;
    loop {
        let Some(first) = offers.first() else {
            let reason = "it accepts no cipher suite that is allowed here (17, 3)".to_owned();
            return Err(no_privilege.unwrap_or(Error::Rejected { address: line.peer, reason }));
        };
        let tags = line.tags(sends);
        // Twice with each, so that one lost packet does not choose the weaker one.
        let place = |attempt: u32| attempt as usize / 2 % offers.len();
        let offer = |attempt: u32| *offers.get(place(attempt)).unwrap_or(first);
        let question = |attempt| {
            let request = rakp::encode_open_request(tags.of(attempt), number, offer(attempt));
            packet::encode_plain(Kind::OpenSessionRequest, &request)
        };
        let accept = |bytes: &[u8], _| {
            let Some(payload) = plain(bytes, Kind::OpenSessionResponse, number)? else {
                return Ok(Heard::Nothing);
            };
            let (tag, answer) = rakp::decode_open_response(payload)?;
            let Some(attempt) = tags.attempt(tag) else { return Ok(Heard::Nothing) };
            match &answer {
                Answer::Success(opened) if opened.suite != offer(attempt) => {
                    Err(Garbled("another suite than asked for"))
                }
                _ => Ok(Heard::Answer((place(attempt), answer))),
            }
        };
        let answered = line.ask(sends, question, accept).await;
        match answered.map_err(|error| silence(error, has_answered))? {
            (_, Answer::Success(opened)) => return Ok(opened),
            (place, Answer::Status(status)) => {
                match refused(access, status) {
                    // Some allow a privilege with one suite and not with another.
                    error @ Error::NotPermitted { .. } => no_privilege = Some(error),
                    Error::Rejected { .. } => {}
                    error => return Err(error),
                }
                offers = offers.get(place + 1..).unwrap_or_default();
            }
        }
        has_answered = true;
        sends = access.patience.to_alive;
    }
}

/// Whoever never said a word in all this time is not asked the same again at once.
fn silence(error: Error, has_answered: bool) -> Error {
    match error {
        Error::TimedOut { address, tries, waited, .. } => {
            Error::TimedOut { address, tries, waited, has_answered }
        }
        other => other,
    }
}

/// Messages 1 and 2: the BMC proves that it knows the password. When its proof is wrong, ours would be too.
async fn hear_proof(
    line: &mut Line,
    access: &Access<'_>,
    exchange: Exchange,
) -> Result<Exchange, Error> {
    let sends = access.patience.to_alive;
    let tags = line.tags(sends);
    let password = access.credentials.password.as_bytes();
    let question =
        |attempt| packet::encode_plain(Kind::Rakp1, &exchange.encode_message_1(tags.of(attempt)));
    // The newest proof that was right: of a BMC that makes a new secret for each message 1, only the last one counts.
    let mut proven = None;
    let accept = |bytes: &[u8], sent_again: u32| {
        let Some(payload) = plain(bytes, Kind::Rakp2, exchange.console_session)? else {
            return Ok(Heard::Nothing);
        };
        let (tag, answer) = rakp::decode_message_2(payload)?;
        let Some(attempt) = tags.attempt(tag) else { return Ok(Heard::Nothing) };
        let answer = match answer {
            Answer::Status(status) => Answer::Status(status),
            Answer::Success(message) => {
                let mut exchange = exchange.clone();
                exchange.managed_random = message.managed_random;
                exchange.managed_guid = message.managed_guid;
                let is_proof = exchange.is_managed_code(password, &message.code);
                Answer::Success((exchange, is_proof))
            }
        };
        let is_proof = matches!(answer, Answer::Success((_, true)));
        if proven.is_some_and(|proven| !is_proof || proven > attempt) {
            return Ok(Heard::Nothing);
        }
        if is_proof {
            proven = Some(attempt);
        }
        let is_last = attempt == sent_again && (is_proof || sent_again == 0);
        Ok(if is_last { Heard::Answer(answer) } else { Heard::Perhaps(answer) })
    };
    match line.ask(sends, question, accept).await? {
        Answer::Success((proven, true)) => Ok(proven),
        Answer::Success((_, false)) => {
            let [tag] = crate::random::bytes();
            let goodbye = exchange.encode_message_3(tag, rakp::INVALID_CHECK, &[]);
            line.hub.send(line.peer, &packet::encode_plain(Kind::Rakp3, &goodbye)).await?;
            Err(wrong_password(access))
        }
        Answer::Status(status) => Err(refused(access, status)),
    }
}

/// Messages 3 and 4: we prove it, and both have the keys.
async fn give_proof(
    line: &mut Line,
    access: &Access<'_>,
    exchange: &Exchange,
) -> Result<Keys, Error> {
    let sends = access.patience.to_alive;
    let tags = line.tags(sends);
    let password = access.credentials.password.as_bytes();
    let code = exchange.console_code(password);
    let session_key = exchange.session_key(password);
    let question = |attempt| {
        let proof = exchange.encode_message_3(tags.of(attempt), rakp::SUCCESS, &code);
        packet::encode_plain(Kind::Rakp3, &proof)
    };
    let accept = |bytes: &[u8], sent_again: u32| {
        let Some(payload) = plain(bytes, Kind::Rakp4, exchange.console_session)? else {
            return Ok(Heard::Nothing);
        };
        let (tag, answer) = rakp::decode_message_4(payload)?;
        if tags.attempt(tag).is_none() {
            return Ok(Heard::Nothing);
        }
        match answer {
            Answer::Success(check) if exchange.is_final_check(&session_key, &check) => {
                Ok(Heard::Answer(Answer::Success(())))
            }
            Answer::Success(_) => {
                Err(Garbled("wrong check in message 4 (a BMC key, K_g, is not supported)"))
            }
            // A BMC may refuse a message 3 because it has taken the one before: its yes to that may still come.
            Answer::Status(status) if sent_again > 0 => Ok(Heard::Perhaps(Answer::Status(status))),
            Answer::Status(status) => Ok(Heard::Answer(Answer::Status(status))),
        }
    };
    match line.ask(sends, question, accept).await? {
        Answer::Success(()) => Ok(Keys::new(exchange.suite, &session_key)),
        // The password was right in message 2: two answers to a repeated message 1 have crossed.
        Answer::Status(rakp::INVALID_CHECK) => Err(Error::SessionLost { address: line.peer }),
        Answer::Status(status) => Err(refused(access, status)),
    }
}

/// The payload of a packet outside a session; None when it is of another kind, or of another session than ours.
fn plain(bytes: &[u8], kind: Kind, own: u32) -> Result<Option<&[u8]>, Garbled> {
    let packet = packet::decode(bytes)?;
    let is_ours = rakp::console_session(packet.payload).is_none_or(|number| number == own);
    Ok((packet.kind == kind && packet.session == 0 && is_ours).then_some(packet.payload))
}

fn wrong_password(access: &Access<'_>) -> Error {
    Error::WrongPassword { address: access.peer, user: access.credentials.user.clone() }
}

/// What the BMC's refusal means. Only what is about the user is about the password.
fn refused(access: &Access<'_>, status: u8) -> Error {
    let address = access.peer;
    match status {
        rakp::UNKNOWN_USER | rakp::INVALID_CHECK => wrong_password(access),
        rakp::INVALID_ROLE | rakp::UNAUTHORIZED_ROLE => {
            Error::NotPermitted { address, user: access.credentials.user.clone() }
        }
        rakp::NO_SESSION | rakp::NO_SESSION_OF_ROLE => Error::NoFreeSession { address },
        rakp::INVALID_SESSION | rakp::INACTIVE_SESSION => Error::SessionLost { address },
        other => Error::Rejected { address, reason: rakp::status_text(other).to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::super::suite::Suite;
    use super::*;

    #[test]
    fn a_refusal_of_privilege_is_not_one_of_the_password_or_the_suite() {
        let credentials =
            crate::Credentials { user: "admin".to_owned(), password: "password".to_owned() };
        let access = Access {
            peer: ([127, 0, 0, 1], 623).into(),
            credentials: &credentials,
            privilege: super::super::Privilege::default(),
            suites: &[Suite::Three],
            patience: super::super::Patience::default(),
            slowest: std::time::Duration::ZERO,
        };
        for status in [0x09, 0x0a] {
            assert!(matches!(refused(&access, status), Error::NotPermitted { .. }), "{status}");
        }
        for status in [0x03, 0x04, 0x05, 0x06, 0x07, 0x0c, 0x0e, 0x10, 0x11, 0x12, 0x77] {
            assert!(matches!(refused(&access, status), Error::Rejected { .. }), "{status}");
        }
        for status in [0x02, 0x08] {
            assert!(matches!(refused(&access, status), Error::SessionLost { .. }), "{status}");
        }
    }
}
