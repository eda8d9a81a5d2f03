//! Power and the light that shows where a machine stands (IPMI 2.0, 28).

use super::completion;
use super::garbled::Garbled;
use super::message::Command;
use super::session::Session;
use crate::{Action, Error, PowerState, Reply};

const STATUS: Command = Command { function: 0x00, number: 0x01 };
const CONTROL: Command = Command { function: 0x00, number: 0x02 };
const IDENTIFY: Command = Command { function: 0x00, number: 0x04 };
/// For BMCs that cannot shine until told otherwise.
const LONGEST_SECONDS: u8 = 255;

pub(super) async fn power(session: &mut Session) -> Result<PowerState, Error> {
    let data = session.request(STATUS, &[]).await?;
    let state =
        data.first().ok_or_else(|| session.garbled(Garbled("a chassis status without content")))?;
    Ok(if state & 1 == 1 { PowerState::On } else { PowerState::Off })
}

pub(super) async fn control(session: &mut Session, action: Action) -> Result<Reply, Error> {
    let number = match action {
        Action::PowerOff => 0,
        Action::PowerOn => 1,
        Action::PowerCycle => 2,
        Action::PowerReset => 3,
        Action::PowerSoft => 5,
        _ => return Err(Error::Unsupported { action, by: "the chassis".to_owned() }),
    };
    if !action.must_not_repeat() {
        return session.request(CONTROL, &[number]).await.map(|_| Reply::Done);
    }
    // Once it is sent, a second one might do it twice: whatever is odd about the answer, somebody has to look.
    let unconfirmed = Error::Unconfirmed { action, address: session.peer() };
    match session.call_single(CONTROL, &[number]).await {
        Ok(response) if completion::leaves_open(response.completion) => Err(unconfirmed),
        Ok(response) => session.checked(response).map(|_| Reply::Done),
        Err(error) if error.is_passing() => Err(unconfirmed),
        Err(error) => Err(error),
    }
}

pub(super) async fn identify(session: &mut Session, on: bool) -> Result<Reply, Error> {
    // The second byte says: until told otherwise. Older BMCs know the first only, a number of seconds.
    let requests: &[&[u8]] = if on { &[&[0, 1], &[LONGEST_SECONDS]] } else { &[&[0]] };
    let mut refusal = None;
    for data in requests {
        match session.request(IDENTIFY, data).await {
            Ok(_) => return Ok(Reply::Done),
            Err(error @ Error::Rejected { .. }) => refusal = Some(error),
            Err(error) => return Err(error),
        }
    }
    // A light that is as wanted already is what was asked for.
    match (light(session).await, refusal) {
        (Ok(Some(shines)), _) if shines == on => Ok(Reply::Done),
        (_, Some(refusal)) => Err(refusal),
        (_, None) => Ok(Reply::Done),
    }
}

/// Whether the light shines; None where the BMC does not tell.
async fn light(session: &mut Session) -> Result<Option<bool>, Error> {
    let data = session.request(STATUS, &[]).await?;
    let tells = |state: &&u8| **state & 0x40 != 0;
    Ok(data.get(2).filter(tells).map(|state| state & 0x30 != 0))
}
