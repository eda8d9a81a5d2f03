//! Groups and what their nodes inherit.

use perilune_model::interface::{LinkRequest, of_group};
use perilune_model::{Error, Kind, Patch, group, node};

use crate::site::{
    address, change, cluster, fields, group as group_of, group_interface, in_group, name,
    node as node_of, refused, with_node,
};

#[test]
fn a_new_group_boots_in_the_controllers_network() {
    let cluster =
        change(&cluster(), |draft| group::save(draft, &name("login"), &group::Request::default()));
    let interface = group_of(&cluster, "login").interface("BOOTIF").unwrap().clone();
    assert_eq!(interface.network, "cluster");
}

#[test]
fn a_bmc_setup_needs_its_interface_at_creation() {
    let mut request = group::Request::default();
    request.provisioning.setupbmc = Patch::Set(true);
    let refused = refused(&cluster(), |draft| group::save(draft, &name("login"), &request));
    assert_eq!(fields(&refused), ["setupbmc"]);
}

#[test]
fn an_interface_of_a_group_comes_to_its_nodes_changes_there_and_goes() {
    let cluster = with_node(&with_node(&cluster(), "node001"), "node002");
    let mut request = group_interface("ib0", "ib");
    request.link = LinkRequest { mtu: Patch::Set(4092), ..LinkRequest::default() };
    let cluster = change(&cluster, |draft| of_group::save(draft, "compute", &[request]));
    assert_eq!(address(&cluster, "node001", "ib0"), "10.149.0.1 fd00:149::1");
    assert_eq!(address(&cluster, "node002", "ib0"), "10.149.0.2 fd00:149::2");
    assert_eq!(node_of(&cluster, "node001").interface("ib0").unwrap().link.mtu, Some(4092));

    let cluster = change(&cluster, |draft| {
        of_group::save(draft, "compute", &[group_interface("ib0", "cluster")])
    });
    assert_eq!(address(&cluster, "node001", "ib0"), "10.141.0.3");

    let cluster = change(&cluster, |draft| of_group::remove(draft, "compute", "ib0"));
    assert!(node_of(&cluster, "node001").interface("ib0").is_none());
    assert!(cluster.holder("10.141.0.3".parse().unwrap()).is_none());
}

#[test]
fn an_interface_is_renamed_on_the_nodes_too() {
    let cluster = with_node(&cluster(), "node001");
    let request = of_group::Request {
        interface: name("BOOTIF"),
        new_name: Some(name("eth0")),
        ..of_group::Request::default()
    };
    let cluster = change(&cluster, |draft| of_group::save(draft, "compute", &[request]));
    assert_eq!(address(&cluster, "node001", "eth0"), "10.141.0.1");
    assert!(node_of(&cluster, "node001").interface("BOOTIF").is_none());
}

#[test]
fn a_node_that_changes_its_group_gives_up_what_only_the_old_one_gave() {
    let mut cluster = with_node(&cluster(), "node001");
    cluster =
        change(&cluster, |draft| of_group::save(draft, "compute", &[group_interface("ib0", "ib")]));
    cluster =
        change(&cluster, |draft| group::save(draft, &name("login"), &group::Request::default()));
    cluster = change(&cluster, |draft| node::save(draft, &name("node001"), &in_group("login")));
    assert!(node_of(&cluster, "node001").interface("ib0").is_none());
    assert_eq!(
        address(&cluster, "node001", "BOOTIF"),
        "10.141.0.1",
        "what both give stays as it was"
    );
}

#[test]
fn a_group_with_nodes_stays_and_says_whose_it_is() {
    let cluster = with_node(&cluster(), "node001");
    let refused = refused(&cluster, |draft| draft.remove(Kind::Group, "compute"));
    assert_eq!(
        refused,
        Error::InUse { kind: Kind::Group, name: "compute".into(), by: vec!["node node001".into()] }
    );
}

#[test]
fn a_renamed_group_keeps_its_nodes() {
    let cluster = with_node(&cluster(), "node001");
    let request = group::Request { new_name: Some(name("batch")), ..group::Request::default() };
    let cluster = change(&cluster, |draft| group::save(draft, &name("compute"), &request));
    assert_eq!(node_of(&cluster, "node001").group, "batch");
    assert_eq!(cluster.members("batch").count(), 1);
    assert_eq!(cluster.members("compute").count(), 0);
}

#[test]
fn a_clone_has_the_settings_and_interfaces_and_no_nodes() {
    let cluster = with_node(&cluster(), "node001");
    let request = group::Request::default();
    let cluster = change(&cluster, |draft| group::clone(draft, "compute", &name("gpu"), &request));
    assert_eq!(group_of(&cluster, "gpu").provisioning, group_of(&cluster, "compute").provisioning);
    assert_eq!(group_of(&cluster, "gpu").interfaces, group_of(&cluster, "compute").interfaces);
    assert_eq!(cluster.members("gpu").count(), 0);
}
