//! Booleans as every kind of client writes them: JSON, the existing command line, HTML forms.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::image_site::ImageSite;

const YES: [&str; 16] = [
    "1", "true", "True", "TRUE", "tRUE", "yes", "Yes", "YES", "yeS", "y", "Y", "on", "On", "ON",
    "oN", " on ",
];
const NO: [&str; 16] = [
    "0", "false", "False", "FALSE", "faLSE", "no", "No", "NO", "nO", "n", "N", "off", "Off", "OFF",
    "oFf", "off ",
];
const NEITHER: [&str; 7] = ["maybe", "2", "-1", "onn", "enable", "yes no", "null"];

/// A field that requests set and answers show, with what else such a request needs.
struct Field {
    path: &'static str,
    name: &'static str,
    needs: Value,
}

fn fields() -> Vec<Field> {
    let field = |path, name, needs| Field { path, name, needs };
    let range = || json!({ "dhcp_range_begin": "10.98.1.0", "dhcp_range_end": "10.98.1.255" });
    let with = |mut more: Value, name: &str, value: Value| {
        more[name] = value;
        more
    };
    let cluster = [
        "debug",
        "security",
        "packing_bootpause",
        "createnode_ondemand",
        "createnode_macashost",
        "nextnode_discover",
        "bind_legacy",
    ];
    let mut all: Vec<Field> =
        cluster.map(|name| field("/config/cluster", name, json!({}))).into_iter().collect();
    for name in ["dnssec_enable", "dnssec_validation"] {
        all.push(field("/config/cluster", name, json!({ "bind_legacy": true })));
    }
    let network = "/config/network/spare";
    all.push(field(network, "dhcp", range()));
    all.push(field(network, "dhcp_nodes_in_pool", with(range(), "dhcp", json!(true))));
    all.push(field(network, "dhcp_nodes_only", with(range(), "dhcp", json!(true))));
    all.push(field(network, "non_authoritative", json!({})));
    for path in ["/config/node/node001", "/config/group/compute"] {
        for name in ["setupbmc", "netboot", "bootmenu"] {
            all.push(field(path, name, json!({})));
        }
    }
    all.push(field("/config/node/node001", "service", json!({})));
    all
}

/// Flags of requests that no answer shows: the route, the object in the body, the flag.
const FLAGS: [(&str, &str, &str); 17] = [
    ("/boot/claim/52:54:00:00:00:77/_accept", "", "replace"),
    ("/boot/reinstall", "", "cancel"),
    ("/config/node/node001/_osgrab", "/config/node/node001", "nodry"),
    ("/config/node/node001/_osgrab", "/config/node/node001", "bare"),
    ("/config/node/node001/_ospush", "/config/node/node001", "nodry"),
    ("/config/group/compute/_ospush", "/config/group/compute", "nodry"),
    ("/config/node/node001/interfaces", "/config/node/node001/interfaces/0", "force"),
    ("/config/node/node001/interfaces", "/config/node/node001/interfaces/0", "dhcp"),
    ("/config/node/node001", "/config/node/node001/interfaces/0", "dhcp"),
    ("/config/group/compute/interfaces", "/config/group/compute/interfaces/0", "dhcp"),
    ("/config/osimage/none/_clone", "/config/osimage/none", "bare"),
    ("/config/osimage/none/_clone", "/config/osimage/none", "nocopy"),
    ("/config/osimage/none/kernel", "/config/osimage/none", "bare"),
    ("/config/switch/thing", "/config/switch/thing", "nonetwork"),
    ("/config/otherdev/thing", "/config/otherdev/thing", "nonetwork"),
    ("/control/action/power/_status", "/control/power/status", "verify"),
    ("/control/action/power/_status", "/control/power/status", "insist"),
];

/// A request with nothing wrong in it.
fn request(route: &str, place: &str) -> Value {
    if let Some(owner) = place.strip_suffix("/interfaces/0") {
        let interface = json!({ "interface": "BOOTIF", "network": "spare" });
        return below(owner, json!({ "interfaces": [interface] }));
    }
    if route == "/boot/reinstall" {
        return json!({ "nodes": "node001" });
    }
    let fields = match route.rsplit('/').next().unwrap_or_default() {
        "_osgrab" | "_ospush" => json!({ "osimage": "none" }),
        "_clone" => json!({ "newosimage": "copy" }),
        "kernel" => json!({ "kernelversion": "6.1" }),
        "_status" => json!({ "hostlist": "node001" }),
        "_accept" => json!({ "node": "node001" }),
        _ => json!({ "ipaddress": "10.98.0.9" }),
    };
    below(place, fields)
}

/// Booleans of queries.
const QUERIES: [(&str, &str); 8] = [
    ("GET /backup", "images"),
    ("GET /config/export", "secrets"),
    ("GET /config/osimage/{name}/_delete", "tree"),
    ("POST /config/apply", "prune"),
    ("POST /config/apply", "merge"),
    ("POST /config/import", "dry_run"),
    ("POST /config/import", "replace"),
    ("*", "dry_run"),
];

/// What answers show and no request gives.
const SHOWN_ONLY: [&str; 32] = [
    "clear-config",
    "halt-on-failure",
    "ignore-result",
    "save-config",
    "skip-reboot",
    "on_link",
    "once",
    "shared",
    "standby",
    "drained",
    "here",
    "expired",
    "in_force",
    "imported",
    "reinstall",
    "enabled",
    "insync",
    "master",
    "message",
    "overrule",
    "syncimages",
    "_override",
    "beacon",
    "shadow",
    "committed",
    "keeps_settings",
    "dry_run",
    "is_over",
    "ok",
    "tpm_present",
    "mgmt",
    "given_up",
];

fn site() -> ImageSite {
    let site = ImageSite::start();
    site.describe();
    let spare = json!({ "config": { "network": { "spare": { "network": "10.98.0.0/16" } } } });
    assert_eq!(site.post("/config/network/spare", &spare).0, 201);
    for resource in ["switch", "otherdev"] {
        let thing = json!({ "config": { resource: { "thing": {} } } });
        assert_eq!(site.post(&format!("/config/{resource}/thing"), &thing).0, 201);
    }
    site
}

/// Sets a field; the status and the body that come back.
fn set(site: &ImageSite, field: &Field, value: &Value) -> (u16, Value) {
    let mut fields = field.needs.clone();
    fields[field.name] = value.clone();
    site.post(field.path, &below(field.path, fields))
}

/// The object of a path in its place in the body.
fn below(path: &str, fields: Value) -> Value {
    let keys = path.rsplit('/').filter(|key| !key.is_empty());
    keys.fold(fields, |inner, key| json!({ key: inner }))
}

/// What an answer shows of a field.
fn shown(site: &ImageSite, field: &Field) -> bool {
    let (status, answer) = site.get(field.path);
    assert_eq!(status, 200, "{}", field.path);
    let object = answer.pointer(field.path).unwrap();
    let value = &object[field.name];
    *value == json!(true) || *value == json!("True")
}

#[test]
fn every_boolean_field_takes_every_spelling_and_nothing_else() {
    let site = site();
    for field in fields() {
        let place = format!("{} {}", field.path, field.name);
        let words = YES.map(|word| (json!(word), true)).into_iter();
        let words = words.chain(NO.map(|word| (json!(word), false)));
        let plain = [(json!(true), true), (json!(1), true), (json!(0), false), (json!(1.0), true)];
        for (value, expected) in words.chain(plain).chain([(json!(false), false)]) {
            // From the opposite, so that a word without effect is seen.
            let (status, answer) = set(&site, &field, &json!(!expected));
            assert!(status < 300, "{place}: {answer}");
            assert_eq!(shown(&site, &field), !expected, "{place}");
            let (status, answer) = set(&site, &field, &value);
            assert!(status < 300, "{place} {value}: {answer}");
            assert_eq!(shown(&site, &field), expected, "{place} {value}");
        }
        for word in NEITHER {
            let (status, answer) = set(&site, &field, &json!(word));
            assert_eq!(status, 400, "{place} {word}: {answer}");
            assert_eq!(answer["errors"][0]["field"], field.name, "{place} {word}: {answer}");
            assert!(!shown(&site, &field), "{place} {word}");
        }
        // As clients clear a field: it is as it is where nobody says anything.
        let (status, answer) = set(&site, &field, &json!(""));
        assert!(status < 300, "{place}: {answer}");
    }
}

#[test]
fn every_flag_of_a_request_takes_every_spelling_and_nothing_else() {
    let site = site();
    let complains = |path: &str, body: &Value, place: &str, flag: &str, value: &str| {
        let mut body = body.clone();
        body.pointer_mut(place).unwrap()[flag] = json!(value);
        let (_, answer) = site.post(path, &body);
        // Some refusals are told by 404 and a sentence alone.
        let text = answer.to_string();
        text.contains(flag) && text.contains("it must be true or false")
    };
    for (path, place, flag) in FLAGS {
        let body = request(path, place);
        for word in YES.into_iter().chain(NO) {
            assert!(!complains(path, &body, place, flag, word), "{path} {flag} {word}");
        }
        for word in NEITHER {
            assert!(complains(path, &body, place, flag, word), "{path} {flag} {word}");
        }
    }
}

#[test]
fn a_form_that_ticks_dhcp_saves_the_network() {
    let site = site();
    let form = json!({ "config": { "network": { "spare": {
        "network": "10.98.0.0/16", "gateway": "", "nameserver_ip": "", "ntp_server": "", "dhcp": "on",
        "dhcp_nodes_in_pool": false, "dhcp_range_begin": "10.98.1.0", "dhcp_range_end": "10.98.1.255",
        "zone": "internal", "shared": "", "comment": "",
    } } } });
    assert_eq!(site.post("/config/network/spare", &form).0, 204);
    assert_eq!(site.get("/config/network/spare").1["config"]["network"]["spare"]["dhcp"], true);
    let (status, answer) = site.post("/config/network/spare", &form);
    assert_eq!(status, 204, "{answer}");
}

#[test]
fn every_boolean_of_a_query_takes_every_spelling_and_nothing_else() {
    let site = site();
    let comment = json!({ "config": { "group": { "compute": { "comment": "new" } } } });
    let escaped = |word: &str| word.replace(' ', "%20");
    for word in YES.map(escaped) {
        let (status, answer) =
            site.post(&format!("/config/group/compute?dry_run={word}"), &comment);
        assert_eq!((status, &answer["dry_run"]), (200, &json!(true)), "{word}: {answer}");
        assert_eq!(site.get(&format!("/config/export?secrets={word}")).0, 200, "{word}");
    }
    for word in NO.map(escaped) {
        assert_eq!(site.post(&format!("/config/group/compute?dry_run={word}"), &comment).0, 204);
        assert_eq!(site.get(&format!("/config/export?secrets={word}")).0, 200, "{word}");
        let (_, answer) = site.post_text(&format!("/config/apply?prune={word}"), "{}");
        assert!(!answer.to_string().contains("boolean"), "{word}: {answer}");
    }
    for word in NEITHER.map(escaped).into_iter().chain([String::new()]) {
        for (path, body) in [
            (format!("/config/group/compute?dry_run={word}"), comment.to_string()),
            (format!("/config/apply?prune={word}"), "{}".to_owned()),
            (format!("/config/apply?merge={word}"), "{}".to_owned()),
            (format!("/config/import?replace={word}"), String::new()),
        ] {
            assert_eq!(site.post_text(&path, &body).0, 400, "{path}");
        }
        assert_eq!(site.get(&format!("/config/osimage/none/_delete?tree={word}")).0, 400, "{word}");
        assert_eq!(site.get(&format!("/config/export?secrets={word}")).0, 400, "{word}");
        assert_eq!(site.get(&format!("/backup?images={word}")).0, 400, "{word}");
    }
}

/// A boolean that the document has and this file does not know fails here.
#[test]
fn every_boolean_of_the_document_is_tried_here() {
    let site = ImageSite::start();
    let (_, document) = site.get("/openapi.json");
    let own = fields();
    let known: BTreeSet<&str> = own
        .iter()
        .map(|field| field.name)
        .chain(FLAGS.into_iter().map(|(.., flag)| flag))
        .chain(SHOWN_ONLY)
        .collect();
    let mut found = BTreeSet::new();
    booleans_of(&document["components"]["schemas"], &mut found);
    booleans_of(&document["paths"], &mut found);
    let unknown: Vec<_> = found.iter().filter(|name| !known.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(found.len() >= 12, "{found:?}");
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, entry) in item.as_object().unwrap() {
            for parameter in entry["parameters"].as_array().into_iter().flatten() {
                if !parameter["schema"]["type"].to_string().contains("boolean") {
                    continue;
                }
                let operation = format!("{} {path}", method.to_uppercase());
                let name = parameter["name"].as_str().unwrap();
                let is_tried =
                    QUERIES.contains(&(operation.as_str(), name)) || QUERIES.contains(&("*", name));
                assert!(is_tried, "{operation} {name}");
            }
        }
    }
}

/// The names of the properties that are booleans, at any depth.
fn booleans_of(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            for (name, property) in
                object.get("properties").and_then(Value::as_object).into_iter().flatten()
            {
                if property["type"].to_string().contains("boolean") {
                    found.insert(name.clone());
                }
            }
            object.values().for_each(|inner| booleans_of(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| booleans_of(inner, found)),
        _ => {}
    }
}
