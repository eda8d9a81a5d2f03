//! `perilune status`: is the daemon there, and how is the cluster?

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::output;
use crate::output::object;
use crate::session::Session;

pub(crate) fn run(session: &Session) -> Result<(), Failure> {
    let client = &session.client;
    let version = client.get_open("/version")?;
    let cluster = client.get("/config/cluster")?;
    let cluster = cluster.pointer("/config/cluster").cloned().unwrap_or_default();
    let progress = client.get("/monitor/progress")?;
    let unknown = client.get("/monitor/unknown")?;
    let count = |kind: &str| client.objects(kind).map(|objects| objects.len());
    let status = json!({
        "daemon": client.url(),
        "version": version.pointer("/version/luna"),
        "cluster": cluster.get("name"),
        "controllers": controllers(&cluster),
        "networks": count("network")?,
        "groups": count("group")?,
        "images": count("osimage")?,
        "nodes": progress.pointer("/monitor/progress").and_then(Value::as_object).map_or(0, Map::len),
        "states": states(&progress),
        "unknown_machines": unknown.pointer("/monitor/unknown").and_then(Value::as_array).map_or(0, Vec::len),
    });
    let Value::Object(fields) = &status else {
        return Ok(());
    };
    if !session.output.is_table() {
        return Ok(session.output.value(&status)?);
    }
    Ok(output::write(&object::render("status", fields, session.output.canvas))?)
}

/// Every value of the cluster that is an object is a controller; that is the API's rule.
fn controllers(cluster: &Value) -> Vec<String> {
    let objects =
        cluster.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_object());
    let text = |controller: &Map<String, Value>, key: &str| {
        controller.get(key).and_then(Value::as_str).unwrap_or("?").to_owned()
    };
    objects
        .map(|controller| {
            format!("{} ({})", text(controller, "hostname"), text(controller, "ipaddress"))
        })
        .collect()
}

/// How many nodes are in each state.
fn states(progress: &Value) -> BTreeMap<String, usize> {
    let mut states = BTreeMap::new();
    let nodes = progress.pointer("/monitor/progress").and_then(Value::as_object);
    for node in nodes.into_iter().flatten().map(|(_, node)| node) {
        let state = node.get("state").and_then(Value::as_str).unwrap_or("not seen yet");
        *states.entry(state.to_owned()).or_default() += 1;
    }
    states
}
