//! `perilune dns`: DNS hosts of a network that are not devices of the cluster, and other records of its domain.

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
  perilune dns set cluster www node001 --type CNAME
  perilune dns set cluster _ldap._tcp '0 5 389 ldap01' '1 5 389 ldap02' --type SRV
  perilune dns set cluster @ 'v=spf1 -all' --type TXT
  perilune dns list cluster
  perilune dns remove cluster printer

Nodes, switches, other devices and controllers have their names without this.";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the hosts and records of a network
    #[command(visible_alias = "ls")]
    List {
        /// The network
        network: String,
    },
    /// Give a host its address, new or not; or a name its records of another type
    Set {
        /// The network
        network: String,
        /// The host, without the network's domain; @ for the domain itself
        host: String,
        /// Its address, IPv4 or IPv6; or all its records of the type, as zone files have them
        #[arg(required = true)]
        value: Vec<String>,
        /// Other records: TXT, SRV, CNAME or MX
        #[arg(long, value_parser = ["TXT", "SRV", "CNAME", "MX"], ignore_case = true)]
        r#type: Option<String>,
    },
    /// Remove a host with all its records, or its records of a type
    #[command(visible_alias = "rm")]
    Remove {
        /// The network
        network: String,
        /// The host
        host: String,
        /// Only its records of this type
        #[arg(long, value_parser = ["TXT", "SRV", "CNAME", "MX"], ignore_case = true)]
        r#type: Option<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List { network } => list(session, &network),
        Command::Set { network, host, value, r#type } => {
            let entries: Value = match &r#type {
                Some(of) => {
                    let entry =
                        |value: &String| json!({ "host": host, "type": of, "value": value });
                    value.iter().map(entry).collect()
                }
                None => {
                    let [ipaddress] = value.as_slice() else {
                        return Err(Failure::usage(
                            "a host has one address; for other records say --type",
                        ));
                    };
                    json!([{ "host": host, "ipaddress": ipaddress }])
                }
            };
            save(session, &network, &entries)?;
            let has = if r#type.is_none() { " the address" } else { "" };
            session.done(&format!("{host} has{has} {}", value.join(", ")))
        }
        Command::Remove { network, host, r#type: Some(of), .. } => {
            save(session, &network, &json!([{ "host": host, "type": of, "value": "" }]))?;
            session.done(&format!("{host} has no record {of}"))
        }
        Command::Remove { network, host, yes, r#type: None } => {
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

fn save(session: &Session, network: &str, entries: &Value) -> Result<(), Failure> {
    let body = json!({ "config": { "dns": { network: entries } } });
    session.client.post(&client::path(["config", "dns", network]), &body)?;
    Ok(())
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
    let mut table = Table::new(["HOST", "TYPE", "VALUE"]);
    for host in &hosts {
        let text = |key: &str| host.get(key).map(|value| field_text(key, value));
        let address = text("ipaddress");
        let of =
            address.as_ref().map(|own| if own.contains(':') { "AAAA" } else { "A" }.to_owned());
        let [name, of, value] = [text("host"), of.or(text("type")), address.or(text("value"))];
        table.row([name, of, value].map(|text| Cell::new(text.unwrap_or_default())));
    }
    Ok(session.output.table(&table)?)
}
