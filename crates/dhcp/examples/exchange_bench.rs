//! How many DHCP exchanges (DISCOVER, OFFER, REQUEST, ACK) one core decides, reads and writes in a second, for a cluster of 4,000
//! nodes: `cargo run --release -p perilune-dhcp --example exchange_bench`. The socket is left out.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark talks to the person who started it"
)]

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use dhcproto::v4::{DhcpOption, Message, MessageType};
use dhcproto::{Encodable, Encoder};
use perilune_dhcp::{Decision, Leases, Policy, Request, reply};
use perilune_model::group::Group;
use perilune_model::interface::Interface;
use perilune_model::network::Network;
use perilune_model::node::Node;
use perilune_model::{Addresses, Cluster, Draft, MacAddress, Name};

const NODES: u16 = 4000;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 141, 255, 254);

fn main() {
    let cluster = cluster();
    let mut leases = Leases::default();
    let policy = Policy {
        server: SERVER,
        url: "http://10.141.255.254:7050".to_owned(),
        api_url: "https://10.0.0.1:7050".to_owned(),
        lease_seconds: 28_800,
        strangers_lease_seconds: 900,
        peers: std::sync::Arc::default(),
    };
    let started = Instant::now();
    let mut exchanges = 0_u32;
    while started.elapsed() < Duration::from_secs(3) {
        for number in 0..NODES {
            let mut bytes = packet(number, MessageType::Discover, None);
            for _ in 0..2 {
                let request = Request::read(&bytes).unwrap();
                let (Decision::Answer(answer), _) =
                    reply(&cluster, &mut leases, &policy, &request, 0)
                else {
                    return;
                };
                let IpAddr::V4(address) = answer.address else { continue };
                bytes = packet(number, MessageType::Request, Some(address));
            }
            exchanges += 1;
        }
    }
    let rate = f64::from(exchanges) / started.elapsed().as_secs_f64();
    println!("{rate:.0} exchanges/s on one core, {NODES} nodes, without the socket");
}

fn mac(number: u16) -> MacAddress {
    let [high, low] = number.to_be_bytes();
    MacAddress::ethernet([0x52, 0x54, 0, 1, high, low])
}

fn packet(number: u16, kind: MessageType, wanted: Option<Ipv4Addr>) -> Vec<u8> {
    let mut message = Message::default();
    message.set_chaddr(mac(number).as_bytes());
    message.opts_mut().insert(DhcpOption::MessageType(kind));
    message
        .opts_mut()
        .insert(DhcpOption::ClassIdentifier(b"PXEClient:Arch:00007:UNDI:003000".to_vec()));
    message.opts_mut().insert(DhcpOption::ClientSystemArchitecture(7.into()));
    if let Some(wanted) = wanted {
        message.opts_mut().insert(DhcpOption::RequestedIpAddress(wanted));
        message.opts_mut().insert(DhcpOption::ServerIdentifier(SERVER));
    }
    let mut bytes = Vec::new();
    message.encode(&mut Encoder::new(&mut bytes)).unwrap();
    bytes
}

fn cluster() -> Cluster {
    let mut draft = Draft::new(&Cluster::default());
    let network = Name::trusted("cluster");
    draft
        .put(Network {
            name: network.clone(),
            ipv4: "10.141.0.0/16".parse().ok(),
            ..Network::default()
        })
        .unwrap();
    draft.put(Group { name: Name::trusted("compute"), ..Group::default() }).unwrap();
    for number in 0..NODES {
        let [high, low] = number.to_be_bytes();
        let interface = Interface {
            name: Name::trusted("BOOTIF"),
            macaddress: Some(mac(number)),
            network: Some(network.clone()),
            addresses: Addresses {
                ipv4: Some(Ipv4Addr::new(10, 141, high.saturating_add(1), low)),
                ipv6: None,
            },
            ..Interface::default()
        };
        let name = Name::trusted(&format!("node{number:04}"));
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
