//! A switch of the site, asked by the real daemon; people look with the real command line.

use perilune_testkit::lab::BRIDGE;
use perilune_testkit::machine::{self, Description, Firmware};
use perilune_testkit::process::{command, run, wait_for};
use perilune_testkit::snmpd::Contents;
use perilune_testkit::{Limit, Machine, Snmpd};

use crate::site::{CONTROLLER, NODE_MAC, Site, limit};
use crate::tools::{CURL, QEMU, UDHCPC};

const SWITCH: &str = "10.141.250.1";
const STRANGER: &str = "52:54:00:00:00:77";

/// A table without the blanks between its columns.
fn cells(table: &str) -> Vec<Vec<&str>> {
    table.lines().map(|line| line.split_whitespace().collect()).collect()
}

/// Gives the switch its address on the controller's bridge.
fn switch_address(site: &Site) {
    let address = format!("{SWITCH}/16");
    let words = ["-n", site.network.name(), "address", "add", &address, "dev", BRIDGE];
    run(command("ip").args(words), &limit()).unwrap();
}

#[test]
fn people_see_who_is_at_which_port_and_where_unknown_machines_are() {
    let Some(udhcpc) = UDHCPC.find() else { return };
    let site = Site::start("10.141.200.1", "10.141.200.20");
    switch_address(&site);
    let contents = Contents::default()
        .in_vlan(1, NODE_MAC, 7)
        .in_vlan(1, STRANGER, 9)
        .port(7, "Eth1/7", "Ethernet1/7")
        .port(9, "Eth1/9", "Ethernet1/9");
    let place = SWITCH.parse().unwrap();
    let Some(_switch) = Snmpd::start_in(&site.network, place, "private", &contents) else { return };
    let add = ["switch", "add", "sw01", "--network", "cluster", "--ipaddress", SWITCH];
    site.cli(&[&add[..], &["--read", "private"]].concat());
    site.cli(&["node", "change", "node001", "--switch", "sw01", "--switchport", "ethernet1/7"]);

    let ports = site.cli(&["switch", "ports"]);
    let expected = [
        &["SWITCH", "PORT", "NAME", "MAC", "NODE", "EXPECTED"],
        &["sw01", "7", "Eth1/7", NODE_MAC, "node001", "node001"],
        &["sw01", "9", "Eth1/9", STRANGER, "-", "-"],
    ];
    assert_eq!(cells(&ports), expected, "{ports}");

    let machine = site.machine(STRANGER);
    machine.udhcpc(&udhcpc, &[]).unwrap();
    let unknown = site.cli(&["node", "unknown"]);
    let row = cells(&unknown).into_iter().find(|row| row[0] == STRANGER).unwrap();
    assert_eq!(row[2..4], ["sw01", "Eth1/9"], "{unknown}");

    site.cli(&["switch", "add", "sw02", "--ipaddress", "10.141.250.9", "--network", "cluster"]);
    let (code, said) = site.refused(&["switch", "ports", "sw02"]);
    assert_eq!((code, said.contains("sw02: 10.141.250.9")), (Some(1), true), "{said}");
    let (code, said) = site.refused(&["switch", "ports", "sw1"]);
    assert_eq!((code, said.contains("did you mean sw01")), (Some(4), true), "{said}");
}

#[test]
fn a_machine_behind_a_port_of_a_real_bridge_becomes_the_node_that_is_described_there() {
    let (Some(udhcpc), Some(curl)) = (UDHCPC.find(), CURL.find()) else { return };
    let site = Site::start("10.141.200.1", "10.141.200.20");
    switch_address(&site);
    site.cli(&["switch", "add", "sw01", "--network", "cluster", "--ipaddress", SWITCH]);
    site.cli(&["node", "add", "node[002-003]", "--group", "compute"]);
    let machine = site.machine(STRANGER);
    // The agent learns of ports that come later only after a while.
    let place = SWITCH.parse().unwrap();
    let Some(_switch) = Snmpd::start_on_bridge(&site.network, place, "public") else { return };
    let told = machine.udhcpc(&udhcpc, &[]).unwrap();
    assert!(told.get("ip").starts_with("10.141.200."), "{told:?}");

    let ports = site.cli(&["switch", "ports"]);
    let row = cells(&ports).into_iter().find(|row| row[3] == STRANGER);
    let name = row.unwrap_or_else(|| panic!("{ports}"))[2];
    assert!(name.starts_with("port"), "{ports}");
    site.cli(&["node", "change", "node003", "--switch", "sw01", "--switchport", name]);

    let url = format!("http://{CONTROLLER}:7050/boot/search/mac/{STRANGER}");
    machine.run(&curl, &["--silent", "--show-error", "--fail", &url]).unwrap();
    let told = machine.udhcpc(&udhcpc, &[]).unwrap();
    assert_eq!((told.get("ip"), told.get("hostname")), ("10.141.0.3", "node003"), "{told:?}");
    let history = site.cli(&["history"]);
    assert!(history.contains(&format!("machine {STRANGER}")), "{history}");
}

#[test]
fn a_blank_machine_is_the_node_of_its_port_when_its_firmware_asks_to_boot() {
    let Some(_qemu) = QEMU.find() else { return };
    let site = Site::start("10.141.200.1", "10.141.200.20");
    switch_address(&site);
    let port = site.network.add_port("blank").unwrap();
    let place = SWITCH.parse().unwrap();
    let Some(_switch) = Snmpd::start_on_bridge(&site.network, place, "public") else { return };
    site.cli(&["switch", "add", "sw01", "--network", "cluster", "--ipaddress", SWITCH]);
    site.cli(&["node", "add", "node[002-003]", "--group", "compute"]);
    site.cli(&["node", "change", "node003", "--switch", "sw01", "--switchport", &port]);
    let description = Description {
        name: "blank".to_owned(),
        firmware: Firmware::Bios,
        mac_address: STRANGER.to_owned(),
        memory_mebibytes: 512,
        processors: 1,
        disk_bytes: None,
        other_disks: Vec::new(),
        network_first: true,
        accelerator: machine::accelerator(),
        bmc_port: None,
    };
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::start(&site.network, &description, directory.path()).unwrap();
    // It has no image: its console says so, and says which node it is.
    let is_node003 = || machine.console().contains("node003").then_some(());
    let known = wait_for(&Limit::seconds(180), is_node003).unwrap();
    assert!(known.is_some(), "it stopped at:\n{}", machine.console());
    let node = site.cli(&["node", "show", "node003", "-o", "json"]);
    assert!(node.contains(STRANGER), "{node}");
    assert_eq!(site.cli(&["node", "unknown", "-o", "json"]).trim(), "[]");
    machine.power_off();
}
