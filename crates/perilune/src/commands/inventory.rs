//! `perilune inventory`: what machines are made of, as their installers told, or as their BMCs know it.

use clap::Args;
use perilune::client::{self, path};
use serde_json::{Map, Value, json};

use super::control::{self, Hosts};
use crate::failure::Failure;
use crate::output;
use crate::output::table::{Cell, Table};
use crate::output::text::field_text;
use crate::select::Exclude;
use crate::session::Session;

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune inventory
  perilune inventory 'rack:r1' -o csv
  perilune inventory node001 --full -o json     (disks, cards, GPUs, PCI devices)
  perilune inventory --bmc 'node[001-004]'      (asks the BMCs)

A node tells its inventory when it is installed.";

#[derive(Args)]
pub(crate) struct Inventory {
    /// Names, host lists or selectors (default: all nodes)
    nodes: Vec<String>,
    #[command(flatten)]
    exclude: Exclude,
    /// All that is known, instead of a line for each node
    #[arg(long)]
    full: bool,
    /// Ask the BMCs now what they know of the machines
    #[arg(long, conflicts_with = "full")]
    bmc: bool,
}

/// The columns of the table: titles and fields.
const COLUMNS: [(&str, &str); 10] = [
    ("PRODUCT", "product"),
    ("SERIAL", "serial"),
    ("CPUS", "cpu_count"),
    ("MEMORY MB", "memory_mb"),
    ("DISKS", "disk_count"),
    ("DISKS GB", "disk_total_gb"),
    ("GPUS", "gpu_count"),
    ("NICS", "nic_count"),
    ("SOURCE", "source"),
    ("UPDATED", "updated"),
];

pub(crate) fn run(session: &Session, arguments: &Inventory) -> Result<(), Failure> {
    if arguments.bmc {
        if arguments.nodes.is_empty() {
            return Err(Failure::usage("name the nodes whose BMCs are to be asked"));
        }
        let hosts = Hosts::of(arguments.nodes.clone(), arguments.exclude.clone());
        return control::many(session, ("inventory", "list"), &hosts);
    }
    let mut known = listed(session)?;
    if !arguments.nodes.is_empty() {
        let names = session.nodes(&arguments.nodes, &arguments.exclude)?;
        known.retain(|name, _| names.contains(name));
    }
    if arguments.full {
        for (name, entry) in &mut known {
            *entry = whole(session, name)?;
        }
    }
    if !session.output.is_table() {
        return Ok(session.output.value(&known.into())?);
    }
    if known.is_empty() {
        return Ok(output::line("none; nodes tell their inventories when they are installed")?);
    }
    if arguments.full {
        return full(session, &known);
    }
    let titles = std::iter::once("NODE").chain(COLUMNS.iter().map(|(title, _)| *title));
    let mut table = Table::new(titles.collect::<Vec<_>>()).whole(&["NODE"]);
    for (name, entry) in &known {
        let text =
            |key: &str| entry.get(key).map(|value| field_text(key, value)).unwrap_or_default();
        let cells = COLUMNS.iter().map(|(_, key)| Cell::new(text(key)));
        table.row(std::iter::once(Cell::new(name)).chain(cells).collect::<Vec<_>>());
    }
    Ok(session.output.table(&table)?)
}

/// Those of all nodes in short; none where no node has told one.
fn listed(session: &Session) -> Result<Map<String, Value>, Failure> {
    let answer = match session.client.get("/config/node/inventory") {
        Ok(answer) => answer,
        Err(client::Error::NotFound { .. }) => return Ok(Map::new()),
        Err(error) => return Err(error.into()),
    };
    let nodes = answer.pointer("/config/node").and_then(Value::as_object);
    Ok(nodes.cloned().unwrap_or_default())
}

/// All that is known of one node: its latest inventory.
fn whole(session: &Session, node: &str) -> Result<Value, Failure> {
    let answer = session.client.get(&path(["config", "node", node, "inventory"]))?;
    let list = answer.get("config").and_then(|all| all.get("node")?.get(node)?.get("inventory"));
    Ok(list.and_then(|list| list.get(0)).cloned().unwrap_or_else(|| json!({})))
}

/// Each node with its lists, one line for each part.
fn full(session: &Session, known: &Map<String, Value>) -> Result<(), Failure> {
    let mut table = Table::new(["NODE", "PART", "NAME", "ABOUT"]).whole(&["NODE", "PART"]);
    for (node, entry) in known {
        for (key, value) in entry.as_object().into_iter().flatten() {
            let Value::Array(parts) = value else {
                let text = field_text(key, value);
                table.row(vec![Cell::new(node), Cell::new(key), Cell::new(text), Cell::new("")]);
                continue;
            };
            for part in parts.iter().filter_map(Value::as_object) {
                let first = part.get("name").or_else(|| part.get("busid"));
                let name = first.and_then(Value::as_str).unwrap_or_default();
                let said = part.iter().filter(|(key, _)| !["name"].contains(&key.as_str()));
                let said = said.map(|(key, value)| (key, field_text(key, value)));
                let words: Vec<String> = said
                    .filter(|(_, text)| !text.is_empty())
                    .map(|(key, text)| format!("{key}={text}"))
                    .collect();
                let cells = [node.as_str(), key.as_str(), name, &words.join(" ")];
                table.row(cells.map(Cell::new).to_vec());
            }
        }
    }
    Ok(session.output.table(&table)?)
}
