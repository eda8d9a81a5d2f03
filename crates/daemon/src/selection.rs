//! What selectors are asked of: the nodes of the published cluster, and what they last reported.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use perilune_boards::Snapshot;
use perilune_model::effective::Effective;
use perilune_model::node::Node;
use perilune_model::rack::{DeviceType, Placement};
use perilune_model::{Cluster, Name};
use perilune_select::{Error, Facts, Key, Selector};

mod columns;

pub use columns::rows;

use crate::state::State;
use crate::status::{self, NodeState};

/// The names of the nodes that a selector means, in its order. Names that are written out need not be there: whoever does something to
/// them says so.
pub fn expand(state: &State, text: &str) -> Result<Vec<String>, Error> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let selector = Selector::parse(text)?;
    match selector.plain() {
        Some(names) => names,
        None => select(state, &selector),
    }
}

/// The names of the nodes that a selector means; every node that it names is there.
pub fn select(state: &State, selector: &Selector) -> Result<Vec<String>, Error> {
    let cluster = state.cluster.published();
    let nodes = Nodes::new(&cluster, state.status.all());
    Ok(selector.select(&nodes)?.into_iter().map(str::to_owned).collect())
}

struct Nodes<'a> {
    cluster: &'a Cluster,
    /// By position: look-ups in the map for each node and property would cost most of the time.
    by_position: Vec<&'a Arc<Node>>,
    states: Snapshot<Name, NodeState>,
}

impl<'a> Nodes<'a> {
    fn new(cluster: &'a Cluster, states: Snapshot<Name, NodeState>) -> Self {
        Self { cluster, by_position: cluster.nodes().values().collect(), states }
    }

    fn state(&self, node: &Node) -> Option<&NodeState> {
        self.states.get(node.name.as_str()).map(|state| &**state)
    }
}

impl Facts for Nodes<'_> {
    fn count(&self) -> usize {
        self.by_position.len()
    }

    fn name(&self, position: usize) -> &str {
        self.by_position.get(position).map_or("", |node| node.name.as_str())
    }

    fn value(&self, position: usize, key: &Key) -> Option<Cow<'_, str>> {
        let node = *self.by_position.get(position)?;
        let name = match key {
            Key::Group => Some(node.group.as_str()),
            Key::Switch => node.switch.as_ref().map(Name::as_str),
            Key::Rack => {
                let key = Placement::key(DeviceType::Node, node.name.as_str());
                self.cluster.placements().get(&key)?.rack.as_ref().map(Name::as_str)
            }
            Key::Image => Effective::of_node(self.cluster, node).osimage().value.map(Name::as_str),
            Key::Tag => Effective::of_node(self.cluster, node).osimagetag().value.map(Name::as_str),
            Key::State => self.state(node).map(|state| state.state.as_str()),
            Key::Power => self.state(node).and_then(NodeState::power),
            Key::Label(label) => node.label(self.cluster, label),
        };
        name.map(Cow::Borrowed)
    }

    fn known(&self, key: &Key) -> Option<Vec<String>> {
        fn names<T>(objects: &imbl::OrdMap<Name, T>) -> Vec<String> {
            objects.keys().map(ToString::to_string).collect()
        }
        Some(match key {
            Key::Group => names(self.cluster.groups()),
            Key::Rack => names(self.cluster.racks()),
            Key::Switch => names(self.cluster.switches()),
            Key::Image => names(self.cluster.images()),
            Key::Tag => {
                let images = self.cluster.images().values();
                let tags =
                    images.flat_map(|image| image.tags.iter().map(|tag| tag.name.to_string()));
                tags.collect::<BTreeSet<_>>().into_iter().collect()
            }
            Key::State => {
                let reported = self.states.iter().map(|(_, state)| state.state.clone());
                reported.chain(status::usual()).collect::<BTreeSet<_>>().into_iter().collect()
            }
            Key::Power => vec!["off".to_owned(), "on".to_owned()],
            Key::Label(_) => return None,
        })
    }

    fn label_keys(&self) -> Vec<String> {
        let groups = self.cluster.groups().values();
        let of_groups = groups.flat_map(|group| group.labels.iter().map(|(key, _)| key));
        let keys: BTreeSet<&str> = self.cluster.labels().keys().chain(of_groups).collect();
        keys.into_iter().map(str::to_owned).collect()
    }

    /// Racks, which know what stands in them, and labels that only few nodes have, and no group. Where many have one, asking each node is as
    /// fast as finding them by their names.
    fn indexed(&self, key: &Key, is_wanted: &dyn Fn(&str) -> bool) -> Option<Vec<usize>> {
        const FEW: usize = 16;
        let position =
            |name: &Name| self.by_position.binary_search_by(|node| node.name.cmp(name)).ok();
        if *key == Key::Rack {
            let racks = self.cluster.racks().keys().filter(|rack| is_wanted(rack.as_str()));
            let standing = racks.flat_map(|rack| self.cluster.standing_in(rack.as_str()));
            let nodes = standing.filter(|own| own.device_type == DeviceType::Node);
            return Some(nodes.filter_map(|own| position(&own.device)).collect());
        }
        let Key::Label(label) = key else { return None };
        if self.cluster.groups().values().any(|group| group.labels.get(label).is_some()) {
            return None;
        }
        let values = self.cluster.labels().values(label);
        let nodes: Vec<_> =
            values.filter(|(value, _)| is_wanted(value)).map(|(_, nodes)| nodes).collect();
        let count: usize = nodes.iter().map(|nodes| nodes.len()).sum();
        (count <= self.count() / FEW)
            .then(|| nodes.into_iter().flatten().filter_map(position).collect())
    }
}
