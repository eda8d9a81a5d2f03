//! `perilune status`: is the daemon there, and how is the cluster?

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::output;
use crate::output::table::{Tone, paint};
use crate::output::text::printable;
use crate::output::{Canvas, object};
use crate::session::Session;

pub(crate) fn run(session: &Session) -> Result<(), Failure> {
    let client = &session.client;
    let version = client.get_open("/version")?;
    let cluster = client.get("/config/cluster")?;
    let cluster = cluster.pointer("/config/cluster").cloned().unwrap_or_default();
    let progress = client.get("/monitor/progress")?;
    let unknown = client.get("/monitor/unknown")?;
    let warnings = client.get("/monitor/warnings")?;
    let warnings = warnings.pointer("/monitor/warnings").cloned().unwrap_or_default();
    let count = |kind: &str| client.names(kind).map(|names| names.len());
    let mut status = json!({
        "daemon": client.url(),
        "version": version.pointer("/version/perilune"),
        "api_version": version.pointer("/version/luna"),
        "cluster": cluster.get("name"),
        "controllers": controllers(&cluster),
        "networks": count("network")?,
        "groups": count("group")?,
        "images": count("osimage")?,
        "nodes": progress.pointer("/monitor/progress").and_then(Value::as_object).map_or(0, Map::len),
        "states": states(&progress),
        "unknown_machines": unknown.pointer("/monitor/unknown").and_then(Value::as_array).map_or(0, Vec::len),
    });
    if !session.output.is_table() {
        if let Some(fields) = status.as_object_mut() {
            fields.insert("warnings".to_owned(), warnings);
        }
        return Ok(session.output.value(&status)?);
    }
    let Value::Object(fields) = &status else {
        return Ok(());
    };
    output::write(&object::render("status", fields, session.output.canvas))?;
    Ok(output::write(&shown(&warnings, session.output.canvas))?)
}

/// A paragraph for each warning: a text that says what to do is not cut.
fn shown(warnings: &Value, canvas: Canvas) -> String {
    let warnings = warnings.as_array().into_iter().flatten();
    let paragraphs = warnings.map(|warning| {
        let text = |key: &str| warning.get(key).and_then(Value::as_str).map(printable);
        let head = paint("warning", Tone::Bad, canvas.colour);
        let of = text("nodes").map(|nodes| format!(" {nodes}")).unwrap_or_default();
        format!("\n{head}{of}: {}\n", text("warning").unwrap_or_default())
    });
    paragraphs.collect()
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
