//! Which requests by IPv6 are evidence that a machine's firmware begins a boot: as for IPv4, only what a user of a machine cannot send.

use std::net::{IpAddr, Ipv6Addr};

use nix::libc;
use nix::sys::socket::LinkAddr;
use perilune_model::network::Network;
use perilune_model::{Cluster, MacAddress};
use socket2::SockFilter;

use super::message::Kind;
use super::request::Request;
use crate::observe::Beginning;

pub(super) const CLIENT_PORT: u16 = 546;
pub(super) const SERVER_PORT: u16 = 547;
const UDP: u8 = 17;

/// A UDP packet of IPv6 (RFC 8200), without further heads: no client puts any before a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Datagram<'a> {
    pub(super) source: Ipv6Addr,
    pub(super) port: u16,
    pub(super) payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a packet to the port of servers.
    pub(super) fn read(packet: &'a [u8]) -> Option<Self> {
        let (head, rest) = packet.split_first_chunk::<40>()?;
        let (udp, payload) = rest.split_first_chunk::<8>()?;
        let [_, _, _, _, _, _, next, _, addresses @ ..] = head;
        let source = Ipv6Addr::from(*addresses.first_chunk::<16>()?);
        let [a, b, c, d, ..] = *udp;
        let is_request = *next == UDP && u16::from_be_bytes([c, d]) == SERVER_PORT;
        is_request.then_some(Self { source, port: u16::from_be_bytes([a, b]), payload })
    }
}

/// The boot that a packet begins; `None` when a user of a machine could have sent it, or it is no firmware's.
pub(crate) fn beginning(packet: &[u8], link: &LinkAddr, cluster: &Cluster) -> Option<Beginning> {
    let card = link.addr().filter(|_| link.hatype() == libc::ARPHRD_ETHER);
    let is_multicast = link.pkttype() == libc::PACKET_MULTICAST;
    believed(Datagram::read(packet)?, card.map(MacAddress::ethernet), is_multicast, cluster)
}

fn believed(
    datagram: Datagram<'_>,
    card: Option<MacAddress>,
    is_multicast: bool,
    cluster: &Cluster,
) -> Option<Beginning> {
    let Datagram { source, port, payload } = datagram;
    let request = Request::read(payload, source, card)?;
    let firmware = request.firmware();
    let boots = firmware.is_ipxe || firmware.by_pxe || firmware.by_http;
    let asks = matches!(request.kind, Kind::Solicit | Kind::Request);
    let mac = if request.is_relayed() {
        let is_named = |network: &Network| {
            network.gateway_ipv6 == Some(source) || network.dhcp_relay.contains(&source.into())
        };
        let is_relays = port == SERVER_PORT && cluster.networks().values().any(|own| is_named(own));
        let known = |mac: &&MacAddress| cluster.node_by_mac(**mac).is_some();
        request.candidates.iter().find(known).copied().filter(|_| is_relays)
    } else {
        // The card itself, whatever the machine says of itself.
        let is_clients = port == CLIENT_PORT && is_multicast && source.is_unicast_link_local();
        card.filter(|_| is_clients)
    };
    let chosen = request.wanted().map(IpAddr::V6).filter(|_| request.kind == Kind::Request);
    let mac = mac.filter(|_| asks && boots)?;
    Some(Beginning { mac, chosen })
}

/// Classic BPF over IPv6 packets: UDP to port 547, without further heads.
pub(crate) fn only_requests() -> Vec<SockFilter> {
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    vec![
        SockFilter::new(LOAD_BYTE, 0, 0, 6),
        SockFilter::new(JUMP_IF_EQUAL, 0, 3, u32::from(UDP)),
        SockFilter::new(LOAD_HALF, 0, 0, 42),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, u32::from(SERVER_PORT)),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use perilune_model::{Draft, Name};

    use super::super::options::{code, put};
    use super::*;

    const CARD: MacAddress = MacAddress::ethernet([0x52, 0x54, 0, 0, 0, 1]);
    const LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x5054, 0xff, 0xfe00, 1);

    fn cluster() -> Cluster {
        let mut draft = Draft::new(&Cluster::default());
        let network = Network {
            name: Name::trusted("far"),
            ipv6: "fd00:150::/64".parse().ok(),
            gateway_ipv6: "fd00:150::1".parse().ok(),
            ..Network::default()
        };
        draft.put(network).unwrap();
        draft.finish().0
    }

    /// A request of this kind, with the class of firmware or without.
    fn request(kind: u8, class: Option<&[u8]>) -> Vec<u8> {
        let mut bytes = vec![kind, 0, 0, 1];
        put(&mut bytes, code::CLIENT_ID, &[0, 3, 0, 1, 0x52, 0x54, 0, 0, 0, 1]);
        if let Some(class) = class {
            let length = u16::try_from(class.len()).unwrap().to_be_bytes();
            put(&mut bytes, code::VENDOR_CLASS, &[&[0, 0, 1, 0x57][..], &length, class].concat());
        }
        bytes
    }

    fn begins(payload: &[u8], port: u16, card: Option<MacAddress>, multicast: bool) -> bool {
        let datagram = Datagram { source: LOCAL, port, payload };
        let begun = believed(datagram, card, multicast, &cluster());
        begun.inspect(|begun| assert_eq!(begun.mac, CARD)).is_some()
    }

    #[test]
    fn only_what_no_user_can_send_is_evidence() {
        let firmware = request(1, Some(b"PXEClient:Arch:00007"));
        assert!(begins(&firmware, CLIENT_PORT, Some(CARD), true));
        assert!(begins(&request(3, Some(b"HTTPClient")), CLIENT_PORT, Some(CARD), true));
        assert!(!begins(&firmware, 40_000, Some(CARD), true), "any user may send that");
        assert!(!begins(&firmware, CLIENT_PORT, Some(CARD), false), "it is for one server alone");
        assert!(!begins(&firmware, CLIENT_PORT, None, true), "the wire does not tell the card");
        assert!(!begins(&request(1, None), CLIENT_PORT, Some(CARD), true), "a system asks");
        for kind in [4, 5, 6, 8, 9, 11] {
            let other = request(kind, Some(b"PXEClient"));
            assert!(!begins(&other, CLIENT_PORT, Some(CARD), true), "{kind}");
        }
        // Through a relay that no network names, nothing counts.
        let mut relayed = vec![12, 0];
        relayed.extend([0; 16]);
        relayed.extend(LOCAL.octets());
        put(&mut relayed, code::RELAY_MESSAGE, &firmware);
        let from = |source: &str, port| {
            let source = source.parse().unwrap();
            believed(Datagram { source, port, payload: &relayed }, Some(CARD), false, &cluster())
        };
        assert_eq!(from("fd00:150::1", SERVER_PORT), None, "it is no node's");
        assert_eq!(from("fd00:150::9", SERVER_PORT), None);
    }

    #[test]
    fn a_packet_is_read_or_not() {
        let mut packet = vec![0; 40];
        packet[6] = UDP;
        packet[8..24].copy_from_slice(&LOCAL.octets());
        packet.extend([2, 0x22, 2, 0x23, 0, 0, 0, 0, 7]);
        let read = Datagram::read(&packet).unwrap();
        assert_eq!((read.source, read.port, read.payload), (LOCAL, CLIENT_PORT, &[7][..]));
        for length in 0..48 {
            assert_eq!(Datagram::read(&packet[..length]), None);
        }
        packet[6] = 0;
        assert_eq!(Datagram::read(&packet), None, "another head comes first");
    }
}
