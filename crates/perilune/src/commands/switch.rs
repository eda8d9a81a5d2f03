//! `perilune switch`: switches, and who is connected to them.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::standard::{self, Switch};
use super::switch_interface;
use crate::failure::{Failure, error_line};
use crate::output;
use crate::output::table::{Cell, Table, Tone};
use crate::session::{Session, expand, unknown_among};

const EXAMPLES: &str = "\
Examples:
  perilune switch ports
  perilune switch ports sw01 -o json

NODE has the MAC address; EXPECTED is described to be at the port:
  perilune node change node007 --switch sw01 --switchport Ethernet1/7";

#[derive(Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Standard(standard::Command<Switch>),
    /// Ports with addresses of their own
    #[command(subcommand)]
    Interface(switch_interface::Command),
    /// Show who is connected to which port, as switches tell by SNMP
    #[command(after_help = EXAMPLES)]
    Ports(Ports),
}

#[derive(Args)]
pub(crate) struct Ports {
    /// Names or host lists (default: all switches)
    names: Vec<String>,
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Standard(command) => standard::run(session, command),
        Command::Interface(command) => switch_interface::run(session, command),
        Command::Ports(arguments) => ports(session, &arguments),
    }
}

/// What a switch says is shown though another one failed; then the exit code says so.
fn ports(session: &Session, arguments: &Ports) -> Result<(), Failure> {
    let answer = session.client.get("/monitor/switchport")?;
    let all = answer.pointer("/monitor/switchport").and_then(Value::as_object).cloned();
    let all = all.unwrap_or_default();
    let mut shown = Map::new();
    if arguments.names.is_empty() {
        shown.clone_from(&all);
    } else {
        for name in expand(&arguments.names)? {
            let switch = all.get(&name).cloned();
            let switch = switch.ok_or_else(|| unknown_among("switch", &name, &all))?;
            shown.insert(name, switch);
        }
    }
    let failed: Vec<(&String, &str)> = shown
        .iter()
        .filter_map(|(name, switch)| Some((name, switch.get("error")?.as_str()?)))
        .collect();
    if session.output.is_table() {
        show(session, &shown)?;
        for (name, error) in &failed {
            error_line(&format!("{name}: {error}"));
        }
    } else {
        session.output.value(&Value::Object(shown.clone()))?;
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Reported { code: 1 }) }
}

fn show(session: &Session, switches: &Map<String, Value>) -> Result<(), Failure> {
    if switches.is_empty() {
        return Ok(output::line(
            "none; add one with `perilune switch add sw01 --network cluster`",
        )?);
    }
    let mut table = Table::new(["SWITCH", "PORT", "NAME", "MAC", "NODE", "EXPECTED"])
        .whole(&["SWITCH", "PORT", "MAC"]);
    for (name, switch) in switches {
        for port in list(switch, "ports") {
            for machine in list(port, "machines") {
                table.row(row(name, port, machine));
            }
        }
    }
    if table.is_empty() {
        return Ok(output::line("no machine is connected, as far as the switches report")?);
    }
    Ok(session.output.table(&table)?)
}

/// A machine that is not the node it is expected to be is pointed out.
fn row(switch: &str, port: &Value, machine: &Value) -> [Cell; 6] {
    let expected: Vec<&str> = list(port, "nodes").filter_map(Value::as_str).collect();
    let node = text(machine, "node");
    let is_other = !expected.is_empty() && !expected.contains(&node.as_str());
    let tone = if is_other { Tone::Bad } else { Tone::Plain };
    [
        Cell::new(switch),
        Cell::new(text(port, "port")),
        Cell::new(text(port, "name")),
        Cell::new(text(machine, "macaddress")),
        Cell::new(node),
        Cell::toned(expected.join(","), tone),
    ]
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).map(|value| output::text::field_text(key, value)).unwrap_or_default()
}
