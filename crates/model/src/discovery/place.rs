//! Which node a machine is by the port that it is connected to.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Reason;
use crate::device::Port;
use crate::node::Node;
use crate::{Cluster, MacAddress, Name};

/// A port at which a switch sees a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The switch.
    pub switch: Name,
    /// The port.
    pub port: Port,
    /// What else the switch sees there.
    pub others: BTreeSet<MacAddress>,
}

/// Whether any node is described by its port, so that it is worth asking switches.
pub fn goes_by_ports(cluster: &Cluster) -> bool {
    cluster.nodes().values().any(|node| node.switch.is_some() && node.switchport.is_some())
}

/// The first node that is described to be there and has no hardware address, else one whose machine is gone from there: a
/// board was exchanged. While its own machine is still seen at the port, another one there is a guest of it, or a neighbour.
pub(super) fn node_for(cluster: &Cluster, places: &[Place]) -> Option<(Name, Reason)> {
    places.iter().find_map(|place| {
        let hardware = |node: &Node| node.provision_interface(cluster)?.macaddress;
        let is_gone = |node: &Node| hardware(node).is_some_and(|mac| !place.others.contains(&mac));
        let free = claims(cluster, place).find(|node| hardware(node).is_none());
        let node = free.or_else(|| claims(cluster, place).find(|node| is_gone(node)))?;
        Some((node.name.clone(), Reason::Port(place.switch.clone(), place.port.label())))
    })
}

/// The nodes that are described to be there, in name order.
pub fn claims<'a>(cluster: &'a Cluster, place: &'a Place) -> impl Iterator<Item = &'a Arc<Node>> {
    let is_there = |node: &&Arc<Node>| {
        node.switch.as_ref() == Some(&place.switch)
            && node.switchport.as_deref().is_some_and(|text| place.port.is_meant_by(text))
    };
    cluster.nodes().values().filter(is_there)
}
