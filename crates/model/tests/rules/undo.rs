//! Taking back what was done, on a cluster that has moved on.

use perilune_model::group;
use perilune_model::image::{self, activate_tag, remove_tag};
use perilune_model::network::{self, Request};
use perilune_model::provisioning::TagChoice;
use perilune_model::{Cluster, Draft, Edit, Error, Kind, Patch, node};

use crate::site::{address, change, cluster, fields, in_group, name, refused, with_node};

/// The cluster after a change, and what takes the change back.
fn done<T>(
    cluster: &Cluster,
    decide: impl FnOnce(&mut Draft) -> Result<T, Error>,
) -> (Cluster, Vec<Edit>) {
    let mut draft = Draft::new(cluster);
    decide(&mut draft).unwrap();
    let (cluster, change) = draft.finish();
    (cluster, change.inverse)
}

fn in_range(range: &str) -> Request {
    Request { range: range.parse().ok(), ..Request::default() }
}

#[test]
fn a_moved_network_goes_back_with_its_nodes() {
    let before = with_node(
        &change(&cluster(), |draft| draft.remove(Kind::Controller, "controller")),
        "node001",
    );
    let (moved, inverse) =
        done(&before, |draft| network::save(draft, &name("cluster"), &in_range("10.142.0.0/24")));
    assert_eq!(address(&moved, "node001", "BOOTIF"), "10.142.0.1");
    assert_eq!(change(&moved, |draft| draft.replay(&inverse)), before);
}

#[test]
fn a_network_does_not_go_back_to_where_a_device_of_today_is_not() {
    let (moved, inverse) =
        done(&cluster(), |draft| network::save(draft, &name("ib"), &in_range("10.150.0.0/24")));
    let in_ib = crate::site::interface("eth0");
    let in_ib = perilune_model::interface::of_node::Request { network: Some(name("ib")), ..in_ib };
    let request = node::Request { interfaces: vec![in_ib], ..in_group("compute") };
    let now = change(&moved, |draft| node::save(draft, &name("node001"), &request));
    let refusal = refused(&now, |draft| draft.replay(&inverse));
    assert_eq!(fields(&refusal), ["network"]);
    assert!(refusal.to_string().contains("interface eth0 of node node001"), "{refusal}");
    assert!(refusal.to_string().contains("10.150.0.1"), "{refusal}");
}

#[test]
fn a_network_does_not_come_back_where_another_is_by_now() {
    let (without, inverse) = done(&cluster(), |draft| draft.remove(Kind::Network, "ib"));
    assert!(change(&without, |draft| draft.replay(&inverse)).network("ib").is_ok());
    let now = change(&without, |draft| {
        network::save(draft, &name("storage"), &in_range("10.149.0.0/16"))
    });
    assert_eq!(fields(&refused(&now, |draft| draft.replay(&inverse))), ["network"]);
}

#[test]
fn a_tag_that_is_gone_is_named_by_nobody_again() {
    let mut tagged = group::Request::default();
    tagged.provisioning.osimagetag = Patch::Set(TagChoice::Named(name("stable")));
    let mut untagged = group::Request::default();
    untagged.provisioning.osimagetag = Patch::Clear;
    let with_tag = change(&cluster(), |draft| group::save(draft, &name("compute"), &tagged));
    let (cleared, inverse) =
        done(&with_tag, |draft| group::save(draft, &name("compute"), &untagged));
    assert_eq!(change(&cleared, |draft| draft.replay(&inverse)), with_tag);
    let gone = change(&cleared, |draft| remove_tag(draft, "compute", "stable"));
    assert_eq!(fields(&refused(&gone, |draft| draft.replay(&inverse))), ["osimagetag"]);
}

#[test]
fn a_tag_that_is_in_use_by_now_is_not_taken_away() {
    let (made, inverse) =
        done(&cluster(), |draft| activate_tag(draft, "compute", &Patch::Set(name("new"))));
    assert_eq!(change(&made, |draft| draft.replay(&inverse)), cluster());
    let mut request = in_group("compute");
    request.provisioning.osimage = Patch::Set(name("compute"));
    request.provisioning.osimagetag = Patch::Set(TagChoice::Named(name("new")));
    let used = change(&made, |draft| node::save(draft, &name("node001"), &request));
    let refusal = refused(&used, |draft| draft.replay(&inverse));
    assert_eq!(fields(&refusal), ["osimagetag"]);
    assert!(refusal.to_string().contains("node001"), "{refusal}");
    assert!(image::members(&used, "compute").unwrap().contains(&name("node001")));
}
