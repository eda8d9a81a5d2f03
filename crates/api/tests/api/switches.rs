//! Interfaces of switches, and what switches are told when they begin to boot.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

fn save(site: &ImageSite, name: &str, fields: &Value) -> (u16, Value) {
    let body = json!({ "config": { "switch": { name: fields } } });
    site.post(&format!("/config/switch/{name}"), &body)
}

fn interfaces(site: &ImageSite, list: &Value) -> (u16, Value) {
    let body = json!({ "config": { "switch": { "sw01": { "interfaces": list } } } });
    site.post("/config/switch/sw01/interfaces", &body)
}

fn listed(site: &ImageSite) -> Value {
    let (status, mut answer) = site.get("/config/switch/sw01/interfaces");
    assert_eq!(status, 200, "{answer}");
    answer["config"]["switch"]["sw01"]["interfaces"].take()
}

fn site_with_a_switch() -> ImageSite {
    let site = ImageSite::start();
    site.describe();
    assert_eq!(
        save(&site, "sw01", &json!({ "network": "cluster", "ipaddress": "10.141.3.1" })).0,
        201
    );
    site
}

#[test]
fn interfaces_of_a_switch_are_made_changed_renamed_and_removed() {
    let site = site_with_a_switch();
    assert_eq!(listed(&site), json!([]));
    assert_eq!(site.get("/config/switch/none/interfaces").0, 404);
    let two = json!([
        { "interface": "swp1", "network": "cluster", "ipaddress": "10.141.3.2", "macaddress": "52-54-00-00-00-71" },
        { "interface": "eth0", "network": "cluster", "mgmt": true },
    ]);
    assert_eq!(interfaces(&site, &two), (204, json!("")));
    let all = listed(&site);
    assert_eq!(
        all[0],
        json!({ "interface": "swp1", "mgmt": false, "ipaddress": "10.141.3.2", "ipaddress_ipv6": null,
        "macaddress": "52:54:00:00:00:71", "network": "cluster" })
    );
    assert!(all[1]["ipaddress"].is_string(), "the first free one");
    let shown = site.get("/config/switch/sw01").1["config"]["switch"]["sw01"].clone();
    assert_eq!(shown["mgmt_interface"], "eth0");
    // One is managed by, the last that was said; what is not said stays.
    assert_eq!(interfaces(&site, &json!([{ "interface": "swp1", "mgmt": "yes" }])).0, 204);
    let mgmt: Vec<Value> =
        listed(&site).as_array().unwrap().iter().map(|own| own["mgmt"].clone()).collect();
    assert_eq!(mgmt, [json!(true), json!(false)]);
    assert_eq!(
        interfaces(&site, &json!([{ "interface": "swp1", "newinterfacename": "swp1.100" }])).0,
        204
    );
    let one = site.get("/config/switch/sw01/interfaces/swp1.100").1;
    assert_eq!(one["config"]["switch"]["sw01"]["interfaces"][0]["ipaddress"], "10.141.3.2");
    assert_eq!(site.get("/config/switch/sw01/interfaces/swp1").0, 404);
    for (wrong, status) in [
        (json!([{ "interface": "swp9", "network": "none" }]), 404),
        (json!([{ "interface": "swp9", "ipaddress": "10.141.3.9" }]), 400),
        (json!([{ "interface": "swp9", "network": "cluster", "ipaddress": "10.141.3.1" }]), 400),
        (json!([{ "interface": "swp9", "network": "cluster", "ipaddress": "192.0.2.1" }]), 400),
        (json!([{ "interface": "swp9", "newinterfacename": "swp8" }]), 404),
        (json!([{ "interface": "eth0", "newinterfacename": "swp1.100" }]), 400),
        (json!([{ "interface": "a/b" }]), 400),
        (json!([{ "network": "cluster" }]), 400),
        (json!([{ "interface": "swp9", "macaddress": "x" }]), 400),
        (json!([{ "interface": "swp9", "vlan": 1 }]), 400),
        (json!({ "interface": "swp9" }), 400),
        (json!("swp9"), 400),
        // All of them or none.
        (
            json!([{ "interface": "swp8", "network": "cluster" }, { "interface": "swp9", "network": "none" }]),
            404,
        ),
    ] {
        let (got, answer) = interfaces(&site, &wrong);
        assert_eq!(got, status, "{wrong}: {answer}");
        assert_eq!(listed(&site).as_array().unwrap().len(), 2, "{wrong}");
    }
    // An address of an interface is nobody else's, and keeps its network.
    let node = json!({ "config": { "node": { "node001": { "interfaces": [{ "interface": "BOOTIF", "ipaddress": "10.141.3.2" }] } } } });
    assert_eq!(site.post("/config/node/node001", &node).0, 400);
    let document = site.get("/config/export").1;
    assert_eq!(document["switch"]["sw01"]["interfaces"][0]["ipaddress"], "10.141.3.2");
    assert_eq!(site.post("/config/apply", &document).1["changes"], json!([]));
    let moved = json!({ "config": { "network": { "cluster": { "network": "10.142.0.0/16", "controller": "10.142.255.254" } } } });
    let (status, answer) = site.post("/config/network/cluster", &moved);
    assert_eq!(status, 204, "{answer}");
    assert!(
        listed(&site)[0]["ipaddress"].as_str().unwrap().starts_with("10.142."),
        "{}",
        listed(&site)
    );
    let path = "/config/switch/sw01/interfaces/swp1.100/_delete";
    assert_eq!(site.head(path).0, 405);
    assert_eq!(site.get(path).0, 204);
    assert_eq!(site.get(path).0, 404);
}

#[test]
fn what_a_switch_is_told_is_kept_as_it_came_and_its_configuration_is_a_secret() {
    let site = site_with_a_switch();
    let fields = json!({ "netboot": "yes", "default_url": "files/nvos.bin", "bootfile": "", "ztpconfig": "bnYgc2V0IGEgR2VoZWlt",
        "ztpformat": "YAML", "ostype": "nvos", "url_protocol": "secure", "url_server": "mirror.cluster", "tftp_enable": "y" });
    assert_eq!(save(&site, "sw01", &fields).0, 204);
    let shown = || site.get("/config/switch/sw01").1["config"]["switch"]["sw01"].clone();
    for (field, value) in [
        ("netboot", json!(true)),
        ("default_url", json!("files/nvos.bin")),
        ("bootfile", json!(null)),
        ("ztpconfig", fields["ztpconfig"].clone()),
        ("ztpformat", json!("yaml")),
        ("ostype", json!("nvos")),
        ("url_protocol", json!("secure")),
        ("url_server", json!("mirror.cluster")),
        ("tftp_enable", json!("y")),
    ] {
        assert_eq!(shown()[field], value, "{field}");
    }
    for (field, wrong) in [
        ("netboot", json!("perhaps")),
        ("default_url", json!("a b")),
        ("bootfile", json!("x".repeat(181))),
        ("ztpformat", json!("json")),
        ("ostype", json!("sonic")),
        ("url_protocol", json!("http")),
        ("url_server", json!("a/b")),
        ("tftp_enable", json!("maybe")),
        ("ztpconfig", json!([])),
    ] {
        let (status, answer) = save(&site, "sw01", &json!({ field: wrong }));
        assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!(field)), "{answer}");
    }
    // What an answer shows can be sent back.
    assert_eq!(save(&site, "sw01", &shown()).0, 204);
    let secret = "bnYgc2V0IGEgR2VoZWlt";
    for path in ["/history?limit=100", "/config/export"] {
        assert!(!site.get(path).1.to_string().contains(secret), "{path}");
    }
    assert!(site.get("/config/export?secrets=true").1.to_string().contains(secret));
    let stored = std::fs::read(site.directory.path().join("data/perilune.db")).unwrap_or_default();
    assert!(!stored.windows(secret.len()).any(|part| part == secret.as_bytes()), "it is sealed");
    // A document that does not say it leaves it.
    let document = site.get("/config/export").1;
    assert_eq!(site.post("/config/apply", &document).1["changes"], json!([]));
    // The recipe is anybody's; the configuration is the switch's own.
    let (status, recipe) = site.get_as("/boot/switch/sw01", "");
    assert_eq!(status, 200);
    let steps = recipe["ztp"].as_object().unwrap();
    assert_eq!(
        steps.keys().collect::<Vec<_>>(),
        ["01-image", "02-startup-file", "03-connectivity-check"]
    );
    assert!(
        !recipe.to_string().contains("Geheim") && !recipe.to_string().contains(secret),
        "{recipe}"
    );
    let commands = "/boot/switch/sw01/commands";
    assert_eq!(site.get_as(commands, "").0, 403, "a program of this machine is anybody");
    assert_eq!(site.text_from(commands, "10.141.9.9").0, 403);
    assert_eq!(site.text_from(commands, "10.141.3.1"), (200, "nv set a Geheim".to_owned()));
    assert_eq!(save(&site, "sw01", &json!({ "ztpconfig": "" })).0, 204);
    let (status, usual) = site.text_from(commands, "10.141.9.9");
    assert!(status == 200 && usual.contains("hostname sw01"), "{usual}");
    for (path, status) in
        [("/boot/switch/none", 404), ("/boot/switch/none/commands", 404), ("/boot/switch/a'b", 400)]
    {
        assert_eq!(site.get_as(path, "").0, status, "{path}");
    }
}
