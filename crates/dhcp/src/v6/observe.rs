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
