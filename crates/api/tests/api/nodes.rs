//! Networks, groups, nodes and their interfaces over the API.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

fn save(site: &ImageSite, resource: &str, name: &str, fields: &Value) -> (u16, Value) {
    site.post(
        &format!("/config/{resource}/{name}"),
        &json!({ "config": { resource: { name: fields } } }),
    )
}

#[test]
fn a_node_is_made_shown_changed_renamed_cloned_and_removed() {
    let site = ImageSite::start();
    assert_eq!(site.get("/config/node").0, 404);
    site.describe();
    let shown = site.get("/config/node/node001").1["config"]["node"]["node001"].clone();
    assert_eq!(shown["netboot"], "True");
    assert_eq!(shown["setupbmc"], false);
    assert_eq!(shown["hostname"], "node001.cluster");
    assert_eq!(shown["_netboot_source"], "group");
    assert_eq!(shown["osimagetag"], "default");
    assert_eq!(shown.get("_osimage_source"), None, "there is no image, so no source of it");
    assert_eq!(shown["interfaces"][0]["ipaddress"], "10.141.0.1");
    let listed = site.get("/config/node").1["config"]["node"]["node001"].clone();
    assert_eq!((&listed["netboot"], &listed["prescript"]), (&json!(true), &json!("<empty>")));
    assert_eq!(
        save(&site, "node", "node001", &json!({ "comment": "YQ==", "netboot": "no" })),
        (204, json!(""))
    );
    assert_eq!(
        site.get("/config/node/node001").1["config"]["node"]["node001"]["_netboot_source"],
        "node"
    );
    assert_eq!(save(&site, "node", "node001", &json!({ "newnodename": "node009" })).0, 204);
    assert_eq!(site.get("/config/node/node001").0, 404);
    let clone = json!({ "config": { "node": { "node009": { "newnodename": "node010" } } } });
    assert_eq!(site.post("/config/node/node009/_clone", &clone).0, 201);
    assert_eq!(site.get("/config/node/node010/_delete").0, 204);
    assert_eq!(site.get("/config/node/node010/_delete").0, 404);
}

#[test]
fn a_list_that_is_sent_in_pieces_has_every_node_once_and_in_order() {
    let site = ImageSite::start();
    site.describe();
    let all = |count: usize| (1..=count).map(|number| format!("node{number:03}"));
    // Of a few nodes the list is one piece, of so many it is several, with an end at each place of the last.
    for count in [2, 61, 250, 251] {
        let nodes: serde_json::Map<String, Value> = all(count)
            .map(|name| (name, json!({ "group": "compute", "comment": "YQ==" })))
            .collect();
        let (status, answer) = site.post("/config/apply", &json!({ "node": nodes }));
        assert_eq!(status, 200, "{answer}");
        let text = site.get_text("/config/node").1;
        let names = text.split("\"name\": \"").skip(1).map(|rest| rest.split('"').next().unwrap());
        assert!(names.eq(all(count)), "{count} nodes");
        let list: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(list["config"]["node"].as_object().unwrap().len(), count);
        assert!(text.starts_with("{\"config\": {\"node\": {\"node001\": {\"name\": "), "{text}");
    }
}

#[test]
fn bad_input_is_refused_with_all_that_is_wrong_and_changes_nothing() {
    let site = ImageSite::start();
    site.describe();
    let before = site.get("/config/node").1;
    let long = "n".repeat(10_000);
    for (name, fields) in [
        ("node009", json!({})),
        ("node009", json!({ "group": "none" })),
        ("node001", json!({ "osimag": "x", "netboot": "maybe", "interfaces": 7 })),
        (
            "node001",
            json!({ "interfaces": [{ "interface": "BOOTIF", "ipaddress": "10.142.0.1" }] }),
        ),
        (
            "node001",
            json!({ "interfaces": [{ "interface": "BOOTIF", "ipaddress": "10.141.0.2" }] }),
        ),
        ("node001", json!({ "interfaces": [{ "interface": "BOOTIF", "macaddress": "no" }] })),
        ("node001", json!([])),
        ("node001", json!(null)),
        ("Node'1", json!({ "group": "compute" })),
        (long.as_str(), json!({ "group": "compute" })),
    ] {
        let path = format!("/config/node/{}", name.replace('\'', "%27"));
        let (code, answer) = site.post(&path, &json!({ "config": { "node": { name: fields } } }));
        assert_eq!(code, 400, "{fields}: {answer}");
        assert!(answer["message"].as_str().is_some_and(|message| !message.is_empty()));
    }
    let (_, answer) = save(&site, "node", "node001", &json!({ "osimag": "x", "netboot": "maybe" }));
    let fields: Vec<&str> = answer["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["netboot", "osimag"]);
    assert!(answer["message"].as_str().unwrap().contains("did you mean 'osimage'"), "{answer}");
    assert_eq!(site.get("/config/node").1, before);
}

#[test]
fn a_body_that_is_no_json_or_lacks_its_place_is_told_so() {
    let site = ImageSite::start();
    let (code, answer) = site.post("/config/group/compute", &json!({ "config": {} }));
    assert_eq!(code, 400);
    assert!(
        answer["message"].as_str().unwrap().starts_with("data structure incomplete or incorrect")
    );
    let (code, answer) = site.post_text("/config/group/compute", "{");
    assert_eq!((code, &answer["message"]), (400, &json!("data is not valid json")));
    let deep = "[".repeat(100_000);
    assert_eq!(site.post_text("/config/group/compute", &deep).0, 400);
}

#[test]
fn a_body_with_a_key_twice_is_refused_with_both_places_and_changes_nothing() {
    let site = ImageSite::start();
    site.describe();
    let before = site.get("/config/export").1;
    let node = r#"{"config": {"node": {"node001": {"group": "compute", "comment": "a",
 "comment": "b"}}}}"#;
    let document =
        r#"{"node": {"node001": {"group": "compute"}}, "node": {"node002": {"group": "compute"}}}"#;
    let layout = json!({ "config": { "node": { "node001": { "disklayout": "{\"disks\": [],\n \"disks\": []}" } } } });
    for (path, body, said) in [
        (
            "/config/node/node001",
            node,
            "'comment' is there twice, at line 1 column 54 and at line 2 column 2",
        ),
        (
            "/config/apply?prune=true",
            document,
            "'node' is there twice, at line 1 column 2 and at line 1 column 45",
        ),
        (
            "/config/node/node001",
            &layout.to_string(),
            "'disks' is there twice, at line 1 column 2 and at line 2 column 2",
        ),
    ] {
        let (code, answer) = site.post_text(path, body);
        assert_eq!(code, 400, "{answer}");
        assert!(answer["message"].as_str().unwrap().contains(said), "{answer}");
    }
    assert_eq!(site.get("/config/export").1, before);
}

#[test]
fn kernel_options_that_a_kernel_would_not_read_are_refused_when_they_are_given() {
    let site = ImageSite::start();
    site.describe();
    site.add_image("debian");
    for (kind, name) in [("node", "node001"), ("group", "compute"), ("osimage", "debian")] {
        let given = |length: usize| json!({ "kerneloptions": format!("a={}", "x".repeat(length - 2)), "group": "compute" });
        let given = |length: usize| {
            let mut fields = given(length);
            if kind != "node" {
                fields.as_object_mut().unwrap().remove("group");
            }
            json!({ "config": { kind: { name: fields } } })
        };
        let (code, answer) = site.post(&format!("/config/{kind}/{name}"), &given(1280));
        assert_eq!(code, 400, "{answer}");
        assert_eq!(answer["errors"][0]["field"], "kerneloptions", "{answer}");
        assert!(answer.to_string().contains("a kernel reads 2047 bytes in all"), "{answer}");
        let (code, answer) = site.post(&format!("/config/{kind}/{name}"), &given(1279));
        assert!([201, 204].contains(&code), "{answer}");
    }
    let document = json!({ "osimage": { "debian": { "kerneloptions": "x".repeat(2048) } } });
    let (code, answer) = site.post("/config/apply", &document);
    assert_eq!(code, 400, "{answer}");
    assert!(answer.to_string().contains("osimage debian: kerneloptions"), "{answer}");
}

#[test]
fn a_network_needs_its_prefix_length_and_machines_that_can_be_in_it() {
    let site = ImageSite::start();
    site.describe();
    let before = site.get("/config/network/cluster").1;
    for range in [
        "10.149.0.0",
        "127.0.0.0/8",
        "239.1.0.0/16",
        "010.009.000.000/24",
        "0.0.0.0/0",
        "fe80::/64",
        "::1/128",
        "::ffff:10.9.0.0/120",
        "10.9.0.0/33",
    ] {
        let body = |name: &str| json!({ "config": { "network": { name: { "network": range } } } });
        for name in ["cluster", "new"] {
            let (code, answer) = site.post(&format!("/config/network/{name}"), &body(name));
            assert_eq!(
                (code, &answer["errors"][0]["field"]),
                (400, &json!("network")),
                "{range}: {answer}"
            );
        }
        let field = if range.contains("::") { "network_ipv6" } else { "network" };
        let (code, answer) =
            site.post("/config/apply", &json!({ "network": { "new": { field: range } } }));
        assert_eq!(code, 400, "{range}: {answer}");
    }
    assert_eq!(site.get("/config/network/cluster").1, before);
    assert_eq!(site.get("/config/network/new").0, 404);
}

#[test]
fn a_node_is_not_given_the_gateway_of_its_network() {
    let site = ImageSite::start();
    site.describe();
    let posts = [
        (
            "network/n",
            json!({ "config": { "network": { "n": { "network": "10.9.0.0/24", "gateway": "10.9.0.1" } } } }),
        ),
        (
            "group/g",
            json!({ "config": { "group": { "g": { "interfaces": [{ "interface": "BOOTIF", "network": "n" }] } } } }),
        ),
        ("node/x", json!({ "config": { "node": { "x": { "group": "g" } } } })),
    ];
    for (path, body) in posts {
        let (code, answer) = site.post(&format!("/config/{path}"), &body);
        assert_eq!(code, 201, "{answer}");
    }
    assert_eq!(site.get("/config/export").1["node"]["x"]["interfaces"][0]["ipaddress"], "10.9.0.2");
    assert_eq!(
        site.get("/config/network/n/10.9.0.1").1["config"]["network"]["10.9.0.1"]["status"],
        "taken"
    );
    assert_eq!(
        site.get("/config/network/n/_nextfreeip").1["config"]["network"]["n"]["nextip"],
        "10.9.0.3"
    );
    assert_eq!(
        site.get("/config/network/n/10.9.0.3").1["config"]["network"]["10.9.0.3"]["status"],
        "free"
    );
    for gateway in ["10.9.0.0", "10.9.0.255", "10.9.0.2"] {
        let body = json!({ "config": { "network": { "n": { "gateway": gateway } } } });
        let (code, answer) = site.post("/config/network/n", &body);
        assert_eq!((code, &answer["errors"][0]["field"]), (400, &json!("gateway")), "{answer}");
        let document =
            json!({ "network": { "n": { "network": "10.9.0.0/24", "gateway": gateway } } });
        let (code, answer) = site.post("/config/apply", &document);
        assert_eq!(code, 400, "{answer}");
    }
}

#[test]
fn a_text_that_looks_like_a_number_is_kept_as_it_is_written() {
    let site = ImageSite::start();
    site.describe();
    for (written, kept) in [
        ("1e5", "1e5"),
        ("1.10", "1.10"),
        ("\"1.10\"", "1.10"),
        ("17", "17"),
        ("1.5", "1.5"),
        ("12345678901234567890123", "12345678901234567890123"),
    ] {
        let body = format!(
            r#"{{"config": {{"node": {{"node001": {{"group": "compute", "assettag": {written}}}}}}}}}"#
        );
        let (code, answer) = site.post_text("/config/node/node001", &body);
        assert!([201, 204].contains(&code), "{answer}");
        assert_eq!(site.get("/config/export").1["node"]["node001"]["assettag"], json!(kept));
    }
    let body = r#"{"config": {"node": {"node001": {"assettag": true}}}}"#;
    let (code, answer) = site.post_text("/config/node/node001", body);
    assert_eq!(code, 400, "{answer}");
    assert!(answer.to_string().contains("put it in quotes"), "{answer}");
}

#[test]
fn interfaces_of_a_group_reach_its_nodes() {
    let site = ImageSite::start();
    site.describe();
    assert_eq!(save(&site, "network", "ib", &json!({ "network": "10.149.0.0/16" })).0, 201);
    let interfaces =
        json!({ "interfaces": [{ "interface": "ib0", "network": "ib", "mtu": "4092" }] });
    let body = json!({ "config": { "group": { "compute": interfaces } } });
    assert_eq!(site.post("/config/group/compute/interfaces", &body), (204, json!("")));
    let interface = site.get("/config/node/node002/interfaces/ib0").1["config"]["node"]["node002"]
        ["interfaces"][0]
        .clone();
    assert_eq!(
        (&interface["ipaddress"], &interface["mtu"]),
        (&json!("10.149.0.2"), &json!("4092"))
    );
    assert_eq!(site.get("/config/group/compute/interfaces/ib0/_delete").0, 204);
    assert_eq!(site.get("/config/node/node002/interfaces/ib0").0, 404);
    assert_eq!(site.get("/config/network/ib/_delete").0, 204);
    let (code, answer) = site.get("/config/network/cluster/_delete");
    assert_eq!(code, 400);
    assert!(answer["message"].as_str().unwrap().contains("controller controller"), "{answer}");
}

#[test]
fn a_free_address_is_promised_once() {
    let site = ImageSite::start();
    let next = || {
        site.get("/config/network/cluster/_nextfreeip").1["config"]["network"]["cluster"]["nextip"]
            .clone()
    };
    assert_eq!((next(), next()), (json!("10.141.0.1"), json!("10.141.0.2")));
    site.describe();
    assert_eq!(
        site.get("/config/node/node001").1["config"]["node"]["node001"]["interfaces"][0]["ipaddress"],
        "10.141.0.3"
    );
    assert_eq!(
        site.get("/config/network/cluster/10.141.0.3").1["config"]["network"]["10.141.0.3"]["status"],
        "taken"
    );
}

#[test]
fn a_disk_layout_is_checked_where_it_is_given_with_the_place_of_its_fault() {
    let site = ImageSite::start();
    site.describe();
    let nameless =
        r#"{"disks": [{"partitions": [{"filesystem": "ext4", "mount": "/", "sise": 1}]}]}"#;
    for (layout, fault) in [
        ("hello world", "expected value at line 1 column 1"),
        ("aGVsbG8gd29ybGQ=", "expected value at line 1 column 1"),
        (nameless, "unknown field `sise`"),
        (r#"{"disks": [{"partitions": []}]}"#, "disk 1 has no partitions"),
    ] {
        for (kind, name) in [("node", "node001"), ("node", "node009"), ("group", "compute")] {
            let (status, answer) =
                save(&site, kind, name, &json!({ "group": "compute", "disklayout": layout }));
            assert_eq!(status, 400, "{answer}");
            let errors = answer["errors"].as_array().unwrap();
            let error = errors.iter().find(|error| error["field"] == "disklayout").unwrap();
            assert!(error["reason"].as_str().unwrap().contains(fault), "{error}");
        }
        let document = json!({ "group": { "compute": { "disklayout": layout } } });
        let (status, answer) = site.post("/config/apply", &document);
        assert_eq!(status, 400, "{answer}");
        assert!(answer["message"].as_str().unwrap().contains(fault), "{answer}");
    }
    for layout in [r#"{"disks": []}"#, "eyJkaXNrcyI6IFtdfQ==", ""] {
        assert_eq!(save(&site, "group", "compute", &json!({ "disklayout": layout })).0, 204);
    }
}

#[test]
fn kernel_options_that_no_boot_script_can_have_are_refused_where_they_are_given() {
    let site = ImageSite::start();
    site.describe();
    assert_eq!(save(&site, "osimage", "debian", &json!({})).0, 201);
    for (kind, name) in [("node", "node001"), ("group", "compute"), ("osimage", "debian")] {
        for options in ["mac=${net0/mac}", "bWFjPSR7bmV0MC9tYWN9", "quiet && shell", "quiet #ro"] {
            let (status, answer) = save(&site, kind, name, &json!({ "kerneloptions": options }));
            assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!("kerneloptions")));
            assert!(answer["message"].as_str().unwrap().contains("boot script"), "{answer}");
        }
        let fine = json!({ "kerneloptions": "console=ttyS0\nquiet" });
        assert_eq!(save(&site, kind, name, &fine).0, 204);
    }
}

#[test]
fn more_interfaces_than_there_can_be_are_refused_with_the_limit() {
    let site = ImageSite::start();
    site.describe();
    let before = site.get("/history").1;
    let interfaces = |count: usize| -> Vec<_> {
        let one = |number| json!({ "interface": format!("eth{number}"), "network": "cluster" });
        (0..count).map(one).collect()
    };
    for (kind, name) in [("node", "node001"), ("group", "compute")] {
        for path in ["", "/interfaces"] {
            let path = format!("/config/{kind}/{name}{path}");
            let body =
                json!({ "config": { kind: { name: { "interfaces": interfaces(10_000) } } } });
            let (status, answer) = site.post(&path, &body);
            assert_eq!(status, 400, "{path}: {answer}");
            assert!(answer["message"].as_str().unwrap().contains("256"), "{path}: {answer}");
        }
    }
    assert_eq!(site.get("/history").1, before);
    let body = json!({ "config": { "node": { "node001": { "interfaces": interfaces(200) } } } });
    assert_eq!(site.post("/config/node/node001/interfaces", &body).0, 204);
}

#[test]
fn when_a_node_is_installed_is_said_by_either_name() {
    let site = ImageSite::start();
    site.describe();
    let shown = |kind: &str, name: &str| {
        let answer = site.get(&format!("/config/{kind}/{name}")).1;
        let entry = answer["config"][kind][name].clone();
        (entry["install_policy"].clone(), entry["install_mode"].clone())
    };
    for (kind, name) in [("group", "compute"), ("node", "node001")] {
        for (field, word, policy, mode) in [
            ("install_policy", "Never", json!("never"), json!("local")),
            ("install_mode", "full", json!("always"), json!("full")),
            ("install_mode", "memboot", json!("memory"), json!("memboot")),
            ("install_mode", "local", json!("never"), json!("local")),
        ] {
            assert_eq!(save(&site, kind, name, &json!({ field: word })).0, 204, "{field} {word}");
            assert_eq!(shown(kind, name), (policy, mode));
        }
        for word in ["sync", "sanitize", "legacy", "sometimes"] {
            let (status, answer) = save(&site, kind, name, &json!({ "install_mode": word }));
            assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!("install_mode")));
            assert!(answer["message"].as_str().unwrap().contains("full, local, memboot"));
        }
        assert_eq!(shown(kind, name), (json!("never"), json!("local")));
    }
    // What is unset is the group's again; what was shown can be sent back.
    assert_eq!(save(&site, "group", "compute", &json!({ "install_policy": "always" })).0, 204);
    assert_eq!(save(&site, "node", "node001", &json!({ "install_mode": "" })).0, 204);
    assert_eq!(shown("node", "node001"), (json!("always"), json!("full")));
    let same = json!({ "install_policy": "always", "install_mode": "full" });
    assert_eq!(save(&site, "group", "compute", &same).0, 204);
    assert_eq!(shown("group", "compute"), (json!("always"), json!("full")));
}

#[test]
fn what_firmware_starts_first_is_a_field_of_nodes_and_groups() {
    let site = ImageSite::start();
    site.describe();
    let node = || site.get("/config/node/node001").1["config"]["node"]["node001"].clone();
    assert_eq!(
        (&node()["boot_order"], &node()["_boot_order_source"]),
        (&json!(null), &json!("default"))
    );
    assert_eq!(save(&site, "group", "compute", &json!({ "boot_order": "disk" })).0, 204);
    assert_eq!(
        (&node()["boot_order"], &node()["_boot_order_source"]),
        (&json!("disk"), &json!("group"))
    );
    assert_eq!(save(&site, "node", "node001", &json!({ "boot_order": "Network" })).0, 204);
    assert_eq!(
        (&node()["boot_order"], &node()["_boot_order_source"]),
        (&json!("network"), &json!("node"))
    );
    assert_eq!(save(&site, "node", "node001", &json!({ "boot_order": "" })).0, 204);
    assert_eq!(node()["boot_order"], json!("disk"));
    let (status, answer) = save(&site, "node", "node001", &json!({ "boot_order": "floppy" }));
    assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!("boot_order")), "{answer}");
}

#[test]
fn what_may_be_wiped_and_how_large_a_memory_root_is_are_fields() {
    let site = ImageSite::start();
    site.describe();
    let fields = json!({ "wipe": "provisioned", "memory_limit": "8G" });
    assert_eq!(save(&site, "group", "compute", &fields).0, 204);
    let node = site.get("/config/node/node001").1["config"]["node"]["node001"].clone();
    assert_eq!((&node["wipe"], &node["memory_limit"]), (&json!("provisioned"), &json!("8G")));
    assert_eq!(
        (&node["_wipe_source"], &node["_memory_limit_source"]),
        (&json!("group"), &json!("group"))
    );
    for (field, value) in [("wipe", "maybe"), ("memory_limit", "much"), ("memory_limit", "-1G")] {
        let (status, answer) = save(&site, "group", "compute", &json!({ field: value }));
        assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!(field)), "{answer}");
    }
    assert_eq!(
        save(&site, "group", "compute", &json!({ "wipe": "", "memory_limit": null })).0,
        204
    );
    let group = site.get("/config/group/compute").1["config"]["group"]["compute"].clone();
    assert_eq!((&group["wipe"], &group["memory_limit"]), (&json!("no"), &Value::Null));
}
