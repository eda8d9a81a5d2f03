//! Labels of nodes, groups, racks and images.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

fn site() -> ImageSite {
    let site = ImageSite::start();
    site.describe();
    save(&site, "rack", "r1", &json!({}));
    site.add_image("debian");
    site
}

fn save(site: &ImageSite, kind: &str, name: &str, fields: &Value) {
    let body = json!({ "config": { kind: { name: fields } } });
    let (code, answer) = site.post(&format!("/config/{kind}/{name}"), &body);
    assert!([201, 204].contains(&code), "{code} {answer}");
}

fn shown(site: &ImageSite, kind: &str, name: &str) -> Value {
    site.get(&format!("/config/{kind}/{name}")).1["config"][kind][name].clone()
}

fn selected(site: &ImageSite, selector: &str) -> (u16, Value) {
    let (code, answer) = site.post("/select/node", &json!({ "selector": selector }));
    (code, if code == 200 { answer["nodes"].clone() } else { answer["message"].clone() })
}

#[test]
fn objects_of_four_kinds_have_labels_and_show_none_while_they_have_none() {
    let site = site();
    for (kind, name) in
        [("node", "node001"), ("group", "compute"), ("rack", "r1"), ("osimage", "debian")]
    {
        let before = shown(&site, kind, name);
        assert!(before.is_object() && before.get("labels").is_none(), "{before}");
        save(&site, kind, name, &json!({ "labels": "tier=gpu,canary=yes" }));
        save(&site, kind, name, &json!({ "labels": { "owner": "physics", "tier": null } }));
        assert_eq!(shown(&site, kind, name)["labels"], "canary=yes,owner=physics");
        let listed = site.get(&format!("/config/{kind}")).1;
        assert_eq!(listed["config"][kind][name]["labels"], "canary=yes,owner=physics");
        let body = json!({ "config": { kind: { name: { "labels": "a b=c" } } } });
        let (code, refused) = site.post(&format!("/config/{kind}/{name}"), &body);
        assert_eq!((code, &refused["errors"][0]["field"]), (400, &json!("labels")), "{refused}");
        let many: Vec<String> = (0..33).map(|number| format!("k{number}=v")).collect();
        let body = json!({ "config": { kind: { name: { "labels": many } } } });
        assert_eq!(site.post(&format!("/config/{kind}/{name}"), &body).0, 400);
        save(&site, kind, name, &json!({ "labels": "" }));
        assert_eq!(shown(&site, kind, name), before, "as before");
    }
}

#[test]
fn a_node_is_selected_by_its_own_labels_and_its_groups() {
    let site = site();
    save(&site, "node", "node002", &json!({ "group": "compute" }));
    assert_eq!(selected(&site, "label:canary=yes").0, 404);
    save(&site, "node", "node002", &json!({ "labels": "canary=yes" }));
    assert_eq!(selected(&site, "label:canary=yes"), (200, json!(["node002"])));
    save(&site, "group", "compute", &json!({ "labels": "canary=no,tier=gpu" }));
    assert_eq!(
        selected(&site, "label:canary=*&label:tier=gpu"),
        (200, json!(["node001", "node002"]))
    );
    assert_eq!(selected(&site, "label:canary=no"), (200, json!(["node001"])));
    let node = shown(&site, "node", "node002");
    assert_eq!(
        (&node["labels"], &node["group_labels"]),
        (&json!("canary=yes"), &json!("tier=gpu"))
    );
    // A key that nobody has would spare nobody; a value that nobody has at the moment is none's.
    assert_eq!(
        selected(&site, "@compute!label:canray=yes"),
        (404, json!("there is no label canray; did you mean canary?"))
    );
    assert_eq!(selected(&site, "@compute!label:canary=maybe").1, json!(["node001", "node002"]));
    // Names and labels change together.
    save(&site, "node", "node002", &json!({ "newnodename": "node003" }));
    save(&site, "group", "compute", &json!({ "labels": "" }));
    assert_eq!(selected(&site, "label:canary=*"), (200, json!(["node003"])));
    assert_eq!(site.get("/config/node/node003/_delete").0, 204);
    assert_eq!(selected(&site, "label:canary=yes").0, 404);
}

#[test]
fn documents_say_all_labels_and_copies_of_images_have_none() {
    let site = site();
    for (kind, name) in
        [("node", "node001"), ("group", "compute"), ("rack", "r1"), ("osimage", "debian")]
    {
        save(&site, kind, name, &json!({ "labels": ["read=only"] }));
    }
    let mut document = site.get("/config/export").1;
    assert_eq!(document["node"]["node001"]["labels"], json!({ "read": "only" }));
    let applied = site.post("/config/apply", &document).1;
    assert_eq!(applied["changes"], json!([]));
    document["rack"]["r1"]["labels"] = json!({ "room": "a" });
    document["osimage"]["debian"]["labels"] = json!({ "room": true });
    assert_eq!(site.post("/config/apply", &document).0, 400);
    document["osimage"]["debian"]["labels"] = json!({});
    let applied = site.post("/config/apply", &document).1;
    assert_eq!(
        applied["changes"][0]["fields"]["labels.read"],
        json!({ "from": "only", "to": null }),
        "{applied}"
    );
    save(&site, "osimage", "debian", &json!({ "labels": "tested=yes" }));
    let copy =
        json!({ "config": { "osimage": { "debian": { "newosimage": "copy", "nocopy": true } } } });
    assert!(site.post("/config/osimage/debian/_clone", &copy).0 < 300);
    assert_eq!(shown(&site, "osimage", "copy").get("labels"), None);
    let copy = json!({ "config": { "node": { "node001": { "newnodename": "node009" } } } });
    assert_eq!(site.post("/config/node/node001/_clone", &copy).0, 201);
    assert_eq!(shown(&site, "node", "node009")["labels"], "read=only");
}

#[test]
fn tables_of_nodes_have_the_columns_that_are_asked_for() {
    let site = site();
    save(&site, "group", "compute", &json!({ "labels": "tier=gpu" }));
    let interfaces = json!([{ "interface": "BOOTIF", "network": "cluster", "ipaddress": "10.141.0.77", "macaddress": "52:54:00:00:00:77" }]);
    save(
        &site,
        "node",
        "node001",
        &json!({ "comment": "YSBub3Rl", "labels": "canary=yes", "interfaces": interfaces }),
    );
    let devices = json!([{ "name": "node001", "type": "node", "position": 7 }]);
    save(&site, "rack", "r1", &json!({ "devices": devices }));
    let report = json!({ "monitor": { "status": { "node001": { "state": "install.error", "status": "no disk" } } } });
    site.post("/monitor/node/node001", &report);
    save(&site, "node", "node002", &json!({ "group": "compute" }));
    let columns = [
        "name", "status", "failure", "group", "address", "mac", "rack", "position", "labels",
        "comment", "remark", "osimage",
    ];
    let asked = json!({ "selector": "*", "columns": columns });
    let (code, answer) = site.post("/select/node", &asked);
    assert_eq!(code, 200, "{answer}");
    let first = answer["rows"][0].as_array().unwrap();
    assert_eq!(
        first[..11],
        [
            "node001",
            "install.error",
            "no disk",
            "compute",
            "10.141.0.77",
            "52:54:00:00:00:77",
            "r1",
            "7",
            "canary=yes,tier=gpu",
            "a note",
            "no disk"
        ]
        .map(Value::from)
    );
    assert_eq!((&answer["rows"][1][1], &answer["rows"][1][6]), (&json!(""), &json!("")));
    let since = site.post("/select/node", &json!({ "selector": "*", "columns": "since" })).1;
    assert!(since["rows"][0][0].as_str().unwrap().ends_with('Z'), "{since}");
    assert_eq!(since["rows"][1][0], "");
    let wrong = site.post("/select/node", &json!({ "selector": "*", "columns": ["rakc"] }));
    assert!(wrong.0 == 400 && wrong.1["message"].as_str().unwrap().contains("rack"), "{}", wrong.1);
    assert_eq!(site.post("/select/node", &json!({ "selector": "*" })).1.get("rows"), None);
}

#[test]
fn a_group_shows_what_it_has_from_its_parent_as_its_own_and_says_whose_it_is() {
    let site = site();
    save(
        &site,
        "group",
        "compute",
        &json!({ "osimage": "debian", "roles": "default", "domain": "a.org", "labels": "tier=cpu" }),
    );
    save(&site, "group", "gpu", &json!({ "parent": "compute", "kerneloptions": "quiet" }));
    save(&site, "node", "node009", &json!({ "group": "gpu" }));
    let group = shown(&site, "group", "gpu");
    for (field, value) in [
        ("parent", "compute"),
        ("osimage", "debian"),
        ("roles", "default"),
        ("domain", "a.org"),
        ("labels", "tier=cpu"),
        ("_osimage_source", "group"),
    ] {
        assert_eq!(group[field], value, "{field}: {group}");
    }
    assert_eq!(group["_inherited"]["osimage"], "compute");
    assert!(group["_inherited"].get("kerneloptions").is_none(), "{group}");
    let listed = &site.get("/config/group").1["config"]["group"]["gpu"];
    assert_eq!((&listed["osimage"], &listed["roles"]), (&json!("debian"), &json!("default")));
    let node = shown(&site, "node", "node009");
    assert_eq!((&node["osimage"], &node["_osimage_source"]), (&json!("debian"), &json!("group")));
    assert_eq!(
        (&node["_inherited"]["roles"], &node["group_labels"]),
        (&json!("compute"), &json!("tier=cpu"))
    );
    assert_eq!(selected(&site, "label:tier=cpu&image:debian&@gpu"), (200, json!(["node009"])));
    assert!(shown(&site, "group", "compute").get("_inherited").is_none());
    let loops = json!({ "config": { "group": { "compute": { "parent": "gpu" } } } });
    let (code, refused) = site.post("/config/group/compute", &loops);
    assert_eq!((code, &refused["errors"][0]["field"]), (400, &json!("parent")), "{refused}");
    let (code, refused) = site.get("/config/group/compute/_delete");
    assert!(code == 409 || code == 400, "{code} {refused}");
    save(&site, "group", "compute", &json!({ "newgroupname": "base" }));
    assert_eq!(shown(&site, "group", "gpu")["parent"], "base");
    save(&site, "group", "gpu", &json!({ "parent": "" }));
    assert_eq!(shown(&site, "group", "gpu")["osimage"], json!(null));
}
