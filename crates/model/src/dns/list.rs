//! The hosts and records of a network.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::record::DnsRecord;
use crate::Name;

/// A name has at most so many records of a type.
pub(super) const MOST_OF_A_NAME: usize = 20;

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
    /// Other records of names in its domain, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<DnsRecord>,
}

impl DnsHosts {
    /// The records of a name.
    pub fn records_of(&self, host: &str) -> &[DnsRecord] {
        let first = self.records.partition_point(|record| record.host.as_str() < host);
        let rest = self.records.get(first..).unwrap_or_default();
        let count = rest.partition_point(|record| record.host.as_str() == host);
        rest.get(..count).unwrap_or_default()
    }
}
