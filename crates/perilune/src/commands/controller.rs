//! `perilune controller`: the controllers that share a database.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use console::Term;
use perilune::client::path;
use perilune_daemon::joining;
use serde_json::{Value, json};

use crate::commands::backup::{become_owner, how_to_start};
use crate::failure::Failure;
use crate::output;
use crate::output::table::{Cell, Table};
use crate::output::text::field_text;
use crate::password;
use crate::session::Session;

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune controller list                   (who runs, who is the master, who is behind)
  perilune controller invite                 (a code with which another joins)
  perilune controller join https://10.141.255.254:7050 --name controller2    (on the other machine; asks for the code)
  perilune controller master                 (make the one that is asked the master)
  perilune controller drain controller2      (before its daemon is stopped)
  perilune controller remove controller2     (gone for good)

Every controller takes changes and serves machines. The master does what one alone may do, such as writing files of a DHCP server.";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List controllers, with their versions, and whether they serve what is stored
    #[command(visible_alias = "ls", after_help = "Example:\n  perilune controller list")]
    List,
    /// Make a code with which one new controller joins: good once, for 15 minutes
    #[command(after_help = "Example:\n  perilune controller invite")]
    Invite,
    /// Make this machine a controller of a site: its key file, `SECRET_KEY`, administrator and access to the database come from another
    ///
    /// The code is asked for, or read from standard input: on the command line everybody on the machine would read it.
    #[command(
        after_help = "Example:\n  perilune controller join https://10.141.255.254:7050 --name controller2 --data-dir /var/lib/perilune"
    )]
    Join(Join),
    /// Make the controller that is asked the master
    #[command(after_help = "Example:\n  perilune controller master")]
    Master,
    /// Prepare a controller to be stopped: it is the master no longer, and others are chosen
    #[command(
        after_help = "Examples:\n  perilune controller drain controller2\n  perilune controller drain controller2 --undo"
    )]
    Drain(Drain),
    /// Remove a controller that no longer runs, with its jobs and its audit
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
pub(crate) struct Join {
    /// Where the other controller is
    url: String,
    /// What this controller is called: no other has the name
    #[arg(long)]
    name: String,
    /// Where its data is to be
    #[arg(long, default_value = "/var/lib/perilune")]
    data_dir: PathBuf,
}

#[derive(Args)]
pub(crate) struct Drain {
    /// The controller
    name: String,
    /// Cancel this: the controller is not to be stopped
    #[arg(long)]
    undo: bool,
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List => list(session),
        Command::Join(arguments) => join(&arguments),
        Command::Invite => invite(session),
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

fn invite(session: &Session) -> Result<(), Failure> {
    let answer = session.client.post("/controller/_invite", &json!({}))?;
    if !session.output.is_table() {
        return Ok(session.output.value(&answer)?);
    }
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
    let (url, code) = (text("url"), text("code"));
    let command = format!("perilune controller join {url} --name NAME");
    output::line(&format!("on the new controller, within 15 minutes:\n  {command}"))?;
    Ok(output::line(&format!("it asks for the code: {code}"))?)
}

/// Nobody is logged in for this: the code says enough.
pub(crate) fn join(arguments: &Join) -> Result<(), Failure> {
    let Join { url, name, data_dir } = arguments;
    let failed =
        |error: joining::Error| Failure::failed(format!("{:#}", anyhow::Error::new(error)));
    let data_dir = std::path::absolute(data_dir)
        .map_err(|error| Failure::usage(format!("--data-dir {}: {error}", data_dir.display())))?;
    let code = password::typed(&Term::stderr(), "Code: ")?;
    let start = how_to_start(&data_dir);
    become_owner(&data_dir)?;
    let made = joining::join(url, code.trim(), name, &data_dir).map_err(failed)?;
    let (made, directory) = (made.display(), data_dir.display());
    output::line(&format!(
        "{made} is made; look at it, then: perilune database check --data-dir {directory}"
    ))?;
    Ok(output::line(&start)?)
}

fn list(session: &Session) -> Result<(), Failure> {
    let answer = session.client.get("/controller")?;
    if !session.output.is_table() {
        return Ok(session.output.value(&answer)?);
    }
    let stored = answer.get("revision").and_then(Value::as_u64).unwrap_or_default();
    let head =
        ["NAME", "STATE", "MASTER", "REVISION", "BEHIND", "VERSION", "FORMAT", "URL", "HEARD"];
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
            Cell::new(text("format")),
            Cell::new(text("url")),
            Cell::new(text("heard")),
        ]);
    }
    session.output.table(&table)?;
    if answer.get("standby").and_then(Value::as_bool) == Some(false) {
        output::line(
            "the server of the database waits for no standby: one server alone has what it acknowledges",
        )?;
    }
    Ok(())
}
