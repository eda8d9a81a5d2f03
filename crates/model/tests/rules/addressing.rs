//! How nodes get the addresses that nobody names, and get them back.

use perilune_model::interface::{of_group, of_node};
use perilune_model::{Cluster, Patch, node};

use crate::site::{
    address, change, cluster, fields, group, group_interface, in_group, interface, name, node,
    refused, with_node,
};

fn numbered(interface: &str, network: &str, numbering: &str) -> of_group::Request {
    let numbering = Patch::Set(numbering.parse().unwrap());
    of_group::Request { numbering, ..group_interface(interface, network) }
}

/// The site with an interface in `ib` whose addresses are made so.
fn site(numbering: &str) -> Cluster {
    change(&cluster(), |draft| {
        of_group::save(draft, "compute", &[numbered("ib0", "ib", numbering)])
    })
}

fn at(interface_name: &str, address: &str) -> of_node::Request {
    of_node::Request { ipaddress: address.parse().ok(), ..interface(interface_name) }
}

#[test]
fn an_interface_gets_the_place_of_another_whatever_is_free() {
    for (numbering, expected) in [
        ("like BOOTIF", "10.149.0.7 fd00:149::7"),
        ("like BOOTIF+100", "10.149.0.107 fd00:149::6b"),
        ("first+100", "10.149.0.101 fd00:149::65"),
        ("first", "10.149.0.1 fd00:149::1"),
    ] {
        let request =
            node::Request { interfaces: vec![at("BOOTIF", "10.141.0.7")], ..in_group("compute") };
        let mut site = site(numbering);
        // The other is there before: in a request of both, the group's come first.
        site = change(&site, |draft| node::save(draft, &name("node007"), &request));
        site = change(&site, |draft| of_group::remove(draft, "compute", "ib0"));
        site = change(&site, |draft| {
            let mut forgetful = node(draft, "node007");
            forgetful.former.clear();
            draft.put(forgetful)
        });
        let again = [numbered("ib0", "ib", numbering)];
        site = change(&site, |draft| of_group::save(draft, "compute", &again));
        assert_eq!(address(&site, "node007", "ib0"), expected, "{numbering}");
    }
}

#[test]
fn the_address_that_another_is_like_may_be_given_in_the_same_request() {
    let request =
        node::Request { interfaces: vec![at("BOOTIF", "10.141.0.7")], ..in_group("compute") };
    let site = change(&site("like BOOTIF"), |draft| node::save(draft, &name("node007"), &request));
    assert_eq!(address(&site, "node007", "ib0"), "10.149.0.7 fd00:149::7");
}

#[test]
fn an_address_that_is_not_to_be_had_is_refused_with_its_holder() {
    let site = with_node(&site("like BOOTIF"), "node001");
    assert_eq!(address(&site, "node001", "ib0"), "10.149.0.1 fd00:149::1");
    let site = change(&site, |draft| of_node::save(draft, "node001", &[at("ib0", "10.149.0.2")]));
    let error = refused(&site, |draft| node::save(draft, &name("node002"), &in_group("compute")));
    assert!(error.to_string().contains("node001"), "{error}");
    let beyond = change(&site, |draft| {
        of_group::save(draft, "compute", &[numbered("ib0", "ib", "like BOOTIF+253")])
    });
    let error = refused(&beyond, |draft| node::save(draft, &name("node002"), &in_group("compute")));
    assert!(error.to_string().contains("not an address for a host"), "{error}");
}

#[test]
fn addresses_that_nodes_have_stay_when_the_rule_changes() {
    let site = with_node(&site("first"), "node001");
    let site = change(&site, |draft| of_node::save(draft, "node001", &[at("ib0", "10.149.0.77")]));
    let site = change(&site, |draft| {
        of_group::save(draft, "compute", &[numbered("ib0", "ib", "like BOOTIF")])
    });
    assert_eq!(address(&site, "node001", "ib0"), "10.149.0.77 fd00:149::1");
}

#[test]
fn what_others_are_like_is_not_removed_and_takes_them_along_when_it_is_renamed() {
    let site = site("like BOOTIF");
    let error = refused(&site, |draft| of_group::remove(draft, "compute", "BOOTIF"));
    assert_eq!(fields(&error), ["addressing"]);
    for wrong in ["like ib1", "like ib0"] {
        let error = refused(&site, |draft| {
            of_group::save(draft, "compute", &[numbered("ib0", "ib", wrong)])
        });
        assert_eq!(fields(&error), ["addressing"]);
    }
    let request = of_group::Request {
        new_name: Some(name("boot")),
        network: None,
        ..group_interface("BOOTIF", "cluster")
    };
    let site = change(&site, |draft| of_group::save(draft, "compute", &[request]));
    let numbering = &group(&site, "compute").interface("ib0").unwrap().numbering.to_string();
    assert_eq!(numbering, "like boot");
}

#[test]
fn an_interface_that_comes_back_gets_its_former_address_while_it_is_free() {
    let site = with_node(&with_node(&site("first"), "node001"), "node002");
    let removed = change(&site, |draft| of_group::remove(draft, "compute", "ib0"));
    let again = [group_interface("ib0", "ib")];
    // Others come first, and would take the first free one.
    let back = change(&removed, |draft| of_group::save(draft, "compute", &again));
    for node in ["node001", "node002"] {
        assert_eq!(address(&back, node, "ib0"), address(&site, node, "ib0"));
    }
    let in_ib = of_node::Request { network: Some(name("ib")), ..interface("ib0") };
    let one = change(&site, |draft| of_node::remove(draft, "node002", "ib0"));
    let one = change(&one, |draft| of_node::remove(draft, "node001", "ib0"));
    let one = change(&one, |draft| of_node::save(draft, "node002", std::slice::from_ref(&in_ib)));
    assert_eq!(address(&one, "node002", "ib0"), "10.149.0.2 fd00:149::2");
    let taken = change(&removed, |draft| {
        of_node::save(
            draft,
            "node002",
            &[of_node::Request { ipaddress: "10.149.0.1".parse().ok(), ..in_ib.clone() }],
        )
    });
    let taken =
        change(&taken, |draft| of_node::save(draft, "node001", std::slice::from_ref(&in_ib)));
    assert_eq!(address(&taken, "node001", "ib0"), "10.149.0.2 fd00:149::1", "the first free");
}

#[test]
fn an_interface_that_was_in_another_network_comes_back_to_its_address() {
    let site = with_node(&with_node(&site("first"), "node001"), "node002");
    let moved = change(&site, |draft| {
        of_group::save(draft, "compute", &[group_interface("ib0", "cluster")])
    });
    assert!(address(&moved, "node002", "ib0").starts_with("10.141."));
    let back =
        change(&moved, |draft| of_group::save(draft, "compute", &[group_interface("ib0", "ib")]));
    assert_eq!(address(&back, "node002", "ib0"), address(&site, "node002", "ib0"));
}
