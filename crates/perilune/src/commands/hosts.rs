//! `perilune export --format hosts`: the names and addresses of all devices, as `/etc/hosts` has them.

use std::net::IpAddr;

use perilune_select::natural;
use serde_json::{Map, Value};

use super::node::boot_interface;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;

/// An address with its names, the first of which is the full one.
type Line = (IpAddr, Vec<String>);

pub(crate) fn run(session: &Session) -> Result<(), Failure> {
    let mut lines = Vec::new();
    for kind in ["switch", "otherdev", "node"] {
        let mut objects: Vec<(String, Value)> = session.client.objects(kind)?.into_iter().collect();
        objects.sort_by(|(one, _), (other, _)| natural::compare(one, other));
        for (name, object) in &objects {
            let Some(object) = object.as_object() else { continue };
            match kind {
                "node" => of_node(name, object, &mut lines),
                _ => of_device(name, object, &mut lines),
            }
        }
    }
    if lines.is_empty() {
        output::note("no device has an address yet");
        return Ok(());
    }
    let lines: Vec<String> =
        lines.iter().map(|(address, names)| format!("{address} {}", names.join(" "))).collect();
    Ok(output::line(&lines.join("\n"))?)
}

/// The address that a node boots from has its plain name; others have the name with the network only.
fn of_node(name: &str, node: &Map<String, Value>, lines: &mut Vec<Line>) {
    let boot = boot_interface(node);
    let interfaces = node.get("interfaces").and_then(Value::as_array);
    for interface in interfaces.into_iter().flatten().filter_map(Value::as_object) {
        let is_boot = interface.get("interface").and_then(Value::as_str) == Some(&boot);
        of_port(name, interface, is_boot, lines);
    }
}

fn of_device(name: &str, device: &Map<String, Value>, lines: &mut Vec<Line>) {
    of_port(name, device, true, lines);
}

fn of_port(name: &str, port: &Map<String, Value>, has_plain_name: bool, lines: &mut Vec<Line>) {
    let text = |key: &str| port.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let long = text("network").map(|network| format!("{name}.{network}"));
    let short = has_plain_name.then(|| name.to_owned());
    let names: Vec<String> = long.into_iter().chain(short).collect();
    if names.is_empty() {
        return;
    }
    for key in ["ipaddress", "ipaddress_ipv6"] {
        let address = text(key).and_then(|address| address.parse().ok());
        lines.extend(address.map(|address| (address, names.clone())));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{of_device, of_node};

    #[test]
    fn a_node_has_its_plain_name_where_it_boots() {
        let node = json!({ "provision_interface": "eth0", "interfaces": [
            { "interface": "BMC", "ipaddress": "10.148.0.1", "network": "ipmi" },
            { "interface": "eth0", "ipaddress": "10.141.0.1", "ipaddress_ipv6": "fd00::1", "network": "cluster" },
            { "interface": "ib0", "ipaddress": null, "network": "ib" },
        ] });
        let mut lines = Vec::new();
        of_node("node1", node.as_object().unwrap(), &mut lines);
        of_device("sw1", json!({ "ipaddress": "192.0.2.1" }).as_object().unwrap(), &mut lines);
        let text: Vec<String> =
            lines.iter().map(|(address, names)| format!("{address} {}", names.join(" "))).collect();
        assert_eq!(
            text,
            [
                "10.148.0.1 node1.ipmi",
                "10.141.0.1 node1.cluster node1",
                "fd00::1 node1.cluster node1",
                "192.0.2.1 sw1",
            ]
        );
    }
}
