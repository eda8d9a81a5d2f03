//! Which node a machine becomes that asks to boot.

mod claim;
mod cloud;
mod place;
mod rule;
pub mod rules;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

pub use claim::{Decision, Wish, accept, decide};
pub use place::{Place, claims, goes_by_ports};
pub use rule::ClaimRule;

use crate::effective::Effective;
use crate::interface::Interface;
use crate::node::{self, Node};
use crate::{Cluster, Draft, Error, Kind, MacAddress, Name};

/// What is known of a machine that nobody described.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The ports at which switches see it; the likeliest comes first.
    pub places: Vec<Place>,
    /// The cloud that the site's own program says it lives in.
    pub cloud: Option<String>,
    /// The address that it asks from.
    pub address: Option<IpAddr>,
}

/// What became of a machine that nobody described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identified {
    /// It is this node now.
    Became(Name, Reason),
    /// It seems to be this, and an administrator has to say yes.
    Waits(Wish, Reason),
    /// Nothing is known of it.
    Unknown,
}

/// Why a machine is a certain node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is at the port where the node is described to be: the switch, and what the port is called.
    Port(Name, String),
    /// The node lives in the cloud that the machine is of.
    Cloud(Name),
    /// It asks from the address of the node.
    Address(IpAddr),
    /// It is the next node, as the cluster's settings allow.
    Next,
    /// It is the next node, as this rule allows.
    Rule(Name),
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(switch, port) => write!(formatter, "it is at port {port} of {switch}"),
            Self::Cloud(cloud) => write!(formatter, "it lives in the cloud {cloud}"),
            Self::Address(address) => write!(formatter, "it asks from the address {address}"),
            Self::Next => formatter.write_str("it is the next one"),
            Self::Rule(rule) => write!(formatter, "the rule {rule} accepts it as the next one"),
        }
    }
}

/// Which node an unknown machine is: the one that is described to be at its port, else one of its cloud, else the one whose address it
/// has, else the next one. What a switch says of a node that has no machine yet is enough; nothing takes the place of a machine that a
/// node has, and all else waits for a yes, or for a rule ([`decide`]). A machine that a switch sees lives in no cloud. One that is known
/// by now, or is kept until somebody decides, is [`Identified::Unknown`]. `now` is in milliseconds since 1970.
pub fn identify(
    draft: &mut Draft,
    mac: MacAddress,
    evidence: &Evidence,
    now: u64,
) -> Result<Identified, Error> {
    let is_kept = draft.reservation_by_mac(mac).is_some() || is_devices(draft, mac);
    if draft.node_by_mac(mac).is_some() || is_kept {
        return Ok(Identified::Unknown);
    }
    let from = evidence.address;
    let found = if evidence.places.is_empty() {
        cloud::node_for(draft, mac, evidence)
    } else {
        place::node_for(draft, &evidence.places)
    };
    if let Some((node, reason)) = found {
        let wish = Wish::Node(node.clone());
        // The settings make any machine the next node, and are no stricter with one of which more is known.
        let is_enough = matches!(reason, Reason::Port(..)) || draft.settings().nextnode_discover;
        if is_enough && wish.replaces(draft, mac).is_none() {
            assign(draft, node.as_str(), mac)?;
            return Ok(Identified::Became(node, reason));
        }
        return claimed(draft, mac, wish, reason, (from, now));
    }
    if let Some((node, address)) = with_address(draft, from) {
        let reason = Reason::Address(address);
        return claimed(draft, mac, Wish::Node(node), reason, (from, now));
    }
    if let Some(node) = discover(draft, mac)? {
        return Ok(Identified::Became(node, Reason::Next));
    }
    let Some(group) = rules::group_for(draft, from, now) else { return Ok(Identified::Unknown) };
    match decide(draft, mac, &Wish::NextOf(group), from, now)? {
        Decision::Accepted { node, rule: Some(rule) } => {
            Ok(Identified::Became(node, Reason::Rule(rule)))
        }
        Decision::Accepted { node, rule: None } => Ok(Identified::Became(node, Reason::Next)),
        Decision::NoneLeft | Decision::Waits => Ok(Identified::Unknown),
    }
}

/// Whether the cluster describes it already, as a switch or another device: whatever that boots, it is no node.
fn is_devices(cluster: &Cluster, mac: MacAddress) -> bool {
    cluster.device_by_mac(mac).is_some()
}

fn claimed(
    draft: &mut Draft,
    mac: MacAddress,
    wish: Wish,
    reason: Reason,
    (from, now): (Option<IpAddr>, u64),
) -> Result<Identified, Error> {
    Ok(match decide(draft, mac, &wish, from, now)? {
        Decision::Accepted { node, .. } => Identified::Became(node, reason),
        Decision::NoneLeft | Decision::Waits => Identified::Waits(wish, reason),
    })
}

/// The node that boots from this address.
fn with_address(cluster: &Cluster, from: Option<IpAddr>) -> Option<(Name, IpAddr)> {
    let from = from?;
    let node = cluster.node_by_address(from)?;
    let boot = node.provision_interface(cluster)?;
    boot.addresses.iter().any(|own| own == from).then(|| (node.name.clone(), from))
}

/// Whether a node waits for its machine: it has an address to boot with, and no hardware address.
fn is_free(cluster: &Cluster, node: &Node) -> bool {
    node.provision_interface(cluster)
        .is_some_and(|boot| boot.macaddress.is_none() && !boot.addresses.is_empty())
}

/// Makes the hardware address that of a node's boot interface, and nobody else's.
pub fn assign(draft: &mut Draft, node: &str, mac: MacAddress) -> Result<(), Error> {
    if let Err(reason) = mac.of_one_machine() {
        return Err(Error::invalid("macaddress", reason.to_string()));
    }
    let name = draft.node(node)?.name.clone();
    forget(draft, mac, &name)?;
    let mut node = Node::clone(draft.node(name.as_str())?);
    let boot = Effective::of_node(draft, &node).provision_interface().value.to_owned();
    for interface in node
        .interfaces
        .iter_mut()
        .filter(|interface| interface.macaddress.is_some_and(|own| own.port() == mac.port()))
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

/// The next node of a group (or of any) becomes the machine, unless it is one already: one without a hardware address, else a new one.
pub fn claim(
    draft: &mut Draft,
    mac: MacAddress,
    group: Option<&Name>,
) -> Result<Option<Name>, Error> {
    if let Some(group) = group {
        draft.group(group.as_str())?;
    }
    if let Some(already) = boots_as(draft, mac, group) {
        return Ok(Some(already));
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

/// The node of the group that the machine boots as already. Firmware asks again when an answer is lost.
fn boots_as(cluster: &Cluster, mac: MacAddress, group: Option<&Name>) -> Option<Name> {
    let (node, interface) = cluster.node_by_mac(mac)?;
    let boot = node.provision_interface(cluster)?;
    let is_of_group = group.is_none_or(|group| node.group == *group);
    (is_of_group && boot.name == interface.name).then(|| node.name.clone())
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
    for interface in holder
        .interfaces
        .iter_mut()
        .filter(|interface| interface.macaddress.is_some_and(|own| own.port() == mac.port()))
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
    candidates(draft, group).find(|node| is_free(draft, node)).map(|node| node.name.clone())
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
