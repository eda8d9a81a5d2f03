//! Who was refused what, who was given which secret, what was changed and done.

use perilune_seal::KeyPair;
use serde_json::{Value, json};

use crate::image_site::{ImageSite, until};

fn save(site: &ImageSite, kind: &str, name: &str, fields: &Value) -> u16 {
    let body = json!({ "config": { kind: { name: fields } } });
    site.post(&format!("/config/{kind}/{name}"), &body).0
}

fn entries(site: &ImageSite, query: &str) -> Vec<Value> {
    let (code, answer) = site.get(&format!("/audit?limit=1000{query}"));
    assert_eq!(code, 200, "{answer}");
    answer["audit"].as_array().unwrap().clone()
}

/// The one entry of this kind and user whose words have this in them.
fn find(site: &ImageSite, kind: &str, who: &str, what: &str) -> Value {
    let query = format!("&kind={kind}&who={}", who.replace(' ', "%20"));
    let mut found = None;
    until(|| {
        let all = entries(site, &query);
        found = all.into_iter().find(|entry| entry["what"].as_str().unwrap().contains(what));
        found.is_some()
    });
    found.unwrap()
}

fn viewer(site: &ImageSite) -> String {
    assert_eq!(save(site, "user", "ann", &json!({ "password": "password of ann" })), 201);
    let login = json!({ "username": "ann", "password": "password of ann" });
    site.post_as("/token", &login, "").1["token"].as_str().unwrap().to_owned()
}

#[test]
fn refusals_secrets_changes_and_deeds_are_noted_with_who_from_where_and_what() {
    let site = ImageSite::start();
    site.describe();
    let ann = viewer(&site);
    assert_eq!(site.get_as("/config/secrets", &ann).0, 403);
    let refused = find(&site, "refused", "ann", "GET /config/secrets");
    assert_eq!(refused["from"], "127.0.0.1");
    assert!(refused["what"].as_str().unwrap().contains("needs the role admin"), "{refused}");
    assert_eq!(site.get_as("/config/node", "nonsense").0, 401);
    find(&site, "refused", "nobody", "GET /config/node: Token is invalid");
    let wrong = json!({ "username": "my secret password", "password": "x" });
    assert_eq!(site.post_as("/token", &wrong, "").0, 401);
    let told = entries(&site, "").iter().any(|entry| entry.to_string().contains("my secret"));
    assert!(!told, "people type their password where their name belongs");
    find(&site, "secret", "ann", "logged in");

    let secret = json!([{ "name": "key", "content": "c2VjcmV0", "path": "/etc/key" }]);
    let body = json!({ "config": { "secrets": { "node": { "node001": secret } } } });
    assert_eq!(site.post("/config/secrets/node/node001", &body).0, 201);
    let changed = find(&site, "changed", "admin", "create nodesecrets node001");
    assert!(changed["revision"].is_u64(), "{changed}");
    assert_eq!(site.get("/config/secrets/node/node001").0, 200);
    find(&site, "secret", "admin", "read secrets (GET /config/secrets/node/node001)");
    assert_eq!(save(&site, "node", "node001", &json!({ "comment": "eA==", "vendor": "x" })), 204);
    find(&site, "changed", "admin", "change node node001 (comment, vendor)");
    assert_eq!(site.post("/boot/window", &json!({ "nodes": "node001" })).0, 200);
    find(&site, "done", "admin", "(POST /boot/window)");
    assert_eq!(site.get("/config/export?secrets=true").0, 200);
    find(&site, "secret", "admin", "exported the configuration");
    site.node_token("node001");
    find(&site, "secret", "node node001", "for the password of admin");
    // What was only tried was not done, and what only looks is not told.
    assert_eq!(site.get("/config/node/node002/_delete?dry_run=true").0, 200);
    site.get("/control/action/power/node001/_status");
    site.get("/config/node");
    let all = entries(&site, "");
    for absent in ["remove node", "_status", "GET /config/node)", "c2VjcmV0", "password of ann"] {
        assert!(!all.iter().any(|entry| entry.to_string().contains(absent)), "{absent}: {all:?}");
    }
    for (path, expected) in
        [("/audit?kind=x", 400), ("/audit?limit=x", 400), ("/audit?limit=1", 200)]
    {
        assert_eq!(site.get(path).0, expected, "{path}");
    }
    assert_eq!(site.get_as("/audit", &ann).0, 403);
    let site = site.restart();
    find(&site, "secret", "node node001", "for the password of admin");
    let count = entries(&site, "&kind=changed").len();
    assert_eq!(save(&site, "node", "node001", &json!({ "comment": "eQ==" })), 204);
    until(|| entries(&site, "&kind=changed").len() > count);
}

#[test]
fn a_ticket_that_is_taken_and_one_that_is_refused_are_noted() {
    let site = ImageSite::start();
    site.describe();
    let files = json!({ "kernelfile": "k", "initrdfile": "i", "imagefile": "a.tar.zst" });
    assert_eq!(site.post_image("compute", "", &files).0, 201);
    assert_eq!(save(&site, "group", "compute", &json!({ "osimage": "compute" })), 204);
    let interfaces = json!([{ "interface": "BOOTIF", "macaddress": "52:54:00:00:00:01" }]);
    assert_eq!(save(&site, "node", "node001", &json!({ "interfaces": interfaces })), 204);
    assert_eq!(site.post("/boot/window", &json!({ "nodes": "node001" })).0, 200);
    let script = site.text_from("/boot/search/mac/52:54:00:00:00:01", "10.141.0.1").1;
    let (_, rest) = script.split_once("perilune.ticket=").unwrap_or_else(|| panic!("{script}"));
    let ticket = json!({ "ticket": rest.split_whitespace().next().unwrap() });
    let key = KeyPair::generate().unwrap();
    assert_eq!(site.exchange("node001", &ticket, "10.141.0.7:700", &key).0, 401);
    let refused = find(&site, "refused", "nobody", "given to another address");
    assert_eq!(refused["from"], "10.141.0.7");
    let (_, answer) = site.exchange("node001", &ticket, "10.141.0.1:700", &key);
    let given = find(&site, "secret", "node node001", "for its ticket");
    assert_eq!(given["from"], "10.141.0.1");
    assert!(
        !entries(&site, "")
            .iter()
            .any(|entry| { entry.to_string().contains(answer["token"].as_str().unwrap()) })
    );
}

#[test]
fn whatever_shows_an_administrator_a_secret_is_noted() {
    let planted = crate::leaks::Planted::new();
    let site = &planted.site;
    let mut shown = 0;
    for path in planted.paths() {
        let skipped = ["_delete", "_pack", "/service/", "/control/action", "/history", "/audit"];
        // What a TPM measured is in every list of nodes, and opens nothing by itself.
        if skipped.iter().any(|part| path.contains(part)) || path.starts_with("/config/node") {
            continue;
        }
        let (status, body) = site.bytes(&path, site.token());
        if status != 200 || planted.leaks(&body).is_none() {
            continue;
        }
        shown += 1;
        let plain = path.split('?').next().unwrap();
        let is_noted =
            |entry: &Value| entry["what"].as_str().unwrap().contains(&format!("GET {plain})"));
        let after = entries(site, "&kind=secret&who=admin");
        assert!(after.iter().any(is_noted), "{path} shows a secret, and nobody is told: {after:?}");
    }
    assert!(shown >= 10, "only {shown}");
}

#[test]
fn collectors_read_lines_of_json() {
    let site = ImageSite::start();
    let log = site.directory.path().join("audit.json");
    let site = site.configure(&format!("[AUDIT]\nLOG = {}\n", log.display()));
    site.describe();
    assert_eq!(site.get_as("/config/secrets", "nonsense").0, 401);
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let has = |kind: &str, what: &str| {
        lines().iter().any(|line| {
            line["kind"] == kind && line["what"].as_str().unwrap_or_default().contains(what)
        })
    };
    until(|| has("refused", "GET /config/secrets") && has("changed", "create group compute"));
    assert!(has("secret", "logged in"));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&log).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}
