//! Which secrets a node is given.

use super::{CLUSTER, Secrets};
use crate::Cluster;
use crate::node::Node;

/// The secrets that a node is given: the cluster's, those of its groups, the nearest last, its own. Of several with one path, the last is
/// the node's.
pub fn of_node<'a>(cluster: &'a Cluster, node: &Node) -> Vec<&'a Secrets> {
    let of_cluster = cluster.cluster_secrets().get(CLUSTER).map(|list| -> &Secrets { list });
    let of_groups = cluster.lineage_of(&node.group);
    let of_groups = of_groups.filter_map(|group| cluster.group_secrets().get(&group.name));
    let mut of_groups: Vec<&Secrets> = of_groups.map(|list| -> &Secrets { list }).collect();
    of_groups.reverse();
    let of_node = cluster.node_secrets().get(&node.name).map(|list| -> &Secrets { list });
    of_cluster.into_iter().chain(of_groups).chain(of_node).collect()
}
