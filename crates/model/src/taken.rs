//! Which addresses are taken: one rule for nodes that are given one, for leases, and for whoever asks about one.
//!
//! An address is taken when something answers at it: a device that holds it, whatever the description names beside devices (gateways,
//! name servers, time servers, DNS hosts), or this host's own interfaces, which are no part of the description and are told to the
//! cluster from outside.

use std::fmt;
use std::net::IpAddr;

use crate::addresses::{Family, is_host};
use crate::network::Network;
use crate::{Cluster, Described, Holder};

/// Why an address is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken<'a> {
    /// A device holds it.
    Held(&'a Holder),
    /// The description names it.
    Described(&'a Described),
    /// An interface of this host has it.
    Own(&'a str),
}

impl fmt::Display for Taken<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(holder) => write!(formatter, "in use by {holder}"),
            Self::Described(described) => described.fmt(formatter),
            Self::Own(interface) => write!(formatter, "this host's own, at {interface}"),
        }
    }
}

impl Cluster {
    /// Why an address is taken; none when it is free. Whether it is one for hosts, and which are lent, is the network's business; what
    /// was promised to somebody is the draft's.
    pub fn taken(&self, address: IpAddr) -> Option<Taken<'_>> {
        let held = self.holder(address).map(Taken::Held);
        let described = || self.described_as(address).map(Taken::Described);
        let own = || self.own_addresses().get(&address).map(|interface| Taken::Own(interface));
        held.or_else(described).or_else(own)
    }

    /// Whether an address may be lent to a machine: it is one for hosts, and nobody's.
    pub fn may_be_lent(&self, network: &Network, address: IpAddr) -> bool {
        let range = network.range(Family::of(address));
        range.is_some_and(|range| is_host(range, address)) && self.taken(address).is_none()
    }

    /// Why no node may have an address, whoever asks for it: it is a gateway's, or this host's own. A name server, a time server or a
    /// DNS host may well be a node.
    pub fn forbidden_to_nodes(&self, address: IpAddr) -> Option<Taken<'_>> {
        let gateway = self.described_as(address);
        let gateway = gateway.filter(|described| matches!(described, Described::Gateway(_)));
        let own = || self.own_addresses().get(&address).map(|interface| Taken::Own(interface));
        gateway.map(Taken::Described).or_else(own)
    }

    /// The addresses from one to another that are taken, in order.
    pub fn taken_between(&self, first: IpAddr, last: IpAddr) -> Vec<(IpAddr, Taken<'_>)> {
        let held = self.holders_between(first, last);
        let described = self.described_between(first, last);
        let own = self.own_addresses().range(first..=last).map(|(address, _)| *address);
        let mut addresses: Vec<IpAddr> = held.chain(described).chain(own).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.into_iter().filter_map(|address| Some((address, self.taken(address)?))).collect()
    }

    fn described_as(&self, address: IpAddr) -> Option<&Described> {
        let set = self.described();
        let (found, described) = set.range((address, Described::first())..).next()?;
        (*found == address).then_some(described)
    }

    fn described_between(&self, first: IpAddr, last: IpAddr) -> impl Iterator<Item = IpAddr> {
        let from = self.described().range((first, Described::first())..);
        from.map(|(address, _)| *address).take_while(move |address| *address <= last)
    }
}
