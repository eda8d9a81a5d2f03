//! `perilune reservation`: machines that an import refused, until somebody decides about them.

use clap::Subcommand;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::output::table::{Cell, Table};
use crate::resource::{self, List, Names, Remove, Resource};
use crate::session::Session;

pub(crate) const EXAMPLES: &str = "Examples:
  perilune reservation list
  perilune reservation release Node_3        (its machine may become a node, its addresses are free)
  perilune node adopt 52:54:00:00:00:03 node003 --group compute";

const RESOURCE: Resource = Resource {
    kind: "reservation",
    new_name: "",
    table,
    first: "an import makes one for each machine that it refuses",
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List them
    #[command(visible_alias = "ls")]
    List(List),
    /// Show objects in full
    Show(Names),
    /// Let their machines become nodes, and give their addresses away
    #[command(visible_alias = "rm")]
    Release(Remove),
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => resource::list(session, &RESOURCE, &arguments),
        Command::Show(arguments) => resource::show(session, &RESOURCE, &arguments),
        Command::Release(arguments) => resource::remove(session, &RESOURCE, &arguments),
    }
}

fn table(objects: &Map<String, Value>) -> Table {
    let mut table = Table::new(vec!["NAME", "MACHINES", "ADDRESSES", "REASON"]);
    for (name, object) in objects {
        let list = |key: &str| {
            let words = object.get(key).and_then(Value::as_array).into_iter().flatten();
            words.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        };
        let reason = object.get("reason").and_then(Value::as_str).unwrap_or_default();
        table.row([
            Cell::new(name),
            Cell::new(list("macaddresses")),
            Cell::new(list("addresses")),
            Cell::new(reason),
        ]);
    }
    table
}
