//! What is answered.

use ipnet::Ipv6Net;

/// The ICMPv6 type (RFC 4861, section 4.2).
pub const TYPE: u8 = 134;
/// "Managed" and "other": addresses and the rest come by DHCPv6.
const BY_DHCP: u8 = 0xc0;
/// The option that tells of a prefix (RFC 4861, section 4.6.2), in units of 8 bytes: four of them.
const PREFIX: [u8; 2] = [3, 4];
/// The prefix is on this wire; no address is to be made from it.
const ON_LINK: u8 = 0x80;
/// For how long that holds, in seconds: the usual 30 days. It is said again long before.
const VALID: u32 = 30 * 24 * 3600;

/// A router advertisement that makes nobody a router. The kernel fills in its checksum.
///
/// Without prefixes it says nothing but that it is one. Hosts keep what they know by the router that told it (RFC 4861, section 6.3.4):
///
/// * The router lifetime of 0 takes the sender, and nobody else, off their lists of routers. Another router of the network keeps
///   its place, and what it said holds.
/// * Zero as hop limit, reachable time and retransmission time means "unspecified": hosts leave theirs as they are.
/// * There is no hardware address of the sender: nobody is to send anything through it.
/// * Prefixes are those of networks where DHCPv6 is served, and hosts are sent there: an address by DHCPv6 comes without the length of its
///   prefix (RFC 8415, section 21.6), so that machines would reach nobody of their own network. None has the autonomous flag. Where DHCPv6
///   is not served, there is none, and no flag: no host gains an address, a prefix or a route.
pub fn advertisement(prefixes: &[Ipv6Net]) -> Vec<u8> {
    let mut packet = vec![TYPE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    if let Some(flags) = packet.get_mut(5)
        && !prefixes.is_empty()
    {
        *flags = BY_DHCP;
    }
    for prefix in prefixes {
        packet.extend(PREFIX);
        packet.extend([prefix.prefix_len(), ON_LINK]);
        packet.extend(VALID.to_be_bytes());
        packet.extend(VALID.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(prefix.network().octets());
    }
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_told_as_on_the_wire_and_nothing_else_is() {
        assert_eq!(advertisement(&[]), [TYPE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let packet = advertisement(&["fd00:141::5/64".parse().unwrap()]);
        assert_eq!(packet.len(), 48);
        assert_eq!((packet[5], &packet[6..8]), (BY_DHCP, &[0, 0][..]), "no router");
        assert_eq!(packet[16..20], [3, 4, 64, ON_LINK]);
        assert_eq!(packet[32..], [0xfd, 0, 1, 0x41, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
