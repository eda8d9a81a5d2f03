//! Tables of nodes.

use std::borrow::Cow;

use perilune_model::effective::Effective;
use perilune_model::interface::BMC_INTERFACE;
use perilune_model::interface::Interface;
use perilune_model::node::Node;
use perilune_model::rack::{DeviceType, Placement};
use perilune_model::{Cluster, Name};
use perilune_plan::decode_if_encoded;
use perilune_wire::node_column::NodeColumn;

use super::Nodes;
use crate::clock::rfc3339;
use crate::state::State;
use crate::status::NodeState;

/// A row for each of these nodes, with a text for each column; empty where there is nothing to say.
pub fn rows(state: &State, names: &[String], columns: &[NodeColumn]) -> Vec<Vec<String>> {
    let cluster = state.cluster.published();
    let nodes = Nodes::new(&cluster, state.status.all());
    let known = names.iter().filter_map(|name| cluster.nodes().get(name.as_str()));
    known
        .map(|node| columns.iter().map(|column| nodes.cell(node, *column).into_owned()).collect())
        .collect()
}

impl Nodes<'_> {
    fn cell<'n>(&'n self, node: &'n Node, column: NodeColumn) -> Cow<'n, str> {
        let text = |text: Option<&'n str>| Cow::Borrowed(text.unwrap_or_default());
        let state = || self.state(node);
        let comment = || node.comment.as_deref().map(decode_if_encoded).unwrap_or_default();
        match column {
            NodeColumn::Name => text(Some(node.name.as_str())),
            NodeColumn::Status => text(state().map(|state| state.state.as_str())),
            NodeColumn::Since => {
                Cow::Owned(state().map(|state| rfc3339(state.since)).unwrap_or_default())
            }
            NodeColumn::Failure => text(state().and_then(NodeState::failure)),
            NodeColumn::Power => text(state().and_then(NodeState::power)),
            NodeColumn::Group => text(Some(node.group.as_str())),
            NodeColumn::Image => {
                text(Effective::of_node(self.cluster, node).osimage().value.map(Name::as_str))
            }
            NodeColumn::Tag => {
                text(Effective::of_node(self.cluster, node).osimagetag().value.map(Name::as_str))
            }
            NodeColumn::Runs => {
                let runs = state().and_then(NodeState::running);
                Cow::Owned(runs.map(|runs| runs.shown(self.cluster, node)).unwrap_or_default())
            }
            NodeColumn::Address => address(node.provision_interface(self.cluster)),
            NodeColumn::Mac => {
                let mac = node.provision_interface(self.cluster).and_then(|it| it.macaddress);
                Cow::Owned(mac.map(|mac| mac.to_string()).unwrap_or_default())
            }
            NodeColumn::Bmc => address(node.interface(BMC_INTERFACE)),
            NodeColumn::Rack => text(
                placement(self.cluster, node).and_then(|it| it.rack.as_ref()).map(Name::as_str),
            ),
            NodeColumn::Position => {
                let position = placement(self.cluster, node).and_then(|it| it.position);
                Cow::Owned(position.map(|unit| unit.to_string()).unwrap_or_default())
            }
            NodeColumn::Switch => text(node.switch.as_ref().map(Name::as_str)),
            NodeColumn::Plain(plain) => text((plain.of)(node)),
            NodeColumn::Labels => Cow::Owned(labels(self.cluster, node)),
            NodeColumn::Comment => Cow::Owned(comment()),
            NodeColumn::Remark => match state().and_then(NodeState::failure) {
                Some(failure) => text(Some(failure)),
                None => Cow::Owned(comment()),
            },
        }
    }
}

fn address(interface: Option<&Interface>) -> Cow<'static, str> {
    let addresses = interface.map(|interface| &interface.addresses);
    let first = addresses.and_then(|addresses| addresses.iter().next());
    Cow::Owned(first.map(|address| address.to_string()).unwrap_or_default())
}

fn placement<'c>(cluster: &'c Cluster, node: &Node) -> Option<&'c Placement> {
    let key = Placement::key(DeviceType::Node, node.name.as_str());
    cluster.placements().get(&key).map(|placement| &**placement)
}

fn labels(cluster: &Cluster, node: &Node) -> String {
    let inherited = node.inherited_labels(cluster);
    let mut all: Vec<(&str, &str)> = node.labels.iter().chain(inherited.iter()).collect();
    all.sort_unstable();
    let words: Vec<String> = all.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    words.join(",")
}
