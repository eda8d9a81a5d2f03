//! The identity of a node of the cluster, and what others know the node by.

use std::collections::BTreeSet;

use super::NodeIdentity;
use crate::interface::BMC_INTERFACE;
use crate::node::Node;
use crate::{Cluster, Draft, Error};

/// Gives a node an identity unless it has one by now; answers the one that it has.
pub fn complete(draft: &mut Draft, made: NodeIdentity) -> Result<NodeIdentity, Error> {
    draft.node(made.name.as_str())?;
    if let Some(known) = draft.node_identities().get(&made.name) {
        return Ok(NodeIdentity::clone(known));
    }
    draft.put(made.clone())?;
    Ok(made)
}

/// Gives nodes new identities in place of those that they have.
pub fn renew(draft: &mut Draft, made: Vec<NodeIdentity>) -> Result<(), Error> {
    made.into_iter().try_for_each(|identity| draft.put(identity))
}

/// The names and addresses by which others reach the system of a node, the shortest name first. Those of its BMC are not among them:
/// another system answers there.
pub fn names_and_addresses(cluster: &Cluster, node: &Node) -> Vec<String> {
    let mut names = vec![node.name.to_string(), node.hostname(cluster)];
    let interfaces = || node.interfaces.iter().filter(|interface| interface.name != BMC_INTERFACE);
    let networks = interfaces().filter_map(|interface| interface.network.as_ref());
    names.extend(networks.map(|network| format!("{}.{network}", node.name)));
    let addresses = interfaces().flat_map(|interface| interface.addresses.iter());
    names.extend(addresses.map(|address| address.to_string()));
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}
