//! Which address of a network is free.

use std::net::IpAddr;

use super::{Family, from_number, hosts, is_host, to_number};
use crate::Draft;
use crate::network::Network;

/// The lowest address of the network that a host may have and nobody has: not taken (see [`Cluster::taken`](crate::Cluster::taken)),
/// not promised to anybody, and not in the DHCP range. `None` when the network has no range of the family, or is full.
pub fn first_free(draft: &Draft, network: &Network, family: Family) -> Option<IpAddr> {
    first_free_from(draft, network, family, 0)
}

/// The same, of those from a place on, counted from the first that a host may have.
pub fn first_free_from(
    draft: &Draft,
    network: &Network,
    family: Family,
    place: u32,
) -> Option<IpAddr> {
    let (first, last) = hosts(network.range(family)?);
    search(draft, network, family, (first.saturating_add(u128::from(place)), last))
}

/// Whether a host could be given this address in the network now.
pub(crate) fn is_free(draft: &Draft, network: &Network, address: IpAddr) -> bool {
    let family = Family::of(address);
    let number = to_number(address);
    let is_host = network.range(family).is_some_and(|range| is_host(range, address));
    is_host && search(draft, network, family, (number, number)).is_some()
}

/// One of the ten addresses after `address`, when one of them is free; else the first free one.
pub fn next_after(draft: &Draft, network: &Network, address: IpAddr) -> Option<IpAddr> {
    const NEAR: u128 = 10;
    let family = Family::of(address);
    let (first, last) = hosts(network.range(family)?);
    let number = to_number(address);
    let near = (first.max(number.saturating_add(1)), last.min(number.saturating_add(NEAR)));
    search(draft, network, family, near).or_else(|| first_free(draft, network, family))
}

fn search(
    draft: &Draft,
    network: &Network,
    family: Family,
    (first, last): (u128, u128),
) -> Option<IpAddr> {
    let lent = network.lent_range(family).map(|(begin, end)| (to_number(begin), to_number(end)));
    let mut candidate = first;
    while candidate <= last {
        let lent_end =
            lent.and_then(|(begin, end)| (begin..=end).contains(&candidate).then_some(end));
        let address = from_number(family, candidate)?;
        let is_taken = || draft.taken(address).is_some() || draft.promised().contains(&address);
        let taken_end = draft
            .end_of_held(&network.name, family, candidate)
            .or(lent_end)
            .or_else(|| is_taken().then_some(candidate));
        match taken_end {
            None => return Some(address),
            Some(end) => candidate = end.checked_add(1)?,
        }
    }
    None
}
