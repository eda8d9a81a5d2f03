//! Who may ask what, and in which form answers come.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

/// Operations that anybody may ask for.
const PUBLIC: [&str; 31] = [
    "POST /controller/_join",
    "POST /token",
    "POST /tpm/{nodename}",
    "GET /version",
    "GET /ping",
    "GET /ha/ready",
    "GET /files",
    "GET /files/{filename}",
    "GET /filesauth",
    "GET /boot",
    "GET /boot/short",
    "GET /boot/disk",
    "GET /boot/search/mac/{macaddress}",
    "GET /boot/manual/group/{groupname}/{macaddress}",
    "GET /boot/manual/hostname/{hostname}/{macaddress}",
    "POST /boot/ticket/{node}",
    "GET /boot/switch/{name}",
    "GET /boot/switch/{name}/commands",
    "GET /monitor/node",
    "GET /monitor/node/{node}",
    "GET /monitor/status/{node}",
    "GET /monitor/service/{name}",
    "GET /monitor/{kind}",
    "GET /monitor/{kind}/{name}",
    // For programs of this machine, and those that the configuration names.
    "GET /export/{name}",
    "GET /announce",
    "GET /scrape",
    "GET /metrics",
    "GET /config/status/{request_id}",
    "GET /service/status/{request_id}",
    "GET /control/status/{request_id}",
];

#[test]
fn every_operation_but_the_public_ones_refuses_who_is_not_logged_in() {
    let site = ImageSite::start();
    let (code, document) = site.get("/openapi.json");
    assert_eq!(code, 200);
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let operation = format!("{} {path}", method.to_uppercase());
            if PUBLIC.contains(&operation.as_str()) {
                continue;
            }
            let concrete: String = path.split('/').skip(1).fold(String::new(), |all, part| {
                let part = if part.starts_with('{') { "10.141.0.1" } else { part };
                format!("{all}/{part}")
            });
            for (token, expected) in
                [("", "A valid token is missing"), ("nonsense", "Token is invalid")]
            {
                let (code, answer) = if method == "get" {
                    site.get_as(&concrete, token)
                } else {
                    site.post_as(&concrete, &json!({}), token)
                };
                assert_eq!(code, 401, "{operation}");
                assert_eq!(answer["message"], expected, "{operation}");
            }
            asked += 1;
        }
    }
    assert!(asked > 40, "only {asked} operations were found");
}

#[test]
fn what_does_something_cannot_be_asked_by_head() {
    let site = ImageSite::start();
    site.describe();
    let before = site.get("/history").1;
    for path in [
        "/config/node/node001/_delete",
        "/config/network/cluster/_nextfreeip",
        "/config/osimage/compute/_pack",
        "/config/group/compute/interfaces/BOOTIF/_delete",
        "/control/action/power/node001/_off",
        "/service/luna2/reload",
        "/boot/manual/group/compute/52:54:00:00:00:77",
        "/boot/manual/hostname/node001/52:54:00:00:00:77",
    ] {
        assert_eq!(site.head(path).0, 405, "{path}");
    }
    assert_eq!(site.get("/history").1, before);
    assert_eq!(site.head("/version").0, 200, "what only tells is");
}

#[test]
fn a_nodes_own_token_is_good_for_itself_alone() {
    let site = ImageSite::start();
    site.describe();
    let keys = site.node_token("node001");
    assert_eq!(site.get_as("/config/node", &keys).0, 403);
    assert_eq!(
        site.get_as("/boot/plan/node002", &keys).1["message"],
        "Token is not valid for this node"
    );
    let report = |node: &str, fields: Value| json!({ "config": { "node": { node: fields } } });
    let allowed = report("node001", json!({ "vendor": "Acme", "assettag": "7" }));
    assert_eq!(site.post_as("/config/node/node001", &allowed, &keys).0, 204);
    for fields in
        [json!({ "group": "compute" }), json!({ "name": "node002" }), json!({ "netboot": false })]
    {
        let (code, answer) =
            site.post_as("/config/node/node001", &report("node001", fields.clone()), &keys);
        assert_eq!(code, 403, "{fields}: {answer}");
    }
    let tried = site.post_as("/monitor/node/node001?dry_run=true", &json!({}), &keys);
    assert_eq!(tried.0, 400, "a report cannot be tried");
    let state = json!({ "monitor": { "status": { "node001": { "state": "install.unpack" } } } });
    assert_eq!(site.post_as("/monitor/node/node001", &state, &keys).0, 204);
    assert_eq!(
        site.get("/monitor/node/node001").1["monitor"]["status"]["node001"]["state"],
        "install.unpack"
    );
}

#[test]
fn a_body_that_is_too_large_or_nested_too_deeply_is_told_as_such() {
    let site = ImageSite::start();
    let (code, answer) = site.post_text("/config/node/node001", &" ".repeat((16 << 20) + 1));
    assert_eq!((code, &answer["code"]), (413, &json!("too_large")));
    assert!(answer["message"].as_str().unwrap().contains("16 MiB"), "{answer}");
    let announced = site.announce("/config/node/node001", 1 << 40);
    assert!(announced.starts_with("HTTP/1.1 413 "), "{announced}");
    let (code, answer) = site.post_text("/config/node/node001", &"[".repeat(1000));
    assert_eq!((code, &answer["message"]), (400, &json!("the JSON is nested too deeply")));
}

#[test]
fn logging_in_tells_what_is_missing_and_no_more() {
    let site = ImageSite::start();
    for (body, code, message) in [
        (json!({}), 401, "Login Required"),
        (json!({ "password": "x" }), 401, "Username Is Required"),
        (json!({ "username": "x" }), 401, "Password Is Required"),
        (
            json!({ "username": "", "password": "x" }),
            401,
            "Please provide the username and password",
        ),
        (json!({ "username": "admin", "password": "x" }), 401, "Incorrect username or password"),
        (json!({ "username": "nobody", "password": "x" }), 401, "Incorrect username or password"),
    ] {
        let (got, answer) = site.post_as("/token", &body, "");
        assert_eq!((got, &answer["message"]), (code, &json!(message)), "{body}");
    }
    for body in [json!([1]), json!("x"), json!(7), json!(null)] {
        assert_eq!(site.post_as("/token", &body, "").0, 400, "{body}");
    }
}
