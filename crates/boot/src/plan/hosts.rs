//! Whom `/etc/hosts` of a node names beside itself.

use std::net::IpAddr;

use perilune_model::Cluster;
use perilune_model::interface::BMC_INTERFACE;
use perilune_model::node::Node;
use perilune_model::provisioning::Hosts;
use perilune_plan::Host;

use crate::resolved::Resolved;

/// The others, in the order of their names; the controllers first.
pub(super) fn of(resolved: &Resolved<'_>) -> Vec<Host> {
    let Resolved { cluster, node, effective } = *resolved;
    let others: Vec<&Node> = match effective.hosts().value {
        Hosts::Itself => return Vec::new(),
        Hosts::Group => cluster.members(node.group.as_str()).map(|other| &**other).collect(),
        Hosts::All => cluster.nodes().values().map(|other| &**other).collect(),
    };
    let others = others.into_iter().filter(|other| other.name != node.name);
    controllers(cluster)
        .into_iter()
        .chain(others.flat_map(|other| of_node(cluster, other)))
        .collect()
}

/// The address that a node boots from has its plain name; those of other networks the name with the network only.
fn of_node(cluster: &Cluster, node: &Node) -> Vec<Host> {
    let boot = node.provision_interface(cluster).map(|boot| &boot.name);
    let interfaces = node.interfaces.iter().filter(|interface| interface.name != BMC_INTERFACE);
    let hosts = interfaces.flat_map(|interface| {
        let network = interface.network.as_ref();
        let mut names: Vec<String> =
            network.map(|network| format!("{}.{network}", node.name)).into_iter().collect();
        if Some(&interface.name) == boot {
            names.push(node.name.to_string());
        }
        let host = move |address| Host { address, names: names.clone() };
        interface.addresses.iter().map(host).collect::<Vec<Host>>()
    });
    hosts.filter(|host| !host.names.is_empty()).collect()
}

fn controllers(cluster: &Cluster) -> Vec<Host> {
    let hosts = cluster.controllers().values().flat_map(|controller| {
        let network = controller.network.as_ref();
        let long = network.map(|network| format!("{}.{network}", controller.name));
        let names: Vec<String> = long.into_iter().chain([controller.name.to_string()]).collect();
        let addresses: Vec<IpAddr> = controller.addresses.iter().collect();
        addresses.into_iter().map(move |address| Host { address, names: names.clone() })
    });
    hosts.collect()
}
