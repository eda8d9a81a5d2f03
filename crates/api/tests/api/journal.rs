//! The journal of another controller, and tables as it compares them.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::image_site::ImageSite;

/// A row as existing controllers send it, by the controller that the site describes.
fn row(function: &str, object: &str, payload: &Value, created: u64) -> Value {
    let payload = base64::engine::general_purpose::STANDARD.encode(payload.to_string());
    json!({
        "function": function, "object": object, "param": null, "payload": payload, "masteronly": 0, "remoteonly": 0, "misc": null,
        "sendfor": "controller2", "sendto": null, "sendby": "controller", "tries": 0, "created": created.to_string()
    })
}

fn without_payload(function: &str, object: &str, param: &str) -> Value {
    let mut row = row(function, object, &Value::Null, 9);
    row["payload"] = Value::Null;
    row["param"] = json!(param);
    row
}

fn send(site: &ImageSite, rows: &[Value]) -> (u16, Value) {
    site.post("/journal", &json!({ "journal": rows }))
}

fn newest(site: &ImageSite) -> Value {
    site.get("/history").1["history"][0].clone()
}

#[test]
fn changes_of_another_controller_are_made_once_in_their_order_and_by_its_name() {
    let site = ImageSite::start();
    site.describe();
    let group =
        |comment: &str| json!({ "config": { "group": { "sent": { "comment": comment } } } });
    // The later one comes first.
    let rows = [
        row("Group.update_group", "sent", &group("second"), 20),
        row("Group.update_group", "sent", &group("first"), 10),
    ];
    assert_eq!(send(&site, &rows).0, 201);
    let shown = |site: &ImageSite| {
        site.get("/config/group/sent").1["config"]["group"]["sent"]["comment"].clone()
    };
    assert_eq!(shown(&site), "second");
    let made = newest(&site);
    assert_eq!(made["author"], "journal:controller", "{made}");
    // As they are sent again, also for another of these controllers, nothing is done.
    let mut again = rows;
    again[0]["sendfor"] = json!("controller3");
    again[1]["tries"] = json!(3);
    assert_eq!(send(&site, &again).0, 201);
    assert_eq!(newest(&site), made);
    // What is refused, unknown, or about files, keeps nobody from going on.
    let bad = json!({ "config": { "group": { "bad": { "osimage": "none" } } } });
    let state = json!({ "monitor": { "status": { "node001": { "state": "install.unpack" } } } });
    let interfaces = json!([{ "interface": "BOOTIF", "macaddress": "52:54:00:00:00:77" }]);
    let mut forged = row("Group.update_group", "sent", &json!({}), 5);
    forged["payload"] = json!("no base64!");
    let rows = [
        row("Group.update_group", "bad", &bad, 1),
        row("Downloader.pull_image_files", "compute", &json!({}), 2),
        row("OSImage.update_osimage", "compute", &json!({}), 3),
        row("Group.update_group", "../user/admin", &json!({}), 4),
        forged,
        row("Monitor.update_nodestatus", "node001", &state, 6),
        row("Interface.change_node_interface_by_name", "node001", &interfaces, 7),
        without_payload("Group.delete_group_by_name", "sent", ""),
    ];
    assert_eq!(send(&site, &rows).0, 201);
    assert_eq!(site.get("/config/group/sent").0, 404, "removed");
    assert_eq!(site.get("/config/group/bad").0, 404, "refused");
    assert_eq!(
        site.get("/monitor/node/node001").1["monitor"]["status"]["node001"]["state"],
        "install.unpack"
    );
    assert_eq!(site.node_of("52:54:00:00:00:77"), "node001");
}

#[test]
fn a_journal_is_taken_from_described_controllers_with_the_columns_that_it_has() {
    let site = ImageSite::start();
    site.describe();
    let mut stranger = row("Group.update_group", "sent", &json!({}), 1);
    stranger["sendby"] = json!("mallory");
    assert_eq!(send(&site, &[stranger]).0, 403);
    let mut odd = row("Group.update_group", "sent", &json!({}), 1);
    odd["id"] = json!(7);
    let (code, answer) = send(&site, &[odd]);
    assert_eq!((code, &answer["message"]), (400, &json!("Invalid request: Columns are incorrect")));
    assert_eq!(site.post("/journal", &json!({})).0, 400);
    assert_eq!(site.get("/config/group/sent").0, 404);
    for path in ["/journal", "/journal/controller2", "/journal/10.141.0.9"] {
        assert_eq!(site.get(path), (200, json!({ "journal": [] })), "{path}");
    }
    assert_eq!(site.get("/journal/controller2/_delete").0, 204);
    for path in ["/journal", "/table/hashes", "/table/data/bmcsetup"] {
        assert_eq!(site.get_as(path, "").0, 401, "{path}");
        assert_eq!(site.get_as(path, &site.node_token("node001")).0, 403, "{path}");
    }
}

#[test]
fn tables_are_told_one_by_one_and_their_digests_tell_when_they_change() {
    let site = ImageSite::start();
    site.describe();
    let hashes = |site: &ImageSite| site.get("/table/hashes").1["table"]["hashes"].clone();
    let before = hashes(&site);
    assert_eq!(before["node"].as_str().unwrap().len(), 64, "{before}");
    assert_eq!(before["cloud"], "0", "an empty one");
    assert!(before.get("user").is_none(), "{before}");
    let (code, answer) = site.get("/table/data/node");
    assert_eq!(code, 201);
    let (_, export) = site.get("/config/cluster/export");
    assert_eq!(answer["table"]["data"]["node"], export["node"]);
    assert_eq!(site.get("/table/data/user").1["table"]["data"]["user"], json!([]));
    let body = json!({ "config": { "group": { "compute": { "comment": "höher" } } } });
    assert_eq!(site.post("/config/group/compute", &body).0, 204);
    let after = hashes(&site);
    assert_ne!(after["group"], before["group"]);
    assert_eq!(after["node"], before["node"]);
}
