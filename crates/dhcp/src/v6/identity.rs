//! Which machine a message is of: the hardware address of the interface that asks.

use std::net::Ipv6Addr;
use std::sync::Arc;

use perilune_model::network::Network;
use perilune_model::{Cluster, MacAddress, Name};

use super::message::Message;
use super::options::code;
use crate::network::same_wire;

/// Kinds of hardware, as ARP numbers them.
const ETHERNET: u16 = 1;
const INFINIBAND: u16 = 32;

/// The hardware addresses that a message may be of: the card that its frame came from, as we or the relay heard it (RFC 6939), and nothing
/// else where that is known. Otherwise what the machine says: its DUID (RFC 8415, section 11), which it has for all its interfaces, and its
/// link-local address (RFC 4291, appendix A). Anybody can say that he is another; his frame comes from his own card all the same.
pub(crate) fn candidates(
    message: &Message,
    source: Ipv6Addr,
    card: Option<MacAddress>,
) -> Vec<MacAddress> {
    // The last in the list is the relay next to the machine.
    let nearest = message.relays.last();
    let told = nearest.and_then(|relay| relay.option(code::LINK_LAYER_ADDRESS)).and_then(by_link);
    let heard = card.or(told).map(MacAddress::port);
    if let Some(heard) = heard.filter(|heard| heard.of_one_machine().is_ok()) {
        return vec![heard];
    }
    let duid = message.option(code::CLIENT_ID).and_then(by_duid);
    let local = by_link_local(nearest.map_or(source, |relay| relay.peer));
    let mut found: Vec<MacAddress> = Vec::new();
    for address in duid.into_iter().chain(local).map(MacAddress::port) {
        if address.of_one_machine().is_ok() && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

/// The number that the machine's maker has given it, where it names itself by that (RFC 6355), and nobody has told which card asks.
pub(crate) fn machine_number(message: &Message, card: Option<MacAddress>) -> Option<[u8; 16]> {
    let nearest = message.relays.last();
    let is_told = nearest.is_some_and(|relay| relay.option(code::LINK_LAYER_ADDRESS).is_some());
    match message.option(code::CLIENT_ID) {
        Some([0, 4, number @ ..]) if card.is_none() && !is_told => number.try_into().ok(),
        _ => None,
    }
}

/// Of these addresses, that of a described machine's interface on this wire; else of one that is described at all; else the first.
pub(crate) fn chosen(
    cluster: &Cluster,
    network: &Arc<Network>,
    candidates: &[MacAddress],
) -> Option<MacAddress> {
    let is_here = |name: Option<&Name>| {
        let own = name.and_then(|name| cluster.networks().get(name));
        own.is_some_and(|own| same_wire(network, own))
    };
    let of_node = |mac: &&MacAddress| {
        cluster.node_by_mac(**mac).is_some_and(|(_, own)| is_here(own.network.as_ref()))
    };
    let is_described = |mac: &&MacAddress| {
        cluster.device_by_mac(**mac).is_some() || cluster.node_by_mac(**mac).is_some()
    };
    let known = candidates.iter().find(of_node).or_else(|| candidates.iter().find(is_described));
    known.or_else(|| candidates.first()).copied()
}

fn by_duid(duid: &[u8]) -> Option<MacAddress> {
    match duid {
        // With the time at which it was made, and without.
        [0, 1, a, b, _, _, _, _, address @ ..] | [0, 3, a, b, address @ ..] => {
            of_kind(u16::from_be_bytes([*a, *b]), address)
        }
        _ => None,
    }
}

fn by_link(option: &[u8]) -> Option<MacAddress> {
    let [a, b, address @ ..] = option else { return None };
    of_kind(u16::from_be_bytes([*a, *b]), address)
}

fn of_kind(kind: u16, address: &[u8]) -> Option<MacAddress> {
    match (kind, address.len()) {
        (ETHERNET, 6) | (INFINIBAND, 8 | 20) => MacAddress::from_bytes(address),
        _ => None,
    }
}

/// The address that a link-local one is made from, where it is made so.
pub(crate) fn by_link_local(address: Ipv6Addr) -> Option<MacAddress> {
    const UNIVERSAL: u8 = 2;
    let octets = address.octets();
    let [first, second, third, 0xff, 0xfe, rest @ ..] = octets.last_chunk::<8>()? else {
        return None;
    };
    let [fourth, fifth, sixth] = *rest;
    let bytes = [first ^ UNIVERSAL, *second, *third, fourth, fifth, sixth];
    octets.starts_with(&[0xfe, 0x80, 0, 0, 0, 0, 0, 0]).then(|| MacAddress::ethernet(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::options::put;
    use super::*;

    fn mac(last: u8) -> MacAddress {
        MacAddress::ethernet([0x52, 0x54, 0, 0, 0, last])
    }

    fn message(duid: &[u8]) -> Message {
        let mut bytes = vec![1, 0, 0, 1];
        put(&mut bytes, code::CLIENT_ID, duid);
        Message::read(&bytes).unwrap()
    }

    #[test]
    fn the_hardware_address_is_found_wherever_it_stands() {
        let elsewhere = "fe80::1".parse().unwrap();
        let local: Ipv6Addr = "fe80::5054:ff:fe00:3".parse().unwrap();
        let ll = [0, 3, 0, 1, 0x52, 0x54, 0, 0, 0, 1];
        let llt = [0, 1, 0, 1, 9, 9, 9, 9, 0x52, 0x54, 0, 0, 0, 2];
        let uuid = [0, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
        assert_eq!(candidates(&message(&ll), elsewhere, None), [mac(1)]);
        assert_eq!(candidates(&message(&llt), local, None), [mac(2), mac(3)]);
        assert_eq!(candidates(&message(&llt), local, Some(mac(4))), [mac(4)], "it was heard");
        assert_eq!(candidates(&message(&uuid), local, Some(mac(3))), [mac(3)]);
        assert_eq!(candidates(&message(&uuid), elsewhere, None), []);
        let number = uuid[2..].try_into().ok();
        assert_eq!(machine_number(&message(&uuid), None), number);
        assert_eq!(machine_number(&message(&uuid), Some(mac(3))), None, "its card is known");
        assert_eq!(machine_number(&message(&uuid[..17]), None), None);
        assert_eq!(machine_number(&message(&ll), None), None);
        // Group addresses and zeros identify no machine.
        for wrong in [[0xff; 6], [0; 6]] {
            let duid = [&[0, 3, 0, 1][..], &wrong].concat();
            assert_eq!(candidates(&message(&duid), elsewhere, None), [], "{wrong:?}");
        }
        let short = [0, 3, 0, 1, 0x52];
        assert_eq!(candidates(&message(&short), elsewhere, None), []);
    }
}
