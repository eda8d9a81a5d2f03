//! Routes of the wire reference that the API's document has not: the good case, the missing object, the missing token, the wrong body.

use serde_json::{Value, json};

use crate::document::site;
use crate::image_site::ImageSite;

/// A route: method, path of the good case, its body, its code, and the path of what is not there, where there is such a thing.
type Row = (&'static str, &'static str, Option<Value>, u16, Option<&'static str>);

fn config(resource: &str, name: &str, fields: &Value) -> Value {
    json!({ "config": { resource: { name: fields } } })
}

fn of_the_cluster() -> Vec<Row> {
    let cloud = json!({ "cloud": [{ "id": 1, "name": "one", "type": "aws" }] });
    let host = config("dns", "spare", &json!([{ "host": "www", "ipaddress": "10.99.0.9" }]));
    let no_host = Some("/config/dns/spare/www/_delete");
    vec![
        ("GET", "/config/cluster/export", None, 200, None),
        ("POST", "/config/cluster/import", Some(cloud), 201, None),
        (
            "GET",
            "/config/network/cluster/_member",
            None,
            200,
            Some("/config/network/nothing/_member"),
        ),
        ("POST", "/config/dns/spare", Some(host), 201, Some("/config/dns/nothing")),
        ("GET", "/config/dns/spare", None, 200, Some("/config/dns/nothing")),
        ("GET", "/config/dns/spare/www/_delete", None, 204, no_host),
        ("GET", "/monitor/queue", None, 200, None),
        ("GET", "/monitor/status", None, 200, None),
    ]
}

fn of_images_and_groups() -> Vec<Row> {
    let tag = |tag: &str| Some(config("osimage", "debian", &json!({ "tag": tag })));
    let copy = config("group", "compute", &json!({ "newgroupname": "copy" }));
    let remove_tag = "/config/osimage/debian/osimagetag/stable/_delete";
    let no_tag = Some("/config/osimage/debian/osimagetag/nothing/_delete");
    vec![
        (
            "POST",
            "/config/group/compute/_clone",
            Some(copy),
            201,
            Some("/config/group/nothing/_clone"),
        ),
        ("GET", "/config/group/compute/_member", None, 200, Some("/config/group/nothing/_member")),
        (
            "GET",
            "/config/osimage/debian/_member",
            None,
            200,
            Some("/config/osimage/nothing/_member"),
        ),
        (
            "POST",
            "/config/osimage/debian/tag",
            tag("stable"),
            204,
            Some("/config/osimage/nothing/tag"),
        ),
        ("GET", "/config/osimagetag", None, 200, None),
        ("GET", "/config/osimagetag/debian", None, 200, Some("/config/osimagetag/nothing")),
        ("POST", "/config/osimage/debian/tag", tag(""), 204, None),
        ("GET", remove_tag, None, 204, no_tag),
        (
            "GET",
            "/config/osimage/debian/_cancel",
            None,
            200,
            Some("/config/osimage/nothing/_cancel"),
        ),
        ("GET", "/config/osimage/debian/_check", None, 200, Some("/config/osimage/nothing/_check")),
    ]
}

fn of_clouds_and_racks() -> Vec<Row> {
    let device = json!({ "name": "node001", "type": "node", "height": 2 });
    let inventory = json!({ "config": { "rack": { "inventory": [device] } } });
    let cloud = config("cloud", "two", &json!({ "type": "azure" }));
    let cloned = config("cloud", "two", &json!({ "newcloudname": "three", "comment": "x" }));
    let rack = config("rack", "r1", &json!({ "size": 42 }));
    let take_out = "/config/rack/inventory/node001/type/node/_delete";
    let no_device = Some("/config/rack/inventory/nothing/type/node/_delete");
    vec![
        ("POST", "/config/cloud/two", Some(cloud), 201, None),
        ("GET", "/config/cloud", None, 200, None),
        ("GET", "/config/cloud/two", None, 200, Some("/config/cloud/nothing")),
        (
            "POST",
            "/config/cloud/two/_clone",
            Some(cloned),
            201,
            Some("/config/cloud/nothing/_clone"),
        ),
        ("GET", "/config/cloud/two/_delete", None, 204, Some("/config/cloud/two/_delete")),
        (
            "POST",
            "/config/apply",
            Some(json!({ "reservation": { "kept": { "addresses": ["192.0.2.9"] } } })),
            200,
            None,
        ),
        ("GET", "/config/reservation", None, 200, None),
        ("GET", "/config/reservation/kept", None, 200, Some("/config/reservation/nothing")),
        (
            "GET",
            "/config/reservation/kept/_delete",
            None,
            204,
            Some("/config/reservation/kept/_delete"),
        ),
        ("POST", "/config/rack/r1", Some(rack), 204, None),
        ("GET", "/config/rack", None, 200, None),
        ("GET", "/config/rack/r1", None, 200, Some("/config/rack/nothing")),
        ("POST", "/config/rack/inventory", Some(inventory), 204, None),
        ("GET", "/config/rack/inventory", None, 200, None),
        ("GET", "/config/rack/inventory/configured", None, 200, None),
        ("GET", take_out, None, 201, no_device),
        ("GET", "/config/rack/r1/_delete", None, 204, Some("/config/rack/r1/_delete")),
    ]
}

/// The bodies of requests that are none.
const WRONG: [&str; 7] =
    ["", "{", "null", "7", "\"text\"", "{\"config\": 7}", "{\"config\": {\"node\": []}}"];

fn ask(
    site: &ImageSite,
    method: &str,
    path: &str,
    body: Option<&Value>,
    token: &str,
) -> (u16, Value) {
    match (method, body) {
        ("GET", _) => site.get_as(path, token),
        (_, body) => site.post_as(path, body.unwrap(), token),
    }
}

#[test]
fn every_further_route_is_answered_as_the_reference_says() {
    let site = site();
    let token = site.token().to_owned();
    for (method, path, body, code, missing) in
        [of_the_cluster(), of_images_and_groups(), of_clouds_and_racks()].concat()
    {
        let (status, answer) = ask(&site, method, path, body.as_ref(), "");
        assert_eq!(status, 401, "{method} {path} without a token");
        assert!(answer["message"].is_string(), "{method} {path}: {answer}");
        if method == "POST" {
            for text in WRONG {
                let (status, answer) = site.post_text(path, text);
                assert!([400, 404].contains(&status), "{path} with {text:?}: {status} {answer}");
                assert!(answer["message"].is_string(), "{path} with {text:?}: {answer}");
            }
        }
        let (status, answer) = ask(&site, method, path, body.as_ref(), &token);
        assert_eq!(status, code, "{method} {path}: {answer}");
        let Some(missing) = missing else { continue };
        let name = |path: &str| path.split('/').nth(3).unwrap_or_default().to_owned();
        let body = body.map(|body| {
            let text = body.to_string();
            let text =
                text.replace(&format!("\"{}\":", name(path)), &format!("\"{}\":", name(missing)));
            serde_json::from_str(&text).unwrap()
        });
        let (status, answer) = ask(&site, method, missing, body.as_ref(), &token);
        assert_eq!(status, 404, "{method} {missing}: {answer}");
        // The message about racks is an object: clients look for its key alone.
        assert!(!answer["message"].is_null(), "{method} {missing}: {answer}");
    }
}
