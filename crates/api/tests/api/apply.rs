//! The configuration as one document.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

const EXPORT: &str = "/config/export";
const APPLY: &str = "/config/apply";

/// A site with something of everything.
fn site() -> ImageSite {
    let site = ImageSite::start();
    site.describe();
    let of_node = json!({ "comment": "the first", "netboot": false, "roles": "", "prescript": "ZWNobyBvbmUK", "postscript": "echo plain",
        "switch": "sw1", "switchport": "7", "cloud": "one", "bmcsetup": "compute",
        "interfaces": [{ "interface": "BOOTIF", "network": "cluster", "ipaddress": "10.141.0.77", "macaddress": "52:54:00:00:00:77" },
            { "interface": "BMC", "network": "ipmi", "mtu": 9000 }] });
    let posts = [
        (
            "network/ipmi",
            json!({ "config": { "network": { "ipmi": { "network": "10.148.0.0/16", "gateway": "10.148.255.254", "dhcp": true, "dhcp_range_begin": "10.148.100.1", "dhcp_range_end": "10.148.100.9" } } } }),
        ),
        (
            "cluster",
            json!({ "config": { "cluster": { "domain_search": "a.org,b.org", "ntp_server": "10.141.255.254", "technical_contacts": "", "debug": true } } }),
        ),
        (
            "bmcsetup/compute",
            json!({ "config": { "bmcsetup": { "compute": { "password": "calvin", "driver": "redfish", "port": 8443 } } } }),
        ),
        (
            "switch/sw1",
            json!({ "config": { "switch": { "sw1": { "network": "cluster", "ipaddress": "10.141.200.1", "oid": "" } } } }),
        ),
        (
            "otherdev/pdu1",
            json!({ "config": { "otherdev": { "pdu1": { "network": "cluster", "ipaddress": "10.141.200.2" } } } }),
        ),
        ("cloud/one", json!({ "config": { "cloud": { "one": { "type": "aws" } } } })),
        (
            "dns/cluster",
            json!({ "config": { "dns": { "cluster": [{ "host": "www", "ipaddress": "10.141.200.3" }] } } }),
        ),
        ("node/node001", json!({ "config": { "node": { "node001": of_node } } })),
        (
            "group/compute/interfaces",
            json!({ "config": { "group": { "compute": { "interfaces": [{ "interface": "eth1", "network": "ipmi", "vlanid": 7 }] } } } }),
        ),
        (
            "secrets/node/node001",
            json!({ "config": { "secrets": { "node": { "node001": [{ "name": "key", "content": "c2VjcmV0", "path": "/etc/key" }] } } } }),
        ),
        (
            "secrets/group/compute",
            json!({ "config": { "secrets": { "group": { "compute": [{ "name": "key", "content": "c2VjcmV0" }] } } } }),
        ),
        (
            "rack/r1",
            json!({ "config": { "rack": { "r1": { "devices": [{ "name": "node001", "type": "node", "position": 7 }] } } } }),
        ),
    ];
    for (path, body) in posts {
        let (code, answer) = site.post(&format!("/config/{path}"), &body);
        assert!([201, 204].contains(&code), "{path}: {code} {answer}");
    }
    site.add_image("debian");
    site
}

/// Applies a document; what it changed, as `action kind name`.
fn apply(site: &ImageSite, query: &str, document: &Value) -> Vec<String> {
    let (code, answer) = site.post(&format!("{APPLY}{query}"), document);
    assert_eq!(code, 200, "{answer}");
    let changes = answer["changes"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    changes
        .map(|change| {
            format!(
                "{} {} {}",
                text(&change["action"]),
                text(&change["kind"]),
                text(&change["name"])
            )
        })
        .collect()
}

#[test]
fn what_was_exported_is_applied_without_a_change() {
    let site = site();
    for query in ["", "?secrets=true"] {
        let (code, document) = site.get(&format!("{EXPORT}{query}"));
        assert_eq!(code, 200);
        assert_eq!(apply(&site, "?prune=true", &document), [""; 0], "{document}");
    }
    let document = site.get(EXPORT).1;
    let node = &document["node"]["node001"];
    assert_eq!(
        (&node["prescript"], &node["postscript"]),
        (&json!("echo one\n"), &json!("stored:echo plain"))
    );
    assert_eq!(node["interfaces"][0]["ipaddress"], "10.141.0.77");
    assert_eq!(document["bmcsetup"]["compute"].get("password"), None);
    assert_eq!(document.get("nodesecrets"), None);
    let document = site.get(&format!("{EXPORT}?secrets=true")).1;
    assert_eq!(document["bmcsetup"]["compute"]["password"], "calvin");
    assert_eq!(document["nodesecrets"]["node001"][0]["content"], "c2VjcmV0", "as it is used");
}

#[test]
fn objects_are_made_with_the_interfaces_of_their_group_and_free_addresses() {
    let site = site();
    let document = json!({
        "network": { "ib": { "network": "10.149.0.0/16" } },
        "group": { "login": { "osimage": "debian", "interfaces": [
            { "interface": "BOOTIF", "network": "cluster" }, { "interface": "ib0", "network": "ib" } ] } },
        "node": { "login1": { "group": "login", "interfaces": [{ "interface": "BOOTIF", "network": "cluster", "macaddress": "52:54:00:00:00:01" }] },
                  "login2": { "group": "login" } },
    });
    assert_eq!(
        apply(&site, "", &document),
        ["create network ib", "create group login", "create node login1", "create node login2"]
    );
    let node = site.get("/config/node/login2").1["config"]["node"]["login2"].clone();
    assert_eq!(node["interfaces"].as_array().unwrap().len(), 2, "{node}");
    assert_eq!(node["interfaces"][1]["ipaddress"], "10.149.0.1");
    assert_eq!(apply(&site, "", &document), [""; 0], "the second time there is nothing to do");
    assert_eq!(site.get("/config/node/node001").0, 200, "what is not named stays");
}

#[test]
fn what_is_no_longer_written_is_unset_but_for_passwords_and_files() {
    let site = site();
    let mut document = site.get(EXPORT).1;
    document["node"]["node001"].as_object_mut().unwrap().remove("comment");
    document["osimage"]["debian"] = json!({ "comment": "new" });
    let image = site.image("debian");
    assert_eq!(apply(&site, "", &document), ["change osimage debian", "change node node001"]);
    let node = site.get("/config/node/node001").1["config"]["node"]["node001"].clone();
    assert_eq!(node["comment"], Value::Null, "{node}");
    let after = site.image("debian");
    assert_eq!((&after["kernelfile"], &after["comment"]), (&image["kernelfile"], &json!("new")));
    let setup = site.get("/config/bmcsetup/compute").1;
    assert_eq!(setup["config"]["bmcsetup"]["compute"]["password"], "calvin");
}

#[test]
fn pruning_removes_what_is_not_named_of_the_kinds_that_are() {
    let site = site();
    let mut document = site.get(EXPORT).1;
    let nodes = document["node"].as_object_mut().unwrap();
    // Who stays may take over the address of who goes.
    nodes.remove("node001");
    nodes["node002"]["interfaces"][0]["ipaddress"] = json!("10.141.0.77");
    document.as_object_mut().unwrap().remove("cloud");
    document["controller"] = json!({});
    for kind in ["rackinventory", "switch"] {
        document[kind] = json!({});
    }
    let changes = apply(&site, "?prune=true", &document);
    for change in [
        "remove node node001",
        "remove switch sw1",
        "change node node002",
        "remove nodesecrets node001",
    ] {
        assert!(changes.contains(&change.to_owned()), "{change}: {changes:?}");
    }
    assert_eq!(site.get("/config/cloud/one").0, 200, "its kind is not in the document");
    assert_eq!(site.get("/config/cluster").0, 200, "controllers stay");
    let (code, answer) = site.post(&format!("{APPLY}?prune=true"), &json!({ "group": {} }));
    assert_eq!(code, 400, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("in use by node node002"), "{answer}");
    assert_eq!(site.get("/config/group/compute").0, 200);
}

#[test]
fn addresses_and_hardware_addresses_can_be_swapped() {
    let site = site();
    let mut document = site.get(EXPORT).1;
    let place = |document: &Value, node: &str| document["node"][node]["interfaces"][0].clone();
    let (one, other) = (place(&document, "node001"), place(&document, "node002"));
    document["node"]["node001"]["interfaces"][0] = other.clone();
    document["node"]["node002"]["interfaces"][0] = one.clone();
    assert_eq!(apply(&site, "", &document), ["change node node001", "change node node002"]);
    let after = site.get(EXPORT).1;
    assert_eq!((place(&after, "node001"), place(&after, "node002")), (other, one));
}

#[test]
fn everything_that_is_wrong_is_told_with_its_object_and_nothing_changes() {
    let site = site();
    let before = site.get(&format!("{EXPORT}?secrets=true")).1;
    let wrong = json!({
        "cluster": { "debug": "maybe", "name": "a\"b\nc" },
        "nodes": {},
        "network": { "a": {}, "b": { "network": "10.9.0.0/16", "gateway": "10.8.0.1", "dhcp": true, "ntp_server": "time;reboot" } },
        "osimage": { "debian": { "path": "/images/../etc" } },
        "group": { "g": { "interfaces": [{ "interface": "BOOTIF", "netwrok": "cluster" }] } },
        "node": { "n1": { "group": "compute", "osimag": "debian", "roles": "nobody" }, "n2": {}, "a/b": { "group": "compute" }, "n3": 7 },
        "dns": { "cluster": [{ "host": "x" }, { "host": "y", "ipaddress": "10.141.0.3" }, { "host": "y", "ipaddress": "10.141.0.4" }] },
        "rackinventory": { "thing": {} },
        "groupsecrets": { "compute": [{ "name": "key", "content": "eA==", "path": "../etc/key" }] },
    });
    let (code, answer) = site.post(APPLY, &wrong);
    assert_eq!(code, 400, "{answer}");
    let errors = answer["errors"].to_string();
    for words in [
        "cluster: debug",
        "cluster: name",
        "did you mean 'node'",
        "network a: network",
        "network b: gateway",
        "network b: dhcp",
        "network b: ntp_server",
        "osimage debian: path",
        "group g: interfaces[0].network",
        "did you mean 'network'",
        "node n1: osimag",
        "node n1: roles",
        "node n2: group",
        "node a/b",
        "node n3",
        "dns cluster: list[0].ipaddress",
        "'y' is there twice",
        "rackinventory thing",
        "groupsecrets compute: list[0].path",
    ] {
        assert!(errors.contains(words), "{words}: {errors}");
    }
    let single = [
        (json!({}), "says nothing"),
        (json!([1]), "not an object of kinds"),
        (json!({ "node": [] }), "object of names"),
        (json!({ "node": { "n": { "group": "nobody" } } }), "nobody"),
        (
            json!({ "node": { "n": { "group": "compute", "interfaces": [{ "interface": "BOOTIF", "network": "cluster", "ipaddress": "10.1.1.1" }] } } }),
            "10.1.1.1",
        ),
        (
            json!({ "node": { "n": { "group": "compute", "interfaces": [{ "interface": "BOOTIF", "network": "cluster", "ipaddress": "10.141.0.77" }] } } }),
            "in use by",
        ),
        (json!({ "network": { "new": { "network": "10.141.0.0/24" } } }), "overlaps"),
        (json!({ "network": { "cluster": { "network": "10.141.128.0/24" } } }), "outside"),
        (json!({ "rackinventory": { "node/nobody": { "rack": "r1" } } }), "nobody"),
        (json!({ "dns": { "nobody": [] } }), "nobody"),
    ];
    for (document, words) in single {
        let (code, answer) = site.post(APPLY, &document);
        assert_eq!(code, 400, "{document}: {answer}");
        assert!(answer.to_string().contains(words), "{document}: {answer}");
    }
    assert_eq!(site.get(&format!("{EXPORT}?secrets=true")).1, before);
}

#[test]
fn a_trial_tells_the_changes_and_makes_none() {
    let site = site();
    let document = json!({ "cloud": { "two": { "type": "azure" } } });
    let (code, answer) = site.post(&format!("{APPLY}?dry_run=true"), &document);
    assert_eq!((code, &answer["dry_run"]), (200, &json!(true)), "{answer}");
    let (code, _) = site.get("/config/cloud/two");
    assert_eq!(code, 404);
}

#[test]
fn secrets_are_exported_as_they_are_used_and_the_same_content_is_no_change() {
    let site = site();
    let document = json!({ "nodesecrets": { "node001": [{ "name": "key", "content": "c2VjcmV0", "path": "/etc/key" }] } });
    assert_eq!(apply(&site, "", &document), [""; 0]);
    let document = json!({ "nodesecrets": { "node002": [{ "name": "new", "content": "bmV3" }] } });
    assert_eq!(apply(&site, "", &document), ["create nodesecrets node002"]);
    let stored = site.get(&format!("{EXPORT}?secrets=true")).1;
    let content = stored["nodesecrets"]["node002"][0]["content"].as_str().unwrap();
    assert_eq!(content, "bmV3");
    let foreign = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
    let document = json!({ "nodesecrets": { "node002": [{ "name": "new", "content": foreign }] } });
    let (code, answer) = site.post(APPLY, &document);
    assert_eq!(code, 400, "{answer}");
    assert!(answer.to_string().contains("encrypted with another key"), "{answer}");
}

#[test]
fn a_document_that_is_merged_changes_what_it_says_and_nothing_else() {
    let site = site();
    let before = site.get(&format!("{EXPORT}?secrets=true")).1;
    let document = json!({
        "cluster": { "debug": false },
        "node": {
            "node001": { "comment": null, "labels": { "canary": "yes" }, "interfaces": [{ "interface": "BMC", "mtu": 1500 }] },
            "node007": { "group": "compute" },
        },
        "bmcsetup": { "compute": { "port": 443 } },
        "nodesecrets": { "node001": [{ "name": "more", "content": "bQ==", "path": "/etc/more" }, { "name": "key", "mode": "640" }] },
    });
    let changes = apply(&site, "?merge=true", &document);
    assert_eq!(
        changes,
        [
            "change cluster cluster",
            "change bmcsetup compute",
            "change node node001",
            "create node node007",
            "change nodesecrets node001"
        ]
    );
    assert_eq!(
        apply(&site, "?merge=true", &document),
        [""; 0],
        "the second time there is nothing to do"
    );
    let mut expected = before;
    expected["cluster"].as_object_mut().unwrap().remove("debug");
    let node = expected["node"]["node001"].as_object_mut().unwrap();
    node.remove("comment");
    node.insert("labels".to_owned(), json!({ "canary": "yes" }));
    node["interfaces"][1]["mtu"] = json!(1500);
    expected["bmcsetup"]["compute"]["port"] = json!(443);
    let secrets = expected["nodesecrets"]["node001"].as_array_mut().unwrap();
    secrets[0]["mode"] = json!("640");
    secrets.push(json!({ "name": "more", "content": "bQ==", "path": "/etc/more" }));
    let mut after = site.get(&format!("{EXPORT}?secrets=true")).1;
    after["node"].as_object_mut().unwrap().remove("node007");
    assert_eq!(after, expected);
    assert_eq!(site.post(&format!("{APPLY}?merge=true&prune=true"), &document).0, 400);
    for wrong in [
        json!({ "node": { "node001": { "comnent": "x" } } }),
        json!({ "node": { "node001": { "labels": { "a b": "c" } } } }),
    ] {
        assert_eq!(site.post(&format!("{APPLY}?merge=true"), &wrong).0, 400, "{wrong}");
    }
}
