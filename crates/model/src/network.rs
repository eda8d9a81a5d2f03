//! Networks: ranges of addresses, and what hosts in them are told.

mod dynamic_range;
mod range;
mod relay;
mod renumber;
mod save;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use dynamic_range::RangeRequest;
pub use range::{check_range, parse_range};
pub use relay::check_relays;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
pub use save::{Request, clone, save, wrong_gateway};
pub(crate) use save::{overlaps, wrong_gateways};
use serde::{Deserialize, Serialize};

use crate::{Family, Name, Servers};

/// Whether a network is one of the cluster's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Zone {
    /// The cluster's own.
    #[default]
    Internal,
    /// The site's.
    External,
}

/// A range of addresses and what its hosts are told. The name is the DNS domain of its hosts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "the API has this many independent switches")]
pub struct Network {
    /// The name, a DNS domain.
    pub name: Name,
    /// The IPv4 range.
    pub ipv4: Option<Ipv4Net>,
    /// The IPv6 range.
    pub ipv6: Option<Ipv6Net>,
    /// The IPv4 router.
    pub gateway: Option<Ipv4Addr>,
    /// The IPv6 router.
    pub gateway_ipv6: Option<Ipv6Addr>,
    /// How much the route through the gateway is avoided.
    pub gateway_metric: Option<u32>,
    /// Name servers by IPv4.
    pub nameserver_ip: Option<Servers>,
    /// Name servers by IPv6.
    pub nameserver_ip_ipv6: Option<Servers>,
    /// Time servers.
    pub ntp_server: Option<Servers>,
    /// Whether DHCP is served here.
    pub dhcp: bool,
    /// Nodes get addresses of the dynamic range, too.
    pub dhcp_nodes_in_pool: bool,
    /// Only nodes are served; there is no dynamic range.
    pub dhcp_nodes_only: bool,
    /// The dynamic IPv4 range, first and last address.
    pub dhcp_range: Option<(Ipv4Addr, Ipv4Addr)>,
    /// The dynamic IPv6 range, first and last address.
    pub dhcp_range_ipv6: Option<(Ipv6Addr, Ipv6Addr)>,
    /// Whether it is the cluster's own.
    pub zone: Zone,
    /// The network whose wire this one shares.
    pub shared: Option<Name>,
    /// DHCP relays whose requests are for this network, and not for the one whose wire it shares.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dhcp_relay: Vec<IpAddr>,
    /// Ranges that relays name as a machine's link when they ask for this network.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dhcp_link_subnet: Vec<IpNet>,
    /// The kind of wire: `ethernet`, `infiniband`, …
    pub r#type: Option<String>,
    /// Its DNS zone is somebody else's.
    pub non_authoritative: bool,
    /// Free text, as clients sent it.
    pub comment: Option<String>,
    /// Static routes of nodes that are in it and have none of their own or their group's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Name>,
}

impl Network {
    /// The range of a family.
    pub fn range(&self, family: Family) -> Option<IpNet> {
        match family {
            Family::V4 => self.ipv4.map(IpNet::V4),
            Family::V6 => self.ipv6.map(IpNet::V6),
        }
    }

    /// Whether the address lies in one of the network's ranges.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.range(Family::of(address)).is_some_and(|range| range.contains(&address))
    }

    /// The name servers that it names itself, of both families.
    pub fn own_name_servers(&self) -> impl Iterator<Item = IpAddr> {
        let lists = [&self.nameserver_ip, &self.nameserver_ip_ipv6].into_iter().flatten();
        lists.flat_map(Servers::addresses)
    }

    /// The time servers that it names itself by their addresses.
    pub fn own_time_servers(&self) -> impl Iterator<Item = IpAddr> {
        self.ntp_server.iter().flat_map(Servers::addresses)
    }

    /// The dynamic range of a family, as configured.
    pub fn dynamic_range(&self, family: Family) -> Option<(IpAddr, IpAddr)> {
        match family {
            Family::V4 => self.dhcp_range.map(|(begin, end)| (IpAddr::V4(begin), IpAddr::V4(end))),
            Family::V6 => {
                self.dhcp_range_ipv6.map(|(begin, end)| (IpAddr::V6(begin), IpAddr::V6(end)))
            }
        }
    }

    /// The dynamic range of a family while DHCP is served: addresses that no device may hold.
    pub fn lent_range(&self, family: Family) -> Option<(IpAddr, IpAddr)> {
        let lends = self.dhcp && !self.dhcp_nodes_only;
        if lends { self.dynamic_range(family) } else { None }
    }

    /// Whether the nodes' interfaces in this network get addresses of the dynamic range.
    pub fn lends_to_nodes(&self) -> bool {
        self.dhcp && self.dhcp_nodes_in_pool
    }
}
