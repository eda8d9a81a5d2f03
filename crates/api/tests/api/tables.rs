//! The cluster as tables of the old database.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

const EXPORT: &str = "/config/cluster/export";
const IMPORT: &str = "/config/cluster/import";

/// A site with something of everything.
fn site() -> ImageSite {
    let site = ImageSite::start();
    site.describe();
    let posts = [
        (
            "/config/bmcsetup/compute",
            json!({ "config": { "bmcsetup": { "compute": { "password": "calvin", "driver": "redfish", "port": 8443 } } } }),
        ),
        (
            "/config/switch/sw1",
            json!({ "config": { "switch": { "sw1": { "network": "cluster", "ipaddress": "10.141.200.1" } } } }),
        ),
        (
            "/config/otherdev/pdu1",
            json!({ "config": { "otherdev": { "pdu1": { "network": "cluster", "ipaddress": "10.141.200.2" } } } }),
        ),
        ("/config/cloud/one", json!({ "config": { "cloud": { "one": { "type": "aws" } } } })),
        (
            "/config/dns/cluster",
            json!({ "config": { "dns": { "cluster": [{ "host": "www", "ipaddress": "10.141.200.3" }] } } }),
        ),
        (
            "/config/node/node001",
            json!({ "config": { "node": { "node001": { "comment": "the first", "netboot": false, "disklayout": "{}", "labels": "canary=yes,tier=gpu" } } } }),
        ),
        (
            "/config/secrets/node/node001",
            json!({ "config": { "secrets": { "node": { "node001": [{ "name": "key", "content": "c2VjcmV0", "path": "/etc/key", "owner": "munge:munge", "mode": "0400" }] } } } }),
        ),
        (
            "/config/rack/r1",
            json!({ "config": { "rack": { "r1": { "devices": [{ "name": "node001", "type": "node", "position": 7 }] } } } }),
        ),
    ];
    for (path, body) in posts {
        let (code, answer) = site.post(path, &body);
        assert!([201, 204].contains(&code), "{path}: {code} {answer}");
    }
    site
}

/// The rows of a table of an export, without what describes it.
fn rows<'a>(export: &'a Value, table: &str) -> Vec<&'a Value> {
    export[table].as_array().unwrap().iter().filter(|row| row.get("id").is_some()).collect()
}

fn row<'a>(export: &'a Value, table: &str, column: &str, value: &str) -> &'a Value {
    let found = rows(export, table).into_iter().find(|row| row[column] == value);
    found.unwrap_or_else(|| panic!("{table} has a row with {column} {value}: {export}"))
}

#[test]
fn an_export_has_the_tables_and_columns_that_clients_know() {
    let site = site();
    let (code, export) = site.get(EXPORT);
    assert_eq!(code, 200, "{export}");
    let mut tables: Vec<&String> = export.as_object().unwrap().keys().collect();
    tables.sort_unstable();
    assert_eq!(
        tables,
        [
            "bmcsetup",
            "cloud",
            "cluster",
            "controller",
            "dns",
            "group",
            "groupinterface",
            "groupsecrets",
            "ipaddress",
            "network",
            "node",
            "nodeinterface",
            "nodesecrets",
            "osimage",
            "osimagetag",
            "otherdevices",
            "switch"
        ]
    );
    let nodes = export["node"].as_array().unwrap();
    assert!(nodes[0]["SQLITE_SEQUENCE"].is_u64());
    assert_eq!(
        nodes[1]["STRUCTURE"][0],
        json!({ "column": "id", "datatype": "INTEGER", "length": "10", "key": "PRIMARY", "keyadd": "autoincrement" })
    );
    let node = row(&export, "node", "name", "node001");
    let group = row(&export, "group", "name", "compute");
    assert_eq!((&node["groupid"], &node["netboot"]), (&group["id"], &json!("no")));
    assert_eq!(node["labels"], "canary=yes,tier=gpu");
    let setup = row(&export, "bmcsetup", "name", "compute");
    assert_eq!((&setup["password"], &setup["port"]), (&json!("calvin"), &json!(8443)));
    let secret = row(&export, "nodesecrets", "name", "key");
    assert_eq!(secret["nodeid"], node["id"]);
    assert_eq!((&secret["owner"], &secret["mode"]), (&json!("munge:munge"), &json!("0400")));
    assert!(secret["content"].as_str().unwrap().starts_with("gAAAA"), "it is encrypted: {secret}");
    let address = row(&export, "ipaddress", "ipaddress", "10.141.200.1");
    let switch = row(&export, "switch", "name", "sw1");
    assert_eq!((&address["tableref"], &address["tablerefid"]), (&json!("switch"), &switch["id"]));
}

#[test]
fn what_was_exported_can_be_imported_and_changes_nothing() {
    let site = site();
    let export = site.get(EXPORT).1;
    let pages = [
        "/config/node/node001",
        "/config/group",
        "/config/network",
        "/config/rack/r1",
        "/config/secrets/node/node001",
        "/config/cluster",
    ];
    let before = pages.map(|page| site.get(page));
    let (code, answer) = site.post(&format!("{IMPORT}?dry_run=true"), &export);
    assert_eq!((code, &answer["changes"]), (200, &json!([])), "{answer}");
    let (code, answer) = site.post(IMPORT, &export);
    assert_eq!(code, 201, "{answer}");
    assert!(answer["message"].as_str().unwrap().starts_with("tables imported"), "{answer}");
    assert_eq!(pages.map(|page| site.get(page)), before);
    assert_eq!(site.get(EXPORT).1, export);
}

#[test]
fn an_export_brings_a_cluster_back_that_has_changed_since() {
    let site = site();
    let export = site.get(EXPORT).1;
    assert_eq!(site.get("/config/node/node001/_delete").0, 204);
    assert_eq!(site.get("/config/dns/cluster/www/_delete").0, 204);
    let (code, answer) = site.post(IMPORT, &export);
    assert_eq!(code, 201, "{answer}");
    let mut after = site.get(EXPORT).1;
    assert_eq!(after["node"], export["node"]);
    after["dns"].take();
    assert_eq!(site.get(EXPORT).1["dns"], export["dns"]);
    let secret = site.get("/config/secrets/node/node001/key").1;
    let content = &secret["config"]["secrets"]["node"]["node001"][0]["content"];
    assert_eq!(content, "c2VjcmV0", "{secret}");
}

#[test]
fn one_table_is_replaced_and_the_rest_stays() {
    let site = site();
    let export = site.get(EXPORT).1;
    let network = row(&export, "network", "name", "cluster")["id"].clone();
    let body = json!({ "dns": [
        { "SQLITE_SEQUENCE": 9 },
        { "STRUCTURE": [{ "column": "id", "datatype": "INTEGER" }] },
        { "id": 1, "host": "ftp", "ipaddress": "10.141.200.9", "networkid": network, "colour": "red" },
    ] });
    let (code, answer) = site.post(IMPORT, &body);
    assert_eq!(code, 201, "{answer}");
    let finding = &answer["findings"][0];
    assert_eq!(
        (&finding["verdict"], &finding["column"]),
        (&json!("left"), &json!("colour")),
        "{answer}"
    );
    let hosts = site.get("/config/dns/cluster").1;
    assert_eq!(hosts["config"]["dns"]["cluster"].as_array().unwrap().len(), 1, "{hosts}");
    assert_eq!(site.get("/config/node/node001").0, 200);
    assert_eq!(site.post(IMPORT, &json!({ "dns": [] })).0, 201);
    assert_eq!(rows(&site.get(EXPORT).1, "dns").len(), 0);
}

#[test]
fn a_table_of_another_site_with_its_own_ids_is_met_by_name() {
    let site = site();
    let mut networks = site.get(EXPORT).1["network"].as_array().unwrap()[2..].to_vec();
    for (position, network) in networks.iter_mut().enumerate() {
        network["id"] = json!(position + 1);
        network["comment"] = json!("moved here");
    }
    let before = site.get("/config/node/node001").1;
    let (code, answer) = site.post(IMPORT, &json!({ "network": networks }));
    assert_eq!(code, 201, "{answer}");
    assert_eq!(site.get("/config/node/node001").1, before, "its interface is in the network still");
    let network = site.get("/config/network/cluster").1;
    assert_eq!(network["config"]["network"]["cluster"]["comment"], "moved here");
}

#[test]
fn rows_that_belong_to_nothing_are_left_out_and_told_of() {
    let site = site();
    let (code, answer) = site.post(IMPORT, &json!({ "node": [] }));
    assert_eq!(code, 201, "{answer}");
    let told: Vec<&str> = answer["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["table"].as_str().unwrap())
        .collect();
    for table in ["nodeinterface", "ipaddress", "nodesecrets", "rackinventory"] {
        assert!(told.contains(&table), "{table}: {answer}");
    }
    assert_eq!(site.get("/config/node").0, 404);
    assert_eq!(site.get("/config/switch/sw1").0, 200);
}

#[test]
fn what_cannot_be_taken_is_said_and_nothing_changes() {
    let site = site();
    let export = site.get(EXPORT).1;
    let twice = json!({ "cloud": [{ "id": 1, "name": "a" }, { "id": 2, "name": "a" }] });
    let same_id = json!({ "cloud": [{ "id": 1, "name": "a" }, { "id": 1, "name": "b" }] });
    let bodies = [
        (json!({}), 400, "names no table"),
        (json!([]), 404, "not an object of tables"),
        (json!("text"), 404, "not an object of tables"),
        (json!({ "cloud": null }), 404, "to empty it send []"),
        (json!({ "clouds": [] }), 404, "there is no table 'clouds'; there are osimage"),
        (json!({ "cloud": ["a"] }), 400, "entry 1 is not a row"),
        (json!({ "cloud": [{ "name": ["a"] }] }), 400, "column 'name' of entry 1"),
        (twice, 404, "rows 1 and 2 have the same name"),
        (same_id, 404, "the same id"),
        (json!({ "cluster": [] }), 400, "table cluster cannot be empty"),
        (json!({ "controller": [{ "STRUCTURE": [] }] }), 400, "table controller cannot be empty"),
        (json!({ "network": [] }), 400, "table groupinterface"),
        (json!({ "node": [{ "id": 1, "name": "lost", "groupid": 99 }] }), 400, "(lost)"),
        (
            json!({ "dns": [{ "id": 1, "host": "a/b", "ipaddress": "10.141.0.9", "networkid": 1 }] }),
            201,
            "",
        ),
    ];
    for (body, code, words) in bodies {
        let (answered, answer) = site.post(&format!("{IMPORT}?dry_run=true"), &body);
        let expected = if code == 201 { 200 } else { code };
        assert_eq!(answered, expected, "{body}: {answer}");
        assert!(answer.to_string().contains(words), "{body}: {answer}");
        if code != 201 {
            assert_eq!(site.post(IMPORT, &body).0, code, "{body}");
            assert_eq!(site.get(EXPORT).1, export, "{body}");
        }
    }
}

#[test]
fn secrets_that_come_in_the_clear_are_encrypted() {
    let site = site();
    let node = row(&site.get(EXPORT).1, "node", "name", "node001")["id"].clone();
    let body = json!({ "nodesecrets": [
        { "id": 1, "nodeid": node, "name": "plain", "content": "bmV3", "path": "/etc/new" },
    ] });
    let (code, answer) = site.post(IMPORT, &body);
    assert_eq!(code, 201, "{answer}");
    let stored = site.get(EXPORT).1;
    let content = row(&stored, "nodesecrets", "name", "plain")["content"].as_str().unwrap();
    assert!(content.starts_with("gAAAA"), "{content}");
    let shown = site.get("/config/secrets/node/node001/plain").1;
    assert_eq!(shown["config"]["secrets"]["node"]["node001"][0]["content"], "bmV3", "{shown}");
}

#[test]
fn secrets_of_another_key_are_refused_and_nothing_is_taken() {
    let site = site();
    let before = site.get(EXPORT).1;
    let node = row(&before, "node", "name", "node001")["id"].clone();
    let foreign = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
    let body = json!({ "nodesecrets": [
        { "id": 1, "nodeid": node, "name": "plain", "content": foreign, "path": "/etc/new" },
    ] });
    let (code, answer) = site.post(IMPORT, &body);
    assert_eq!(code, 400, "{answer}");
    assert!(answer.to_string().contains("encrypted with another key"), "{answer}");
    assert_eq!(site.get(EXPORT).1, before);
}

#[test]
fn users_stay_whoever_a_file_names() {
    let site = site();
    let body = json!({ "config": { "user": { "eve": { "password": "a long password", "role": "viewer" } } } });
    assert_eq!(site.post("/config/user/eve", &body).0, 201);
    let users = site.get("/config/user").1;
    let body = json!({ "user": [{ "id": 1, "username": "mallory", "password": "x" }] });
    let (code, answer) = site.post(IMPORT, &body);
    assert_eq!((code, &answer["findings"][0]["verdict"]), (201, &json!("left")), "{answer}");
    assert_eq!(site.get("/config/user").1, users);
    // An old daemon that takes an export keeps what the export does not name.
    let export = site.get(EXPORT).1;
    for table in ["user", "roles", "ha", "rack", "rackinventory"] {
        assert!(export.get(table).is_none(), "{table}");
    }
}
