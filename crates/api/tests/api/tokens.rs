//! API tokens: what each may do, for which nodes, until when.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

fn save(site: &ImageSite, kind: &str, name: &str, fields: &Value) -> (u16, Value) {
    let body = json!({ "config": { kind: { name: fields } } });
    site.post(&format!("/config/{kind}/{}", name.replace(' ', "%20")), &body)
}

fn make(site: &ImageSite, name: &str, fields: &Value) -> String {
    let (code, answer) = save(site, "apitoken", name, fields);
    assert_eq!(code, 201, "{fields}: {answer}");
    answer["token"].as_str().unwrap().to_owned()
}

fn shown(site: &ImageSite, name: &str) -> Value {
    site.get(&format!("/config/apitoken/{name}")).1["config"]["apitoken"][name].clone()
}

#[test]
fn a_token_does_what_its_role_may_is_kept_as_a_hash_and_shows_when_it_was_used() {
    let site = ImageSite::start();
    site.describe();
    let token = make(&site, "monitoring", &json!({ "role": "viewer", "comment": "eA==" }));
    assert!(token.starts_with("perilune_"), "{token}");
    assert_eq!(shown(&site, "monitoring")["last_used"], Value::Null);
    assert_eq!(site.get_as("/config/node", &token).0, 200);
    let body = json!({ "config": { "node": { "node001": { "comment": "eA==" } } } });
    assert_eq!(site.post_as("/config/node/node001", &body, &token).0, 403);
    let entry = shown(&site, "monitoring");
    assert_eq!(entry["last_used_from"], "127.0.0.1");
    assert_eq!((&entry["user"], &entry["role"]), (&json!("admin"), &json!("viewer")));
    assert!(entry["last_used"].is_string() && entry["until"].is_string(), "{entry}");
    assert_eq!(save(&site, "apitoken", "monitoring", &json!({ "role": "viewer" })).0, 400);
    for wrong in [
        json!({ "role": "king" }),
        json!({ "role": "installer" }),
        json!({ "routes": ["GET /nonsense"] }),
        json!({ "routes": ["/config/node"] }),
        json!({ "nodes": "node[" }),
        json!({ "seconds": 999_999_999_999_u64 }),
        json!({ "usr": "ann" }),
    ] {
        assert_eq!(save(&site, "apitoken", "other", &wrong).0, 400, "{wrong}");
    }
    assert_eq!(save(&site, "apitoken", "other", &json!({ "user": "nobody" })).0, 404);
    for forged in
        ["perilune_", "perilune_AAAA", &format!("{token}A"), token.split_at(token.len() - 1).0]
    {
        assert_eq!(site.get_as("/config/node", forged).0, 401, "{forged}");
    }
    // What is stored does not have it.
    let site = site.restart();
    assert_eq!(site.get_as("/config/node", &token).0, 200);
    assert!(shown(&site, "monitoring")["last_used"].is_string());
    let directory = site.stopped();
    for name in ["perilune.db", "perilune.db-wal"] {
        let bytes = std::fs::read(directory.path().join("data").join(name)).unwrap_or_default();
        assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()), "{name}");
    }
    let site = ImageSite::start_over(directory);
    assert_eq!(site.get("/config/apitoken/monitoring/_delete").0, 204);
    assert_eq!(site.get_as("/config/node", &token).0, 401);
}

#[test]
fn a_token_of_routes_is_good_for_those_alone() {
    let site = ImageSite::start();
    site.describe();
    let routes = json!(["GET /config/node/{name}", "GET /backup"]);
    let token = make(&site, "backup", &json!({ "routes": routes }));
    assert_eq!(site.get_as("/config/node/node001", &token).0, 200);
    assert_eq!(site.bytes("/backup", &token).0, 200);
    for other in ["/config/node", "/config/secrets", "/config/node/node001/_delete", "/audit"] {
        assert_eq!(site.get_as(other, &token).0, 403, "{other}");
    }
    assert_eq!(site.post_as("/config/node/node001", &json!({}), &token).0, 403);
    assert_eq!(site.get("/config/node/node001").0, 200);
}

#[test]
fn a_token_of_nodes_does_nothing_that_concerns_others() {
    let site = ImageSite::start();
    site.describe();
    let token = make(&site, "scheduler", &json!({ "role": "operator", "nodes": "node[001,003]" }));
    let change = |node: &str, fields: Value| {
        let body = json!({ "config": { "node": { node: fields } } });
        site.post_as(&format!("/config/node/{node}"), &body, &token).0
    };
    assert_eq!(change("node001", json!({ "comment": "eA==" })), 204);
    assert_eq!(change("node002", json!({ "comment": "eA==" })), 403);
    assert_eq!(change("node001", json!({ "newnodename": "login1" })), 403, "a name of another");
    assert_eq!(change("node001", json!({ "name": "login1" })), 403);
    for (path, expected) in [
        ("/config/node/node001", 200),
        ("/config/node/node001/interfaces", 200),
        ("/config/node/node002", 403),
        ("/config/node/node002/_delete", 403),
        ("/config/node", 403),
        ("/config/group/compute", 403),
        ("/config/cluster", 403),
        ("/history", 403),
        ("/control/power/node002", 403),
    ] {
        assert_eq!(site.get_as(path, &token).0, expected, "{path}");
    }
    let clone = json!({ "config": { "node": { "node001": { "newnodename": "node003" } } } });
    assert_eq!(site.post_as("/config/node/node001/_clone", &clone, &token).0, 403);
    let window = |nodes: &str| site.post_as("/boot/window", &json!({ "nodes": nodes }), &token).0;
    assert_eq!((window("node001"), window("node[001-002]")), (200, 403));
    let power = |nodes: &str| {
        let body = json!({ "control": { "power": { "status": { "hostlist": nodes } } } });
        site.post_as("/control/action/power/_status", &body, &token).0
    };
    assert_eq!((power("node001"), power("node[001-002]")), (200, 403));
    let check = |nodes: &str| {
        let body = json!({ "control": { "check": { "hostlist": nodes } } });
        site.post_as("/control/check", &body, &token).0
    };
    assert_eq!((check("node001"), check("node[001-002]")), (200, 403));
    // It follows and stops what it began itself, and nothing that others did.
    let begin = |token: Option<&str>| {
        let body = json!({ "control": { "power": { "status": { "hostlist": "node001" } } } });
        let path = "/control/action/power/_status";
        let answer = match token {
            Some(token) => site.post_as(path, &body, token).1,
            None => site.post(path, &body).1,
        };
        answer["request_id"].as_str().unwrap().to_owned()
    };
    for (id, expected) in [(begin(Some(&token)), (200, 204)), (begin(None), (404, 404))] {
        let path = format!("/control/request/{id}");
        let stop = site.post_as(&format!("{path}/_cancel"), &json!({}), &token).0;
        assert_eq!((site.get_as(&path, &token).0, stop), expected);
    }
    assert_eq!(site.get_as("/control/action/power/node002/_on", &token).0, 403);
}

#[test]
fn a_token_of_operations_may_do_what_belongs_to_them_and_bundle_them() {
    let site = ImageSite::start();
    site.describe();
    let make = |name: &str, routes: &[&str]| {
        make(&site, name, &json!({ "role": "operator", "routes": routes }))
    };
    let of_nodes = make("describes", &["POST /config/node/{name}"]);
    let edit = |path: &str| json!({ "path": path, "body": { "config": { "node": { "node001": { "vendor": "Acme" } } } } });
    let bulk = |edits: Vec<Value>| site.post_as("/bulk", &json!({ "edits": edits }), &of_nodes).0;
    assert_eq!(bulk(vec![edit("/config/node/node001")]), 201);
    let removal = json!({ "method": "GET", "path": "/config/node/node001/_delete" });
    assert_eq!(bulk(vec![edit("/config/node/node001"), removal]), 403);
    assert_eq!(bulk(vec![edit("/config/group/compute")]), 403);
    assert_eq!(site.get("/config/node/node001").0, 200, "it is still there");
    let check = |token: &str| {
        let body = json!({ "control": { "check": { "hostlist": "node001" } } });
        site.post_as("/control/check", &body, token).0
    };
    let of_power = make("powers", &["POST /control/action/{subsystem}/{_action}"]);
    assert_eq!((check(&of_power), check(&of_nodes)), (200, 403));
    assert_eq!(site.get_as("/config/node", &of_power).0, 403);
}

#[test]
fn a_token_never_does_more_than_its_user_and_ends_with_it() {
    let site = ImageSite::start();
    site.describe();
    let password = "password of ann";
    let fields = json!({ "password": password, "role": "operator" });
    assert_eq!(save(&site, "user", "ann", &fields).0, 201);
    let refused = save(&site, "apitoken", "big", &json!({ "user": "ann", "role": "admin" }));
    assert_eq!(refused.0, 403, "{}", refused.1);
    let of_ann = || make(&site, "tool", &json!({ "user": "ann", "role": "operator" }));
    let token = of_ann();
    let change = |token: &str| {
        let body = json!({ "config": { "node": { "node001": { "comment": "eA==" } } } });
        site.post_as("/config/node/node001", &body, token).0
    };
    assert_eq!(change(&token), 204);
    let last = site.get("/history?limit=1").1["history"][0].clone();
    assert!(last["author"] == "token tool (ann)" || last["author"] == "admin", "{last}");
    assert_eq!(save(&site, "user", "ann", &json!({ "password": "another one" })).0, 204);
    assert_eq!(change(&token), 204, "it has no password");
    assert_eq!(save(&site, "user", "ann", &json!({ "role": "viewer" })).0, 204);
    assert_eq!(change(&token), 403);
    assert_eq!(site.get_as("/config/node", &token).0, 200);
    assert_eq!(save(&site, "user", "ann", &json!({ "newusername": "bob" })).0, 204);
    assert_eq!(shown(&site, "tool")["user"], "bob");
    assert_eq!(site.post("/config/user/bob/_revoke", &json!({})).0, 204);
    assert_eq!(site.get_as("/config/node", &token).0, 401);
    assert_eq!(
        save(&site, "user", "bob", &json!({ "newusername": "ann", "role": "operator" })).0,
        204
    );
    let token = of_ann();
    assert_eq!(site.get("/config/user/ann/_delete").0, 204);
    assert_eq!(site.get_as("/config/node", &token).0, 401);
    assert_eq!(save(&site, "user", "ann", &fields).0, 201);
    assert_eq!(site.get_as("/config/node", &token).0, 401, "another ann");
}

#[test]
fn tokens_make_no_tokens_and_are_not_the_users_that_they_belong_to() {
    let site = ImageSite::start();
    let token = make(&site, "everything", &json!({ "role": "admin", "seconds": 0 }));
    assert_eq!(shown(&site, "everything")["until"], Value::Null);
    let body = json!({ "config": { "apitoken": { "more": { "role": "viewer" } } } });
    assert_eq!(site.post_as("/config/apitoken/more", &body, &token).0, 403);
    assert_eq!(site.get_as("/config/apitoken/everything/_delete", &token).0, 403);
    assert_eq!(site.get_as("/config/apitoken", &token).0, 200);
    // A user cannot be called as a token is shown.
    let user = json!({ "password": "long enough", "role": "viewer" });
    for name in ["token everything (configuration)", "node node001", "machine x", "nobody"] {
        assert_eq!(save(&site, "user", name, &user).0, 400, "{name}");
    }
    assert_eq!(save(&site, "user", "nobody else", &user).0, 201);
    let secret = json!({ "role": "viewer", "seconds": 1 });
    let short = make(&site, "short", &secret);
    crate::image_site::until(|| site.get_as("/config/node", &short).0 == 401);
    assert_eq!(shown(&site, "short")["expired"], true);
}
