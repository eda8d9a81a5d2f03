//! IPMI 2.0 over a network (RMCP+). The modules that hold bytes are public for simulators and fuzzing.

mod chassis;
mod completion;
mod event_text;
pub mod fru;
mod garbled;
pub(crate) mod hub;
mod line;
mod login;
pub mod message;
pub mod packet;
pub mod rakp;
pub mod sdr;
pub mod sel;
pub(crate) mod session;
mod settings;
pub mod suite;
mod text;
pub mod window;

pub use garbled::Garbled;
pub use line::Patience;
pub use session::Privilege;
pub use settings::Settings;
pub use suite::Suite;

pub(crate) use hub::Hub;
pub(crate) use session::Session;

use std::sync::Arc;
use std::time::Duration;

use crate::{Action, Error, Reply, Target};

/// A user's name, and a password, may not be longer: the BMC has no place for more.
const LONGEST_USER: usize = 16;
const LONGEST_PASSWORD: usize = 20;

/// What is known of a BMC from the last session: the suite that it took, and how long its answers take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Remembered {
    pub(crate) suite: Option<Suite>,
    pub(crate) slowest: Duration,
}

/// Opens a session.
pub(crate) async fn open(
    hub: &Arc<Hub>,
    target: &Target,
    remembered: Remembered,
) -> Result<Session, Error> {
    let credentials = &target.credentials;
    let too_long =
        credentials.user.len() > LONGEST_USER || credentials.password.len() > LONGEST_PASSWORD;
    if too_long {
        let reason = format!(
            "IPMI knows user names of up to {LONGEST_USER} and passwords of up to {LONGEST_PASSWORD} bytes; correct the BMC setup"
        );
        return Err(Error::Rejected { address: target.ipmi_address(), reason });
    }
    // What was agreed lately comes first: a BMC that answers only to one is not asked for the other every time.
    let mut suites = target.ipmi.suites.clone();
    suites.sort_by_key(|suite| Some(*suite) != remembered.suite);
    let access = session::Access {
        peer: target.ipmi_address(),
        credentials,
        privilege: target.ipmi.privilege,
        suites: &suites,
        patience: target.ipmi.patience,
        slowest: remembered.slowest,
    };
    Session::open(hub, &access).await
}

pub(crate) async fn perform(session: &mut Session, action: Action) -> Result<Reply, Error> {
    if action.is_change() {
        session.raise_privilege().await?;
    }
    match action {
        Action::PowerStatus => Ok(Reply::Power(chassis::power(session).await?)),
        Action::PowerOn
        | Action::PowerOff
        | Action::PowerCycle
        | Action::PowerReset
        | Action::PowerSoft => chassis::control(session, action).await,
        Action::Identify => chassis::identify(session, true).await,
        Action::NoIdentify => chassis::identify(session, false).await,
        Action::SelList => sel::list(session).await.map(Reply::Events),
        Action::SelClear => sel::clear(session).await.map(|()| Reply::Done),
        Action::Sensors => sdr::list(session).await.map(Reply::Sensors),
        Action::Inventory => fru::inventory(session).await.map(Reply::Inventory),
    }
}
