//! `perilune controller`: the controllers that share a database.

use clap::{Args, Subcommand};
use perilune::client::path;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output;
use crate::output::table::{Cell, Table};
use crate::output::text::field_text;
use crate::session::Session;

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune controller list                   (who runs, who is the master, who is behind)
  perilune controller master                 (make the one that is asked the master)
  perilune controller drain controller2      (before its daemon is stopped)
  perilune controller remove controller2     (gone for good)

Every controller takes changes and serves machines. The master does what one alone may do, such as writing files of a DHCP server.";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List controllers, with their versions, and whether they serve what is stored
    #[command(visible_alias = "ls", after_help = "Example:\n  perilune controller list")]
    List,
    /// Make the controller that is asked the master
    #[command(after_help = "Example:\n  perilune controller master")]
    Master,
    /// Prepare a controller to be stopped: it is the master no longer, and others are chosen
    #[command(
        after_help = "Examples:\n  perilune controller drain controller2\n  perilune controller drain controller2 --undo"
    )]
    Drain(Drain),
    /// Forget a controller that runs no more, with its jobs and its audit
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  perilune controller remove controller2"
    )]
    Remove {
        /// The controller
        name: String,
    },
}

#[derive(Args)]
pub(crate) struct Drain {
    /// The controller
    name: String,
    /// It is not to be stopped after all
    #[arg(long)]
    undo: bool,
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List => list(session),
        Command::Master => {
            session.client.get("/ha/master/_set")?;
            Ok(output::line("the controller that was asked is the master")?)
        }
        Command::Drain(Drain { name, undo }) => {
            let body = json!({ "drained": !undo });
            session.client.post(&path(["controller", &name, "_drain"]), &body)?;
            let done = if undo { "drained no longer" } else { "drained: it can be stopped" };
            Ok(output::line(&format!("{name} is {done}"))?)
        }
        Command::Remove { name } => {
            session.client.post(&path(["controller", &name, "_remove"]), &json!({}))?;
            Ok(output::line(&format!("{name} is removed"))?)
        }
    }
}

fn list(session: &Session) -> Result<(), Failure> {
    let answer = session.client.get("/controller")?;
    if !session.output.is_table() {
        return Ok(session.output.value(&answer)?);
    }
    let stored = answer.get("revision").and_then(Value::as_u64).unwrap_or_default();
    let head = ["NAME", "STATE", "MASTER", "REVISION", "BEHIND", "VERSION", "URL", "HEARD"];
    let mut table = Table::new(head).whole(&["NAME", "STATE", "MASTER", "URL"]);
    let controllers = answer.get("controllers").and_then(Value::as_array);
    for controller in controllers.into_iter().flatten() {
        let text =
            |key: &str| controller.get(key).map(|value| field_text(key, value)).unwrap_or_default();
        let is = |key: &str| controller.get(key).and_then(Value::as_bool) == Some(true);
        let revision = controller.get("revision").and_then(Value::as_u64).unwrap_or_default();
        let drained = if is("drained") { ", drained" } else { "" };
        table.row([
            Cell::new(text("name")),
            Cell::new(format!("{}{drained}", text("state"))),
            Cell::new(if is("master") { "yes" } else { "" }),
            Cell::new(revision.to_string()),
            Cell::new(stored.saturating_sub(revision).to_string()),
            Cell::new(text("version")),
            Cell::new(text("url")),
            Cell::new(text("heard")),
        ]);
    }
    Ok(session.output.table(&table)?)
}
