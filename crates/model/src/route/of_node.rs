//! Which routes a node has, and which of its interfaces each leads through.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::effective::{Effective, Source, Sourced};
use crate::group::Group;
use crate::interface::{BMC_INTERFACE, BOOT_INTERFACE, Interface};
use crate::node::Node;
use crate::route::Route;
use crate::{Cluster, Family, Name};

/// A route as one interface of a node has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Where it leads, without bits of a host.
    pub destination: IpNet,
    /// The router.
    pub gateway: Option<IpAddr>,
    /// How much it is avoided.
    pub metric: Option<u32>,
    /// The router is outside of the interface's own range: the kernel must be told that it is on the wire all the same.
    pub on_link: bool,
}

impl Node {
    /// The routes that count for the node: its own if it has any, else its group's, else those of the networks that it is in.
    pub fn routes<'a>(&'a self, cluster: &'a Cluster) -> Sourced<Vec<&'a Name>> {
        if cluster.routes().is_empty() {
            return Sourced { value: Vec::new(), source: Source::Default };
        }
        let networks = self.interfaces.iter().filter_map(|interface| interface.network.as_ref());
        of(cluster, &Effective::of_node(cluster, self), networks)
    }

    /// The routes of the node by the names of its interfaces. Of several ways to one range with one metric the first counts.
    pub fn placed_routes<'a>(&'a self, cluster: &'a Cluster) -> Vec<(&'a Name, Placed)> {
        let names = self.routes(cluster).value;
        let mut seen = BTreeSet::new();
        let routes = names.into_iter().filter_map(|name| cluster.routes().get(name));
        let first = routes.filter(|route| {
            let range = route.destination.range();
            seen.insert((range.network(), range.prefix_len(), route.metric))
        });
        first.filter_map(|route| self.place(cluster, route)).collect()
    }

    fn place<'a>(&'a self, cluster: &'a Cluster, route: &Route) -> Option<(&'a Name, Placed)> {
        let boot = self.provision_interface(cluster);
        let own = || self.interfaces.iter().filter(|interface| interface.name != *BMC_INTERFACE);
        let named = route.device.as_ref().map(|device| {
            let of_node = own().find(|interface| interface.name == *device);
            of_node.filter(|_| *device != *BOOT_INTERFACE)
        });
        let near = || {
            let gateway = route.gateway?;
            own().find(|interface| holds(cluster, interface, gateway))
        };
        let interface = match named {
            // `BOOTIF`, or one that the node does not have.
            Some(None) => boot,
            Some(found) => found,
            None => near().or(boot),
        }?;
        let on_link = route.gateway.is_some_and(|gateway| !holds(cluster, interface, gateway));
        let placed = Placed {
            destination: route.destination.range(),
            gateway: route.gateway,
            metric: route.metric,
            on_link,
        };
        Some((&interface.name, placed))
    }
}

impl Group {
    /// The routes that the group gives to its nodes: its own, else those of a group above it, else those of the networks that its interfaces are in.
    pub fn routes<'a>(&'a self, cluster: &'a Cluster) -> Sourced<Vec<&'a Name>> {
        let networks = self.interfaces.iter().map(|interface| &interface.network);
        of(cluster, &Effective::of_group(cluster, self), networks)
    }
}

fn of<'a>(
    cluster: &'a Cluster,
    effective: &Effective<'a>,
    networks: impl Iterator<Item = &'a Name>,
) -> Sourced<Vec<&'a Name>> {
    let said = effective.routes();
    if let Some(routes) = said.value {
        return Sourced { value: routes.iter().collect(), source: said.source };
    }
    let mut value: Vec<&Name> = Vec::new();
    for network in networks.filter_map(|name| cluster.networks().get(name).map(Arc::as_ref)) {
        value.extend(
            network.routes.iter().filter(|route| !value.contains(route)).collect::<Vec<_>>(),
        );
    }
    let source = if value.is_empty() { Source::Default } else { Source::Network };
    Sourced { value, source }
}

/// Whether an address is in the range that an interface has an address of.
fn holds(cluster: &Cluster, interface: &Interface, address: IpAddr) -> bool {
    let family = Family::of(address);
    let network = interface.network.as_ref().and_then(|name| cluster.networks().get(name));
    let is_there = interface.addresses.get(family).is_some() || interface.dhcp;
    is_there && network.is_some_and(|network| network.contains(address))
}
