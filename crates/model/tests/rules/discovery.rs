//! Machines that nobody described.

use perilune_model::device::{Cloud, OtherDevice, Port, Switch};
use perilune_model::discovery::{
    ClaimRule, Decision, Evidence, Identified, Place, Reason, Wish, rules,
};
use perilune_model::node::Node;
use perilune_model::reservation::Reservation;
use perilune_model::settings::Settings;
use perilune_model::{Cluster, Draft, Kind, MacAddress, discovery};

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

#[test]
fn a_machine_that_asks_twice_to_be_a_node_of_a_group_is_one_node() {
    let cluster = with_node(&with_node(&cluster(), "node001"), "node002");
    let cluster = change(&cluster, |draft| discovery::assign(draft, "node002", mac(1)));
    let mut draft = Draft::new(&cluster);
    for _ in 0..2 {
        let claimed = discovery::claim(&mut draft, mac(1), Some(&name("compute"))).unwrap();
        assert_eq!(claimed.unwrap(), "node002");
    }
    assert!(draft.finish().1.is_empty());
}

#[test]
fn a_switch_or_another_device_that_is_described_becomes_no_node_by_itself() {
    let site = discovering(&with_node(&cluster(), "node001"), Settings::default());
    let of = |mac: &str| Some(mac.to_owned());
    let site = change(&site, |draft| {
        let macaddress = of("52-54-00-00-00-01");
        draft.put(Switch { name: name("leaf"), macaddress, ..Switch::default() })?;
        let macaddress = of("52:54:00:00:00:02");
        draft.put(OtherDevice { name: name("filer"), macaddress, ..OtherDevice::default() })
    });
    let identified = |last: u8| {
        let mut draft = Draft::new(&site);
        discovery::identify(&mut draft, mac(last), &Evidence::default(), 0).unwrap()
    };
    assert_eq!(identified(1), Identified::Unknown);
    assert_eq!(identified(2), Identified::Unknown);
    assert_eq!(identified(3), Identified::Became(name("node001"), Reason::Next));
}

#[test]
fn what_is_reserved_of_infiniband_is_reserved_in_every_form() {
    const GUID: &str = "00:02:c9:03:00:00:10:39";
    let link = format!("80:00:02:08:fe:80:00:00:00:00:00:00:{GUID}");
    for kept in [GUID, &link] {
        let macaddresses = vec![kept.parse().unwrap()];
        let reservation = Reservation { name: name("kept"), macaddresses, ..Default::default() };
        let site = change(&cluster(), |draft| draft.put(reservation));
        for asked in [GUID, &link] {
            assert!(site.reservation_by_mac(asked.parse().unwrap()).is_some(), "{kept} {asked}");
        }
        let released = change(&site, |draft| draft.remove(Kind::Reservation, "kept"));
        assert!(released.reservation_by_mac(GUID.parse().unwrap()).is_none());
    }
}

#[test]
fn what_is_the_hardware_address_of_no_machine_becomes_no_node() {
    let mut draft = Draft::new(&with_node(&cluster(), "node001"));
    for bytes in [[0; 6], [0xff; 6]] {
        let refused =
            discovery::assign(&mut draft, "node001", MacAddress::ethernet(bytes)).unwrap_err();
        assert!(refused.to_string().contains("macaddress"), "{refused}");
    }
}

#[test]
fn a_port_of_infiniband_is_one_nodes_in_whatever_form_it_is_given() {
    const GUID: &str = "00:02:c9:03:00:00:10:39";
    let link = |head: &str| format!("{head}:fe:80:00:00:00:00:00:00:{GUID}");
    let (guid, here, moved) = (
        GUID.parse::<MacAddress>().unwrap(),
        link("80:00:02:08").parse::<MacAddress>().unwrap(),
        link("80:00:0a:1b").parse::<MacAddress>().unwrap(),
    );
    for known in [guid, here] {
        let site = with_node(&with_node(&cluster(), "node001"), "node002");
        let mut draft = Draft::new(&site);
        discovery::assign(&mut draft, "node001", known).unwrap();
        for asked in [guid, here, moved] {
            assert_eq!(draft.node_by_mac(asked).unwrap().0.name, "node001");
        }
        // It becomes another's: it is nobody else's then.
        discovery::assign(&mut draft, "node002", moved).unwrap();
        assert_eq!(draft.node_by_mac(guid).unwrap().0.name, "node002");
        let (after, _) = draft.finish();
        assert_eq!(after.node("node001").unwrap().boot_interface().unwrap().macaddress, None);
        // Two nodes with it are refused.
        let mut draft = Draft::new(&after);
        let mut node = Node::clone(after.node("node001").unwrap());
        node.interfaces[0].macaddress = Some(guid);
        let refused = draft.put(node).unwrap_err().to_string();
        assert!(refused.contains("is that of interface BOOTIF of node node002"), "{refused}");
    }
}

fn place(switch: &str, number: u32, called: &str, others: &[u8]) -> Place {
    Place {
        switch: name(switch),
        port: Port { number: Some(number), names: vec![called.to_owned()] },
        others: others.iter().map(|last| mac(*last)).collect(),
    }
}

/// node001 is at port 7 of sw01, node002 at its Ethernet1/8; both wait for their machines.
fn at_ports() -> Cluster {
    let cluster = with_node(&with_node(&cluster(), "node001"), "node002");
    let cluster =
        change(&cluster, |draft| draft.put(Switch { name: name("sw01"), ..Switch::default() }));
    let described = |cluster: &Cluster, node: &str, port: &str| {
        let (switch, switchport) = (Some(name("sw01")), Some(port.to_owned()));
        let node = Node { switch, switchport, ..crate::site::node(cluster, node) };
        change(cluster, |draft| draft.put(node))
    };
    described(&described(&cluster, "node001", "7"), "node002", "Ethernet1/8")
}

const NOW: u64 = 1_000_000;

fn told(found: Identified) -> Option<String> {
    match found {
        Identified::Became(node, reason) => Some(format!("{node}: {reason}")),
        Identified::Waits(wish, reason) => Some(format!("waits to be {wish}: {reason}")),
        Identified::Unknown => None,
    }
}

fn seen_at(places: &[Place]) -> Evidence {
    Evidence { places: places.to_vec(), ..Evidence::default() }
}

/// The node that a machine becomes and why, and the cluster that comes of it.
fn identify(cluster: &Cluster, last: u8, evidence: &Evidence) -> (Option<String>, Cluster) {
    let mut draft = Draft::new(cluster);
    let found = discovery::identify(&mut draft, mac(last), evidence, NOW).unwrap();
    (told(found), draft.finish().0)
}

#[test]
fn a_machine_at_the_port_of_a_node_is_that_node_however_the_port_is_written() {
    let cluster = at_ports();
    assert!(discovery::goes_by_ports(&cluster));
    let (found, cluster) = identify(&cluster, 1, &seen_at(&[place("sw01", 7, "Ethernet1/7", &[])]));
    assert_eq!(found.as_deref(), Some("node001: it is at port Ethernet1/7 of sw01"));
    let (found, cluster) = identify(&cluster, 2, &seen_at(&[place("sw01", 8, "ethernet1/8", &[])]));
    assert_eq!(found.as_deref(), Some("node002: it is at port ethernet1/8 of sw01"));
    assert_eq!(cluster.node_by_mac(mac(2)).unwrap().1.name, "BOOTIF");
    let again = identify(&cluster, 2, &seen_at(&[place("sw01", 7, "Ethernet1/7", &[])])).0;
    assert_eq!(again, None, "it is known by now");
}

#[test]
fn nobody_is_taken_for_a_node_at_another_port_or_another_switch() {
    let cluster = discovering(&at_ports(), Settings::default());
    let cluster = change(&cluster, |draft| draft.put(Settings::default()));
    for other in [place("sw01", 9, "Ethernet1/9", &[]), place("sw02", 7, "Ethernet1/8", &[])] {
        assert_eq!(discovery::claims(&cluster, &other).count(), 0);
        assert_eq!(identify(&cluster, 1, &seen_at(&[other])).0, None);
    }
    let uplink_first = [place("sw02", 49, "49", &[3, 4]), place("sw01", 7, "7", &[])];
    let found = identify(&cluster, 1, &seen_at(&uplink_first)).0;
    assert_eq!(found.as_deref(), Some("node001: it is at port 7 of sw01"));
}

#[test]
fn an_exchanged_board_is_the_node_and_a_guest_behind_its_port_is_not() {
    let place_with = |others: &[u8]| seen_at(&[place("sw01", 7, "7", others)]);
    let (_, cluster) = identify(&at_ports(), 1, &place_with(&[]));
    assert_eq!(identify(&cluster, 2, &place_with(&[1])).0, None, "node001 is still there");
    let (found, after) = identify(&cluster, 2, &place_with(&[9]));
    assert_eq!(found.as_deref(), Some("waits to be node node001: it is at port 7 of sw01"));
    assert_eq!(after, cluster, "nothing is taken over");
    let wish = Wish::Node(name("node001"));
    assert_eq!(wish.replaces(&cluster, mac(2)), Some(mac(1)));
    // No rule accepts it, however wide.
    let (_, cluster) = ruled(&discovering(&cluster, Settings::default()), None, None, 5);
    let (found, after) = identify(&cluster, 2, &place_with(&[9]));
    assert!(found.unwrap().starts_with("waits") && after == cluster);
    let accepted = change(&cluster, |draft| discovery::accept(draft, mac(2), &wish).map(|_| ()));
    assert_eq!(accepted.node_by_mac(mac(2)).unwrap().0.name, "node001");
    assert_eq!(accepted.node_by_mac(mac(1)), None);
}

/// The cluster with a rule, and what the rule is called.
fn ruled(
    cluster: &Cluster,
    group: Option<&str>,
    network: Option<&str>,
    left: u32,
) -> (perilune_model::Name, Cluster) {
    let rule = ClaimRule {
        name: name("room"),
        group: group.map(name),
        network: network.map(name),
        left,
        until: NOW + 1,
    };
    let ruled = change(cluster, |draft| rules::save(draft, rule, NOW).map(|_| ()));
    (name("room"), ruled)
}

fn decided(cluster: &Cluster, last: u8, wish: &Wish, from: &str, now: u64) -> (Decision, Cluster) {
    let mut draft = Draft::new(cluster);
    let from = from.parse().ok();
    let decision = discovery::decide(&mut draft, mac(last), wish, from, now).unwrap();
    (decision, draft.finish().0)
}

#[test]
fn a_claim_waits_for_a_rule_of_its_group_its_network_its_count_and_its_time() {
    let cluster = with_node(&with_node(&cluster(), "node001"), "node002");
    let (next, own) = (Wish::NextOf(name("compute")), Wish::Node(name("node002")));
    for wish in [&next, &own] {
        assert_eq!(
            decided(&cluster, 1, wish, "10.141.0.99", NOW),
            (Decision::Waits, cluster.clone())
        );
    }
    let (rule, ruled) = ruled(&cluster, Some("compute"), Some("cluster"), 2);
    for (from, now) in [("10.9.9.9", NOW), ("nowhere", NOW), ("10.141.0.99", NOW + 1)] {
        assert_eq!(decided(&ruled, 1, &next, from, now).0, Decision::Waits, "{from} {now}");
    }
    let accepted = |node: &str| Decision::Accepted { node: name(node), rule: Some(rule.clone()) };
    let (decision, ruled) = decided(&ruled, 1, &own, "10.141.0.99", NOW);
    assert_eq!(decision, accepted("node002"));
    assert_eq!(ruled.claim_rule("room").unwrap().left, 1);
    assert_eq!(decided(&ruled, 2, &own, "10.141.0.99", NOW).0, Decision::Waits, "it has a machine");
    let (found, used) = identify(
        &ruled,
        2,
        &Evidence { address: "10.141.0.98".parse().ok(), ..Evidence::default() },
    );
    assert_eq!(found.as_deref(), Some("node001: the rule room accepts it as the next one"));
    assert!(used.claim_rules().is_empty(), "it is used up");
    assert_eq!(decided(&used, 3, &next, "10.141.0.99", NOW).0, Decision::Waits);
}

#[test]
fn a_claim_from_the_address_of_another_node_is_accepted_by_no_rule() {
    let cluster = with_node(&with_node(&cluster(), "node001"), "node002");
    let cluster = change(&cluster, |draft| discovery::assign(draft, "node001", mac(1)));
    let (_, cluster) = ruled(&discovering(&cluster, Settings::default()), None, None, 9);
    let taken = address(&cluster, "node001", "BOOTIF");
    let next = Wish::NextOf(name("compute"));
    assert_eq!(decided(&cluster, 7, &next, &taken, NOW), (Decision::Waits, cluster.clone()));
    let evidence = Evidence { address: taken.parse().ok(), ..Evidence::default() };
    let (found, after) = identify(&cluster, 7, &evidence);
    assert_eq!(found, Some(format!("waits to be node node001: it asks from the address {taken}")));
    assert_eq!(after, cluster);
}

#[test]
fn rules_go_when_they_are_over_and_with_the_group_or_network_that_they_name() {
    let (_, cluster) = ruled(&cluster(), Some("compute"), Some("cluster"), 2);
    let gone = change(&cluster, |draft| draft.remove(Kind::Group, "compute"));
    assert!(gone.claim_rules().is_empty());
    let mut draft = Draft::new(&cluster);
    let later = ClaimRule { name: name("later"), left: 1, until: NOW + 9, ..ClaimRule::default() };
    for wrong in [ClaimRule { left: 0, ..later.clone() }, ClaimRule { until: NOW, ..later.clone() }]
    {
        assert!(rules::save(&mut draft, wrong, NOW).is_err());
    }
    rules::save(&mut draft, later, NOW + 5).unwrap();
    let names: Vec<_> = draft.claim_rules().keys().map(ToString::to_string).collect();
    assert_eq!(names, ["later"]);
}

#[test]
fn machines_that_share_a_port_become_the_nodes_that_do_one_after_the_other() {
    let cluster = at_ports();
    let shared = Node { switchport: Some("7".into()), ..crate::site::node(&cluster, "node002") };
    let cluster = change(&cluster, |draft| draft.put(shared));
    let (first, cluster) = identify(&cluster, 1, &seen_at(&[place("sw01", 7, "7", &[2])]));
    let (second, cluster) = identify(&cluster, 2, &seen_at(&[place("sw01", 7, "7", &[1])]));
    assert!(first.unwrap().starts_with("node001") && second.unwrap().starts_with("node002"));
    let third = identify(&cluster, 3, &seen_at(&[place("sw01", 7, "7", &[1])])).0;
    assert!(third.unwrap().starts_with("waits to be node node002"), "its machine is gone");
}

#[test]
fn a_machine_at_a_port_that_no_node_is_at_is_the_next_node_where_the_cluster_says_so() {
    let cluster = discovering(&at_ports(), Settings::default());
    let found = identify(&cluster, 1, &seen_at(&[place("sw01", 9, "9", &[])])).0;
    assert_eq!(found.as_deref(), Some("node001: it is the next one"));
}

/// node001 lives in the cloud `aws1` of type aws, node002 in `azure`; both boot in 10.141.0.0/24.
fn in_clouds() -> Cluster {
    let mut cluster = with_node(&with_node(&cluster(), "node001"), "node002");
    for (cloud, kind, node) in [("aws1", Some("AWS"), "node001"), ("azure", None, "node002")] {
        let r#type = kind.map(str::to_owned);
        cluster = change(&cluster, |draft| {
            draft.put(Cloud { name: name(cloud), r#type, ..Cloud::default() })
        });
        let node = Node { cloud: Some(name(cloud)), ..crate::site::node(&cluster, node) };
        cluster = change(&cluster, |draft| draft.put(node));
    }
    cluster
}

fn found_in_cloud(cluster: &Cluster, mac: &str, evidence: &Evidence) -> Option<String> {
    let mut draft = Draft::new(cluster);
    match discovery::identify(&mut draft, mac.parse().unwrap(), evidence, NOW).unwrap() {
        Identified::Waits(Wish::Node(node), Reason::Cloud(_)) => {
            assert!(draft.finish().1.is_empty(), "it waits for a yes");
            let accepting = discovering(cluster, Settings::default());
            let (_, ruled) = ruled(cluster, Some("compute"), None, 1);
            for site in [accepting, ruled] {
                let mut draft = Draft::new(&site);
                let mac = mac.parse().unwrap();
                let found = discovery::identify(&mut draft, mac, evidence, NOW).unwrap();
                assert!(matches!(found, Identified::Became(ref same, _) if *same == node));
            }
            Some(node.to_string())
        }
        Identified::Unknown => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_machine_of_a_cloud_is_its_first_node_that_waits_for_one() {
    let cluster = in_clouds();
    let nothing = Evidence::default();
    let azure = "00:0d:3a:00:00:01";
    assert_eq!(found_in_cloud(&cluster, azure, &nothing).as_deref(), Some("node002"));
    assert_eq!(found_in_cloud(&cluster, "00:50:56:00:00:01", &nothing), None, "none is in vsphere");
    assert_eq!(found_in_cloud(&cluster, "00:11:22:00:00:01", &nothing), None);
    let told = Evidence { cloud: Some("aws1".into()), ..Evidence::default() };
    assert_eq!(found_in_cloud(&cluster, "00:11:22:00:00:01", &told).as_deref(), Some("node001"));
    let at_a_switch = seen_at(&[place("sw01", 1, "1", &[])]);
    assert_eq!(found_in_cloud(&cluster, azure, &at_a_switch), None, "it is in the house");
    let taken = change(&cluster, |draft| discovery::assign(draft, "node002", mac(2)));
    assert_eq!(found_in_cloud(&taken, azure, &nothing), None, "no node waits for one");
}

#[test]
fn an_address_that_anybody_can_make_up_counts_only_from_the_network_of_the_node() {
    let cluster = in_clouds();
    let from = |address: &str| Evidence { address: address.parse().ok(), ..Evidence::default() };
    for mac in ["02:29:96:8f:6a:2d", "0e:49:61:0f:c3:11"] {
        assert_eq!(found_in_cloud(&cluster, mac, &from("10.141.0.77")).as_deref(), Some("node001"));
        assert_eq!(found_in_cloud(&cluster, mac, &from("10.149.0.77")), None);
        assert_eq!(found_in_cloud(&cluster, mac, &Evidence::default()), None);
    }
    assert_eq!(found_in_cloud(&cluster, "52:54:00:00:00:01", &from("10.141.0.77")), None);
}

#[test]
fn ports_that_lead_to_other_switches_are_told_by_number_or_name() {
    let switch = Switch { uplinkports: Some("49, Ethernet1/50".into()), ..Switch::default() };
    let port = |number, called: &str| Port { number: Some(number), names: vec![called.to_owned()] };
    assert!(switch.is_uplink(&port(49, "a")) && switch.is_uplink(&port(7, "ethernet1/50")));
    assert!(!switch.is_uplink(&port(7, "ethernet1/7")));
    assert!(!Switch::default().is_uplink(&port(0, "")));
}
