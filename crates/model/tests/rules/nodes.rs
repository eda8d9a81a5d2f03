//! Nodes and their interfaces.

use perilune_model::effective::{Effective, Source};
use perilune_model::interface::{LinkRequest, of_node};
use perilune_model::network::Network;
use perilune_model::provisioning::TagChoice;
use perilune_model::{Error, Kind, Patch, Saved, node};

use crate::site::{
    address, change, cluster, fields, in_group, interface, mac, name, refused, with_node,
};

#[test]
fn a_new_node_gets_the_interfaces_of_its_group_and_the_first_free_addresses() {
    let cluster = with_node(&with_node(&cluster(), "node001"), "node002");
    assert_eq!(address(&cluster, "node001", "BOOTIF"), "10.141.0.1");
    assert_eq!(address(&cluster, "node002", "BOOTIF"), "10.141.0.2");
    assert_eq!(cluster.node("node001").unwrap().hostname(&cluster), "node001.cluster");
}

#[test]
fn a_new_node_needs_a_group_that_exists() {
    let without =
        refused(&cluster(), |draft| node::save(draft, &name("node001"), &node::Request::default()));
    assert_eq!(fields(&without), ["group"]);
    let unknown =
        refused(&cluster(), |draft| node::save(draft, &name("node001"), &in_group("login")));
    assert_eq!(fields(&unknown), ["group"]);
}

#[test]
fn an_address_that_is_given_is_taken_and_one_that_is_held_is_refused() {
    let given = of_node::Request { ipaddress: "10.141.0.77".parse().ok(), ..interface("BOOTIF") };
    let request = node::Request { interfaces: vec![given], ..in_group("compute") };
    let cluster = change(&cluster(), |draft| node::save(draft, &name("node001"), &request));
    assert_eq!(address(&cluster, "node001", "BOOTIF"), "10.141.0.77");
    let taken = refused(&cluster, |draft| node::save(draft, &name("node002"), &request));
    assert_eq!(fields(&taken), ["ipaddress"]);
    assert!(taken.to_string().contains("interface BOOTIF of node node001"), "{taken}");
}

#[test]
fn force_takes_the_address_from_another_node() {
    let cluster = with_node(&with_node(&cluster(), "node001"), "node002");
    let force = of_node::Request {
        ipaddress: "10.141.0.1".parse().ok(),
        force: true,
        ..interface("BOOTIF")
    };
    let cluster = change(&cluster, |draft| of_node::save(draft, "node002", &[force]));
    assert_eq!(address(&cluster, "node002", "BOOTIF"), "10.141.0.1");
    assert_eq!(address(&cluster, "node001", "BOOTIF"), "");
    let controllers = of_node::Request {
        ipaddress: "10.141.0.254".parse().ok(),
        force: true,
        ..interface("BOOTIF")
    };
    let refused = refused(&cluster, |draft| of_node::save(draft, "node002", &[controllers]));
    assert!(refused.to_string().contains("controller"), "{refused}");
}

#[test]
fn an_address_must_be_one_for_a_host_of_the_network() {
    let cluster = with_node(&cluster(), "node001");
    for text in ["10.142.0.1", "10.141.0.0", "10.141.0.255", "fd00::1"] {
        let request = of_node::Request { ipaddress: text.parse().ok(), ..interface("BOOTIF") };
        let refused = refused(&cluster, |draft| of_node::save(draft, "node001", &[request]));
        assert_eq!(fields(&refused), ["ipaddress"], "{text}");
    }
}

#[test]
fn a_hardware_address_is_held_once() {
    let cluster = with_node(&with_node(&cluster(), "node001"), "node002");
    let request = of_node::Request { macaddress: Patch::Set(mac(1)), ..interface("BOOTIF") };
    let cluster =
        change(&cluster, |draft| of_node::save(draft, "node001", std::slice::from_ref(&request)));
    assert_eq!(cluster.node_by_mac(mac(1)).unwrap().0.name, "node001");
    let refused = refused(&cluster, |draft| of_node::save(draft, "node002", &[request]));
    assert_eq!(fields(&refused), ["macaddress"]);
}

#[test]
fn an_interface_moves_to_another_network_and_gets_addresses_of_each_family_there() {
    let cluster = with_node(&cluster(), "node001");
    let request = of_node::Request { network: Some(name("ib")), ..interface("BOOTIF") };
    let cluster = change(&cluster, |draft| of_node::save(draft, "node001", &[request]));
    assert_eq!(address(&cluster, "node001", "BOOTIF"), "10.149.0.1 fd00:149::1");
}

#[test]
fn dhcp_off_keeps_the_address_that_there_is() {
    let cluster = with_node(&cluster(), "node001");
    let request = of_node::Request { dhcp: Some(false), ..interface("BOOTIF") };
    let cluster = change(&cluster, |draft| of_node::save(draft, "node001", &[request]));
    assert_eq!(address(&cluster, "node001", "BOOTIF"), "10.141.0.1");
}

#[test]
fn a_full_network_refuses_the_next_node() {
    let mut tiny = cluster();
    let network = Network {
        name: name("cluster"),
        ipv4: "10.141.0.252/30".parse().ok(),
        ..Network::default()
    };
    tiny = change(&tiny, |draft| draft.put(network));
    tiny = with_node(&tiny, "node001");
    let refused = refused(&tiny, |draft| node::save(draft, &name("node002"), &in_group("compute")));
    assert_eq!(refused, Error::Exhausted { network: "cluster".into() });
}

#[test]
fn a_node_is_renamed_with_its_addresses_and_not_onto_another() {
    let cluster = with_node(&with_node(&cluster(), "node001"), "node002");
    let request =
        |new: &str| node::Request { new_name: Some(name(new)), ..node::Request::default() };
    let taken = refused(&cluster, |draft| node::save(draft, &name("node001"), &request("node002")));
    assert!(matches!(taken, Error::AlreadyExists { kind: Kind::Node, .. }));
    let cluster = change(&cluster, |draft| node::save(draft, &name("node001"), &request("login")));
    assert!(cluster.node("node001").is_err());
    assert_eq!(address(&cluster, "login", "BOOTIF"), "10.141.0.1");
}

#[test]
fn a_clone_has_the_next_address_and_no_hardware_address() {
    let given = of_node::Request {
        ipaddress: "10.141.0.77".parse().ok(),
        macaddress: Patch::Set(mac(1)),
        link: LinkRequest { mtu: Patch::Set(9000), ..LinkRequest::default() },
        ..interface("BOOTIF")
    };
    let request = node::Request { interfaces: vec![given], ..in_group("compute") };
    let cluster = change(&cluster(), |draft| node::save(draft, &name("node001"), &request));
    let cluster = change(&cluster, |draft| {
        node::clone(draft, "node001", &name("node002"), &node::Request::default())
    });
    assert_eq!(address(&cluster, "node002", "BOOTIF"), "10.141.0.78");
    let clone = cluster.node("node002").unwrap().interface("BOOTIF").unwrap().clone();
    assert_eq!(clone.macaddress, None);
    assert_eq!(clone.link.mtu, Some(9000));
}

#[test]
fn another_image_resets_the_tag_and_a_tag_must_be_one_of_the_image() {
    let mut request = in_group("compute");
    request.provisioning.osimagetag = Patch::Set(TagChoice::Named(name("nothing")));
    let inherits = refused(&cluster(), |draft| node::save(draft, &name("node001"), &request));
    assert_eq!(fields(&inherits), ["osimagetag"]);
    request.provisioning.osimagetag = Patch::Set(TagChoice::Named(name("stable")));
    let inherits = change(&cluster(), |draft| node::save(draft, &name("node001"), &request));
    let node = inherits.node("node001").unwrap();
    assert_eq!(Effective::of_node(&inherits, node).osimagetag().value, Some(&name("stable")));
    request.provisioning.osimage = Patch::Set(name("compute"));
    let cluster = change(&cluster(), |draft| node::save(draft, &name("node001"), &request));
    let node = cluster.node("node001").unwrap();
    assert_eq!(Effective::of_node(&cluster, node).osimagetag().value, Some(&name("stable")));
    let mut reset = node::Request::default();
    reset.provisioning.osimage = Patch::Clear;
    let cluster = change(&cluster, |draft| node::save(draft, &name("node001"), &reset));
    let node = cluster.node("node001").unwrap();
    assert_eq!(node.provisioning.osimagetag, None);
    assert_eq!(Effective::of_node(&cluster, node).osimage().source, Source::Group);
}

#[test]
fn saving_tells_what_it_came_to_and_the_same_again_changes_nothing() {
    let cluster = cluster();
    let mut draft = perilune_model::Draft::new(&cluster);
    assert_eq!(
        node::save(&mut draft, &name("node001"), &in_group("compute")).unwrap(),
        Saved::Created
    );
    let (cluster, change) = draft.finish();
    assert_eq!(change.edits.len(), 1, "one row is stored for one node");
    let mut draft = perilune_model::Draft::new(&cluster);
    assert_eq!(
        node::save(&mut draft, &name("node001"), &node::Request::default()).unwrap(),
        Saved::Updated
    );
    assert!(draft.finish().1.is_empty());
}

#[test]
fn an_interface_is_removed_with_its_addresses() {
    let cluster = with_node(&cluster(), "node001");
    let cluster = change(&cluster, |draft| of_node::remove(draft, "node001", "BOOTIF"));
    assert!(cluster.holder("10.141.0.1".parse().unwrap()).is_none());
    let again = refused(&cluster, |draft| of_node::remove(draft, "node001", "BOOTIF"));
    assert!(matches!(again, Error::NoPart { .. }));
}
