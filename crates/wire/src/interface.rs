//! Interfaces of nodes and groups, as clients read them.

use std::net::{Ipv4Addr, Ipv6Addr};

use perilune_model::interface::{GroupInterface, Interface, Link};
use perilune_model::{Addresses, Cluster, MacAddress};
use serde::Serialize;
use utoipa::ToSchema;

/// What an interface with a network but without an address shows as its address.
pub const INVALID: &str = "!!Invalid!!";

/// An interface of a node. Keys that say nothing are absent, but for the hardware address.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeInterface<'a> {
    /// Its name.
    pub interface: &'a str,
    /// Its IPv4 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub ipaddress: Option<Address>,
    /// Its IPv6 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub ipaddress_ipv6: Option<Ipv6Addr>,
    /// True when the node asks DHCP.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dhcp: bool,
    /// Hardware address, lower case with colons.
    #[schema(value_type = Option<String>)]
    pub macaddress: Option<MacAddress>,
    /// Its network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<&'a str>,
    /// MTU, VLAN, bond, options.
    #[serde(flatten)]
    pub link: LinkKeys<'a>,
    /// A remark on what has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<&'static str>,
}

/// An address, or the mark of one that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// An address.
    Is(Ipv4Addr),
    /// There should be one.
    Missing,
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Is(address) => address.serialize(serializer),
            Self::Missing => serializer.serialize_str(INVALID),
        }
    }
}

/// An interface that a group gives to its nodes.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupInterfaceKeys<'a> {
    /// Its name.
    pub interface: &'a str,
    /// Its network.
    pub network: &'a str,
    /// MTU, VLAN, bond, options.
    #[serde(flatten)]
    pub link: LinkKeys<'a>,
    /// True when nodes ask DHCP.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dhcp: bool,
    /// How nodes get their addresses, where that is not the first free one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addressing: Option<String>,
    /// A remark on what has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<&'static str>,
}

/// What an interface is, beside its addresses. Numbers are texts, as clients expect.
#[derive(Debug, Serialize, ToSchema)]
pub struct LinkKeys<'a> {
    /// MTU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<String>,
    /// VLAN identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlanid: Option<String>,
    /// The interface that carries the VLAN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan_parent: Option<&'a str>,
    /// Bonding mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond_mode: Option<&'a str>,
    /// The bonded interfaces, comma-separated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond_slaves: Option<String>,
    /// Free text, as it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<&'a str>,
}

impl<'a> From<&'a Link> for LinkKeys<'a> {
    fn from(link: &'a Link) -> Self {
        Self {
            mtu: link.mtu.map(|mtu| mtu.to_string()),
            vlanid: link.vlanid.map(|vlanid| vlanid.to_string()),
            vlan_parent: link.vlan_parent.as_deref(),
            bond_mode: link.bond_mode.as_deref(),
            bond_slaves: (!link.bond_slaves.is_empty()).then(|| link.bond_slaves.join(",")),
            options: link.options.as_deref(),
        }
    }
}

const POOL: &str = "the address is that of the network's dynamic range";
const NO_DHCP: &str = "dhcp has no effect: the network does not serve it";

impl<'a> NodeInterface<'a> {
    /// An interface as its own route shows it. `None` for one that is in no network: that route does not list those.
    pub fn listed(cluster: &Cluster, interface: &'a Interface) -> Option<Self> {
        interface.network.as_ref()?;
        Some(Self::new(cluster, interface))
    }

    /// An interface as the routes of nodes show it: one that lacks its address says so.
    pub fn of_node(cluster: &Cluster, interface: &'a Interface) -> Self {
        let mut keys = Self::new(cluster, interface);
        let in_pool = keys.comment == Some(POOL);
        if interface.network.is_some() && interface.addresses.is_empty() && !in_pool {
            keys.ipaddress = Some(Address::Missing);
        }
        keys
    }

    fn new(cluster: &Cluster, interface: &'a Interface) -> Self {
        let network = interface.network.as_ref().and_then(|name| cluster.networks().get(name));
        let comment = network.filter(|_| interface.dhcp).and_then(|network| {
            match (network.dhcp, network.dhcp_nodes_in_pool) {
                (true, true) => Some(POOL),
                (false, _) => Some(NO_DHCP),
                (true, false) => None,
            }
        });
        let shown = if comment == Some(POOL) { Addresses::default() } else { interface.addresses };
        Self {
            interface: interface.name.as_str(),
            ipaddress: shown.ipv4.map(Address::Is),
            ipaddress_ipv6: shown.ipv6,
            dhcp: interface.dhcp,
            macaddress: interface.macaddress,
            network: interface.network.as_ref().map(perilune_model::Name::as_str),
            link: LinkKeys::from(&interface.link),
            comment,
        }
    }
}

impl<'a> GroupInterfaceKeys<'a> {
    /// An interface of a group.
    pub fn new(cluster: &Cluster, interface: &'a GroupInterface) -> Self {
        let dhcp = interface.dhcp == Some(true);
        let served = cluster.networks().get(&interface.network).is_some_and(|network| network.dhcp);
        Self {
            interface: interface.name.as_str(),
            network: interface.network.as_str(),
            link: LinkKeys::from(&interface.link),
            dhcp,
            addressing: (!interface.numbering.is_usual()).then(|| interface.numbering.to_string()),
            comment: (dhcp && !served).then_some(NO_DHCP),
        }
    }
}
