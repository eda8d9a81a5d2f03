//! What a change says that may be a slip and may be meant: it is taken, since sites and clients rely on it, and said at once.

use std::collections::{BTreeMap, BTreeSet};

use crate::interface::Link;
use crate::network::Network;
use crate::object::Object;
use crate::{Draft, Family, Kind, Name};

/// As many names are said of a long list.
const NAMED: usize = 5;
/// As many remarks are made on one change.
const MOST: usize = 20;
/// What networks are made of, as nodes understand it.
const MEDIA: [&str; 2] = ["ethernet", "infiniband"];

/// What was found, by what it is about, so that a thousand nodes with one slip are one remark.
#[derive(Default)]
struct Found {
    /// Addresses with their holders, by the network in whose dynamic range they are.
    lent: BTreeMap<Name, Vec<String>>,
    /// Devices that have other addresses, by the network of these.
    moved: BTreeMap<Name, Vec<String>>,
    /// Ports of switches that nodes were put at.
    ports: BTreeSet<(Name, String)>,
    /// Nodes and groups, by the sentence on an interface of theirs.
    strangers: BTreeMap<String, Vec<String>>,
    /// Sentences.
    others: Vec<String>,
}

impl Draft {
    /// What may be a slip in what was changed so far, in sentences, at most twenty. What an object said before is not told again.
    pub fn remarks(&self) -> Vec<String> {
        let mut found = Found::default();
        for ((kind, name), (_, before)) in &self.before {
            if let Some(after) = self.cluster.object(*kind, name.as_str()) {
                self.look_at(before.as_ref(), &after, &mut found);
            }
        }
        let lent = found.lent.iter().filter_map(|(network, holders)| self.lent(network, holders));
        // Who changes an address knows it. Who changes a network may not know whose addresses follow.
        let moved = found.moved.iter();
        let moved = moved.filter(|(network, _)| {
            self.before.contains_key(&(Kind::Network, Name::clone(network)))
        });
        let moved = moved.map(|(network, devices)| {
            format!("with network {network}, devices got other addresses: {}", brief(devices))
        });
        let ports = self.shared_ports(&found.ports);
        let strangers = found.strangers.iter().map(|(stranger, whose)| {
            let whose = brief(whose);
            format!("{stranger}, which is no interface of {whose}; that is right where the machine has a device of this name")
        });
        moved.chain(lent).chain(ports).chain(strangers).chain(found.others).take(MOST).collect()
    }

    fn look_at(&self, before: Option<&Object>, after: &Object, found: &mut Found) {
        let held = before.map(Object::held).unwrap_or_default();
        for new in after.held() {
            let is_known = held.iter().any(|old| old.address == new.address);
            let family = Family::of(new.address);
            let former = held.iter().find(|old| {
                old.holder == new.holder
                    && old.network == new.network
                    && Family::of(old.address) == family
            });
            if let (false, Some(former), Some(network)) = (is_known, former, &new.network) {
                let told = format!("{} ({} -> {})", new.holder, former.address, new.address);
                found.moved.entry(network.clone()).or_default().push(told);
            }
            let network = self.network_of(new.address).filter(|network| {
                // Where nodes are given addresses of the range, theirs are there by intent.
                let is_meant = after.kind() == Kind::Node && network.lends_to_nodes();
                !is_known && !is_meant && lends(network, new.address)
            });
            if let Some(network) = network {
                let told = format!("{} ({})", new.address, new.holder);
                found.lent.entry(network.name.clone()).or_default().push(told);
            }
        }
        let known: BTreeSet<String> = before.map(strangers).unwrap_or_default();
        for stranger in strangers(after).difference(&known) {
            let whose = format!("{} {}", after.kind(), after.name());
            found.strangers.entry(stranger.clone()).or_default().push(whose);
        }
        found
            .ports
            .extend(port(after).filter(|port| before.and_then(self::port).as_ref() != Some(port)));
        if let Object::Network(network) = after {
            self.look_at_network(before.and_then(self::network), network, found);
        }
    }

    fn look_at_network(&self, old: Option<&Network>, new: &Network, found: &mut Found) {
        let name = &new.name;
        for family in Family::BOTH {
            let range = new
                .lent_range(family)
                .filter(|range| old.and_then(|old| old.lent_range(family)).as_ref() != Some(range));
            let Some((first, last)) = range else { continue };
            let taken = self.taken_between(first, last);
            let taken: Vec<String> =
                taken.iter().map(|(address, taken)| format!("{address} ({taken})")).collect();
            if !taken.is_empty() {
                found.others.push(format!(
                    "the dynamic range {first} to {last} of network {name} holds {}; what is taken is not lent",
                    brief(&taken)
                ));
            }
        }
        let medium = new.r#type.as_deref().filter(|medium| !medium.is_empty());
        let medium =
            medium.filter(|medium| old.and_then(|old| old.r#type.as_deref()) != Some(medium));
        if let Some(medium) = medium.filter(|medium| !MEDIA.contains(medium)) {
            found.others.push(format!(
                "network {name} is of the type '{medium}', which nothing here knows; known are {}",
                MEDIA.join(" and ")
            ));
        }
    }

    fn lent(&self, network: &Name, holders: &[String]) -> Option<String> {
        let network = self.networks().get(network)?;
        let ranges = Family::BOTH.into_iter().filter_map(|family| network.lent_range(family));
        let ranges: Vec<String> =
            ranges.map(|(first, last)| format!("{first} to {last}")).collect();
        Some(format!(
            "in the dynamic range ({}) of network {}: {}; a machine that was lent one of these addresses before may still use it. \
             Addresses outside of the range are safe",
            ranges.join(", "),
            network.name,
            brief(holders)
        ))
    }

    fn shared_ports(&self, ports: &BTreeSet<(Name, String)>) -> Vec<String> {
        if ports.is_empty() {
            return Vec::new();
        }
        let mut nodes: BTreeMap<(Name, String), Vec<String>> = BTreeMap::new();
        for node in self.nodes().values() {
            let at = node.switch.clone().zip(node.switchport.clone());
            if let Some(at) = at.filter(|at| ports.contains(at)) {
                nodes.entry(at).or_default().push(node.name.to_string());
            }
        }
        let shared = nodes.into_iter().filter(|(_, nodes)| nodes.len() > 1);
        shared
            .map(|((switch, port), nodes)| {
                format!(
                    "{} are all at port {port} of {switch}; a machine that is found there becomes the first of them that has none",
                    brief(&nodes)
                )
            })
            .collect()
    }
}

fn lends(network: &Network, address: std::net::IpAddr) -> bool {
    let range = network.lent_range(Family::of(address));
    range.is_some_and(|(first, last)| (first..=last).contains(&address))
}

fn network(object: &Object) -> Option<&Network> {
    if let Object::Network(network) = object { Some(network) } else { None }
}

/// The port of a switch that a node is connected to.
fn port(object: &Object) -> Option<(Name, String)> {
    let Object::Node(node) = object else { return None };
    let port = node.switchport.clone().filter(|port| !port.is_empty());
    node.switch.clone().zip(port)
}

/// `eth0.100 is a VLAN on eht0`, for each name that is none of the interfaces.
fn strangers(object: &Object) -> BTreeSet<String> {
    let links: Vec<(&Name, &Link)> = if let Object::Node(node) = object {
        node.interfaces.iter().map(|interface| (&interface.name, &interface.link)).collect()
    } else if let Object::Group(group) = object {
        group.interfaces.iter().map(|interface| (&interface.name, &interface.link)).collect()
    } else {
        return BTreeSet::new();
    };
    let is_known = |name: &str| links.iter().any(|(known, _)| known.as_str() == name);
    let mut found = BTreeSet::new();
    for (name, link) in &links {
        let parent = link.vlan_parent.as_deref().filter(|parent| !is_known(parent));
        found.extend(parent.map(|parent| format!("{name} is a VLAN on {parent}")));
        let slaves = link.bond_slaves.iter().filter(|slave| !is_known(slave));
        found.extend(slaves.map(|slave| format!("{name} bonds {slave}")));
    }
    found
}

/// The first few of a long list.
fn brief(list: &[String]) -> String {
    let named = list.get(..list.len().min(NAMED)).unwrap_or_default().join(", ");
    match list.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
