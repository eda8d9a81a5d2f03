//! Changes of a node's interfaces.

use std::net::IpAddr;
use std::sync::Arc;

pub use super::request::Request;
use crate::addresses::{self, Family};
use crate::interface::{Interface, circular, oversized_vlan, place};
use crate::network::Network;
use crate::node::Node;
use crate::{Draft, Error, Holder, Kind, Name, Object};

/// Changes interfaces of a node, in order; makes those that it does not have.
pub fn save(draft: &mut Draft, node: &str, requests: &[Request]) -> Result<(), Error> {
    if requests.is_empty() {
        return Err(Error::invalid("interfaces", "the list is empty; give at least one interface"));
    }
    let before = Arc::clone(draft.node(node)?);
    for request in requests {
        save_one(draft, node, request)?;
    }
    check_vlans(&before.interfaces, &draft.node(node)?.interfaces)
}

/// Refuses an interface that would carry itself, and a VLAN that has become larger than its parent. One that was so before is left to its
/// owner.
pub(crate) fn check_vlans(before: &[Interface], after: &[Interface]) -> Result<(), Error> {
    let fault = |interfaces: &[Interface]| {
        let links: Vec<_> =
            interfaces.iter().map(|interface| (&interface.name, &interface.link)).collect();
        let circular = circular(&links).map(|(_, field, reason)| (field, reason));
        circular.or_else(|| oversized_vlan(&links).map(|(_, reason)| ("mtu", reason)))
    };
    match fault(after).filter(|reason| fault(before).as_ref() != Some(reason)) {
        Some((field, reason)) => Err(Error::invalid(field, reason)),
        None => Ok(()),
    }
}

/// Removes an interface and its addresses.
pub fn remove(draft: &mut Draft, node: &str, interface: &str) -> Result<(), Error> {
    let mut node = Node::clone(draft.node(node)?);
    let before = node.interfaces.len();
    node.remove_interfaces(|known| known.name == interface);
    if node.interfaces.len() == before {
        return Err(Error::NoPart {
            kind: Kind::Node,
            name: node.name.to_string(),
            part: "interface",
            wanted: interface.to_owned(),
        });
    }
    draft.put(node)
}

fn save_one(draft: &mut Draft, node: &str, request: &Request) -> Result<(), Error> {
    let mut node = Node::clone(draft.node(node)?);
    let known = node.interfaces.iter().position(|interface| interface.name == request.interface);
    if let Some(new_name) = &request.new_name {
        rename(&node, request, new_name)?;
    } else if known.is_none() && !asks_for_a_place(request) {
        let reason = format!(
            "the node has no interface '{}'; to make it, give its network",
            request.interface
        );
        return Err(Error::invalid("network", reason));
    } else if known.is_some() && asks_for_nothing(request) {
        let reason =
            format!("nothing is asked of interface '{}'; give what to change", request.interface);
        return Err(Error::invalid("interface", reason));
    }
    let mut interface = known
        .and_then(|position| node.interfaces.get(position))
        .cloned()
        .unwrap_or_else(|| Interface { name: request.interface.clone(), ..Interface::default() });
    if let Some(new_name) = &request.new_name {
        interface.name = new_name.clone();
    }
    request.macaddress.apply(&mut interface.macaddress);
    let violations = request.link.apply(&mut interface.link);
    if !violations.is_empty() {
        return Err(Error::Invalid(violations));
    }
    put_in_place(draft, &mut node, &mut interface, request)?;
    if let Some(address) = request.ipaddress.filter(|_| request.force) {
        take_from_its_holder(draft, address)?;
        // The holder may have been another interface of this very node.
        let former = std::mem::take(&mut node.former);
        node = Node { former, ..Node::clone(draft.node(node.name.as_str())?) };
    }
    match known.and_then(|position| node.interfaces.get_mut(position)) {
        Some(place) => *place = interface,
        None => node.interfaces.push(interface),
    }
    draft.put(node)
}

fn asks_for_a_place(request: &Request) -> bool {
    request.network.is_some() || request.ipaddress.is_some() || request.dhcp == Some(true)
}

fn asks_for_nothing(request: &Request) -> bool {
    let place = request.network.is_none() && request.ipaddress.is_none() && request.dhcp.is_none();
    place && request.link.is_empty() && !request.macaddress.is_given()
}

fn rename(node: &Node, request: &Request, new_name: &Name) -> Result<(), Error> {
    if node.interface(request.interface.as_str()).is_none() {
        let reason = format!("the node has no interface '{}' to rename", request.interface);
        return Err(Error::invalid("interface", reason));
    }
    if node.interface(new_name.as_str()).is_some() {
        return Err(Error::invalid(
            "newinterfacename",
            format!("the node already has an interface '{new_name}'"),
        ));
    }
    Ok(())
}

/// Network, addresses and DHCP, which depend on each other.
fn put_in_place(
    draft: &Draft,
    node: &mut Node,
    interface: &mut Interface,
    request: &Request,
) -> Result<(), Error> {
    let wanted = request.network.as_ref().or(interface.network.as_ref());
    let Some(wanted) = wanted else {
        if request.ipaddress.is_some() || request.dhcp == Some(true) {
            return Err(Error::invalid("network", "the interface is in no network yet; give one"));
        }
        interface.dhcp = request.dhcp.unwrap_or(interface.dhcp);
        return Ok(());
    };
    let missing = || Error::invalid("network", format!("there is no network '{wanted}'"));
    let network = Arc::clone(draft.networks().get(wanted).ok_or_else(missing)?);
    let moves = interface.network.as_ref() != Some(&network.name);
    if moves {
        node.remember(interface);
        interface.network = Some(network.name.clone());
    }
    interface.dhcp = request.dhcp.unwrap_or(interface.dhcp);
    if let Some(address) = request.ipaddress {
        check_place(&network, address)?;
        if !interface.addresses.iter().any(|own| own == address) {
            check_free(draft, address)?;
        }
        keep_what_fits(interface, &network, moves);
        interface.addresses.set(address);
        return Ok(());
    }
    let address_is_asked = request.network.is_some() || request.dhcp == Some(false);
    if address_is_asked && (moves || interface.addresses.is_empty()) {
        place::settle(draft, node, interface, &network)?;
    }
    Ok(())
}

fn check_place(network: &Network, address: IpAddr) -> Result<(), Error> {
    let Some(range) = network.range(Family::of(address)) else {
        let reason =
            format!("the network '{}' has no range for the address {address}", network.name);
        return Err(Error::invalid("ipaddress", reason));
    };
    if !addresses::is_host(range, address) {
        let reason = format!(
            "{address} is not an address for a host in the network '{}' ({range})",
            network.name
        );
        return Err(Error::invalid("ipaddress", reason));
    }
    Ok(())
}

/// Refuses what no node may have. Who else holds it is seen when the node is put.
fn check_free(draft: &Draft, address: IpAddr) -> Result<(), Error> {
    match draft.forbidden_to_nodes(address) {
        Some(taken) => {
            let reason = format!("the address {address} is {taken}; give the node another");
            Err(Error::invalid("ipaddress", reason))
        }
        None => Ok(()),
    }
}

fn keep_what_fits(interface: &mut Interface, network: &Network, moves: bool) {
    for family in Family::BOTH {
        let fits = interface.addresses.get(family).is_none_or(|address| network.contains(address));
        if moves && !fits {
            interface.addresses.clear(family);
        }
    }
}

fn take_from_its_holder(draft: &mut Draft, address: IpAddr) -> Result<(), Error> {
    let Some(holder) = draft.holder(address).cloned() else { return Ok(()) };
    let Holder::Interface { node: other, interface } = &holder else {
        let reason = format!(
            "the address {address} is in use by {holder}; force takes it from interfaces of nodes only"
        );
        return Err(Error::invalid("ipaddress", reason));
    };
    let mut other = Node::clone(draft.node(other.as_str())?);
    for known in other.interfaces.iter_mut().filter(|known| known.name == *interface) {
        known.addresses.clear(Family::of(address));
    }
    draft.put(Object::from(other))
}
