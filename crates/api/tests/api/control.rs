//! Control of machines over the API, with simulated BMCs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use perilune_testkit::bmc::{PASSWORD, PROGRAM, USER};
use perilune_testkit::{Bmc, process};
use serde_json::{Value, json};

use crate::image_site::{ImageSite, until};

/// A site whose nodes have BMCs in 127.9.0.0/16: node001 and node002 simulated ones, node003 one that is not there; node004 has none.
struct Row {
    bmcs: Vec<Bmc>,
    site: ImageSite,
    directory: tempfile::TempDir,
    port: u16,
}

pub(crate) fn save(site: &ImageSite, resource: &str, name: &str, fields: &Value) -> u16 {
    let body = json!({ "config": { resource: { name: fields } } });
    site.post(&format!("/config/{resource}/{name}"), &body).0
}

fn address(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 9, 0, number).into()
}

/// A simulated BMC at the address of this number.
fn bmc(directory: &Path, number: u8, port: u16) -> Bmc {
    let files = directory.join(number.to_string());
    std::fs::create_dir(&files).unwrap();
    let at = SocketAddr::new(address(number), port);
    Bmc::start(process::command(PROGRAM), at, None, &files).unwrap()
}

impl Row {
    /// `None`, said loudly, when the simulator is not installed.
    fn start() -> Option<Self> {
        if !Path::new("/usr/bin").join(PROGRAM).exists() {
            eprintln!("SKIPPED: {PROGRAM} is not installed (package openipmi)");
            return None;
        }
        let site = ImageSite::start().with_network("bmcs", "127.9.0.0/16");
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        let bmcs = vec![bmc(directory.path(), 1, port), bmc(directory.path(), 2, port)];
        let setup = json!({ "username": USER, "password": PASSWORD, "port": port });
        assert_eq!(save(&site, "bmcsetup", "sim", &setup), 201);
        let group = json!({ "bmcsetupname": "sim", "interfaces": [{ "interface": "BMC", "network": "bmcs" }, { "interface": "BOOTIF", "network": "cluster" }] });
        assert_eq!(save(&site, "group", "compute", &group), 201);
        for number in 1..=4 {
            let node = format!("node{number:03}");
            let bmc =
                json!([{ "interface": "BMC", "network": "bmcs", "ipaddress": address(number) }]);
            assert_eq!(
                save(&site, "node", &node, &json!({ "group": "compute", "interfaces": bmc })),
                201
            );
        }
        assert_eq!(site.get("/config/node/node004/interfaces/BMC/_delete").0, 204);
        let row = Self { bmcs, site, directory, port };
        // The simulators take a moment to come up, and a BMC that failed is left alone for a while.
        until(|| {
            let hosts = json!({ "control": { "forget": { "hostlist": "node[001-002]" } } });
            assert_eq!(row.site.post("/control/forget", &hosts).0, 200);
            (1..=2).all(|number| row.power(number) == (200, json!("off")))
        });
        Some(row)
    }

    fn act(&self, words: &str, number: u8) -> (u16, Value) {
        let (subsystem, action) = words.split_once(' ').unwrap();
        self.site.get(&format!("/control/action/{subsystem}/node{number:03}/_{action}"))
    }

    fn power(&self, number: u8) -> (u16, Value) {
        let (status, mut answer) = self.act("power status", number);
        (status, answer["control"]["power"].take())
    }

    /// The answers to a request for many, merged: `ok`, `on`, `off`, `failed`, and the request's identifier.
    fn act_on_many(&self, words: &str, hosts: &str) -> (Value, String) {
        let (subsystem, action) = words.split_once(' ').unwrap();
        let body = json!({ "control": { subsystem: { action: { "hostlist": hosts } } } });
        let (status, mut answer) =
            self.site.post(&format!("/control/action/{subsystem}/_{action}"), &body);
        assert_eq!(status, 200, "{answer}");
        let id = answer["request_id"].as_str().unwrap().to_owned();
        let mut all = json!({ "ok": {}, "on": {}, "off": {}, "failed": {} });
        let mut add = |control: &Value| {
            for (key, part) in control.as_object().unwrap() {
                let lists = if key == "failed" { json!({ "failed": part }) } else { part.clone() };
                for (list, nodes) in lists.as_object().unwrap() {
                    for (node, text) in nodes.as_object().unwrap() {
                        assert_eq!(all[list].get(node), None, "{node} has two results");
                        all[list][node] = text.clone();
                    }
                }
            }
        };
        add(&answer["control"].take());
        until(|| {
            let (status, answer) = self.site.get_as(&format!("/control/status/{id}"), "");
            if status == 404 {
                assert_eq!(answer["message"], "No data for this request");
                return true;
            }
            add(&answer["control"]);
            false
        });
        (all, id)
    }

    fn state(&self, number: u8) -> Value {
        self.site.get("/config/node").1["config"]["node"][format!("node{number:03}")]["status"]
            .take()
    }
}

#[test]
fn a_machine_is_switched_and_its_power_its_log_and_its_light_are_had() {
    let Some(row) = Row::start() else { return };
    assert_eq!(row.act("power on", 1), (204, json!("")));
    assert!(row.bmcs[0].is_powered() && !row.bmcs[1].is_powered());
    assert_eq!(row.power(1), (200, json!("on")));
    assert_eq!(row.state(1), "power on");
    assert_eq!(row.site.get("/control/power/node001").1, json!({ "control": { "power": "on" } }));
    for words in
        ["power cycle", "power reset", "chassis identify", "chassis noidentify", "sel clear"]
    {
        assert_eq!(row.act(words, 1), (204, json!("")), "{words}");
    }
    assert!(row.bmcs[0].log().contains("reset"), "{}", row.bmcs[0].log());
    assert_eq!(row.act("sel list", 1), (200, json!({ "control": { "sel": "" } })));
    assert_eq!(row.act("power off", 1).0, 204);
    assert_eq!(row.power(1), (200, json!("off")));
    assert_eq!(row.state(1), "power off");
}

#[test]
fn a_machine_that_was_off_and_is_on_is_expected_to_boot_and_one_that_was_on_is_not() {
    let Some(row) = Row::start() else { return };
    let expected = || -> Vec<Value> {
        let windows = row.site.get("/boot/window").1["windows"].take();
        let windows = windows.as_array().unwrap();
        windows.iter().map(|window| json!([window["node"], window["evidence"]])).collect()
    };
    assert_eq!(row.act("power on", 1).0, 204);
    assert_eq!(expected(), [json!(["node001", "power"])]);
    let close = json!({ "nodes": "node001", "seconds": 0 });
    assert_eq!(row.site.post("/boot/window", &close).0, 200);
    assert_eq!(row.act("power on", 1), (204, json!("")), "it is on");
    let (all, _) = row.act_on_many("power on", "node[001-003]");
    assert_eq!(all["failed"].as_object().unwrap().len(), 1, "{all}");
    assert_eq!(expected(), [json!(["node002", "power"])], "node001 was on, node003 has no BMC");
    assert_eq!(row.act("power off", 2).0, 204);
    let close = json!({ "nodes": "node002", "seconds": 0 });
    assert_eq!(row.site.post("/boot/window", &close).0, 200);
    assert_eq!(row.act("power status", 2).0, 200);
    assert_eq!(expected(), Vec::<Value>::new(), "nothing else opens one");
    assert_eq!(row.act("power reset", 1).0, 204);
    assert_eq!(expected(), [json!(["node001", "power"])]);
}

#[test]
fn what_cannot_be_is_said_for_one_machine() {
    let Some(row) = Row::start() else { return };
    let (status, answer) = row.act("power explode", 1);
    assert_eq!(status, 501);
    assert!(
        answer["control"]["power"].as_str().unwrap().starts_with("Instruction not implemented")
    );
    for (number, reason) in [(4, "no interface 'BMC'"), (9, "no node 'node009'")] {
        let (status, answer) = row.act("power status", number);
        assert_eq!(status, 404);
        assert!(answer["message"].as_str().unwrap().contains(reason), "{answer}");
    }
    assert_eq!(row.site.get("/control/action/power/NODE_1/_status").0, 400);
    assert_eq!(row.site.get("/control/action/power/node001/status").0, 404);
    assert_eq!(row.site.get("/control/power").0, 404);
    assert_eq!(row.site.get_as("/control/action/power/node001/_on", "").0, 401);
    assert!(!row.bmcs[0].is_powered());
}

#[test]
fn a_wrong_password_is_said_as_such_and_not_tried_again() {
    let Some(row) = Row::start() else { return };
    assert_eq!(save(&row.site, "bmcsetup", "sim", &json!({ "password": "guess" })), 204);
    let (status, answer) = row.act("power status", 1);
    assert_eq!(status, 501);
    let text = answer["control"]["power"].as_str().unwrap();
    assert!(text.contains("refuses user name or password of \"admin\""), "{text}");
    let again = row.act("power status", 1).1["control"]["power"].take();
    assert!(again.as_str().unwrap().contains("not tried for another"), "{again}");
    assert_eq!(save(&row.site, "bmcsetup", "sim", &json!({ "password": PASSWORD })), 204);
    assert_eq!(row.power(1).0, 200, "the right password is tried at once");
}

#[test]
fn many_machines_each_have_one_result_and_the_dead_ones_are_named() {
    let Some(row) = Row::start() else { return };
    let hosts = "node[001-004],node001,ghost";
    let (all, id) = row.act_on_many("power on", hosts);
    assert_eq!(all["ok"], json!({ "node001": "power on", "node002": "power on" }));
    let failed = all["failed"].as_object().unwrap();
    assert_eq!(failed.keys().collect::<std::collections::BTreeSet<_>>().len(), 3);
    assert!(failed["ghost"].as_str().unwrap().contains("no node 'ghost'"));
    assert!(failed["node003"].as_str().unwrap().contains("127.9.0.3"), "{}", failed["node003"]);
    assert_eq!((row.state(1), row.state(2)), (json!("power on"), json!("power on")));
    assert_ne!(row.state(3), "power on");
    let (all, _) = row.act_on_many("power status", "node[001-002]");
    assert_eq!(all["on"], json!({ "node001": "None", "node002": "None" }));

    let (status, answer) = row.site.get(&format!("/control/request/{id}?after=3"));
    assert_eq!(status, 200);
    let request = &answer["control"]["request"];
    assert_eq!((&request["total"], &request["is_over"]), (&json!(5), &json!(true)));
    assert_eq!(answer["control"]["results"].as_array().unwrap().len(), 2);
    assert_eq!(row.site.get("/control/request/none").0, 404);
    assert_eq!(row.site.get("/control/request").1["control"]["request"][1]["request_id"], id);
}

#[test]
fn a_host_list_that_cannot_be_read_starts_nothing() {
    let Some(row) = Row::start() else { return };
    let post = |body: Value| row.site.post("/control/action/power/_on", &body);
    for (body, expected) in [
        (json!({}), 400),
        (json!({ "control": {} }), 404),
        (json!({ "control": { "power": "on" } }), 404),
        (json!({ "control": { "power": { "on": {} } } }), 404),
        (json!({ "control": { "power": { "on": { "hostlist": "node[001" } } } }), 404),
        (json!({ "control": { "power": { "on": { "hostlist": "" } } } }), 404),
        (json!({ "control": { "power": { "on": { "hostlist": "n[1-100001]" } } } }), 404),
        (json!({ "control": { "power": { "on": { "hostlist": "node001", "rampe": 3 } } } }), 400),
    ] {
        assert_eq!(post(body.clone()).0, expected, "{body}");
    }
    assert!(!row.bmcs[0].is_powered());
    let (all, _) = row.act_on_many("power explode", "node[001-002]");
    assert_eq!(all["failed"].as_object().unwrap().len(), 2);
    let (all, _) = row.act_on_many("power status", "ghost[1-99999]");
    assert_eq!(all["failed"].as_object().unwrap().len(), 99_999);
}

#[test]
fn a_request_can_be_cancelled_and_what_was_not_begun_is_not_done() {
    let Some(row) = Row::start() else { return };
    // One at a time, and the first is the one that does not answer.
    let body = json!({ "control": { "power": { "on": { "hostlist": "node003,node002", "concurrent": 1, "ramp": 1 } } } });
    let answer = row.site.post("/control/action/power/_on", &body).1;
    let id = answer["request_id"].as_str().unwrap();
    let cancelled = row.site.post(&format!("/control/request/{id}/_cancel"), &json!({}));
    assert_eq!(cancelled.0, 204);
    until(|| {
        row.site.get(&format!("/control/request/{id}?wait=5")).1["control"]["request"]["is_over"]
            == true
    });
    let answer = row.site.get(&format!("/control/request/{id}")).1;
    assert_eq!(answer["control"]["results"].as_array().unwrap().len(), 2);
}

#[test]
fn a_sites_own_programs_control_machines_and_are_told_of_every_outcome() {
    let Some(row) = Row::start() else { return };
    let power = "#!/bin/sh\ncat >/dev/null\necho '{\"power\": \"on\"}'\n";
    row.site.plugin("control/node004", power);
    let told = row.site.directory.path().join("told");
    std::fs::write(&told, "").unwrap();
    std::fs::set_permissions(&told, std::fs::Permissions::from_mode(0o666)).unwrap();
    let hook = format!("#!/bin/sh\necho \"$*\" as $(id -u) >>{}\n", told.display());
    row.site.plugin("hooks/control/compute", &hook);
    let bmc = json!({ "interfaces": [{ "interface": "BMC", "network": "bmcs", "ipaddress": address(4) }] });
    assert_eq!(save(&row.site, "node", "node004", &bmc), 204);
    assert_eq!(row.power(4), (200, json!("on")));
    assert_eq!(row.power(1), (200, json!("off")), "others are spoken to as before");
    assert_eq!(row.act("power on", 1).0, 204);
    let hook_is_told =
        |line: &str| std::fs::read_to_string(&told).is_ok_and(|text| text.contains(line));
    until(|| {
        hook_is_told("power_on node001 compute") && hook_is_told("power_status node004 compute")
    });
    assert!(!hook_is_told("as 0"), "a hook ran as root");
}

#[test]
fn sensors_and_inventory_are_had_as_text_and_for_programs() {
    let Some(row) = Row::start() else { return };
    let (status, mut answer) = row.act("sensors list", 1);
    assert_eq!(
        (status, answer["control"]["sensors"].take()),
        (200, json!("CPU Temp | 42.000 degrees C | ok"))
    );
    let (_, answer) = row.act("inventory list", 1);
    let inventory = answer["control"]["inventory"].as_str().unwrap();
    assert!(inventory.contains(";;product | serial number | S/N 42;;"), "{inventory}");
    let (all, id) = row.act_on_many("sensors list", "node[001-002]");
    assert_eq!(all["ok"], json!({ "node001": "sensors list", "node002": "sensors list" }));
    let results = row.site.get(&format!("/control/request/{id}")).1["control"]["results"].take();
    for result in results.as_array().unwrap() {
        assert_eq!(result["reply"]["sensors"][0]["name"], "CPU Temp", "{result}");
        assert_eq!(result["reply"]["sensors"][0]["value"], 42.0, "{result}");
    }
}

#[test]
fn of_two_operators_on_one_machine_the_second_is_told_what_the_first_is_doing() {
    let Some(row) = Row::start() else { return };
    assert_eq!(row.act("power on", 1).0, 204);
    std::thread::scope(|scope| {
        // Its BMC is watched for seconds until the machine is on again.
        let first = scope.spawn(|| row.act("power cycle", 1));
        until(|| row.bmcs[0].log().contains("power 0"));
        let (all, _) = row.act_on_many("power off", "node[001-002]");
        assert_eq!(all["ok"], json!({ "node002": "power off" }));
        let told = all["failed"]["node001"].as_str().unwrap();
        assert!(told.contains("another request is just doing \"power cycle\""), "{told}");
        assert_eq!(first.join().unwrap().0, 204);
    });
    assert_eq!(row.power(1), (200, json!("on")));
    assert_eq!((row.state(1), row.state(2)), (json!("power cycle"), json!("power off")));
}

#[test]
fn results_that_nobody_waits_for_become_states_too() {
    let Some(row) = Row::start() else { return };
    assert_eq!(row.act_on_many("power on", "node[001-002]").0["failed"], json!({}));
    let body = json!({ "control": { "power": { "cycle": { "hostlist": "node[001-002]" } } } });
    let (status, answer) = row.site.post("/control/action/power/_cycle", &body);
    assert_eq!(status, 200);
    assert_eq!(answer["control"]["power"]["ok"], json!({}), "a cycle takes longer");
    until(|| (row.state(1), row.state(2)) == (json!("power cycle"), json!("power cycle")));
}

#[test]
fn a_bmc_that_another_node_has_now_is_not_held_to_what_it_was() {
    let Some(row) = Row::start() else { return };
    until(|| {
        let (_, answer) = row.act("power status", 3);
        answer["control"]["power"].as_str().unwrap().contains("not tried for another")
    });
    assert_eq!(row.site.get("/config/node/node003/_delete").0, 204);
    let other = json!({ "interfaces": [{ "interface": "BMC", "network": "bmcs", "ipaddress": address(3) }] });
    assert_eq!(save(&row.site, "node", "node004", &other), 204);
    let _replacement = bmc(row.directory.path(), 3, row.port);
    // It takes a moment to come up.
    until(|| UdpSocket::bind((address(3), row.port)).is_err());
    assert_eq!(row.power(4), (200, json!("off")));
}

#[test]
fn requests_for_one_machine_do_not_push_those_for_many_out_of_memory() {
    let Some(row) = Row::start() else { return };
    let (_, id) = row.act_on_many("power status", "node[001-002]");
    for _ in 0..300 {
        assert_eq!(row.act("power status", 9).0, 404);
    }
    assert_eq!(row.site.get(&format!("/control/request/{id}")).0, 200);
    assert_eq!(
        row.site.get("/control/request").1["control"]["request"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn a_machine_without_a_bmc_setup_is_told_so_and_the_others_are_done() {
    let Some(row) = Row::start() else { return };
    assert_eq!(save(&row.site, "group", "bare", &json!({})), 201);
    assert_eq!(save(&row.site, "node", "node002", &json!({ "group": "bare" })), 204);
    let bmc = json!({ "interfaces": [{ "interface": "BMC", "network": "bmcs", "ipaddress": address(2) }] });
    assert_eq!(save(&row.site, "node", "node002", &bmc), 204);
    let (status, answer) = row.act("power on", 2);
    assert_eq!(status, 404);
    assert!(answer["message"].as_str().unwrap().contains("has a BMC setup"), "{answer}");
    let (all, _) = row.act_on_many("power on", "node[001-002]");
    assert_eq!(all["ok"], json!({ "node001": "power on" }));
    assert!(all["failed"]["node002"].as_str().unwrap().contains("has a BMC setup"), "{all}");
    assert_eq!(
        row.site.get_as("/control/status/1767348000.1", ""),
        (404, row.site.get_as("/control/status/x", "").1)
    );
}
