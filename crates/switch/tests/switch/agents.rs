//! What the distribution's SNMP agent tells.

use perilune_switch::{BY_ADDRESS, Error, Target, read};
use perilune_testkit::Snmpd;
use perilune_testkit::snmpd::Contents;

use crate::{lines, target};

fn rack() -> Contents {
    Contents::default()
        .in_vlan(10, "52:54:00:00:00:01", 1)
        .in_vlan(10, "52:54:00:00:00:02", 2)
        .in_vlan(20, "52:54:00:00:00:02", 2)
        .in_vlan(20, "52:54:00:00:00:0b", 2)
        .in_vlan(10, "52:54:00:00:00:0c", 0)
        .port(1, "Eth1/1", "Ethernet1/1")
        .port(2, "Ethernet1/2", "Ethernet1/2")
        .port(3, "Eth1/3", "Ethernet1/3")
}

#[tokio::test]
async fn ports_have_their_names_and_all_their_machines() {
    let Some(switch) = Snmpd::start("lab", &rack()) else { return };
    let expected = [
        r#"1 ["Eth1/1", "Ethernet1/1"] 52:54:00:00:00:01"#,
        r#"2 ["Ethernet1/2"] 52:54:00:00:00:02 52:54:00:00:00:0b"#,
    ];
    assert_eq!(lines(&read(&target(switch.address())).await.unwrap()), expected);
    switch.tell(&Contents::default());
    assert!(read(&target(switch.address())).await.unwrap().is_empty(), "it was cleared");
}

#[tokio::test]
async fn a_switch_without_vlans_is_read_though_nobody_named_its_table() {
    let contents = Contents::default().station("52:54:00:00:00:01", 7);
    let Some(switch) = Snmpd::start("lab", &contents) else { return };
    let by_default = target(switch.address());
    let named = Target { table: BY_ADDRESS.to_owned(), ..by_default.clone() };
    for target in [by_default, named] {
        assert_eq!(lines(&read(&target).await.unwrap()), ["7 [] 52:54:00:00:00:01"]);
    }
}

#[tokio::test]
async fn a_large_table_is_read_whole() {
    let contents = (0..700_u32).fold(Contents::default(), |contents, number| {
        let mac = format!("52:54:00:00:{:02x}:{:02x}", number / 256, number % 256);
        contents.station(&mac, number % 48 + 1)
    });
    let Some(switch) = Snmpd::start("lab", &contents) else { return };
    let target = Target { table: BY_ADDRESS.to_owned(), ..target(switch.address()) };
    let ports = read(&target).await.unwrap();
    assert_eq!(ports.len(), 48);
    assert_eq!(ports.iter().map(|connected| connected.machines.len()).sum::<usize>(), 700);
}

#[tokio::test]
async fn a_wrong_community_and_a_wrong_table_are_told_and_the_community_is_not() {
    let Some(switch) = Snmpd::start("lab", &rack()) else { return };
    let right = target(switch.address());
    let stranger = Target { community: "wrong word".to_owned(), ..right.clone() };
    let error = read(&stranger).await.unwrap_err();
    assert!(matches!(error, Error::Silent { .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.contains(&switch.address().to_string()) && said.contains("community"), "{said}");
    assert!(!format!("{said} {error:?} {stranger:?}").contains("wrong word"));

    let other = Target { table: "1.3.6.1.2.1.17.1.4.1.2".to_owned(), ..right.clone() };
    let error = read(&other).await.unwrap_err();
    assert!(matches!(error, Error::NoStations { .. }), "{error:?}");
    for table in ["", "1", "dot1qTpFdbPort", "1.3.6.x", "1.3.99999999999"] {
        let error = read(&Target { table: table.to_owned(), ..right.clone() }).await.unwrap_err();
        assert!(matches!(error, Error::Table { .. }), "{table}: {error:?}");
    }
}
