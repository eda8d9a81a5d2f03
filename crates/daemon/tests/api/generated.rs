//! Requests that nobody thought of, made from the API's own document: each operation with names and bodies that are good, wrong, or
//! hostile. Whatever is asked, the answer is one that the document has, it is no failure of the server, and what is refused has
//! changed nothing. `PERILUNE_SEED` repeats a run, `PERILUNE_ROUNDS` makes a longer one.

mod chance;
mod client;
mod schema;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::image_site::ImageSite;
use chance::Chance;
use client::{Answer, Client, percent_encoded};
use schema::{Document, Operation};

const SEED: u64 = 1;
/// How often each operation is asked. A longer run finds more.
const ROUNDS: u64 = 40;
/// What would change the machine that the tests run on: another program keeps its users.
const LEFT_OUT: [&str; 4] = [
    "POST /config/osuser/{username}",
    "GET /config/osuser/{username}/_delete",
    "POST /config/osgroup/{groupname}",
    "GET /config/osgroup/{groupname}/_delete",
];
/// Where clients are told by such a status that something is not there, and the machine that tests has it not.
const TOLD_BY_A_STATUS: [(&str, u16); 8] = [
    ("GET /config/osgroup", 503),
    ("GET /config/osgroup/{groupname}", 503),
    ("GET /config/osuser", 503),
    ("GET /config/osuser/{username}", 503),
    ("GET /control/action/{subsystem}/{hostname}/{_action}", 501),
    ("GET /files/{filename}", 503),
    ("GET /monitor/service/{name}", 503),
    ("GET /service/{name}/{action}", 503),
];

/// A daemon with something of everything, and who asks it.
struct Walk {
    site: ImageSite,
    document: Document,
    client: Client,
    chance: Chance,
    /// By operation and complaint, the first request of each.
    found: BTreeMap<String, String>,
    statuses: BTreeMap<u16, usize>,
}

/// A request, and where it came from.
struct Asked {
    line: Vec<u8>,
    headers: Vec<u8>,
    body: Vec<u8>,
    is_trial: bool,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let site = crate::document::site();
        let document = Document(site.get("/openapi.json").1);
        let client = Client::new(site.address());
        let (found, statuses) = (BTreeMap::new(), BTreeMap::new());
        Self { site, document, client, chance: Chance::new(seed), found, statuses }
    }

    /// Makes again what requests removed.
    fn furnish(&mut self) {
        let save = |resource: &str, name: &str, fields: Value| {
            let body = json!({ "config": { resource: { name: fields } } });
            self.site.post(&format!("/config/{resource}/{name}"), &body);
        };
        save("network", "spare", json!({ "network": "10.99.0.0/16" }));
        save("group", "compute", json!({ "osimage": "debian" }));
        save("group", "unused", json!({}));
        for node in ["node001", "node002"] {
            save("node", node, json!({ "group": "compute" }));
        }
        for resource in ["bmcsetup", "switch", "otherdev", "cloud", "rack"] {
            save(resource, "thing", json!({}));
        }
        save("user", "ann", json!({ "password": "long enough", "role": "viewer" }));
        for image in ["debian", "unused"] {
            save("osimage", image, json!({}));
        }
        let hosts = json!([{ "host": "thing", "ipaddress": "10.99.0.9" }]);
        self.site.post("/config/dns/spare", &json!({ "config": { "dns": { "spare": hosts } } }));
        for (owner, name) in [("node", "node001"), ("group", "compute")] {
            let secret = json!([{ "name": "key", "content": "c2VjcmV0" }]);
            let body = json!({ "config": { "secrets": { owner: { name: secret } } } });
            self.site.post(&format!("/config/secrets/{owner}/{name}"), &body);
        }
        let report = json!({ "monitor": { "status": { "node001": { "state": "installing" } } } });
        self.site.post("/monitor/node/node001", &report);
    }

    fn round(&mut self, operations: &mut [Operation<'_>]) {
        self.furnish();
        self.chance.shuffle(operations);
        // What removes comes last, so that the others find something.
        operations.sort_by_key(|operation| operation.path.ends_with("_delete"));
        for operation in operations.iter() {
            let asked = self.request(operation);
            self.ask(operation, &asked);
        }
    }

    /// Asks, and notes what is wrong with the answer.
    fn ask(&mut self, operation: &Operation<'_>, asked: &Asked) {
        let title = operation.title();
        let before = self.revision();
        let answer = match self.client.ask(&asked.line, &asked.headers, &asked.body) {
            Ok(answer) => answer,
            Err(error) => {
                return self.complain(&title, &format!("no answer: {error}"), asked, None);
            }
        };
        *self.statuses.entry(answer.status).or_default() += 1;
        let is_told = TOLD_BY_A_STATUS.contains(&(title.as_str(), answer.status));
        if answer.status >= 500 && !is_told {
            self.complain(&title, &format!("failed with {}", answer.status), asked, Some(&answer));
        } else if let Some(complaint) = self.document.complaint(operation, &answer) {
            self.complain(&title, &complaint, asked, Some(&answer));
        }
        let changes_nothing = answer.status >= 400 || asked.is_trial;
        if changes_nothing && self.changed_since(before) {
            self.complain(
                &title,
                "was refused or tried, and has changed something",
                asked,
                Some(&answer),
            );
        }
    }

    fn complain(&mut self, title: &str, complaint: &str, asked: &Asked, answer: Option<&Answer>) {
        let shown = |bytes: &[u8]| -> String {
            String::from_utf8_lossy(bytes).escape_debug().take(1500).collect()
        };
        let answered = answer.map_or_else(String::new, |answer| {
            format!("\n    answered {}: {}", answer.status, shown(&answer.body))
        });
        let request = format!("{} with {}{answered}", shown(&asked.line), shown(&asked.body));
        self.found.entry(format!("{title}: {complaint}")).or_insert(request);
    }

    fn history(&self, limit: u64) -> Vec<Value> {
        let (status, answer) = self.site.get(&format!("/history?limit={limit}"));
        assert_eq!(status, 200, "{answer}");
        answer["history"].as_array().unwrap().clone()
    }

    fn revision(&self) -> u64 {
        self.history(1)[0]["revision"].as_u64().unwrap()
    }

    /// Whether a request changed something. The end of a packing that another request began does not count.
    fn changed_since(&self, before: u64) -> bool {
        let since = self.revision() - before;
        let is_of_request =
            |commit: &Value| !commit["origin"].as_str().unwrap().starts_with("job ");
        since > 0 && self.history(since).iter().any(is_of_request)
    }

    fn request(&mut self, operation: &Operation<'_>) -> Asked {
        let is_good = self.chance.percent(50);
        let (path, names) = self.path(operation.path, is_good);
        let (query, is_trial) = self.query(operation);
        let line = format!("{} {path}{query}", operation.method).into_bytes();
        let mut headers = self.token();
        if operation.path == "/filesauth" {
            let uri = percent_encoded(&self.chance.hostile());
            headers.extend_from_slice(format!("x-original-uri: /files/{uri}\r\n").as_bytes());
        }
        let body = if operation.method == "GET" && !self.chance.percent(3) {
            Vec::new()
        } else {
            let mut body = self.body(operation.path, &names);
            let times = *self.chance.one(&[0, 0, 1, 1, 1, 2, 5]);
            self.chance.mutate(&mut body, times);
            self.chance.written(&body)
        };
        Asked { line, headers, body, is_trial }
    }

    fn token(&mut self) -> Vec<u8> {
        let token = match self.chance.below(40) {
            0 => String::new(),
            1 => "nonsense".to_owned(),
            2 => "a.b.c".to_owned(),
            3 => self.site.node_token("node001"),
            4 => "x".repeat(9_000),
            5 => return b"x-access-tokens: \xff\xfe\r\n".to_vec(),
            _ => self.site.token().to_owned(),
        };
        format!("x-access-tokens: {token}\r\n").into_bytes()
    }

    fn query(&mut self, operation: &Operation<'_>) -> (String, bool) {
        let known = operation.query();
        if known.contains(&"dry_run") && self.chance.percent(20) {
            return ("?dry_run=true".to_owned(), true);
        }
        if !known.is_empty() && self.chance.percent(50) {
            const VALUES: [&str; 9] = [
                "0",
                "1",
                "5",
                "-1",
                "18446744073709551616",
                "yes",
                "node/node001",
                "node[1-",
                "%ff",
            ];
            let value = if self.chance.percent(60) {
                (*self.chance.one(&VALUES)).to_owned()
            } else {
                percent_encoded(&self.chance.hostile())
            };
            return (format!("?{}={value}", self.chance.one(&known)), false);
        }
        let odd = ["?", "?%", "?a=b&a=c&=&&", "?dry_run=maybe", "?x[]=1;y"];
        let query = if self.chance.percent(5) { *self.chance.one(&odd) } else { "" };
        (query.to_owned(), false)
    }

    /// A path, and what stands in the places of its parameters.
    fn path(&mut self, template: &str, is_good: bool) -> (String, Vec<String>) {
        let (mut path, mut names, mut before) = (String::new(), Vec::new(), "");
        for part in template.split('/').skip(1) {
            path.push('/');
            if part.starts_with('{') {
                let name = if is_good || self.chance.percent(30) {
                    good_name(part, before).to_owned()
                } else {
                    // Without a name it would be another path.
                    let hostile = self.chance.hostile();
                    if hostile.is_empty() { "nothing".to_owned() } else { hostile }
                };
                path.push_str(&percent_encoded(&name));
                names.push(name);
            } else {
                path.push_str(part);
            }
            before = part;
        }
        (path, names)
    }

    /// What is there in the place where the request goes, or what a good request would be.
    fn body(&mut self, template: &str, names: &[String]) -> Value {
        let first = names.first().map_or("nothing", String::as_str);
        if let Some(body) = seed_of(template, first) {
            return body;
        }
        let resource = template.split('/').nth(2).unwrap_or_default();
        let shown = template.strip_suffix("/_clone").unwrap_or(template);
        let (shown, _) = self.path(shown, true);
        let (_, answer) = self.site.get(&shown);
        let mut fields = answer
            .pointer(&format!("/config/{resource}"))
            .and_then(Value::as_object)
            .and_then(|entries| entries.values().next().cloned())
            .unwrap_or_else(|| json!({}));
        if self.chance.percent(85) {
            self.chance.thin(&mut fields, 0);
        }
        if let Value::Object(fields) = &mut fields
            && (template.ends_with("/_clone") || self.chance.percent(15))
        {
            let new = [
                "netname",
                "nodename",
                "groupname",
                "osimage",
                "bmcname",
                "switchname",
                "otherdevname",
                "username",
            ];
            let own =
                new.iter().find(|name| name.starts_with(resource.get(..3).unwrap_or(resource)));
            let number = self.chance.below(1000);
            fields.insert(format!("new{}", own.unwrap_or(&"name")), json!(format!("copy{number}")));
        }
        json!({ "config": { resource: { first: fields } } })
    }
}

/// What is there, in the place of a parameter.
fn good_name(parameter: &str, before: &str) -> &'static str {
    match (parameter, before) {
        ("{ipaddress}", _) => "10.99.0.1",
        ("{macaddress}", _) => "52:54:00:00:00:01",
        ("{secret}", _) => "key",
        ("{interface}", _) => "BOOTIF",
        ("{host}" | "{type}", _) => "thing",
        ("{subset}", _) => "configured",
        ("{subsystem}", _) => "power",
        ("{_action}", _) => "_status",
        ("{action}", _) => "status",
        ("{revision}" | "{from}", _) => "3",
        ("{to}", _) => "7",
        ("{tag}", _) => "stable",
        ("{filename}", _) => "debian.tar.bz2",
        ("{node}" | "{hostname}", _) | (_, "node") => "node001",
        ("{groupname}", _) | (_, "group") => "compute",
        (_, "osimage" | "osimagetag") => "debian",
        (_, "network" | "dns") => "spare",
        (_, "user") => "ann",
        (_, "service") => "luna2",
        _ => "thing",
    }
}

/// Good requests that are not as the answers look.
fn seed_of(template: &str, name: &str) -> Option<Value> {
    let secrets = |owner: &str| json!({ "config": { "secrets": { owner: { name: [{ "name": "key", "content": "YQ==", "newsecretname": "copy" }] } } } });
    let config =
        |resource: &str, fields: Value| json!({ "config": { resource: { name: fields } } });
    Some(match template {
        "/token" => json!({ "username": "ann", "password": "long enough" }),
        "/boot/ticket/{node}" => json!({ "ticket": "a.b.c" }),
        "/boot/progress/{node}" => {
            json!({ "phase": "download", "bytes_done": 1, "bytes_total": 2, "message": "…" })
        }
        "/config/cluster" => {
            json!({ "config": { "cluster": { "technical_contacts": "root", "debug": "yes", "ntp_server": "10.141.0.9" } } })
        }
        "/config/dns/{network}" => {
            config("dns", json!([{ "host": "thing", "ipaddress": "10.99.0.9" }]))
        }
        "/config/rack/inventory" => {
            json!({ "config": { "rack": { "inventory": [{ "name": "node001", "type": "node", "height": "2" }] } } })
        }
        "/config/rack/{name}" => config(
            "rack",
            json!({ "size": "42", "order": "ascending", "devices": [{ "name": "node001", "type": "node", "position": "3" }] }),
        ),
        "/config/osimage/{name}/kernel" => {
            config("osimage", json!({ "kernelversion": crate::image_site::VERSION, "bare": true }))
        }
        "/config/osimage/{name}/tag" => config("osimage", json!({ "tag": "stable" })),
        "/config/osimage/{name}/_clone" => {
            config("osimage", json!({ "newosimage": "copy", "nocopy": true }))
        }
        "/config/user/{name}" => {
            config("user", json!({ "password": "long enough", "role": "viewer" }))
        }
        "/config/user/{name}/_password" => {
            config("user", json!({ "password": "long enough", "present": "long enough" }))
        }
        "/control/action/{subsystem}/{_action}" => {
            json!({ "control": { "power": { "status": { "hostlist": "node[001-002]" } } } })
        }
        "/control/forget" => json!({ "control": { "forget": { "hostlist": "node001" } } }),
        "/monitor/node/{node}" | "/monitor/status/{node}" => {
            json!({ "monitor": { "status": { name: { "state": "installing", "status": "200" } } } })
        }
        "/monitor/status" => {
            json!({ "monitor": { "status": [{ "request_id": "1", "message": "x", "status": 200 }] } })
        }
        template if template.contains("/secrets/node/") => secrets("node"),
        template if template.contains("/secrets/group/") => secrets("group"),
        template if !template.starts_with("/config/") => json!({}),
        _ => return None,
    })
}

fn number_of(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

#[test]
fn whatever_is_asked_is_answered_as_the_document_says_and_refusals_change_nothing() {
    let (seed, rounds) = (number_of("PERILUNE_SEED", SEED), number_of("PERILUNE_ROUNDS", ROUNDS));
    let mut walk = Walk::new(seed);
    let document = Document(walk.document.0.clone());
    let mut operations = document.operations();
    operations.retain(|operation| !LEFT_OUT.contains(&operation.title().as_str()));
    assert!(operations.len() > 140, "only {} operations", operations.len());
    for _ in 0..rounds {
        walk.round(&mut operations);
    }
    let found: Vec<_> =
        walk.found.iter().map(|(what, request)| format!("{what}\n  {request}")).collect();
    assert!(found.is_empty(), "with PERILUNE_SEED={seed}:\n{}", found.join("\n"));
    // Requests of each kind have been made, or the above says little.
    for status in [200, 201, 204, 400, 401, 403, 404] {
        let times = walk.statuses.get(&status).copied().unwrap_or_default();
        assert!(times > 20, "only {times} answers were {status}: {:?}", walk.statuses);
    }
}

#[test]
fn what_is_no_request_is_refused_and_disturbs_nobody() {
    let site = ImageSite::start();
    let mut lines: Vec<Vec<u8>> = [
        "GET",
        "GET /ping /ping",
        "\u{0}\u{1}",
        "GET /pi\u{0}ng",
        "GET /pi\tng",
        "GET /config/node/\u{7f}",
        "G\u{e4}T /ping",
        "GET ping",
        "GET http://",
        "GET //",
        "GET /../../etc/passwd",
        "GET /config/node/%",
        "GET /config/node/%zz",
        "GET /config/node/%ff",
        "GET /config/node/%00",
        "OPTIONS *",
        "CONNECT x:1",
        "TRACE /ping",
        "PROPFIND /config/node",
        "DELETE /config/node/node001",
        "PATCH /config/node/node001",
        "HEAD /config/node/x",
    ]
    .map(|line| line.as_bytes().to_vec())
    .into();
    lines.push(b"GET /config/node/\xff\xfe".to_vec());
    lines.push(format!("GET /{}", "x".repeat(70_000)).into_bytes());
    lines.push(format!("GET /config/node/{}", "/x".repeat(3_000)).into_bytes());
    for line in lines {
        let shown: String = String::from_utf8_lossy(&line).chars().take(60).collect();
        // Each has a connection of its own: whoever sends what is no request is not listened to further.
        let head = line.starts_with(b"HEAD");
        let headers = format!("connection: close\r\nx-access-tokens: {}\r\n", site.token());
        let answer = Client::new(site.address()).ask(&line, headers.as_bytes(), b"");
        match answer {
            Ok(answer) => assert!(answer.status < 500, "{shown:?}: {}", answer.status),
            Err(error) => assert!(head, "{shown:?} is not answered: {error}"),
        }
        assert_eq!(site.get("/ping").0, 200, "after {shown:?}");
    }
}
