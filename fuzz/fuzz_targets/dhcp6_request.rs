//! Any bytes at the port of DHCPv6: they are read or not, and what is read is answered or not; a machine gets the address that is reserved for
//! it, or one that is lent, and nothing else.
#![no_main]

use std::net::Ipv6Addr;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use perilune_dhcp::Leases;
use perilune_dhcp::v6::{Decision, Policy, Request, reply};
use perilune_model::group::Group;
use perilune_model::interface::Interface;
use perilune_model::network::Network;
use perilune_model::node::Node;
use perilune_model::{Addresses, Cluster, Draft, MacAddress, Name};

const NODE: MacAddress = MacAddress::ethernet([0x52, 0x54, 0, 0, 0, 1]);
const CARD: MacAddress = MacAddress::ethernet([0x52, 0x54, 0, 0, 0, 9]);
const LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x5054, 0xff, 0xfe00, 1);
const RESERVED: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x141, 0, 0, 0, 0, 0, 1);
const LENT: (Ipv6Addr, Ipv6Addr) =
    (Ipv6Addr::new(0xfd00, 0x141, 0, 0, 0, 0, 0, 0x100), Ipv6Addr::new(0xfd00, 0x141, 0, 0, 0, 0, 0, 0x103));
static CLUSTER: LazyLock<Cluster> = LazyLock::new(cluster);

fuzz_target!(|packet: &[u8]| {
    let mut leases = Leases::default();
    answer(&mut leases, packet, RESERVED, None);
    // Whatever comes as options of a request that is right in the rest.
    for kind in [1, 3, 5, 11] {
        let duid = [0, 1, 0, 10, 0, 3, 0, 1, 0x52, 0x54, 0, 0, 0, kind];
        let association = [0, 3, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let message = [&[kind, 0, 0, 1][..], &duid, &association, packet].concat();
        answer(&mut leases, &message, LOCAL, Some(CARD));
    }
});

fn answer(leases: &mut Leases, packet: &[u8], source: Ipv6Addr, card: Option<MacAddress>) {
    let Some(request) = Request::read(packet, source, card) else { return };
    let policy = Policy {
        server: Ipv6Addr::new(0xfd00, 0x141, 0, 0, 0, 0, 0, 0xfe),
        duid: vec![0, 3, 0, 1, 2, 0, 0, 0, 0, 0xfe],
        url: "http://[fd00:141::fe]:7050".to_owned(),
        lease_seconds: 60,
        strangers_lease_seconds: 60,
    };
    let (Decision::Answer(answer), _) = reply(&CLUSTER, leases, &policy, &request, 0) else {
        return;
    };
    let Some(given) = answer.address else { return };
    let is_own = if answer.mac == NODE { given == RESERVED } else { (LENT.0..=LENT.1).contains(&given) };
    assert!(is_own, "{} was given {given}", answer.mac);
}

fn cluster() -> Cluster {
    let mut draft = Draft::new(&Cluster::default());
    let name = Name::trusted("cluster");
    let network = Network {
        name: name.clone(),
        ipv6: "fd00:141::/64".parse().ok(),
        dhcp: true,
        dhcp_range_ipv6: Some(LENT),
        ..Network::default()
    };
    draft.put(network).unwrap();
    let group = Name::trusted("compute");
    draft.put(Group { name: group.clone(), ..Group::default() }).unwrap();
    let interface = Interface {
        name: Name::trusted("BOOTIF"),
        macaddress: Some(NODE),
        network: Some(name),
        addresses: Addresses { ipv4: None, ipv6: Some(RESERVED) },
        ..Interface::default()
    };
    let node = Node {
        name: Name::trusted("node001"),
        group,
        interfaces: vec![interface],
        ..Node::default()
    };
    draft.put(node).unwrap();
    draft.finish().0
}
