//! What a device had that is refused is kept from others until somebody decides.

use perilune_model::{Cluster, Holder, Name};
use perilune_testkit::luna::Database;

use crate::database::{cluster, lines, plan};

fn refused() -> (Vec<String>, Cluster) {
    let database = Database::site();
    database.sql(
        "INSERT INTO node (id, name, groupid) VALUES (3, 'Node_3', 1), (4, 'node004', 99), (5, 'node/5', 1), (6, 'Node_6', 1);
         INSERT INTO nodeinterface (id, nodeid, interface, macaddress) VALUES (30, 3, 'BOOTIF', 'AA:BB:CC:00:00:30'), (31, 3, 'BMC', NULL),
           (40, 4, 'BOOTIF', 'aa:bb:cc:00:00:01'), (41, 4, 'eth1', 'aa:bb:cc:00:00:30'), (50, 5, 'BOOTIF', 'aa:bb:cc:00:00:50');
         INSERT INTO ipaddress (id, tableref, tablerefid, ipaddress, ipaddress_ipv6, networkid) VALUES (30, 'nodeinterface', 30, '10.141.0.30', NULL, 1),
           (31, 'nodeinterface', 31, '10.148.0.30', 'fd00:148::30', 2), (40, 'nodeinterface', 40, '172.16.9.9', NULL, 99), (50, 'nodeinterface', 50, 'no address', NULL, 1);
         INSERT INTO switch (id, name) VALUES (7, 'Switch_7'); INSERT INTO ipaddress (id, tableref, tablerefid, ipaddress) VALUES (70, 'switch', 7, '10.141.200.7');",
    );
    let plan = plan(&database);
    (lines(&plan), cluster(&plan))
}

/// What is reserved, by name: machines, then addresses.
fn kept(cluster: &Cluster) -> Vec<(String, String)> {
    let kept = cluster.reservations().values().map(|kept| {
        let machines = kept.macaddresses.iter().map(ToString::to_string);
        let all = machines.chain(kept.addresses.iter().map(ToString::to_string));
        (kept.name.to_string(), all.collect::<Vec<_>>().join(" "))
    });
    kept.collect()
}

#[test]
fn machines_and_addresses_of_refused_devices_are_kept_under_their_names() {
    let (_, cluster) = refused();
    let kept = kept(&cluster);
    let expected = [
        ("Node_3", "aa:bb:cc:00:00:30 10.141.0.30 10.148.0.30 fd00:148::30"),
        ("Switch_7", "10.141.200.7"),
        ("node-5", "aa:bb:cc:00:00:50"),
        ("node004", "172.16.9.9"),
    ];
    assert_eq!(kept, expected.map(|(name, kept)| (name.to_owned(), kept.to_owned())));
    let holder = cluster.holder("10.148.0.30".parse().unwrap());
    assert_eq!(holder, Some(&Holder::Reservation(Name::trusted("Node_3"))));
    assert_eq!(
        cluster.node_by_mac("aa:bb:cc:00:00:01".parse().unwrap()).unwrap().0.name,
        "node001"
    );
}

#[test]
fn the_report_says_what_is_kept_and_how_it_is_released() {
    let (lines, _) = refused();
    let told = "odd node 3 (Node_3) name: aa:bb:cc:00:00:30, 10.141.0.30, 10.148.0.30, fd00:148::30 stay reserved as 'Node_3'";
    let line = lines.iter().find(|line| line.starts_with(told));
    let line = line.unwrap_or_else(|| panic!("{lines:#?}"));
    assert!(line.ends_with("do: perilune reservation release 'Node_3'"), "{line}");
    assert!(!lines.iter().any(|line| line.contains("reserved as 'Node_6'")), "it has nothing");
}

#[test]
fn whatever_is_refused_keeps_its_machine_whichever_table_it_is_in() {
    let database = Database::site();
    database.sql(
        "INSERT INTO switch (id, name, macaddress) VALUES (7, 'Switch_7', 'AA-BB-CC-00-00-70'), (8, 'switch_8', 'no address');
         INSERT INTO otherdevices (id, name, macaddress) VALUES (9, 'Power Strip', 'aa:bb:cc:00:00:90'), (10, '', '00:00:00:00:00:00');
         INSERT INTO node (id, name, groupid) VALUES (3, 'Node_3', 1), (4, 'node004', 1);
         INSERT INTO nodeinterface (id, nodeid, interface, macaddress) VALUES
           (30, 3, 'ib0', '80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:00:10:39'),
           (40, 4, 'BOOTIF', 'aa:bb:cc:00:00:40'), (41, 4, 'eth 1', 'aa:bb:cc:00:00:41'), (42, 4, '', 'aa:bb:cc:00:00:42'),
           (43, 4, 'eth/2', 'aa:bb:cc:00:00:40'), (44, 99, 'BOOTIF', 'aa:bb:cc:00:00:44');
         INSERT INTO ipaddress (id, tableref, tablerefid, ipaddress, networkid) VALUES (41, 'nodeinterface', 41, '10.141.0.41', 1);",
    );
    let plan = plan(&database);
    let cluster = cluster(&plan);
    let kept = kept(&cluster);
    let expected = [
        // The part of an InfiniBand address that is the port's.
        ("Node_3", "00:02:c9:03:00:00:10:39"),
        ("Power Strip", "aa:bb:cc:00:00:90"),
        ("Switch_7", "aa:bb:cc:00:00:70"),
        ("node004-eth 1", "aa:bb:cc:00:00:41 10.141.0.41"),
        ("nodeinterface-42", "aa:bb:cc:00:00:42"),
    ];
    assert_eq!(kept, expected.map(|(name, kept)| (name.to_owned(), kept.to_owned())));
    for mac in ["00:02:c9:03:00:00:10:39", "aa:bb:cc:00:00:41", "aa:bb:cc:00:00:90"] {
        assert!(cluster.reservation_by_mac(mac.parse().unwrap()).is_some(), "{mac}");
    }
    let told = "odd nodeinterface 41 (node004-eth 1) interface: aa:bb:cc:00:00:41, 10.141.0.41 stay reserved as 'node004-eth 1'";
    let lines = lines(&plan);
    assert!(lines.iter().any(|line| line.starts_with(told)), "{lines:#?}");
}
