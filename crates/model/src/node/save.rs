//! Creating and changing nodes.

use std::net::IpAddr;
use std::sync::Arc;

use crate::addresses;
use crate::effective::Effective;
use crate::group::Group;
use crate::interface::{GroupInterface, Interface, LinkRequest, of_group, of_node};
use crate::node::{Node, Request};
use crate::provisioning::{Provisioning, TagChoice};
use crate::{Draft, Error, Family, Kind, Name, Saved, Violation};

/// Changes a node; makes it where there is none of this name.
pub fn save(draft: &mut Draft, name: &Name, request: &Request) -> Result<Saved, Error> {
    match (draft.nodes().get(name).map(Arc::clone), &request.new_name) {
        (Some(node), None) => update(draft, Node::clone(&node), request).map(|()| Saved::Updated),
        (Some(node), Some(new_name)) => {
            let renamed = Node { name: new_name.clone(), ..Node::clone(&node) };
            draft.rename(renamed.clone(), name.as_str())?;
            update(draft, renamed, request).map(|()| Saved::Renamed)
        }
        (None, None) => create(draft, name, request).map(|()| Saved::Created),
        (None, Some(_)) => Err(Error::invalid(
            "newnodename",
            format!("there is no {} '{name}' to rename", Kind::Node),
        )),
    }
}

/// Saves what a machine says of itself while it installs. What somebody else has set stays: the machine only replaces its own words, and
/// one that does not know a thing takes nothing away.
pub fn report(draft: &mut Draft, name: &Name, request: &Request) -> Result<Saved, Error> {
    let node = Arc::clone(draft.node(name.as_str())?);
    let mut reported = node.reported.clone();
    let mut request = request.clone();
    reported.take(&node, &mut request);
    let updated = Node { reported, ..Node::clone(&node) };
    update(draft, updated, &request).map(|()| Saved::Updated)
}

fn create(draft: &mut Draft, name: &Name, request: &Request) -> Result<(), Error> {
    let Some(group) = &request.group else {
        return Err(Error::invalid(
            "group",
            format!("the node '{name}' is new and needs a group; give one"),
        ));
    };
    let mut node = Node { name: name.clone(), group: group.clone(), ..Node::default() };
    let group = group_named(draft, group)?;
    set_fields(draft, &mut node, &group, request)?;
    materialize(draft, node, None, &group, &request.interfaces)?;
    save_interfaces(draft, name, request)
}

fn update(draft: &mut Draft, mut node: Node, request: &Request) -> Result<(), Error> {
    let name = node.name.clone();
    let old = Arc::clone(draft.group(node.group.as_str())?);
    let Some(group) = &request.group else {
        set_fields(draft, &mut node, &old, request)?;
        draft.put(node)?;
        return save_interfaces(draft, &name, request);
    };
    let new = group_named(draft, group)?;
    node.group = new.name.clone();
    let image = |group| Effective::of_group(draft, group).osimage().value;
    if image(&old) != image(&new) {
        leave_tag(&mut node);
    }
    set_fields(draft, &mut node, &new, request)?;
    materialize(draft, node, Some(&old), &new, &request.interfaces)?;
    save_interfaces(draft, &name, request)
}

/// A tag that the node named of its former group's image is not one of the new group's, whatever that calls its tags.
fn leave_tag(node: &mut Node) {
    let Some(own) = node.provisioning.said() else { return };
    if own.osimage.is_none() && own.osimagetag.is_some() {
        own.osimagetag = Some(TagChoice::Current);
    }
}

fn save_interfaces(draft: &mut Draft, node: &Name, request: &Request) -> Result<(), Error> {
    if request.interfaces.is_empty() {
        Ok(())
    } else {
        of_node::save(draft, node.as_str(), &request.interfaces)
    }
}

fn group_named(draft: &Draft, name: &Name) -> Result<Arc<Group>, Error> {
    let missing = || {
        Error::invalid(
            "group",
            format!("there is no group '{name}'; perilune group list shows those there are"),
        )
    };
    draft.groups().get(name).map(Arc::clone).ok_or_else(missing)
}

fn set_fields(
    draft: &Draft,
    node: &mut Node,
    group: &Group,
    request: &Request,
) -> Result<(), Error> {
    let inherited = Effective::of_group(draft, group).osimage().value;
    let mut own = Provisioning::clone(&node.provisioning);
    let mut violations: Vec<Violation> = request.provisioning.apply(draft, &mut own, inherited);
    violations.extend(node.labels.apply(&request.labels).err());
    node.provisioning = own.into();
    request.write(node);
    if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
}

/// Puts the node with the interfaces of its group. What it has in the same network stays as it is; what only the old group gave
/// goes. Each interface is put by itself, so that the next sees which addresses are taken.
fn materialize(
    draft: &mut Draft,
    mut node: Node,
    old: Option<&Group>,
    new: &Group,
    explicit: &[of_node::Request],
) -> Result<(), Error> {
    let leaves = |interface: &Interface| {
        let name = interface.name.as_str();
        old.is_some_and(|old| old.interface(name).is_some()) && new.interface(name).is_none()
    };
    node.remove_interfaces(leaves);
    draft.put(node.clone())?;
    // Addresses that are like others come when those are there.
    let (like_others, first): (Vec<_>, Vec<_>) =
        new.interfaces.iter().partition(|interface| interface.numbering.like.is_some());
    for interface in first.into_iter().chain(like_others) {
        let own = node.interfaces.iter().position(|own| own.name == interface.name);
        let mut changed = match own.and_then(|position| node.interfaces.get(position)) {
            Some(own)
                if own.network.as_ref() == Some(&interface.network)
                    && !own.addresses.is_empty() =>
            {
                continue;
            }
            Some(own) => own.clone(),
            None => Interface { name: interface.name.clone(), ..Interface::default() },
        };
        let violations = LinkRequest::from_link(&interface.link).apply(&mut changed.link);
        if !violations.is_empty() {
            return Err(Error::Invalid(violations));
        }
        give_place(draft, &mut node, &mut changed, interface, explicit)?;
        match own.and_then(|position| node.interfaces.get_mut(position)) {
            Some(place) => *place = changed,
            None => node.interfaces.push(changed),
        }
        draft.put(node.clone())?;
    }
    Ok(())
}

/// An interface whose address the same request gives needs none of its own choice.
fn give_place(
    draft: &Draft,
    node: &mut Node,
    own: &mut Interface,
    interface: &GroupInterface,
    explicit: &[of_node::Request],
) -> Result<(), Error> {
    let network = Arc::clone(draft.network(interface.network.as_str())?);
    let given = explicit.iter().filter(|request| request.interface == own.name);
    let given: Vec<IpAddr> = given.filter_map(|request| request.ipaddress).collect();
    if given.is_empty() {
        return of_group::fit(draft, node, own, interface, &network);
    }
    own.network = Some(network.name.clone());
    own.dhcp = interface.dhcp.unwrap_or(own.dhcp);
    for family in Family::BOTH {
        own.addresses.clear(family);
    }
    // Others may be like it. What cannot be, or belongs to somebody, is told when the request's own interfaces are saved.
    for address in given.into_iter().filter(|address| addresses::is_free(draft, &network, *address))
    {
        own.addresses.set(address);
    }
    Ok(())
}
