//! What newer clients of existing sites send and read.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

fn save(site: &ImageSite, kind: &str, name: &str, fields: &Value) -> (u16, Value) {
    let body = json!({ "config": { kind: { name: fields } } });
    site.post(&format!("/config/{kind}/{name}"), &body)
}

fn show(site: &ImageSite, kind: &str, name: &str) -> Value {
    site.get(&format!("/config/{kind}/{name}")).1["config"][kind][name].clone()
}

#[test]
fn an_osimage_filter_is_kept_as_it_came_and_inherited() {
    let site = ImageSite::start();
    site.describe();
    let (own, of_group) = ("eyJleGNsdWRlIjpbIi92YXIiXX0=", "eyJ4IjoxfQ==");
    assert_eq!(show(&site, "node", "node001")["osimage_filter"], json!(null));
    assert_eq!(show(&site, "node", "node001")["_osimage_filter_source"], "default");
    assert_eq!(save(&site, "group", "compute", &json!({ "osimage_filter": of_group })).0, 204);
    let node = show(&site, "node", "node001");
    assert_eq!(
        (&node["osimage_filter"], &node["_osimage_filter_source"]),
        (&json!(of_group), &json!("group"))
    );
    assert_eq!(node["_override"], false);
    assert_eq!(save(&site, "node", "node001", &json!({ "osimage_filter": own })).0, 204);
    let node = show(&site, "node", "node001");
    assert_eq!(
        (&node["osimage_filter"], &node["_osimage_filter_source"]),
        (&json!(own), &json!("node"))
    );
    assert_eq!(node["_override"], true);
    assert_eq!(site.get("/config/node").1["config"]["node"]["node001"]["_override"], true);
    // Fields that clients edit come before the first list: what is behind that is shown undecoded.
    let text = site.get_text("/config/node").1;
    let (_, entry) = text.split_once("\"node001\": {").unwrap();
    assert!(entry.find("osimage_filter").unwrap() < entry.find("\"interfaces\"").unwrap());
    assert_eq!(save(&site, "node", "node001", &json!({ "osimage_filter": [1] })).0, 400);
    let document = site.get("/config/export").1;
    assert_eq!(document["node"]["node001"]["osimage_filter"], own);
    assert_eq!(site.post("/config/apply", &document).1["changes"], json!([]));
    let tables = site.get("/config/cluster/export").1;
    assert!(
        tables["node"].to_string().contains(own) && tables["group"].to_string().contains(of_group)
    );
    assert_eq!(save(&site, "node", "node001", &json!({ "osimage_filter": "" })).0, 204);
    assert_eq!(show(&site, "node", "node001")["_osimage_filter_source"], "group");
}

#[test]
fn what_a_group_says_that_clients_count_is_an_override_in_lists_and_alone() {
    let site = ImageSite::start();
    site.describe();
    assert_eq!(save(&site, "group", "compute", &json!({ "ipxe_kernel": "" })).0, 204);
    let overrides = || {
        let listed = site.get("/config/group").1["config"]["group"]["compute"]["_override"].clone();
        assert_eq!(listed, show(&site, "group", "compute")["_override"]);
        listed
    };
    assert_eq!(overrides(), false);
    for (field, value, none) in [
        ("provision_method", json!("http"), json!("")),
        ("kerneloptions", json!("quiet"), json!("")),
        ("install_mode", json!("full"), json!("")),
        ("bootmenu", json!(true), json!("")),
        ("unmanaged_bmc_users", json!("disable"), json!("")),
        ("ipxe_kernel", json!("default"), json!("")),
    ] {
        assert_eq!(save(&site, "group", "compute", &json!({ field: value })).0, 204, "{field}");
        assert_eq!(overrides(), true, "{field}");
        assert_eq!(save(&site, "group", "compute", &json!({ field: none })).0, 204, "{field}");
        assert_eq!(overrides(), false, "{field}");
    }
}

/// By parts of a node's status, as the client's `boot status` reads it.
fn stage(status: &str) -> &'static str {
    let status = status.to_lowercase();
    let has = |part: &str| status.contains(part);
    match () {
        () if has("rendered") => "ipxe",
        () if has("download") => "download",
        () if has("unpack") => "unpack",
        () if has("success") || has("booted") => "done",
        () if has("installer") || has("install.") => "config",
        () => "unknown",
    }
}

#[test]
fn boot_status_tells_the_stages_of_an_installation_apart() {
    let site = ImageSite::start();
    site.describe();
    for (state, expected) in [
        ("install.discovered", "config"),
        ("install.rendered", "ipxe"),
        ("install.prescript", "config"),
        ("install.partscript", "config"),
        ("install.download", "download"),
        ("install.unpack", "unpack"),
        ("install.postscript", "config"),
        ("install.success", "done"),
    ] {
        let body = json!({ "monitor": { "status": { "node001": { "state": state } } } });
        assert_eq!(site.post("/monitor/node/node001", &body).0 / 100, 2, "{state}");
        let node = site.get("/config/node").1["config"]["node"]["node001"].clone();
        assert_eq!(
            stage(node["status"].as_str().unwrap()),
            expected,
            "{state}: {}",
            node["status"]
        );
    }
}

#[test]
fn certificates_of_an_image_are_refreshed_as_a_job_that_says_what_came_of_it() {
    let site = ImageSite::start();
    site.add_image("rocky9");
    let path = "/config/osimage/rocky9/_updatecerts";
    assert_eq!(site.get("/config/osimage/none/_updatecerts").0, 404);
    assert_eq!(site.get_as(path, "").0, 401);
    assert_eq!(site.head(path).0, 405);
    let (status, answer) = site.get(path);
    assert_eq!(
        (status, &answer["message"]),
        (200, &json!("refreshing certificates of osimage rocky9 queued"))
    );
    let (texts, worst) = site.follow(&answer["request_id"]);
    // Without a subscription here, it says where none is.
    let has_any = std::path::Path::new("/etc/rhsm/ca").exists();
    assert_eq!(worst == 200, has_any, "{texts:?}");
    let told = if has_any { "finished refreshing" } else { "/etc/rhsm/ca" };
    assert!(texts.iter().any(|text| text.contains(told)), "{texts:?}");
}
