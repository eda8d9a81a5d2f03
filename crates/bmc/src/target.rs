//! Whom to speak to, and how.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::{ipmi, redfish};

/// One BMC.
#[derive(Clone, Debug)]
pub struct Target {
    /// How outcomes name it: the node's name.
    pub name: String,
    pub address: IpAddr,
    /// Machines that share a fuse, such as a rack: what an inrush limit is counted for.
    pub group: Option<String>,
    pub credentials: Credentials,
    pub driver: Driver,
    pub ipmi: ipmi::Settings,
    pub redfish: redfish::Settings,
}

impl Target {
    pub fn new(name: &str, address: IpAddr, credentials: Credentials) -> Self {
        Self {
            name: name.to_owned(),
            address,
            group: None,
            credentials,
            driver: Driver::default(),
            ipmi: ipmi::Settings::default(),
            redfish: redfish::Settings::default(),
        }
    }

    pub(crate) fn ipmi_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.ipmi.port)
    }

    pub(crate) fn key(&self) -> Key {
        Key { address: self.address, ipmi: self.ipmi.port, redfish: self.redfish.port }
    }
}

/// What makes two targets the same BMC, whatever they are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    address: IpAddr,
    ipmi: u16,
    redfish: u16,
}

/// Which way a BMC is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    #[default]
    Ipmi,
    Redfish,
    /// Redfish where it is, else IPMI; found out once.
    Auto,
    /// A site's own executable, started once for each question, which comes as JSON on its standard input:
    /// `{"version": 1, "action": "power on", "name", "address", "group", "username", "password"}`.
    /// It answers as JSON on its standard output: `{"power": "on"}` to a power status; `{}` to a change; to a list
    /// `{"events": […]}` (or `{"text": "a line for each"}`), `{"sensors": […]}` or `{"inventory": […]}`, with the fields
    /// of [`Event`](crate::Event), [`Sensor`](crate::Sensor) and [`Item`](crate::Item); `{"error": "why"}` when it failed.
    Plugin(Program),
}

/// A site's own program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The site's file.
    pub path: PathBuf,
    /// What is started: the file itself, or what calls it, with its arguments.
    pub words: Vec<PathBuf>,
    /// Whom it runs as; as this process without.
    pub user: Option<perilune_program::User>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}
