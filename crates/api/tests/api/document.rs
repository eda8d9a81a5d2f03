//! Every row of the API's document, on a real server: the good case, the missing object, the missing token, the wrong body. Where a
//! row is answered otherwise than the document says, it stands here with the reason.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

/// `route,method,auth,documented codes`, as the document has them.
const ROWS: &str = include_str!("document.csv");

/// Rows whose method is not supported, and is answered with 405 where the document has another code. Existing clients use none of
/// these; the path is there with another method, and that is what 405 says.
const ANSWERED_405: [&str; 6] = [
    "POST /config/bmcsetup/{bmcname}/_delete",
    "POST /config/switch/{switch}/_delete",
    "POST /config/otherdev",
    "GET /config/otherdev/{device}/_clone",
    "POST /monitor/service/luna2",
    "GET /config/network/{networkname}/_clone",
];
/// Rows that the document calls unsupported, and that existing clients use.
const SERVED_ALL_THE_SAME: [(&str, u16); 3] = [
    ("GET /config/secrets/group/{group}/{secret}", 200),
    ("GET /config/secrets/group/{group}/{secret}/_delete", 204),
    ("GET /config/network/{networkname}/_delete", 204),
];
/// What is never there for anybody, and has tests of its own.
const JOURNAL: &str = "/journal";
/// Rows of the document behind which there is nothing.
const NOTHING: [&str; 3] = ["/control/power ", "/config/secrets/node ", "/config/secrets/group "];
/// Good cases that the document gives other codes, with what the reference says that clients rely on.
const GOOD: [(&str, u16); 19] = [
    // There is one controller, and no master.
    ("GET /ha/master", 404),
    ("GET /ha/master/_set", 503),
    // No node runs here, and no other machine is to be asked: the image that is named is not there. The command line's tests have
    // the good case.
    ("POST /config/node/{node}/_osgrab", 404),
    ("POST /config/node/{node}/_ospush", 404),
    ("POST /config/group/{group}/_ospush", 404),
    // No directory of users is configured here, and the answer says so; the tests of OS users have the good cases.
    ("GET /config/osuser", 404),
    ("POST /config/osuser/{username}", 404),
    ("GET /config/osuser/{username}/_delete", 404),
    ("GET /config/osgroup", 404),
    ("POST /config/osgroup/{groupname}", 404),
    ("GET /config/osgroup/{groupname}/_delete", 404),
    // No node has a BMC here; the tests of control have the good case.
    ("GET /control/power/{hostname}", 404),
    // What it is asked about stands in a header that a web server sets; without it nothing may be handed out.
    ("GET /filesauth", 401),
    // Clients ask for no code but these.
    ("POST /config/node/{node}/_clone", 201),
    // Clients need exactly 204; a first request has nothing to do and says 201.
    ("POST /config/cluster", 204),
    // A job: its end is polled for.
    ("POST /config/osimage/{name}/_clone", 200),
    // Nothing is published there yet, and the menu is an answer, too.
    ("GET /files", 200),
    ("GET /files/{filename}", 200),
    // The installer of a node that can be installed.
    ("GET /boot/install/{node}", 200),
];

struct Row {
    operation: String,
    method: String,
    path: String,
    needs_token: bool,
    is_unsupported: bool,
    codes: Vec<u16>,
}

fn rows() -> Vec<Row> {
    let lines = ROWS.lines().skip(1);
    let parse = |line: &str| {
        let cells: Vec<_> = line.split(',').collect();
        let method = if cells[1].is_empty() { "GET" } else { cells[1] };
        let auth = cells[2].to_lowercase();
        Row {
            operation: format!("{method} {}", cells[0]),
            method: method.to_owned(),
            path: cells[0].to_owned(),
            // The cell of archives says that it depends on the file.
            needs_token: auth == "yes" && cells[0] != "/token",
            is_unsupported: auth == "unsupported" || cells[3] == "405",
            codes: cells[3].split(' ').filter_map(|code| code.parse().ok()).collect(),
        }
    };
    lines.map(parse).collect()
}

/// A cluster in which every good case is one.
pub(crate) fn site() -> ImageSite {
    let site = ImageSite::start();
    site.describe();
    site.add_image("debian");
    assert_eq!(site.pack("debian").1, 200);
    let save = |resource: &str, name: &str, fields: Value| {
        let body = json!({ "config": { resource: { name: fields } } });
        assert!(site.post(&format!("/config/{resource}/{name}"), &body).0 < 300, "{resource}");
    };
    save("group", "compute", json!({ "osimage": "debian" }));
    let mac =
        json!({ "interfaces": [{ "interface": "BOOTIF", "macaddress": "52:54:00:00:00:01" }] });
    save("node", "node001", mac);
    for resource in ["bmcsetup", "switch", "otherdev"] {
        save(resource, "thing", json!({}));
    }
    site.add_image("unused");
    save("group", "unused", json!({}));
    save("network", "spare", json!({ "network": "10.99.0.0/16" }));
    for (owner, name) in [("node", "node001"), ("group", "compute")] {
        let secret = json!([{ "name": "key", "content": "c2VjcmV0" }]);
        let body = json!({ "config": { "secrets": { owner: { name: secret } } } });
        assert_eq!(site.post(&format!("/config/secrets/{owner}/{name}"), &body).0, 201);
    }
    let report = json!({ "monitor": { "status": { "node001": { "state": "install.success" } } } });
    assert_eq!(site.post("/monitor/node/node001", &report).0, 204);
    site
}

/// The path with what is there in its places, or with what is not.
fn concrete(path: &str, is_there: bool) -> String {
    let unused = ["/config/group/{group}/_delete", "/config/osimage/{name}/_delete"];
    if is_there && unused.contains(&path) {
        return path.replace("{group}", "unused").replace("{name}", "unused");
    }
    let mut parts: Vec<String> = Vec::new();
    for part in path.split('/').skip(1) {
        let before = parts.last().map(String::as_str).unwrap_or_default().to_owned();
        let name = match (part, before.as_str()) {
            ("_{action}", _) => "_status",
            (part, _) if !part.starts_with('{') => part,
            _ if !is_there => "nothing",
            ("{ipaddr}", _) => "10.99.0.1",
            ("{secret}", _) => "key",
            ("{interface}", _) => "BOOTIF",
            (_, "osuser" | "osgroup" | "journal") => "nothing",
            (_, "mac") => "52:54:00:00:00:01",
            (_, "files") => "debian",
            ("{mac-address}", _) => "52:54:00:00:00:09",
            (_, "node" | "install" | "hostname" | "status" | "power" | "tpm") => "node001",
            (_, "group") => "compute",
            (_, "osimage") => "debian",
            (_, "network") => "spare",
            (_, "bmcsetup" | "switch" | "otherdev") => "thing",
            other => panic!("{path}: {other:?}"),
        };
        parts.push(name.to_owned());
    }
    format!("/{}", parts.join("/"))
}

/// A body that a good case has.
fn body(path: &str) -> Value {
    let config = |resource: &str, name: &str, fields: Value| json!({ "config": { resource: { name: fields } } });
    let secret = |owner: &str, name: &str, fields: Value| json!({ "config": { "secrets": { owner: { name: [fields] } } } });
    let interface = json!({ "interfaces": [{ "interface": "BOOTIF", "mtu": "9000" }] });
    match path {
        "/config/cluster" => json!({ "config": { "cluster": { "technical_contacts": "root" } } }),
        "/config/node/{node}" => config("node", "node001", json!({ "comment": "YQ==" })),
        "/config/node/{node}/_clone" => {
            config("node", "node001", json!({ "newnodename": "node033" }))
        }
        "/config/node/{node}/_osgrab" | "/config/node/{node}/_ospush" => {
            config("node", "node001", json!({ "osimage": "nothing" }))
        }
        "/config/group/{group}/_ospush" => {
            config("group", "compute", json!({ "osimage": "nothing" }))
        }
        "/config/node/{node}/interfaces" => config("node", "node001", interface),
        "/config/group/{group}" => config("group", "compute", json!({ "comment": "YQ==" })),
        "/config/group/{group}/interfaces" => config("group", "compute", interface),
        "/config/osimage/{name}" => config("osimage", "debian", json!({ "comment": "YQ==" })),
        "/config/osimage/{name}/_clone" => {
            config("osimage", "debian", json!({ "newosimage": "copy" }))
        }
        "/config/osimage/{name}/kernel" => config(
            "osimage",
            "debian",
            json!({ "kernelversion": crate::image_site::VERSION, "bare": true }),
        ),
        "/config/bmcsetup/{bmcname}" => config("bmcsetup", "thing", json!({ "comment": "YQ==" })),
        "/config/bmcsetup/{bmcname}/_clone" => {
            config("bmcsetup", "thing", json!({ "newbmcname": "copy" }))
        }
        "/config/network/{networkname}" => config("network", "spare", json!({ "comment": "YQ==" })),
        "/config/network/{networkname}/_clone" => {
            config("network", "spare", json!({ "newnetname": "copy", "network": "10.98.0.0/16" }))
        }
        "/config/secrets/node/{node}" | "/config/secrets/node/{node}/{secret}" => {
            secret("node", "node001", json!({ "name": "key", "content": "YQ==" }))
        }
        "/config/secrets/group/{group}" | "/config/secrets/group/{group}/{secret}" => {
            secret("group", "compute", json!({ "name": "key", "content": "YQ==" }))
        }
        "/config/secrets/node/{node}/{secret}/_clone" => {
            secret("node", "node001", json!({ "name": "key", "newsecretname": "copy" }))
        }
        "/config/secrets/group/{group}/{secret}/_clone" => {
            secret("group", "compute", json!({ "name": "key", "newsecretname": "copy" }))
        }
        "/config/switch/{switch}" => config("switch", "thing", json!({ "comment": "YQ==" })),
        "/config/switch/{switch}/_clone" => {
            config("switch", "thing", json!({ "newswitchname": "copy" }))
        }
        "/config/otherdev/{device}" => config("otherdev", "thing", json!({ "comment": "YQ==" })),
        "/config/otherdev/{device}/_clone" => {
            config("otherdev", "thing", json!({ "newotherdevname": "copy" }))
        }
        "/control/action/power/_{action}" => {
            json!({ "control": { "power": { "status": { "hostlist": "node001" } } } })
        }
        "/config/osuser/{username}" => {
            json!({ "config": { "osuser": { "nothing": { "uidNumber": 1100 } } } })
        }
        "/config/osgroup/{groupname}" => {
            json!({ "config": { "osgroup": { "nothing": { "gidNumber": 3000 } } } })
        }
        "/monitor/status/{node}" => {
            json!({ "monitor": { "status": { "node001": { "state": "install.success" } } } })
        }
        _ => json!({}),
    }
}

fn ask(site: &ImageSite, row: &Row, path: &str, body: &Value, token: Option<&str>) -> (u16, Value) {
    match (row.method.as_str(), token) {
        ("GET", None) => site.get(path),
        ("GET", Some(token)) => site.get_as(path, token),
        (_, None) => site.post(path, body),
        (_, Some(token)) => site.post_as(path, body, token),
    }
}

fn is_one_of(row: &Row, parts: &[&str]) -> bool {
    let path = format!("{} ", row.path);
    parts.iter().any(|part| path.contains(part))
}

#[test]
fn every_row_of_the_document_is_answered_as_it_says_or_for_a_reason() {
    let site = site();
    let rows = rows();
    assert_eq!(rows.len(), 139);
    // What removes comes last, so that all good cases have what they need.
    let (mut removals, others): (Vec<_>, Vec<_>) =
        rows.iter().partition(|row| row.path.ends_with("_delete"));
    removals.sort_by_key(|row| std::cmp::Reverse(row.path.split('/').count()));
    for row in others.into_iter().chain(removals) {
        let operation = row.operation.as_str();
        let (path, body) = (concrete(&row.path, true), body(&row.path));
        if is_one_of(row, &NOTHING) {
            let (status, answer) = ask(&site, row, &path, &body, Some(""));
            assert_eq!((status, answer["message"].is_string()), (404, true), "{operation}");
            continue;
        }
        if row.path.starts_with(JOURNAL) {
            check_token(&site, row, &path, &body);
            continue;
        }
        let served = SERVED_ALL_THE_SAME.iter().find(|(served, _)| *served == operation);
        if row.is_unsupported && served.is_none() {
            let (status, answer) = ask(&site, row, &path, &body, None);
            let documented = row.codes.contains(&status);
            assert!(documented || ANSWERED_405.contains(&operation), "{operation}: {status}");
            assert_eq!(status, 405, "{operation}");
            assert!(answer["message"].is_string(), "{operation}: {answer}");
            continue;
        }
        check_token(&site, row, &path, &body);
        check_missing(&site, row, &body);
        check_wrong_body(&site, row, &path);
        check_good(&site, row, &path, &body, served.map(|(_, code)| *code));
    }
}

/// What a wrong body is told there has a test of its own.
fn is_log_in(row: &Row) -> bool {
    row.path == "/token" || row.path.starts_with("/tpm/")
}

fn check_token(site: &ImageSite, row: &Row, path: &str, body: &Value) {
    let (status, answer) = ask(site, row, path, body, Some(""));
    if row.needs_token {
        assert_eq!(status, 401, "{} without a token", row.operation);
        assert!(answer["message"].is_string(), "{}: {answer}", row.operation);
    }
}

fn check_missing(site: &ImageSite, row: &Row, body: &Value) {
    let has_object = row.path.contains('{') && !row.path.contains("_{action}")
        || row.path.contains("{hostname}/_");
    // What is saved under a name that is not there is made; and "nothing" is no address.
    let makes =
        row.codes.contains(&201) && row.codes.contains(&204) && !row.path.contains("secrets");
    let is_address = row.path.contains("mac-address") || row.path.contains("{ipaddr}");
    if !has_object || !row.codes.contains(&404) || makes || is_address {
        return;
    }
    let path = concrete(&row.path, false);
    let text = body.to_string();
    let renamed = ["node001", "compute", "debian", "thing", "spare"]
        .iter()
        .fold(text, |text, name| text.replace(&format!("\"{name}\":"), "\"nothing\":"));
    let body: Value = serde_json::from_str(&renamed).unwrap();
    let (status, answer) = ask(site, row, &path, &body, None);
    assert_eq!(status, 404, "{} for what is not there: {answer}", row.operation);
    // Machines that boot are told by a script.
    let is_told = answer["message"].is_string() || row.path.starts_with("/boot/");
    assert!(is_told, "{}: {answer}", row.operation);
}

fn check_wrong_body(site: &ImageSite, row: &Row, path: &str) {
    if row.method != "POST" || row.path.ends_with("_delete") || is_log_in(row) {
        return;
    }
    for text in [
        "",
        "{",
        "[]",
        "null",
        "7",
        "\"text\"",
        "{\"config\": 7}",
        "{\"control\": 7}",
        "{\"monitor\": null}",
    ] {
        let (status, answer) = site.post_text(path, text);
        assert!([400, 404].contains(&status), "{} with {text:?}: {status}", row.operation);
        assert!(answer["message"].is_string(), "{} with {text:?}: {answer}", row.operation);
    }
}

fn check_good(site: &ImageSite, row: &Row, path: &str, body: &Value, served: Option<u16>) {
    let operation = row.operation.as_str();
    let path = match row.path.as_str() {
        "/files/{filename}" => {
            let listed = site.get("/files").1.to_string();
            let name = listed.split(['"', '\'', '<', '>']).find(|part| part.starts_with("debian-"));
            let name = name.unwrap();
            format!("/files/{name}")
        }
        _ => path.to_owned(),
    };
    let (status, answer) = if is_log_in(row) {
        site.post_as(&path, &json!({ "username": "admin", "password": site.password() }), "")
    } else {
        ask(site, row, &path, body, None)
    };
    let good = GOOD.iter().find(|(good, _)| *good == operation).map(|(_, code)| *code);
    match good.or(served) {
        Some(code) => assert_eq!(status, code, "{operation}: {answer}"),
        None => assert!(row.codes.contains(&status), "{operation}: {status} {answer}"),
    }
}
