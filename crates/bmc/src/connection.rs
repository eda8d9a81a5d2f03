//! A conversation with one BMC, whichever way it is spoken to.

use crate::ipmi::{self, Session};
use crate::plugin::Plugin;
use crate::redfish::Service;
use crate::{Action, Error, Reply};

pub(crate) enum Connection {
    Ipmi(Box<Session>),
    Redfish(Box<Service>),
    Plugin(Plugin),
}

impl Connection {
    pub(crate) async fn perform(&mut self, action: Action) -> Result<Reply, Error> {
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
