//! Names, as clients, other name servers and people who mean no good ask for them.

mod attack;
mod bind;
mod forwarded;
mod secondary;

use std::net::UdpSocket;
use std::time::Duration;

use perilune_testkit::process::wait_for;

use crate::site::{CONTROLLER, Machine, NODE_MAC, Site, limit};
use crate::tools::{DIG, UDHCPC};

/// A machine of the cluster that is no node.
const CLIENT: &str = "52:54:00:00:00:77";
/// A text that ends nowhere but at its end.
const TEXT: &str = "a \"b\" \\ ; c";
const SHOWN_TEXT: &str = r#""a \"b\" \\ ; c""#;
const CLIENT_ADDRESS: &str = "10.141.0.99/16";
/// A network that is none of the cluster's, and this host's address in it.
const OUTSIDE: &str = "192.0.2.1";
const STRANGER_ADDRESS: &str = "192.0.2.7/24";

/// A site with the names that are asked for here.
fn site() -> Site {
    let site = Site::start("10.141.200.1", "10.141.200.100");
    site.address("192.0.2.1/24");
    site.address("fd00:141::fe/64");
    for words in [
        &["network", "change", "cluster", "--network", "fd00:141::/64"][..],
        &["network", "add", "small", "--network", "10.150.0.128/25"],
        &[
            "node",
            "interface",
            "set",
            "node001",
            "eth1",
            "--network",
            "small",
            "--ip",
            "10.150.0.130",
        ],
        &["node", "interface", "set", "node001", "BOOTIF", "--ip", "fd00:141::1"],
        &["dns", "set", "cluster", "printer", "10.141.210.1"],
        &["dns", "set", "cluster", "printer6", "fd00:141::77"],
        &["dns", "set", "cluster", "www", "node001", "--type", "CNAME"],
        &["dns", "set", "cluster", "@", "10 printer", "20 mx.example.org", "--type", "mx"],
        &["dns", "set", "cluster", "_ldap._tcp", "0 5 389 node001", "--type", "SRV"],
        &["dns", "set", "cluster", "node001", TEXT, "--type", "TXT"],
    ] {
        site.cli(words);
    }
    // Addresses that come while the daemon runs are served a few seconds later.
    for place in ["192.0.2.1:53", "[fd00:141::fe]:53"] {
        let serves = || site.log().contains(&format!("address={place}")).then_some(());
        assert!(wait_for(&limit(), serves).unwrap().is_some(), "{place}");
    }
    site
}

fn client(site: &Site) -> Machine {
    let machine = site.machine(CLIENT);
    machine.take(CLIENT_ADDRESS);
    machine
}

fn stranger(site: &Site) -> Machine {
    let machine = site.machine("52:54:00:00:00:78");
    machine.take(STRANGER_ADDRESS);
    machine
}

/// Asks the controller, once and for not long.
fn dig(machine: &Machine, program: &str, words: &[&str]) -> String {
    dig_at(machine, program, CONTROLLER, words)
}

fn dig_at(machine: &Machine, program: &str, server: &str, words: &[&str]) -> String {
    let server = format!("@{server}");
    let usual = [server.as_str(), "+tries=2", "+time=5"];
    machine.run_both(program, &[&usual[..], words].concat())
}

fn short(machine: &Machine, program: &str, words: &[&str]) -> Vec<String> {
    let text = dig(machine, program, &[words, &["+short"]].concat());
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn names_and_addresses_of_the_cluster_are_answered_by_udp_and_tcp() {
    let Some(dig_program) = DIG.find() else { return };
    let site = site();
    let machine = client(&site);
    for transport in ["+notcp", "+tcp", "+noedns"] {
        for (words, expected) in [
            (&["node001.cluster", "A"][..], &["10.141.0.1"][..]),
            (&["Node001.CLUSTER", "AAAA"], &["fd00:141::1"]),
            (&["-x", "10.141.0.1"], &["node001.cluster."]),
            (&["-x", "fd00:141::1"], &["node001.cluster."]),
            (&["-x", "10.150.0.130"], &["node001.small."]),
            (&["130.128-255.0.150.10.in-addr.arpa", "PTR"], &["node001.small."]),
            (&["130.128/25.0.150.10.in-addr.arpa", "PTR"], &["node001.small."]),
            (&["printer.cluster", "A"], &["10.141.210.1"]),
            (&["printer6.cluster", "AAAA"], &["fd00:141::77"]),
            (&["printer.cluster", "AAAA"], &[]),
            (&["www.cluster", "AAAA"], &["fd00:141::1", "node001.cluster."]),
            (&["cluster", "MX"], &["10 printer.cluster.", "20 mx.example.org."]),
            (&["_ldap._tcp.cluster", "SRV"], &["0 5 389 node001.cluster."]),
            (&["node001.cluster", "TXT"], &[SHOWN_TEXT]),
            (&["controller.cluster", "A"], &[CONTROLLER]),
            (&["cluster", "NS"], &["controller.cluster."]),
            (&["gone.cluster", "A"], &[]),
            // Short names, as resolvers look for them in their domains.
            (&["+search", "+domain=cluster", "node001"], &["10.141.0.1"]),
        ] {
            let words = [&[transport][..], words].concat();
            assert_eq!(short(&machine, &dig_program, &words), expected, "{words:?}");
        }
    }
    let revision = |text: &str| text.split_whitespace().nth(2).map(str::to_owned);
    let before = dig(&machine, &dig_program, &["cluster", "SOA", "+short"]);
    site.cli(&["dns", "set", "cluster", "printer", "10.141.210.2"]);
    assert_eq!(short(&machine, &dig_program, &["printer.cluster"]), ["10.141.210.2"]);
    let after = dig(&machine, &dig_program, &["cluster", "SOA", "+short"]);
    assert_ne!(revision(&before), revision(&after), "{before}{after}");
    let gone = dig(&machine, &dig_program, &["gone.cluster"]);
    assert!(gone.contains("status: NXDOMAIN") && gone.contains("SOA"), "{gone}");
    // By IPv6 as well, from the address that was asked.
    let words = ["-6", "address", "add", "fd00:141::99/64", "dev", "nic0", "nodad"];
    machine.run("ip", &words).unwrap();
    let by_ipv6 = dig_at(&machine, &dig_program, "fd00:141::fe", &["node001.cluster", "+short"]);
    assert!(by_ipv6.contains("10.141.0.1"), "{by_ipv6}");
    let status = site.monitor("dns");
    assert!(status.contains("OK, running"), "{status}");
}

#[test]
fn an_answer_that_is_too_large_for_a_datagram_is_had_by_tcp() {
    let Some(dig_program) = DIG.find() else { return };
    let site = site();
    let machine = client(&site);
    for number in 10..60 {
        let (name, address) = (format!("eth{number}"), format!("10.141.9.{number}"));
        site.cli(&[
            "node",
            "interface",
            "set",
            "node001",
            &name,
            "--network",
            "cluster",
            "--ip",
            &address,
        ]);
    }
    let cut = dig(&machine, &dig_program, &["+noedns", "+ignore", "node001.cluster"]);
    assert!(cut.contains(" tc ") && cut.contains("ANSWER: 0"), "{cut}");
    assert_eq!(short(&machine, &dig_program, &["+noedns", "node001.cluster"]).len(), 51);
    let edns = dig(&machine, &dig_program, &["+ignore", "+bufsize=1232", "node001.cluster"]);
    assert!(edns.contains("ANSWER: 51") && edns.contains("udp: 1232"), "{edns}");
}

#[test]
fn a_machine_that_says_its_name_is_found_by_it_and_hides_nobody() {
    let (Some(dig_program), Some(udhcpc)) = (DIG.find(), UDHCPC.find()) else { return };
    let site = site();
    let machine = client(&site);
    let laptop = site.machine("52:54:00:00:00:79");
    let told = laptop.udhcpc(&udhcpc, &["-x", "hostname:Laptop-7"]).unwrap();
    let address = told.get("ip").to_owned();
    let is_known = || {
        let found = short(&machine, &dig_program, &["laptop-7.cluster"]);
        (found == [address.as_str()]).then_some(())
    };
    assert!(wait_for(&limit(), is_known).unwrap().is_some(), "{address}");
    assert_eq!(short(&machine, &dig_program, &["-x", &address]), ["laptop-7.cluster."]);
    // It survives the daemon, and who calls himself like a node is not that node.
    let liar = site.machine("52:54:00:00:00:80");
    liar.udhcpc(&udhcpc, &["-x", "hostname:node001"]).unwrap();
    liar.udhcpc(&udhcpc, &["-x", "hostname:printer"]).unwrap();
    assert_eq!(short(&machine, &dig_program, &["node001.cluster"]), ["10.141.0.1"]);
    assert_eq!(short(&machine, &dig_program, &["printer.cluster"]), ["10.141.210.1"]);
}

#[test]
fn machines_are_told_of_this_server_only_while_it_answers() {
    let (Some(dig_program), Some(udhcpc)) = (DIG.find(), UDHCPC.find()) else { return };
    let mut site = site();
    site.cli(&["network", "change", "cluster", "--nameserver-ip", ""]);
    let node = site.machine(NODE_MAC);
    assert_eq!(node.udhcpc(&udhcpc, &[]).unwrap().get("dns"), CONTROLLER);
    // Another program is at the port when the daemon comes.
    site.configure("[DNS]\nSERVE = yes\n");
    site.stop();
    let taken = site.network.inside(|| UdpSocket::bind((CONTROLLER, 53))).unwrap().unwrap();
    site.restart();
    let status = site.refused_or_said(&["status"]);
    assert!(status.contains("DNS cannot be served at 10.141.255.254:53"), "{status}");
    assert_eq!(node.udhcpc(&udhcpc, &[]).unwrap().get("dns"), "");
    // At the other addresses it serves.
    let outside = stranger(&site);
    let refused = dig_at(&outside, &dig_program, OUTSIDE, &["node001.cluster"]);
    assert!(refused.contains("status: REFUSED"), "{refused}");
    drop(taken);
    let is_told = || (node.udhcpc(&udhcpc, &[]).ok()?.get("dns") == CONTROLLER).then_some(());
    assert!(wait_for(&limit(), is_told).unwrap().is_some(), "it is not tried again");
    // Another server is named: what it does is not our business.
    site.configure("[SERVICES]\nDNS = named\nWRITE_FILES = no\n");
    site.restart();
    assert_eq!(node.udhcpc(&udhcpc, &[]).unwrap().get("dns"), CONTROLLER);
    let status = site.monitor("dns");
    assert!(status.contains("FAIL, not running") && status.contains("named"), "{status}");
    let free = site.network.inside(|| UdpSocket::bind((CONTROLLER, 53))).unwrap();
    assert!(free.is_ok(), "{free:?}");
}

/// Sends these bytes from this machine, and waits a little for an answer.
fn exchange(machine: &Machine, server: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let to = (server.to_owned(), 53);
    machine
        .lab
        .inside(move || {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            socket.send_to(bytes, to).unwrap();
            let mut answer = vec![0; 65536];
            let length = socket.recv(&mut answer).ok()?;
            answer.truncate(length);
            Some(answer)
        })
        .unwrap()
}

/// A question as it is on the wire.
fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}
