//! `perilune claim` and `perilune node replace`: what unknown machines say that they are, and saying yes to it.

use clap::{Args, Subcommand};
use perilune::client;
use serde_json::{Map, Value, json};

use super::arm::duration;
use crate::arguments::number;
use crate::failure::Failure;
use crate::output;
use crate::output::table::{Cell, Table};
use crate::output::text::field_text;
use crate::resource::{self, List, Remove, Resource};
use crate::session::Session;

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune claim list                                               (who waits for a yes)
  perilune node adopt 52:54:00:12:34:56                             (yes to one)
  perilune claim rule add room --group compute --count 32 --for 2h  (yes to many, in advance)
  perilune node replace node001                                     (a new machine in the place of the old one)

A claim is what a machine says at its console that it is, or seems to be by its cloud or its address. It changes nothing until somebody
says yes. A new machine at the switch port of a node, or by the name of one, is an offer: no rule accepts it, `node replace` does.";

const RULE: Resource = Resource {
    kind: "claimrule",
    new_name: "",
    table: rules,
    first: "add one with `perilune claim rule add NAME --group GROUP --count 32 --for 2h`",
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List machines that wait for approval
    #[command(visible_alias = "ls")]
    List,
    /// Rules that approve in advance
    #[command(subcommand, after_help = EXAMPLES)]
    Rule(Rule),
}

#[derive(Subcommand)]
pub(crate) enum Rule {
    /// List rules
    #[command(visible_alias = "ls")]
    List(List),
    /// Accept claims in advance
    Add(Add),
    /// Remove rules; claims wait for approval again
    #[command(visible_alias = "rm")]
    Remove(Remove),
}

#[derive(Args)]
pub(crate) struct Add {
    /// What the rule is called
    name: String,
    /// Only claims to be a node of this group; machines that claim nothing become its next nodes
    #[arg(long, short)]
    group: Option<String>,
    /// Only machines that ask from this network
    #[arg(long)]
    network: Option<String>,
    /// How many machines
    #[arg(long, default_value = "1", value_parser = number::<u32>)]
    count: u32,
    /// How long, such as 2h or 3d; 30 days at most
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = duration)]
    length: u64,
}

#[derive(Args)]
pub(crate) struct Replace {
    /// The node whose machine is another now
    name: String,
    /// MAC address of the new machine; without it, the one that offers itself
    mac: Option<String>,
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List => list(session),
        Command::Rule(Rule::List(arguments)) => resource::list(session, &RULE, &arguments),
        Command::Rule(Rule::Add(arguments)) => add(session, &arguments),
        Command::Rule(Rule::Remove(arguments)) => resource::remove(session, &RULE, &arguments),
    }
}

fn claims(session: &Session) -> Result<Vec<Value>, Failure> {
    let answer = session.client.get("/boot/claim")?;
    Ok(answer.get("claims").and_then(Value::as_array).cloned().unwrap_or_default())
}

fn text(object: &Value, key: &str) -> String {
    object.get(key).map(|value| field_text(key, value)).unwrap_or_default()
}

fn list(session: &Session) -> Result<(), Failure> {
    let claims = claims(session)?;
    if !session.output.is_table() {
        return Ok(session.output.value(&claims.into())?);
    }
    if claims.is_empty() {
        return Ok(output::line("none: no machine waits for a yes")?);
    }
    let mut table = Table::new(["MAC", "WANTS TO BE", "IN PLACE OF", "ADDRESS", "SINCE", "WHY"])
        .whole(&["MAC", "WANTS TO BE", "IN PLACE OF", "ADDRESS", "SINCE"]);
    for claim in &claims {
        let wish = match claim.get("node").and_then(Value::as_str) {
            Some(node) => format!("node {node}"),
            None => format!("next of {}", text(claim, "group")),
        };
        table.row([
            Cell::new(text(claim, "macaddress")),
            Cell::new(wish),
            Cell::new(text(claim, "replaces")),
            Cell::new(text(claim, "address")),
            Cell::new(text(claim, "since")),
            Cell::new(text(claim, "reason")),
        ]);
    }
    Ok(session.output.table(&table)?)
}

fn rules(rules: &Map<String, Value>) -> Table {
    let mut table = Table::new(["NAME", "GROUP", "NETWORK", "LEFT", "UNTIL", "IN FORCE"]);
    for (name, rule) in rules {
        let text = |key: &str| Cell::new(text(rule, key));
        table.row([
            Cell::new(name),
            text("group"),
            text("network"),
            text("left"),
            text("until"),
            text("in_force"),
        ]);
    }
    table
}

fn add(session: &Session, arguments: &Add) -> Result<(), Failure> {
    let Add { name, group, network, count, length } = arguments;
    let mut fields = Map::new();
    fields.extend(group.clone().map(|group| ("group".to_owned(), group.into())));
    fields.extend(network.clone().map(|network| ("network".to_owned(), network.into())));
    fields.insert("count".to_owned(), (*count).into());
    fields.insert("seconds".to_owned(), (*length).into());
    resource::add(session, &RULE, std::slice::from_ref(name), &fields)
}

/// The machine that offers itself as this node.
fn offered(session: &Session, node: &str) -> Result<String, Failure> {
    let offers: Vec<String> = claims(session)?
        .iter()
        .filter(|claim| claim.get("node").and_then(Value::as_str) == Some(node))
        .map(|claim| text(claim, "macaddress"))
        .collect();
    match offers.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Failure::Failed {
            message: format!("no machine offers itself as {node}"),
            hint: Some(format!(
                "name it: perilune node replace {node} MAC; `perilune node unknown` lists machines that ask to boot"
            )),
        }),
        several => Err(Failure::Failed {
            message: format!("several machines offer themselves as {node}: {}", several.join(", ")),
            hint: Some(format!("name one: perilune node replace {node} MAC")),
        }),
    }
}

pub(crate) fn replace(session: &Session, arguments: &Replace) -> Result<(), Failure> {
    let Replace { name, mac } = arguments;
    let mac = match mac {
        Some(mac) => mac.to_ascii_lowercase().replace('-', ":"),
        None => offered(session, name)?,
    };
    let path = client::path(["boot", "claim", &mac, "_accept"]);
    let answer = session.client.post(&path, &json!({ "node": name, "replace": true }))?;
    if !session.output.is_table() {
        return Ok(session.output.value(&answer)?);
    }
    let former = match answer.get("replaced").and_then(Value::as_str) {
        Some(former) => format!(", in place of {former}"),
        None => String::new(),
    };
    Ok(output::line(&format!("{name} has the MAC address {mac}{former}"))?)
}
