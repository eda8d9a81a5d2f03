//! `perilune switch interface`: ports of switches with addresses of their own.

use clap::{Args, Subcommand};
use perilune::client::path;
use serde_json::{Map, Value, json};

use super::standard::columns;
use crate::failure::Failure;
use crate::field::{FieldArguments, options};
use crate::output;
use crate::resource::remove_all;
use crate::session::{Edit, Session};

const KIND: &str = "switch";

pub(crate) struct PortFields;

options!(PortFields, perilune_wire::device::switch_interface_request);

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List interfaces
    #[command(visible_alias = "ls", after_help = "Example:\n  perilune switch interface list sw01")]
    List {
        /// The switch
        switch: String,
    },
    /// Add an interface, or change fields of one
    #[command(visible_aliases = ["add", "change"], after_help = "Examples:
  perilune switch interface set sw01 eth0 --network ipmi --mac 52:54:00:12:34:56 --mgmt yes
  perilune switch interface set sw01 swp1 --network cluster --ip 10.141.200.9")]
    Set(Set),
    /// Rename an interface
    #[command(after_help = "Example:\n  perilune switch interface rename sw01 swp1 swp2")]
    Rename {
        /// The switch
        switch: String,
        /// The interface
        interface: String,
        /// The name it gets
        target: String,
    },
    /// Remove an interface
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  perilune switch interface remove sw01 swp1"
    )]
    Remove {
        /// The switch
        switch: String,
        /// The interface
        interface: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Args)]
pub(crate) struct Set {
    /// The switch
    switch: String,
    /// The interface, such as eth0 or swp1
    interface: String,
    #[command(flatten)]
    fields: FieldArguments<PortFields>,
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List { switch } => list(session, &switch),
        Command::Set(Set { switch, interface, fields }) => {
            if fields.is_empty() {
                return Err(Failure::usage("nothing to set is given; --help lists the fields"));
            }
            save(session, &switch, &interface, fields.into_object()?, "set")
        }
        Command::Rename { switch, interface, target } => {
            let fields = Map::from_iter([("newinterfacename".to_owned(), target.as_str().into())]);
            save(session, &switch, &interface, fields, &format!("renamed to {target}"))
        }
        Command::Remove { switch, interface, yes } => {
            let path = path(["config", KIND, &switch, "interfaces", &interface, "_delete"]);
            let what = format!("the interface {interface} of switch {switch}");
            let done = format!("has no {interface} any more");
            remove_all(session, KIND, (&what, &done), &[Edit::get(&switch, &path)], yes)
        }
    }
}

fn save(
    session: &Session,
    switch: &str,
    interface: &str,
    mut fields: Map<String, Value>,
    done: &str,
) -> Result<(), Failure> {
    fields.insert("interface".to_owned(), interface.into());
    let body = json!({ "config": { KIND: { switch: { "interfaces": [fields] } } } });
    session.client.post(&path(["config", KIND, switch, "interfaces"]), &body)?;
    session.done(&format!("interface {interface} of switch {switch} {done}"))
}

fn list(session: &Session, switch: &str) -> Result<(), Failure> {
    let answer = session.client.get(&path(["config", KIND, switch, "interfaces"]))?;
    let found = answer.get("config").and_then(|all| all.get(KIND)?.get(switch)?.get("interfaces"));
    let found = found.cloned().unwrap_or_else(|| json!([]));
    if !session.output.is_table() {
        return Ok(session.output.value(&found)?);
    }
    let named = found.as_array().into_iter().flatten().filter_map(|interface| {
        Some((interface.get("interface")?.as_str()?.to_owned(), interface.clone()))
    });
    let named: Map<String, Value> = named.collect();
    if named.is_empty() {
        let hint = format!(
            "none; add one with `perilune switch interface set {switch} eth0 --network NETWORK`"
        );
        return Ok(output::line(&hint)?);
    }
    let table = columns(
        &named,
        &["INTERFACE", "MGMT", "ADDRESS", "IPV6", "MAC", "NETWORK"],
        &["mgmt", "ipaddress", "ipaddress_ipv6", "macaddress", "network"],
    );
    Ok(session.output.table(&table)?)
}
