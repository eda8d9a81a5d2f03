//! DHCP by IPv6, as clients, a relay and a crowd of machines ask for it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Child;

use perilune_testkit::Lab;
use perilune_testkit::lab::BRIDGE;
use perilune_testkit::process::{end, run, wait_for};

use crate::site::{Machine, NODE_MAC, Site, connect, limit};
use crate::tools::{DHCLIENT, DHCRELAY, DIG, PERFDHCP, RDISC6};

/// A site whose network has both families, where node001 is `fd00:141::1` and strangers share 256 addresses.
fn site() -> Site {
    let site = Site::start("10.141.200.1", "10.141.200.100");
    site.address("fd00:141::fe/64");
    let range = ["--dhcp-range-begin", "fd00:141::1000", "--dhcp-range-end", "fd00:141::10ff"];
    let network = ["network", "change", "cluster", "--network", "fd00:141::/64"];
    site.cli(&[&network[..], &range].concat());
    site.cli(&["node", "interface", "set", "node001", "BOOTIF", "--ip", "fd00:141::1"]);
    // Addresses that come while the daemon runs are served a few seconds later.
    let serves = || site.log().contains("DHCPv6 answers here").then_some(());
    assert!(wait_for(&limit(), serves).unwrap().is_some(), "{}", site.log());
    site
}

/// The lease that dhclient gets, as it writes it down. It begins anew each time, with a DUID of this kind.
fn lease(machine: &Machine, dhclient: &str, duid: &str, more: &str) -> String {
    let file = |name: &str| machine.file(name).display().to_string();
    fs::remove_file(file("leases6")).ok();
    fs::write(file("dhclient6.conf"), more).unwrap();
    let (configuration, leases, pid) = (file("dhclient6.conf"), file("leases6"), file("pid6"));
    let words = [
        "-6",
        "-1",
        "-D",
        duid,
        "-cf",
        &configuration,
        "-sf",
        "/bin/true",
        "-lf",
        &leases,
        "-pf",
        &pid,
        "nic0",
    ];
    // Until its link-local address may be used, it refuses to begin.
    let asked = wait_for(&limit(), || machine.run(dhclient, &words).ok()).unwrap();
    assert!(asked.is_some(), "dhclient gets no address");
    machine.run("/bin/sh", &["-c", &format!("kill $(cat {pid})")]).unwrap();
    fs::read_to_string(file("leases6")).unwrap()
}

fn address(lease: &str) -> String {
    let line = lease.lines().find_map(|line| line.trim().strip_prefix("iaaddr "));
    let address = line.and_then(|line| line.split_whitespace().next());
    address.unwrap_or_else(|| panic!("no address: {lease}")).to_owned()
}

#[test]
fn a_node_has_its_address_and_a_stranger_one_of_the_range_whatever_they_call_themselves() {
    let (Some(dhclient), Some(dig)) = (DHCLIENT.find(), DIG.find()) else { return };
    let mut site = site();
    let node = site.machine(NODE_MAC);
    for duid in ["LL", "LLT"] {
        let own = lease(&node, &dhclient, duid, "");
        assert_eq!(address(&own), "fd00:141::1", "{own}");
        assert!(own.contains("dhcp6.name-servers fd00:141::fe"), "{own}");
        assert!(own.contains("dhcp6.domain-search \"cluster.\""), "{own}");
    }
    let laptop = site.machine("52:54:00:00:00:79");
    let name = "send fqdn.fqdn \"Laptop-7\";\n";
    let first = address(&lease(&laptop, &dhclient, "LL", name));
    assert!(first.starts_with("fd00:141::10"), "{first}");
    // The daemon forgets nothing, and the machine is the same under another DUID.
    site.restart();
    let serves = || (site.log().matches("DHCPv6 answers here").count() > 1).then_some(());
    assert!(wait_for(&limit(), serves).unwrap().is_some(), "{}", site.log());
    assert_eq!(address(&lease(&laptop, &dhclient, "LLT", name)), first);
    let another = site.machine("52:54:00:00:00:80");
    assert_ne!(address(&lease(&another, &dhclient, "LL", "")), first);
    // It is found by its name, and a name is found for its address.
    node.take("10.141.0.1/16");
    let ask = |words: &[&str]| {
        let words = [&["@10.141.255.254", "+short", "+tries=2"], words].concat();
        node.run_both(&dig, &words).trim().to_owned()
    };
    let is_known = || (ask(&["laptop-7.cluster", "AAAA"]) == first).then_some(());
    assert!(wait_for(&limit(), is_known).unwrap().is_some(), "{}", site.log());
    assert_eq!(ask(&["-x", &first]), "laptop-7.cluster.");
}

#[test]
fn machines_are_sent_to_dhcp_and_told_what_is_on_the_wire() {
    let Some(rdisc6) = RDISC6.find() else { return };
    let site = site();
    let machine = site.machine(NODE_MAC);
    let ask = || {
        let told = machine.run_both(&rdisc6, &["-1", "-r", "2", "-w", "5000", "nic0"]);
        told.contains("Stateful address conf.").then_some(told)
    };
    let told = wait_for(&limit(), ask).unwrap().expect("an advertisement");
    let value = |label: &str| {
        let line = told.lines().find(|line| line.trim().starts_with(label));
        let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
        value.unwrap_or_else(|| panic!("no '{label}' in: {told}")).to_owned()
    };
    assert_eq!(value("Stateful address conf."), "Yes");
    assert_eq!(value("Stateful other conf."), "Yes");
    assert!(value("Router lifetime").starts_with("0 "), "{told}");
    assert_eq!(value("Prefix"), "fd00:141::/64");
    assert_eq!((value("On-link"), value("Autonomous address conf.")), ("Yes".into(), "No".into()));
    // So that the machine makes no address by itself, and reaches its own network.
    let routes = || machine.run("ip", &["-6", "route", "show", "dev", "nic0"]).unwrap();
    let knows = || routes().contains("fd00:141::/64").then_some(());
    assert!(wait_for(&limit(), knows).unwrap().is_some(), "{}", routes());
    let addresses = machine.run("ip", &["-6", "-o", "address", "show", "dev", "nic0"]).unwrap();
    assert!(addresses.lines().all(|address| address.contains("inet6 fe80::")), "{addresses}");
}

/// A router between the controller's network and `fd00:150::/64`, which relays.
struct Relay {
    process: Child,
    network: Lab,
}

impl Relay {
    fn start(program: &str, site: &Site) -> Self {
        let name = format!("{}-relay6", site.network.name());
        let network = Lab::create(&name, &["fd00:150::1/64"]).unwrap();
        connect(&site.network, &network, "near0", "52:54:00:00:00:0f");
        let ip = |lab: &Lab, words: &[&str]| {
            run(lab.command("ip").args(words), &limit()).unwrap();
        };
        ip(&network, &["-6", "address", "add", "fd00:141::200/64", "dev", "near0", "nodad"]);
        ip(&site.network, &["-6", "route", "add", "fd00:150::/64", "via", "fd00:141::200"]);
        let leases = ["-d", "-6", "--no-pid", "-l", BRIDGE, "-u", "fd00:141::fe%near0"];
        let process = network.command(program).args(leases).spawn().unwrap();
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
    let (Some(dhclient), Some(dhcrelay)) = (DHCLIENT.find(), DHCRELAY.find()) else { return };
    let site = site();
    let far = ["network", "add", "far", "--network", "fd00:150::/64"];
    let range =
        ["--dhcp", "yes", "--dhcp-range-begin", "fd00:150::10", "--dhcp-range-end", "fd00:150::1f"];
    site.cli(&[&far[..], &range].concat());
    let relay = Relay::start(&dhcrelay, &site);
    let machine = Machine::connect(&relay.network, "52:54:00:00:00:77");
    // The relay may not listen yet; dhclient asks again by itself.
    let own = lease(&machine, &dhclient, "LL", "");
    assert!(address(&own).starts_with("fd00:150::1"), "{own}");
}

#[test]
fn a_crowd_is_answered_and_one_card_has_one_address() {
    let Some(perfdhcp) = PERFDHCP.find() else { return };
    let site = site();
    let crowd = site.machine("52:54:00:00:00:90");
    // As soon as its link-local address may be used.
    crowd.run("ip", &["link", "set", "nic0", "down"]).unwrap();
    crowd.run("ip", &["link", "set", "nic0", "addrgenmode", "none"]).unwrap();
    crowd.run("ip", &["link", "set", "nic0", "up"]).unwrap();
    crowd.run("ip", &["-6", "address", "add", "fe80::90/64", "dev", "nic0", "nodad"]).unwrap();
    let words = ["-6", "-l", "nic0", "-r", "50", "-R", "200", "-n", "400", "-W", "3000000"];
    let said = crowd.run_both(&perfdhcp, &words);
    let log = site.log();
    let given = log.lines().filter(|line| line.contains("answer=\"reply\""));
    assert!(given.clone().count() >= 20, "{said}");
    // All these machines have one card, and so one address.
    let word = |line: &str| {
        line.split_whitespace().find(|word| word.starts_with("address=")).map(str::to_owned)
    };
    let addresses: BTreeSet<String> = given.filter_map(word).collect();
    assert_eq!(addresses.len(), 1, "{addresses:?}");
    let Some(dhclient) = DHCLIENT.find() else { return };
    let honest = site.machine("52:54:00:00:00:91");
    let own = address(&lease(&honest, &dhclient, "LL", ""));
    assert!(own.starts_with("fd00:141::10"), "{own}");
}
