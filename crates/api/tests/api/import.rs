//! Taking over an old site by the API.

use std::fs;

use perilune_testkit::luna::Database;
use serde_json::{Value, json};

use crate::image_site::ImageSite;

fn bytes(database: &Database) -> Vec<u8> {
    fs::read(database.file()).unwrap()
}

fn import(site: &ImageSite, query: &str, database: &Database) -> (u16, Value) {
    site.post_bytes(&format!("/config/import{query}"), &bytes(database), None)
}

/// Files of uploads that are still there.
fn left_behind(site: &ImageSite) -> Vec<String> {
    let entries = fs::read_dir(site.directory.path().join("data")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("import-")).collect()
}

#[test]
fn a_dry_run_is_what_happens_unless_somebody_says_otherwise_and_changes_nothing() {
    let site = ImageSite::start();
    let database = Database::site();
    database.sql("UPDATE node SET groupid = 9 WHERE id = 2");
    for query in ["", "?dry_run=true"] {
        let (code, answer) = import(&site, query, &database);
        assert_eq!(code, 200, "{answer}");
        let report = &answer["import"];
        assert_eq!((&report["committed"], &report["obstacles"]), (&json!(false), &json!([])));
        assert_eq!(report["taken"]["node"], 1);
        assert_eq!(
            report["replaced"],
            json!([{ "kind": "controller", "name": "controller" }, { "kind": "network", "name": "cluster" }])
        );
        assert_eq!(report["findings"][0]["verdict"], "refused");
        assert_eq!(report["findings"][0]["table"], "node");
        assert_eq!(report["findings"][0]["row"], 2);
        assert_eq!(report["findings"][0]["name"], "node002");
    }
    assert_eq!(site.get("/config/node").0, 404);
    assert_eq!(left_behind(&site), [""; 0]);
}

#[test]
fn a_site_is_taken_over_in_one_change_and_serves_as_it_did() {
    let site = ImageSite::start();
    let (code, answer) = import(&site, "?dry_run=false", &Database::site());
    assert_eq!((code, &answer["import"]["committed"]), (200, &json!(true)), "{answer}");
    let node = site.get("/config/node/node001").1["config"]["node"]["node001"].clone();
    assert_eq!(
        (&node["group"], &node["osimage"], &node["osimagetag"]),
        (&json!("compute"), &json!("compute"), &json!("stable"))
    );
    assert_eq!(node["interfaces"][0]["ipaddress"], "10.141.0.1");
    assert_eq!(
        site.get("/config/switch/switch01").1["config"]["switch"]["switch01"]["ipaddress"],
        "10.141.200.1"
    );
    assert_eq!(
        site.get("/config/secrets/group/compute").1["config"]["secrets"]["group"]["compute"][0]["content"],
        "bXVuZ2U="
    );
    assert_eq!(
        site.get("/config/rack/rack1").1["config"]["rack"]["rack1"]["devices"][0]["name"],
        "node001"
    );
    assert_eq!(
        site.get("/config/bmcsetup/compute-bmc").1["config"]["bmcsetup"]["compute-bmc"]["password"],
        "A1B2#!"
    );
    // Everything is there after a restart, too: one revision was written.
    let site = site.restart();
    assert_eq!(site.get("/config/node/node002").0, 200);
    assert_eq!(left_behind(&site), [""; 0]);
}

#[test]
fn a_cluster_that_is_in_use_is_not_overwritten_unless_it_is_asked_for() {
    let site = ImageSite::start();
    site.describe();
    let database = Database::site();
    let (code, answer) = import(&site, "", &database);
    assert_eq!(code, 200);
    let obstacles = answer["import"]["obstacles"].as_array().unwrap();
    assert!(
        obstacles.contains(&json!("group compute: it is in the cluster already, and different")),
        "{obstacles:?}"
    );
    let (code, answer) = import(&site, "?dry_run=false", &database);
    assert_eq!(code, 400);
    let fields: Vec<&str> = answer["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields.last(), Some(&"replace"), "{fields:?}");
    assert!(fields.contains(&"node node001"), "{fields:?}");
    assert_eq!(site.get("/config/switch").0, 404, "nothing of it was taken");

    let (code, answer) = import(&site, "?dry_run=false&replace=true", &database);
    assert_eq!(code, 200, "{answer}");
    assert_eq!(site.get("/config/switch/switch01").0, 200);
}

#[test]
fn what_is_no_database_of_a_site_is_refused_and_not_kept() {
    let site = ImageSite::start();
    let whole = bytes(&Database::site());
    for (body, reason) in [
        (b"".as_slice(), "not an SQLite database"),
        (b"{\"config\": {}}", "not an SQLite database"),
        (&whole[..whole.len() / 2], "damaged or cut off"),
    ] {
        let (code, answer) = site.post_bytes("/config/import?dry_run=false", body, None);
        assert_eq!(code, 400);
        assert!(answer["message"].as_str().unwrap().contains(reason), "{answer}");
    }
    let (code, answer) = site.post_bytes("/config/import?dry_run=perhaps", b"x", None);
    assert_eq!(code, 400, "{answer}");
    assert_eq!(left_behind(&site), [""; 0]);
}

#[test]
fn a_database_that_is_too_large_is_refused_before_it_is_sent() {
    let site = ImageSite::start();
    let answer = site.announce("/config/import", (256 << 20) + 1);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("the database has more than 256 MiB"), "{answer}");
    assert_eq!(left_behind(&site), [""; 0]);
}

#[test]
fn what_nobody_does_here_is_told_by_the_import_and_by_the_warnings() {
    let site = ImageSite::start();
    let plugins = site.directory.path().join("data/plugins");
    fs::create_dir_all(plugins.join("hooks/config")).unwrap();
    fs::write(plugins.join("hooks/config/cloud.py"), "").unwrap();
    let site = site.restart();
    let database = Database::site();
    database.sql(
        "UPDATE \"group\" SET scripts = 'raid5'; UPDATE cluster SET provision_method = 'pigeon';
         UPDATE network SET nameserver_ip = '10.141.255.254', gateway = '10.141.0.1' WHERE name = 'cluster'",
    );
    let (code, answer) = import(&site, "?dry_run=false", &database);
    assert_eq!(code, 200, "{answer}");
    let told = answer["import"]["findings"].to_string();
    for words in [
        "there is no 'raid5'",
        "there is no 'pigeon'",
        "hooks/config/cloud.py will not run",
        "10.141.255.254 for names",
        "10.141.0.1 is in use by interface BOOTIF of node node001",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let warnings = site.get("/monitor/warnings").1.to_string();
    for words in [
        "group compute, scripts: there is no 'raid5'",
        "there is no 'pigeon'",
        "hooks/config/cloud.py will not run",
        "nodes of network cluster ask 10.141.255.254 for names, which answers no address",
        "invalid gateway of network cluster: 10.141.0.1 is in use by",
    ] {
        assert!(warnings.contains(words), "{words}: {warnings}");
    }
}

#[test]
fn nobody_imports_without_a_login() {
    let site = ImageSite::start();
    // Whoever is not let in is not listened to, so there is no use in sending much.
    let whole = b"SQLite format 3";
    site.describe();
    let node = site.node_token("node001");
    assert_eq!(site.post_bytes("/config/import", whole, Some("")).0, 401);
    assert_eq!(site.post_bytes("/config/import", whole, Some(&node)).0, 403);
}

#[test]
fn states_of_nodes_are_shown_as_of_when_the_old_site_stopped() {
    let site = ImageSite::start();
    let database = Database::site();
    database.sql(
        "INSERT INTO monitor (tableref, tablerefid, state, status) VALUES ('node', 1, 'install.success', '200'), ('node', 2, 'power off', NULL)",
    );
    let (code, answer) = import(&site, "?as_of=2026-01-02T10:00:00Z", &database);
    assert_eq!((code, &answer["import"]["taken"]["nodestate"]), (200, &json!(2)), "{answer}");
    assert_eq!(site.get("/monitor/node").0, 404, "a rehearsal shows nothing");
    let (code, answer) = import(&site, "?as_of=2026-01-02T10:00:00Z&dry_run=false", &database);
    assert_eq!(code, 200, "{answer}");
    // Every form in which states are shown, before and after a restart.
    let site = site.restart();
    assert_eq!(
        site.get("/monitor/node").1["monitor"]["status"]["node"],
        json!({ "node001": { "state": "node001 install.success", "status": "200" },
            "node002": { "state": "node002 power off", "status": "None" } })
    );
    let shown = site.get("/config/node/node001").1["config"]["node"]["node001"]["status"].clone();
    assert_eq!(shown, "Luna installer: success");
    let progress =
        |node: &str| site.get("/monitor/progress").1["monitor"]["progress"][node].clone();
    for node in ["node001", "node002"] {
        let progress = progress(node);
        assert_eq!(
            (&progress["since"], &progress["updated"], &progress["imported"]),
            (&json!("2026-01-02T10:00:00Z"), &json!("2026-01-02T10:00:00Z"), &json!(true)),
            "{node}: {progress}"
        );
    }

    // What a node says here is newer, also when it says the same, and an import again does not take it back.
    for (node, state) in [("node001", "install.success"), ("node002", "install.unpack")] {
        let report = json!({ "monitor": { "status": { node: { "state": state } } } });
        assert_eq!(site.post(&format!("/monitor/node/{node}"), &report).0, 204);
    }
    let (code, answer) = import(&site, "?dry_run=false", &database);
    assert_eq!(code, 200, "{answer}");
    assert_eq!(progress("node002")["state"], "install.unpack");
    assert_eq!(progress("node001")["imported"], json!(false));
    assert_ne!(progress("node001")["since"], json!("2026-01-02T10:00:00Z"));
}

#[test]
fn a_time_that_is_none_is_refused_and_one_to_come_is_now() {
    let site = ImageSite::start();
    let database = Database::site();
    database
        .sql("INSERT INTO monitor (tableref, tablerefid, state) VALUES ('node', 1, 'power on')");
    for time in ["yesterday", "2026-13-01T00:00:00Z", "-1", "", "1969-12-31T23:00:00Z"] {
        // Refused before a byte of the body is read: a large one could not be sent to its end.
        let path = format!("/config/import?dry_run=false&as_of={time}");
        let (code, answer) = site.post_bytes(&path, b"small", None);
        assert_eq!(code, 400, "{time}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains("as_of"), "{answer}");
    }
    assert_eq!(site.get("/config/node").0, 404);
    let (code, answer) = import(&site, "?dry_run=false&as_of=9999-01-01T00:00:00Z", &database);
    assert_eq!(code, 200, "{answer}");
    let since = site.get("/monitor/progress").1["monitor"]["progress"]["node001"]["since"].clone();
    assert!(since.as_str().unwrap() < "9999", "{since}");
}
