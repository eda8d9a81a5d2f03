//! Which nodes have which label of their own, kept with every change, so that nobody looks through all nodes for it.

use imbl::{OrdMap, OrdSet};

use crate::Name;
use crate::node::Node;

/// The nodes by the labels that they have themselves: key, value, names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LabelIndex(OrdMap<String, OrdMap<String, OrdSet<Name>>>);

impl LabelIndex {
    /// The keys that nodes have.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The values that nodes have of a label, each with these nodes in name order.
    pub fn values(&self, key: &str) -> impl Iterator<Item = (&str, &OrdSet<Name>)> {
        self.0.get(key).into_iter().flatten().map(|(value, nodes)| (value.as_str(), nodes))
    }

    pub(crate) fn reindex(&mut self, old: Option<&Node>, new: Option<&Node>) {
        let is_same = |old: &Node, new: &Node| old.name == new.name && old.labels == new.labels;
        if old.zip(new).is_some_and(|(old, new)| is_same(old, new)) {
            return;
        }
        for (key, value, node) in old.into_iter().flat_map(labels) {
            self.remove(key, value, node);
        }
        for (key, value, node) in new.into_iter().flat_map(labels) {
            let values = self.0.entry(key.to_owned()).or_default();
            values.entry(value.to_owned()).or_default().insert(node.clone());
        }
    }

    fn remove(&mut self, key: &str, value: &str, node: &Name) {
        let Some(values) = self.0.get_mut(key) else { return };
        if let Some(nodes) = values.get_mut(value) {
            nodes.remove(node);
            if nodes.is_empty() {
                values.remove(value);
            }
        }
        if values.is_empty() {
            self.0.remove(key);
        }
    }
}

fn labels(node: &Node) -> impl Iterator<Item = (&str, &str, &Name)> {
    node.labels.iter().map(|(key, value)| (key, value, &node.name))
}
