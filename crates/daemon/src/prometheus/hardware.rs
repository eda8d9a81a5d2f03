//! Rules that alert when a part of one node is missing. What parts there are, Prometheus knows from the node's own exporter.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::rules::{self, Rule, Switches};
use super::server::Server;
use super::{Error, files};

const ALERT: &str = "MissingHardwareComponent";
/// What a part must be missing for before anybody is told: a node that boots has none for a while.
const LASTS: &str = "15m";
/// What is no property of a part.
const NOT_OF_A_PART: [&str; 5] = ["__name__", "instance", "job", "exporter", "luna_group"];
/// As many nodes as one request may name.
const MOST: usize = 5000;
/// As many parts as one node may have, and bytes of what is known of each: a node says itself what is in it.
const MOST_PARTS: usize = 500;
const LONGEST: usize = 200;

/// What somebody wants of one node's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The node's whole name.
    pub(crate) hostname: String,
    /// They are made anew where they are there already.
    force: bool,
    wanted: rules::Wanted,
}

impl Request {
    pub(super) fn read(request: &Value) -> Result<Vec<Self>, String> {
        let list = request
            .as_array()
            .ok_or("the body is no list: [{\"hostname\": …, \"force\": false}]")?;
        if list.len() > MOST {
            return Err(format!("these are {} nodes; {MOST} are the most", list.len()));
        }
        let one = |(number, entry): (usize, &Value)| {
            let hostname = entry.get("hostname").and_then(Value::as_str).unwrap_or_default();
            if !is_hostname(hostname) {
                return Err(format!(
                    "[{number}].hostname '{}' is not a host name",
                    super::shown(hostname)
                ));
            }
            let force = match entry.get("force") {
                None | Some(Value::Null) => false,
                Some(Value::Bool(force)) => *force,
                Some(other) => {
                    return Err(format!("[{number}].force is {other}; write true or false"));
                }
            };
            let wanted = Switches::read(entry, &format!("[{number}]"))?;
            Ok(Self { hostname: hostname.to_owned(), force, wanted })
        };
        list.iter().enumerate().map(one).collect()
    }
}

/// Whether this can be a part of a file's name.
pub(crate) fn is_hostname(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !text.is_empty() && text.len() <= 200 && !text.starts_with('.') && text.chars().all(is_plain)
}

pub(super) fn file(host: &str) -> String {
    format!("trix.hw.{host}.rules")
}

/// The node that a file is for.
pub(super) fn host_of(file: &str) -> Option<&str> {
    file.strip_prefix("trix.hw.")?.strip_suffix(".rules").filter(|host| is_hostname(host))
}

pub(super) fn is_there(directory: &Path, host: &str) -> bool {
    is_hostname(host) && directory.join(file(host)).is_file()
}

/// The rules of a node, in their group.
pub(super) fn read(directory: &Path, host: &str) -> Result<Value, Error> {
    of(directory, host).map(|rules| rules::document(&rules))
}

fn of(directory: &Path, host: &str) -> Result<Vec<Rule>, Error> {
    if !is_hostname(host) {
        return Err(Error::Request(format!("'{}' is not a host name", super::shown(host))));
    }
    let rules = files::read(directory, &file(host))?;
    rules.ok_or_else(|| Error::Request(format!("there are no hardware rules of {host}")))
}

/// What a node's rules are to be, by the parts that Prometheus knows.
pub(super) fn find(
    directory: &Path,
    server: &Server,
    request: &Request,
) -> Result<Vec<Rule>, Error> {
    let host = &request.hostname;
    if !request.force && is_there(directory, host) {
        return Err(Error::Request(format!(
            "hardware rules of {host} are there already; force makes them anew"
        )));
    }
    let selector = format!("lshw_device{{hostname={}}}", quoted(host));
    // Nodes read this beginning, and ask again later.
    let nothing =
        |reason: &str| Error::Request(format!("No data found for query {selector}{reason}"));
    let parts = server.series(&selector).map_err(|error| nothing(&format!(": {error}")))?;
    if parts.is_empty() {
        return Err(nothing(""));
    }
    let switches = files::switches(directory)?.changed_by(request.wanted);
    Ok(parts.iter().take(MOST_PARTS).map(|part| rule(host, part, switches)).collect())
}

fn rule(host: &str, part: &Map<String, Value>, switches: Switches) -> Rule {
    let mut matchers = Vec::new();
    let mut said = Vec::new();
    for (key, value) in part {
        let Some(value) = value
            .as_str()
            .filter(|value| value.len() <= LONGEST && !NOT_OF_A_PART.contains(&key.as_str()))
        else {
            continue;
        };
        matchers.push(format!("{key}={}", quoted(value)));
        if key != "hostname" && !value.is_empty() {
            said.push(value);
        }
    }
    matchers.sort();
    let labels = json!({
        "category": "hardware",
        "disabled": switches.disabled,
        "hostname": host,
        "nhc": switches.nhc,
        "severity": "critical",
    });
    Rule {
        alert: ALERT.to_owned(),
        annotations: Some(Map::from_iter([(
            "description".to_owned(),
            json!(format!(
                "{host} lacks a part that it had: {}",
                text_of_a_template(&said.join(" "))
            )),
        )])),
        expr: format!("absent(lshw_device{{{}}})", matchers.join(",")),
        lasts: Some(LASTS.to_owned()),
        labels: labels.as_object().cloned().unwrap_or_default(),
    }
}

/// Annotations are templates, which Prometheus carries out: what a node says of itself is a text in them.
fn text_of_a_template(text: &str) -> String {
    text.replace("{{", "{ {").replace("{{", "{ {")
}

/// A text in a query.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// The rules of one node with what counts for all such rules now.
pub(super) fn switched(
    directory: &Path,
    host: &str,
    switches: Switches,
) -> Result<Vec<Rule>, Error> {
    let mut rules = of(directory, host)?;
    for rule in &mut rules {
        rule.labels.insert("disabled".to_owned(), json!(switches.disabled));
        rule.labels.insert("nhc".to_owned(), json!(switches.nhc));
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_says_what_part_of_which_node_is_missing() {
        let part = json!({ "__name__": "lshw_device", "hostname": "node001.cluster", "instance": "10.141.0.1:14208",
            "class": "memory", "product": "DIMM \"A\" \\" });
        let rule = rule("node001.cluster", part.as_object().unwrap(), Switches::default());
        assert_eq!(
            rule.expr,
            r#"absent(lshw_device{class="memory",hostname="node001.cluster",product="DIMM \"A\" \\"})"#
        );
        assert_eq!(rule.labels["nhc"], json!(true));
        rules::read(&rules::document(&[rule])).unwrap();
    }

    #[test]
    fn what_a_node_says_of_itself_is_no_template_and_has_its_bounds() {
        let part = json!({ "hostname": "a", "slot": "{{ query \"up\" }} {{{", "serial": "9".repeat(LONGEST + 1) });
        let rule = rule("a", part.as_object().unwrap(), Switches::default());
        let said = rule.annotations.unwrap()["description"].as_str().unwrap().to_owned();
        assert!(!said.contains("{{") && said.contains("query"), "{said}");
        assert!(!rule.expr.contains("serial"), "{}", rule.expr);
    }

    #[test]
    fn names_of_files_are_those_of_hosts() {
        assert_eq!(host_of("trix.hw.node001.cluster.rules"), Some("node001.cluster"));
        for other in
            ["trix.hw..rules", "trix.hw...rules", "trix.hw.a/b.rules", "trix.generic.rules"]
        {
            assert_eq!(host_of(other), None, "{other}");
        }
        for bad in ["", "../x", "a b", ".a", "a/b", "a\nb"] {
            assert!(!is_hostname(bad), "{bad}");
            assert!(Request::read(&json!([{ "hostname": bad }])).is_err());
        }
        let read = Request::read(&json!([{ "hostname": "a.b", "force": false }])).unwrap();
        assert_eq!(read[0].hostname, "a.b");
        assert!(Request::read(&json!([{ "hostname": "a", "force": "x" }])).is_err());
        assert!(Request::read(&json!({})).is_err());
    }
}
