//! Secrets of nodes and groups over the API, and at rest.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

fn post(site: &ImageSite, owner: &str, name: &str, tail: &str, items: &Value) -> u16 {
    let body = json!({ "config": { "secrets": { owner: { name: items } } } });
    site.post(&format!("/config/secrets/{owner}/{name}{tail}"), &body).0
}

fn secret(name: &str, content: &str) -> Value {
    json!([{ "name": name, "content": content, "path": format!("/etc/{name}") }])
}

#[test]
fn secrets_are_written_read_copied_and_removed_alike_for_nodes_and_groups() {
    let site = ImageSite::start();
    site.describe();
    assert_eq!(site.get("/config/secrets").0, 404);
    for (owner, name) in [("node", "node001"), ("group", "compute")] {
        let at = |tail: &str| format!("/config/secrets/{owner}/{name}{tail}");
        assert_eq!(site.get(&at("")).0, 404, "none yet");
        assert_eq!(post(&site, owner, "none", "", &secret("key", "c2VjcmV0")), 404);
        assert_eq!(post(&site, owner, name, "", &json!([])), 400);
        assert_eq!(post(&site, owner, name, "", &secret("key", "c2VjcmV0")), 201);
        assert_eq!(post(&site, owner, name, "", &secret("key", "b3RoZXI=")), 204);
        let mixed =
            json!([{ "name": "key", "content": "bWl4ZWQ=" }, { "name": "new", "content": "bmV3" }]);
        assert_eq!(post(&site, owner, name, "", &mixed), 204);
        let expected = json!([{ "name": "key", "content": "bWl4ZWQ=", "path": "/etc/key" }]);
        assert_eq!(site.get(&at("/key")).1["config"]["secrets"][owner][name], expected);
        assert_eq!(post(&site, owner, name, "/new", &secret("new", "YWdhaW4=")), 204);
        for wrong in [
            json!([{ "name": "x" }]),
            json!([{ "content": "eA==" }]),
            json!([{ "name": "x", "content": "" }]),
            json!([{ "name": "x", "content": "a\"b" }]),
            json!([{ "name": "x", "content": "eA==", "path": "../etc/passwd" }]),
            json!([{ "name": "x", "content": "eA==", "mode": "600" }]),
            json!({ "name": "x", "content": "eA==" }),
        ] {
            assert_eq!(post(&site, owner, name, "", &wrong), 400, "{wrong}");
        }
        let copy = json!([{ "name": "key", "newsecretname": "copy", "content": false, "path": "/etc/copy" }]);
        assert_eq!(post(&site, owner, name, "/key/_clone", &copy), 201);
        let copied = &site.get(&at("/copy")).1["config"]["secrets"][owner][name][0];
        assert_eq!(
            (&copied["content"], &copied["path"]),
            (&json!("bWl4ZWQ="), &json!("/etc/copy"))
        );
        assert_eq!(post(&site, owner, name, "/key/_clone", &copy), 400);
        assert_eq!(post(&site, owner, name, "/key/_clone", &json!([{ "name": "key" }])), 400);
        assert_eq!(site.get(&at("/copy/_delete")).0, 204);
        assert_eq!(site.get(&at("/copy/_delete")).0, 404);
        assert_eq!(site.get(&at("/copy")).0, 404);
    }
    let all = site.get("/config/secrets").1["config"]["secrets"].clone();
    assert!(all["node"]["node001"].is_array() && all["group"]["compute"].is_array());
    let body = json!({});
    assert_eq!(site.post("/config/secrets/group/compute/new/_delete", &body).0, 204);
}

#[test]
fn an_installing_node_reads_its_own_and_its_groups_secrets_and_no_others() {
    let site = ImageSite::start();
    site.describe();
    post(&site, "node", "node001", "", &secret("hostkey", "c2VjcmV0"));
    post(&site, "group", "compute", "", &secret("munge", "bXVuZ2U="));
    post(&site, "group", "compute", "", &json!([{ "name": "pathless", "content": "eA==" }]));
    let token = site.node_token("node001");
    let (status, answer) = site.get_as("/config/secrets/node/node001", &token);
    assert_eq!(status, 200);
    let secrets = &answer["config"]["secrets"];
    assert_eq!(secrets["node"]["node001"][0]["content"], "c2VjcmV0");
    assert_eq!(secrets["group"]["compute"].as_array().unwrap().len(), 1);
    for path in ["/node/node002", "/group/compute", "", "/node/node001/hostkey"] {
        assert_eq!(site.get_as(&format!("/config/secrets{path}"), &token).0, 403, "{path}");
    }
}

#[test]
fn nothing_on_disk_shows_a_secret_and_a_restart_still_reads_it() {
    let site = ImageSite::start();
    site.describe();
    post(&site, "node", "node001", "", &secret("hostkey", "dG9wLXNlY3JldC1jb250ZW50"));
    let data = site.directory.path().join("data");
    for file in std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(bytes) = std::fs::read(&file) else { continue };
        let shows = bytes.windows(24).any(|part| part == b"dG9wLXNlY3JldC1jb250ZW50");
        assert!(!shows, "{} holds the secret in the clear", file.display());
    }
    let site = site.restart();
    let shown = site.get("/config/secrets/node/node001/hostkey").1;
    let content = &shown["config"]["secrets"]["node"]["node001"][0]["content"];
    assert_eq!(content, "dG9wLXNlY3JldC1jb250ZW50");
}

#[test]
fn a_key_is_rotated_while_everybody_goes_on_and_all_is_there_after_a_restart() {
    let mut site = ImageSite::start();
    site.describe();
    assert_eq!(post(&site, "node", "node001", "", &secret("key", "c2VjcmV0")), 201);
    assert_eq!(post(&site, "node", "node001", "/key", &secret("key", "b3RoZXI=")), 204);
    let setup = json!({ "config": { "bmcsetup": { "one": { "password": "calvin" } } } });
    assert_eq!(site.post("/config/bmcsetup/one", &setup).0, 201);
    let document = site.get("/config/export?secrets=true").1;
    let before = site.get("/config/key").1["config"]["key"].clone();
    let (code, answer) = site.post("/config/key/_rotate", &json!({}));
    assert_eq!(code, 201, "{answer}");
    let after = site.get("/config/key").1["config"]["key"].clone();
    assert!(before["id"] != after["id"] && before["file"] == after["file"], "{after}");
    for _ in 0..2 {
        assert_eq!(site.get("/config/export?secrets=true").1, document);
        assert_eq!(site.get("/config/key").1["config"]["key"], after);
        site = site.restart();
    }
    // What is taken back comes as it was, whichever key has sealed it.
    let revision = site.get("/history").1["history"][1]["revision"].clone();
    let (code, answer) = site.post(&format!("/history/{revision}/_undo"), &json!({}));
    assert_eq!(code, 201, "{answer}");
    let shown = site.get("/config/secrets/node/node001/key").1;
    assert_eq!(shown["config"]["secrets"]["node"]["node001"][0]["content"], "c2VjcmV0", "{shown}");
}
