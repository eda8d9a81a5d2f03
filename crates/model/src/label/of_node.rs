//! The labels of a node, with those of its groups.

use super::Labels;
use crate::Cluster;
use crate::node::Node;

impl Node {
    /// The value of a label of the node, its own or its group's.
    pub fn label<'a>(&'a self, cluster: &'a Cluster, key: &str) -> Option<&'a str> {
        let of_groups = || cluster.lineage_of(&self.group).find_map(|group| group.labels.get(key));
        self.labels.get(key).or_else(of_groups)
    }

    /// The labels of its group, and of those above that, for which it has no value of its own.
    pub fn inherited_labels(&self, cluster: &Cluster) -> Labels {
        let mut groups = cluster.lineage_of(&self.group).filter(|group| !group.labels.is_empty());
        // Most groups have none, and lists ask this of thousands of nodes.
        let Some(first) = groups.next() else { return Labels::default() };
        let all = groups.fold(first.labels.clone(), |labels, group| labels.or(&group.labels));
        all.but(&self.labels)
    }
}
