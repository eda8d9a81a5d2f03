//! `perilune node identity`, `perilune node log` and `perilune export --format ssh-known-hosts`: what nodes are known by, and what their
//! installers said.

use clap::{Args, Subcommand};
use perilune::client;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::output;
use crate::output::table::{Cell, Table};
use crate::select::Exclude;
use crate::session::{Session, insist};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show what nodes are known by: host keys of SSH, names of storage
    #[command(after_help = "Example:\n  perilune node identity show node[001-004]")]
    Show {
        /// The nodes, such as node[001-016] or @compute
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        exclude: Exclude,
    },
    /// Give nodes new keys and numbers, from their next installation on
    #[command(
        after_help = "A machine that is replaced keeps the identity of its node, so that users see no change. Renew it when the old
machine or its disks leave your hands: whoever has them has its keys.

Examples:
  perilune node identity renew node007
  perilune node identity renew node[001-016] --yes
  perilune export --format ssh-known-hosts > /etc/ssh/ssh_known_hosts"
    )]
    Renew {
        /// The nodes, such as node[001-016] or @compute
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        exclude: Exclude,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Args)]
pub(crate) struct Log {
    /// The node
    name: String,
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Show { names, exclude } => show(session, &session.nodes(&names, &exclude)?),
        Command::Renew { names, exclude, yes } => {
            renew(session, &session.nodes(&names, &exclude)?, yes)
        }
    }
}

fn show(session: &Session, names: &[String]) -> Result<(), Failure> {
    let known = identities(session, Some(names))?;
    if !session.output.is_table() {
        return Ok(session.output.value(&known.into())?);
    }
    if known.is_empty() {
        return Ok(output::line("none: an identity is made when a node is first installed")?);
    }
    let mut table = Table::new(["NODE", "WHAT", "VALUE"]).whole(&["NODE", "WHAT"]);
    for (name, identity) in &known {
        let text = |key: &str| identity.get(key).and_then(Value::as_str).unwrap_or_default();
        let mut row = |what: &str, value: &str| {
            table.row([Cell::new(name), Cell::new(what), Cell::new(value)]);
        };
        for key in strings(identity, "ssh_host_keys") {
            row("SSH host key", &key);
        }
        row("iSCSI initiator", text("iscsi_initiator"));
        row("NVMe host", text("nvme_hostnqn"));
    }
    Ok(session.output.table(&table)?)
}

fn renew(session: &Session, names: &[String], yes: bool) -> Result<(), Failure> {
    if !yes {
        let nodes = perilune_select::hostlist::fold(names);
        insist(&format!(
            "{nodes}: users will be warned of other host keys after the next installation."
        ))?;
    }
    let answer =
        session.client.post("/config/identity/_renew", &json!({ "nodes": names.join(",") }))?;
    session.say(&answer)
}

/// The public host keys of all nodes, as `ssh` reads them (sshd(8), `SSH_KNOWN_HOSTS FILE FORMAT`).
pub(crate) fn known_hosts(session: &Session) -> Result<(), Failure> {
    let known = identities(session, None)?;
    if !session.output.is_table() {
        return Ok(session.output.value(&known.into())?);
    }
    let mut text = String::new();
    for identity in known.values() {
        let names = strings(identity, "names").join(",");
        for key in strings(identity, "ssh_host_keys") {
            text.extend([names.as_str(), " ", &key, "\n"]);
        }
    }
    if text.is_empty() {
        output::note("no node has been installed yet, so there are no host keys");
        return Ok(());
    }
    Ok(output::write(text.trim_end())?)
}

pub(crate) fn log(session: &Session, arguments: &Log) -> Result<(), Failure> {
    let name = arguments.name.as_str();
    let answer = session.client.get(&client::path(["monitor", "log", name]))?;
    let log = answer.pointer("/monitor/log").and_then(|logs| logs.get(name));
    let log = log.cloned().unwrap_or_default();
    if !session.output.is_table() {
        return Ok(session.output.value(&log)?);
    }
    let text = |key: &str| log.get(key).and_then(Value::as_str).unwrap_or_default();
    output::note(&format!("the log of {name}, as of {}", text("at")));
    Ok(output::write(text("text").trim_end())?)
}

fn identities(session: &Session, names: Option<&[String]>) -> Result<Map<String, Value>, Failure> {
    let which = names.map(|names| format!("?nodes={}", client::encode(&names.join(","))));
    let answer = session.client.get(&format!("/config/identity{}", which.unwrap_or_default()))?;
    let known = answer.pointer("/config/identity").and_then(Value::as_object);
    Ok(known.cloned().unwrap_or_default())
}

fn strings(identity: &Value, key: &str) -> Vec<String> {
    let items = identity.get(key).and_then(Value::as_array);
    let texts = items.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}
