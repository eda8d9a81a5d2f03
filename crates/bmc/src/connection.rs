//! A conversation with one BMC, whichever way it is spoken to.

use crate::ipmi::{self, Session};
use crate::{Action, Error, Reply};

pub(crate) enum Connection {
    Ipmi(Box<Session>),
}

impl Connection {
    pub(crate) async fn perform(&mut self, action: Action) -> Result<Reply, Error> {
        match self {
            Self::Ipmi(session) => ipmi::perform(session, action).await,
        }
    }

    pub(crate) async fn close(self) {
        match self {
            Self::Ipmi(session) => session.close().await,
        }
    }
}
