//! Whatever machines do in whatever order: no address is two machines' at a time.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use dhcproto::v4::MessageType;
use perilune_dhcp::Request;
use proptest::prelude::*;

use crate::machine::{Packet, SERVER, Site, cluster, mac, policy};

#[derive(Debug, Clone)]
enum Step {
    Discover(u8),
    Accept(u8),
    Renew(u8),
    Want(u8, u8),
    Release(u8),
    Decline(u8),
    Wait(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let machine = 1_u8..9;
    prop_oneof![
        3 => machine.clone().prop_map(Step::Discover),
        3 => machine.clone().prop_map(Step::Accept),
        1 => machine.clone().prop_map(Step::Renew),
        2 => (machine.clone(), 90_u8..110).prop_map(|(machine, wanted)| Step::Want(machine, wanted)),
        1 => machine.clone().prop_map(Step::Release),
        1 => machine.prop_map(Step::Decline),
        1 => (0_u32..40_000_000).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn no_address_is_two_machines_at_a_time(steps in prop::collection::vec(step(), 1..120)) {
        let mut site = Site::new(cluster());
        let mut offered: BTreeMap<u8, Ipv4Addr> = BTreeMap::new();
        let mut has: BTreeMap<u8, (Ipv4Addr, u64)> = BTreeMap::new();
        for step in steps {
            let (machine, packet) = match step {
                Step::Discover(machine) => (machine, Packet::new(mac(machine), MessageType::Discover)),
                Step::Accept(machine) => {
                    let Some(address) = offered.get(&machine) else { continue };
                    (machine, Packet::new(mac(machine), MessageType::Request).wants(*address).of_server(SERVER))
                }
                Step::Renew(machine) => {
                    let Some((address, _)) = has.get(&machine) else { continue };
                    (machine, Packet::new(mac(machine), MessageType::Request).has(*address))
                }
                Step::Want(machine, last) => {
                    let wanted = Ipv4Addr::new(10, 141, 0, last);
                    (machine, Packet::new(mac(machine), MessageType::Request).wants(wanted))
                }
                Step::Release(machine) => {
                    let Some((address, _)) = has.remove(&machine) else { continue };
                    (machine, Packet::new(mac(machine), MessageType::Release).has(address))
                }
                Step::Decline(machine) => {
                    let Some((address, _)) = has.remove(&machine) else { continue };
                    (machine, Packet::new(mac(machine), MessageType::Decline).wants(address))
                }
                Step::Wait(milliseconds) => {
                    site.now += u64::from(milliseconds);
                    continue;
                }
            };
            let answer = site.answer(&packet);
            match answer.map(|answer| (answer.kind(), answer.message.yiaddr(), answer.seconds())) {
                Some((MessageType::Offer, address, _)) => drop(offered.insert(machine, address)),
                Some((MessageType::Ack, address, seconds)) => {
                    let seconds = u64::from(seconds.unwrap());
                    let longest = if machine <= 2 { 28_800 } else { 900 };
                    prop_assert!(seconds <= longest);
                    has.insert(machine, (address, site.now + seconds * 1000));
                }
                Some((MessageType::Nak, ..)) => drop(has.remove(&machine)),
                _ => {}
            }
            let now = site.now;
            let mut holders = BTreeMap::new();
            for (machine, (address, _)) in has.iter().filter(|(_, (_, until))| *until > now) {
                prop_assert_eq!(holders.insert(*address, *machine), None, "{} is lent twice", address);
                let node = site.cluster.node_by_address(IpAddr::V4(*address));
                let own = node.is_none_or(|node| node.interfaces.iter().any(|known| known.macaddress == Some(mac(*machine))));
                prop_assert!(own, "{} is another's", address);
            }
        }
    }

    #[test]
    fn no_bytes_make_us_fall_over(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        drop(Request::read(&bytes));
    }

    #[test]
    fn no_options_make_us_fall_over(tail in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = Packet::new(mac(1), MessageType::Discover).bytes();
        bytes.truncate(243);
        bytes.extend(tail);
        if let Some(request) = Request::read(&bytes) {
            let mut site = Site::new(cluster());
            drop(perilune_dhcp::reply(&site.cluster, &mut site.leases, &policy(), &request, 0));
        }
    }
}
