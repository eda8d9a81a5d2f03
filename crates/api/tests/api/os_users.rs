//! Users and groups of operating systems by the API: in a real LDAP server, and through a program that stands for `obol`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use perilune_testkit::slapd::{ADMINISTRATOR, BASE, Slapd};
use serde_json::{Value, json};

use crate::image_site::ImageSite;

/// A daemon with these lines in its `luna.ini`.
fn site(lines: &str) -> ImageSite {
    let site = ImageSite::start();
    let file = site.directory.path().join("data/luna.ini");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\n[OSUSER]\n{lines}")).unwrap();
    site.restart()
}

/// A daemon that asks an LDAP server; none where the distribution has none.
fn with_server() -> Option<(ImageSite, Slapd)> {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let server = Slapd::start(&cert.pem(), &signing_key.serialize_pem())?;
    let lines = format!(
        "DRIVER = ldap\nLDAP_URI = {}\nLDAP_BASE = {BASE}\nLDAP_BIND_DN = {ADMINISTRATOR}\nLDAP_PASSWORD_FILE = {}\nLDAP_CA = {}\n",
        server.encrypted(),
        server.password_file().display(),
        server.certificate().display()
    );
    Some((site(&lines), server))
}

fn save(site: &ImageSite, resource: &str, name: &str, fields: &Value) -> (u16, Value) {
    let body = json!({ "config": { resource: { name: fields } } });
    site.post(&format!("/config/{resource}/{name}"), &body)
}

#[test]
fn users_and_groups_live_in_the_ldap_server() {
    let Some((site, _server)) = with_server() else { return };
    for list in ["/config/osuser", "/config/osgroup"] {
        let (code, answer) = site.get(list);
        assert_eq!(code, 404, "an empty list is 404 for existing clients: {answer}");
        assert!(answer["message"].is_string());
    }
    assert_eq!(save(&site, "osgroup", "users", &json!({ "gidNumber": 3000 })).0, 201);
    let alice = json!({ "uidNumber": "1100", "gidNumber": 3000, "sn": "Smith", "givenName": "Alice", "mail": null,
        "userPassword": "secret", "memberOf": ["users"], "cn": "ignored", "name": "alice" });
    let (code, answer) = save(&site, "osuser", "alice", &alice);
    assert_eq!(code, 201, "{answer}");
    let shown = site.get("/config/osuser/alice").1["config"]["osuser"]["alice"].clone();
    assert_eq!(
        shown,
        json!({ "cn": "Alice Smith", "gidNumber": "3000", "givenName": "Alice", "homeDirectory": "/home/alice", "loginShell": "/bin/bash",
            "sn": "Smith", "uid": "alice", "uidNumber": "1100", "memberOf": ["users"] })
    );
    assert_eq!(site.get("/config/osuser").1["config"]["osuser"]["alice"], shown);
    assert_eq!(
        site.get("/config/osgroup/users").1["config"]["osgroup"]["users"]["member"],
        json!(["alice"])
    );
    assert_eq!(save(&site, "osuser", "alice", &json!({ "loginShell": "/bin/zsh" })).0, 204);
    assert_eq!(save(&site, "osuser", "alice", &json!({})).0, 204);
    assert_eq!(save(&site, "osgroup", "users", &json!({ "member": [] })).0, 204);
    assert_eq!(site.get("/config/osgroup").1["config"]["osgroup"]["users"]["member"], json!([]));

    assert_eq!(site.get("/config/osgroup/users/_delete").0, 400, "it is a user's first group");
    assert_eq!(site.get("/config/osuser/alice/_delete").0, 204);
    assert_eq!(site.get("/config/osgroup/users/_delete").0, 204);
    for gone in
        ["/config/osuser/alice", "/config/osuser/alice/_delete", "/config/osgroup/users/_delete"]
    {
        assert_eq!(site.get(gone).0, 404, "{gone}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_its_field_and_changes_nothing() {
    let Some((site, _server)) = with_server() else { return };
    for (fields, field) in [
        (json!({ "uidNumber": "many" }), "uidNumber"),
        (json!({ "uidNumber": -1 }), "uidNumber"),
        (json!({ "sn": ["a"] }), "sn"),
        (json!({ "memberOf": "users" }), "memberOf"),
        (json!({ "memberOf": ["nobody"] }), "memberOf"),
        (json!({ "memberOf": ["a,b"] }), "memberOf"),
        (json!({ "homeDirectory": "home" }), "homeDirectory"),
        (json!({ "mail": "a\nb" }), "mail"),
        (json!({ "shell": "/bin/sh" }), "shell"),
    ] {
        let (code, answer) = save(&site, "osuser", "bob", &fields);
        assert_eq!(
            (code, &answer["errors"][0]["field"]),
            (400, &json!(field)),
            "{fields}: {answer}"
        );
    }
    for name in ["--help", "-J", "a%2Ab", "default", "a%22b", "%20"] {
        let (code, answer) =
            site.post(&format!("/config/osuser/{name}"), &json!({ "config": { "osuser": {} } }));
        assert_eq!(code, 400, "{name}: {answer}");
        assert_eq!(site.get(&format!("/config/osuser/{name}")).0, 404, "{name}");
        assert_eq!(site.get(&format!("/config/osuser/{name}/_delete")).0, 400, "{name}");
    }
    for body in [
        json!({}),
        json!({ "config": { "osuser": { "bob": null } } }),
        json!({ "config": { "osuser": { "bob": [] } } }),
    ] {
        assert_eq!(site.post("/config/osuser/bob", &body).0, 400, "{body}");
    }
    assert_eq!(site.get("/config/osuser").0, 404);
}

#[test]
fn a_server_that_is_gone_is_no_empty_list() {
    let Some((site, mut server)) = with_server() else { return };
    server.stop();
    let (code, answer) = site.get("/config/osuser");
    assert_eq!(code, 503);
    assert!(answer["message"].as_str().unwrap().contains("cannot be asked"), "{answer}");
    assert_eq!(save(&site, "osuser", "alice", &json!({})).0, 503);
}

#[test]
fn the_program_of_existing_sites_is_asked_where_no_server_is_configured() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("obol");
    let script = "#!/bin/sh\n[ \"$*\" = '-J user list' ] && echo '{\"zoe\": {\"uid\": \"zoe\", \"memberOf\": [\"a\"]}}'\n\
                  case \"$*\" in *show*) exit 1;; *delete*) echo 'no such user' >&2; exit 1;; esac\nexit 0\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let site = site(&format!("OBOL = {}\n", program.display()));
    assert_eq!(
        site.get("/config/osuser").1,
        json!({ "config": { "osuser": { "zoe": { "uid": "zoe", "memberOf": ["a"] } } } })
    );
    assert_eq!(site.get("/config/osgroup").0, 404);
    assert_eq!(
        site.get("/config/osuser/zoe").0,
        404,
        "the program's failure is 404 for existing clients"
    );
    assert_eq!(save(&site, "osuser", "zoe", &json!({ "userPassword": "x" })).0, 201);
    let (code, answer) = site.get("/config/osuser/zoe/_delete");
    assert_eq!(code, 404);
    assert!(
        answer["message"].as_str().unwrap().ends_with("user delete failed: no such user"),
        "{answer}"
    );
}

#[test]
fn without_any_directory_there_is_nothing_and_it_is_said_what_to_do() {
    let site = site("OBOL = /nonexistent/obol\n");
    let (code, answer) = site.get("/config/osuser");
    assert_eq!(code, 404);
    assert!(answer["message"].as_str().unwrap().contains("DRIVER = ldap"), "{answer}");
}
