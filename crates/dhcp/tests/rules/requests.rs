//! One rule of RFC 2131 and its relatives at a time.

use std::net::Ipv4Addr;

use dhcproto::v4::relay::{RelayAgentInformation, RelayInfo};
use dhcproto::v4::{DhcpOption, MessageType, OptionCode};
use perilune_dhcp::{Decision, Kind, Lease, Request, Source};
use perilune_model::network::Network;
use perilune_model::{Edit, Name};

use crate::machine::{Packet, SERVER, Site, cluster, ip, mac};

const STRANGER: u8 = 99;

fn discover(last: u8) -> Packet {
    Packet::new(mac(last), MessageType::Discover)
}

fn request(last: u8) -> Packet {
    Packet::new(mac(last), MessageType::Request)
}

fn range() -> std::ops::RangeInclusive<Ipv4Addr> {
    ip("10.141.0.100")..=ip("10.141.0.103")
}

#[test]
fn a_node_gets_the_address_that_is_reserved_for_it_and_nothing_is_stored() {
    let mut site = Site::new(cluster());
    let answer = site.answer(&discover(1)).unwrap();
    assert_eq!(answer.message.yiaddr(), ip("10.141.0.1"));
    assert_eq!(answer.to, "255.255.255.255:68".parse().unwrap());
    let ack = site.answer(&request(1).wants(ip("10.141.0.1")).of_server(SERVER)).unwrap();
    assert!(ack.message.opts().has_msg_type(MessageType::Ack));
    assert_eq!(ack.lease, None);
    let options = ack.message.opts();
    assert_eq!(options.get(OptionCode::Hostname), Some(&DhcpOption::Hostname("node001".into())));
    assert_eq!(
        options.get(OptionCode::Router),
        Some(&DhcpOption::Router(vec![ip("10.141.0.253")]))
    );
    assert_eq!(
        options.get(OptionCode::SubnetMask),
        Some(&DhcpOption::SubnetMask(ip("255.255.255.0")))
    );
    assert_eq!(
        options.get(OptionCode::DomainName),
        Some(&DhcpOption::DomainName("cluster".into()))
    );
    let name_servers = vec![ip("10.141.0.252"), ip("10.141.0.251")];
    assert_eq!(
        options.get(OptionCode::DomainNameServer),
        Some(&DhcpOption::DomainNameServer(name_servers))
    );
}

#[test]
fn a_node_that_wants_another_address_must_begin_anew() {
    let mut site = Site::new(cluster());
    let outcome = site.outcome(&request(1).wants(ip("10.141.0.7")).of_server(SERVER));
    assert_eq!(outcome, Some((MessageType::Nak, Ipv4Addr::UNSPECIFIED)));
    let elsewhere = site.outcome(&request(1).wants(ip("192.168.1.7")));
    assert_eq!(elsewhere, Some((MessageType::Nak, Ipv4Addr::UNSPECIFIED)));
}

#[test]
fn what_answers_in_the_range_already_is_never_lent() {
    let mut described = cluster();
    let network = Network {
        gateway: Some(ip("10.141.0.100")),
        nameserver_ip: Some("10.141.0.101".to_owned().into()),
        ..Network::clone(described.network("cluster").unwrap())
    };
    described.apply(&Edit::Put(network.into()));
    described.set_own_addresses([(ip("10.141.0.102").into(), "eth0".to_owned())]);
    let mut site = Site::new(described);
    for taken in ["10.141.0.100", "10.141.0.101", "10.141.0.102"] {
        let outcome = site.outcome(&request(STRANGER).wants(ip(taken)).of_server(SERVER));
        assert_eq!(outcome, Some((MessageType::Nak, Ipv4Addr::UNSPECIFIED)), "{taken}");
        let renewal = site.outcome(&request(STRANGER).has(ip(taken)));
        assert_eq!(renewal, Some((MessageType::Nak, Ipv4Addr::UNSPECIFIED)), "{taken}");
        let offer = site.answer(&discover(STRANGER).wants(ip(taken))).unwrap();
        assert_eq!(offer.message.yiaddr(), ip("10.141.0.103"));
    }
    assert_eq!(site.join(mac(STRANGER)), Some(ip("10.141.0.103")));
    assert!(matches!(site.ask(&discover(98)).0, Decision::Unserved(_)), "the others are taken");
}

#[test]
fn neither_our_own_address_nor_that_of_the_relay_is_lent() {
    let mut near = cluster();
    let network = Network {
        dhcp_range: Some((SERVER, SERVER)),
        gateway: None,
        ..Network::clone(near.network("cluster").unwrap())
    };
    near.apply(&Edit::Put(network.into()));
    assert!(matches!(Site::new(near).ask(&discover(STRANGER)).0, Decision::Unserved(_)));
    let mut site = Site::new(cluster());
    for last in 50..53 {
        let offer = site.answer(&discover(last).through(ip("10.150.0.10")));
        let address = offer.map(|offer| offer.message.yiaddr());
        assert!(address.is_none_or(|address| address == ip("10.150.0.11")), "{address:?}");
    }
}

#[test]
fn a_stranger_and_a_node_that_asks_dhcp_get_addresses_of_the_range_that_are_stored() {
    let mut site = Site::new(cluster());
    for last in [STRANGER, 2] {
        let address = site.join(mac(last)).unwrap();
        assert!(range().contains(&address), "{address}");
        let renewal = site.answer(&request(last).has(address)).unwrap();
        assert_eq!(renewal.message.yiaddr(), address);
        assert_eq!(
            renewal.to,
            format!("{address}:68").parse().unwrap(),
            "it is reached where it is"
        );
        assert_eq!(renewal.lease.map(|lease| lease.address), Some(address.into()));
    }
    let (_, sighting) = site.ask(&discover(STRANGER));
    assert_eq!(sighting.map(|sighting| sighting.mac), Some(mac(STRANGER)));
    assert_eq!(site.ask(&discover(2)).1, None, "a node is no stranger");
}

#[test]
fn a_machine_gets_its_former_address_again() {
    let mut site = Site::new(cluster());
    let address = site.join(mac(STRANGER)).unwrap();
    site.now += 9 * 3600 * 1000;
    assert_eq!(site.join(mac(STRANGER)), Some(address));
}

#[test]
fn a_full_range_answers_nobody_else_until_a_lease_ends() {
    let mut site = Site::new(cluster());
    for last in 10..13 {
        assert!(site.join(mac(last)).is_some());
    }
    assert!(site.answer(&discover(14)).is_none(), "one is node002's");
    site.now += 9 * 3600 * 1000;
    assert!(site.join(mac(14)).is_some());
}

#[test]
fn an_offer_to_a_stranger_is_kept_for_a_quarter_of_a_minute() {
    let mut site = Site::new(cluster());
    for last in 10..13 {
        assert!(site.answer(&discover(last)).is_some());
    }
    assert!(site.answer(&discover(14)).is_none());
    site.now += 14_000;
    assert!(site.answer(&discover(14)).is_none());
    site.now += 2_000;
    assert!(site.answer(&discover(14)).is_some());
}

#[test]
fn who_chooses_another_server_gives_our_offer_back() {
    let mut site = Site::new(cluster());
    for last in 10..13 {
        assert!(site.answer(&discover(last)).is_some());
    }
    assert!(
        site.answer(&request(10).wants(ip("10.141.0.50")).of_server(ip("10.141.0.9"))).is_none()
    );
    assert!(site.answer(&discover(14)).is_some());
}

#[test]
fn a_declined_address_rests_and_a_released_one_is_free() {
    let mut site = Site::new(cluster());
    let address = site.join(mac(10)).unwrap();
    let declined = site.ask(&Packet::new(mac(10), MessageType::Decline).wants(address)).0;
    assert!(matches!(declined, Decision::Forget(forgotten) if forgotten == address));
    for last in [20, 21, 2] {
        assert_ne!(site.join(mac(last)).unwrap(), address);
    }
    assert!(site.answer(&discover(23)).is_none(), "the declined one is not given out");
    let other = site.join(mac(20)).unwrap();
    let released = site.ask(&Packet::new(mac(20), MessageType::Release).has(other)).0;
    assert!(matches!(released, Decision::Forget(forgotten) if forgotten == other));
    assert_eq!(site.join(mac(24)), Some(other));
}

#[test]
fn nobody_can_release_or_decline_for_another() {
    let mut site = Site::new(cluster());
    let address = site.join(mac(10)).unwrap();
    for packet in [
        Packet::new(mac(11), MessageType::Release).has(address),
        Packet::new(mac(11), MessageType::Decline).wants(address),
    ] {
        assert!(matches!(site.ask(&packet).0, Decision::Ignore(_)));
    }
    assert_eq!(site.join(mac(10)), Some(address));
}

#[test]
fn an_address_of_another_network_or_of_another_machine_is_refused() {
    let mut site = Site::new(cluster());
    let held = site.join(mac(10)).unwrap();
    for wanted in [held, ip("10.141.0.1"), ip("172.16.0.1")] {
        let outcome = site.outcome(&request(STRANGER).wants(wanted));
        assert_eq!(outcome, Some((MessageType::Nak, Ipv4Addr::UNSPECIFIED)), "{wanted}");
    }
}

/// The network of the nodes, changed.
fn with_network(change: impl FnOnce(&mut Network)) -> Site {
    let mut cluster = cluster();
    let mut network = Network::clone(cluster.network("cluster").unwrap());
    change(&mut network);
    cluster.apply(&Edit::Put(network.into()));
    Site::new(cluster)
}

#[test]
fn where_nothing_is_lent_strangers_are_left_to_others_and_nodes_are_served() {
    let mut site = with_network(|network| network.dhcp_nodes_only = true);
    assert!(site.answer(&discover(STRANGER)).is_none());
    for wanted in ["172.16.0.1", "10.141.0.101"] {
        assert!(site.answer(&request(STRANGER).wants(ip(wanted))).is_none(), "{wanted}");
    }
    assert_eq!(site.join(mac(1)), Some(ip("10.141.0.1")));
}

#[test]
fn where_dhcp_is_off_nobody_is_answered() {
    let mut site = with_network(|network| network.dhcp = false);
    for last in [1, 2, STRANGER] {
        assert!(site.answer(&discover(last)).is_none(), "{last}");
        assert!(site.answer(&request(last).wants(ip("172.16.0.1"))).is_none(), "{last}");
    }
}

#[test]
fn a_relay_gets_the_answer_with_what_it_said_for_the_network_that_it_is_in() {
    let mut site = Site::new(cluster());
    let mut information = RelayAgentInformation::default();
    information.insert(RelayInfo::AgentCircuitId(b"port7".to_vec()));
    let packet = discover(STRANGER)
        .through(ip("10.150.0.1"))
        .with(DhcpOption::RelayAgentInformation(information.clone()));
    let answer = site.answer(&packet).unwrap();
    assert_eq!(answer.to, "10.150.0.1:67".parse().unwrap());
    assert!((ip("10.150.0.10")..=ip("10.150.0.11")).contains(&answer.message.yiaddr()));
    let echoed = answer.message.opts().get(OptionCode::RelayAgentInformation);
    assert_eq!(echoed, Some(&DhcpOption::RelayAgentInformation(information.clone())));
    // RFC 3527: the relay answers from one network and asks for another.
    information.insert(RelayInfo::LinkSelection(ip("10.141.0.0")));
    let selected =
        discover(98).through(ip("10.150.0.1")).with(DhcpOption::RelayAgentInformation(information));
    let answer = site.answer(&selected).unwrap();
    assert!(range().contains(&answer.message.yiaddr()));
    assert_eq!(answer.to, "10.150.0.1:67".parse().unwrap());
}

#[test]
fn a_relay_that_a_network_names_asks_for_that_network_and_no_other() {
    let relay = ip("10.141.0.253");
    let mut site = Site::new(cluster());
    let behind = |name: &str, range: &str, lent: &str, links: &[&str]| Network {
        name: Name::trusted(name),
        ipv4: range.parse().ok(),
        dhcp: true,
        dhcp_range: Some((ip(lent), ip(lent))),
        shared: Some(Name::trusted("cluster")),
        dhcp_relay: vec![relay.into()],
        dhcp_link_subnet: links.iter().map(|link| link.parse().unwrap()).collect(),
        ..Network::default()
    };
    for network in [
        behind("a", "10.160.0.0/24", "10.160.0.9", &[]),
        behind("b", "10.161.0.0/24", "10.161.0.9", &["192.0.2.0/24"]),
        behind("c", "10.162.0.0/24", "10.162.0.9", &["192.0.2.128/25", "198.51.100.0/24"]),
    ] {
        site.cluster.apply(&Edit::Put(network.into()));
    }
    let selecting = |link: &str| {
        let mut information = RelayAgentInformation::default();
        information.insert(RelayInfo::LinkSelection(ip(link)));
        DhcpOption::RelayAgentInformation(information)
    };
    // The relay's own address is in no range of links: the first that names it.
    for (number, through, link, given) in [
        (51, relay, None, "10.160.0.9"),
        (52, relay, Some("192.0.2.7"), "10.161.0.9"),
        (53, relay, Some("192.0.2.200"), "10.162.0.9"),
        (54, relay, Some("10.160.0.1"), "10.160.0.9"),
        // Links and relays that nobody names are as before.
        (55, relay, Some("10.150.0.0"), "10.150.0.10"),
        (56, ip("10.150.0.1"), None, "10.150.0.10"),
    ] {
        let mut site = Site::new(site.cluster.clone());
        let packet = discover(number).through(through);
        let packet = link.map(selecting).into_iter().fold(packet, Packet::with);
        let answer = site.answer(&packet).unwrap();
        let own = answer.message.yiaddr();
        let is_near = own.octets()[..3] == ip(given).octets()[..3];
        assert!(is_near, "{through} {link:?}: {own} instead of {given}");
        assert_eq!(answer.to, std::net::SocketAddrV4::new(through, 67));
    }
}

#[test]
fn an_inquiry_is_answered_without_an_address() {
    let mut site = Site::new(cluster());
    let answer =
        site.answer(&Packet::new(mac(1), MessageType::Inform).has(ip("10.141.0.1"))).unwrap();
    assert_eq!(answer.message.yiaddr(), Ipv4Addr::UNSPECIFIED);
    assert_eq!(answer.message.opts().get(OptionCode::AddressLeaseTime), None);
    assert_eq!(answer.to, "10.141.0.1:68".parse().unwrap());
}

#[test]
fn what_is_no_request_is_not_read() {
    let good = discover(1).bytes();
    for length in 0..good.len().min(236) {
        assert!(Request::read(&good[..length]).is_none(), "{length} bytes");
    }
    let mut answer = good.clone();
    answer[0] = 2;
    assert!(Request::read(&answer).is_none(), "an answer is not answered");
    let mut token_ring = good;
    token_ring[1] = 6;
    assert!(Request::read(&token_ring).is_none());
}

/// A good packet of firmware, with these bytes before its options.
fn discover_with(bytes: &[u8]) -> Vec<u8> {
    let mut packet = discover(1).firmware("PXEClient:Arch:00007", 7).bytes();
    packet.splice(240..240, bytes.iter().copied());
    packet
}

#[test]
fn no_option_hides_what_is_behind_it_whatever_its_length() {
    const ARCHITECTURE: u8 = 93;
    const KIND: u8 = 53;
    for code in (1..=254).filter(|code| ![ARCHITECTURE, KIND].contains(code)) {
        for length in 0..=9 {
            let option = [&[code, length][..], &[81; 9][..usize::from(length)]].concat();
            // Two of a kind are one in two parts, for those who join them.
            for bytes in [option.clone(), option.repeat(2)] {
                let request = Request::read(&discover_with(&bytes))
                    .unwrap_or_else(|| panic!("option {code} of {length} bytes"));
                assert_eq!(request.kind, Kind::Discover, "option {code}: {length} bytes");
                assert_eq!(
                    request.architectures().collect::<Vec<_>>(),
                    [7],
                    "option {code}: {length} bytes"
                );
            }
        }
    }
}

#[test]
fn of_two_addresses_that_are_wanted_the_first_counts() {
    let packet = discover_with(&[50, 4, 10, 141, 0, 1, 50, 4, 10, 141, 0, 2]);
    assert_eq!(Request::read(&packet).unwrap().wanted(), Some(ip("10.141.0.1")));
}

#[test]
fn an_option_longer_than_its_packet_is_not_read() {
    let mut packet = discover(1).bytes();
    packet.truncate(240);
    packet.extend([53, 1, 1, 60, 200, b'P']);
    assert!(Request::read(&packet).is_none());
}

#[test]
fn a_packet_without_the_mark_of_dhcp_is_not_read() {
    let mut packet = discover(1).bytes();
    packet[236] = 0;
    assert!(Request::read(&packet).is_none());
}

/// Why a machine cannot be served, when somebody must act.
fn unserved(site: &mut Site, packet: &Packet) -> Option<String> {
    match site.ask(packet).0 {
        Decision::Unserved(reason) => Some(reason),
        Decision::Ignore(_) | Decision::Answer(_) | Decision::Forget(_) => None,
    }
}

#[test]
fn what_somebody_must_mend_is_told_and_other_peoples_machines_are_not() {
    let mut site = Site::new(cluster());
    let taken = Packet::new(mac(1), MessageType::Decline).wants(ip("10.141.0.1"));
    let reason = unserved(&mut site, &taken).unwrap();
    assert!(reason.contains("node001 found its address 10.141.0.1 in use"), "{reason}");
    for last in 100..104 {
        site.leases.lend(Lease {
            address: Ipv4Addr::new(10, 141, 0, last).into(),
            mac: mac(last),
            until: site.now + 1_000,
            source: Source::Node,
            name: None,
        });
    }
    let reason = unserved(&mut site, &discover(2)).unwrap();
    assert!(
        reason.contains("10.141.0.103 in network cluster is free for node node002"),
        "{reason}"
    );
    let reason = unserved(&mut site, &discover(STRANGER)).unwrap();
    assert!(reason.contains("is free for this unknown machine"), "{reason}");
    let mut site = with_network(|network| network.dhcp_nodes_only = true);
    assert_eq!(unserved(&mut site, &discover(STRANGER)), None);
    let reason = unserved(&mut site, &discover(2)).unwrap();
    assert!(reason.contains("node002 asks by its interface BOOTIF in network cluster"), "{reason}");
}
