//! BMC setups, switches, other devices, clouds, DNS hosts and racks over the API.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

fn post(site: &ImageSite, path: &str, fields: &Value) -> (u16, Value) {
    let (resource, name) = path.split_once('/').unwrap();
    let name = name.split('/').next().unwrap();
    site.post(&format!("/config/{path}"), &json!({ "config": { resource: { name: fields } } }))
}

fn show(site: &ImageSite, resource: &str, name: &str) -> Value {
    let (status, mut answer) = site.get(&format!("/config/{resource}/{name}"));
    assert_eq!(status, 200, "{answer}");
    answer["config"][resource][name].take()
}

#[test]
fn every_kind_of_device_is_made_listed_changed_renamed_and_removed() {
    let site = ImageSite::start();
    for (resource, rename, field) in [
        ("bmcsetup", "newbmcname", "username"),
        ("switch", "newswitchname", "vendor"),
        ("otherdev", "newotherdevname", "vendor"),
        ("cloud", "newcloudname", "type"),
    ] {
        let at = |tail: &str| format!("{resource}/one{tail}");
        assert_eq!(site.get(&format!("/config/{resource}")).0, 404, "{resource}");
        assert_eq!(site.get(&format!("/config/{resource}/one")).0, 404);
        let renamed = post(&site, &at(""), &json!({ rename: "two" }));
        assert!([400, 404].contains(&renamed.0), "{resource}: {renamed:?}");
        assert_eq!(post(&site, &at(""), &json!({ "name": "one" })).0, 201, "{resource}");
        assert_eq!(post(&site, &at(""), &json!({ field: "acme" })), (204, json!("")));
        assert_eq!(show(&site, resource, "one")[field], "acme");
        assert_eq!(post(&site, &at(""), &json!({ "nonsense": 1 })).0, 400);
        assert_eq!(post(&site, &format!("{resource}/b'ad"), &json!({})).0, 400);
        assert_eq!(post(&site, &at(""), &json!({ rename: "two" })).0, 204);
        assert_eq!(post(&site, &format!("{resource}/one"), &json!({})).0, 201);
        assert_eq!(post(&site, &at(""), &json!({ rename: "two" })).0, 400, "{resource}");
        let listed = site.get(&format!("/config/{resource}")).1["config"][resource].clone();
        assert_eq!(listed.as_object().unwrap().len(), 2);
        assert_eq!(site.get(&format!("/config/{resource}/one/_delete")).0, 204);
        assert_eq!(site.get(&format!("/config/{resource}/one/_delete")).0, 404);
    }
}

#[test]
fn a_bmc_setup_has_a_password_of_its_own_unless_one_is_given() {
    let site = ImageSite::start();
    post(&site, "bmcsetup/a", &json!({}));
    let shown = show(&site, "bmcsetup", "a");
    let password = shown["password"].as_str().unwrap();
    let (upper, rest) = password.split_at(6);
    let (lower, marks) = rest.split_at(6);
    assert!(upper.chars().all(|c| c.is_ascii_digit() || ('A'..='F').contains(&c)), "{password}");
    assert!(lower.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)), "{password}");
    assert_eq!(marks, "#!");
    assert_eq!(
        shown.as_object().unwrap().keys().collect::<Vec<_>>(),
        [
            "name",
            "userid",
            "username",
            "password",
            "netchannel",
            "mgmtchannel",
            "comment",
            "unmanaged_bmc_users"
        ]
    );
    assert_eq!((&shown["userid"], &shown["username"]), (&json!(2), &json!("luna")));
    let copy = json!({ "newbmcname": "b", "userid": "3", "unmanaged_bmc_users": "delete" });
    assert_eq!(post(&site, "bmcsetup/a/_clone", &copy).0, 201);
    let copied = show(&site, "bmcsetup", "b");
    assert_eq!((&copied["password"], &copied["userid"]), (&shown["password"], &json!(3)));
    assert_eq!(post(&site, "bmcsetup/a/_clone", &copy).0, 400);
    assert_eq!(post(&site, "bmcsetup/a/_clone", &json!({})).0, 400);
    assert_eq!(post(&site, "bmcsetup/none/_clone", &json!({ "newbmcname": "c" })).0, 404);
    assert_eq!(post(&site, "bmcsetup/a", &json!({ "password": "" })).0, 204);
    assert_eq!(show(&site, "bmcsetup", "a")["password"], "");
}

#[test]
fn a_bmc_setup_refuses_what_its_protocol_cannot_carry_and_names_the_machine_among_systems() {
    let site = ImageSite::start();
    let (long_name, long_word) = ("seventeen-letters", "a password that is too long");
    for (body, field) in [
        (json!({ "username": long_name }), "username"),
        (json!({ "password": long_word }), "password"),
        (json!({ "password": long_word, "driver": "auto" }), "password"),
        (json!({ "username": "müller" }), "username"),
        (json!({ "password": "pässword" }), "password"),
        (json!({ "password": "pass\0word", "driver": "redfish" }), "password"),
        (json!({ "username": "a:b", "driver": "redfish" }), "username"),
        (json!({ "system": "two words" }), "system"),
    ] {
        let (status, answer) = post(&site, "bmcsetup/a", &body);
        assert_eq!(status, 400, "{body}");
        assert_eq!(answer["errors"][0]["field"], field, "{body}: {answer}");
        assert_eq!(site.get("/config/bmcsetup/a").0, 404, "{body}");
    }
    let redfish = json!({ "driver": "redfish", "password": long_word, "system": "System_0" });
    assert_eq!(post(&site, "bmcsetup/a", &redfish).0, 201);
    assert_eq!(show(&site, "bmcsetup", "a")["system"], "System_0");
    let (status, answer) = post(&site, "bmcsetup/a", &json!({ "driver": "ipmi" }));
    assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!("password")), "{answer}");
    let mut document = site.get("/config/export?secrets=true").1;
    assert_eq!(document["bmcsetup"]["a"]["system"], "System_0", "{document}");
    document["bmcsetup"]["a"]["driver"] = json!("ipmi");
    let (status, answer) = site.post("/config/apply", &document);
    assert!((400..500).contains(&status), "{status} {answer}");
    assert!(answer.to_string().contains("at most 20"), "{answer}");
    assert_eq!(post(&site, "bmcsetup/a", &json!({ "system": "" })).0, 204);
    assert!(show(&site, "bmcsetup", "a").get("system").is_none());
}

#[test]
fn a_bmc_setup_that_is_used_stays() {
    let site = ImageSite::start();
    site.describe();
    post(&site, "bmcsetup/a", &json!({}));
    assert_eq!(site.get("/config/bmcsetup/a/_member").0, 404);
    assert_eq!(post(&site, "group/compute", &json!({ "bmcsetupname": "a" })).0, 204);
    let members = site.get("/config/bmcsetup/a/_member").1;
    assert_eq!(members["config"]["bmcsetup"]["a"]["members"], json!(["node001", "node002"]));
    let (status, answer) = site.get("/config/bmcsetup/a/_delete");
    assert_eq!(status, 400);
    assert!(answer["message"].as_str().unwrap().contains("group compute"), "{answer}");
}

#[test]
fn devices_are_in_networks_hold_their_addresses_and_are_copied_to_the_next() {
    let site = ImageSite::start();
    for (resource, rename) in [("switch", "newswitchname"), ("otherdev", "newotherdevname")] {
        let name = |tail: &str| format!("{resource}/{resource}{tail}");
        let shown = |tail: &str| show(&site, resource, &format!("{resource}{tail}"));
        assert_eq!(post(&site, &name("1"), &json!({})).0, 201);
        assert_eq!(shown("1").get("ipaddress"), None, "a device without address has no such key");
        let base = if resource == "switch" { 10 } else { 50 };
        let address = |last: u8| format!("10.141.200.{}", base + last);
        let place = json!({ "network": "cluster", "ipaddress": address(0) });
        assert_eq!(post(&site, &name("1"), &place).0, 204);
        assert_eq!(
            (&shown("1")["ipaddress"], &shown("1")["network"]),
            (&json!(address(0)), &json!("cluster"))
        );
        assert_eq!(post(&site, &name("2"), &place).0, 400, "the address is taken");
        assert_eq!(site.get(&format!("/config/{resource}/{resource}2")).0, 404);
        for (fields, expected) in [
            (json!({ "network": "none", "ipaddress": "10.141.200.9" }), 404),
            (json!({ "network": "cluster", "ipaddress": "10.142.0.1" }), 400),
            (json!({ "ipaddress": "10.141.200.9" }), 400),
            (json!({ "ipaddress": "" }), 400),
            (json!({ "macaddress": "zz" }), 400),
        ] {
            assert_eq!(post(&site, &name("2"), &fields).0, expected, "{resource} {fields}");
        }
        let copy = |name: &str| json!({ rename: name });
        assert_eq!(post(&site, &name("1/_clone"), &copy(&format!("{resource}3"))).0, 201);
        assert_eq!(shown("3")["ipaddress"], address(1));
        assert_eq!(post(&site, &name("4"), &json!({ "network": "cluster" })).0, 201);
        assert!(shown("4")["ipaddress"].is_string(), "the network gives a free address");
        let outside = json!({ "ipaddress": format!("192.0.2.{base}"), "nonetwork": true });
        assert_eq!(post(&site, &name("5"), &outside).0, 201);
        assert_eq!(shown("5")["network"], Value::Null);
        assert_eq!(post(&site, &name("5"), &json!({ "macaddress": "AA-bb-cc-dd-ee-ff" })).0, 204);
        assert_eq!(shown("5")["macaddress"], "AA:bb:cc:dd:ee:ff");
    }
    assert_eq!(show(&site, "switch", "switch1")["oid"], ".1.3.6.1.2.1.17.7.1.2.2.1.2");
    assert_eq!(post(&site, "otherdev/otherdev1", &json!({ "oid": "1" })).0, 400);
}

#[test]
fn dns_hosts_are_a_list_that_keeps_its_order() {
    let site = ImageSite::start();
    let save = |network: &str, hosts: Value| post(&site, &format!("dns/{network}"), &hosts);
    assert_eq!(site.get("/config/dns/cluster").0, 404);
    assert_eq!(save("none", json!([])).0, 404);
    assert_eq!(save("cluster", json!([])).0, 201);
    let hosts = json!([{ "host": "printer", "ipaddress": "10.141.0.77" }, { "host": "alpha", "ipaddress": "fd00:141::77" }]);
    assert_eq!(save("cluster", hosts).0, 201);
    assert_eq!(save("cluster", json!([{ "host": "printer", "ipaddress": "10.141.0.78" }])).0, 201);
    let expected = json!([{ "host": "printer", "ipaddress": "10.141.0.78" }, { "host": "alpha", "ipaddress": "fd00:141::77" }]);
    assert_eq!(site.get("/config/dns/cluster").1["config"]["dns"]["cluster"], expected);
    for wrong in [
        json!([{ "host": "x" }]),
        json!([{ "ipaddress": "10.141.0.1" }]),
        json!([{ "host": "a_b", "ipaddress": "10.141.0.1" }]),
        json!([{ "host": "x", "ipaddress": "999.1.1.1" }]),
        json!({ "host": "x" }),
        json!(["x"]),
        json!(null),
    ] {
        assert_eq!(save("cluster", wrong.clone()).0, 400, "{wrong}");
    }
    assert_eq!(site.get("/config/dns/cluster/alpha/_delete").0, 204);
    assert_eq!(site.get("/config/dns/cluster/alpha/_delete").0, 404);
    assert_eq!(site.get("/config/dns/cluster/printer/_delete").0, 204);
    assert_eq!(site.get("/config/dns/cluster").0, 404);
}

#[test]
fn other_records_stand_beside_dns_hosts_and_change_nothing_for_who_uses_none() {
    let site = ImageSite::start();
    let save = |entries: Value| post(&site, "dns/cluster", &entries);
    let shown = || site.get("/config/dns/cluster").1["config"]["dns"]["cluster"].clone();
    let printer = json!({ "host": "printer", "ipaddress": "10.141.0.77" });
    assert_eq!(
        save(json!([{ "host": "printer", "ipaddress": "10.141.0.77", "type": "a" }])).0,
        201
    );
    assert_eq!(shown(), json!([printer]), "an address is shown as it always was");
    let text = "say \"no\" \\ or\nyes";
    let records = json!([
        { "host": "@", "type": "mx", "value": "10 mail" },
        { "host": "@", "type": "MX", "value": "20 mx.example.org." },
        { "host": "printer", "type": "TXT", "value": text },
        { "host": "_ldap._tcp", "type": "SRV", "value": "0 5 389 ldap01", "ipaddress": "" },
        { "host": "www", "type": "CNAME", "value": "printer" },
    ]);
    assert_eq!(save(records.clone()).0, 201);
    let expected = json!([
        printer,
        { "host": "@", "type": "MX", "value": "10 mail" },
        { "host": "@", "type": "MX", "value": "20 mx.example.org" },
        { "host": "_ldap._tcp", "type": "SRV", "value": "0 5 389 ldap01" },
        { "host": "printer", "type": "TXT", "value": text },
        { "host": "www", "type": "CNAME", "value": "printer" },
    ]);
    assert_eq!(shown(), expected);
    assert_eq!(save(records).0, 201);
    assert_eq!(shown(), expected, "what is said again changes nothing");
    assert_eq!(save(expected).0, 201, "what is shown is taken");
    for (wrong, field) in [
        (json!({ "host": "x", "type": "TXT" }), "value"),
        (json!({ "type": "TXT", "value": "x" }), "host"),
        (json!({ "host": "x y", "type": "TXT", "value": "x" }), "host"),
        (json!({ "host": "x", "type": "LOC", "value": "x" }), "type"),
        (json!({ "host": "x", "type": "AAAA", "ipaddress": "10.141.0.1" }), "type"),
        (json!({ "host": "x", "ipaddress": "10.141.0.1", "value": "x" }), "value"),
        (
            json!({ "host": "x", "type": "MX", "value": "10 mail", "ipaddress": "10.141.0.1" }),
            "ipaddress",
        ),
        (json!({ "host": "x", "type": "MX", "value": "mail" }), "value"),
        (json!({ "host": "x", "type": "TXT", "value": "x".repeat(2049) }), "value"),
        (json!({ "host": "@", "type": "CNAME", "value": "printer" }), "type"),
        (json!({ "host": "printer", "type": "CNAME", "value": "www" }), "type"),
        (json!({ "host": "y", "type": "CNAME", "value": "y" }), "value"),
    ] {
        let (status, answer) = save(json!([wrong]));
        assert_eq!(status, 400, "{wrong}");
        assert!(answer["errors"].to_string().contains(field), "{wrong}: {answer}");
    }
    assert_eq!(save(json!([{ "host": "@", "type": "MX", "value": "" }])).0, 201);
    assert_eq!(site.get("/config/dns/cluster/www/_delete").0, 204);
    assert_eq!(site.get("/config/dns/cluster/_ldap._tcp/_delete").0, 204);
    assert_eq!(site.get("/config/dns/cluster/printer/_delete").0, 204, "with its text");
    assert_eq!(site.get("/config/dns/cluster").0, 404);
}

#[test]
fn racks_hold_devices_and_the_inventory_knows_all_of_them() {
    let site = ImageSite::start();
    site.describe();
    post(&site, "otherdev/pdu01", &json!({ "vendor": "Acme" }));
    assert_eq!(site.get("/config/rack").0, 404);
    let devices = json!([{ "name": "node001", "type": "node", "position": 3 }]);
    assert_eq!(post(&site, "rack/rack1", &json!({ "room": "A", "devices": devices })).0, 204);
    assert_eq!(
        show(&site, "rack", "rack1"),
        json!({ "size": 42, "order": "ascending", "room": "A", "site": null, "name": "rack1", "devices": [
            { "name": "node001", "type": "node", "vendor": null, "orientation": "front", "height": 1, "position": 3 }] })
    );
    let inventory = |subset: &str| {
        let (status, answer) = site.get(&format!("/config/rack/inventory{subset}"));
        assert_eq!(status, 200);
        let listed = answer["config"]["rack"]["inventory"].as_array().unwrap().clone();
        listed.iter().map(|device| device["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(inventory(""), ["node001", "node002", "pdu01", "controller"]);
    assert_eq!(inventory("/configured"), ["node001"]);
    assert_eq!(inventory("/unconfigured"), ["node002", "pdu01", "controller"]);
    assert!(inventory("/other").is_empty());
    let sizes = |entries: Value| {
        site.post(
            "/config/rack/inventory",
            &json!({ "config": { "rack": { "inventory": entries } } }),
        )
        .0
    };
    let flat =
        json!([{ "name": "pdu01", "type": "otherdevices", "height": 0, "orientation": "back" }]);
    assert_eq!(sizes(flat), 204);
    assert_eq!(sizes(json!([{ "name": "node001", "type": "node", "height": 0 }])), 400);
    assert_eq!(sizes(json!([{ "name": "none", "type": "node", "height": 1 }])), 404);
    for wrong in [
        json!({ "colour": "red" }),
        json!({ "order": "sideways" }),
        json!({ "devices": [{ "name": "node002" }] }),
        json!({ "devices": [{ "name": "node002", "type": "toaster" }] }),
    ] {
        assert_eq!(post(&site, "rack/rack1", &wrong).0, 400, "{wrong}");
    }
    assert_eq!(post(&site, "rack/rack1", &json!({ "newrackname": "rack2" })).0, 204);
    assert_eq!(show(&site, "rack", "rack2")["devices"][0]["name"], "node001");
    assert_eq!(post(&site, "rack/none", &json!({ "newrackname": "rack3" })).0, 404);
    assert_eq!(site.get("/config/rack/inventory/node001/type/node/_delete").0, 201);
    assert_eq!(show(&site, "rack", "rack2")["devices"], json!([]));
    assert_eq!(site.get("/config/rack/inventory/node001/type/toaster/_delete").0, 404);
    assert_eq!(site.get("/config/rack/inventory/node002/type/node/_delete").0, 404);
    assert_eq!(site.get("/config/rack/rack2/_delete").0, 204);
    assert_eq!(site.get("/config/rack/rack2/_delete").0, 404);
}

#[test]
fn search_domains_are_domains() {
    let site = ImageSite::start();
    let save = |text: &str| {
        let body = json!({ "config": { "cluster": { "domain_search": text } } });
        site.post("/config/cluster", &body)
    };
    for wrong in ["a\"; execute(\"/bin/sh\"); }", "a.org,-b.org", "{{ x }}"] {
        let (status, answer) = save(wrong);
        assert_eq!(status, 400, "{wrong}");
        assert!(answer.to_string().contains("is not a domain"), "{answer}");
    }
    assert_eq!(save("a.org B.org,c").0, 204);
    assert_eq!(save("").0, 204);
}
