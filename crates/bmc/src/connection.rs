//! A conversation with one BMC, whichever way it is spoken to.

use crate::ipmi::{self, Session};
use crate::plugin::Plugin;
use crate::redfish::Service;
use crate::{Action, Error, PowerState, Reply};

pub(crate) enum Connection {
    Ipmi(Box<Session>),
    Redfish(Box<Service>),
    Plugin(Box<Plugin>),
}

impl Connection {
    /// Does what is asked. A refusal is none where all is already as it should be: BMCs say that in many ways, and the
    /// state itself says it best.
    pub(crate) async fn perform(&mut self, action: Action) -> Result<Reply, Error> {
        match self.perform_once(action).await {
            Err(refusal @ Error::Rejected { .. }) => {
                if self.is_already_so(action).await {
                    Ok(Reply::Done)
                } else {
                    Err(refusal)
                }
            }
            other => other,
        }
    }

    async fn is_already_so(&mut self, action: Action) -> bool {
        let (question, wanted) = match action {
            Action::PowerOn => (Action::PowerStatus, Reply::Power(PowerState::On)),
            Action::PowerOff | Action::PowerSoft => {
                (Action::PowerStatus, Reply::Power(PowerState::Off))
            }
            Action::SelClear => (Action::SelList, Reply::Events(Vec::new())),
            _ => return false,
        };
        self.perform_once(question).await.is_ok_and(|reply| reply == wanted)
    }

    async fn perform_once(&mut self, action: Action) -> Result<Reply, Error> {
        match self {
            Self::Ipmi(session) => ipmi::perform(session, action).await,
            Self::Redfish(service) => service.perform(action).await,
            Self::Plugin(plugin) => plugin.perform(action).await,
        }
    }

    pub(crate) async fn close(self) {
        match self {
            Self::Ipmi(session) => session.close().await,
            Self::Redfish(service) => service.close().await,
            Self::Plugin(_) => {}
        }
    }
}
