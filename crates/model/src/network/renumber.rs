//! New addresses for devices whose old ones no longer fit their network.

use std::net::IpAddr;
use std::sync::Arc;

use crate::addresses::{self, Addresses};
use crate::device::{OtherDevice, Switch};
use crate::interface::Interface;
use crate::network::Network;
use crate::node::Node;
use crate::{Draft, Error, Family, Name};

/// Gives every device of the network an address that fits: what fits stays. Controllers are not renumbered behind their operator's
/// back: one that does not fit refuses the change.
pub(crate) fn renumber(draft: &mut Draft, network: &Network) -> Result<(), Error> {
    for controller in draft
        .controllers()
        .values()
        .filter(|controller| controller.network.as_ref() == Some(&network.name))
    {
        if let Some(address) = controller.addresses.iter().find(|address| !fits(network, *address))
        {
            let reason = format!(
                "the controller '{}' has the address {address}, which would not fit; give it a new one in the same request",
                controller.name
            );
            return Err(Error::invalid("controller", reason));
        }
    }
    for node in draft.nodes().values().map(Arc::clone).collect::<Vec<_>>() {
        if node.interfaces.iter().any(|interface| is_wrong(network, interface)) {
            renumber_node(draft, Node::clone(&node), network)?;
        }
    }
    for switch in draft.switches().values().map(Arc::clone).collect::<Vec<_>>() {
        renumber_switch(draft, Switch::clone(&switch), network)?;
    }
    for device in draft.other_devices().values().map(Arc::clone).collect::<Vec<_>>() {
        if device.network.as_ref() == Some(&network.name) && !all_fit(network, &device.addresses) {
            let addresses = renumbered(draft, &device.addresses, network)?;
            draft.put(OtherDevice { addresses, ..OtherDevice::clone(&device) })?;
        }
    }
    Ok(())
}

/// All wrong addresses of a node go first: while one of them is there, the node is refused with whatever new address.
fn renumber_node(draft: &mut Draft, mut node: Node, network: &Network) -> Result<(), Error> {
    let mut moved = Vec::new();
    for (position, interface) in node.interfaces.iter_mut().enumerate() {
        if is_wrong(network, interface) {
            moved.push((position, std::mem::take(&mut interface.addresses)));
            interface.dhcp |= network.lends_to_nodes();
        }
    }
    draft.put(node.clone())?;
    if network.lends_to_nodes() {
        return Ok(());
    }
    for (position, old) in moved {
        let new = renumbered(draft, &old, network)?;
        if let Some(interface) = node.interfaces.get_mut(position) {
            interface.addresses = new;
        }
        draft.put(node.clone())?;
    }
    Ok(())
}

/// As with nodes, all wrong addresses go first.
fn renumber_switch(draft: &mut Draft, mut switch: Switch, network: &Network) -> Result<(), Error> {
    let is_there = |own: &Option<Name>| own.as_ref() == Some(&network.name);
    let is_wrong =
        |own: &Option<Name>, addresses: &Addresses| is_there(own) && !all_fit(network, addresses);
    let own =
        is_wrong(&switch.network, &switch.addresses).then(|| std::mem::take(&mut switch.addresses));
    let mut moved = Vec::new();
    for (place, interface) in switch.interfaces.iter_mut().enumerate() {
        if is_wrong(&interface.network, &interface.addresses) {
            moved.push((place, std::mem::take(&mut interface.addresses)));
        }
    }
    if own.is_none() && moved.is_empty() {
        return Ok(());
    }
    draft.put(switch.clone())?;
    if let Some(old) = own {
        switch.addresses = renumbered(draft, &old, network)?;
        draft.put(switch.clone())?;
    }
    for (place, old) in moved {
        let new = renumbered(draft, &old, network)?;
        if let Some(interface) = switch.interfaces.get_mut(place) {
            interface.addresses = new;
        }
        draft.put(switch.clone())?;
    }
    Ok(())
}

fn is_wrong(network: &Network, interface: &Interface) -> bool {
    let is_there = interface.network.as_ref() == Some(&network.name);
    let lent = network.lends_to_nodes() && !interface.addresses.is_empty();
    is_there && (lent || !all_fit(network, &interface.addresses))
}

fn all_fit(network: &Network, addresses: &Addresses) -> bool {
    addresses.iter().all(|address| fits(network, address))
}

fn fits(network: &Network, address: IpAddr) -> bool {
    let family = Family::of(address);
    let lent =
        network.lent_range(family).is_some_and(|(begin, end)| (begin..=end).contains(&address));
    network.range(family).is_some_and(|range| addresses::is_host(range, address)) && !lent
}

fn renumbered(draft: &Draft, old: &Addresses, network: &Network) -> Result<Addresses, Error> {
    let mut new = *old;
    for family in Family::BOTH {
        let Some(address) = old.get(family).filter(|address| !fits(network, *address)) else {
            continue;
        };
        new.clear(family);
        if network.range(family).is_some() {
            let free = addresses::first_free(draft, network, family);
            let exhausted = || Error::Exhausted { network: network.name.to_string() };
            new.set(free.ok_or_else(exhausted)?);
        }
        debug_assert_ne!(new.get(family), Some(address));
    }
    Ok(new)
}
