//! Whatever is asked in whatever order: what holds for every cluster holds afterwards.

use std::collections::{BTreeMap, BTreeSet};

use perilune_model::interface::{of_group, of_node};
use perilune_model::{Cluster, Draft, Edit, Error, Kind, Patch, discovery, group, node};
use proptest::prelude::*;

use crate::site::{cluster, group_interface, in_group, interface, mac, name};

#[derive(Debug, Clone)]
enum Operation {
    SaveNode { node: u8, group: Option<u8>, address: Option<u8> },
    RenameNode { node: u8, to: u8 },
    CloneNode { node: u8, to: u8 },
    RemoveNode { node: u8 },
    SaveInterface { node: u8, network: bool, address: Option<u8>, mac: Option<u8>, force: bool },
    RemoveInterface { node: u8 },
    SaveGroup { group: u8 },
    RenameGroup { group: u8, to: u8 },
    RemoveGroup { group: u8 },
    GroupInterface { group: u8, ib: bool },
    RemoveGroupInterface { group: u8 },
    Claim { mac: u8 },
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation as O;
    let node = 0_u8..6;
    let group = 0_u8..3;
    prop_oneof![
        4 => (node.clone(), prop::option::of(group.clone()), prop::option::of(0_u8..12))
            .prop_map(|(node, group, address)| O::SaveNode { node, group, address }),
        1 => (node.clone(), node.clone()).prop_map(|(node, to)| O::RenameNode { node, to }),
        1 => (node.clone(), node.clone()).prop_map(|(node, to)| O::CloneNode { node, to }),
        1 => node.clone().prop_map(|node| O::RemoveNode { node }),
        3 => (node.clone(), any::<bool>(), prop::option::of(0_u8..12), prop::option::of(0_u8..4), any::<bool>())
            .prop_map(|(node, network, address, mac, force)| O::SaveInterface { node, network, address, mac, force }),
        1 => node.prop_map(|node| O::RemoveInterface { node }),
        1 => group.clone().prop_map(|group| O::SaveGroup { group }),
        1 => (group.clone(), group.clone()).prop_map(|(group, to)| O::RenameGroup { group, to }),
        1 => group.clone().prop_map(|group| O::RemoveGroup { group }),
        2 => (group.clone(), any::<bool>()).prop_map(|(group, ib)| O::GroupInterface { group, ib }),
        1 => group.prop_map(|group| O::RemoveGroupInterface { group }),
        1 => (0_u8..4).prop_map(|mac| O::Claim { mac }),
    ]
}

fn node_name(number: u8) -> perilune_model::Name {
    name(&format!("node{number:03}"))
}

fn group_name(number: u8) -> perilune_model::Name {
    name(if number == 0 { "compute".to_owned() } else { format!("group{number}") }.as_str())
}

fn apply(draft: &mut Draft, operation: &Operation) -> Result<(), Error> {
    let host = |number: u8| format!("10.141.0.{number}").parse().ok();
    match operation {
        Operation::SaveNode { node, group, address } => {
            let mut request = group
                .map_or_else(node::Request::default, |group| in_group(group_name(group).as_str()));
            let given = address
                .map(|number| of_node::Request { ipaddress: host(number), ..interface("BOOTIF") });
            request.interfaces.extend(given);
            node::save(draft, &node_name(*node), &request).map(drop)
        }
        Operation::RenameNode { node, to } => {
            let request =
                node::Request { new_name: Some(node_name(*to)), ..node::Request::default() };
            node::save(draft, &node_name(*node), &request).map(drop)
        }
        Operation::CloneNode { node, to } => node::clone(
            draft,
            node_name(*node).as_str(),
            &node_name(*to),
            &node::Request::default(),
        ),
        Operation::RemoveNode { node } => draft.remove(Kind::Node, node_name(*node).as_str()),
        Operation::SaveInterface { node, network, address, mac: number, force } => {
            let request = of_node::Request {
                network: network.then(|| name("ib")),
                ipaddress: address.and_then(host),
                macaddress: number.map_or(Patch::Keep, |number| Patch::Set(mac(number))),
                force: *force,
                ..interface("eth0")
            };
            of_node::save(draft, node_name(*node).as_str(), &[request])
        }
        Operation::RemoveInterface { node } => {
            of_node::remove(draft, node_name(*node).as_str(), "eth0")
        }
        Operation::SaveGroup { group } => {
            group::save(draft, &group_name(*group), &group::Request::default()).map(drop)
        }
        Operation::RenameGroup { group, to } => {
            let request =
                group::Request { new_name: Some(group_name(*to)), ..group::Request::default() };
            group::save(draft, &group_name(*group), &request).map(drop)
        }
        Operation::RemoveGroup { group } => draft.remove(Kind::Group, group_name(*group).as_str()),
        Operation::GroupInterface { group, ib } => {
            let request = group_interface("eth1", if *ib { "ib" } else { "cluster" });
            of_group::save(draft, group_name(*group).as_str(), &[request]).map(drop)
        }
        Operation::RemoveGroupInterface { group } => {
            of_group::remove(draft, group_name(*group).as_str(), "eth1")
        }
        Operation::Claim { mac: number } => discovery::claim(draft, mac(*number), None).map(drop),
    }
}

fn check(cluster: &Cluster) {
    let mut holders = BTreeMap::new();
    let mut hardware = BTreeSet::new();
    for controller in cluster.controllers().values() {
        holders
            .extend(controller.addresses.iter().map(|address| (address, controller.name.clone())));
    }
    for node in cluster.nodes().values() {
        assert!(cluster.groups().contains_key(&node.group), "{} is in no group", node.name);
        for interface in &node.interfaces {
            assert!(
                interface.macaddress.is_none_or(|mac| hardware.insert(mac)),
                "a MAC is held twice"
            );
            for address in interface.addresses.iter() {
                assert_eq!(
                    holders.insert(address, node.name.clone()),
                    None,
                    "{address} is held twice"
                );
                let network =
                    cluster.network(interface.network.as_ref().unwrap().as_str()).unwrap();
                assert!(network.contains(address), "{address} is outside {}", network.name);
            }
        }
        let names: BTreeSet<_> = node.interfaces.iter().map(|interface| &interface.name).collect();
        assert_eq!(names.len(), node.interfaces.len(), "{} has an interface twice", node.name);
    }
    let indexed: BTreeMap<_, _> =
        cluster.holders().map(|(address, holder)| (*address, holder.device().clone())).collect();
    assert_eq!(indexed, holders, "the index knows who holds what");
    assert_eq!(
        *cluster,
        rebuilt(cluster),
        "the indexes are those of a cluster that was just loaded"
    );
}

/// The cluster as it is after a restart: from its objects alone, through their stored form.
pub(crate) fn rebuilt(cluster: &Cluster) -> Cluster {
    let mut rebuilt = Cluster::default();
    for object in cluster.objects() {
        let stored = object.to_json().unwrap();
        rebuilt
            .apply(&Edit::Put(perilune_model::Object::from_json(object.kind(), &stored).unwrap()));
    }
    rebuilt
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_operations_leaves_a_cluster_that_is_true(operations in prop::collection::vec(operation(), 1..60)) {
        let mut state = cluster();
        for operation in &operations {
            let before = state.clone();
            let mut draft = Draft::new(&state);
            let outcome = apply(&mut draft, operation);
            let (after, change) = draft.finish();
            if outcome.is_err() {
                continue;
            }
            check(&after);
            let mut replayed = before.clone();
            change.edits.iter().for_each(|edit| replayed.apply(edit));
            prop_assert_eq!(&replayed, &after, "the edits make the change");
            change.inverse.iter().for_each(|edit| replayed.apply(edit));
            prop_assert_eq!(&replayed, &before, "the inverse takes it back");
            state = after;
        }
    }
}
