//! Nobody below an administrator is shown a secret, whatever he asks for: recognizable values stand in every secret field, and every
//! answer is searched for them.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

/// In every secret that the test plants. `bGVhay` is how it begins in base64.
const MARK: &str = "leak-";
const MARK_BASE64: &str = "bGVhay";
/// What an operator's GET may do, and would leave nothing to look at.
const DESTRUCTIVE: [&str; 4] = ["/_delete", "/_pack", "/service/", "/control/action"];

/// What stands for a parameter of a path: names of everything that there is.
const NAMES: [&str; 16] = [
    "node001", "compute", "key", "node", "group", "BMC", "1", "9", "node002", "setup", "switch01",
    "cluster", "ann", "debian", "4", "luna2",
];

pub(crate) struct Planted {
    pub(crate) site: ImageSite,
    /// Texts that no answer may have.
    secrets: Vec<String>,
    viewer: String,
    operator: String,
    request: String,
}

fn save(site: &ImageSite, kind: &str, name: &str, fields: &Value) -> u16 {
    let body = json!({ "config": { kind: { name: fields } } });
    site.post(&format!("/config/{kind}/{name}"), &body).0
}

fn log_in(site: &ImageSite, user: &str) -> String {
    let login = json!({ "username": user, "password": format!("leak-password-of-{user}") });
    site.post_as("/token", &login, "").1["token"].as_str().unwrap().to_owned()
}

fn is_saved(status: u16) -> bool {
    status == 201 || status == 204
}

impl Planted {
    pub(crate) fn new() -> Self {
        let site = ImageSite::start().with_network("bmcs", "127.9.0.0/16");
        site.add_image("debian");
        site.describe();
        let files = json!({ "kernelfile": "k", "initrdfile": "i", "imagefile": "a.tar.zst" });
        assert_eq!(site.post_image("compute", "", &files).0, 201);
        // Twice, so that the history has one before and one after.
        for round in ["one", "two"] {
            let setup = json!({ "username": "root", "password": format!("leak-bmc-{round}"), "comment": "eA==" });
            assert!(is_saved(save(&site, "bmcsetup", "setup", &setup)));
            let switch = json!({ "read": format!("leak-read-{round}"), "rw": format!("leak-rw-{round}"), "ipaddress": "10.141.0.99", "network": "cluster" });
            assert!(is_saved(save(&site, "switch", "switch01", &switch)));
            let node = json!({ "tpm_sha256": format!("leak-tpm-{round}") });
            assert!(is_saved(save(&site, "node", "node001", &node)));
            for (owner, name) in [("node", "node001"), ("group", "compute")] {
                // "leak-secret-one", "leak-secret-two"
                let content =
                    if round == "one" { "bGVhay1zZWNyZXQtb25l" } else { "bGVhay1zZWNyZXQtdHdv" };
                let secret = json!([{ "name": "key", "content": content, "path": "/etc/key" }]);
                let body = json!({ "config": { "secrets": { owner: { name: secret } } } });
                assert!(is_saved(site.post(&format!("/config/secrets/{owner}/{name}"), &body).0));
            }
            for user in ["a-viewer", "a-operator", "ann"] {
                let password = format!("leak-password-of-{user}");
                let role = user.strip_prefix("a-").unwrap_or("admin");
                let fields = json!({ "password": password, "role": role });
                assert!(is_saved(save(&site, "user", user, &fields)));
            }
        }
        let group = json!({ "osimage": "compute", "bmcsetupname": "setup", "interfaces": [{ "interface": "BMC", "network": "bmcs" }] });
        assert!(is_saved(save(&site, "group", "compute", &group)));
        // A site's own program that is less careful than it should be.
        site.plugin("control/default", "#!/bin/sh\ncat >&2\necho >&2\nexit 1\n");
        let hosts = json!({ "control": { "power": { "on": { "hostlist": "node[001-002]" } } } });
        let answer = site.post("/control/action/power/_on", &hosts).1;
        let request = answer["request_id"].as_str().unwrap_or_default().to_owned();
        // A job that fails, and says so.
        std::fs::remove_dir_all(site.images().join("debian")).unwrap();
        site.get("/config/osimage/debian/_pack");
        let window = json!({ "nodes": "node[001-002]" });
        assert_eq!(site.post("/boot/window", &window).0, 200);
        let (viewer, operator) = (log_in(&site, "a-viewer"), log_in(&site, "a-operator"));
        let data = site.directory.path().join("data");
        let ini = std::fs::read_to_string(data.join("luna.ini")).unwrap();
        let value = |name: &str| {
            let line = ini.lines().find_map(|line| line.strip_prefix(&format!("{name} = ")));
            line.unwrap().to_owned()
        };
        let key = std::fs::read_to_string(data.join("luna.key")).unwrap().trim().to_owned();
        let secrets = vec![
            MARK.to_owned(),
            MARK_BASE64.to_owned(),
            "$argon2".to_owned(),
            value("PASSWORD"),
            value("SECRET_KEY"),
            key,
            site.token().to_owned(),
            site.node_token("node001"),
        ];
        Self { site, secrets, viewer, operator, request }
    }

    /// Every path of GET, with names of what there is in place of its parameters.
    pub(crate) fn paths(&self) -> Vec<String> {
        let document = self.site.get("/openapi.json").1;
        let mut paths = vec!["/openapi.json".to_owned(), "/all-routes".to_owned()];
        for (path, item) in document["paths"].as_object().unwrap() {
            if item.get("get").is_none() {
                continue;
            }
            // Two parameters have the first names each; the one path with three is asked by name.
            let names = match path.matches('{').count() {
                0 | 1 => &NAMES[..],
                2 => &NAMES[..8],
                _ => &["power"],
            };
            let names: Vec<&str> = names.iter().copied().chain([self.request.as_str()]).collect();
            let mut concrete = vec![String::new()];
            for part in path.split('/').skip(1) {
                let words = if part.starts_with('{') { names.clone() } else { vec![part] };
                let longer = |before: &String| {
                    let words = words.iter();
                    words.map(|word| format!("{before}/{word}")).collect::<Vec<_>>()
                };
                concrete = concrete.iter().flat_map(longer).collect();
            }
            paths.extend(concrete);
        }
        for query in [
            "/config/export?secrets=true",
            "/history?limit=1000",
            "/history?object=node/node001",
            "/history/1/20",
            "/control/action/power/node001/_status",
            "/boot/search/mac/52:54:00:00:00:01?again=2",
        ] {
            paths.push(query.to_owned());
        }
        paths
    }

    pub(crate) fn leaks(&self, text: &[u8]) -> Option<&str> {
        let has =
            |secret: &&String| text.windows(secret.len()).any(|window| window == secret.as_bytes());
        self.secrets.iter().find(has).map(String::as_str)
    }
}

#[test]
fn no_answer_to_a_viewer_an_operator_or_nobody_has_a_secret_in_it() {
    let planted = Planted::new();
    let (mut answered, mut leaking) = (0, Vec::new());
    let paths = planted.paths();
    for (role, token) in
        [("nobody", ""), ("viewer", planted.viewer.as_str()), ("operator", &planted.operator)]
    {
        for path in &paths {
            if role == "operator" && DESTRUCTIVE.iter().any(|part| path.contains(part)) {
                continue;
            }
            let (status, body) = planted.site.bytes(path, token);
            answered += u32::from(status == 200);
            if let Some(secret) = planted.leaks(&body) {
                let body = String::from_utf8_lossy(&body).chars().take(2000).collect::<String>();
                leaking.push(format!("{path} shows {secret} to {role}: {status} {body}"));
            }
        }
    }
    assert!(leaking.is_empty(), "{} leak:\n{}", leaking.len(), leaking.join("\n"));
    assert!(answered > 150, "only {answered} answers of {}", 3 * paths.len());
}

#[test]
fn an_administrator_finds_what_was_planted_so_that_the_search_is_one() {
    let planted = Planted::new();
    let found = |path: &str| planted.leaks(&planted.site.bytes(path, planted.site.token()).1);
    for path in [
        "/config/node",
        "/config/node/node001",
        "/config/bmcsetup",
        "/config/bmcsetup/setup",
        "/config/switch/switch01",
        "/config/secrets",
        "/config/secrets/node/node001",
        "/config/export?secrets=true",
        "/config/cluster/export",
        "/boot/plan/node001",
    ] {
        assert!(found(path).is_some(), "{path}");
    }
}

#[test]
fn what_answers_to_control_and_to_trials_show_is_no_secret_either() {
    let planted = Planted::new();
    let site = &planted.site;
    let (viewer, operator) = (&planted.viewer, &planted.operator);
    let text = |answer: (u16, Value)| format!("{} {}", answer.0, answer.1);
    let hosts = json!({ "control": { "power": { "status": { "hostlist": "node[001-002]" } } } });
    let rename = json!({ "config": { "switch": { "switch01": { "newswitchname": "switch02" } } } });
    let clone = json!({ "config": { "node": { "node001": { "newnodename": "node009" } } } });
    let answers = [
        text(site.post_as("/control/action/power/_status", &hosts, operator)),
        text(site.get_as("/control/action/power/node001/_status", viewer)),
        text(site.get_as("/control/power/node001", viewer)),
        text(site.post_as("/config/switch/switch01?dry_run=true", &rename, operator)),
        text(site.get_as("/config/switch/switch01/_delete?dry_run=true", operator)),
        text(site.get_as("/config/node/node001/_delete?dry_run=true", operator)),
        text(site.post_as("/config/node/node001/_clone?dry_run=true", &clone, operator)),
        text(site.post_as("/config/bmcsetup/setup/_clone", &json!({}), operator)),
    ];
    assert!(answers[3].starts_with("200"), "{}", answers[3]);
    assert!(answers[0].contains("(hidden)") || answers[1].contains("(hidden)"), "{answers:?}");
    for answer in &answers {
        assert_eq!(planted.leaks(answer.as_bytes()), None, "{answer}");
    }
}

#[test]
fn who_sends_back_what_he_was_shown_changes_no_secret_and_sets_none() {
    let planted = Planted::new();
    let site = &planted.site;
    let post = |kind: &str, name: &str, fields: &Value, token: &str| {
        let body = json!({ "config": { kind: { name: fields } } });
        site.post_as(&format!("/config/{kind}/{name}"), &body, token).0
    };
    let shown = |kind: &str, name: &str, token: &str| {
        site.get_as(&format!("/config/{kind}/{name}"), token).1["config"][kind][name].clone()
    };
    let mut switch = shown("switch", "switch01", &planted.operator);
    assert_eq!((&switch["read"], &switch["rw"]), (&json!("(hidden)"), &json!("(hidden)")));
    // Requests do not have this one.
    switch.as_object_mut().unwrap().remove("ipaddress_ipv6");
    assert_eq!(post("switch", "switch01", &switch, &planted.operator), 204);
    assert_eq!(shown("switch", "switch01", site.token())["rw"], "leak-rw-two");
    assert_eq!(shown("node", "node001", &planted.viewer)["tpm_sha256"], "(hidden)");
    assert_eq!(shown("node", "node002", &planted.viewer)["tpm_sha256"], Value::Null);
    for (node, measured, expected) in [
        ("node001", json!("(hidden)"), 204),
        ("node001", json!("leak-tpm-two"), 204),
        ("node002", json!(null), 204),
        ("node002", json!("0xabcd"), 403),
        ("node001", json!("0xabcd"), 403),
        ("node001", json!(""), 403),
        ("node003", json!("0xabcd"), 403),
    ] {
        let fields = json!({ "group": "compute", "tpm_sha256": measured });
        let status = post("node", node, &fields, &planted.operator);
        assert_eq!(status, expected, "{node} {measured}");
    }
    let clone = json!({ "newnodename": "node004", "tpm_sha256": "0xabcd" });
    let body = json!({ "config": { "node": { "node001": clone } } });
    assert_eq!(site.post_as("/config/node/node001/_clone", &body, &planted.operator).0, 403);
    assert_eq!(shown("node", "node001", site.token())["tpm_sha256"], "leak-tpm-two");
    assert_eq!(post("bmcsetup", "setup", &json!({ "password": "(hidden)" }), site.token()), 204);
    assert_eq!(shown("bmcsetup", "setup", site.token())["password"], "leak-bmc-two");
}
