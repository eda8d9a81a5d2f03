//! Machines that are found by the port of a switch: a real SNMP agent, and bad ones, in a network that touches no other.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use perilune_testkit::snmpd::Contents;
use perilune_testkit::{Lab, Snmpd};
use serde_json::{Value, json};

use crate::image_site::{ImageSite, until};

/// The switch that answers, one that does not exist, and one that answers rubbish.
const SWITCH: &str = "10.141.250.1";
const NOBODY: &str = "10.141.250.2";
const RUBBISH: &str = "10.141.250.3";

fn mac(last: u8) -> String {
    format!("52:54:00:00:00:{last:02x}")
}

/// What sw01 tells: machine 1 at port 7, machine 2 at port 8, many at its uplink.
fn rack() -> Contents {
    let contents = Contents::default()
        .in_vlan(1, &mac(1), 7)
        .in_vlan(1, &mac(2), 8)
        .port(7, "Eth1/7", "Ethernet1/7")
        .port(8, "Eth1/8", "Ethernet1/8");
    (100..120).fold(contents, |contents, last| contents.in_vlan(1, &mac(last), 49))
}

/// Somebody at the port of SNMP who answers with the beginning of what was asked, until this is dropped.
struct Mad {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Mad {
    fn start() -> Self {
        let socket = UdpSocket::bind((RUBBISH, 161)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let mut packet = [0; 2048];
            while !end.load(Ordering::SeqCst) {
                if let Ok((_, asker)) = socket.recv_from(&mut packet) {
                    socket.send_to(&packet[..7], asker).ok();
                }
            }
        });
        Self { is_over, thread: Some(thread) }
    }
}

impl Drop for Mad {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.take().map(JoinHandle::join);
    }
}

/// A network with addresses for switches. `None`, said aloud, where nobody may make one.
fn lab(name: &str) -> Option<Lab> {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "network namespaces need root");
        eprintln!("SKIPPED: network namespaces need root");
        return None;
    }
    let name = format!("ports-{name}-{}", std::process::id());
    let addresses = [SWITCH, RUBBISH].map(|address| format!("{address}/16"));
    Some(Lab::create(&name, &addresses.each_ref().map(String::as_str)).unwrap())
}

fn agent(lab: &Lab) -> Option<Snmpd> {
    Snmpd::start_in(lab, SWITCH.parse().unwrap(), "lab", &rack())
}

fn save(site: &ImageSite, resource: &str, name: &str, fields: &Value) -> u16 {
    let body = json!({ "config": { resource: { name: fields } } });
    site.post(&format!("/config/{resource}/{name}"), &body).0
}

/// node001 at port 7 of sw01, node002 at its Ethernet1/8, an image to boot.
fn describe(site: &ImageSite) {
    let files = json!({ "kernelfile": "k", "initrdfile": "i", "imagefile": "a.tar.zst" });
    assert_eq!(site.post_image("compute", "", &files).0, 201);
    site.describe();
    assert_eq!(save(site, "group", "compute", &json!({ "osimage": "compute" })), 204);
    let switch =
        json!({ "network": "cluster", "ipaddress": SWITCH, "read": "lab", "uplinkports": "49" });
    assert_eq!(save(site, "switch", "sw01", &switch), 201);
    for (node, port) in [("node001", json!(7)), ("node002", json!("ethernet1/8"))] {
        let place = json!({ "switch": "sw01", "switchport": port });
        assert_eq!(save(site, "node", node, &place), 204);
    }
}

/// What a machine is told that asks to boot.
fn boots(site: &ImageSite, mac: &str) -> String {
    boots_from(site, mac, "10.141.200.9")
}

fn boots_from(site: &ImageSite, mac: &str, address: &str) -> String {
    let (code, script) = site.text_from(&format!("/boot/search/mac/{mac}"), address);
    assert_eq!(code, 200);
    script
}

fn mac_of(site: &ImageSite, node: &str) -> Value {
    let node = site.get(&format!("/config/node/{node}")).1["config"]["node"][node].clone();
    node["interfaces"][0]["macaddress"].clone()
}

fn is_unknown(script: &str) -> bool {
    script.contains("perilune node adopt")
}

#[test]
fn machines_become_the_nodes_at_their_ports_though_other_switches_are_dead_or_mad() {
    let Some(lab) = lab("found") else { return };
    let Some(switch) = agent(&lab) else { return };
    lab.inside(|| {
        let _mad = Mad::start();
        let site = ImageSite::start();
        describe(&site);
        for (name, address) in [("dead", NOBODY), ("mad", RUBBISH)] {
            let fields = json!({ "network": "cluster", "ipaddress": address });
            assert_eq!(save(&site, "switch", name, &fields), 201);
        }
        let found = boots(&site, &mac(1));
        assert!(found.contains("node001"), "{found}");
        assert!(boots(&site, &mac(2)).contains("node002"));
        // Whoever is at no node's port stays unknown, and people see where it is.
        switch.tell(&rack().in_vlan(1, &mac(3), 9));
        until(|| is_unknown(&boots(&site, &mac(3))) && place_of(&site, &mac(3)).is_some());
        assert_eq!(
            (mac_of(&site, "node001"), mac_of(&site, "node002")),
            (json!(mac(1)), json!(mac(2)))
        );
        let history = site.get("/history").1.to_string();
        assert!(history.contains(&format!("machine {}", mac(1))), "{history}");
        assert_eq!(place_of(&site, &mac(3)), Some((json!("sw01"), json!(9), Value::Null)));
        looks_right(&site);
    })
    .unwrap();
}

/// Where an unknown machine is.
fn place_of(site: &ImageSite, mac: &str) -> Option<(Value, Value, Value)> {
    let unknown = site.get("/monitor/unknown").1["monitor"]["unknown"].clone();
    let machines = unknown.as_array().unwrap().iter();
    let machine = machines.clone().find(|machine| machine["macaddress"] == mac)?;
    let text = |key: &str| machine[key].clone();
    (!machine["switch"].is_null()).then(|| (text("switch"), text("port"), text("portname")))
}

fn looks_right(site: &ImageSite) {
    let shown = site.get("/monitor/switchport").1["monitor"]["switchport"].clone();
    let first = json!({ "port": 7, "name": "Eth1/7", "nodes": ["node001"],
        "machines": [{ "macaddress": mac(1), "node": "node001", "interface": "BOOTIF" }] });
    assert_eq!(shown["sw01"]["ports"][0], first);
    assert_eq!(
        shown["sw01"]["ports"].as_array().unwrap().len(),
        3,
        "the uplink is left out: {shown}"
    );
    assert_eq!(shown["sw01"]["error"], Value::Null);
    for (switch, address) in [("dead", NOBODY), ("mad", RUBBISH)] {
        let error = shown[switch]["error"].as_str().unwrap();
        assert!(error.contains(address), "{error}");
    }
    assert!(!shown.to_string().contains("\"lab\""), "{shown}");
}

#[test]
fn an_exchanged_board_offers_itself_as_the_node_of_its_port_and_is_it_when_somebody_says_so() {
    let Some(lab) = lab("board") else { return };
    let Some(switch) = agent(&lab) else { return };
    lab.inside(|| {
        let site = ImageSite::start();
        describe(&site);
        assert!(boots(&site, &mac(1)).contains("node001"));
        switch.tell(&rack().in_vlan(1, &mac(9), 7));
        assert!(is_unknown(&boots(&site, &mac(9))), "its own board is still there");
        switch.tell(&Contents::default().in_vlan(1, &mac(9), 7));
        until(|| boots(&site, &mac(9)).contains("node001"));
        let offer = boots(&site, &mac(9));
        assert!(offer.contains(&format!("in place of {}", mac(1))), "{offer}");
        assert_eq!(mac_of(&site, "node001"), mac(1), "nothing is taken over");
        let accept = format!("/boot/claim/{}/_accept", mac(9));
        assert_eq!(site.post(&accept, &json!({ "replace": true })).0, 200);
        assert_eq!(mac_of(&site, "node001"), mac(9));
    })
    .unwrap();
}

#[test]
fn a_storm_of_unknown_machines_asks_the_switch_a_few_times_and_holds_up_no_node() {
    let Some(lab) = lab("storm") else { return };
    let Some(switch) = agent(&lab) else { return };
    lab.inside(|| {
        let site = ImageSite::start();
        describe(&site);
        assert!(boots(&site, &mac(1)).contains("node001"));
        let before = switch.times_read();
        let began = Instant::now();
        std::thread::scope(|scope| {
            for last in 0..100_u8 {
                let site = &site;
                // One after the other, so that machines keep coming while switches are read.
                let strangers = (1..4).map(move |more| {
                    let mac = format!("52:54:00:00:{more:02x}:{last:02x}");
                    (mac, format!("10.141.20{more}.{}", last + 1))
                });
                scope.spawn(move || {
                    for (mac, address) in strangers {
                        assert!(is_unknown(&boots_from(site, &mac, &address)));
                    }
                });
            }
            assert!(boots(&site, &mac(1)).contains("node001"));
        });
        let most = 2 + usize::try_from(began.elapsed().as_secs() / 2).unwrap();
        let reads = switch.times_read() - before;
        assert!((1..=most).contains(&reads), "{reads} times in {:?}", began.elapsed());
    })
    .unwrap();
}

#[test]
fn a_dead_switch_keeps_no_machine_from_its_answer_where_no_node_is_described_by_its_port() {
    let Some(lab) = lab("none") else { return };
    lab.inside(|| {
        let site = ImageSite::start();
        site.describe();
        let fields = json!({ "network": "cluster", "ipaddress": NOBODY });
        assert_eq!(save(&site, "switch", "dead", &fields), 201);
        assert!(is_unknown(&boots(&site, &mac(1))));
    })
    .unwrap();
}

/// A daemon whose plugins are these programs below `boot/detection`.
fn with_programs(programs: &[(&str, &str)]) -> ImageSite {
    let site = ImageSite::start();
    for (name, script) in programs {
        site.plugin(&format!("boot/detection/{name}"), &format!("#!/bin/sh\n{script}\n"));
    }
    site
}

/// node001 is at port 7 of sw01, which has no address; node002 lives in the cloud `elsewhere`.
fn describe_without_addresses(site: &ImageSite) {
    let files = json!({ "kernelfile": "k", "initrdfile": "i", "imagefile": "a.tar.zst" });
    assert_eq!(site.post_image("compute", "", &files).0, 201);
    site.describe();
    assert_eq!(save(site, "group", "compute", &json!({ "osimage": "compute" })), 204);
    assert_eq!(save(site, "switch", "sw01", &json!({})), 201);
    assert_eq!(save(site, "cloud", "elsewhere", &json!({})), 201);
    let place = json!({ "switch": "sw01", "switchport": "7" });
    assert_eq!(save(site, "node", "node001", &place), 204);
    assert_eq!(save(site, "node", "node002", &json!({ "cloud": "elsewhere" })), 204);
}

#[test]
fn the_sites_own_programs_are_asked_first() {
    let ports = r#"question=$(cat); case $question in
        *'"macaddress":"52:54:00:00:00:01"'*'"name":"sw01"'*) echo '{"switch": "sw01", "port": 7}' ;;
        *) echo '{}' ;;
        esac"#;
    let clouds = r#"echo '{"cloud": "elsewhere"}'"#;
    let site = with_programs(&[("switchport", ports), ("cloud", clouds)]);
    describe_without_addresses(&site);
    assert!(boots(&site, &mac(1)).contains("node001"));
    let waiting = boots(&site, &mac(2));
    assert!(waiting.contains("make it node node002"), "it lives in the cloud: {waiting}");
    assert_eq!(mac_of(&site, "node002"), Value::Null, "and waits for a yes");
    let accept = format!("/boot/claim/{}/_accept", mac(2));
    assert_eq!(site.post(&accept, &json!({})).0, 200);
    assert_eq!(mac_of(&site, "node002"), mac(2));
    assert!(is_unknown(&boots(&site, &mac(3))), "no node is left there");
}

#[test]
fn programs_that_fail_hang_or_say_nonsense_hold_nobody_up_for_long() {
    for nonsense in [
        "exit 3",
        "echo nonsense",
        r#"echo '{"switch": "sw01"}'"#,
        r#"echo '{"error": "no idea"}'"#,
        "yes",
        "sleep 600 & wait",
    ] {
        let site = with_programs(&[("switchport", nonsense), ("cloud", "kill -9 $$")]);
        describe_without_addresses(&site);
        assert!(is_unknown(&boots(&site, &mac(1))), "{nonsense}");
        assert_eq!(mac_of(&site, "node001"), Value::Null, "{nonsense}");
    }
}

#[test]
fn machines_that_find_no_turn_ask_again_and_nothing_is_made_of_them_meanwhile() {
    let site = with_programs(&[("switchport", "sleep 2; echo '{}'")]);
    describe_without_addresses(&site);
    let settings = json!({ "config": { "cluster": { "nextnode_discover": true } } });
    assert_eq!(site.post("/config/cluster", &settings).0, 204);
    let machines: Vec<String> = (0..60).map(|last| format!("52:54:00:00:02:{last:02x}")).collect();
    std::thread::scope(|scope| {
        for mac in &machines {
            scope.spawn(|| boots(&site, mac));
        }
    });
    let nodes = site.get("/config/node").1.to_string();
    let (known, unknown): (Vec<_>, Vec<_>) =
        machines.iter().partition(|mac| nodes.contains(mac.as_str()));
    assert!(known.len() >= 16 && !unknown.is_empty(), "{} are known", known.len());
    boots(&site, unknown[0]);
    assert!(site.get("/config/node").1.to_string().contains(unknown[0].as_str()));
}
