//! What the functions of a journal are here: requests, mostly, as somebody made them there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Row;
use crate::bulk::Edit;

/// What is to be done.
pub(super) enum Call {
    /// A change of what is described.
    Change(Edit),
    /// A node is in a state.
    Report(String, String),
    /// Nothing: it is about files or the role of the other controller.
    Nothing,
}

/// The words of paths for the classes of the other controller whose objects are changed, copied and removed alike.
const ALIKE: [(&str, &str, &str); 8] = [
    ("Node", "node", "node"),
    ("Group", "group", "group"),
    ("Network", "network", "network"),
    ("BMCSetup", "bmcsetup", "bmcsetup"),
    ("Switch", "switch", "switch"),
    ("OtherDev", "otherdev", "otherdev"),
    ("Cloud", "cloud", "cloud"),
    ("Rack", "rack", "rack"),
];
/// What is about the other controller alone, or about its files.
const ITS_OWN: [&str; 6] =
    ["HA.", "OsImager.", "Downloader.", "Queue.", "Import.plugin", "OSImage.pack"];

/// What a row asks for, or why that is not done here.
pub(super) fn read(row: &Row) -> Result<Call, String> {
    let function = row.function.as_str();
    if ITS_OWN.iter().any(|own| function.starts_with(own)) {
        return Ok(Call::Nothing);
    }
    let object = || plain("object", &row.object);
    let parameter = || plain("param", &row.param);
    let get = |path: String| Ok(Call::Change(Edit::get(path)));
    let post = |path: String| Ok(Call::Change(Edit::post(path, payload(row)?)));
    match function {
        "Interface.change_node_interface_by_name" => {
            let name = object()?;
            Ok(interfaces("node", &name, payload(row)?))
        }
        "Interface.change_group_interface" => {
            let name = object()?;
            Ok(interfaces("group", &name, payload(row)?))
        }
        "Interface.delete_node_interface_by_name" => {
            get(format!("/config/node/{}/interfaces/{}/_delete", object()?, parameter()?))
        }
        "Interface.delete_group_interface" => {
            get(format!("/config/group/{}/interfaces/{}/_delete", object()?, parameter()?))
        }
        "Rack.update_inventory" => post("/config/rack/inventory".to_owned()),
        "Rack.delete_inventory" => {
            get(format!("/config/rack/inventory/{}/type/{}/_delete", object()?, parameter()?))
        }
        "DNS.update_dns" => post(format!("/config/dns/{}", object()?)),
        "DNS.delete_dns" => get(format!("/config/dns/{}/{}/_delete", parameter()?, object()?)),
        "Monitor.update_nodestatus" => report(&object()?, &payload(row)?),
        _ => match secret(function) {
            Some((kind, action)) => {
                let place = format!("/config/secrets/{kind}/{}", object()?);
                match action {
                    "update_all" => post(place),
                    "update" => post(format!("{place}/{}", parameter()?)),
                    "clone" => post(format!("{place}/{}/_clone", parameter()?)),
                    _ => get(format!("{place}/{}/_delete", parameter()?)),
                }
            }
            None => alike(row, function),
        },
    }
}

/// `Secret.update_node_secrets` and its like.
fn secret(function: &str) -> Option<(&'static str, &'static str)> {
    let method = function.strip_prefix("Secret.")?;
    let kind = if method.contains("_node_") { "node" } else { "group" };
    let action = match method.split_once('_')?.0 {
        "update" if method.ends_with("_secrets") => "update_all",
        "update" => "update",
        "clone" => "clone",
        "delete" => "delete",
        _ => return None,
    };
    Some((kind, action))
}

fn alike(row: &Row, function: &str) -> Result<Call, String> {
    let unknown = || {
        "there is no such function, or an administrator must do this at this controller".to_owned()
    };
    let (class, method) = function.split_once('.').ok_or_else(unknown)?;
    let (_, word, method_word) =
        ALIKE.iter().find(|(known, ..)| *known == class).ok_or_else(unknown)?;
    let place = format!("/config/{word}/{}", plain("object", &row.object)?);
    let is = |action: &str| method == format!("{action}_{method_word}");
    if is("update") {
        return Ok(Call::Change(Edit::post(place, payload(row)?)));
    }
    if is("clone") {
        return Ok(Call::Change(Edit::post(format!("{place}/_clone"), payload(row)?)));
    }
    if is("delete") || method == format!("delete_{method_word}_by_name") {
        return Ok(Call::Change(Edit::get(format!("{place}/_delete"))));
    }
    Err(unknown())
}

/// The body of a request for interfaces, which may be the bare list.
fn interfaces(kind: &str, name: &str, payload: Value) -> Call {
    let body = match payload {
        Value::Array(_) => json!({ "config": { kind: { name: { "interfaces": payload } } } }),
        body => body,
    };
    Call::Change(Edit::post(format!("/config/{kind}/{name}/interfaces"), body))
}

fn report(node: &str, payload: &Value) -> Result<Call, String> {
    let said = payload.pointer("/monitor/status").and_then(|status| status.get(node));
    let said = said.and_then(|said| said.get("state")).and_then(Value::as_str);
    let said = said.ok_or_else(|| "its payload says no state".to_owned())?;
    Ok(Call::Report(node.to_owned(), said.chars().take(200).collect()))
}

/// The body of the request, as it was made.
fn payload(row: &Row) -> Result<Value, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("its payload cannot be read: {error}");
    let text = row.payload.as_deref().ok_or_else(|| "it has no payload".to_owned())?;
    let bytes = STANDARD.decode(text).map_err(|error| unreadable(&error))?;
    perilune_notation::read_json(&bytes).map_err(|error| unreadable(&error))
}

/// A name that is a part of a path.
fn plain(column: &str, value: &Value) -> Result<String, String> {
    let text = value.as_str().unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if text.is_empty() || !text.chars().all(is_plain) || text.starts_with('.') {
        return Err(format!("its {column} is no name"));
    }
    Ok(text.to_owned())
}
