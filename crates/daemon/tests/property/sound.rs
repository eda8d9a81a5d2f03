//! What holds for every cluster, read off its objects alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use perilune_model::group::Group;
use perilune_model::interface::Link;
use perilune_model::network::Network;
use perilune_model::provisioning::{Provisioning, TagChoice};
use perilune_model::rack::{DeviceType, Placement};
use perilune_model::{Addresses, Cluster, Edit, Family, Kind, Name, Object};

/// Fails with what is wrong.
pub(crate) fn check(cluster: &Cluster) {
    check_networks(cluster);
    check_provisioning(cluster);
    check_interfaces(cluster);
    check_addresses(cluster);
    check_lists(cluster);
    check_placements(cluster);
    for user in cluster.users().values() {
        assert!(!user.password_hash.is_empty(), "the user {} has no password", user.name);
    }
    for object in cluster.objects() {
        let found = cluster.object(object.kind(), object.name().as_str());
        assert_eq!(found.as_ref(), Some(&object), "an object is found under its name");
    }
    assert_eq!(*cluster, rebuilt(cluster), "the indexes are those of a cluster just loaded");
}

fn exists(cluster: &Cluster, kind: Kind, name: &Name, of: &dyn Debug) {
    let there = cluster.object(kind, name.as_str()).is_some();
    assert!(there, "{of:?} refers to {kind} '{name}', which is not there");
}

fn check_networks(cluster: &Cluster) {
    for network in cluster.networks().values() {
        let name = &network.name;
        let ranges: Vec<_> =
            Family::BOTH.into_iter().filter_map(|family| network.range(family)).collect();
        assert!(!ranges.is_empty(), "the network {name} has no range");
        let gateways = [network.gateway.map(IpAddr::V4), network.gateway_ipv6.map(IpAddr::V6)];
        for gateway in gateways.into_iter().flatten() {
            assert!(network.contains(gateway), "the gateway of {name} is outside");
        }
        let in_pool_only = network.dhcp_nodes_in_pool && network.dhcp_nodes_only;
        assert!(!in_pool_only, "{name} has its nodes in the pool and no pool");
        let mut dynamic = false;
        for family in Family::BOTH {
            let Some((begin, end)) = network.dynamic_range(family) else { continue };
            dynamic = true;
            assert!(begin <= end, "the dynamic range of {name} ends before it begins");
            assert!(network.contains(begin) && network.contains(end), "{name}: {begin} to {end}");
        }
        let served = !network.dhcp || network.dhcp_nodes_only || dynamic;
        assert!(served, "{name} serves DHCP without a range");
        if let Some(shared) = &network.shared {
            exists(cluster, Kind::Network, shared, network);
            assert_ne!(shared, name, "{name} shares the wire of itself");
        }
        for other in cluster.networks().values().filter(|other| other.name > *name) {
            check_apart(network, other);
        }
    }
}

fn check_apart(one: &Network, other: &Network) {
    let shares = |one: &Network, other: &Network| one.shared.as_ref() == Some(&other.name);
    if shares(one, other) || shares(other, one) {
        return;
    }
    let overlap = |one: IpNet, other: IpNet| one.contains(&other) || other.contains(&one);
    for family in Family::BOTH {
        let ranges = one.range(family).zip(other.range(family));
        let apart = ranges.is_none_or(|(one, other)| !overlap(one, other));
        assert!(apart, "the networks {} and {} overlap: {ranges:?}", one.name, other.name);
    }
}

fn check_provisioning(cluster: &Cluster) {
    // Of a group or the nearest above it that names one.
    let image_of = |group: &Name| {
        let parent = |group: &&Arc<Group>| cluster.groups().get(group.parent.as_ref()?);
        let own = cluster.groups().get(group);
        std::iter::successors(own, parent).find_map(|group| group.provisioning.osimage.as_ref())
    };
    let check = |settings: &Provisioning, inherited: Option<&Name>, of: &dyn Debug| {
        if let Some(setup) = &settings.bmcsetup {
            exists(cluster, Kind::BmcSetup, setup, of);
        }
        if let Some(image) = &settings.osimage {
            exists(cluster, Kind::Image, image, of);
        }
        if let Some(tag) = settings.osimagetag.as_ref().and_then(TagChoice::named) {
            let image = settings.osimage.as_ref().or(inherited);
            let image = image.and_then(|image| cluster.images().get(image));
            let known = image.is_some_and(|image| image.tag_named(tag.as_str()).is_some());
            assert!(known, "{of:?} boots from a tag '{tag}' that there is not");
        }
    };
    for group in cluster.groups().values() {
        check(&group.provisioning, group.parent.as_ref().and_then(image_of), group);
    }
    for node in cluster.nodes().values() {
        check(&node.provisioning, image_of(&node.group), node);
        exists(cluster, Kind::Group, &node.group, node);
        if let Some(switch) = &node.switch {
            exists(cluster, Kind::Switch, switch, node);
        }
        if let Some(cloud) = &node.cloud {
            exists(cluster, Kind::Cloud, cloud, node);
        }
        let is_member = cluster.members(node.group.as_str()).any(|member| member == node);
        assert!(is_member, "{} is no member of its group", node.name);
    }
    for image in cluster.images().values() {
        all_different(image.tags.iter().map(|tag| &tag.name), image);
        let active = image.tag.as_ref();
        let known = active.is_none_or(|tag| image.tag_named(tag.as_str()).is_some());
        assert!(known, "the active tag of {} is none of its tags", image.name);
    }
}

fn all_different<T: Ord>(all: impl Iterator<Item = T>, of: &dyn Debug) {
    let all: Vec<_> = all.collect();
    let count = all.len();
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), count, "twice the same: {of:?}");
}

fn check_interfaces(cluster: &Cluster) {
    let sound = |link: &Link, of: &dyn Debug| {
        assert_eq!(link.violations(), [], "{of:?}");
    };
    let mut hardware = BTreeMap::new();
    for node in cluster.nodes().values() {
        all_different(node.interfaces.iter().map(|interface| &interface.name), node);
        for interface in &node.interfaces {
            sound(&interface.link, interface);
            if let Some(mac) = interface.macaddress {
                let other = hardware.insert(mac, (&node.name, &interface.name));
                assert_eq!(other, None, "{mac} is that of two interfaces");
                let (owner, port) = cluster.node_by_mac(mac).expect("the index knows the MAC");
                assert_eq!((&owner.name, &port.name), (&node.name, &interface.name));
            }
        }
    }
    for group in cluster.groups().values() {
        all_different(group.interfaces.iter().map(|interface| &interface.name), group);
        for interface in &group.interfaces {
            sound(&interface.link, interface);
            exists(cluster, Kind::Network, &interface.network, interface);
        }
    }
}

fn check_addresses(cluster: &Cluster) {
    let mut held: Vec<(Kind, Name, Option<Name>, Addresses)> = Vec::new();
    for controller in cluster.controllers().values() {
        let (name, network) = (controller.name.clone(), controller.network.clone());
        held.push((Kind::Controller, name, network, controller.addresses));
    }
    for switch in cluster.switches().values() {
        held.push((Kind::Switch, switch.name.clone(), switch.network.clone(), switch.addresses));
    }
    for device in cluster.other_devices().values() {
        let (name, network) = (device.name.clone(), device.network.clone());
        held.push((Kind::OtherDevice, name, network, device.addresses));
    }
    for node in cluster.nodes().values() {
        for interface in &node.interfaces {
            let (name, network) = (node.name.clone(), interface.network.clone());
            let without = network.is_none() && !interface.addresses.is_empty();
            assert!(!without, "{name} has an address in no network");
            held.push((Kind::Node, name, network, interface.addresses));
        }
    }
    let mut holders = BTreeMap::new();
    for (kind, name, network, addresses) in held {
        if let Some(network) = &network {
            exists(cluster, Kind::Network, network, &name);
        }
        for address in addresses.iter() {
            let other = holders.insert(address, (kind, name.clone()));
            assert_eq!(other, None, "{address} is held twice");
            if let Some(network) = &network {
                let network = cluster.network(network.as_str()).unwrap();
                assert!(network.contains(address), "{address} of {name} is not in {network:?}");
            }
        }
    }
    let indexed: BTreeMap<_, _> = cluster
        .holders()
        .map(|(address, holder)| (*address, (holder.kind(), holder.device().clone())))
        .collect();
    assert_eq!(indexed, holders, "the index knows who holds what");
}

fn check_lists(cluster: &Cluster) {
    for list in cluster.dns_hosts().values() {
        exists(cluster, Kind::Network, &list.name, list);
        assert!(!list.hosts.is_empty() || !list.records.is_empty(), "an empty list is kept");
        assert!(list.records.is_sorted(), "records are found by their order");
        all_different(list.hosts.iter().map(|host| &host.host), list);
    }
    let of_nodes = cluster.node_secrets().values().map(|list| (Kind::Node, &list.0));
    let of_groups = cluster.group_secrets().values().map(|list| (Kind::Group, &list.0));
    for (owner, list) in of_nodes.chain(of_groups) {
        exists(cluster, owner, &list.name, list);
        assert!(!list.secrets.is_empty(), "an empty list of secrets is kept");
        all_different(list.secrets.iter().map(|secret| &secret.name), list);
    }
}

fn check_placements(cluster: &Cluster) {
    for placement in cluster.placements().values() {
        let key = Placement::key(placement.device_type, placement.device.as_str());
        assert_eq!(placement.name, key, "a placement has the key of its device");
        exists(cluster, placement.device_type.kind(), &placement.device, placement);
        let tall = placement.height > 0 || placement.device_type == DeviceType::OtherDevices;
        assert!(tall, "{placement:?} takes no unit");
        match &placement.rack {
            Some(rack) => exists(cluster, Kind::Rack, rack, placement),
            None => assert_eq!(placement.position, None, "{placement:?} is at a unit of no rack"),
        }
    }
}

/// The cluster as it is after a restart: from its objects alone, through their stored form.
fn rebuilt(cluster: &Cluster) -> Cluster {
    let mut rebuilt = Cluster::default();
    for object in cluster.objects() {
        let stored = object.to_json().unwrap();
        rebuilt.apply(&Edit::Put(Object::from_json(object.kind(), &stored).unwrap()));
    }
    rebuilt
}
