//! `perilune dns`: DNS hosts of a network that are not devices of the cluster.

use clap::Subcommand;
use perilune::client;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::table::{Cell, Table};
use crate::output::text::field_text;
use crate::session::{Edit, Session, ask_to_remove};

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune dns set cluster printer 10.141.0.77
  perilune dns list cluster
  perilune dns remove cluster printer

Nodes, switches, other devices and controllers have their names without this.";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the hosts of a network
    #[command(visible_alias = "ls")]
    List {
        /// The network
        network: String,
    },
    /// Give a host its address, new or not
    Set {
        /// The network
        network: String,
        /// The host, without the network's domain
        host: String,
        /// Its address, IPv4 or IPv6
        ipaddress: String,
    },
    /// Remove a host
    #[command(visible_alias = "rm")]
    Remove {
        /// The network
        network: String,
        /// The host
        host: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List { network } => list(session, &network),
        Command::Set { network, host, ipaddress } => {
            let path = client::path(["config", "dns", &network]);
            let hosts = json!([{ "host": host, "ipaddress": ipaddress }]);
            let body = json!({ "config": { "dns": { network: hosts } } });
            session.client.post(&path, &body)?;
            session.done(&format!("{host} has the address {ipaddress}"))
        }
        Command::Remove { network, host, yes } => {
            let path = client::path(["config", "dns", &network, &host, "_delete"]);
            let edit = Edit::get(&host, &path);
            if !yes && !session.client.only_tries() {
                session.tried(&edit)?;
                ask_to_remove(&format!("the host {host} of the network {network}"), &[])?;
            }
            session.one(&edit)?;
            session.done(&format!("{host} removed"))
        }
    }
}

fn list(session: &Session, network: &str) -> Result<(), Failure> {
    session.client.object("network", network)?;
    let answer = match session.client.get(&client::path(["config", "dns", network])) {
        Err(client::Error::NotFound { .. }) => Value::Null,
        answer => answer?,
    };
    let hosts = answer.pointer("/config/dns").and_then(|dns| dns.get(network));
    let hosts = hosts.and_then(Value::as_array).cloned().unwrap_or_default();
    if !session.output.is_table() {
        return Ok(session.output.value(&hosts.into())?);
    }
    let mut table = Table::new(["HOST", "ADDRESS"]);
    for host in &hosts {
        let text =
            |key: &str| host.get(key).map(|value| field_text(key, value)).unwrap_or_default();
        table.row([Cell::new(text("host")), Cell::new(text("ipaddress"))]);
    }
    Ok(session.output.table(&table)?)
}
