//! Machines and addresses that nobody gets until somebody decides about them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{MacAddress, Name};

/// A machine that is not described, but known to be somebody's: it becomes no node by itself, and its addresses are given to nobody.
/// An import leaves one for each device that it had to refuse. It goes when it is released.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Reservation {
    /// What the machine was called.
    pub name: Name,
    /// Why it is no node.
    pub reason: String,
    /// Its hardware addresses.
    pub macaddresses: Vec<MacAddress>,
    /// Its addresses, inside and outside of networks.
    pub addresses: Vec<IpAddr>,
}
