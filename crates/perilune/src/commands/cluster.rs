//! `perilune cluster`

use clap::{Args, Subcommand};
use perilune_model::plugins::Installed;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::field::{FieldArguments, OWN_CONTROLLER, options};
use crate::output;
use crate::output::object;
use crate::output::text::readable;
use crate::session::Session;

pub(crate) struct ClusterFields;

options!(ClusterFields, |fields| {
    perilune_wire::cluster::request(fields, &[OWN_CONTROLLER.to_owned()], &Installed::default())
});

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show the cluster and its controllers
    Show,
    /// Change fields of the cluster
    #[command(after_help = "Examples:
  perilune cluster change --name lab --ntp-server 10.141.255.254
  perilune cluster change --createnode-ondemand no")]
    Change(Change),
}

#[derive(Args)]
pub(crate) struct Change {
    /// New address of another controller
    #[arg(long = "controller-of", value_name = "HOST=ADDRESS")]
    others: Vec<String>,
    #[command(flatten)]
    fields: FieldArguments<ClusterFields>,
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Show => show(session),
        Command::Change(arguments) => change(session, arguments),
    }
}

fn show(session: &Session) -> Result<(), Failure> {
    let answer = session.client.get("/config/cluster")?;
    let mut cluster = answer.pointer("/config/cluster").cloned().unwrap_or_default();
    if !session.output.is_table() {
        readable(&mut cluster);
    }
    match &cluster {
        Value::Object(fields) if session.output.is_table() => {
            Ok(output::write(&object::render("cluster", fields, session.output.canvas))?)
        }
        cluster => Ok(session.output.value(cluster)?),
    }
}

fn change(session: &Session, arguments: Change) -> Result<(), Failure> {
    let mut fields = arguments.fields.into_object()?;
    for other in &arguments.others {
        let Some((host, address)) = other.split_once('=') else {
            return Err(Failure::usage(format!("--controller-of {other}: write HOST=ADDRESS")));
        };
        // The API's key: hyphens become underscores.
        fields.insert(host.replace('-', "_"), address.into());
    }
    if fields.is_empty() {
        return Err(Failure::usage(
            "nothing to change is given; `perilune cluster change --help` lists the fields",
        ));
    }
    let answer =
        session.client.post("/config/cluster", &json!({ "config": { "cluster": fields } }))?;
    if answer.is_null() {
        return session.done("cluster changed");
    }
    session.say(&answer)
}
