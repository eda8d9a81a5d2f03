//! What machines are answered by IPv6, as an independent reader of messages sees it.

mod attack;
mod boot;
mod identity;
mod lent;

use std::net::Ipv6Addr;

use dhcproto::v6::{DhcpOption, DhcpOptions, IAAddr, IANA, Message, MessageType, Status};
use dhcproto::{Decodable as _, Decoder, Encodable as _, Encoder};
use perilune_dhcp::Leases;
use perilune_dhcp::v6::{Decision, Policy, Request, reply};
use perilune_model::group::Group;
use perilune_model::interface::Interface;
use perilune_model::network::Network;
use perilune_model::node::Node;
use perilune_model::{Addresses, Cluster, Draft, MacAddress, Name};

use crate::machine::{NOW, mac};

const SERVER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x141, 0, 0, 0, 0, 0, 0xfe);
const DUID: [u8; 10] = [0, 3, 0, 1, 2, 0, 0, 0, 0, 0xfe];

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn policy() -> Policy {
    Policy {
        server: SERVER,
        duid: DUID.to_vec(),
        url: format!("http://[{SERVER}]:7050"),
        lease_seconds: 28_800,
        strangers_lease_seconds: 900,
        peers: std::sync::Arc::default(),
    }
}

/// Network `cluster` lends four addresses, and asks one other server for names and two for the time; network `far` lends nothing. Of `cluster`,
/// node001 (with a MAC that ends in 1) has an address and node002 has none; node003 is in `far`.
fn draft() -> Draft {
    let mut draft = Draft::new(&Cluster::default());
    let near = Network {
        name: Name::trusted("cluster"),
        ipv6: "fd00:141::/64".parse().ok(),
        dhcp: true,
        dhcp_range_ipv6: Some((ip("fd00:141::100"), ip("fd00:141::103"))),
        nameserver_ip_ipv6: Some("fd00:141::252".to_owned().into()),
        ntp_server: Some("fd00:141::251,ntp.example.org".to_owned().into()),
        ..Network::default()
    };
    let far = Network {
        name: Name::trusted("far"),
        ipv6: "fd00:150::/64".parse().ok(),
        dhcp: true,
        dhcp_nodes_only: true,
        ..Network::default()
    };
    draft.put(near).unwrap();
    draft.put(far).unwrap();
    draft.put(Group { name: Name::trusted("compute"), ..Group::default() }).unwrap();
    for (number, network, address) in
        [(1, "cluster", Some("fd00:141::1")), (2, "cluster", None), (3, "far", Some("fd00:150::3"))]
    {
        let interface = Interface {
            name: Name::trusted("BOOTIF"),
            macaddress: Some(mac(number)),
            network: Some(Name::trusted(network)),
            addresses: Addresses { ipv4: None, ipv6: address.map(ip) },
            dhcp: address.is_none(),
            ..Interface::default()
        };
        let node = Node {
            name: Name::trusted(&format!("node{number:03}")),
            group: Name::trusted("compute"),
            interfaces: vec![interface],
            ..Node::default()
        };
        draft.put(node).unwrap();
    }
    draft
}

/// A machine that asks.
#[derive(Debug, Clone)]
struct Asker {
    message: Message,
    source: Ipv6Addr,
    card: Option<MacAddress>,
}

impl Asker {
    /// One with this card, which its DUID and its link-local address name.
    fn new(last: u8, kind: MessageType) -> Self {
        let mut message = Message::new_with_id(kind, [0, 0, last]);
        let duid = [&[0, 3, 0, 1][..], mac(last).as_bytes()].concat();
        message.opts_mut().insert(DhcpOption::ClientId(duid));
        let source = ip(&format!("fe80::5054:ff:fe00:{last:x}"));
        let asker = Self { message, source, card: Some(mac(last)) };
        let names_one =
            [MessageType::Request, MessageType::Renew, MessageType::Release, MessageType::Decline];
        let asker = if names_one.contains(&kind) {
            asker.with(DhcpOption::ServerId(DUID.to_vec()))
        } else {
            asker
        };
        asker.wants(&[])
    }

    fn with(mut self, option: DhcpOption) -> Self {
        self.message.opts_mut().insert(option);
        self
    }

    fn without(mut self, code: dhcproto::v6::OptionCode) -> Self {
        self.message.opts_mut().remove(code);
        self
    }

    /// In its one identity association it has or wants these addresses.
    fn wants(self, addresses: &[&str]) -> Self {
        let mut opts = DhcpOptions::new();
        for address in addresses {
            let address = IAAddr {
                addr: ip(address),
                preferred_life: 0,
                valid_life: 0,
                opts: DhcpOptions::new(),
            };
            opts.insert(DhcpOption::IAAddr(address));
        }
        let association = IANA { id: 7, t1: 0, t2: 0, opts };
        self.without(dhcproto::v6::OptionCode::IANA).with(DhcpOption::IANA(association))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.message.encode(&mut Encoder::new(&mut bytes)).unwrap();
        bytes
    }
}

/// A server with its memory.
struct Site {
    cluster: Cluster,
    leases: Leases,
    now: u64,
}

impl Site {
    fn new() -> Self {
        Self { cluster: draft().finish().0, leases: Leases::default(), now: NOW }
    }

    fn decide(&mut self, bytes: &[u8], source: Ipv6Addr, card: Option<MacAddress>) -> Decision {
        let request = Request::read(bytes, source, card).expect("it is a request");
        reply(&self.cluster, &mut self.leases, &policy(), &request, self.now).0
    }

    fn ask(&mut self, asker: &Asker) -> Decision {
        self.decide(&asker.bytes(), asker.source, asker.card)
    }

    /// The bytes of the answer, when there is one.
    fn raw(&mut self, asker: &Asker) -> Option<Vec<u8>> {
        match self.ask(asker) {
            Decision::Answer(answer) => Some(answer.message),
            Decision::Ignore(_) | Decision::Unserved(_) => None,
        }
    }

    /// The answer, when there is one.
    fn answer(&mut self, asker: &Asker) -> Option<Message> {
        let message = Message::decode(&mut Decoder::new(&self.raw(asker)?)).unwrap();
        assert_eq!(message.xid(), asker.message.xid());
        Some(message)
    }

    /// The kind of the answer, and what addresses it gives for how long.
    fn outcome(&mut self, asker: &Asker) -> Option<(MessageType, Vec<(Ipv6Addr, u32)>)> {
        let message = self.answer(asker)?;
        Some((message.msg_type(), addresses(&message)))
    }
}

fn addresses(message: &Message) -> Vec<(Ipv6Addr, u32)> {
    let associations = message.opts().iter().filter_map(|option| match option {
        DhcpOption::IANA(own) => Some(own),
        _ => None,
    });
    let all = associations.flat_map(|own| own.opts.iter()).filter_map(|option| match option {
        DhcpOption::IAAddr(own) => Some((own.addr, own.valid_life)),
        _ => None,
    });
    all.collect()
}

/// The status of the message, or of its identity association.
fn status(message: &Message) -> Option<Status> {
    let of = |opts: &DhcpOptions| {
        opts.iter().find_map(|option| match option {
            DhcpOption::StatusCode(code) => Some(code.status),
            _ => None,
        })
    };
    let within = message.opts().iter().find_map(|option| match option {
        DhcpOption::IANA(own) => of(&own.opts),
        _ => None,
    });
    of(message.opts()).or(within)
}
