//! Watches for machines whose firmware begins a boot: the evidence that a boot of a node is expected now.
//!
//! A DHCP request is easy to send: any user of any machine can send one from a port above 1023. What counts here is only what a user
//! cannot make: a broadcast from UDP port 68 whose sender on the wire is the hardware address inside, or what a relay sends from
//! port 67. InfiniBand (RFC 4391, section 6) carries no sender: there a broadcast from port 68, which takes root, is all that can be asked for. Requests that another server answers count as well, so this looks at frames and not at the server's own socket.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::LinkAddr;
use perilune_datagrams::Inbox;
use perilune_model::network::Network;
use perilune_model::{Cluster, Family, MacAddress};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::frames::{self, Port, Way, keep_much};
use crate::hardware::is_infiniband;
use crate::request::{Kind, Request};
use crate::v6;

const CLIENT_PORT: u16 = 68;
pub(crate) const SERVER_PORT: u16 = 67;
const UDP: u8 = 17;
/// As large as any request of a machine is.
pub(crate) const LARGEST: usize = 2048;
/// Frames that are read at once.
const AT_ONCE: usize = 64;
/// Frames are gathered for so long before they are looked at: in a boot storm waking for each costs more than reading it. Firmware has
/// its address and fetches a program before it asks for what its window opens.
const GATHER: Duration = Duration::from_millis(2);

/// The firmware of a machine asked for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// The machine.
    pub mac: MacAddress,
    /// The address that it has chosen from an offer, whichever server made it; none while it looks for servers.
    pub chosen: Option<IpAddr>,
}

/// A socket that sees what machines on some interfaces send to DHCP servers.
#[derive(Debug)]
pub struct Observer {
    /// The runtime has no packet sockets of its own. What it is asked about this one is when something can be read.
    socket: UdpSocket,
    family: Family,
}

/// Who sent a frame, as its wire tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    Ethernet([u8; 6]),
    /// A wire of InfiniBand, which does not tell.
    InfiniBand,
    /// Another kind of wire.
    Other,
}

/// A UDP packet in its frame.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Frame<'a> {
    sender: Sender,
    is_broadcast: bool,
    port: u16,
    payload: &'a [u8],
}

impl Observer {
    /// Of requests by one family. Needs the right to raw sockets (`CAP_NET_RAW`), and a runtime.
    pub fn open(interfaces: &[String], family: Family) -> io::Result<Self> {
        let indexes = interfaces.iter().map(|name| if_nametoindex(name.as_str()));
        let indexes = indexes.collect::<Result<Vec<u32>, _>>()?;
        let (ethernet_type, filter) = match family {
            Family::V4 => (libc::ETH_P_IP, frames::datagrams(Port::Destination, SERVER_PORT)),
            Family::V6 => (libc::ETH_P_IPV6, v6::only_requests()),
        };
        let socket = frames::open(&indexes, Way::In, ethernet_type, filter)?;
        keep_much(&socket)?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, family })
    }

    /// Tells of boots that begin until `stop`, or until nobody listens.
    pub async fn run(
        self,
        cluster: watch::Receiver<Arc<Cluster>>,
        told: mpsc::Sender<Beginning>,
        stop: CancellationToken,
    ) {
        let mut inbox = Inbox::new(AT_ONCE, LARGEST);
        loop {
            let read = || inbox.look(&self.socket);
            let received = tokio::select! {
                () = stop.cancelled() => return,
                received = self.socket.async_io(Interest::READABLE, read) => received,
            };
            if let Err(error) = received {
                tracing::warn!(%error, "DHCP requests cannot be observed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            let published = Arc::clone(&cluster.borrow());
            for frame in inbox.messages() {
                let Some(link) = frame.link() else { continue };
                let beginning = match self.family {
                    Family::V4 => Frame::read(frame.bytes, &link)
                        .and_then(|frame| frame.beginning(&published)),
                    Family::V6 => v6::beginning(frame.bytes, &link, &published),
                };
                if let Some(beginning) = beginning {
                    // A flood must not make the memory grow; firmware asks again.
                    told.try_send(beginning).ok();
                }
            }
            if !inbox.was_full() {
                tokio::time::sleep(GATHER).await;
            }
        }
    }
}

impl Sender {
    fn of(link: &LinkAddr) -> Self {
        match (link.hatype(), link.addr()) {
            (libc::ARPHRD_ETHER, Some(address)) => Self::Ethernet(address),
            (libc::ARPHRD_INFINIBAND, _) => Self::InfiniBand,
            _ => Self::Other,
        }
    }

    /// Whether the machine itself may have sent this from here. Who says on Ethernet that he is on InfiniBand is believed nothing.
    fn can_be(self, request: &Request) -> bool {
        match self {
            Self::Ethernet(address) => request.mac.as_ethernet() == Some(address),
            Self::InfiniBand => is_infiniband(&request.packet),
            Self::Other => false,
        }
    }
}

impl<'a> Frame<'a> {
    /// Reads an IPv4 packet (RFC 791) with UDP (RFC 768). The filter of the socket lets nothing else through, but for what came before
    /// it was attached.
    fn read(packet: &'a [u8], link: &LinkAddr) -> Option<Self> {
        let is_broadcast = link.pkttype() == libc::PACKET_BROADCAST;
        Self::parse(packet, Sender::of(link), is_broadcast)
    }

    fn parse(packet: &'a [u8], sender: Sender, is_broadcast: bool) -> Option<Self> {
        let head = usize::from(packet.first()? & 0x0f) * 4;
        let is_udp = packet.first()? >> 4 == 4 && *packet.get(9)? == UDP;
        let (head, rest) = packet.split_at_checked(head).filter(|(head, _)| head.len() >= 20)?;
        // RFC 791: a later fragment has no ports.
        let offset = u16::from_be_bytes(head.get(6..8)?.try_into().ok()?) & 0x1fff;
        let (udp, payload) = rest.split_at_checked(8)?;
        let port = |at: usize| Some(u16::from_be_bytes(udp.get(at..at + 2)?.try_into().ok()?));
        let is_request = is_udp && offset == 0 && port(2)? == SERVER_PORT;
        is_request.then_some(Self { sender, is_broadcast, port: port(0)?, payload })
    }

    /// The boot that this begins; `None` when a user of a machine could have sent it, or it is no firmware's.
    fn beginning(&self, cluster: &Cluster) -> Option<Beginning> {
        let request = Request::read(self.payload)?;
        let asks = matches!(request.kind, Kind::Discover | Kind::Request);
        let is_believed = match request.relay() {
            None => self.port == CLIENT_PORT && self.is_broadcast && self.sender.can_be(&request),
            Some(relay) => {
                let names = |network: &Network| {
                    network.gateway == Some(relay) || network.dhcp_relay.contains(&relay.into())
                };
                self.port == SERVER_PORT && cluster.networks().values().any(|own| names(own))
            }
        };
        let chosen = request.wanted().filter(|_| request.kind == Kind::Request);
        let beginning = Beginning { mac: request.mac, chosen: chosen.map(IpAddr::V4) };
        (asks && request.is_firmware() && is_believed).then_some(beginning)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use dhcproto::v4::{DhcpOption, HType, Message, MessageType, OptionCode, UnknownOption};
    use dhcproto::{Encodable as _, Encoder};
    use perilune_model::network::Network;
    use perilune_model::{Draft, Name};

    use super::*;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
    const GUID: [u8; 8] = [0x00, 0x02, 0xc9, 0x03, 0x00, 0x00, 0x10, 0x39];
    const RELAY: Ipv4Addr = Ipv4Addr::new(10, 150, 0, 1);

    fn cluster() -> Cluster {
        let mut draft = Draft::new(&Cluster::default());
        let network = Network {
            name: Name::trusted("cluster"),
            ipv4: Some("10.150.0.0/16".parse().unwrap()),
            gateway: Some(RELAY),
            ..Network::default()
        };
        draft.put(network).unwrap();
        draft.finish().0
    }

    /// A request by firmware; `change` makes it another.
    fn packet(change: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut message = Message::default();
        message.set_chaddr(&MAC);
        message.opts_mut().insert(DhcpOption::MessageType(MessageType::Discover));
        let class = b"PXEClient:Arch:00007:UNDI:003016".to_vec();
        message.opts_mut().insert(DhcpOption::ClassIdentifier(class));
        change(&mut message);
        let mut bytes = Vec::new();
        message.encode(&mut Encoder::new(&mut bytes)).unwrap();
        bytes
    }

    fn begins(payload: &[u8], change: impl FnOnce(&mut Frame<'_>)) -> Option<Beginning> {
        let sender = Sender::Ethernet(MAC);
        let mut frame = Frame { sender, is_broadcast: true, port: CLIENT_PORT, payload };
        change(&mut frame);
        frame.beginning(&cluster())
    }

    #[test]
    fn a_broadcast_of_the_machines_own_firmware_begins_a_boot() {
        let begun = Some(Beginning { mac: MacAddress::ethernet(MAC), chosen: None });
        assert_eq!(begins(&packet(|_| ()), |_| ()), begun);
        let ipxe = packet(|message| {
            message.opts_mut().remove(OptionCode::ClassIdentifier);
            let option = UnknownOption::new(OptionCode::from(175), vec![1, 1, 1]);
            message.opts_mut().insert(DhcpOption::Unknown(option));
        });
        assert_eq!(begins(&ipxe, |_| ()), begun);
        let address = Ipv4Addr::new(10, 150, 0, 7);
        let chosen = packet(|message| {
            message.opts_mut().insert(DhcpOption::MessageType(MessageType::Request));
            message.opts_mut().insert(DhcpOption::RequestedIpAddress(address));
        });
        assert_eq!(begins(&chosen, |_| ()).unwrap().chosen, Some(address.into()));
    }

    #[test]
    fn what_a_user_of_a_machine_can_send_begins_nothing() {
        let firmware = packet(|_| ());
        assert_eq!(begins(&firmware, |frame| frame.port = 40_000), None, "any user has this port");
        assert_eq!(begins(&firmware, |frame| frame.is_broadcast = false), None);
        assert_eq!(
            begins(&firmware, |frame| frame.sender = Sender::Ethernet([2; 6])),
            None,
            "for another machine"
        );
        assert_eq!(begins(&firmware, |frame| frame.port = SERVER_PORT), None, "no relay is named");
    }

    #[test]
    fn the_renewal_of_a_running_system_begins_nothing() {
        for class in [&b"dhcpcd-9.4.1:Linux"[..], b"xPXEClient", b""] {
            let system = packet(|message| {
                message.opts_mut().insert(DhcpOption::ClassIdentifier(class.to_vec()));
            });
            assert_eq!(begins(&system, |_| ()), None);
        }
        let release = packet(|message| {
            message.opts_mut().insert(DhcpOption::MessageType(MessageType::Release));
        });
        assert_eq!(begins(&release, |_| ()), None);
    }

    #[test]
    fn a_relay_counts_when_a_network_names_it() {
        let from = |relay: Ipv4Addr, port: u16| {
            let payload = packet(|message| {
                message.set_giaddr(relay);
            });
            begins(&payload, |frame| {
                (frame.port, frame.is_broadcast, frame.sender) =
                    (port, false, Sender::Ethernet([2; 6]));
            })
        };
        assert!(from(RELAY, SERVER_PORT).is_some());
        assert_eq!(from(RELAY, 40_000), None, "any user has this port");
        assert_eq!(from([10, 150, 0, 99].into(), SERVER_PORT), None, "no network names it");
    }

    /// A request by the firmware of a port on InfiniBand, as iPXE makes one.
    fn infiniband(change: impl FnOnce(&mut Message)) -> Vec<u8> {
        packet(|message| {
            message.set_htype(HType::Unknown(32));
            message.set_chaddr(&GUID);
            change(message);
        })
    }

    #[test]
    fn a_port_of_infiniband_begins_a_boot_where_its_wire_tells_no_sender() {
        let payload = infiniband(|_| ());
        let on = |sender: Sender| begins(&payload, |frame| frame.sender = sender);
        let begun = on(Sender::InfiniBand).unwrap();
        assert_eq!(begun.mac, MacAddress::from_bytes(&GUID).unwrap().port());
        let named = infiniband(|message| {
            message.set_chaddr(&[]);
            let link = [&[32, 0x80, 0, 2, 8, 0xfe, 0x80, 0, 0, 0, 0, 0, 0][..], &GUID].concat();
            message.opts_mut().insert(DhcpOption::ClientIdentifier(link));
        });
        assert_eq!(begins(&named, |frame| frame.sender = Sender::InfiniBand), Some(begun));
        // On Ethernet whoever says so is somebody else, also when his card has what the address begins with.
        for sender in [MAC, [0; 6], GUID[..6].try_into().unwrap()] {
            assert_eq!(on(Sender::Ethernet(sender)), None);
        }
        assert_eq!(on(Sender::Other), None);
        let on_infiniband = |change: fn(&mut Frame<'_>)| {
            begins(&payload, |frame| {
                frame.sender = Sender::InfiniBand;
                change(frame);
            })
        };
        assert_eq!(on_infiniband(|frame| frame.port = 40_000), None, "any user has this port");
        assert_eq!(on_infiniband(|frame| frame.is_broadcast = false), None);
        // A machine that says that it is on Ethernet is not there.
        assert_eq!(begins(&packet(|_| ()), |frame| frame.sender = Sender::InfiniBand), None);
    }

    #[test]
    fn a_relay_tells_of_infiniband_as_of_ethernet() {
        let from = |relay: Ipv4Addr, port: u16| {
            let payload = infiniband(|message| {
                message.set_giaddr(relay);
            });
            begins(&payload, |frame| {
                (frame.port, frame.is_broadcast) = (port, false);
            })
        };
        assert!(from(RELAY, SERVER_PORT).is_some());
        assert_eq!(from(RELAY, CLIENT_PORT), None);
        assert_eq!(from([10, 150, 0, 99].into(), SERVER_PORT), None, "no network names it");
    }

    #[test]
    fn frames_that_are_cut_or_hold_something_else_are_left_out() {
        let payload = packet(|_| ());
        let mut whole =
            vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, UDP, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255];
        whole.extend([0, 68, 0, 67, 0, 0, 0, 0]);
        whole.extend(&payload);
        let read = |packet: &[u8]| {
            Frame::parse(packet, Sender::Ethernet(MAC), true).map(|frame| frame.port)
        };
        assert_eq!(read(&whole), Some(CLIENT_PORT));
        for length in 0..28 {
            assert_eq!(read(&whole[..length]), None, "{length} bytes");
        }
        for (place, byte) in [(0, 0x65), (0, 0x41), (0, 0x4f), (9, 6), (7, 1), (23, 68)] {
            let mut other = whole.clone();
            other[place] = byte;
            assert_eq!(read(&other), None, "byte {place}");
        }
    }
}
