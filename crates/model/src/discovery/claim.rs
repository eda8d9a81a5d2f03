//! What a machine says that it is, or seems to be, without proof: a claim. It waits for a yes: of an administrator, or of a rule.

use std::fmt;
use std::net::IpAddr;

use super::rules;
use super::{assign, claim};
use crate::{Cluster, Draft, Error, MacAddress, Name};

/// What a machine is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// The next node of a group.
    NextOf(Name),
    /// This node.
    Node(Name),
}

impl fmt::Display for Wish {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NextOf(group) => write!(formatter, "the next node of group {group}"),
            Self::Node(node) => write!(formatter, "node {node}"),
        }
    }
}

impl Wish {
    /// The hardware address whose place the machine would take: then it is an offer, which no rule accepts.
    pub fn replaces(&self, cluster: &Cluster, mac: MacAddress) -> Option<MacAddress> {
        let Self::Node(name) = self else { return None };
        let interface = cluster.nodes().get(name)?.provision_interface(cluster)?;
        interface.macaddress.filter(|present| present.port() != mac.port())
    }

    fn group<'a>(&'a self, cluster: &'a Cluster) -> Option<&'a Name> {
        match self {
            Self::NextOf(group) => Some(group),
            Self::Node(name) => Some(&cluster.nodes().get(name)?.group),
        }
    }
}

/// What becomes of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The machine is this node now.
    Accepted {
        /// The node.
        node: Name,
        /// The rule that said so; none when the cluster's settings did.
        rule: Option<Name>,
    },
    /// It would be accepted, and the group has no node left, and none may be made.
    NoneLeft,
    /// An administrator has to say yes.
    Waits,
}

/// Makes a machine what it claims to be where the settings or a rule say so. `from` is the address that it asks from, `now` milliseconds
/// since 1970.
pub fn decide(
    draft: &mut Draft,
    mac: MacAddress,
    wish: &Wish,
    from: Option<IpAddr>,
    now: u64,
) -> Result<Decision, Error> {
    if wish.replaces(draft, mac).is_some() || is_of_a_node(draft, mac, from) {
        return Ok(Decision::Waits);
    }
    let is_set = matches!(wish, Wish::NextOf(_)) && draft.settings().nextnode_discover;
    let rule = rules::accepting(draft, wish.group(draft), from, now).filter(|_| !is_set);
    if !is_set && rule.is_none() {
        return Ok(Decision::Waits);
    }
    let Some(node) = accept(draft, mac, wish)? else { return Ok(Decision::NoneLeft) };
    if let Some(rule) = &rule {
        rules::use_up(draft, rule)?;
    }
    Ok(Decision::Accepted { node, rule })
}

/// Makes a machine what it claims to be, as an administrator said; `None` when the group has no node left and none may be made.
pub fn accept(draft: &mut Draft, mac: MacAddress, wish: &Wish) -> Result<Option<Name>, Error> {
    match wish {
        Wish::Node(name) => {
            assign(draft, name.as_str(), mac)?;
            Ok(Some(name.clone()))
        }
        Wish::NextOf(group) => claim(draft, mac, Some(group)),
    }
}

/// Whether the address is a node's whose machine is another: what asks from there is on that machine, or has taken its address.
fn is_of_a_node(cluster: &Cluster, mac: MacAddress, from: Option<IpAddr>) -> bool {
    let Some(from) = from else { return false };
    let Some(node) = cluster.node_by_address(from) else { return false };
    let has_address = |address: IpAddr| address == from;
    let holder = node.interfaces.iter().find(|own| own.addresses.iter().any(has_address));
    let known = holder.and_then(|interface| interface.macaddress);
    known.is_some_and(|known| known.port() != mac.port())
}
