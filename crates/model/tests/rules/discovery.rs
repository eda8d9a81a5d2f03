//! Machines that nobody described.

use perilune_model::settings::Settings;
use perilune_model::{Cluster, Draft, discovery};

use crate::site::{address, change, cluster, mac, name, with_node};

fn discovering(cluster: &Cluster, settings: Settings) -> Cluster {
    change(cluster, |draft| draft.put(Settings { nextnode_discover: true, ..settings }))
}

fn discover(cluster: &Cluster, last: u8) -> (Option<String>, Cluster) {
    let mut draft = Draft::new(cluster);
    let name = discovery::discover(&mut draft, mac(last)).unwrap();
    (name.map(|name| name.to_string()), draft.finish().0)
}

#[test]
fn nothing_is_made_of_an_unknown_machine_unless_the_cluster_says_so() {
    assert_eq!(discover(&with_node(&cluster(), "node001"), 1).0, None);
}

#[test]
fn it_becomes_the_first_node_without_a_hardware_address_and_then_a_new_one() {
    let cluster = discovering(&with_node(&cluster(), "node007"), Settings::default());
    let (first, cluster) = discover(&cluster, 1);
    assert_eq!(first.as_deref(), Some("node007"));
    let (second, cluster) = discover(&cluster, 2);
    assert_eq!(second.as_deref(), Some("node008"));
    assert_eq!(address(&cluster, "node008", "BOOTIF"), "10.141.0.2");
    assert_eq!(cluster.node_by_mac(mac(2)).unwrap().0.name, "node008");
}

#[test]
fn it_is_named_by_its_hardware_address_when_that_is_wanted() {
    let cluster =
        discovering(&cluster(), Settings { createnode_macashost: true, ..Settings::default() });
    assert_eq!(discover(&cluster, 1).0.as_deref(), Some("525400000001"));
}

#[test]
fn an_empty_group_begins_to_count() {
    let cluster = discovering(&cluster(), Settings::default());
    assert_eq!(discover(&cluster, 1).0.as_deref(), Some("compute001"));
}

#[test]
fn no_node_is_made_when_none_may_be() {
    let cluster =
        discovering(&cluster(), Settings { createnode_ondemand: false, ..Settings::default() });
    assert_eq!(discover(&cluster, 1).0, None);
}

#[test]
fn assigning_takes_the_hardware_address_from_whoever_had_it() {
    let cluster = with_node(&with_node(&cluster(), "node001"), "node002");
    let cluster = change(&cluster, |draft| discovery::assign(draft, "node001", mac(1)));
    let cluster = change(&cluster, |draft| discovery::assign(draft, "node002", mac(1)));
    assert_eq!(cluster.node_by_mac(mac(1)).unwrap().0.name, "node002");
    assert_eq!(cluster.node("node001").unwrap().interface("BOOTIF").unwrap().macaddress, None);
    let claimed =
        discovery::claim(&mut Draft::new(&cluster), mac(9), Some(&name("compute"))).unwrap();
    assert_eq!(claimed.unwrap(), "node001");
}
