//! Which card has which address on the networks of this machine, as the kernel has seen it. A machine can take many addresses; its card
//! is one.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use perilune_model::MacAddress;
use tokio::time::Instant;

use crate::connections::share::Group;

const TABLE: &str = "/proc/self/net/arp";
/// Of a row: the address, its state, and the card.
const ADDRESS: usize = 0;
const FLAGS: usize = 2;
const CARD: usize = 3;
/// The card did not answer yet.
const INCOMPLETE: &str = "0x0";
/// How old the table may be that is looked into: for an address that is in it, and for one that is not.
const LATEST: Duration = Duration::from_secs(10);
const LATEST_OF_NEW: Duration = Duration::from_secs(1);

/// What was last read.
#[derive(Debug, Default)]
pub(super) struct Links(Mutex<Read>);

#[derive(Debug, Default)]
struct Read {
    at: Option<Instant>,
    cards: BTreeMap<Ipv4Addr, MacAddress>,
}

impl Links {
    /// The card that has this address, where it is on a network of this machine.
    pub(super) fn card(&self, address: IpAddr) -> Option<MacAddress> {
        let IpAddr::V4(address) = address else { return None };
        let mut read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = read.at.map(|at| at.elapsed());
        let latest = if read.cards.contains_key(&address) { LATEST } else { LATEST_OF_NEW };
        if age.is_none_or(|age| age > latest) {
            // A table of the kernel, which is there at once.
            let table = std::fs::read_to_string(TABLE).unwrap_or_default();
            *read = Read { at: Some(Instant::now()), cards: cards(&table) };
        }
        read.cards.get(&address).copied()
    }
}

fn cards(table: &str) -> BTreeMap<Ipv4Addr, MacAddress> {
    let card = |row: &str| -> Option<(Ipv4Addr, MacAddress)> {
        let columns: Vec<&str> = row.split_whitespace().collect();
        let is_known = *columns.get(FLAGS)? != INCOMPLETE;
        let card = columns.get(CARD)?.parse().ok().filter(|_| is_known)?;
        Some((columns.get(ADDRESS)?.parse().ok()?, card))
    };
    table.lines().skip(1).filter_map(card).collect()
}

/// What connections from an address are counted by.
pub(super) fn group(address: IpAddr, card: Option<MacAddress>) -> Group {
    match (card, address) {
        (Some(card), _) => Group::Card(card),
        (None, IpAddr::V4(address)) => {
            let network = Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8));
            Group::Network(network.into())
        }
        (None, IpAddr::V6(address)) => {
            let network = Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64));
            Group::Network(network.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_that_answered_are_known_by_their_addresses() {
        let table = "\
IP address       HW type     Flags       HW address            Mask     Device
10.141.0.1       0x1         0x2         52:54:00:cc:00:01     *        eth0
10.141.0.2       0x1         0x0         00:00:00:00:00:00     *        eth0
nonsense
";
        let cards = cards(table);
        let known: Vec<String> =
            cards.iter().map(|(address, card)| format!("{address} {card}")).collect();
        assert_eq!(known, ["10.141.0.1 52:54:00:cc:00:01"]);
    }

    #[test]
    fn addresses_without_a_card_are_counted_by_their_network() {
        let of = |text: &str| group(text.parse().unwrap(), None);
        assert_eq!(of("10.9.1.2"), of("10.9.1.200"));
        assert_ne!(of("10.9.1.2"), of("10.9.2.2"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        let card = Some(MacAddress::ethernet([2, 0, 0, 0, 0, 1]));
        assert_eq!(
            group("10.9.1.2".parse().unwrap(), card),
            group("10.8.1.2".parse().unwrap(), card)
        );
    }
}
