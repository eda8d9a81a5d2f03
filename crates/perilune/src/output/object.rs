//! One object in full: a line for each field, where a value comes from, long texts below.

use serde_json::{Map, Value};

use super::Canvas;
use super::table::{Cell, Table, Tone, paint};
use super::text::{field_text, printable};

/// Long texts and tables are moved in by this.
const INDENT: &str = "    ";

/// `kind` is the API's name of the object's kind: a value that comes from there is the object's own.
pub(crate) fn render(kind: &str, object: &Map<String, Value>, canvas: Canvas) -> String {
    let shown: Vec<(&str, &Value)> = object
        .iter()
        .filter(|(key, _)| !key.starts_with('_') && key.as_str() != "osimagetagid")
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    let width = shown.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    let mut below = Vec::new();
    for (key, value) in shown {
        let ancestor =
            object.get("_inherited").and_then(|all| all.get(key)).and_then(Value::as_str);
        let origin = match object.get(&format!("_{key}_source")).and_then(Value::as_str) {
            Some("group") if let Some(ancestor) = ancestor => format!("  (from group {ancestor})"),
            Some("default") if field_text(key, value).is_empty() => String::new(),
            Some("default") => "  (default)".to_owned(),
            Some(source) if source != kind => format!("  (from {source})"),
            _ => String::new(),
        };
        let origin = paint(&origin, Tone::Faint, canvas.colour);
        let label = key.replace('_', "-");
        match value {
            Value::Array(items) if items.iter().any(Value::is_object) => {
                below.push(format!("\n{label}\n{}", render_items(items, canvas)));
            }
            Value::Object(inner) => {
                below.push(format!("\n{label}\n{}", indented(&render(key, inner, canvas))));
            }
            value => {
                let text = field_text(key, value);
                if text.trim_end().contains('\n') {
                    below.push(format!("\n{label}{origin}\n{}", indented(&script(&text))));
                } else {
                    let cell = one_line(&text, width, canvas);
                    lines.push(format!("{label:width$}  {cell}{origin}\n"));
                }
            }
        }
    }
    lines.append(&mut below);
    lines.concat()
}

fn render_items(items: &[Value], canvas: Canvas) -> String {
    let width = canvas.width.map(|width| width.saturating_sub(INDENT.len()));
    indented(&interfaces(items).render(Canvas { width, ..canvas }))
}

/// The interfaces of a node or group. What only few have is put together in the last column.
pub(crate) fn interfaces(items: &[Value]) -> Table {
    let mut table =
        Table::new(["INTERFACE", "ADDRESS", "MAC", "NETWORK", "MORE"]).whole(&["ADDRESS", "MAC"]);
    for item in items.iter().filter_map(Value::as_object) {
        let text =
            |key: &str| item.get(key).map(|value| field_text(key, value)).unwrap_or_default();
        let addresses = [text("ipaddress"), text("ipaddress_ipv6")];
        let mut address = addresses
            .into_iter()
            .filter(|address| !address.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        if text("dhcp") == "yes" {
            address =
                if address.is_empty() { "dhcp".to_owned() } else { format!("{address} dhcp") };
        }
        let common = ["interface", "ipaddress", "ipaddress_ipv6", "dhcp", "macaddress", "network"];
        let more: Vec<String> = item
            .keys()
            .filter(|key| !common.contains(&key.as_str()))
            .map(|key| (key, text(key)))
            .filter(|(_, text)| !text.is_empty())
            .map(|(key, text)| format!("{}={text}", key.replace('_', "-")))
            .collect();
        table.row([
            Cell::new(text("interface")),
            Cell::new(address),
            Cell::new(text("macaddress")),
            Cell::new(text("network")),
            Cell::new(more.join(" ")),
        ]);
    }
    table
}

/// A text of one line; one that does not fit goes on under its beginning.
fn one_line(text: &str, label: usize, canvas: Canvas) -> String {
    let text = printable(text);
    if text.is_empty() {
        return paint("-", Tone::Faint, canvas.colour);
    }
    let room = canvas.width.map_or(usize::MAX, |width| width.saturating_sub(label + 2).max(20));
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join(&format!("\n{}", " ".repeat(label + 2)))
}

fn indented(text: &str) -> String {
    text.lines().flat_map(|line| [INDENT, line, "\n"]).collect()
}

/// A script as it can be shown: its tabs and lines stay, what would move the cursor does not.
fn script(text: &str) -> String {
    text.chars()
        .filter(|character| matches!(character, '\t' | '\n') || !character.is_control())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::text::encode;
    use super::{Canvas, render};

    #[test]
    fn a_node_is_shown_with_the_sources_of_its_values_and_its_scripts() {
        let node = json!({
            "name": "node001", "status": null, "group": "compute", "_override": true,
            "osimage": "debian12", "_osimage_source": "group", "osimagetagid": null,
            "netboot": "True", "_netboot_source": "group",
            "provision_method": "http", "_provision_method_source": "cluster",
            "prescript": encode("console=ttyS0 quiet splash with_many words=that do=not fit=on one=line"),
            "_prescript_source": "node",
            "partscript": "", "_partscript_source": "default",
            "postscript": encode("#!/bin/sh\n\techo \u{1b}[2Jdone\n"), "_postscript_source": "group",
            "interfaces": [
                {"interface": "BOOTIF", "ipaddress": "10.141.0.1", "macaddress": "52:54:00:00:00:01", "network": "cluster", "mtu": "9000"},
                {"interface": "BMC", "ipaddress": "!!Invalid!!", "macaddress": null, "network": "ipmi"},
                {"interface": "eth1", "dhcp": true, "macaddress": null, "network": "ib"}
            ]
        });
        let canvas = Canvas { width: Some(80), colour: false };
        insta::assert_snapshot!(render("node", node.as_object().unwrap(), canvas));
    }
}
