//! Any bytes at the DHCP port: they are read or not, and what is read is answered or not; a machine gets the address that is reserved
//! for it, or one that is lent, and nothing else.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use dhcproto::{Decodable, Decoder};
use libfuzzer_sys::fuzz_target;
use perilune_dhcp::{Decision, Leases, Policy, Request, reply};
use perilune_model::group::Group;
use perilune_model::interface::Interface;
use perilune_model::network::Network;
use perilune_model::node::Node;
use perilune_model::{Addresses, Cluster, Draft, MacAddress, Name};

const NODE: MacAddress = MacAddress::ethernet([0x52, 0x54, 0, 0, 0, 1]);
const RESERVED: Ipv4Addr = Ipv4Addr::new(10, 141, 0, 1);
const LENT: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(10, 141, 0, 100), Ipv4Addr::new(10, 141, 0, 103));
static CLUSTER: LazyLock<Cluster> = LazyLock::new(cluster);

fuzz_target!(|packet: &[u8]| {
    let mut leases = Leases::default();
    answer(&mut leases, packet);
    // Whatever comes as options of a packet that is right in the rest: of a node, and of a stranger who asks again.
    for last in [1, 99, 99] {
        answer(&mut leases, &[&header(last), packet].concat());
    }
});

fn answer(leases: &mut Leases, packet: &[u8]) {
    let Some(request) = Request::read(packet) else { return };
    let policy = Policy {
        server: [10, 141, 0, 254].into(),
        url: "http://10.141.0.254:7050".to_owned(),
        api_url: "https://10.141.0.254:7050".to_owned(),
        lease_seconds: 60,
        strangers_lease_seconds: 60,
    };
    let (Decision::Answer(answer), _) = reply(&CLUSTER, leases, &policy, &request, 0) else {
        return;
    };
    let IpAddr::V4(given) = answer.address else { panic!("{} is no IPv4 address", answer.address) };
    let own =
        if request.mac == NODE { given == RESERVED } else { (LENT.0..=LENT.1).contains(&given) };
    assert!(own || given.is_unspecified(), "{} was given {given}", request.mac);
    // Another reader must be able to read it, but for what a relay said, which goes back as it came.
    let message = dhcproto::v4::Message::decode(&mut Decoder::new(&answer.packet));
    assert!(message.is_ok_and(|message| message.yiaddr() == given) || packet.contains(&82));
}

/// All of a packet before its options.
fn header(last: u8) -> [u8; 240] {
    let mut header = [0; 240];
    header[..3].copy_from_slice(&[1, 1, 6]);
    header[28..34].copy_from_slice(&[0x52, 0x54, 0, 0, 0, last]);
    header[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    header
}

fn cluster() -> Cluster {
    let mut draft = Draft::new(&Cluster::default());
    let name = Name::trusted("cluster");
    let network = Network {
        name: name.clone(),
        ipv4: "10.141.0.0/24".parse().ok(),
        dhcp: true,
        dhcp_range: Some(LENT),
        ..Network::default()
    };
    draft.put(network).unwrap();
    let group = Name::trusted("compute");
    draft.put(Group { name: group.clone(), ..Group::default() }).unwrap();
    let interface = Interface {
        name: Name::trusted("BOOTIF"),
        macaddress: Some(NODE),
        network: Some(name),
        addresses: Addresses { ipv4: Some(RESERVED), ipv6: None },
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
