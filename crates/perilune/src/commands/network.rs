//! `perilune network`

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::field::{FieldArguments, OWN_CONTROLLER, options};
use crate::output;
use crate::output::table::{Cell, Table};
use crate::output::text::field_text;
use crate::resource::{self, List, Names, Remove, Rename, Resource};
use crate::session::{Session, expand};

const RESOURCE: Resource = Resource {
    kind: "network",
    new_name: "newnetname",
    table,
    first: "add one with `perilune network add cluster --network 10.141.0.0/16`",
};

pub(crate) struct NetworkFields;

options!(NetworkFields, |fields| perilune_wire::network::request(
    fields,
    &[OWN_CONTROLLER.to_owned()]
));

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List networks
    #[command(visible_alias = "ls")]
    List(List),
    /// Show networks in full
    #[command(
        after_help = "Examples:\n  perilune network show cluster\n  perilune network show cluster -o json"
    )]
    Show(Names),
    /// Add networks
    #[command(after_help = "Examples:
  perilune network add cluster --network 10.141.0.0/16 --gateway 10.141.255.254
  perilune network add cluster --network 10.141.0.0/16 --dhcp yes \\
      --dhcp-range-begin 10.141.155.0 --dhcp-range-end 10.141.165.0")]
    Add(WithFields),
    /// Change fields of networks
    #[command(after_help = "Examples:
  perilune network change cluster --ntp-server 10.141.255.254
  perilune network change cluster --comment \"\"      (clears it)")]
    Change(WithFields),
    /// Copy a network's settings to a new range
    #[command(
        after_help = "Example:\n  perilune network clone cluster cluster2 --network 10.142.0.0/16"
    )]
    Clone(CloneArguments),
    /// Remove networks
    #[command(visible_alias = "rm", after_help = "Example:\n  perilune network remove ib")]
    Remove(Remove),
    /// Rename a network
    Rename(Rename),
    /// Show the addresses that are taken
    Members {
        /// The network
        source: String,
    },
    /// Reserve the next free address for ten minutes and print it
    NextFree {
        /// The network
        source: String,
    },
}

#[derive(Args)]
pub(crate) struct WithFields {
    /// Names, separated by commas
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    fields: FieldArguments<NetworkFields>,
}

#[derive(Args)]
pub(crate) struct CloneArguments {
    /// The network to copy
    source: String,
    /// The new network
    target: String,
    #[command(flatten)]
    fields: FieldArguments<NetworkFields>,
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => resource::list(session, &RESOURCE, &arguments),
        Command::Show(arguments) => resource::show(session, &RESOURCE, &arguments),
        Command::Add(WithFields { names, fields }) => {
            resource::add(session, &RESOURCE, &expand(&names)?, &fields.into_object()?)
        }
        Command::Change(WithFields { names, fields }) => {
            resource::change(session, &RESOURCE, &expand(&names)?, &fields.into_object()?)
        }
        Command::Clone(arguments) => clone(session, arguments),
        Command::Remove(arguments) => resource::remove(session, &RESOURCE, &arguments),
        Command::Rename(arguments) => resource::rename(session, &RESOURCE, &arguments),
        Command::Members { source } => members(session, &source),
        Command::NextFree { source } => next_free(session, &source),
    }
}

/// The API cannot clone networks. What belongs to the range (gateway, DHCP range) is not copied: it would lie outside
/// the new one.
fn clone(session: &Session, arguments: CloneArguments) -> Result<(), Failure> {
    const COPIED: [&str; 6] =
        ["nameserver_ip", "ntp_server", "zone", "type", "comment", "non_authoritative"];
    let CloneArguments { source, target, fields } = arguments;
    let given = fields.into_object()?;
    if !given.contains_key("network") {
        return Err(Failure::usage("a clone needs a range of its own: --network 10.142.0.0/16"));
    }
    let original = session.client.object("network", &source);
    let original =
        original.map_err(|error| resource::or_unknown(session, "network", &source, error))?;
    let copied = original
        .into_iter()
        .filter(|(key, value)| COPIED.contains(&key.as_str()) && !value.is_null());
    let fields: Map<String, Value> = copied.chain(given).collect();
    resource::add(session, &RESOURCE, &[target], &fields)
}

fn members(session: &Session, name: &str) -> Result<(), Failure> {
    let answer =
        session.client.get(&perilune::client::path(["config", "network", name, "_member"]));
    let answer = match answer {
        // Nobody has an address there, or there is no such network.
        Err(perilune::client::Error::NotFound { .. })
            if session.client.object("network", name).is_ok() =>
        {
            Value::Null
        }
        answer => answer.map_err(|error| resource::or_unknown(session, "network", name, error))?,
    };
    let taken = answer.pointer(&format!("/config/network/{name}/taken"));
    let taken = taken.and_then(Value::as_array).cloned().unwrap_or_default();
    if !session.output.is_table() {
        return Ok(session.output.value(&taken.into())?);
    }
    let mut table = Table::new(["ADDRESS", "DEVICE"]);
    for item in &taken {
        let text =
            |key: &str| item.get(key).map(|value| field_text(key, value)).unwrap_or_default();
        table.row([Cell::new(text("ipaddress")), Cell::new(text("device"))]);
    }
    Ok(session.output.table(&table)?)
}

fn next_free(session: &Session, name: &str) -> Result<(), Failure> {
    let path = perilune::client::path(["config", "network", name, "_nextfreeip"]);
    let answer = session.client.get(&path)?;
    let address = answer.pointer(&format!("/config/network/{name}/nextip")).and_then(Value::as_str);
    if !session.output.is_table() {
        return Ok(session.output.value(&answer)?);
    }
    Ok(output::line(address.unwrap_or_default())?)
}

fn table(networks: &Map<String, Value>) -> Table {
    let mut table = Table::new(["NAME", "NETWORK", "GATEWAY", "DHCP", "ZONE", "TYPE", "COMMENT"])
        .whole(&["NETWORK", "GATEWAY", "DHCP"]);
    for (name, network) in networks {
        let text =
            |key: &str| network.get(key).map(|value| field_text(key, value)).unwrap_or_default();
        let both = |first: String, second: String| {
            [first, second]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let dhcp = match (text("dhcp").as_str(), text("dhcp_range_begin"), text("dhcp_range_end")) {
            ("yes", begin, end) if !begin.is_empty() => format!("{begin}-{end}"),
            ("yes", ..) => "nodes only".to_owned(),
            _ => "no".to_owned(),
        };
        table.row([
            Cell::new(name),
            Cell::new(both(text("network"), text("network_ipv6"))),
            Cell::new(both(text("gateway"), text("gateway_ipv6"))),
            Cell::new(dhcp),
            Cell::new(text("zone")),
            Cell::new(text("type")),
            Cell::new(text("comment")),
        ]);
    }
    table
}
