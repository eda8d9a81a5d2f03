//! Machines of another network, for which a relay asks.

use std::process::Child;

use perilune_testkit::Lab;
use perilune_testkit::lab::BRIDGE;
use perilune_testkit::process::{end, run, wait_for};

use crate::site::{CONTROLLER, Machine, Site, connect, limit};
use crate::tools::{DHCRELAY, UDHCPC};

const NODE_MAC: &str = "52:54:00:00:00:11";

/// A router between the controller's network and 10.150.0.0/24, which relays.
struct Relay {
    process: Child,
    network: Lab,
}

impl Relay {
    fn start(program: &str, site: &Site) -> Self {
        let name = format!("{}-relay", site.network.name());
        let network = Lab::create(&name, &["10.150.0.1/24"]).unwrap();
        connect(&site.network, &network, "near0", "52:54:00:00:00:0f");
        let ip = |lab: &Lab, words: &[&str]| {
            run(lab.command("ip").args(words), &limit()).unwrap();
        };
        ip(&network, &["address", "add", "10.141.0.200/16", "dev", "near0"]);
        ip(&site.network, &["route", "add", "10.150.0.0/24", "via", "10.141.0.200"]);
        let process = network
            .command(program)
            // In the foreground; -a: says by option 82 where it heard the machine.
            .args(["-d", "-4", "-a", "--no-pid", "-id", BRIDGE, "-iu", "near0", CONTROLLER])
            .spawn()
            .unwrap();
        Self { process, network }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

#[test]
fn machines_behind_a_relay_get_addresses_of_their_own_network() {
    let (Some(udhcpc), Some(dhcrelay)) = (UDHCPC.find(), DHCRELAY.find()) else { return };
    let site = Site::start("10.141.200.1", "10.141.200.100");
    let range =
        ["--dhcp", "yes", "--dhcp-range-begin", "10.150.0.10", "--dhcp-range-end", "10.150.0.19"];
    let far = ["network", "add", "far", "--network", "10.150.0.0/24", "--gateway", "10.150.0.1"];
    site.cli(&[&far[..], &range[..]].concat());
    site.cli(&["group", "add", "remote"]);
    site.cli(&["node", "add", "node011", "--group", "remote", "--mac", NODE_MAC]);
    site.cli(&[
        "node",
        "interface",
        "set",
        "node011",
        "BOOTIF",
        "--network",
        "far",
        "--ipaddress",
        "10.150.0.5",
    ]);
    let relay = Relay::start(&dhcrelay, &site);
    let stranger = Machine::connect(&relay.network, "52:54:00:00:00:77");
    // The relay may not listen yet.
    let told =
        wait_for(&limit(), || stranger.udhcpc(&udhcpc, &[]).ok()).unwrap().expect("an address");
    assert!(told.get("ip").starts_with("10.150.0.1"), "{told:?}");
    assert_eq!((told.get("router"), told.get("mask")), ("10.150.0.1", "24"), "{told:?}");
    let node = Machine::connect(&relay.network, NODE_MAC);
    let class = ["-V", "PXEClient:Arch:00011:UNDI:003000", "-x", "0x5d:000b"];
    let told = node.udhcpc(&udhcpc, &class).unwrap();
    assert_eq!((told.get("ip"), told.get("siaddr")), ("10.150.0.5", CONTROLLER), "{told:?}");
    assert_eq!(told.get("boot_file"), "luna_ipxe_arm64.efi", "{told:?}");
}
