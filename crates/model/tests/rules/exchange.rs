//! Devices that take over each other's addresses in one change, and changes that come to the same.

use std::net::IpAddr;

use perilune_model::interface::{of_group, of_node};
use perilune_model::{
    Cluster, Desired, Draft, Edit, Family, Interfaces, Kind, MacAddress, Name, Object, addresses,
    rack, secret,
};

use crate::invariants::rebuilt;
use crate::site::{
    address, change, cluster, group_interface, interface, mac, name, node, with_node,
};

/// Nodes `node001` and `node002`, each with an address and a hardware address.
fn site() -> Cluster {
    let site = with_node(&with_node(&with_interface(), "node001"), "node002");
    change(&site, |draft| {
        for (node, number) in [("node001", 1), ("node002", 2)] {
            let macaddress = perilune_model::Patch::Set(mac(number));
            let request = of_node::Request { macaddress, ..interface("BOOTIF") };
            of_node::save(draft, node, &[request])?;
        }
        Ok(())
    })
}

fn with_interface() -> Cluster {
    change(&cluster(), |draft| {
        of_group::save(draft, "compute", &[group_interface("BOOTIF", "cluster")])
    })
}

/// The nodes with what the other one has.
fn exchanged(site: &Cluster) -> [Desired; 2] {
    let (mut one, mut other) = (node(site, "node001"), node(site, "node002"));
    std::mem::swap(&mut one.interfaces, &mut other.interfaces);
    [one, other].map(|node| Desired { object: node.into(), interfaces: Interfaces::Own })
}

fn holder(cluster: &Cluster, node: &str) -> Option<Name> {
    let address: IpAddr = address(cluster, node, "BOOTIF").parse().unwrap();
    cluster.holder(address).map(|holder| holder.device().clone())
}

fn machine(cluster: &Cluster, mac: MacAddress) -> Option<Name> {
    cluster.node_by_mac(mac).map(|(node, _)| node.name.clone())
}

#[test]
fn nodes_that_exchange_their_addresses_each_hold_the_others() {
    let site = site();
    for mut desired in [exchanged(&site).to_vec(), exchanged(&site).to_vec()] {
        desired.rotate_left(1);
        let mut draft = Draft::new(&site);
        draft.bring_to(desired, &[]).unwrap();
        let (after, made) = draft.finish();
        assert_eq!(address(&after, "node001", "BOOTIF"), address(&site, "node002", "BOOTIF"));
        for node in ["node001", "node002"] {
            assert_eq!(holder(&after, node), Some(name(node)), "nobody else is given it");
        }
        let machines = [mac(1), mac(2)].map(|mac| machine(&after, mac));
        assert_eq!(machines, [Some(name("node002")), Some(name("node001"))]);
        assert_eq!(after, rebuilt(&after), "it is as it would be after a restart");
        let network = after.network("cluster").unwrap();
        let free = addresses::first_free(&Draft::new(&after), network, Family::V4).unwrap();
        assert_eq!(after.holder(free), None);
        // Taken back, it is as it was, in whatever order.
        let mut back = Draft::new(&after);
        back.replay(&made.inverse).unwrap();
        let (back, _) = back.finish();
        assert_eq!((&back, &rebuilt(&back)), (&site, &site));
    }
}

#[test]
fn edits_of_one_change_come_to_the_same_in_every_order() {
    let site = site();
    let mut draft = Draft::new(&site);
    draft.bring_to(exchanged(&site).to_vec(), &[]).unwrap();
    let (after, made) = draft.finish();
    let mut edits = made.edits;
    for _ in 0..2 {
        edits.reverse();
        let mut followed = site.clone();
        for edit in &edits {
            followed.apply(edit);
        }
        assert_eq!(followed, after);
    }
}

#[test]
fn an_object_that_is_changed_again_and_again_is_one_edit_and_one_that_is_as_it_was_is_none() {
    let site = site();
    let mut draft = Draft::new(&site);
    let interfaces: Vec<_> =
        ["eth0", "eth1", "eth2"].map(|name| group_interface(name, "ib")).into();
    of_group::save(&mut draft, "compute", &interfaces).unwrap();
    let (after, made) = draft.finish();
    assert_eq!((made.edits.len(), made.inverse.len()), (3, 3), "the group and its two nodes");
    assert_eq!(after, rebuilt(&after));
    let mut draft = Draft::new(&after);
    for interface in ["eth2", "eth1", "eth0"] {
        of_group::remove(&mut draft, "compute", interface).unwrap();
    }
    // The nodes remember what they had.
    for name in ["node001", "node002"] {
        let former = Vec::new();
        let node = perilune_model::node::Node { former, ..node(&draft, name) };
        draft.put(node).unwrap();
    }
    let (back, made) = draft.finish();
    assert_eq!((&back, made.edits.len()), (&site, 3));
    let mut draft = Draft::new(&site);
    draft.remove(Kind::Node, "node001").unwrap();
    draft.put(node(&site, "node001")).unwrap();
    draft.put(perilune_model::group::Group { name: name("other"), ..Default::default() }).unwrap();
    draft.remove(Kind::Group, "other").unwrap();
    assert!(draft.finish().1.is_empty());
}

#[test]
fn what_belongs_to_a_node_goes_with_it_and_is_renamed_with_it() {
    let content = Some("c2VjcmV0".to_owned());
    let secret = secret::Request { name: name("one"), content, ..secret::Request::default() };
    let site = change(&site(), |draft| {
        secret::save(draft, secret::Owner::Node, "node001", &[secret])?;
        let device = rack::PlacementRequest {
            device: name("node001"),
            device_type: Some(rack::DeviceType::Node),
            ..rack::PlacementRequest::default()
        };
        let request = rack::Request { devices: vec![device], ..rack::Request::default() };
        rack::save(draft, &name("rack"), &request)
    });
    let renamed = change(&site, |draft| {
        let node = perilune_model::node::Node { name: name("renamed"), ..node(&site, "node001") };
        draft.rename(node, "node001")
    });
    let key = rack::Placement::key(rack::DeviceType::Node, "renamed");
    assert!(
        renamed.node_secrets().contains_key("renamed") && renamed.placements().contains_key(&key)
    );
    assert_eq!((renamed.node_secrets().len(), renamed.placements().len()), (1, 1));
    let removed = change(&renamed, |draft| draft.remove(Kind::Node, "renamed"));
    assert_eq!((removed.node_secrets().len(), removed.placements().len()), (0, 0));
    let is_node =
        |edit: &Edit| matches!(edit, Edit::Put(Object::Node(_)) | Edit::Remove(Kind::Node, _));
    let mut draft = Draft::new(&renamed);
    draft.remove(Kind::Node, "renamed").unwrap();
    assert_eq!(draft.finish().1.edits.iter().filter(|edit| is_node(edit)).count(), 1);
}
