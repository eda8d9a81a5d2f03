//! Requests that nobody thought of, made from the API's own document: each operation with names and bodies that are good, wrong, or
//! hostile. Whatever is asked, the answer is one that the document has, it is no failure of the server, and what is refused has
//! changed nothing. `PERILUNE_SEED` repeats a run, `PERILUNE_CLUSTERS` makes a longer one.

mod chance;
mod client;
mod good;
mod schema;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::image_site::ImageSite;
use chance::Chance;
use client::{Answer, Client, percent_encoded};
use schema::{Document, Operation};

const SEED: u64 = 1;
/// As many clusters are asked, each by a seed of its own. A longer run finds more.
const CLUSTERS: u64 = 6;
/// How often each operation is asked of a cluster. After many changes by chance there is little left that is good.
const ROUNDS: u64 = 8;
/// What would change the machine that the tests run on, where another program keeps its users, or ask other machines.
const LEFT_OUT: [&str; 8] = [
    // It would log out who asks.
    "POST /config/user/{name}/_revoke",
    "POST /config/node/{name}/_osgrab",
    "POST /config/node/{name}/_ospush",
    "POST /config/group/{name}/_ospush",
    "POST /config/osuser/{username}",
    "GET /config/osuser/{username}/_delete",
    "POST /config/osgroup/{groupname}",
    "GET /config/osgroup/{groupname}/_delete",
];
/// Where clients are told by such a status that something is not there, and the machine that tests has it not.
const TOLD_BY_A_STATUS: [(&str, u16); 10] = [
    ("GET /ha/master/_set", 503),
    ("GET /config/osgroup", 503),
    ("GET /config/osgroup/{groupname}", 503),
    ("GET /config/osuser", 503),
    ("GET /config/osuser/{username}", 503),
    ("GET /control/action/{subsystem}/{hostname}/{_action}", 501),
    ("GET /files/{filename}", 503),
    ("GET /monitor/service/{name}", 503),
    ("POST /monitor/status", 503),
    ("GET /service/{name}/{action}", 503),
];

/// A daemon with something of everything, and who asks it.
struct Walk {
    site: ImageSite,
    document: Document,
    client: Client,
    chance: Chance,
    /// The last request that was to be polled.
    request_id: String,
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
        let (chance, request_id) = (Chance::new(seed), "none".to_owned());
        Self { site, document, client, chance, request_id, found, statuses }
    }

    fn round(&mut self, operations: &mut [Operation<'_>]) {
        good::furnish(&self.site);
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
        if let Ok(Value::Object(mut fields)) = serde_json::from_slice(&answer.body)
            && let Some(Value::String(request_id)) = fields.remove("request_id")
        {
            self.request_id = request_id;
        }
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
            let times = *self.chance.one(&[0, 0, 0, 1, 1, 1, 2, 5]);
            self.chance.mutate(&mut body, times);
            self.chance.written(&body)
        };
        Asked { line, headers, body, is_trial }
    }

    fn token(&mut self) -> Vec<u8> {
        let token = match self.chance.below(100) {
            0 => String::new(),
            1 => "nonsense".to_owned(),
            2 => "a.b.c".to_owned(),
            3 => self.site.some_node_token("node001").unwrap_or_default(),
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

    fn good_name(&mut self, parameter: &str, before: &str) -> String {
        match parameter {
            "{request_id}" => self.request_id.clone(),
            "{revision}" | "{to}" => self.revision().to_string(),
            "{filename}" => {
                let files = self.site.get("/files").1;
                files[0].as_str().unwrap_or("debian.tar.bz2").to_owned()
            }
            "{from}" => self.revision().saturating_sub(5).to_string(),
            _ => self.chance.one(&good::names(parameter, before)).to_string(),
        }
    }

    /// A path, and what stands in the places of its parameters.
    fn path(&mut self, template: &str, is_good: bool) -> (String, Vec<String>) {
        let (mut path, mut names, mut before) = (String::new(), Vec::new(), "");
        for part in template.split('/').skip(1) {
            path.push('/');
            if part.starts_with('{') {
                let name = if is_good || self.chance.percent(30) {
                    self.good_name(part, before)
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
        if let Some(body) = good::body(template, first) {
            return body;
        }
        let resource = template.split('/').nth(2).unwrap_or_default();
        let number = self.chance.below(1000);
        let mut fields = good::fields(resource, number);
        if !template.ends_with("/_clone") && self.chance.percent(90) {
            good::remove_new_name(&mut fields);
        }
        if self.chance.percent(50) {
            self.chance.thin(&mut fields);
        }
        json!({ "config": { resource: { first: fields } } })
    }
}

fn number_of(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

#[test]
fn whatever_is_asked_is_answered_as_the_document_says_and_refusals_change_nothing() {
    let first = number_of("PERILUNE_SEED", SEED);
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for seed in first..first + number_of("PERILUNE_CLUSTERS", CLUSTERS) {
        let mut walk = Walk::new(seed);
        let document = walk.document.clone();
        let mut operations = document.operations();
        operations.retain(|operation| !LEFT_OUT.contains(&operation.title().as_str()));
        assert!(operations.len() > 140, "only {} operations", operations.len());
        for _ in 0..ROUNDS {
            walk.round(&mut operations);
        }
        let found: Vec<_> =
            walk.found.iter().map(|(what, request)| format!("{what}\n  {request}")).collect();
        assert!(
            found.is_empty(),
            "with PERILUNE_SEED={seed} PERILUNE_CLUSTERS=1:\n{}",
            found.join("\n")
        );
        for (status, times) in &walk.statuses {
            *statuses.entry(*status).or_default() += times;
        }
    }
    // Answers of each kind have been given, or the above says little.
    for status in [200, 201, 204, 400, 401, 403, 404] {
        let times = statuses.get(&status).copied().unwrap_or_default();
        assert!(times > 5, "only {times} answers were {status}: {statuses:?}");
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
