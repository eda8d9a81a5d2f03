//! What the description names addresses as, beside those of devices.

use std::fmt;
use std::net::IpAddr;

use imbl::{OrdMap, OrdSet};

use crate::network::Network;
use crate::{Name, Object};

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
    pub(crate) fn first() -> Self {
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
    let names = network.own_name_servers();
    let names = names.map(|address| (address, Described::NameServer(Some(name.clone()))));
    let times = network.own_time_servers();
    let times = times.map(|address| (address, Described::TimeServer(Some(name.clone()))));
    let relays = network.dhcp_relay.iter();
    gateways
        .chain(relays.map(|address| (*address, Described::Relay(name.clone()))))
        .chain(names)
        .chain(times)
        .collect()
}
