//! What nodes are known by, and what their installers said.

use perilune_plan::Purpose;
use perilune_seal::KeyPair;
use serde_json::{Value, json};

use crate::image_site::{ImageSite, opened};

const MAC: &str = "52:54:00:00:00:01";

fn bootable() -> ImageSite {
    let site = ImageSite::start();
    let files = json!({ "kernelfile": "k", "initrdfile": "i", "imagefile": "a.tar.zst" });
    assert_eq!(site.post_image("compute", "", &files).0, 201);
    site.describe();
    let body = json!({ "config": { "group": { "compute": { "osimage": "compute" } } } });
    assert_eq!(site.post("/config/group/compute", &body).0, 204);
    let interface = json!({ "interfaces": [{ "interface": "BOOTIF", "macaddress": MAC }] });
    let body = json!({ "config": { "node": { "node001": interface } } });
    assert_eq!(site.post("/config/node/node001", &body).0, 204);
    site
}

/// A boot of node001: its token, and its plan as the machine reads it.
fn boot(site: &ImageSite) -> (String, Value) {
    let script = site.text_from(&format!("/boot/search/mac/{MAC}"), "10.141.0.1").1;
    let (_, rest) = script.split_once("perilune.ticket=").unwrap();
    let ticket = json!({ "ticket": rest.split_whitespace().next().unwrap() });
    let key = KeyPair::generate().unwrap();
    let (code, answer) = site.exchange("node001", &ticket, "10.141.0.1:700", &key);
    assert_eq!(code, 201, "{answer}");
    let token = answer["token"].as_str().unwrap().to_owned();
    let sealed = site.get_as("/boot/plan/node001", &token).1;
    (token, opened(&key, &Purpose::Plan.of("node001"), sealed))
}

fn known_by(site: &ImageSite) -> Value {
    site.get("/config/identity").1["config"]["identity"].clone()
}

#[test]
fn a_node_has_one_identity_over_all_its_boots_and_only_the_node_is_given_it() {
    let site = bootable();
    assert_eq!(known_by(&site), json!({}), "it is made when it is needed");
    let first = boot(&site).1["identity"].clone();
    assert_eq!(first["machine_id"].as_str().unwrap().len(), 32);
    let keys = first["ssh_host_keys"].as_array().unwrap();
    assert_eq!(keys.len(), 3);
    for key in keys {
        assert!(key["private"].as_str().unwrap().starts_with("-----BEGIN OPENSSH PRIVATE KEY"));
    }
    assert_eq!(boot(&site).1["identity"], first, "also at the next boot");
    let site = site.restart();
    assert_eq!(boot(&site).1["identity"], first, "and of another life of the daemon");

    let plan = site.get("/boot/plan/node001").1;
    assert!(plan["node"] == "node001" && plan["identity"].is_null(), "no administrator sees it");
    let shown = known_by(&site)["node001"].clone();
    assert_eq!(shown["ssh_host_keys"][0], keys[0]["public"]);
    let names = shown["names"].as_array().unwrap();
    for name in ["node001", "node001.cluster", "10.141.0.1"] {
        assert!(names.contains(&json!(name)), "{names:?}");
    }
    let private = first["ssh_host_keys"][0]["private"].as_str().unwrap();
    let line = private.lines().nth(2).unwrap();
    for path in ["/config/identity", "/history", "/config/export?secrets=true"] {
        assert!(!site.get(path).1.to_string().contains(line), "{path}");
    }
    let revision = site.get("/history").1["history"][0]["revision"].clone();
    let change = site.get(&format!("/history/{revision}")).1.to_string();
    assert!(!change.contains(line) && !change.contains(first["machine_id"].as_str().unwrap()));
}

#[test]
fn an_identity_goes_where_its_node_goes_and_is_renewed_when_somebody_asks() {
    let site = bootable();
    let first = boot(&site).1["identity"].clone();
    let renew = |nodes: &str| site.post("/config/identity/_renew", &json!({ "nodes": nodes }));
    assert_eq!(renew("node[001-999]").0, 404);
    assert_eq!(renew("node[001").0, 400);
    assert_eq!(site.post("/config/identity/_renew", &json!({})).0, 400);
    assert_eq!(renew("node001").0, 201);
    let second = boot(&site).1["identity"].clone();
    for field in ["machine_id", "host_uuid", "initiator", "ssh_host_keys"] {
        assert_ne!(first[field], second[field], "{field}");
    }
    let rename = json!({ "config": { "node": { "node001": { "newnodename": "login1" } } } });
    assert_eq!(site.post("/config/node/node001", &rename).0, 204);
    let key = known_by(&site)["login1"]["ssh_host_keys"][0].clone();
    assert_eq!(key, second["ssh_host_keys"][0]["public"]);
    assert_eq!(site.get("/config/node/login1/_delete").0, 204);
    assert_eq!(known_by(&site), json!({}));
}

#[test]
fn an_installer_sends_its_own_log_and_operators_read_it() {
    let site = bootable();
    let (token, _) = boot(&site);
    assert_eq!(site.get("/monitor/log/node001").0, 404);
    let send = |node: &str, text: &str, token: &str| {
        site.post_as(&format!("/boot/log/{node}"), &json!({ "text": text }), token)
    };
    assert_eq!(send("node001", "== Network\nall is well\n", &token).0, 204);
    assert_eq!(send("node001", "again", &token).0, 429, "a moment ago");
    assert_eq!(send("node002", "of another", &token).0, 403);
    assert_eq!(send("node001", "of nobody", "").0, 401);
    assert_eq!(site.get_as("/monitor/log/node001", &token).0, 403, "nodes only write");
    let shown = site.get("/monitor/log/node001").1["monitor"]["log"]["node001"].clone();
    assert_eq!(shown["text"], "== Network\nall is well\n");
    let long = "x".repeat(200 << 10);
    assert_eq!(send("node001", &long, &token).0, 413);
    assert_eq!(send("node001", &"\u{1}".repeat(120 << 10), &token).0, 413);
    assert_eq!(site.post_as("/boot/log/node001", &json!({ "text": 7 }), &token).0, 400);
}

#[test]
fn why_a_node_is_not_installed_is_with_the_node_until_it_is() {
    let site = bootable();
    let (token, _) = boot(&site);
    let report = |entry: Value| {
        let body = json!({ "monitor": { "status": { "node001": entry } } });
        assert_eq!(site.post_as("/monitor/node/node001", &body, &token).0, 204);
    };
    let failure = || {
        let list = site.get("/config/node").1["config"]["node"]["node001"]["failure"].clone();
        let shown = site.get("/config/node/node001").1["config"]["node"]["node001"].clone();
        assert_eq!(list, shown["failure"]);
        list
    };
    assert!(failure().is_null());
    report(json!({ "state": "install.error", "status": "the postscript failed: no such file" }));
    assert_eq!(failure(), "the postscript failed: no such file");
    report(json!({ "state": "install.prescript", "status": "again" }));
    assert!(failure().is_null());
}

#[test]
fn what_a_plan_says_of_its_place_is_what_the_site_says() {
    let site = bootable();
    let set = |kind: &str, name: &str, fields: Value| {
        site.post(
            &format!("/config/{kind}/{name}"),
            &json!({ "config": { kind: { name: fields } } }),
        )
        .0
    };
    let plan = || site.get("/boot/plan/node001").1;
    assert_eq!((&plan()["script_timeout"], plan()["hosts"].is_null()), (&json!(7200), true));
    let fields = json!({ "hosts": "group", "script_timeout": "90m", "timezone": "Europe/Rome", "locale": "C.UTF-8" });
    assert_eq!(set("group", "compute", fields), 204);
    let said = plan();
    assert_eq!(said["script_timeout"], 5400);
    assert_eq!((&said["timezone"], &said["locale"]), (&json!("Europe/Rome"), &json!("C.UTF-8")));
    let hosts = said["hosts"].as_array().unwrap();
    let names = |node: &str| {
        hosts.iter().any(|host| host["names"].as_array().unwrap().contains(&json!(node)))
    };
    assert!(names("node002") && names("node002.cluster") && names("controller"), "{hosts:?}");
    assert!(!names("node001"), "itself is the installer's to write");
    assert_eq!(set("node", "node001", json!({ "hosts": "self" })), 204);
    assert!(plan()["hosts"].is_null(), "its own word comes before its group's");
    for (field, value) in [
        ("hosts", "everybody"),
        ("script_timeout", "soon"),
        ("script_timeout", "0s"),
        ("timezone", "../../etc/passwd"),
        ("locale", "C\nLD_PRELOAD=x"),
    ] {
        assert_eq!(set("node", "node001", json!({ field: value })), 400, "{field} {value}");
    }
    let node = site.get("/config/node/node001").1["config"]["node"]["node001"].clone();
    assert_eq!((&node["hosts"], &node["_hosts_source"]), (&json!("self"), &json!("node")));
    assert_eq!(
        (&node["timezone"], &node["_timezone_source"]),
        (&json!("Europe/Rome"), &json!("group"))
    );
}
