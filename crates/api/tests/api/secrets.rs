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
            json!([{ "name": "x", "content": "eA==", "mode": "0o600" }]),
            json!([{ "name": "x", "content": "eA==", "mode": "8" }]),
            json!([{ "name": "x", "content": "eA==", "owner": "0" }]),
            json!([{ "name": "x", "content": "eA==", "owner": "a:b:c" }]),
            json!([{ "name": "x", "content": "eA==", "owner": "root;id" }]),
            json!([{ "name": "x", "content": "eA==", "group": "root" }]),
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

#[test]
fn owner_and_mode_are_kept_copied_and_cleared() {
    let site = ImageSite::start();
    site.describe();
    for (owner, name) in [("node", "node001"), ("group", "compute")] {
        let one = |secret: &str| {
            let answer = site.get(&format!("/config/secrets/{owner}/{name}/{secret}/{secret}")).1;
            answer["config"]["secrets"][owner][name][0].clone()
        };
        let new = json!([{ "name": "munge", "content": "AP8=", "path": "/etc/munge/munge.key", "owner": "munge:munge", "mode": "400" }]);
        assert_eq!(post(&site, owner, name, "", &new), 201);
        assert_eq!(one("munge"), new[0]);
        // What newer clients send of a change: what changes, and nothing else.
        assert_eq!(
            post(&site, owner, name, "/munge", &json!([{ "name": "munge", "mode": 440 }])),
            204
        );
        assert_eq!(one("munge")["mode"], "440");
        assert_eq!(one("munge")["content"], "AP8=");
        assert_eq!(
            post(
                &site,
                owner,
                name,
                "/munge/_clone",
                &json!([{ "name": "munge", "newsecretname": "copy" }])
            ),
            201
        );
        assert_eq!(
            (&one("copy")["owner"], &one("copy")["mode"]),
            (&json!("munge:munge"), &json!("440"))
        );
        assert_eq!(
            post(
                &site,
                owner,
                name,
                "/copy",
                &json!([{ "name": "copy", "owner": "", "mode": null }])
            ),
            204
        );
        assert_eq!(
            one("copy").as_object().unwrap().keys().collect::<Vec<_>>(),
            ["name", "content", "path"]
        );
    }
}

#[test]
fn every_node_is_given_the_secrets_of_the_cluster() {
    let site = ImageSite::start();
    site.describe();
    let post = |tail: &str, items: &Value| {
        let body = json!({ "config": { "secrets": { "cluster": items } } });
        site.post(&format!("/config/secrets/cluster{tail}"), &body).0
    };
    assert_eq!(site.get("/config/secrets/cluster").0, 404);
    assert_eq!(post("", &secret("slurm", "c2x1cm0=")), 201);
    assert_eq!(post("", &json!([{ "name": "pathless", "content": "eA==" }])), 201);
    assert_eq!(post("/slurm", &json!([{ "name": "slurm", "mode": "0640" }])), 204);
    assert_eq!(post("/slurm/_clone", &json!([{ "name": "slurm", "newsecretname": "copy" }])), 201);
    let expected =
        json!([{ "name": "copy", "content": "c2x1cm0=", "path": "/etc/slurm", "mode": "0640" }]);
    for path in ["/copy", "/copy/copy"] {
        let answer = site.get(&format!("/config/secrets/cluster{path}")).1;
        assert_eq!(answer["config"]["secrets"]["cluster"], expected);
    }
    assert_eq!(site.get("/config/secrets/cluster/copy/_delete").0, 204);
    assert_eq!(site.get("/config/secrets/cluster/copy").0, 404);
    assert_eq!(post("", &json!({})), 400);
    let all = site.get("/config/secrets").1["config"]["secrets"]["cluster"].clone();
    assert_eq!(all.as_array().unwrap().len(), 2);
    let token = site.node_token("node001");
    let (status, answer) = site.get_as("/config/secrets/node/node001", &token);
    let given = &answer["config"]["secrets"]["cluster"];
    assert_eq!(
        (status, given.as_array().unwrap().len(), &given[0]["name"]),
        (200, 1, &json!("slurm"))
    );
    assert_eq!(site.get_as("/config/secrets/cluster", &token).0, 403);
    // In documents, and sealed where they are stored.
    let document = site.get("/config/export?secrets=true").1;
    assert_eq!(document["clustersecrets"]["cluster"][0]["mode"], "0640");
    assert_eq!(site.post("/config/apply", &document).1["changes"], json!([]));
    assert_eq!(site.get("/config/export").1.get("clustersecrets"), None);
    assert_eq!(site.post("/config/apply", &json!({ "clustersecrets": { "other": [] } })).0, 400);
    let data = site.directory.path().join("data");
    for file in std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert!(!bytes.windows(8).any(|part| part == b"c2x1cm0="), "{}", file.display());
    }
    let site = site.restart();
    assert_eq!(site.get("/config/export?secrets=true").1, document);
}
