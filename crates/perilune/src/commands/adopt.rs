//! `perilune node unknown` and `perilune node adopt`

use clap::Args;
use serde_json::{Map, Value, json};

use super::node::{boot_interface, needs_group};
use crate::failure::Failure;
use crate::output;
use crate::output::note;
use crate::output::table::{Cell, Table};
use crate::output::text::field_text;
use crate::session::Session;

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune node unknown
  perilune node adopt 52:54:00:12:34:56 node004 --group compute
  perilune node adopt 52:54:00:12:34:56 node004      (node004 exists and gets this MAC address)
  perilune node adopt 52:54:00:12:34:56              (it becomes what was chosen at its console)

The machine is served at its next request; switch it off and on, or choose retry in its boot menu.";

#[derive(Args)]
pub(crate) struct Adopt {
    /// MAC address of the machine, as `perilune node unknown` lists it
    mac: String,
    /// The node it becomes; without it, what was chosen at the machine's console
    source: Option<String>,
    /// Allow it to replace the machine that the node has now
    #[arg(long, conflicts_with = "source")]
    replace: bool,
    /// The group of a new node; not needed when there is only one
    #[arg(long, short)]
    group: Option<String>,
}

pub(crate) fn unknown(session: &Session) -> Result<(), Failure> {
    let machines = machines(session)?;
    if !session.output.is_table() {
        return Ok(session.output.value(&machines.into())?);
    }
    if machines.is_empty() {
        return Ok(output::line("none: every machine that asked to boot is a node")?);
    }
    let titles = [
        "MAC",
        "ADDRESS",
        "SWITCH",
        "PORT",
        "LAST SEEN",
        "REQUESTS",
        "FIRST SEEN",
        "CLAIM",
        "CLIENT",
    ];
    let mut table = Table::new(titles).whole(&[
        "MAC",
        "ADDRESS",
        "SWITCH",
        "PORT",
        "LAST SEEN",
        "REQUESTS",
        "FIRST SEEN",
    ]);
    for machine in &machines {
        let text = |key: &str| {
            Cell::new(machine.get(key).map(|value| field_text(key, value)).unwrap_or_default())
        };
        let name = machine.get("portname").is_some_and(Value::is_string);
        table.row([
            text("macaddress"),
            text("ipaddress"),
            text("switch"),
            text(if name { "portname" } else { "port" }),
            text("last_seen"),
            text("requests"),
            text("first_seen"),
            text("claim"),
            text("vendor_class"),
        ]);
    }
    Ok(session.output.table(&table)?)
}

pub(crate) fn run(session: &Session, arguments: Adopt) -> Result<(), Failure> {
    let Adopt { mac, source, replace, group } = arguments;
    let mac = mac.to_ascii_lowercase().replace('-', ":");
    let Some(name) = source else { return accept(session, &mac, replace) };
    let node = match session.client.object("node", &name) {
        Ok(node) => Some(node),
        Err(perilune::client::Error::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let mut fields = Map::new();
    let (interface, done) = match &node {
        Some(node) => {
            refuse_second_machine(&name, node, &mac)?;
            fields.extend(group.map(|group| ("group".to_owned(), group.into())));
            (boot_interface(node), "has the MAC address")
        }
        None => {
            fields.insert("group".to_owned(), group_of_new_node(session, group)?.into());
            ("BOOTIF".to_owned(), "added with the MAC address")
        }
    };
    fields.insert("interfaces".to_owned(), json!([{ "interface": interface, "macaddress": mac }]));
    session.client.save("node", &name, &fields)?;
    if session.client.only_tries() {
        return session.say(&Value::Null);
    }
    // Who makes a machine a node means it to boot. Where the site does not take this as evidence, its firmware's request will do.
    drop(session.client.post("/boot/window", &json!({ "nodes": name })));
    let seen = machines(session).unwrap_or_default();
    let node = session.client.object("node", &name)?;
    if !session.output.is_table() {
        return Ok(session.output.value(&node.into())?);
    }
    let address = node.get("interfaces").and_then(Value::as_array).into_iter().flatten();
    let address = address
        .filter(|item| item.get("macaddress").and_then(Value::as_str) == Some(mac.as_str()))
        .find_map(|item| item.get("ipaddress")?.as_str());
    let address = address.map_or_else(String::new, |address| format!(", address {address}"));
    output::line(&format!("{name} {done} {mac}{address}"))?;
    if !seen.iter().any(|machine| machine.get("macaddress") == Some(&Value::from(mac.as_str()))) {
        note("it is served when it asks to boot; switch it on, or off and on");
    }
    Ok(())
}

/// Makes a machine what it says at its console that it is.
fn accept(session: &Session, mac: &str, replace: bool) -> Result<(), Failure> {
    let path = format!("/boot/claim/{mac}/_accept");
    let answer = session.client.post(&path, &json!({ "replace": replace }))?;
    if !session.output.is_table() {
        return Ok(session.output.value(&answer)?);
    }
    let node = answer.get("node").and_then(Value::as_str).unwrap_or_default();
    Ok(output::line(&format!("{node} has the MAC address {mac}"))?)
}

fn machines(session: &Session) -> Result<Vec<Value>, Failure> {
    let answer = session.client.get("/monitor/unknown")?;
    Ok(answer.pointer("/monitor/unknown").and_then(Value::as_array).cloned().unwrap_or_default())
}

fn group_of_new_node(session: &Session, group: Option<String>) -> Result<String, Failure> {
    if let Some(group) = group {
        return Ok(group);
    }
    let mut groups = session.client.objects("group")?.into_iter().map(|(name, _)| name);
    match (groups.next(), groups.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(needs_group(session)),
    }
}

/// A node that has a MAC address is a machine already; taking it over must be said plainly.
fn refuse_second_machine(name: &str, node: &Map<String, Value>, mac: &str) -> Result<(), Failure> {
    let boot = boot_interface(node);
    let interfaces = node.get("interfaces").and_then(Value::as_array).into_iter().flatten();
    let known = interfaces
        .filter(|item| item.get("interface").and_then(Value::as_str) == Some(boot.as_str()))
        .find_map(|item| item.get("macaddress")?.as_str());
    match known {
        Some(known) if !known.is_empty() && !known.eq_ignore_ascii_case(mac) => {
            Err(Failure::Failed {
                message: format!(
                    "{name} is a machine already: its {boot} has the MAC address {known}"
                ),
                hint: Some(format!("to replace it: perilune node replace {name} {mac}")),
            })
        }
        _ => Ok(()),
    }
}
