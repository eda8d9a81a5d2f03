//! Which addresses are taken: one rule for nodes that are given one, for leases, and for whoever asks about one.
//!
//! An address is taken when something answers at it: a device that holds it, whatever the description names beside devices (gateways,
//! name servers, time servers, DNS hosts), or this host's own interfaces, which are no part of the description and are told to the
//! cluster from outside.

use std::fmt;
use std::net::IpAddr;

use imbl::{OrdMap, OrdSet};

use crate::addresses::{Family, is_host};
use crate::network::Network;
use crate::object::{Holder, Object};
use crate::{Cluster, Name};

/// What the description names an address as, other than a device's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Described {
    /// The router of a network.
    Gateway(Name),
    /// A name server, of a network or of the whole cluster.
    NameServer(Option<Name>),
    /// A time server, of a network or of the whole cluster.
    TimeServer(Option<Name>),
    /// A DNS host of a network.
    DnsHost {
        /// The network.
        network: Name,
        /// The host.
        host: Name,
    },
    /// The router that a static route leads through.
    Router(Name),
    /// The DHCP relay of a network.
    Relay(Name),
}

impl Described {
    /// Before all others.
    fn first() -> Self {
        Self::Gateway(Name::default())
    }
}

impl fmt::Display for Described {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |network: &Option<Name>| match network {
            Some(network) => format!("network '{network}'"),
            None => "the cluster".to_owned(),
        };
        match self {
            Self::Gateway(network) => write!(formatter, "the gateway of network '{network}'"),
            Self::NameServer(network) => write!(formatter, "a name server of {}", of(network)),
            Self::TimeServer(network) => write!(formatter, "a time server of {}", of(network)),
            Self::DnsHost { network, host } => {
                write!(formatter, "that of the DNS host '{host}' of network '{network}'")
            }
            Self::Relay(network) => write!(formatter, "the DHCP relay of network '{network}'"),
            Self::Router(route) => write!(formatter, "the router of route '{route}'"),
        }
    }
}

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

/// The addresses that are described, each with what it is.
pub(crate) type DescribedSet = OrdSet<(IpAddr, Described)>;
/// The addresses of this host, each with the interface that has it.
pub(crate) type OwnMap = OrdMap<IpAddr, String>;

impl Object {
    /// The addresses that the object names without holding them.
    pub(crate) fn described(&self) -> Vec<(IpAddr, Described)> {
        match self {
            Self::Settings(settings) => {
                let names = settings.nameserver_ip.iter().chain(&settings.forwardserver_ip);
                let names = names.map(|address| (*address, Described::NameServer(None)));
                let times = settings.ntp_server.iter();
                names.chain(times.map(|address| (*address, Described::TimeServer(None)))).collect()
            }
            Self::Network(network) => of_network(network),
            Self::Route(route) => {
                let router = |gateway| (gateway, Described::Router(route.name.clone()));
                route.gateway.into_iter().map(router).collect()
            }
            Self::DnsHosts(list) => {
                let described = |host: &crate::dns::DnsHost| Described::DnsHost {
                    network: list.name.clone(),
                    host: host.host.clone(),
                };
                list.hosts.iter().map(|host| (host.ipaddress, described(host))).collect()
            }
            Self::Controller(_)
            | Self::Image(_)
            | Self::BmcSetup(_)
            | Self::Switch(_)
            | Self::OtherDevice(_)
            | Self::Cloud(_)
            | Self::Group(_)
            | Self::Node(_)
            | Self::NodeSecrets(_)
            | Self::NodeIdentity(_)
            | Self::GroupSecrets(_)
            | Self::ClusterSecrets(_)
            | Self::Rack(_)
            | Self::Placement(_)
            | Self::Reservation(_)
            | Self::ClaimRule(_)
            | Self::User(_)
            | Self::ApiToken(_) => Vec::new(),
        }
    }
}

fn of_network(network: &Network) -> Vec<(IpAddr, Described)> {
    let name = &network.name;
    let gateways = [network.gateway.map(IpAddr::V4), network.gateway_ipv6.map(IpAddr::V6)]
        .into_iter()
        .flatten();
    let gateways = gateways.map(|address| (address, Described::Gateway(name.clone())));
    let of_list = |list: &Option<String>, described: Described| {
        let words = list.as_deref().unwrap_or_default().split([',', ' ']);
        let addresses = words.filter_map(|word| word.parse::<IpAddr>().ok());
        addresses.map(|address| (address, described.clone())).collect::<Vec<_>>()
    };
    let names = Described::NameServer(Some(name.clone()));
    let relays = network.dhcp_relay.iter();
    gateways
        .chain(relays.map(|address| (*address, Described::Relay(name.clone()))))
        .chain(of_list(&network.nameserver_ip, names.clone()))
        .chain(of_list(&network.nameserver_ip_ipv6, names))
        .chain(of_list(&network.ntp_server, Described::TimeServer(Some(name.clone()))))
        .collect()
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
