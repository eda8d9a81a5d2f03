//! A node like another.

use std::sync::Arc;

use crate::addresses::{self, Family};
use crate::effective::Effective;
use crate::interface::{Interface, of_node, place};
use crate::node::{Node, Request, save};
use crate::object::NodeSecrets;
use crate::{Draft, Error, Kind, Name};

/// Makes a node with the settings, secrets and interfaces of another, each address the next free one after the other's, and no
/// hardware addresses; then changes it as asked. Interfaces that are given take the place of the copied ones.
pub fn clone(
    draft: &mut Draft,
    source: &str,
    new_name: &Name,
    request: &Request,
) -> Result<(), Error> {
    let source = Arc::clone(draft.node(source)?);
    if draft.nodes().contains_key(new_name) {
        return Err(Error::AlreadyExists { kind: Kind::Node, name: new_name.to_string() });
    }
    let replaced = |interface: &&Interface| {
        !request.interfaces.iter().any(|given| given.interface == interface.name)
    };
    let has_place = |interface: &&Interface| interface.network.is_some();
    let mut node = Node {
        name: new_name.clone(),
        status: None,
        interfaces: Vec::new(),
        former: Vec::new(),
        ..Node::clone(&source)
    };
    draft.put(node.clone())?;
    for interface in source.interfaces.iter().filter(has_place).filter(replaced) {
        let interface = copy(draft, &node, interface)?;
        node.interfaces.push(interface);
        draft.put(node.clone())?;
    }
    if let Some(secrets) = draft.node_secrets().get(&source.name).map(Arc::clone) {
        let mut secrets = NodeSecrets::clone(&secrets);
        secrets.0.name = new_name.clone();
        draft.put(secrets)?;
    }
    let group = request.group.as_ref().unwrap_or(&source.group);
    let inherited = draft.groups().get(group);
    let inherited = inherited.and_then(|group| Effective::of_group(draft, group).osimage().value);
    let image = Effective::of_node(draft, &source).osimage().value;
    let request = Request {
        new_name: None,
        provisioning: request.provisioning.of_copy(&source.provisioning, image, inherited),
        interfaces: with_networks(&source, &request.interfaces),
        ..request.clone()
    };
    save(draft, new_name, &request).map(drop)
}

fn copy(draft: &Draft, node: &Node, interface: &Interface) -> Result<Interface, Error> {
    let mut copy = Interface { macaddress: None, ..interface.clone() };
    let Some(network) = &interface.network else { return Ok(copy) };
    let network = draft.network(network.as_str())?;
    if place::numbering(draft, node, &interface.name, network).like.is_some() {
        place::settle(draft, node, &mut copy, network)?;
        return Ok(copy);
    }
    for family in Family::BOTH {
        let Some(address) = interface.addresses.get(family) else { continue };
        let next = addresses::next_after(draft, network, address);
        copy.addresses
            .set(next.ok_or_else(|| Error::Exhausted { network: network.name.to_string() })?);
    }
    Ok(copy)
}

/// An interface that is given without a network is in that of the source's.
fn with_networks(source: &Node, given: &[of_node::Request]) -> Vec<of_node::Request> {
    let network_of = |name: &Name| {
        source.interface(name.as_str()).and_then(|interface| interface.network.clone())
    };
    let complete = |request: &of_node::Request| of_node::Request {
        network: request.network.clone().or_else(|| network_of(&request.interface)),
        ..request.clone()
    };
    given.iter().map(complete).collect()
}
