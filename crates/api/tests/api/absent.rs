//! The role of a single controller, and routes that existing clients know and that are not there yet.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

/// What the reference of existing clients has and this daemon has not: the operation, and whether it needs a token.
const NOT_YET: [(&str, bool); 9] = [
    ("GET /config/profiles", true),
    ("GET /config/profiles/chrony", true),
    ("POST /config/profiles/chrony", true),
    ("POST /config/profiles/chrony/_clone", true),
    ("GET /config/profiles/chrony/_delete", true),
    ("GET /config/profiles/chrony/_member", true),
    ("GET /config/profiles/chrony/conf/_delete", true),
    ("GET /config/profiles/status", true),
    ("GET /config/profiles/status/node001", true),
];

fn ask(site: &ImageSite, operation: &str, token: &str) -> (u16, Value) {
    let (method, path) = operation.split_once(' ').unwrap();
    if method == "GET" { site.get_as(path, token) } else { site.post_as(path, &json!({}), token) }
}

#[test]
fn what_is_not_there_yet_says_so_behind_its_guard() {
    let site = ImageSite::start();
    site.describe();
    for (operation, needs_token) in NOT_YET {
        for token in ["", "None", "nonsense"] {
            let (status, answer) = ask(&site, operation, token);
            assert_eq!(status, if needs_token { 401 } else { 501 }, "{operation}: {answer}");
            assert!(answer["message"].is_string(), "{operation}: {answer}");
        }
        let (status, answer) = ask(&site, operation, site.token());
        assert_eq!((status, &answer["code"]), (501, &json!("not_implemented")), "{operation}");
        assert!(
            answer["message"].as_str().unwrap().contains("is not served"),
            "{operation}: {answer}"
        );
        if needs_token {
            // A node's own token is good for nothing of this.
            let keys = site.node_token("node001");
            assert_eq!(ask(&site, operation, &keys).0, 403, "{operation}");
        }
    }
}

#[test]
fn nothing_is_answered_by_an_empty_body_where_something_is_below() {
    let site = ImageSite::start();
    for path in ["/config/secrets/node", "/config/secrets/group", "/control/power"] {
        for operation in [format!("GET {path}"), format!("POST {path}")] {
            let (status, answer) = ask(&site, &operation, site.token());
            assert_eq!(status, 404, "{operation}");
            assert!(answer["message"].is_string(), "{operation}: {answer}");
        }
    }
}

#[test]
fn a_single_controller_tells_its_role() {
    let site = ImageSite::start();
    site.describe();
    let role = json!({ "enabled": false, "insync": false, "master": false, "overrule": false, "sharedip": 1,
        "syncimages": true, "updated": null });
    // As often as it is asked, and whatever else was asked.
    for _ in 0..2 {
        assert_eq!(site.get("/ha/state"), (200, json!({ "ha": role })));
        assert_eq!(site.get("/ha/master"), (404, json!({ "message": false })));
        let own = json!({ "ha": role, "config": { "shadow": false } });
        assert_eq!(site.get("/ha/controllers"), (200, json!({ "message": { "controller": own } })));
        let (status, answer) = site.get("/ha/master/_set");
        assert_eq!(status, 503);
        assert!(
            answer["message"].as_str().unwrap().contains("there is one controller"),
            "{answer}"
        );
        assert_eq!(site.get("/ha/overrule/_set").0, 204);
        assert_eq!(site.get_as("/ha/ready", "").0, 200);
        let (_, all) = site.get("/controller");
        assert_eq!(all["controllers"].as_array().unwrap().len(), 1, "{all}");
        assert_eq!((&all["shared"], &all["controllers"][0]["here"]), (&json!(false), &json!(true)));
        let name = all["controllers"][0]["name"].as_str().unwrap();
        for action in ["_drain", "_remove"] {
            let (status, answer) = site.post(&format!("/controller/{name}/{action}"), &json!({}));
            assert_eq!((status, &answer["code"]), (501, &json!("one_controller")), "{answer}");
            assert_eq!(site.post(&format!("/controller/x/{action}"), &json!({})).0, 404);
        }
    }
    let (status, answer) = site.get("/ha/syncimage/compute");
    assert_eq!((status, &answer["message"]), (404, &json!("sync not available for images")));
    let set = ["/ha/master/_set", "/ha/overrule/_set"];
    let told = ["/ha/state", "/ha/master", "/ha/controllers", "/ha/syncimage/x", "/controller"];
    for path in told.into_iter().chain(set) {
        assert_eq!(site.get_as(path, "").0, 401, "{path}");
        assert_eq!(site.get_as(path, &site.node_token("node001")).0, 403, "{path}");
    }
}
