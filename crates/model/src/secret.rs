//! Secrets of nodes, groups and the cluster.

mod access;
mod save;

use std::fmt;

pub use access::{check_mode, check_owner};
pub use save::{Owner, Request, clone, find, remove, save};
use serde::{Deserialize, Serialize};

use crate::node::Node;
use crate::{Cluster, Name};

/// A file that the installer writes, with a content that few may read.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Secret {
    /// The name.
    pub name: Name,
    /// The content as it is stored: encrypted where a key is configured.
    pub content: String,
    /// Where the installer writes it.
    pub path: Option<String>,
    /// Whose file it is: `user` or `user:group`, names of the image or numbers; root's when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Who may do what with it, in octal digits; 600 when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// The name that secrets of the whole cluster are kept under.
pub const CLUSTER: &str = "cluster";

/// The secrets of one owner, in the order in which they were given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Secrets {
    /// The owner.
    pub name: Name,
    /// Its secrets.
    pub secrets: Vec<Secret>,
}

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

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Secret")
            .field("name", &self.name)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
