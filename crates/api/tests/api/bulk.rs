//! Several requests as one change.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

fn save(site: &ImageSite, resource: &str, name: &str, fields: &Value) -> (u16, Value) {
    let body = json!({ "config": { resource: { name: fields } } });
    site.post(&format!("/config/{resource}/{name}"), &body)
}

fn edit(resource: &str, name: &str, fields: &Value) -> Value {
    json!({ "path": format!("/config/{resource}/{name}"), "body": { "config": { resource: { name: fields } } } })
}

fn bulk(site: &ImageSite, edits: &[Value]) -> (u16, Value) {
    site.post("/bulk", &json!({ "edits": edits }))
}

fn revision(site: &ImageSite) -> u64 {
    site.get("/history?limit=1").1["history"][0]["revision"].as_u64().unwrap()
}

fn site() -> ImageSite {
    let site = ImageSite::start();
    site.describe();
    site
}

#[test]
fn several_requests_are_one_revision_and_are_taken_back_as_one() {
    let site = site();
    let before = (revision(&site), site.get("/config/export").1);
    let (status, answer) = bulk(
        &site,
        &[
            edit("group", "new", &json!({})),
            // Each sees what those before it changed.
            edit("node", "node101", &json!({ "group": "new" })),
            edit("node", "node102", &json!({ "group": "new", "vendor": "Acme" })),
            json!({ "path": "/config/node/node102/_clone", "body": { "config": { "node": { "node102": { "newnodename": "node103" } } } } }),
            edit("node", "node101", &json!({ "newnodename": "node100" })),
            json!({ "method": "GET", "path": "/config/node/node102/_delete" }),
        ],
    );
    assert_eq!((status, &answer), (201, &json!({ "edits": 6, "created": 4 })), "{answer}");
    assert_eq!(revision(&site), before.0 + 1);
    let nodes = site.get("/config/node").1["config"]["node"].clone();
    assert!(nodes["node100"].is_object() && nodes["node103"]["vendor"] == "Acme", "{nodes}");
    assert!(nodes["node101"].is_null() && nodes["node102"].is_null(), "{nodes}");
    let entry = site.get("/history?limit=1").1["history"][0].clone();
    assert_eq!(entry["action"], "POST /bulk: /config/group/new and 5 more");
    assert_eq!(site.post(&format!("/history/{}/_undo", before.0 + 1), &json!({})).0, 201);
    assert_eq!(site.get("/config/export").1, before.1);
}

#[test]
fn one_that_is_refused_refuses_all_and_is_named() {
    let site = site();
    let before = (revision(&site), site.get("/config/export").1);
    let good = || edit("node", "node001", &json!({ "vendor": "Acme" }));
    let expecting = |mut edit: Value, word: &str| {
        edit["expect"] = word.into();
        edit
    };
    for (wrong, status, reason) in [
        (edit("node", "node101", &json!({ "group": "none" })), 400, "none"),
        (edit("node", "node001", &json!({ "vendr": "x" })), 400, "vendor"),
        (json!({ "method": "GET", "path": "/config/node/node999/_delete" }), 404, "node999"),
        (json!({ "method": "GET", "path": "/config/group/compute/_delete" }), 400, "node001"),
        (
            expecting(edit("node", "node001", &json!({})), "new"),
            409,
            "node node001 is there already",
        ),
        (
            expecting(edit("node", "node101", &json!({ "group": "compute" })), "known"),
            404,
            "no node node101",
        ),
        (json!({ "path": "/config/osimage/debian/_pack" }), 404, "part of a bulk"),
        (json!({ "method": "GET", "path": "/config/node" }), 404, "part of a bulk"),
        (json!({ "path": "/bulk", "body": { "edits": [] } }), 404, "part of a bulk"),
        (json!({ "method": "PUT", "path": "/config/node/node001" }), 400, "POST or GET"),
        (json!({ "path": "http://other/config/node/node001" }), 400, "not a path"),
        (json!({ "path": "config node" }), 400, "not a path"),
        (json!({ "path": "/config/node/node001?dry_run=true", "body": {} }), 400, "trial"),
    ] {
        let (code, answer) = bulk(&site, &[good(), wrong.clone(), good()]);
        assert_eq!((code, &answer["edit"]), (status, &json!(2)), "{wrong}: {answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(
            message.starts_with("request 2 (") && message.ends_with("nothing was changed"),
            "{message}"
        );
        assert!(answer["reason"].as_str().unwrap().contains(reason), "{wrong}: {answer}");
        assert!(answer["code"].is_string(), "{answer}");
    }
    // All that is wrong is told at once, and what a refused one began is not seen by the next.
    let interfaces = json!([{ "interface": "BOOTIF", "macaddress": "02:00:00:00:00:09" }, { "interface": "x", "network": "none" }]);
    let half = edit("node", "node001", &json!({ "interfaces": interfaces }));
    let taken = json!([{ "interface": "BOOTIF", "macaddress": "02:00:00:00:00:09" }]);
    let after = edit("node", "node002", &json!({ "interfaces": taken }));
    let (code, answer) = bulk(&site, &[good(), half, after, edit("node", "node101", &json!({}))]);
    assert_eq!(code, 400, "{answer}");
    let refused = answer["refusals"].as_array().unwrap().iter();
    let refused: Vec<u64> = refused.map(|one| one["edit"].as_u64().unwrap()).collect();
    assert_eq!(refused, [2, 4], "{answer}");
    for edits in
        [json!([]), json!(7), json!([{ "path": 7 }]), json!([{ "path": "/x", "boddy": {} }])]
    {
        let (code, answer) = site.post("/bulk", &json!({ "edits": edits }));
        assert_eq!(code, 400, "{edits}: {answer}");
    }
    assert_eq!((revision(&site), site.get("/config/export").1), before);
}

#[test]
fn what_follows_a_change_waits_until_all_are_made() {
    let site = site();
    let report = json!({ "monitor": { "status": { "node001": { "state": "install.unpack" } } } });
    site.post("/monitor/node/node001", &report);
    let state =
        |name: &str| site.get("/monitor/progress").1["monitor"]["progress"][name]["state"].clone();
    let rename = || edit("node", "node001", &json!({ "newnodename": "node009" }));
    let missing = json!({ "method": "GET", "path": "/config/node/node999/_delete" });
    assert_eq!(bulk(&site, &[rename(), missing]).0, 404);
    assert_eq!(state("node001"), "install.unpack");
    let (status, answer) = site.post("/bulk?dry_run=true", &json!({ "edits": [rename()] }));
    assert_eq!((status, &answer["dry_run"]), (200, &json!(true)), "{answer}");
    assert_eq!(state("node001"), "install.unpack");
    assert_eq!(bulk(&site, &[rename()]).0, 201);
    assert_eq!((state("node001"), state("node009")), (Value::Null, json!("install.unpack")));
}

#[test]
fn nobody_may_do_in_a_bulk_what_is_not_allowed_alone() {
    let site = site();
    let token = |role: &str, more: Value| {
        let mut fields = json!({ "role": role });
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, answer) =
            save(&site, "apitoken", &format!("t{}", fields.to_string().len()), &fields);
        assert_eq!(status, 201, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    };
    let change = |name: &str| edit("node", name, &json!({ "vendor": "Acme" }));
    let setup = edit("bmcsetup", "thing", &json!({ "username": "root" }));
    let ask =
        |edits: Value, token: &str| site.post_as("/bulk", &json!({ "edits": edits }), token).0;
    let operator = token("operator", json!({}));
    assert_eq!(ask(json!([change("node001")]), &operator), 201);
    assert_eq!(ask(json!([change("node001"), setup]), &operator), 403);
    assert_eq!(ask(json!([change("node001")]), &token("viewer", json!({}))), 403);
    let of_one = token("operator", json!({ "nodes": "node001" }));
    assert_eq!(ask(json!([change("node001")]), &of_one), 201);
    assert_eq!(ask(json!([change("node001"), change("node002")]), &of_one), 403);
    assert_eq!(ask(json!([change("node001")]), ""), 401);
    assert_eq!(ask(json!([change("node001")]), &site.node_token("node001")), 403);
}

#[test]
fn several_commits_are_taken_back_as_one_and_what_was_is_exported() {
    let site = site();
    let first = revision(&site);
    let before = site.get("/config/export").1;
    for vendor in ["a", "b", "c"] {
        save(&site, "node", "node001", &json!({ "vendor": vendor }));
    }
    save(&site, "node", "node101", &json!({ "group": "compute" }));
    assert_eq!(site.get(&format!("/config/export?at={first}")).1, before);
    let (status, answer) = site.get(&format!("/config/export?at={}", first + 2));
    assert_eq!((status, &answer["node"]["node001"]["vendor"]), (200, &json!("b")));
    assert_eq!(site.get(&format!("/config/export?at={}", first + 99)).0, 404);
    let undo = |range: String| site.post(&format!("/history/{range}/_undo"), &json!({}));
    let (status, answer) = undo(format!("{}..{}", first + 1, first + 2));
    assert_eq!(status, 409, "{answer}");
    assert!(
        answer["message"].as_str().unwrap().contains("changed since: node 'node001'"),
        "{answer}"
    );
    assert_eq!(undo(format!("{}..{first}", first + 2)).0, 400);
    assert_eq!(undo(format!("{}..{}", first + 2, first + 99)).0, 404);
    assert_eq!(undo("1..x".to_owned()).0, 400);
    assert_eq!(undo(format!("{}..{}", first + 1, first + 4)).0, 201);
    assert_eq!(site.get("/config/export").1, before);
    assert_eq!(revision(&site), first + 5);
}
