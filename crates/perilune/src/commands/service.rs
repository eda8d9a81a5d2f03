//! `perilune service`: whether DHCP, DNS and the daemon run, and servers of the site that are to act.

use clap::{Args, Subcommand};
use perilune::client::path;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::job;
use crate::output;
use crate::output::table::{Cell, Table};
use crate::session::Session;

/// What is told of without a name.
const USUAL: [&str; 3] = ["dhcp", "dns", "luna2"];

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune service status
  perilune service status dhcp6
  perilune service restart dhcp

dhcp, dhcp6 and dns are parts of the daemon, or servers that [SERVICES] of luna.ini
names: their files are written before they act. luna2 is the daemon itself.";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show whether services run; fails when one does not
    #[command(after_help = "Example:\n  perilune service status dhcp dns")]
    Status {
        /// The services: dhcp, dhcp6, dns, luna2, or a name that luna.ini has
        names: Vec<String>,
    },
    /// Start a server of the site
    #[command(after_help = "Example:\n  perilune service start dns")]
    Start(Service),
    /// Stop a server of the site
    #[command(after_help = "Example:\n  perilune service stop dhcp")]
    Stop(Service),
    /// Write the files of a server of the site, and restart it
    #[command(after_help = "Example:\n  perilune service restart dhcp")]
    Restart(Service),
    /// Write the files of a server of the site, and have it read them
    #[command(after_help = "Example:\n  perilune service reload dns")]
    Reload(Service),
}

#[derive(Args)]
pub(crate) struct Service {
    /// The service: dhcp, dhcp6, dns, or a name that luna.ini has
    name: String,
    /// Do not wait until it is done
    #[arg(long)]
    detach: bool,
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Status { names } => status(session, names),
        Command::Start(service) => act(session, "start", &service),
        Command::Stop(service) => act(session, "stop", &service),
        Command::Restart(service) => act(session, "restart", &service),
        Command::Reload(service) => act(session, "reload", &service),
    }
}

fn status(session: &Session, names: Vec<String>) -> Result<(), Failure> {
    let usual = || USUAL.map(str::to_owned).to_vec();
    let names = if names.is_empty() { usual() } else { names };
    let mut told = Vec::new();
    for name in names {
        let (runs, words) = session.client.service(&name)?;
        told.push((name, runs, words));
    }
    if session.output.is_table() {
        let mut table = Table::new(["SERVICE", "RUNS", "STATE"]);
        for (name, runs, words) in &told {
            let runs = if *runs { "yes" } else { "no" };
            table.row(vec![Cell::new(name), Cell::new(runs), Cell::new(words)]);
        }
        session.output.table(&table)?;
    } else {
        let objects: Vec<Value> = told
            .iter()
            .map(|(name, runs, words)| json!({ "name": name, "runs": runs, "state": words }))
            .collect();
        session.output.value(&Value::Array(objects))?;
    }
    let absent: Vec<&str> =
        told.iter().filter(|(_, runs, _)| !runs).map(|(name, ..)| name.as_str()).collect();
    if absent.is_empty() {
        return Ok(());
    }
    let verb = if absent.len() == 1 { "does" } else { "do" };
    Err(Failure::failed(format!("{} {verb} not run", absent.join(", "))))
}

fn act(session: &Session, action: &str, service: &Service) -> Result<(), Failure> {
    let name = &service.name;
    if session.client.only_tries() {
        let (_, words) = session.client.service(name)?;
        if words.contains("Is Not Recognized") {
            return Err(Failure::failed(words));
        }
        return Ok(output::line(&format!("{name} would be asked to {action}"))?);
    }
    let answer = session.client.get(&path(["service", name, action]))?;
    match answer.get("request_id").and_then(Value::as_str) {
        Some(request) if !service.detach => job::follow(session, request),
        _ => session.say(&answer),
    }
}
