//! Machines that an import refused become nobody else until somebody decides.

use std::fs;

use perilune_testkit::luna::Database;
use serde_json::{Value, json};

use crate::image_site::ImageSite;

const KEPT: &str = "aa:bb:cc:00:00:30";

/// A site that was taken over but for `Node_3`, and makes nodes of unknown machines. Its `cluster` network has 10.141.0.3 for that node.
fn site() -> ImageSite {
    let database = Database::site();
    database.sql(&format!(
        "UPDATE cluster SET nextnode_discover = 1, createnode_ondemand = 1;
         INSERT INTO node (id, name, groupid) VALUES (3, 'Node_3', 1), (4, 'node004', 1);
         INSERT INTO nodeinterface (id, nodeid, interface, macaddress) VALUES (30, 3, 'BOOTIF', '{KEPT}'), (40, 4, 'BOOTIF', NULL);
         INSERT INTO ipaddress (id, tableref, tablerefid, ipaddress, networkid) VALUES (30, 'nodeinterface', 30, '10.141.0.3', 1), (40, 'nodeinterface', 40, '10.141.0.4', 1);"
    ));
    let site = ImageSite::start();
    let bytes = fs::read(database.file()).unwrap();
    let (code, answer) = site.post_bytes("/config/import?dry_run=false", &bytes, None);
    assert_eq!((code, &answer["import"]["committed"]), (200, &json!(true)), "{answer}");
    site
}

fn boot(site: &ImageSite, mac: &str) -> String {
    site.text_from(&format!("/boot/search/mac/{mac}"), "10.141.200.7").1
}

fn node(name: &str, interface: &Value) -> Value {
    json!({ "config": { "node": { name: { "group": "compute", "interfaces": [interface] } } } })
}

fn said(answer: &Value) -> &str {
    answer["message"].as_str().unwrap()
}

#[test]
fn a_kept_machine_is_no_node_by_itself_and_its_address_is_given_to_nobody() {
    let site = site();
    let script = boot(&site, KEPT);
    assert!(
        script.contains("perilune reservation release") && script.contains("Node_3"),
        "{script}"
    );
    let free = json!({ "interface": "BOOTIF", "network": "cluster" });
    assert_eq!(site.post("/config/node/node005", &node("node005", &free)).0, 201);
    let made = site.get("/config/node/node005").1["config"]["node"]["node005"].clone();
    assert_eq!(made["interfaces"][0]["ipaddress"], "10.141.0.5", "{made}");
    for taken in [
        json!({ "interface": "BOOTIF", "macaddress": KEPT }),
        json!({ "interface": "BOOTIF", "ipaddress": "10.141.0.3", "network": "cluster" }),
    ] {
        let (code, answer) = site.post("/config/node/node006", &node("node006", &taken));
        assert_eq!(code, 400, "{answer}");
        assert!(said(&answer).contains("Node_3"), "{answer}");
    }
    for path in ["/boot/manual/group/compute/", "/boot/manual/hostname/node004/"] {
        let script = site.text_from(&format!("{path}{KEPT}"), "10.141.200.7").1;
        assert!(script.contains("Node_3"), "{path}: {script}");
    }
    let interface =
        site.get("/config/node/node004").1["config"]["node"]["node004"]["interfaces"][0].clone();
    assert_eq!(interface["macaddress"], Value::Null);
    // Another machine is what the settings say.
    let script = boot(&site, "aa:bb:cc:00:00:99");
    assert!(script.contains("node004"), "{script}");
    let warnings = site.get("/monitor/warnings").1.to_string();
    assert!(
        warnings.contains("1 machines are reserved") && warnings.contains("Node_3"),
        "{warnings}"
    );
}

#[test]
fn a_released_machine_becomes_what_the_settings_say() {
    let site = site();
    let listed = site.get("/config/reservation").1["config"]["reservation"]["Node_3"].clone();
    let expected = json!({
        "name": "Node_3", "reason": "the import refused row 3 of node", "macaddresses": [KEPT], "addresses": ["10.141.0.3"],
    });
    assert_eq!(listed, expected);
    assert_eq!(
        site.get("/config/reservation/Node_3").1["config"]["reservation"]["Node_3"],
        expected
    );
    assert_eq!(site.get("/config/reservation/Node_3/_delete").0, 204);
    assert_eq!(site.get("/config/reservation/Node_3/_delete").0, 404);
    assert_eq!(site.get("/config/reservation").0, 404);
    let script = boot(&site, KEPT);
    assert!(script.contains("node004"), "{script}");
    let taken = json!({ "interface": "BOOTIF", "ipaddress": "10.141.0.3", "network": "cluster" });
    assert_eq!(site.post("/config/node/node006", &node("node006", &taken)).0, 201);
}

#[test]
fn reservations_outlive_restarts_exports_and_imports() {
    let site = site().restart();
    let before = site.get("/config/reservation").1;
    assert_eq!(before["config"]["reservation"]["Node_3"]["macaddresses"], json!([KEPT]));
    let tables = site.get("/config/cluster/export").1;
    assert_eq!(site.post("/config/cluster/import", &tables).0, 201);
    assert_eq!(site.get("/config/reservation").1, before);
    let document = site.get("/config/export").1;
    assert_eq!(document["reservation"]["Node_3"]["addresses"], json!(["10.141.0.3"]));
    let unchanged = site.post("/config/apply?prune=true&dry_run=true", &document).1;
    assert_eq!(unchanged["changes"], json!([]), "{unchanged}");
    assert_eq!(site.get("/config/reservation/Node_3/_delete").0, 204);
    assert_eq!(site.post("/config/apply", &document).0, 200);
    assert_eq!(site.get("/config/reservation").1, before);
    // A document may decide: the machine is a node of it.
    let decision = json!({
        "reservation": {},
        "node": { "node003": { "group": "compute", "interfaces": [{ "interface": "BOOTIF", "network": "cluster", "macaddress": KEPT, "ipaddress": "10.141.0.3" }] } },
    });
    let mut decided = document;
    for (key, value) in decision["node"].as_object().unwrap() {
        decided["node"][key] = value.clone();
    }
    decided["reservation"] = json!({});
    let (code, answer) = site.post("/config/apply?prune=true", &decided);
    assert_eq!(code, 200, "{answer}");
    assert_eq!(site.get("/config/reservation").0, 404);
    for wrong in [
        json!({ "macaddresses": ["x"] }),
        json!({ "addresses": ["10.0.0.300"] }),
        json!({ "macaddresses": [KEPT] }),
        json!({ "addresses": ["10.141.0.1"] }),
    ] {
        let document = json!({ "reservation": { "other": wrong } });
        assert_eq!(site.post("/config/apply", &document).0, 400, "{document}");
    }
}
