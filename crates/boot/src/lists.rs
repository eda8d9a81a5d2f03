//! The names that the boot menu may list. They are put together once for each change of them, not for each menu.

use std::sync::{Arc, Mutex, PoisonError};

use minijinja::Value;
use perilune_model::Cluster;
use perilune_model::interface::BOOT_INTERFACE;
use perilune_model::node::Node;
use perilune_plan::check_script_text;

/// The names that a menu may list; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Lists {
    /// Every node once.
    pub(crate) nodes: Value,
    /// Nodes that no machine is, so far.
    pub(crate) available_nodes: Value,
    /// Groups whose nodes can boot.
    pub(crate) groups: Value,
}

/// The lists of the cluster that was asked about last.
#[derive(Debug, Default)]
pub(crate) struct LatestLists(Mutex<Option<(Cluster, Lists)>>);

impl LatestLists {
    pub(crate) fn of(&self, cluster: &Cluster) -> Lists {
        // What a panicking holder left is whole: it is replaced at once.
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, lists)) = &*latest
            && known.nodes().ptr_eq(cluster.nodes())
            && known.groups().ptr_eq(cluster.groups())
        {
            return lists.clone();
        }
        let lists = Lists::new(cluster);
        *latest = Some((cluster.clone(), lists.clone()));
        lists
    }
}

impl Lists {
    fn new(cluster: &Cluster) -> Self {
        let (booting, others): (Vec<_>, Vec<_>) =
            cluster.nodes().values().partition(|node| node.interface(BOOT_INTERFACE).is_some());
        let nodes = || booting.iter().chain(&others).copied();
        let names = |nodes: &mut dyn Iterator<Item = &Arc<Node>>| {
            shown(&mut nodes.map(|node| node.name.as_str()))
        };
        let groups = cluster.groups().values();
        let groups = groups.filter(|group| group.provisioning.osimage.is_some());
        Self {
            available_nodes: names(&mut nodes().filter(|node| is_available(node))),
            nodes: names(&mut nodes()),
            groups: shown(&mut groups.map(|group| group.name.as_str())),
        }
    }
}

/// Without names that would break a line of the menu; no name that the model accepts does.
fn shown(names: &mut dyn Iterator<Item = &str>) -> Value {
    names.filter(|name| check_script_text(name).is_ok()).map(Value::from).collect()
}

/// No machine is this node so far.
fn is_available(node: &Node) -> bool {
    node.interface(BOOT_INTERFACE).is_none_or(|interface| interface.macaddress.is_none())
}
