//! Which addresses an interface gets in a network when nobody says which.

use std::net::IpAddr;

use crate::addresses::{self, Family};
use crate::interface::{FormerAddress, Interface, Numbering};
use crate::network::Network;
use crate::node::Node;
use crate::{Draft, Error, Name};

/// As many addresses that it had does a node remember.
const REMEMBERED: usize = 16;

impl Node {
    /// Remembers the addresses of an interface that is removed, or leaves its network.
    pub(crate) fn remember(&mut self, interface: &Interface) {
        for address in interface.addresses.iter() {
            let interface = interface.name.clone();
            self.former.retain(|former| former.address != address);
            self.former.push(FormerAddress { interface, address });
        }
        let surplus = self.former.len().saturating_sub(REMEMBERED);
        self.former.drain(..surplus);
    }

    /// Removes the interfaces of these names, and remembers what they had.
    pub(crate) fn remove_interfaces(&mut self, goes: impl Fn(&Interface) -> bool) {
        let (gone, left) = std::mem::take(&mut self.interfaces).into_iter().partition(goes);
        self.interfaces = left;
        let gone: Vec<Interface> = gone;
        for interface in &gone {
            self.remember(interface);
        }
    }
}

/// Gives an interface of a node its addresses in a network, of each family of that: DHCP's where the network lends to nodes; else as its
/// group says, and else the one that it had there before, or the first free.
pub(crate) fn settle(
    draft: &Draft,
    node: &Node,
    interface: &mut Interface,
    network: &Network,
) -> Result<(), Error> {
    for family in Family::BOTH {
        interface.addresses.clear(family);
    }
    if network.lends_to_nodes() {
        interface.dhcp = true;
        return Ok(());
    }
    let numbering = numbering(draft, node, &interface.name, network);
    for family in Family::BOTH {
        if network.range(family).is_none() {
            continue;
        }
        let address = match numbering
            .like
            .as_ref()
            .and_then(|like| pattern(draft, node, like, family))
        {
            Some(place) => at(draft, node, (&interface.name, network, family), place, &numbering)?,
            None => {
                let free = former(draft, node, &interface.name, network, family).or_else(|| {
                    addresses::first_free_from(draft, network, family, numbering.offset)
                });
                free.ok_or_else(|| Error::Exhausted { network: network.name.to_string() })?
            }
        };
        interface.addresses.set(address);
    }
    Ok(())
}

/// How the group of a node says that the addresses of an interface are made.
pub(crate) fn numbering(
    draft: &Draft,
    node: &Node,
    interface: &Name,
    network: &Network,
) -> Numbering {
    let group = draft.groups().get(&node.group);
    let said = group.and_then(|group| group.interface(interface.as_str()));
    let said = said.filter(|said| said.network == network.name);
    said.map(|said| said.numbering.clone()).unwrap_or_default()
}

/// The place that an interface of the node has in its own network; in the other family where it has none in this.
fn pattern(draft: &Draft, node: &Node, like: &Name, family: Family) -> Option<u128> {
    let like = node.interface(like.as_str())?;
    let network = draft.networks().get(like.network.as_ref()?)?;
    let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
    [family, other].into_iter().find_map(|family| {
        let (range, address) = (network.range(family)?, like.addresses.get(family)?);
        addresses::place_in(range, address)
    })
}

/// The address at a place. That it is not to be had is said: another one would be one that nobody expects.
fn at(
    draft: &Draft,
    node: &Node,
    (interface, network, family): (&Name, &Network, Family),
    place: u128,
    numbering: &Numbering,
) -> Result<IpAddr, Error> {
    let refused = |why: String| {
        let reason = format!(
            "'{interface}' of {} is to have its address {numbering}, and {why}; give it another",
            node.name
        );
        Err(Error::invalid("interfaces", reason))
    };
    let range = network.range(family);
    let place = place.saturating_add(u128::from(numbering.offset));
    let address = range.and_then(|range| addresses::at_place(range, place));
    let (Some(range), Some(address)) = (range, address) else {
        return refused(format!("the network '{}' is too small for that", network.name));
    };
    if !addresses::is_host(range, address) {
        return refused(format!(
            "{address} is not an address for a host in the network '{}'",
            network.name
        ));
    }
    let lent = network.lent_range(family);
    if lent.is_some_and(|(begin, end)| (begin..=end).contains(&address)) {
        return refused(format!(
            "{address} is in the dynamic range of the network '{}'",
            network.name
        ));
    }
    if let Some(taken) = draft.forbidden_to_nodes(address) {
        return refused(format!("{address} is {taken}"));
    }
    match draft.holder(address) {
        Some(holder) => refused(format!("{address} is in use by {holder}")),
        None => Ok(address),
    }
}

/// The address that the interface had last in this network, while it is free.
fn former(
    draft: &Draft,
    node: &Node,
    interface: &Name,
    network: &Network,
    family: Family,
) -> Option<IpAddr> {
    let its_own = node.former.iter().rev().filter(|former| former.interface == *interface);
    let mut of_family =
        its_own.map(|former| former.address).filter(|address| Family::of(*address) == family);
    of_family.find(|address| addresses::is_free(draft, network, *address))
}
