//! Controllers: the machines that this program runs on.

mod address;

pub use address::{BEACON_KEY, by_key, set_address};
use serde::{Deserialize, Serialize};

use crate::{Addresses, Name};

/// The port that controllers listen on, unless told otherwise.
pub const DEFAULT_PORT: u16 = 7050;

/// A machine that this program runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Controller {
    /// Its host name.
    pub name: Name,
    /// Whether it is the one whose address the cluster talks to.
    pub beacon: bool,
    /// Whether it only keeps a copy.
    pub shadow: bool,
    /// Its addresses.
    pub addresses: Addresses,
    /// The network that they are in.
    pub network: Option<Name>,
    /// The port of the API.
    pub serverport: u16,
    /// What it reports of itself.
    pub status: Option<String>,
    /// Who made the machine.
    pub vendor: Option<String>,
}

impl Default for Controller {
    fn default() -> Self {
        Self {
            name: Name::default(),
            beacon: false,
            shadow: false,
            addresses: Addresses::default(),
            network: None,
            serverport: DEFAULT_PORT,
            status: None,
            vendor: None,
        }
    }
}
