//! Changes of a group's interfaces, and what becomes of them on the group's nodes.

use std::sync::Arc;

use crate::addresses::Family;
use crate::group::Group;
use crate::interface::{
    GroupInterface, Interface, LinkRequest, Numbering, circular, impossible, of_node,
    oversized_vlan, place,
};
use crate::network::Network;
use crate::node::Node;
use crate::{Draft, Error, Kind, Name, Patch, Saved};

/// What a client asks of one interface of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The interface.
    pub interface: Name,
    /// Its new name.
    pub new_name: Option<Name>,
    /// The network it is in.
    pub network: Option<Name>,
    /// Whether nodes ask DHCP.
    pub dhcp: Option<bool>,
    /// How nodes get their addresses. Those that they have stay.
    pub numbering: Patch<Numbering>,
    /// MTU, VLAN, bond, options.
    pub link: LinkRequest,
}

/// As many interfaces of nodes as one request changes, unless it names one alone. Everybody else who changes something waits for it.
const MOST_AT_ONCE: usize = 100_000;

/// Changes interfaces of a group and of all its nodes; makes those that it does not have.
pub fn save(draft: &mut Draft, group: &str, requests: &[Request]) -> Result<Saved, Error> {
    if requests.is_empty() {
        return Err(Error::invalid("interfaces", "the list is empty; give at least one interface"));
    }
    let count = draft.members(group).count();
    if requests.len() > 1 && requests.len().saturating_mul(count) > MOST_AT_ONCE {
        let reason = format!(
            "{} interfaces for {count} nodes are more than {MOST_AT_ONCE} interfaces in one request; give fewer at once",
            requests.len()
        );
        return Err(Error::invalid("interfaces", reason));
    }
    let before = Arc::clone(draft.group(group)?);
    let members = members(draft, &before.name);
    let mut saved = Saved::Updated;
    for request in requests {
        saved = save_one(draft, group, request)?;
    }
    let fault = |group: &Group| {
        let links: Vec<_> =
            group.interfaces.iter().map(|interface| (&interface.name, &interface.link)).collect();
        let circular = circular(&links).map(|(_, field, reason)| (field, reason));
        circular.or_else(|| oversized_vlan(&links).map(|(_, reason)| ("mtu", reason)))
    };
    let after = draft.group(group)?;
    check_numbering(after)?;
    let is_new = |reason: &(&str, String)| fault(&before).as_ref() != Some(reason);
    if let Some((field, reason)) = fault(after).filter(is_new) {
        return Err(Error::invalid(field, reason));
    }
    for member in members {
        let after = draft.node(member.name.as_str())?;
        of_node::check_vlans(&member.interfaces, &after.interfaces)?;
    }
    Ok(saved)
}

/// Removes an interface from a group and from all its nodes.
pub fn remove(draft: &mut Draft, group: &str, interface: &str) -> Result<(), Error> {
    let mut group = Group::clone(draft.group(group)?);
    let before = group.interfaces.len();
    group.interfaces.retain(|known| known.name != interface);
    if group.interfaces.len() == before {
        return Err(Error::NoPart {
            kind: Kind::Group,
            name: group.name.to_string(),
            part: "interface",
            wanted: interface.to_owned(),
        });
    }
    check_numbering(&group)?;
    for node in members(draft, &group.name) {
        let mut node = Node::clone(&node);
        node.remove_interfaces(|known| known.name == interface);
        draft.put(node)?;
    }
    draft.put(group)
}

fn check_numbering(group: &Group) -> Result<(), Error> {
    match impossible(&group.interfaces) {
        Some((_, reason)) => Err(Error::invalid("addressing", reason)),
        None => Ok(()),
    }
}

fn save_one(draft: &mut Draft, group: &str, request: &Request) -> Result<Saved, Error> {
    let mut group = Group::clone(draft.group(group)?);
    let known = group.interfaces.iter().position(|interface| interface.name == request.interface);
    let mut interface =
        match (known.and_then(|position| group.interfaces.get(position)), &request.network) {
            (Some(interface), _) => interface.clone(),
            (None, Some(network)) if request.new_name.is_none() => GroupInterface {
                name: request.interface.clone(),
                network: network.clone(),
                ..GroupInterface::default()
            },
            (None, _) => {
                let reason = format!(
                    "the group has no interface '{}'; to make it, give its network",
                    request.interface
                );
                return Err(Error::invalid("interface", reason));
            }
        };
    if let Some(new_name) = &request.new_name {
        if group.interface(new_name.as_str()).is_some() {
            return Err(Error::invalid(
                "newinterfacename",
                format!("the group already has an interface '{new_name}'"),
            ));
        }
        interface.name = new_name.clone();
        for other in &mut group.interfaces {
            if other.numbering.like.as_ref() == Some(&request.interface) {
                other.numbering.like = Some(new_name.clone());
            }
        }
    }
    request.numbering.apply_or(&mut interface.numbering, Numbering::default());
    if let Some(network) = &request.network {
        interface.network = network.clone();
    }
    if request.dhcp.is_some() {
        interface.dhcp = request.dhcp;
    }
    let violations = request.link.apply(&mut interface.link);
    if !violations.is_empty() {
        return Err(Error::Invalid(violations));
    }
    let name = group.name.clone();
    match known.and_then(|position| group.interfaces.get_mut(position)) {
        Some(place) => *place = interface.clone(),
        None => group.interfaces.push(interface.clone()),
    }
    draft.put(group)?;
    propagate(draft, &name, &interface, request)?;
    Ok(if known.is_some() { Saved::Updated } else { Saved::Created })
}

/// Brings the interface of every node of the group in line.
fn propagate(
    draft: &mut Draft,
    group: &Name,
    interface: &GroupInterface,
    request: &Request,
) -> Result<(), Error> {
    let network = Arc::clone(draft.network(interface.network.as_str())?);
    for node in members(draft, group) {
        let mut node = Node::clone(&node);
        let mut own = match node.interfaces.iter().position(|known| known.name == request.interface)
        {
            Some(position) => node.interfaces.remove(position),
            None => Interface { name: interface.name.clone(), ..Interface::default() },
        };
        own.name = interface.name.clone();
        let violations = request.link.apply(&mut own.link);
        if !violations.is_empty() {
            return Err(Error::Invalid(violations));
        }
        node.remove_interfaces(|known| known.name == own.name);
        fit(draft, &mut node, &mut own, interface, &network)?;
        node.interfaces.push(own);
        draft.put(node)?;
    }
    Ok(())
}

/// Puts a node's interface into the network of its group's. An address that fits stays; else the node gets a new one.
pub(crate) fn fit(
    draft: &Draft,
    node: &mut Node,
    own: &mut Interface,
    interface: &GroupInterface,
    network: &Network,
) -> Result<(), Error> {
    if own.network.as_ref().is_some_and(|former| *former != network.name) {
        node.remember(own);
    }
    own.network = Some(network.name.clone());
    own.dhcp = interface.dhcp.unwrap_or(own.dhcp);
    let fits = Family::BOTH.into_iter().all(|family| {
        match (network.range(family), own.addresses.get(family)) {
            (None, address) => address.is_none(),
            (Some(_), None) => false,
            (Some(range), Some(address)) => {
                let lent = network
                    .lent_range(family)
                    .is_some_and(|(begin, end)| (begin..=end).contains(&address));
                range.contains(&address) && !lent && draft.forbidden_to_nodes(address).is_none()
            }
        }
    });
    if fits && !network.lends_to_nodes() {
        return Ok(());
    }
    place::settle(draft, node, own, network)
}

fn members(draft: &Draft, group: &Name) -> Vec<Arc<Node>> {
    draft.members(group.as_str()).map(Arc::clone).collect()
}
