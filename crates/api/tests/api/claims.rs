//! Machines that say, or seem, to be a node: what waits for a yes, and what rules accept.

use perilune_seal::KeyPair;
use serde_json::{Value, json};

use crate::image_site::ImageSite;

fn save(site: &ImageSite, kind: &str, name: &str, fields: &Value) -> u16 {
    let body = json!({ "config": { kind: { name: fields } } });
    site.post(&format!("/config/{kind}/{name}"), &body).0
}

/// A group `compute` with node001 at 10.141.0.1 and node002 at 10.141.0.2, of which neither has a machine, and an image that boots.
fn site() -> ImageSite {
    let site = ImageSite::start();
    site.describe();
    let files = json!({ "kernelfile": "k", "initrdfile": "i", "imagefile": "a.tar.zst" });
    assert_eq!(site.post_image("compute", "", &files).0, 201);
    assert_eq!(save(&site, "group", "compute", &json!({ "osimage": "compute" })), 204);
    site
}

fn mac(number: u8) -> String {
    format!("52:54:00:00:02:{number:02x}")
}

fn give_machine(site: &ImageSite, node: &str, number: u8) {
    let interfaces = json!([{ "interface": "BOOTIF", "macaddress": mac(number) }]);
    assert_eq!(save(site, "node", node, &json!({ "interfaces": interfaces })), 204);
}

fn machine_of(site: &ImageSite, node: &str) -> Value {
    let node = site.get(&format!("/config/node/{node}")).1["config"]["node"][node].clone();
    node["interfaces"][0]["macaddress"].clone()
}

fn claims(site: &ImageSite) -> Vec<Value> {
    site.get("/boot/claim").1["claims"].as_array().unwrap().clone()
}

fn revision(site: &ImageSite) -> u64 {
    site.get("/history?limit=1").1["history"][0]["revision"].as_u64().unwrap()
}

fn search(site: &ImageSite, number: u8, from: &str) -> String {
    site.text_from(&format!("/boot/search/mac/{}", mac(number)), from).1
}

fn choose(site: &ImageSite, wish: &str, number: u8, from: &str) -> String {
    site.text_from(&format!("/boot/manual/{wish}/{}", mac(number)), from).1
}

#[test]
fn a_machine_that_has_the_address_of_a_node_offers_itself_and_replaces_it_when_somebody_says_so() {
    let site = site();
    give_machine(&site, "node001", 1);
    let body = json!({ "nodes": "node001" });
    assert_eq!(site.post("/boot/window", &body).0, 200);
    // The present machine boots, and has its token.
    let script = search(&site, 1, "10.141.0.1");
    let (_, rest) = script.split_once("perilune.ticket=").unwrap_or_else(|| panic!("{script}"));
    let ticket = json!({ "ticket": rest.split_whitespace().next().unwrap() });
    let key = KeyPair::generate().unwrap();
    let (code, answer) = site.exchange("node001", &ticket, "10.141.0.1:700", &key);
    assert_eq!(code, 201, "{answer}");
    let token = answer["token"].as_str().unwrap().to_owned();
    let before = revision(&site);
    for _ in 0..3 {
        let script = search(&site, 9, "10.141.0.1");
        let expected = format!("make it node node001, in place of {}", mac(1));
        assert!(script.contains(&expected), "{script}");
        assert!(script.contains(&format!("perilune node adopt {} --replace", mac(9))), "{script}");
        assert!(
            script.contains(&format!("/boot/search/mac/{}", mac(9))),
            "it asks again: {script}"
        );
    }
    let [claim] = claims(&site).try_into().unwrap();
    assert_eq!((&claim["node"], &claim["replaces"]), (&json!("node001"), &json!(mac(1))));
    assert_eq!(claim["reason"], "it asks from the address 10.141.0.1");
    assert_eq!((revision(&site), machine_of(&site, "node001")), (before, json!(mac(1))));
    let accept = |body: Value| site.post(&format!("/boot/claim/{}/_accept", mac(9)), &body);
    assert_eq!(accept(json!({})).0, 409);
    assert_eq!(
        site.post(
            &format!("/boot/claim/{}/_accept?dry_run=true", mac(9)),
            &json!({ "replace": true })
        )
        .0,
        200
    );
    assert_eq!(machine_of(&site, "node001"), json!(mac(1)), "it was only tried");
    let plan = |token: &str| {
        let request = ureq::get(format!("http://{}/boot/plan/node001", site.address()));
        let request =
            request.header("x-access-tokens", token).header("x-forwarded-for", "10.141.0.1");
        request.config().http_status_as_error(false).build().call().unwrap().status().as_u16()
    };
    assert_eq!(plan(&token), 200);
    let (code, answer) = accept(json!({ "replace": true, "node": "node001" }));
    assert_eq!((code, answer), (200, json!({ "node": "node001", "replaced": mac(1) })));
    assert_eq!(machine_of(&site, "node001"), json!(mac(9)));
    assert_eq!(plan(&token), 401, "what the former machine was given");
    assert_eq!(claims(&site), Vec::<Value>::new());
    assert!(search(&site, 9, "10.141.0.1").contains("perilune.ticket="), "its boot is expected");
}

#[test]
fn a_rule_accepts_so_many_claims_of_a_group_and_a_network_and_then_no_more() {
    let site = site();
    for wrong in [
        json!({ "count": 0 }),
        json!({ "seconds": 0 }),
        json!({ "seconds": 30 * 24 * 3600 + 1 }),
        json!({ "group": "none" }),
        json!({ "network": "none" }),
        json!({ "grup": "compute" }),
    ] {
        assert_eq!(save(&site, "claimrule", "room", &wrong), 400, "{wrong}");
    }
    let rule = json!({ "group": "compute", "network": "cluster", "count": 2, "seconds": 600 });
    assert_eq!(save(&site, "claimrule", "room", &rule), 201);
    let shown = || site.get("/config/claimrule/room").1["config"]["claimrule"]["room"].clone();
    assert_eq!((&shown()["left"], &shown()["in_force"]), (&json!(2), &json!(true)));
    let elsewhere = choose(&site, "group/compute", 7, "192.0.2.7");
    assert!(elsewhere.contains("waits for an administrator"), "{elsewhere}");
    // One that says nothing at its console, and one that does.
    search(&site, 1, "10.141.200.1");
    assert_eq!(machine_of(&site, "node001"), json!(mac(1)));
    assert_eq!(shown()["left"], 1);
    let last = site.get("/history?limit=1").1["history"][0].clone();
    assert_eq!(last["author"], format!("machine {}", mac(1)));
    choose(&site, "hostname/node002", 2, "10.141.200.2");
    assert_eq!(machine_of(&site, "node002"), json!(mac(2)));
    assert_eq!(site.get("/config/claimrule/room").0, 404, "it is used up");
    let before = revision(&site);
    let third = choose(&site, "group/compute", 3, "10.141.200.3");
    assert!(third.contains("the next node of group compute"), "{third}");
    search(&site, 4, "10.141.200.4");
    assert_eq!(revision(&site), before);
    let windows = site.get("/boot/window").1["windows"].clone();
    assert_eq!(windows.as_array().unwrap().len(), 2, "their boots are expected: {windows}");
}

#[test]
fn no_rule_and_no_setting_lets_a_claim_take_the_place_of_a_machine() {
    let site = site();
    give_machine(&site, "node001", 1);
    assert_eq!(save(&site, "claimrule", "all", &json!({ "count": 1000, "seconds": 600 })), 201);
    let body = json!({ "config": { "cluster": { "nextnode_discover": true } } });
    assert_eq!(site.post("/config/cluster", &body).0, 204);
    let before = revision(&site);
    let script = choose(&site, "hostname/node001", 9, "10.141.200.9");
    assert!(script.contains(&format!("in place of {}", mac(1))), "{script}");
    // From the address of another node nothing is accepted either: its users can ask for whatever they like.
    for number in 10..20 {
        let script = choose(&site, "group/compute", number, "10.141.0.1");
        assert!(script.contains("waits for an administrator"), "{script}");
        search(&site, number, "10.141.0.1");
    }
    assert_eq!(revision(&site), before);
    let warnings = site.get("/monitor/warnings").1.to_string();
    assert!(warnings.contains("nextnode_discover of the cluster is on"), "{warnings}");
}

#[test]
fn strangers_cause_so_many_changes_and_no_more() {
    let site = site();
    let body = json!({ "config": { "cluster": { "nextnode_discover": true } } });
    assert_eq!(site.post("/config/cluster", &body).0, 204);
    let before = revision(&site);
    for number in 0..=255 {
        choose(&site, "group/compute", number, "10.141.200.9");
    }
    let made = revision(&site) - before;
    assert!((1..=128).contains(&made), "{made} changes");
    choose(&site, "group/compute", 77, "10.141.200.77");
    assert!(revision(&site) - before > made, "another address has its own share");
}
