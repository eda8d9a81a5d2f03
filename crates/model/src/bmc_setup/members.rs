//! Which nodes' BMCs are set up so.

use std::sync::Arc;

use crate::effective::Effective;
use crate::node::Node;
use crate::{Cluster, Error, Name};

/// The nodes whose BMCs are set up so, in name order: those that name it, and those of its groups that name no other.
pub fn members(cluster: &Cluster, setup: &str) -> Result<Vec<Name>, Error> {
    cluster.bmc_setup(setup)?;
    let uses = |node: &&Arc<Node>| {
        Effective::of_node(cluster, node).bmcsetup().value.is_some_and(|name| *name == setup)
    };
    Ok(cluster.nodes().values().filter(uses).map(|node| node.name.clone()).collect())
}
