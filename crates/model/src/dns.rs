//! DNS hosts that are not devices of the cluster.

mod save;

use std::net::IpAddr;

pub use save::{remove, save};
use serde::{Deserialize, Serialize};

use crate::Name;

/// One name and its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsHost {
    /// The host's name, without the domain.
    pub host: Name,
    /// Its address.
    pub ipaddress: IpAddr,
}

/// The DNS hosts of one network, in the order in which they were given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsHosts {
    /// The network.
    pub name: Name,
    /// Its hosts.
    pub hosts: Vec<DnsHost>,
}
