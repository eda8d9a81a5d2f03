//! Nobody takes a whole range of addresses: strangers have shares, and leave what nodes need.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use dhcproto::v4::{DhcpOption, MessageType};
use perilune_dhcp::{Decision, Lease, Leases, Request, Source, reply};
use perilune_model::interface::Interface;
use perilune_model::network::Network;
use perilune_model::node::Node;
use perilune_model::{Edit, MacAddress, Name};

use crate::machine::{Packet, SERVER, Site, cluster, ip, mac, policy};

const HOUR: u64 = 3_600_000;

/// The site, whose network lends 10.141.0.100 to .199.
fn site() -> Site {
    let mut cluster = cluster();
    let mut network = Network::clone(cluster.network("cluster").unwrap());
    network.dhcp_range = Some((ip("10.141.0.100"), ip("10.141.0.199")));
    cluster.apply(&Edit::Put(network.into()));
    Site::new(cluster)
}

fn invented(number: u16) -> MacAddress {
    let [high, low] = number.to_be_bytes();
    MacAddress::ethernet([2, 0, 0, 1, high, low])
}

/// How many of 400 invented machines get an address, each packet sent on this way.
fn taken(site: &mut Site, way: impl Fn(Packet) -> Packet) -> usize {
    (0..400).filter(|number| site.join_by(invented(*number), &way).is_some()).count()
}

#[test]
fn who_invents_machines_behind_one_card_gets_the_share_of_one_source() {
    let mut site = site();
    assert_eq!(taken(&mut site, |packet| packet.by_card(mac(66))), 12);
    let honest = mac(50);
    assert!(site.join_by(honest, |packet| packet.by_card(honest)).is_some());
    assert!(site.join(mac(51)).is_some(), "and one of whom nothing is known");
    // Offers alone do not take more, nor do requests without an offer.
    for number in 1000..1400 {
        let discover = Packet::new(invented(number), MessageType::Discover).by_card(mac(67));
        site.answer(&discover);
        let wanted = Ipv4Addr::new(10, 141, 0, 100 + u8::try_from(number % 100).unwrap());
        let request = Packet::new(invented(number), MessageType::Request)
            .has(wanted)
            .wants(wanted)
            .by_card(mac(67));
        site.answer(&request);
    }
    let lent =
        site.leases.lent_within(ip("10.141.0.100").into()..=ip("10.141.0.199").into(), site.now);
    assert_eq!(lent, 12 + 2 + 12);
    assert!(site.join(mac(52)).is_some());
}

#[test]
fn machines_whose_frames_were_missed_share_what_one_card_may_have() {
    let mut site = site();
    let taken = (0..400).filter(|number| {
        let packet = Packet::new(invented(*number), MessageType::Discover).bytes();
        let mut request = Request::read(&packet).unwrap();
        request.is_missed = true;
        let (decision, _) = reply(&site.cluster, &mut site.leases, &policy(), &request, site.now);
        matches!(decision, Decision::Answer(_))
    });
    assert_eq!(taken.count(), 12);
    assert!(site.join(mac(50)).is_some());
}

#[test]
fn a_port_has_a_share_and_a_relay_leaves_some() {
    let port = |number: u8| {
        move |packet: Packet| packet.through(ip("10.141.0.200")).unknown(82, &[1, 2, 0, number])
    };
    let mut site = site();
    assert_eq!(taken(&mut site, port(1)), 50);
    assert!(site.join_by(mac(60), port(2)).is_some(), "another port");
    let mut site = self::site();
    assert_eq!(taken(&mut site, |packet| packet.through(ip("10.141.0.200"))), 88);
    assert!(site.join_by(mac(60), |packet| packet.through(ip("10.141.0.201"))).is_some());
}

/// The site with nodes that get addresses of the range, as many as the numbers.
fn with_nodes(numbers: std::ops::Range<u16>) -> Site {
    let mut site = site();
    for number in numbers {
        let interface = Interface {
            name: Name::trusted("BOOTIF"),
            macaddress: Some(of_node(number)),
            network: Some(Name::trusted("cluster")),
            dhcp: true,
            ..Interface::default()
        };
        let node = Node {
            name: Name::trusted(&format!("dynamic{number:03}")),
            group: Name::trusted("compute"),
            interfaces: vec![interface],
            ..Node::default()
        };
        site.cluster.apply(&Edit::Put(node.into()));
    }
    site
}

fn of_node(number: u16) -> MacAddress {
    let [high, low] = number.to_be_bytes();
    MacAddress::ethernet([2, 0, 0, 2, high, low])
}

#[test]
fn strangers_leave_what_nodes_need_whoever_comes_first() {
    // With node002 there are 40.
    let mut site = with_nodes(0..39);
    assert_eq!(taken(&mut site, |packet| packet), 60);
    for number in 0..39 {
        assert!(site.join(of_node(number)).is_some(), "{number}");
    }
    let mut site = with_nodes(0..39);
    for number in 0..39 {
        assert!(site.join(of_node(number)).is_some(), "{number}");
    }
    assert_eq!(taken(&mut site, |packet| packet), 60);
    assert!(site.join(mac(2)).is_some(), "node002");
}

#[test]
fn strangers_have_addresses_for_a_quarter_of_an_hour_and_nodes_for_longer() {
    let mut site = site();
    assert_eq!(taken(&mut site, |packet| packet), 99, "one is left for node002");
    assert!(site.join(mac(70)).is_none());
    site.now += 16 * 60_000;
    let address = site.join(mac(70)).unwrap();
    assert_eq!(site.join(mac(70)), Some(address));
    let node = site.answer(&Packet::new(mac(2), MessageType::Discover)).unwrap();
    assert_eq!(node.seconds(), Some(28_800));
    let stranger = site.answer(&Packet::new(mac(70), MessageType::Discover)).unwrap();
    assert_eq!(stranger.seconds(), Some(900));
}

#[test]
fn a_lease_is_told_again_as_it_is_until_a_quarter_of_its_time_is_over() {
    let mut site = site();
    let begun = site.now;
    let address = site.join(mac(70)).unwrap();
    let ends = |site: &mut Site, after: u64, name: Option<&str>| {
        site.now = begun + after * 1000;
        let request = Packet::new(mac(70), MessageType::Request).wants(address).of_server(SERVER);
        let request = match name {
            Some(name) => request.with(DhcpOption::Hostname(name.to_owned())),
            None => request,
        };
        let answer = site.answer(&request).unwrap();
        assert_eq!(answer.kind(), MessageType::Ack);
        after + u64::from(answer.seconds().unwrap())
    };
    assert_eq!(ends(&mut site, 0, None), 900);
    assert_eq!(ends(&mut site, 60, None), 900, "840 seconds are left");
    assert_eq!(ends(&mut site, 225, None), 900);
    assert_eq!(ends(&mut site, 226, None), 226 + 900, "it begins anew");
    assert_eq!(ends(&mut site, 400, None), 226 + 900);
    // What a system calls itself is stored, and from then on it is the same lease.
    assert_eq!(ends(&mut site, 401, Some("laptop")), 401 + 900);
    assert_eq!(ends(&mut site, 402, Some("laptop")), 401 + 900);
    // One that has ended begins anew.
    assert_eq!(ends(&mut site, 401 + 901, Some("laptop")), 401 + 901 + 900);
}

#[test]
fn of_addresses_that_were_given_back_the_one_that_rested_longest_is_lent_first() {
    let mut site = site();
    let mut given = Vec::new();
    for number in 0..99 {
        given.push(site.join(invented(number)).unwrap());
        site.now += 1_000;
    }
    site.now += HOUR;
    // The one that nobody had comes first of all.
    let fresh = site.join(mac(80)).unwrap();
    assert!(!given.contains(&fresh));
    assert_eq!(site.join(mac(81)), Some(given[0]));
    assert_eq!(site.join(mac(82)), Some(given[1]));
    assert_eq!(site.join(invented(50)), Some(given[50]), "its own");
}

#[test]
fn who_declines_whatever_it_is_given_does_not_use_the_range_up() {
    for card in [None, Some(mac(66))] {
        let mut site = site();
        let from = |packet: Packet| match card {
            Some(card) => packet.by_card(card),
            None => packet,
        };
        for number in 0..400 {
            let Some(address) = site.join_by(invented(number), from) else { continue };
            let decline = from(Packet::new(invented(number), MessageType::Decline).wants(address));
            assert!(matches!(site.ask(&decline).0, Decision::Forget(_)));
        }
        let range = ip("10.141.0.100").into()..=ip("10.141.0.199").into();
        assert!(site.leases.lent_within(range, site.now) <= 25);
        for last in 20..60 {
            assert!(site.join(mac(last)).is_some(), "{last}");
        }
    }
}

#[test]
fn leases_from_before_a_start_count_as_what_they_are() {
    let mut site = site();
    let stored = (0..88).map(|number| Lease {
        address: Ipv4Addr::new(10, 141, 0, 100 + number).into(),
        mac: invented(number.into()),
        until: site.now + HOUR,
        source: Source::Relay(ip("10.141.0.200").into()),
        name: None,
    });
    site.leases = Leases::restore(stored);
    let through = |packet: Packet| packet.through(ip("10.141.0.200"));
    assert!(site.join_by(mac(90), through).is_none());
    assert!(site.join(mac(91)).is_some());
    site.now += 2 * HOUR;
    assert!(site.join_by(mac(90), through).is_some());
}

#[test]
fn a_change_of_the_range_counts_anew() {
    let mut site = site();
    assert_eq!(taken(&mut site, |packet| packet.by_card(mac(66))), 12);
    let mut network = Network::clone(site.cluster.network("cluster").unwrap());
    network.dhcp_range = Some((ip("10.141.0.100"), ip("10.141.0.131")));
    site.cluster.apply(&Edit::Put(network.into()));
    let from = |packet: Packet| packet.by_card(mac(67));
    let more = (500..600).filter(|number| site.join_by(invented(*number), from).is_some());
    assert_eq!(more.count(), 4, "of 32");
    let all: BTreeSet<Ipv4Addr> = (0..20).filter_map(|last| site.join(mac(100 + last))).collect();
    assert!(all.iter().all(|address| *address <= ip("10.141.0.131")));
}
