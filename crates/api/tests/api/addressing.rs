//! How nodes of a group get their addresses, and who had those of BMCs before.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

fn save(site: &ImageSite, kind: &str, name: &str, fields: &Value) -> (u16, Value) {
    let body = json!({ "config": { kind: { name: fields } } });
    site.post(&format!("/config/{kind}/{name}"), &body)
}

fn site() -> ImageSite {
    let site = ImageSite::start();
    assert_eq!(save(&site, "network", "ipmi", &json!({ "network": "10.148.0.0/16" })).0, 201);
    let bmc = json!({ "interface": "BMC", "network": "ipmi", "addressing": "like BOOTIF" });
    assert_eq!(save(&site, "group", "compute", &json!({ "interfaces": [bmc] })).0, 201);
    site
}

fn add(site: &ImageSite, node: &str, address: &str) -> String {
    let boot = json!({ "interface": "BOOTIF", "ipaddress": address, "network": "cluster" });
    let added = save(site, "node", node, &json!({ "group": "compute", "interfaces": [boot] }));
    assert_eq!(added.0, 201, "{}", added.1);
    let path = format!("/config/node/{node}/interfaces/BMC");
    let (_, shown) = site.get(&path);
    shown["config"]["node"][node]["interfaces"][0]["ipaddress"].as_str().unwrap().to_owned()
}

#[test]
fn a_group_says_how_its_nodes_get_their_addresses() {
    let site = site();
    let shown = site.get("/config/group/compute/interfaces/BMC").1;
    assert_eq!(shown["config"]["group"]["compute"]["interfaces"][0]["addressing"], "like BOOTIF");
    assert_eq!(add(&site, "node007", "10.141.3.7"), "10.148.3.7");
    for wrong in ["like BMC", "like eth7", "last", "first+", "first+99999999999"] {
        let bmc = json!({ "interface": "BMC", "addressing": wrong });
        let (code, refused) = save(&site, "group", "compute", &json!({ "interfaces": [bmc] }));
        let field = refused["errors"][0]["field"].as_str().unwrap_or_default();
        assert!(code == 400 && field.contains("addressing"), "{wrong}: {code} {refused}");
    }
    let bmc = json!({ "interface": "BMC", "addressing": "first" });
    let (code, refused) = save(&site, "node", "node007", &json!({ "interfaces": [bmc] }));
    assert_eq!(code, 400, "it is the group's to say: {refused}");
    let bmc = json!({ "interface": "BMC", "addressing": "" });
    assert_eq!(save(&site, "group", "compute", &json!({ "interfaces": [bmc] })).0, 204);
    let shown = site.get("/config/group/compute/interfaces/BMC").1;
    assert!(shown["config"]["group"]["compute"]["interfaces"][0].get("addressing").is_none());
    assert_eq!(add(&site, "node008", "10.141.3.8"), "10.148.0.1");
}

#[test]
fn whoever_has_the_bmc_address_that_another_node_had_is_told() {
    let site = site();
    let check = |site: &ImageSite, nodes: &str| {
        let body = json!({ "control": { "check": { "hostlist": nodes } } });
        let (code, answer) = site.post("/control/check", &body);
        (code, answer["control"]["check"].clone())
    };
    add(&site, "node001", "10.141.0.1");
    assert_eq!(check(&site, "node001"), (200, json!([])));
    assert_eq!(site.get("/config/node/node001/_delete").0, 204);
    assert_eq!(add(&site, "node002", "10.141.0.1"), "10.148.0.1");
    add(&site, "node003", "10.141.0.3");
    let told = |site: &ImageSite| {
        let (code, told) = check(site, "node[002-003]");
        assert_eq!((code, told.as_array().unwrap().len()), (200, 1), "{told}");
        told[0].clone()
    };
    let one = told(&site);
    assert_eq!(
        (&one["node"], &one["address"], &one["former"]),
        (&json!("node002"), &json!("10.148.0.1"), &json!("node001"))
    );
    assert_eq!(told(&site.restart()), one, "a restart forgets nothing");
}
