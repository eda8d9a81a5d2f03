//! Who may do what: users, roles, trials, history.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::image_site::ImageSite;

const PERMISSIONS: &str = include_str!("../../../../docs/permissions.md");

fn save(site: &ImageSite, resource: &str, name: &str, fields: &Value) -> (u16, Value) {
    save_at(site, &format!("/config/{resource}/{name}"), (resource, name), fields)
}

fn save_at(
    site: &ImageSite,
    path: &str,
    (resource, name): (&str, &str),
    fields: &Value,
) -> (u16, Value) {
    site.post(path, &json!({ "config": { resource: { name: fields } } }))
}

fn log_in(site: &ImageSite, user: &str, password: &str) -> Option<String> {
    let login = json!({ "username": user, "password": password });
    let (status, answer) = site.post_as("/token", &login, "");
    (status == 201).then(|| answer["token"].as_str().unwrap().to_owned())
}

/// A user of each role, with the role's name and a password of it.
fn with_users(site: &ImageSite) -> BTreeMap<&'static str, String> {
    let mut tokens = BTreeMap::new();
    for role in ["viewer", "operator", "admin"] {
        let name = format!("a-{role}");
        let password = format!("password of {role}");
        assert_eq!(
            save(site, "user", &name, &json!({ "role": role, "password": password })).0,
            201
        );
        tokens.insert(role, log_in(site, &name, &password).unwrap());
    }
    tokens
}

fn ask(site: &ImageSite, operation: &str, token: &str) -> u16 {
    let (method, path) = operation.split_once(' ').unwrap();
    match method {
        "GET" => site.get_as(path, token).0,
        "POST" => site.post_as(path, &json!({}), token).0,
        other => panic!("{other}"),
    }
}

#[test]
fn every_operation_lets_those_in_whom_the_document_names_and_nobody_else() {
    let site = ImageSite::start();
    site.describe();
    let mut tokens = with_users(&site);
    tokens.insert("node", site.node_token("node001"));
    let document = site.get("/openapi.json").1;
    let mut rows: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for line in PERMISSIONS.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let operation = cells[1].trim_matches('`').to_owned();
        rows.insert(operation, cells[2].split(", ").collect());
    }
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let operation = format!("{} {path}", method.to_uppercase());
            let row = rows.remove(&operation);
            let row = row.unwrap_or_else(|| panic!("docs/permissions.md lacks {operation}"));
            let concrete = path
                .replace("{name}", "nothing")
                .replace("{node}", "node001")
                .replace("{_action}", "_on");
            let concrete: String = concrete.split('/').skip(1).fold(String::new(), |all, part| {
                let part = if part.starts_with('{') { "nothing" } else { part };
                format!("{all}/{part}")
            });
            let concrete = format!("{} {concrete}", method.to_uppercase());
            let is_public = row == ["everybody"];
            // These answer 401 to whoever gives them nothing to look at.
            let looks = ["POST /token", "POST /tpm/{nodename}", "GET /filesauth"];
            let looks = looks.contains(&operation.as_str());
            assert_eq!(
                ask(&site, &concrete, "") != 401,
                is_public && !looks,
                "{operation} without a token"
            );
            if is_public {
                continue;
            }
            let lowest =
                ["viewer", "operator", "admin"].iter().position(|role| row.contains(role)).unwrap();
            for (rank, role) in ["viewer", "operator", "admin"].into_iter().enumerate() {
                let may = ask(&site, &concrete, &tokens[role]) != 403;
                assert_eq!(may, rank >= lowest, "{operation} as {role}");
                asked += 1;
            }
            let own = concrete.replace("nothing", "node001");
            let own =
                if path.contains("{node}") || path.contains("{name}") { own } else { concrete };
            assert_eq!(
                ask(&site, &own, &tokens["node"]) != 403,
                row.contains(&"node"),
                "{operation} as the node"
            );
        }
    }
    assert!(rows.is_empty(), "docs/permissions.md names what is not there: {:?}", rows.keys());
    assert!(asked > 300, "only {asked} questions");
}

#[test]
fn users_are_made_log_in_change_their_passwords_and_are_gone_with_their_tokens() {
    let site = ImageSite::start();
    assert_eq!(site.get("/config/user").0, 404);
    for (fields, expected) in [
        (json!({}), 400),
        (json!({ "password": "short" }), 400),
        (json!({ "password": "long enough", "role": "king" }), 400),
        (json!({ "password": "long enough", "shell": "/bin/sh" }), 400),
        (json!({ "password": "long enough" }), 201),
    ] {
        assert_eq!(save(&site, "user", "ann", &fields).0, expected, "{fields}");
    }
    assert_eq!(save(&site, "user", "admin", &json!({ "password": "long enough" })).0, 400);
    let shown = site.get("/config/user/ann").1["config"]["user"]["ann"].clone();
    assert_eq!(shown, json!({ "name": "ann", "role": "viewer", "comment": null }));
    assert_eq!(log_in(&site, "ann", "wrong one"), None);
    let token = log_in(&site, "ann", "long enough").unwrap();
    let change = |token: &str, name: &str, fields: Value| {
        let body = json!({ "config": { "user": { name: fields } } });
        site.post_as(&format!("/config/user/{name}/_password"), &body, token).0
    };
    assert_eq!(change(&token, "ann", json!({ "password": "another one" })), 403);
    assert_eq!(
        change(&token, "ann", json!({ "password": "another one", "present": "wrong one" })),
        403
    );
    assert_eq!(
        change(&token, "ann", json!({ "password": "another one", "present": "long enough" })),
        204
    );
    assert_eq!(log_in(&site, "ann", "long enough"), None);
    assert!(log_in(&site, "ann", "another one").is_some());
    assert_eq!(
        save(&site, "user", "ann", &json!({ "newusername": "bob", "role": "operator" })).0,
        204
    );
    assert_eq!(site.get_as("/config/network", &token).0, 401, "there is no ann any more");
    assert!(log_in(&site, "bob", "another one").is_some());
    assert_eq!(site.get("/config/user/bob/_delete").0, 204);
    assert_eq!(log_in(&site, "bob", "another one"), None);
}

#[test]
fn a_login_ends_with_the_password_the_role_the_user_and_when_it_is_revoked_and_undoing_revives_none()
 {
    let site = ImageSite::start();
    let password = "password of ann";
    let fields = json!({ "password": password, "role": "operator" });
    assert_eq!(save(&site, "user", "ann", &fields).0, 201);
    let login = || log_in(&site, "ann", password).unwrap();
    let is_good = |token: &str| match site.get_as("/config/cluster", token).0 {
        200 => true,
        401 => false,
        other => panic!("{other}"),
    };
    let newest = || site.get("/history?limit=1").1["history"][0]["revision"].as_u64().unwrap();
    let undo = || site.post(&format!("/history/{}/_undo", newest()), &json!({})).0;
    let post = |below: &str, token: &str| {
        site.post_as(&format!("/config/user/{below}"), &json!({}), token).0
    };
    let mut former = Vec::new();
    let changes: [(&str, &dyn Fn() -> u16); 8] = [
        ("the same password, set again", &|| save(&site, "user", "ann", &fields).0),
        ("a role", &|| save(&site, "user", "ann", &json!({ "role": "viewer" })).0),
        ("the former role", &|| save(&site, "user", "ann", &json!({ "role": "operator" })).0),
        ("revoked", &|| post("ann/_revoke", site.token())),
        ("revoked, and that undone", &|| {
            assert_eq!(post("ann/_revoke", site.token()), 204);
            if undo() == 201 { 204 } else { 0 }
        }),
        ("a role, and that undone", &|| {
            assert_eq!(save(&site, "user", "ann", &json!({ "role": "admin" })).0, 204);
            if undo() == 201 { 204 } else { 0 }
        }),
        ("removed and made anew", &|| {
            assert_eq!(site.get("/config/user/ann/_delete").0, 204);
            if save(&site, "user", "ann", &fields).0 == 201 { 204 } else { 0 }
        }),
        ("removed, and that undone", &|| {
            assert_eq!(site.get("/config/user/ann/_delete").0, 204);
            if undo() == 201 { 204 } else { 0 }
        }),
    ];
    for (what, change) in changes {
        let token = login();
        assert!(is_good(&token), "{what}");
        former.push(token);
        assert_eq!(change(), 204, "{what}");
        assert!(former.iter().all(|token| !is_good(token)), "{what}");
    }
    let token = login();
    assert_eq!(save(&site, "user", "ann", &json!({ "comment": "YQ==" })).0, 204);
    assert!(is_good(&token), "a comment ends nothing");
    let viewer = &with_users(&site)["viewer"];
    assert_eq!(post("ann/_revoke", viewer), 403);
    assert_eq!(post("nobody/_revoke", site.token()), 404);
    assert_eq!(post("ann/_revoke?dry_run=true", site.token()), 200);
    assert!(is_good(&token), "it was only tried");
    assert_eq!(post("ann/_revoke", &token), 403, "an operator's");
    assert_eq!(post("ann/_revoke", site.token()), 204);
    assert!(!is_good(&token));
    let after = login();
    let site = site.restart();
    assert_eq!(site.get_as("/config/cluster", &after).0, 200);
    assert_eq!(site.get_as("/config/cluster", &token).0, 401);
}

#[test]
fn logins_of_the_configurations_user_end_and_what_programs_sign_with_the_key_stays() {
    let site = ImageSite::start();
    let ini = std::fs::read_to_string(site.directory.path().join("data/luna.ini")).unwrap();
    let key = ini.lines().find_map(|line| line.strip_prefix("SECRET_KEY = ")).unwrap().to_owned();
    let signed = |claims: Value| {
        let key = jsonwebtoken::EncodingKey::from_secret(key.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
    };
    let programs = [
        signed(json!({ "id": 0, "exp": 9_999_999_999_u64 })),
        signed(json!({ "id": 0, "user": "admin", "exp": 9_999_999_999_u64 })),
    ];
    assert_eq!(save(&site, "user", "ann", &json!({ "password": "long enough" })).0, 201);
    let of_ann = signed(json!({ "id": 0, "user": "ann", "exp": 9_999_999_999_u64 }));
    assert_eq!(site.get_as("/config/cluster", &of_ann).0, 401, "ann is not in the configuration");
    let forged =
        signed(json!({ "id": 0, "user": "admin", "generation": "x", "exp": 9_999_999_999_u64 }));
    assert_eq!(site.get_as("/config/cluster", &forged).0, 401);
    let former = site.token().to_owned();
    assert_eq!(site.post("/config/user/admin/_revoke", &json!({})).0, 204);
    assert_eq!(site.get_as("/config/cluster", &former).0, 401);
    let site = site.restart();
    let settled = site.token().to_owned();
    let file = site.directory.path().join("data/luna.ini");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(&site.password(), "another password")).unwrap();
    let site = site.restart();
    for ended in [&former, &settled] {
        assert_eq!(site.get_as("/config/cluster", ended).0, 401);
    }
    for token in &programs {
        assert_eq!(site.get_as("/config/cluster", token).0, 200);
    }
    assert_eq!(site.get("/config/cluster").0, 200);
}

#[test]
fn whoever_gave_five_wrong_passwords_has_to_wait_and_nobody_else_has() {
    let site = ImageSite::start();
    with_users(&site);
    let (guesser, other) = ("192.0.2.1", "192.0.2.2");
    let log_in = |user: &str, password: &str, from: &str| {
        let login = json!({ "username": user, "password": password });
        site.post_from("/token", &login, from)
    };
    let password = site.password();
    let answers = [
        ("admin", password.as_str(), "Incorrect username or password"),
        ("a-viewer", "password of viewer", "Incorrect username or password"),
    ];
    for (user, right, wrong) in answers {
        for guess in 0..5 {
            let (status, answer) = log_in(user, &format!("guess {guess}"), guesser);
            assert_eq!((status, &answer["message"]), (401, &json!(wrong)));
        }
        let (status, answer) = log_in(user, right, guesser);
        assert_eq!((status, &answer["code"]), (401, &json!("too_many_attempts")), "{user}");
        assert!(answer["message"].as_str().unwrap().contains("try again"), "{answer}");
        assert_eq!(log_in(user, right, other).0, 201, "{user} elsewhere");
    }
    assert_eq!(log_in("a-operator", "password of operator", guesser).0, 201, "another there");
}

#[test]
fn who_can_read_the_configuration_is_let_in_however_many_others_guess_on_that_machine() {
    let site = ImageSite::start();
    with_users(&site);
    let log_in = |user: &str, password: &str| {
        let login = json!({ "username": user, "password": password });
        site.post_as("/token", &login, "")
    };
    for guess in 0..6 {
        log_in("admin", &format!("guess {guess}"));
        log_in("a-viewer", &format!("guess {guess}"));
    }
    assert_eq!(log_in("admin", "another guess").1["code"], "too_many_attempts");
    assert_eq!(log_in("admin", &site.password()).0, 201);
    assert_eq!(log_in("admin", "another guess").1["code"], "too_many_attempts", "it still counts");
    assert_eq!(log_in("a-viewer", "password of viewer").1["code"], "too_many_attempts");
}

#[test]
fn a_program_with_an_old_password_holds_nobody_up() {
    let site = ImageSite::start();
    let log_in = |password: &str| {
        let login = json!({ "username": "admin", "password": password });
        site.post_from("/token", &login, "192.0.2.1")
    };
    for _ in 0..20 {
        let (status, answer) = log_in("an old one");
        assert_eq!((status, &answer["code"]), (401, &json!("unauthenticated")));
    }
    assert_eq!(log_in(&site.password()).0, 201);
}

#[test]
fn the_present_password_is_not_guessed_with_a_token_that_somebody_found() {
    let site = ImageSite::start();
    let tokens = with_users(&site);
    let change = |present: &str| {
        let fields = json!({ "password": "another one", "present": present });
        let body = json!({ "config": { "user": { "a-viewer": fields } } });
        site.post_as("/config/user/a-viewer/_password", &body, &tokens["viewer"]).0
    };
    for guess in 0..5 {
        assert_eq!(change(&format!("guess {guess}")), 403);
    }
    assert_eq!(change("password of viewer"), 401);
}

#[test]
fn viewers_see_whether_services_run_and_let_nothing_happen_to_them() {
    let site = ImageSite::start();
    let viewer = &with_users(&site)["viewer"];
    let (status, answer) = site.get_as("/service/luna2/status", viewer);
    assert_eq!(
        (status, answer),
        (200, json!({ "monitor": { "Service": { "luna2": "OK, running" } } }))
    );
    assert_eq!(site.get_as("/service/dhcp/status", viewer).0, 503, "it is not served here");
    for action in ["reload", "restart", "stop", "status2", "x%2Fstatus"] {
        assert_eq!(site.get_as(&format!("/service/luna2/{action}"), viewer).0, 403, "{action}");
    }
    assert_eq!(site.get_as("/service/luna2/st%61tus", viewer).0, 200, "the same, spelt otherwise");
    assert_eq!(site.post_as("/service/luna2/status", &json!({}), viewer).0, 405);
}

#[test]
fn a_trial_says_what_would_change_and_changes_nothing() {
    let site = ImageSite::start();
    site.describe();
    let before = (site.get("/config/node").1, site.get("/history").1);
    let (status, answer) = save_at(
        &site,
        "/config/node/node001?dry_run=true",
        ("node", "node001"),
        &json!({ "comment": "YQ==" }),
    );
    assert_eq!(status, 200);
    let expected = json!({ "dry_run": true, "changes": [
        { "kind": "node", "name": "node001", "action": "change", "fields": { "comment": { "from": null, "to": "YQ==" } } }] });
    assert_eq!(answer, expected);
    let (status, answer) = site.get("/config/node/node002/_delete?dry_run=1");
    assert_eq!((status, &answer["changes"][0]["action"]), (200, &json!("remove")));
    let setup = json!({ "password": "very secret" });
    let (status, answer) =
        save_at(&site, "/config/bmcsetup/a?dry_run=true", ("bmcsetup", "a"), &setup);
    assert_eq!(status, 200);
    assert!(!answer.to_string().contains("very secret"), "{answer}");
    let moved = json!({ "network": "10.150.0.0/16", "controller": "10.150.255.254" });
    let (status, answer) =
        save_at(&site, "/config/network/cluster?dry_run=true", ("network", "cluster"), &moved);
    assert_eq!(status, 200, "{answer}");
    assert!(
        answer["changes"].as_array().unwrap().len() >= 4,
        "the network, the controller and two nodes: {answer}"
    );
    let refused = save_at(
        &site,
        "/config/node/node001?dry_run=true",
        ("node", "node001"),
        &json!({ "group": "none" }),
    );
    assert_eq!(refused.0, 400);
    assert_eq!(site.get("/config/network/cluster/_nextfreeip?dry_run=true").0, 400);
    assert_eq!((site.get("/config/node").1, site.get("/history").1), before);
}

#[test]
fn a_trial_is_asked_for_in_every_spelling_of_true_and_what_is_no_boolean_changes_nothing() {
    let site = ImageSite::start();
    site.describe();
    let before = site.get("/history").1;
    let node = site.node_token("node001");
    let comment = json!({ "config": { "node": { "node001": { "comment": "YQ==" } } } });
    for word in ["1", "true", "True", "TRUE", "yes", "Yes", "YES", "y", "T%72ue"] {
        let removed = site.get(&format!("/config/node/node002/_delete?dry_run={word}"));
        assert_eq!((removed.0, &removed.1["dry_run"]), (200, &json!(true)), "{word}");
    }
    for query in ["dry_run=", "dry_run", "dry_run=ja", "dry_run=maybe", "dry_run=True&dry_run=no"] {
        let (status, answer) = site.get(&format!("/config/node/node002/_delete?{query}"));
        assert_eq!(status, 400, "{query}");
        assert!(answer["message"].as_str().unwrap().contains("dry_run"), "{query}: {answer}");
        let path = format!("/config/node/node001?{query}");
        assert_eq!(site.post(&path, &comment).0, 400, "{query}");
        assert_eq!(site.post_as(&path, &comment, &node).0, 400, "{query}, asked by the node");
    }
    let vendor = json!({ "config": { "node": { "node001": { "vendor": "Acme" } } } });
    let tried = site.post_as("/config/node/node001?dry_run=True", &vendor, &node);
    assert_eq!((tried.0, &tried.1["dry_run"]), (200, &json!(true)), "{}", tried.1);
    for path in ["/config/export?secrets=ja", "/config/import?replace=", "/config/apply?prune=ja"] {
        let answered =
            if path.contains("export") { site.get(path) } else { site.post(path, &json!({})) };
        assert_eq!(answered.0, 400, "{path}");
    }
    assert_eq!(site.get("/history").1, before);
    for word in ["0", "false", "False", "FALSE", "no", "No", "NO", "n"] {
        assert_eq!(site.post(&format!("/config/node/node001?dry_run={word}"), &comment).0, 204);
    }
}

#[test]
fn a_trial_of_an_images_new_name_moves_no_tree() {
    let site = ImageSite::start();
    site.add_image("debian");
    let renamed = json!({ "newosimage": "trixie" });
    let (status, answer) =
        save_at(&site, "/config/osimage/debian?dry_run=true", ("osimage", "debian"), &renamed);
    assert_eq!(status, 200, "{answer}");
    assert!(site.images().join("debian").exists() && !site.images().join("trixie").exists());
    assert_eq!(site.get("/config/osimage/debian/_delete?dry_run=true").0, 200);
    assert!(site.images().join("debian").exists());
}

#[test]
fn the_history_tells_who_did_what_and_a_commit_is_taken_back_when_nothing_came_after() {
    let site = ImageSite::start();
    site.describe();
    assert_eq!(save(&site, "node", "node001", &json!({ "comment": "b25l" })).0, 204);
    let newest = |site: &ImageSite| site.get("/history?limit=1").1["history"][0].clone();
    let first = newest(&site);
    assert_eq!(first["action"], "POST /config/node/node001");
    assert_eq!((&first["author"], &first["origin"]), (&json!("admin"), &json!("127.0.0.1")));
    assert_eq!(first["objects"], json!(["node/node001"]));
    let revision = first["revision"].as_u64().unwrap();
    let shown = site.get(&format!("/history/{revision}")).1["history"].clone();
    assert_eq!(shown["changes"][0]["fields"]["comment"], json!({ "from": null, "to": "b25l" }));
    assert_eq!(save(&site, "node", "node001", &json!({ "comment": "dHdv" })).0, 204);
    let between = site.get(&format!("/history/{}/{}", revision - 1, revision + 1)).1;
    assert_eq!(
        between["history"]["changes"][0]["fields"]["comment"],
        json!({ "from": null, "to": "dHdv" })
    );
    let of_node2 = site.get("/history?object=node/node002").1["history"].as_array().unwrap().len();
    assert_eq!(of_node2, 1);

    let undo = |revision: u64, query: &str| {
        site.post(&format!("/history/{revision}/_undo{query}"), &json!({}))
    };
    let (status, answer) = undo(revision, "");
    assert_eq!(status, 409);
    assert!(
        answer["message"].as_str().unwrap().contains("changed since: node 'node001'"),
        "{answer}"
    );
    assert_eq!(undo(revision + 1, "?dry_run=true").0, 200);
    assert_eq!(undo(revision + 1, "").0, 201);
    let comment = |site: &ImageSite| {
        site.get("/config/node/node001").1["config"]["node"]["node001"]["comment"].clone()
    };
    assert_eq!(comment(&site), "b25l");
    assert_eq!(undo(revision, "").0, 201, "now nothing came after it");
    assert_eq!(comment(&site), Value::Null);
    for (path, expected) in [
        ("/history/99999", 404),
        ("/history/x", 400),
        ("/history/2/1", 400),
        ("/history/1/9999", 404),
        ("/history?object=x", 400),
    ] {
        assert_eq!(site.get(path).0, expected, "{path}");
    }
}

#[test]
fn removals_and_renames_are_taken_back_with_all_that_went_along() {
    let site = ImageSite::start();
    site.describe();
    let secret = json!({ "config": { "secrets": { "node": { "node001": [{ "name": "key", "content": "c2VjcmV0", "path": "/etc/key" }] } } } });
    assert_eq!(site.post("/config/secrets/node/node001", &secret).0, 201);
    let before = site.get("/config/node").1;
    let newest = || site.get("/history?limit=1").1["history"][0]["revision"].as_u64().unwrap();
    assert_eq!(site.get("/config/node/node001/_delete").0, 204);
    let removal = newest();
    assert_eq!(site.post(&format!("/history/{removal}/_undo"), &json!({})).0, 201);
    assert_eq!(site.get("/config/node").1, before);
    assert_eq!(site.get("/config/secrets/node/node001/key").0, 200);
    assert_eq!(save(&site, "group", "compute", &json!({ "newgroupname": "workers" })).0, 204);
    let rename = newest();
    assert_eq!(site.post(&format!("/history/{rename}/_undo"), &json!({})).0, 201);
    assert_eq!(site.get("/config/node").1, before);
    // What somebody else holds by now is not taken from them.
    assert_eq!(site.get("/config/node/node001/_delete").0, 204);
    let removal = newest();
    let other = json!({ "group": "compute", "interfaces": [{ "interface": "BOOTIF", "ipaddress": "10.141.0.1" }] });
    assert_eq!(save(&site, "node", "node007", &other).0, 201);
    let (status, answer) = site.post(&format!("/history/{removal}/_undo"), &json!({}));
    assert_eq!(status, 409);
    assert!(answer["message"].as_str().unwrap().contains("10.141.0.1 is in use"), "{answer}");
    for entry in site.get("/history").1["history"].as_array().unwrap() {
        let shown = site.get(&format!("/history/{}", entry["revision"])).1.to_string();
        assert!(!shown.contains("c2VjcmV0"), "{shown}");
    }
}

#[test]
fn only_administrators_name_trees_outside_the_directory_of_images() {
    let site = ImageSite::start();
    let tokens = with_users(&site);
    let name = |role: &str, image: &str, below: &str, fields: Value| {
        let body = json!({ "config": { "osimage": { image: fields } } });
        site.post_as(&format!("/config/osimage/{image}{below}"), &body, &tokens[role]).0
    };
    std::fs::create_dir_all(site.images()).unwrap();
    std::os::unix::fs::symlink("/etc", site.images().join("link")).unwrap();
    for path in ["/etc", "/", "link", "link/ssh"] {
        assert_eq!(name("operator", "host", "", json!({ "path": path })), 403, "{path}");
    }
    assert_eq!(name("operator", "own", "", json!({ "path": "own" })), 201);
    let own = site.images().join("own-2").display().to_string();
    assert_eq!(name("operator", "own-2", "", json!({ "path": own })), 201);
    let clone = json!({ "newosimage": "copy", "path": "/etc", "nocopy": true });
    assert_eq!(name("operator", "own", "/_clone", clone), 403);
    assert_eq!(name("admin", "elsewhere", "", json!({ "path": "/srv/elsewhere" })), 201);
    // Existing clients send every field back.
    assert_eq!(
        name("operator", "elsewhere", "", json!({ "path": "/srv/elsewhere", "comment": "YQ==" })),
        204
    );
    assert_eq!(name("operator", "elsewhere", "", json!({ "path": "/srv" })), 403);
}
