//! VLANs and the interfaces that carry them.

use perilune_model::interface::{LinkRequest, of_group, of_node};
use perilune_model::network::{self, Request};
use perilune_model::{Patch, interface::oversized_vlan, node};

use crate::site::{
    change, cluster, fields, group_interface, in_group, interface, name, refused, with_node,
};

fn link(mtu: u16, parent: Option<&str>) -> LinkRequest {
    LinkRequest {
        mtu: Patch::Set(mtu),
        vlanid: parent.map_or(Patch::Keep, |_| Patch::Set(7)),
        vlan_parent: parent.map_or(Patch::Keep, |parent| Patch::Set(parent.to_owned())),
        ..LinkRequest::default()
    }
}

#[test]
fn a_vlan_may_be_smaller_than_its_parent_and_not_larger_whoever_changes() {
    let of_group = |interface: &str, network: &str, link: LinkRequest| of_group::Request {
        link,
        ..group_interface(interface, network)
    };
    let parent = of_group("BOOTIF", "cluster", link(9000, None));
    let vlan = of_group("vlan7", "ib", link(1500, Some("BOOTIF")));
    let site = change(&with_node(&cluster(), "node001"), |draft| {
        of_group::save(draft, "compute", &[parent.clone(), vlan.clone()])
    });
    let node = site.node("node001").unwrap();
    assert_eq!(node.interface("vlan7").unwrap().link.mtu, Some(1500));
    // From the side of the VLAN, and from that of its parent.
    for (interface, network, link) in
        [("vlan7", "ib", link(9001, None)), ("BOOTIF", "cluster", link(1400, None))]
    {
        let request = of_group(interface, network, link);
        let error = refused(&site, |draft| {
            of_group::save(draft, "compute", std::slice::from_ref(&request))
        });
        assert_eq!(fields(&error), ["mtu"]);
    }
    for (name, link) in [("vlan7", link(9001, None)), ("BOOTIF", link(1400, None))] {
        let request = of_node::Request { link, ..interface(name) };
        let error =
            refused(&site, |draft| of_node::save(draft, "node001", std::slice::from_ref(&request)));
        assert_eq!(fields(&error), ["mtu"]);
    }
    // Both at once, in whatever order.
    let both = [
        of_group("vlan7", "ib", link(9100, None)),
        of_group("BOOTIF", "cluster", link(9216, None)),
    ];
    let site = change(&site, |draft| of_group::save(draft, "compute", &both));
    let joined = change(&site, |draft| node::save(draft, &name("node002"), &in_group("compute")));
    let node = joined.node("node002").unwrap();
    let links: Vec<_> = node.interfaces.iter().map(|own| (&own.name, &own.link)).collect();
    assert_eq!(oversized_vlan(&links), None);
}

#[test]
fn a_network_that_shares_the_wire_of_none_that_is_there_is_refused_by_that_field() {
    let request = Request { shared: Patch::Set(name("nobody")), ..Request::default() };
    let error = refused(&cluster(), |draft| network::save(draft, &name("ib"), &request));
    assert_eq!(fields(&error), ["shared"]);
    assert!(error.to_string().contains("nobody"), "{error}");
}
