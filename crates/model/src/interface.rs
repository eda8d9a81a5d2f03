//! Interfaces of nodes, and those that a group gives to its nodes.

mod count;
mod link;
mod numbering;
pub mod of_group;
pub mod of_node;
pub(crate) mod place;
pub(crate) mod request;

use std::net::IpAddr;

pub(crate) use count::check as check_count;
pub use link::{LinkRequest, circular, oversized_vlan};
pub use numbering::{NotANumbering, Numbering, impossible};
use serde::{Deserialize, Serialize};

use crate::{Addresses, MacAddress, Name};

/// The interface that a node boots from, unless it names another.
pub const BOOT_INTERFACE: &str = "BOOTIF";
/// The interface of a node's BMC.
pub const BMC_INTERFACE: &str = "BMC";

/// What an interface is, beside its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Link {
    /// Maximum transmission unit, 68 to 65535 octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// VLAN identifier (IEEE 802.1Q).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlanid: Option<u16>,
    /// The interface that carries the VLAN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan_parent: Option<String>,
    /// Bonding mode, a word of the Linux bonding driver or its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond_mode: Option<String>,
    /// The interfaces that are bonded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bond_slaves: Vec<String>,
    /// Free text for the interface's configuration on the node, as clients sent it (base64 by convention).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
}

/// As many interfaces as a node or a group has at most. Each change of one looks at all.
pub const MOST_INTERFACES: usize = 256;

/// A port of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// The name: `BOOTIF`, `BMC`, or the device's name on the node.
    pub name: Name,
    /// Hardware address; one of all nodes' interfaces has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macaddress: Option<MacAddress>,
    /// The network that the interface is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Name>,
    /// Its addresses in the network.
    pub addresses: Addresses,
    /// Whether the node asks DHCP for its address.
    pub dhcp: bool,
    /// MTU, VLAN, bond and options.
    pub link: Link,
}

/// An address that an interface of a node had. Nobody is kept from it; but the interface gets it back while it is free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerAddress {
    /// The interface.
    pub interface: Name,
    /// The address.
    pub address: IpAddr,
}

/// An interface that every node of a group has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupInterface {
    /// The name, as on the nodes.
    pub name: Name,
    /// The network that the interface is in.
    pub network: Name,
    /// Whether nodes ask DHCP for their address; unset says nothing about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<bool>,
    /// How nodes get their addresses.
    #[serde(skip_serializing_if = "Numbering::is_usual")]
    pub numbering: Numbering,
    /// MTU, VLAN, bond and options.
    pub link: Link,
}
