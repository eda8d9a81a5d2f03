//! A machine that asks, and the site that it asks in.

use std::net::{Ipv4Addr, SocketAddrV4};

use dhcproto::v4::{DhcpOption, Message, MessageType, OptionCode, UnknownOption};
use dhcproto::{Decodable, Decoder, Encodable, Encoder};
use perilune_dhcp::{Decision, Lease, Leases, Policy, Request, Sighting, reply};
use perilune_model::group::Group;
use perilune_model::interface::Interface;
use perilune_model::network::Network;
use perilune_model::node::Node;
use perilune_model::{Addresses, Cluster, Draft, MacAddress, Name};

pub(crate) const NOW: u64 = 1_800_000_000_000;
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 141, 0, 254);

pub(crate) fn mac(last: u8) -> MacAddress {
    MacAddress::ethernet([0x52, 0x54, 0, 0, 0, last])
}

pub(crate) fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

pub(crate) fn policy() -> Policy {
    Policy {
        server: SERVER,
        url: format!("http://{SERVER}:7050"),
        api_url: format!("https://{SERVER}:7050"),
        lease_seconds: 28_800,
        strangers_lease_seconds: 900,
        peers: std::sync::Arc::default(),
    }
}

/// Network `cluster`, 10.141.0.0/24, that lends .100 to .103; network `far`, 10.150.0.0/24, that lends .10 to .11; node001 with
/// MAC ending in 1 at 10.141.0.1; node002 with MAC ending in 2 that asks DHCP and has no address.
pub(crate) fn cluster() -> Cluster {
    let mut draft = Draft::new(&Cluster::default());
    let network = |name: &str, range: &str, lent: (&str, &str)| Network {
        name: Name::trusted(name),
        ipv4: range.parse().ok(),
        dhcp: true,
        dhcp_range: Some((ip(lent.0), ip(lent.1))),
        ..Network::default()
    };
    let near = Network {
        gateway: Some(ip("10.141.0.253")),
        nameserver_ip: Some("10.141.0.252,10.141.0.251".to_owned().into()),
        ..network("cluster", "10.141.0.0/24", ("10.141.0.100", "10.141.0.103"))
    };
    draft.put(near).unwrap();
    draft.put(network("far", "10.150.0.0/24", ("10.150.0.10", "10.150.0.11"))).unwrap();
    draft.put(Group { name: Name::trusted("compute"), ..Group::default() }).unwrap();
    for (number, address) in [(1, Some("10.141.0.1")), (2, None)] {
        let interface = Interface {
            name: Name::trusted("BOOTIF"),
            macaddress: Some(mac(number)),
            network: Some(Name::trusted("cluster")),
            addresses: Addresses { ipv4: address.map(ip), ipv6: None },
            dhcp: address.is_none(),
            ..Interface::default()
        };
        let name = Name::trusted(&format!("node{number:03}"));
        draft
            .put(Node {
                name,
                group: Name::trusted("compute"),
                interfaces: vec![interface],
                ..Node::default()
            })
            .unwrap();
    }
    draft.finish().0
}

/// An answer as an independent reader of packets sees it.
pub(crate) struct Answer {
    pub(crate) message: Message,
    pub(crate) packet: Vec<u8>,
    pub(crate) to: SocketAddrV4,
    pub(crate) lease: Option<Lease>,
    pub(crate) missing_program: Option<String>,
}

impl Answer {
    pub(crate) fn kind(&self) -> MessageType {
        self.message.opts().msg_type().unwrap()
    }

    /// How long the address is given.
    pub(crate) fn seconds(&self) -> Option<u32> {
        match self.message.opts().get(OptionCode::AddressLeaseTime)? {
            DhcpOption::AddressLeaseTime(seconds) => Some(*seconds),
            other => panic!("{other:?}"),
        }
    }
}

/// A server with its memory.
pub(crate) struct Site {
    pub(crate) cluster: Cluster,
    pub(crate) leases: Leases,
    pub(crate) now: u64,
}

impl Site {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self { cluster, leases: Leases::default(), now: NOW }
    }

    pub(crate) fn ask(&mut self, packet: &Packet) -> (Decision, Option<Sighting>) {
        let mut request = Request::read(&packet.bytes()).expect("it is a request");
        request.card = packet.1;
        reply(&self.cluster, &mut self.leases, &policy(), &request, self.now)
    }

    /// The answer, when there is one.
    pub(crate) fn answer(&mut self, packet: &Packet) -> Option<Answer> {
        match self.ask(packet).0 {
            Decision::Answer(answer) => {
                assert!(answer.packet.len() >= 300, "some firmware drops shorter ones");
                let message = Message::decode(&mut Decoder::new(&answer.packet)).unwrap();
                assert_eq!(message.yiaddr(), answer.address);
                Some(Answer {
                    message,
                    packet: answer.packet,
                    to: answer.to,
                    lease: answer.lease,
                    missing_program: answer.missing_program,
                })
            }
            Decision::Ignore(_) | Decision::Unserved(_) | Decision::Forget(_) => None,
        }
    }

    /// Kind and address of the answer.
    pub(crate) fn outcome(&mut self, packet: &Packet) -> Option<(MessageType, Ipv4Addr)> {
        let message = self.answer(packet)?.message;
        Some((message.opts().msg_type().unwrap(), message.yiaddr()))
    }

    /// Discovers and requests; the address that it ends with.
    pub(crate) fn join(&mut self, mac: MacAddress) -> Option<Ipv4Addr> {
        self.join_by(mac, |packet| packet)
    }

    /// Likewise, with what is added to each packet on its way.
    pub(crate) fn join_by(
        &mut self,
        mac: MacAddress,
        way: impl Fn(Packet) -> Packet,
    ) -> Option<Ipv4Addr> {
        let (_, offered) = self.outcome(&way(Packet::new(mac, MessageType::Discover)))?;
        let request = way(Packet::new(mac, MessageType::Request).wants(offered).of_server(SERVER));
        self.outcome(&request).map(|(kind, address)| {
            assert_eq!(kind, MessageType::Ack);
            address
        })
    }
}

/// A packet that a machine sends.
#[derive(Clone)]
pub(crate) struct Packet(Message, Option<MacAddress>);

impl Packet {
    pub(crate) fn new(mac: MacAddress, kind: MessageType) -> Self {
        let mut message = Message::default();
        message.set_chaddr(mac.as_bytes()).set_xid(7);
        message.opts_mut().insert(DhcpOption::MessageType(kind));
        Self(message, None)
    }

    pub(crate) fn with(mut self, option: DhcpOption) -> Self {
        self.0.opts_mut().insert(option);
        self
    }

    pub(crate) fn unknown(self, code: u8, bytes: &[u8]) -> Self {
        self.with(DhcpOption::Unknown(UnknownOption::new(OptionCode::from(code), bytes.to_vec())))
    }

    pub(crate) fn wants(self, address: Ipv4Addr) -> Self {
        self.with(DhcpOption::RequestedIpAddress(address))
    }

    pub(crate) fn of_server(self, server: Ipv4Addr) -> Self {
        self.with(DhcpOption::ServerIdentifier(server))
    }

    /// Its frame comes from this card.
    pub(crate) fn by_card(mut self, card: MacAddress) -> Self {
        self.1 = Some(card);
        self
    }

    pub(crate) fn has(mut self, address: Ipv4Addr) -> Self {
        self.0.set_ciaddr(address);
        self
    }

    pub(crate) fn through(mut self, relay: Ipv4Addr) -> Self {
        self.0.set_giaddr(relay);
        self
    }

    /// The firmware of a machine: its class and its kind.
    pub(crate) fn firmware(self, class: &str, architecture: u16) -> Self {
        self.with(DhcpOption::ClassIdentifier(class.as_bytes().to_vec()))
            .with(DhcpOption::ClientSystemArchitecture(architecture.into()))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.encode(&mut Encoder::new(&mut bytes)).unwrap();
        bytes
    }
}
