//! Which node a machine becomes that asks to boot.

use std::sync::Arc;

use crate::effective::Effective;
use crate::interface::Interface;
use crate::node::{self, Node};
use crate::{Draft, Error, Kind, MacAddress, Name};

/// Makes the hardware address that of a node's boot interface, and nobody else's.
pub fn assign(draft: &mut Draft, node: &str, mac: MacAddress) -> Result<(), Error> {
    let name = draft.node(node)?.name.clone();
    forget(draft, mac, &name)?;
    let mut node = Node::clone(draft.node(name.as_str())?);
    let boot = Effective::of_node(draft, &node).provision_interface().value.to_owned();
    for interface in
        node.interfaces.iter_mut().filter(|interface| interface.macaddress == Some(mac))
    {
        interface.macaddress = None;
    }
    match node.interfaces.iter_mut().find(|interface| interface.name == boot.as_str()) {
        Some(interface) => interface.macaddress = Some(mac),
        None => node.interfaces.push(Interface {
            name: Name::trusted(&boot),
            macaddress: Some(mac),
            ..Interface::default()
        }),
    }
    draft.put(node)
}

/// The node that an unknown machine becomes when the cluster's settings say that it may become one; else `None`.
pub fn discover(draft: &mut Draft, mac: MacAddress) -> Result<Option<Name>, Error> {
    if !draft.settings().nextnode_discover {
        return Ok(None);
    }
    let only_group = match (draft.groups().len(), draft.groups().values().next()) {
        (1, Some(group)) => Some(group.name.clone()),
        _ => None,
    };
    claim(draft, mac, only_group.as_ref())
}

/// The next node of a group (or of any) becomes the machine: one without a hardware address, else a new one.
pub fn claim(
    draft: &mut Draft,
    mac: MacAddress,
    group: Option<&Name>,
) -> Result<Option<Name>, Error> {
    if let Some(group) = group {
        draft.group(group.as_str())?;
    }
    let settings = Arc::clone(draft.settings());
    let name = if settings.createnode_ondemand && settings.createnode_macashost {
        Some(hardware_name(mac))
    } else if let Some(free) = without_hardware(draft, group) {
        Some(free)
    } else if settings.createnode_ondemand {
        next_name(draft, group)?
    } else {
        None
    };
    let Some(name) = name else { return Ok(None) };
    if !draft.nodes().contains_key(&name) {
        let Some(created) = create(draft, &name, group)? else { return Ok(None) };
        debug_assert_eq!(created, name);
    }
    assign(draft, name.as_str(), mac)?;
    Ok(Some(name))
}

fn create(draft: &mut Draft, name: &Name, group: Option<&Name>) -> Result<Option<Name>, Error> {
    let template = last_of(draft, group);
    let group = group.cloned().or_else(|| template.as_ref().map(|node| node.group.clone()));
    let request = node::Request { group: group.clone(), ..node::Request::default() };
    match (template, group) {
        (Some(template), Some(group)) if template.group == group => {
            node::clone(draft, template.name.as_str(), name, &node::Request::default())?;
        }
        (_, Some(_)) => {
            node::save(draft, name, &request)?;
        }
        (_, None) => return Ok(None),
    }
    Ok(Some(name.clone()))
}

/// Takes the hardware address from every interface but those of one node.
fn forget(draft: &mut Draft, mac: MacAddress, but: &Name) -> Result<(), Error> {
    let Some((holder, _)) = draft.node_by_mac(mac).filter(|(node, _)| node.name != *but) else {
        return Ok(());
    };
    let mut holder = Node::clone(holder);
    for interface in
        holder.interfaces.iter_mut().filter(|interface| interface.macaddress == Some(mac))
    {
        interface.macaddress = None;
    }
    draft.put(holder)
}

fn candidates<'a>(
    draft: &'a Draft,
    group: Option<&'a Name>,
) -> Box<dyn DoubleEndedIterator<Item = &'a Arc<Node>> + 'a> {
    match group {
        Some(group) => {
            let members: Vec<_> = draft.members(group.as_str()).collect();
            Box::new(members.into_iter())
        }
        None => Box::new(draft.nodes().values()),
    }
}

fn without_hardware(draft: &Draft, group: Option<&Name>) -> Option<Name> {
    let is_free = |node: &&Arc<Node>| {
        let boot = Effective::of_node(draft, node).provision_interface().value;
        node.interface(boot).is_some_and(|interface| {
            interface.macaddress.is_none() && !interface.addresses.is_empty()
        })
    };
    candidates(draft, group).find(is_free).map(|node| node.name.clone())
}

fn last_of(draft: &Draft, group: Option<&Name>) -> Option<Arc<Node>> {
    candidates(draft, group).next_back().map(Arc::clone)
}

fn hardware_name(mac: MacAddress) -> Name {
    Name::trusted(&mac.to_string().replace(':', ""))
}

/// The name after the last of the group's, with its number one higher; `GROUP001` for an empty group.
fn next_name(draft: &Draft, group: Option<&Name>) -> Result<Option<Name>, Error> {
    let text = match (last_of(draft, group), group) {
        (Some(last), _) => increment(last.name.as_str()),
        (None, Some(group)) => format!("{}001", group.as_str().to_ascii_lowercase()),
        (None, None) => return Ok(None),
    };
    let mut name = checked(&text)?;
    // Nodes of other groups may have the names that follow.
    while draft.nodes().contains_key(&name) {
        name = checked(&increment(name.as_str()))?;
    }
    Ok(Some(name))
}

fn checked(text: &str) -> Result<Name, Error> {
    Name::host(text).map_err(|error| {
        Error::invalid("name", format!("the next {} would be '{text}': {error}", Kind::Node))
    })
}

fn increment(name: &str) -> String {
    let prefix = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = name.strip_prefix(prefix).unwrap_or_default();
    match digits.parse::<u64>() {
        Ok(number) => format!("{prefix}{:0width$}", number.saturating_add(1), width = digits.len()),
        Err(_) => format!("{name}001"),
    }
}
