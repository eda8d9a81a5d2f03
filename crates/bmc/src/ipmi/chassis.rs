//! Power and the light that shows where a machine stands (IPMI 2.0, 28).

use super::Garbled;
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
    match session.request(CONTROL, &[number]).await {
        Ok(_) => Ok(Reply::Done),
        // It was sent: a second one might do it twice.
        Err(error) if error.is_passing() && action.must_not_repeat() => {
            Err(Error::Unconfirmed { action, address: session.peer() })
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn identify(session: &mut Session, on: bool) -> Result<Reply, Error> {
    if !on {
        return session.request(IDENTIFY, &[0]).await.map(|_| Reply::Done);
    }
    // The second byte says: until told otherwise. Older BMCs know the first only, a number of seconds.
    match session.request(IDENTIFY, &[0, 1]).await {
        Err(Error::Rejected { .. }) => {
            session.request(IDENTIFY, &[LONGEST_SECONDS]).await.map(|_| Reply::Done)
        }
        other => other.map(|_| Reply::Done),
    }
}
