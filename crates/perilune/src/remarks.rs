//! What looks like a slip in what was just saved, and may be meant: it is taken, since sites and clients rely on it, and said.

use std::collections::{BTreeMap, BTreeSet};

use perilune_select::hostlist;
use perilune_wire::node_column::NodeColumn;
use serde_json::{Map, Value};

use crate::output::note;
use crate::select::Exclude;
use crate::session::Session;

/// Of so many objects at most the interfaces are looked at.
const MOST: usize = 16;

/// Says what looks wrong in fields that were saved for objects of a kind. That it cannot be found out is no failure of what was done.
pub(crate) fn say(session: &Session, kind: &str, names: &[String], fields: &Map<String, Value>) {
    if session.client.only_tries() {
        return;
    }
    let given =
        |field: &str| fields.get(field).is_some_and(|value| *value != "" && !value.is_null());
    if kind == "osimage" && given("path") {
        trees(session, names);
    }
    if kind == "node" && (given("switch") || given("switchport")) {
        ports(session, names);
    }
    if given("interfaces") && fields.get("interfaces").is_some_and(names_others) {
        interfaces(session, kind, names);
    }
}

/// Whether interfaces are said to be carried by others, or to carry them.
fn names_others(interfaces: &Value) -> bool {
    let mut all = interfaces.as_array().into_iter().flatten();
    all.any(|interface| {
        ["vlan_parent", "bond_slaves"].iter().any(|key| interface.get(key).is_some())
    })
}

fn trees(session: &Session, names: &[String]) {
    let warnings = session.client.get("/monitor/warnings").unwrap_or_default();
    let warnings = warnings.pointer("/monitor/warnings").and_then(Value::as_array);
    let texts =
        warnings.into_iter().flatten().filter_map(|warning| warning.get("warning")?.as_str());
    for text in texts {
        let is_of = |name: &String| text.starts_with(&format!("the tree of image {name} "));
        if names.iter().any(is_of) {
            note(&format!("warning: {text}"));
        }
    }
}

fn ports(session: &Session, names: &[String]) {
    let columns = [NodeColumn::Name, NodeColumn::Switch, NodeColumn::Port];
    let all = ["switch:*".to_owned()];
    let rows = session.node_rows(&all, &Exclude::default(), &columns).unwrap_or_default();
    let mut nodes: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for row in rows {
        let Ok([name, switch, port]) = <[String; 3]>::try_from(row) else { continue };
        if !port.is_empty() {
            nodes.entry((switch, port)).or_default().push(name);
        }
    }
    let named: BTreeSet<&String> = names.iter().collect();
    let is_meant =
        |nodes: &Vec<String>| nodes.len() > 1 && nodes.iter().any(|node| named.contains(node));
    for ((switch, port), nodes) in nodes.iter().filter(|(_, nodes)| is_meant(nodes)).take(MOST) {
        note(&format!(
            "warning: {} are all at port {port} of {switch}; a machine that is found there becomes the first of them that has none",
            hostlist::fold(nodes)
        ));
    }
}

fn interfaces(session: &Session, kind: &str, names: &[String]) {
    let mut told = BTreeSet::new();
    for name in names.iter().take(MOST) {
        let Ok(object) = session.client.object(kind, name) else { continue };
        let all = object.get("interfaces").and_then(Value::as_array);
        let all = all.map(Vec::as_slice).unwrap_or_default();
        told.extend(strangers(all).into_iter().map(|stranger| (stranger, name)).take(MOST));
    }
    for (stranger, name) in told.iter().take(MOST) {
        note(&format!(
            "warning: {stranger}, which is no interface of {kind} {name}; that is right where the machine has a device of this name"
        ));
    }
}

/// `eth0.100 is carried by eht0`, for each name that is none of the interfaces.
fn strangers(interfaces: &[Value]) -> Vec<String> {
    let text = |interface: &Value, key: &str| {
        interface.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let known: Vec<String> =
        interfaces.iter().map(|interface| text(interface, "interface")).collect();
    let mut found = Vec::new();
    for interface in interfaces {
        let name = text(interface, "interface");
        let parent = text(interface, "vlan_parent");
        if !parent.is_empty() && !known.contains(&parent) {
            found.push(format!("{name} is a VLAN on {parent}"));
        }
        let slaves = text(interface, "bond_slaves");
        let strangers = slaves.split(',').filter(|slave| !slave.is_empty());
        let strangers = strangers.filter(|slave| !known.iter().any(|known| known == slave));
        found.extend(strangers.map(|slave| format!("{name} bonds {slave}")));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::strangers;

    #[test]
    fn only_names_of_no_interface_are_told() {
        let interfaces = [
            json!({ "interface": "eth0" }),
            json!({ "interface": "eth0.7", "vlan_parent": "eth0" }),
            json!({ "interface": "eth1.7", "vlan_parent": "eht1" }),
            json!({ "interface": "bond0", "bond_slaves": "eth0,eth9" }),
        ];
        assert_eq!(strangers(&interfaces), ["eth1.7 is a VLAN on eht1", "bond0 bonds eth9"]);
    }
}
