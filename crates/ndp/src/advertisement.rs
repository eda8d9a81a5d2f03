//! What is answered.

/// The ICMPv6 type (RFC 4861, section 4.2).
pub const TYPE: u8 = 134;

/// A router advertisement that says nothing but that it is one. The kernel fills in its checksum.
///
/// Hosts keep what they know by the router that told it, and this one tells nothing to keep (RFC 4861, section 6.3.4):
///
/// * The router lifetime of 0 takes the sender, and nobody else, off their lists of routers. Another router of the network keeps
///   its place, and what it said holds.
/// * Zero as hop limit, reachable time and retransmission time means "unspecified": hosts leave theirs as they are.
/// * No flag sends them to DHCPv6, and no flag takes back what another router has said.
/// * There is no prefix, not even where the network has one and it would be told without the autonomous flag: the nodes' addresses
///   are in their configuration, and firmware has no use for a prefix, while any other host would gain a route to it.
/// * There is no hardware address of the sender: nobody is to send anything through it.
pub const NO_ROUTER: [u8; 16] = [TYPE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
