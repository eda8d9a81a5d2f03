//! What machines are made of: told by a node's installer, shown to everybody who is logged in.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

const PATH: &str = "/config/node/node001/inventory";

fn machine() -> Value {
    json!({ "product": "R760", "serial": "CZ1", "cpu_count": 64, "memory_mb": 262_144,
        "disks": [{ "name": "nvme0n1", "size_gb": 960, "type": "nvme", "model": "M", "serial": "S" }, { "name": "sda", "size_gb": 40 }],
        "gpus": [{ "busid": "0000:41:00.0", "vendor": "NVIDIA", "model": "A100", "memory_mb": 81_920, "uuid": "GPU-1" }],
        "nics": [{ "name": "ens1", "mac": "52:54:00:00:00:01", "speed_mbps": 100_000, "capabilities": "ethernet", "firmware": "20.31" }],
        "later": "what a newer installer says is no failure" })
}

#[test]
fn a_node_tells_its_own_inventory_and_everybody_reads_it() {
    let site = ImageSite::start();
    site.describe();
    assert_eq!(site.get("/config/node/inventory").0, 404);
    assert_eq!(site.get(PATH).0, 404);
    assert_eq!(site.get("/config/node/none/inventory").0, 404);
    let own = site.node_token("node001");
    assert_eq!(
        site.post_as("/config/node/node002/inventory", &machine(), &own).0,
        403,
        "another's"
    );
    assert_eq!(site.post_as(PATH, &machine(), "").0, 401);
    assert_eq!(site.post_as(PATH, &machine(), &own).0, 204);
    assert_eq!(site.post_as(PATH, &machine(), &own).0, 429, "a moment ago");
    let listed = site.get("/config/node/inventory").1["config"]["node"].clone();
    let entry = &listed["node001"];
    assert_eq!(listed.as_object().unwrap().len(), 1);
    for (key, value) in [
        ("product", json!("R760")),
        ("serial", json!("CZ1")),
        ("cpu_count", json!(64)),
        ("memory_mb", json!(262_144)),
        ("disk_count", json!(2)),
        ("disk_total_gb", json!(1000)),
        ("gpu_count", json!(1)),
        ("nic_count", json!(1)),
    ] {
        assert_eq!(entry[key], value, "{key}");
    }
    assert!(entry["source"].is_string() && entry["updated"].is_string());
    let shown = site.get(PATH).1["config"]["node"]["node001"]["inventory"].clone();
    assert_eq!(shown.as_array().unwrap().len(), 1);
    assert_eq!(
        shown[0]["disks"],
        json!([
            { "name": "nvme0n1", "size_gb": 960, "type": "nvme", "model": "M", "serial": "S" },
            { "name": "sda", "size_gb": 40, "type": "", "model": "", "serial": "" },
        ])
    );
    assert_eq!(
        (&shown[0]["nics"][0]["firmware"], &shown[0]["updated"]),
        (&json!("20.31"), &entry["updated"])
    );
    // It goes with the node's name, over a restart, and with the node.
    let rename = json!({ "config": { "node": { "node001": { "newnodename": "node009" } } } });
    assert_eq!(site.post("/config/node/node001", &rename).0, 204);
    assert_eq!(site.get("/config/node/node009/inventory").0, 200);
    let site = site.restart();
    assert_eq!(site.get("/config/node/node009/inventory").0, 200);
    assert_eq!(site.get("/config/node/node009/_delete").0, 204);
    assert_eq!(site.get("/config/node/inventory").0, 404);
}

#[test]
fn an_inventory_that_cannot_be_is_refused_and_one_that_is_too_much_is_cut() {
    let site = ImageSite::start();
    site.describe();
    for wrong in [
        json!([]),
        json!("x"),
        json!({ "cpu_count": -1 }),
        json!({ "disks": "x" }),
        json!({ "disks": [1] }),
        json!({ "product": 1 }),
    ] {
        assert_eq!(site.post(PATH, &wrong).0, 400, "{wrong}");
    }
    let long = json!({ "product": "x".repeat(700_000) });
    assert_eq!(site.post_as(PATH, &long, &site.node_token("node001")).0, 413);
    assert_eq!(site.get(PATH).0, 404, "nothing was taken");
    let disks: Vec<Value> =
        (0..2000).map(|number| json!({ "name": format!("sd{number}"), "size_gb": 1 })).collect();
    let much = json!({ "product": "a\nb", "serial": "s".repeat(500), "disks": disks });
    assert_eq!(site.post(PATH, &much).0, 204);
    let shown = site.get(PATH).1["config"]["node"]["node001"]["inventory"][0].clone();
    assert_eq!((&shown["product"], &shown["disk_count"]), (&json!("ab"), &json!(256)));
    assert_eq!(shown["serial"].as_str().unwrap().len(), 128);
}
