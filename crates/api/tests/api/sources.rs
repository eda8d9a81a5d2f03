//! What is shown of nodes and groups, where it comes from, and who may replace it.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

fn save(site: &ImageSite, resource: &str, name: &str, fields: &Value) -> (u16, Value) {
    let body = json!({ "config": { resource: { name: fields } } });
    site.post(&format!("/config/{resource}/{name}"), &body)
}

fn shown(site: &ImageSite, resource: &str, name: &str) -> Value {
    site.get(&format!("/config/{resource}/{name}")).1["config"][resource][name].clone()
}

#[test]
fn a_group_shows_its_own_kernel_options_or_else_those_of_its_image() {
    let site = ImageSite::start();
    site.describe();
    assert_eq!(save(&site, "osimage", "debian", &json!({ "kerneloptions": "of_image" })).0, 201);
    assert_eq!(save(&site, "group", "compute", &json!({ "osimage": "debian" })).0, 204);
    let options = |site: &ImageSite| {
        let group = shown(site, "group", "compute");
        (group["kerneloptions"].clone(), group["_kerneloptions_source"].clone())
    };
    assert_eq!(options(&site), (json!("of_image"), json!("osimage")));
    assert_eq!(save(&site, "group", "compute", &json!({ "kerneloptions": "of_group" })).0, 204);
    assert_eq!(options(&site), (json!("of_group"), json!("group")));
    let listed = site.get("/config/group").1;
    assert_eq!(listed["config"]["group"]["compute"]["kerneloptions"], "of_group");
    assert_eq!(save(&site, "group", "compute", &json!({ "kerneloptions": "" })).0, 204);
    assert_eq!(options(&site), (json!("of_image"), json!("osimage")));
    assert_eq!(save(&site, "osimage", "debian", &json!({ "kerneloptions": "" })).0, 204);
    assert_eq!(options(&site), (Value::Null, json!("default")));
}

#[test]
fn a_tag_is_one_of_the_image_that_is_in_effect() {
    let site = ImageSite::start();
    site.describe();
    for image in ["debian", "rocky"] {
        assert_eq!(save(&site, "osimage", image, &json!({})).0, 201);
        let tag = json!({ "config": { "osimage": { image: { "tag": format!("of-{image}") } } } });
        assert_eq!(site.post(&format!("/config/osimage/{image}/tag"), &tag).0, 204);
    }
    let tag = |tag: &str| json!({ "osimagetag": tag });
    assert_eq!(save(&site, "node", "node001", &tag("of-debian")).0, 400, "there is no image");
    assert_eq!(save(&site, "group", "compute", &json!({ "osimage": "debian" })).0, 204);
    assert_eq!(save(&site, "node", "node001", &tag("of-rocky")).0, 400);
    assert_eq!(save(&site, "node", "node001", &tag("of-debian")).0, 204);
    let node = shown(&site, "node", "node001");
    assert_eq!((&node["osimage"], &node["osimagetag"]), (&json!("debian"), &json!("of-debian")));
    assert_eq!(
        site.get("/config/osimagetag/debian").1["config"]["osimagetag"]["of-debian"]["nodes"],
        "node001"
    );
    // The image of a group that the same request gives, and one of its own.
    assert_eq!(save(&site, "group", "login", &json!({ "osimage": "rocky" })).0, 201);
    let moved = json!({ "group": "login", "osimagetag": "of-rocky" });
    assert_eq!(save(&site, "node", "node002", &moved).0, 204);
    let own = json!({ "osimage": "rocky", "osimagetag": "of-rocky" });
    assert_eq!(save(&site, "node", "node001", &own).0, 204);
    // A tag that goes is named by nobody afterwards.
    assert_eq!(site.get("/config/osimage/rocky/osimagetag/of-rocky/_delete").0, 204);
    for node in ["node001", "node002"] {
        assert_eq!(shown(&site, "node", node)["osimagetag"], "default", "{node}");
    }
}

#[test]
fn what_somebody_has_set_is_not_replaced_by_what_the_machine_says() {
    let site = ImageSite::start();
    site.describe();
    let keys = site.node_token("node001");
    let report = |fields: Value| {
        let body = json!({ "config": { "node": { "node001": fields } } });
        assert_eq!(site.post_as("/config/node/node001", &body, &keys).0, 204);
        let node = shown(&site, "node", "node001");
        (node["vendor"].clone(), node["assettag"].clone())
    };
    let said = |vendor: &str, tag: &str| (json!(vendor), json!(tag));
    assert_eq!(report(json!({ "vendor": "Acme", "assettag": "S1" })), said("Acme", "S1"));
    // Another machine in its place, and one that knows nothing of itself.
    assert_eq!(report(json!({ "vendor": "Acme", "assettag": "S2" })), said("Acme", "S2"));
    assert_eq!(report(json!({ "vendor": "", "assettag": "" })), said("Acme", "S2"));
    assert_eq!(save(&site, "node", "node001", &json!({ "assettag": "INV-0815" })).0, 204);
    for _ in 0..2 {
        assert_eq!(report(json!({ "vendor": "Bcme", "assettag": "S2" })), said("Bcme", "INV-0815"));
        assert_eq!(report(json!({ "vendor": "Acme", "assettag": "S3" })), said("Acme", "INV-0815"));
    }
    // Cleared, it is the machine's again.
    assert_eq!(save(&site, "node", "node001", &json!({ "assettag": "" })).0, 204);
    assert_eq!(report(json!({ "assettag": "S3" })), said("Acme", "S3"));
}
