//! What is taken and may be a slip is said, once, of what the change itself says.

use perilune_model::interface::{LinkRequest, of_group, of_node};
use perilune_model::network::{Network, RangeRequest, Request};
use perilune_model::{Cluster, Draft, Error, Patch, network, node};

use crate::site::{
    change, cluster, group_interface, in_group, interface, name, refused, with_node,
};

/// The network `cluster` lends 10.141.0.100 to 10.141.0.199.
fn lending() -> Cluster {
    let dhcp = RangeRequest {
        dhcp: Some(true),
        begin: Patch::Set("10.141.0.100".parse().unwrap()),
        end: Patch::Set("10.141.0.199".parse().unwrap()),
        ..RangeRequest::default()
    };
    let request = Request { dhcp, ..Request::default() };
    with_node(
        &change(&cluster(), |draft| network::save(draft, &name("cluster"), &request)),
        "node001",
    )
}

fn remarks<T>(
    cluster: &Cluster,
    decide: impl FnOnce(&mut Draft) -> Result<T, Error>,
) -> (Cluster, Vec<String>) {
    let mut draft = Draft::new(cluster);
    decide(&mut draft).unwrap();
    let remarks = draft.remarks();
    (draft.finish().0, remarks)
}

fn at(address: &str) -> of_node::Request {
    of_node::Request { ipaddress: address.parse().ok(), ..interface("BOOTIF") }
}

#[test]
fn an_address_in_a_dynamic_range_is_remarked_when_it_is_given_and_not_again() {
    let site = lending();
    let give = |cluster: &Cluster, address: &str| {
        remarks(cluster, |draft| of_node::save(draft, "node001", &[at(address)]))
    };
    for outside in ["10.141.0.99", "10.141.0.200"] {
        assert_eq!(give(&site, outside).1, Vec::<String>::new(), "{outside}");
    }
    for inside in ["10.141.0.100", "10.141.0.199"] {
        let (_, said) = give(&site, inside);
        let [said] = &said[..] else { panic!("{said:?}") };
        for word in [inside, "node001", "BOOTIF", "10.141.0.100 to 10.141.0.199", "cluster"] {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
    let (site, _) = give(&site, "10.141.0.150");
    let comment = || node::Request { comment: Patch::Set("x".to_owned()), ..in_group("compute") };
    let (site, said) = remarks(&site, |draft| node::save(draft, &name("node001"), &comment()));
    assert_eq!(said, Vec::<String>::new(), "it was said before");
    // Nodes that get addresses of the range have them by intent.
    let dhcp = RangeRequest { nodes_in_pool: Some(true), ..RangeRequest::default() };
    let in_pool = Request { dhcp, ..Request::default() };
    let site = change(&site, |draft| network::save(draft, &name("cluster"), &in_pool));
    assert_eq!(give(&site, "10.141.0.151").1, Vec::<String>::new());
}

#[test]
fn a_range_that_is_laid_over_addresses_is_remarked_with_those_that_move() {
    let dhcp = RangeRequest {
        dhcp: Some(true),
        begin: Patch::Set("10.141.0.1".parse().unwrap()),
        end: Patch::Set("10.141.0.20".parse().unwrap()),
        ..RangeRequest::default()
    };
    let request = Request {
        dhcp,
        nameserver_ip: Patch::Set("10.141.0.20".to_owned().into()),
        ..Request::default()
    };
    let mut site = cluster();
    for number in 1..=7 {
        site = with_node(&site, &format!("node{number}"));
    }
    let (site, said) = remarks(&site, |draft| network::save(draft, &name("cluster"), &request));
    let [moved, held] = &said[..] else { panic!("{said:?}") };
    assert!(
        moved.contains("interface BOOTIF of node node1 (10.141.0.1 -> 10.141.0.21)"),
        "{moved}"
    );
    assert!(moved.ends_with("and 2 more"), "{moved}");
    assert!(held.contains("10.141.0.20 (a name server of network 'cluster')"), "{held}");
    let other = Request { comment: Patch::Set("x".to_owned()), ..Request::default() };
    let again = remarks(&site, |draft| network::save(draft, &name("cluster"), &other));
    assert_eq!(again.1, Vec::<String>::new());
    // Who gives a node another address knows it.
    let (_, said) = remarks(&site, |draft| of_node::save(draft, "node1", &[at("10.141.0.77")]));
    assert_eq!(said, Vec::<String>::new());
}

#[test]
fn a_port_of_two_nodes_is_remarked_to_whoever_is_the_second() {
    let mut site = with_node(&with_node(&cluster(), "a"), "b");
    let switch = perilune_model::device::Switch { name: name("sw1"), ..Default::default() };
    site = change(&site, |draft| draft.put(switch));
    let put = |port: &str| node::Request {
        switch: Patch::Set(name("sw1")),
        switchport: Patch::Set(port.to_owned()),
        ..in_group("compute")
    };
    let (site, said) = remarks(&site, |draft| node::save(draft, &name("a"), &put("7")));
    assert_eq!(said, Vec::<String>::new());
    let (site, said) = remarks(&site, |draft| node::save(draft, &name("b"), &put("7")));
    assert!(said.len() == 1 && said[0].starts_with("a, b are all at port 7 of sw1"), "{said:?}");
    let (_, said) = remarks(&site, |draft| node::save(draft, &name("b"), &put("8")));
    assert_eq!(said, Vec::<String>::new());
}

#[test]
fn carriers_that_are_no_interfaces_are_remarked_of_groups_and_once_for_all_nodes() {
    let link = |parent: &str| LinkRequest {
        vlanid: Patch::Set(7),
        vlan_parent: Patch::Set(parent.to_owned()),
        ..LinkRequest::default()
    };
    let vlan =
        |parent: &str| of_group::Request { link: link(parent), ..group_interface("vlan7", "ib") };
    let mut site = cluster();
    for number in 1..=3 {
        site = with_node(&site, &format!("node{number}"));
    }
    let save = |parent: &str| {
        let request = vlan(parent);
        remarks(&site, |draft| of_group::save(draft, "compute", std::slice::from_ref(&request)))
    };
    assert_eq!(save("BOOTIF").1, Vec::<String>::new());
    let (_, said) = save("BOOTFI");
    let [said] = &said[..] else { panic!("{said:?}") };
    assert!(said.contains("vlan7 is a VLAN on BOOTFI"), "{said}");
    assert!(said.contains("group compute") && said.contains("node node3"), "{said}");
}

#[test]
fn a_kind_of_wire_that_nobody_knows_is_remarked() {
    let of = |kind: &str| {
        let request = Request { r#type: Patch::Set(kind.to_owned()), ..Request::default() };
        remarks(&cluster(), |draft| network::save(draft, &name("ib"), &request)).1
    };
    assert_eq!(of("infiniband"), Vec::<String>::new());
    assert_eq!(of("ethernet"), Vec::<String>::new());
    let said = of("infinband");
    assert!(said.len() == 1 && said[0].contains("'infinband'"), "{said:?}");
}

#[test]
fn a_thousand_slips_are_twenty_remarks_at_most_and_a_refusal_makes_none() {
    let mut draft = Draft::new(&cluster());
    for number in 0..30 {
        let network = Network {
            name: name(&format!("n{number}")),
            ipv4: format!("10.150.{number}.0/24").parse().ok(),
            r#type: Some(format!("odd{number}")),
            ..Network::default()
        };
        draft.put(network).unwrap();
    }
    assert_eq!(draft.remarks().len(), 20);
    refused(&cluster(), |draft| of_node::save(draft, "nobody", &[at("10.141.0.7")]));
}
