//! What a client asks of an interface of a node. Apart from those that decide on it, so that nodes can name it.

use std::net::IpAddr;

use crate::interface::LinkRequest;
use crate::{MacAddress, Name, Patch};

/// What a client asks of one interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The interface.
    pub interface: Name,
    /// Its new name.
    pub new_name: Option<Name>,
    /// Hardware address.
    pub macaddress: Patch<MacAddress>,
    /// The network it is in.
    pub network: Option<Name>,
    /// An address in that network.
    pub ipaddress: Option<IpAddr>,
    /// Whether the node asks DHCP.
    pub dhcp: Option<bool>,
    /// The address is taken from another node's interface that has it.
    pub force: bool,
    /// MTU, VLAN, bond, options.
    pub link: LinkRequest,
}
