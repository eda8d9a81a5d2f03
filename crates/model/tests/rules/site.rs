//! A small cluster to begin with.

use perilune_model::controller::Controller;
use perilune_model::group::{self, Group};
use perilune_model::image::{Image, Tag};
use perilune_model::interface::{of_group, of_node};
use perilune_model::network::Network;
use perilune_model::node::Node;
use perilune_model::{Addresses, Cluster, Draft, Error, MacAddress, Name, Patch, node};

pub(crate) fn name(text: &str) -> Name {
    Name::trusted(text)
}

pub(crate) fn mac(last: u8) -> MacAddress {
    MacAddress::ethernet([0x52, 0x54, 0, 0, 0, last])
}

/// Networks `cluster` (10.141.0.0/24) and `ib` (10.149.0.0/24, and IPv6), image `compute` with tag `stable`, group `compute` with
/// `BOOTIF` in `cluster`, and the controller at 10.141.0.254.
pub(crate) fn cluster() -> Cluster {
    let mut draft = Draft::new(&Cluster::default());
    let cluster =
        Network { name: name("cluster"), ipv4: "10.141.0.0/24".parse().ok(), ..Network::default() };
    let ib = Network {
        name: name("ib"),
        ipv4: "10.149.0.0/24".parse().ok(),
        ipv6: "fd00:149::/64".parse().ok(),
        ..Network::default()
    };
    draft.put(cluster).unwrap();
    draft.put(ib).unwrap();
    draft
        .put(Controller {
            name: name("controller"),
            beacon: true,
            addresses: Addresses { ipv4: "10.141.0.254".parse().ok(), ipv6: None },
            network: Some(name("cluster")),
            ..Controller::default()
        })
        .unwrap();
    let tag = Tag { name: name("stable"), ..Tag::default() };
    draft.put(Image { name: name("compute"), tags: vec![tag], ..Image::default() }).unwrap();
    let mut request = group::Request::default();
    request.provisioning.osimage = Patch::Set(name("compute"));
    group::save(&mut draft, &name("compute"), &request).unwrap();
    draft.finish().0
}

pub(crate) fn change<T>(
    cluster: &Cluster,
    decide: impl FnOnce(&mut Draft) -> Result<T, Error>,
) -> Cluster {
    let mut draft = Draft::new(cluster);
    decide(&mut draft).unwrap();
    draft.finish().0
}

pub(crate) fn refused<T: std::fmt::Debug>(
    cluster: &Cluster,
    decide: impl FnOnce(&mut Draft) -> Result<T, Error>,
) -> Error {
    decide(&mut Draft::new(cluster)).unwrap_err()
}

/// The fields that a refusal is about.
pub(crate) fn fields(error: &Error) -> Vec<String> {
    let Error::Invalid(violations) = error else { panic!("{error:?}") };
    violations.iter().map(|violation| violation.field.clone()).collect()
}

pub(crate) fn in_group(group: &str) -> node::Request {
    node::Request { group: Some(name(group)), ..node::Request::default() }
}

pub(crate) fn interface(interface: &str) -> of_node::Request {
    of_node::Request { interface: name(interface), ..of_node::Request::default() }
}

pub(crate) fn group_interface(interface: &str, network: &str) -> of_group::Request {
    of_group::Request {
        interface: name(interface),
        network: Some(name(network)),
        ..of_group::Request::default()
    }
}

pub(crate) fn with_node(cluster: &Cluster, node: &str) -> Cluster {
    change(cluster, |draft| node::save(draft, &name(node), &in_group("compute")))
}

pub(crate) fn address(cluster: &Cluster, node: &str, interface: &str) -> String {
    let interface = cluster.node(node).unwrap().interface(interface).unwrap().clone();
    interface.addresses.iter().map(|address| address.to_string()).collect::<Vec<_>>().join(" ")
}

pub(crate) fn node(cluster: &Cluster, node: &str) -> Node {
    Node::clone(cluster.node(node).unwrap())
}

pub(crate) fn group(cluster: &Cluster, group: &str) -> Group {
    Group::clone(cluster.group(group).unwrap())
}
