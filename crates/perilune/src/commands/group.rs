//! `perilune group`

use clap::{Args, Subcommand};
use perilune_model::Name;
use perilune_model::plugins::Installed;
use perilune_wire::group;
use serde_json::{Map, Value};

use super::interface;
use crate::failure::Failure;
use crate::field::{FieldArguments, options};
use crate::output;
use crate::output::table::{Cell, Table};
use crate::output::text::field_text;
use crate::resource::{self, List, Names, Remove, Rename, Resource};
use crate::session::{Session, expand};

const RESOURCE: Resource = Resource {
    kind: "group",
    new_name: "newgroupname",
    table,
    first: "add one with `perilune group add compute --osimage IMAGE`",
};

pub(crate) struct GroupFields;

options!(GroupFields, |fields| group::request(fields, &Name::default(), &Installed::default()));

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List groups
    #[command(visible_alias = "ls")]
    List(List),
    /// Show groups in full, and where each value comes from
    #[command(
        after_help = "Examples:\n  perilune group show compute\n  perilune group show compute -o yaml"
    )]
    Show(Names),
    /// Add groups
    #[command(after_help = "Examples:
  perilune group add compute --osimage debian12
  perilune group add gpu --parent compute --scripts gpu-driver
  perilune group add login --osimage debian12 --disklayout @disk.json --interface BMC,network=ipmi

docs/disk-layout.md tells what can be in disk.json; {\"disks\": []} is the first disk as a whole.")]
    Add(WithFields),
    /// Change fields of groups
    #[command(after_help = "Examples:
  perilune group change compute --osimage debian13
  perilune group change compute --postscript @post.sh
  perilune group change compute --postscript \"\"      (clears it)")]
    Change(WithFields),
    /// Copy a group
    #[command(after_help = "Example:\n  perilune group clone compute gpu --scripts gpu-driver")]
    Clone(CloneArguments),
    /// Remove groups
    #[command(visible_alias = "rm")]
    Remove(Remove),
    /// Rename a group
    Rename(Rename),
    /// List the nodes of a group
    Members {
        /// The group
        source: String,
    },
    /// Interfaces of all nodes of a group
    #[command(subcommand)]
    Interface(interface::Command),
}

#[derive(Args)]
pub(crate) struct WithFields {
    /// Names, separated by commas
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    fields: FieldArguments<GroupFields>,
}

#[derive(Args)]
pub(crate) struct CloneArguments {
    /// The group to copy
    source: String,
    /// The new group
    target: String,
    #[command(flatten)]
    fields: FieldArguments<GroupFields>,
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
        Command::Clone(CloneArguments { source, target, fields }) => {
            let fields = fields.into_object()?;
            let answer = resource::clone(session, &RESOURCE, &source, &target, fields)?;
            session.say(&answer)
        }
        Command::Remove(arguments) => resource::remove(session, &RESOURCE, &arguments),
        Command::Rename(arguments) => resource::rename(session, &RESOURCE, &arguments),
        Command::Members { source } => members(session, &source),
        Command::Interface(command) => interface::run(session, "group", command),
    }
}

fn members(session: &Session, name: &str) -> Result<(), Failure> {
    session
        .client
        .object("group", name)
        .map_err(|error| resource::or_unknown(session, "group", name, error))?;
    let path = perilune::client::path(["config", "group", name, "_member"]);
    let answer = match session.client.get(&path) {
        Err(perilune::client::Error::NotFound { .. }) => Value::Null,
        answer => answer?,
    };
    let members = answer.pointer(&format!("/config/group/{name}/members"));
    let members = members.and_then(Value::as_array).cloned().unwrap_or_default();
    if !session.output.is_table() {
        return Ok(session.output.value(&members.into())?);
    }
    for member in members.iter().filter_map(Value::as_str) {
        output::line(member)?;
    }
    Ok(())
}

fn table(groups: &Map<String, Value>) -> Table {
    let mut table = Table::new(["NAME", "OSIMAGE", "INTERFACES", "PROVISION", "DISKS", "COMMENT"]);
    for (name, group) in groups {
        let text =
            |key: &str| group.get(key).map(|value| field_text(key, value)).unwrap_or_default();
        let interfaces = group.get("interfaces").and_then(Value::as_array);
        let interfaces: Vec<String> =
            interfaces.into_iter().flatten().map(interface::brief).collect();
        let disks = match (text("disklayout").as_str(), text("partscript").as_str()) {
            ("", "") => "memory",
            ("", script) if script.contains("tmpfs") => "memory",
            ("", _) => "partscript",
            _ => "disklayout",
        };
        table.row([
            Cell::new(name),
            Cell::new(text("osimage")),
            Cell::new(interfaces.join(" ")),
            Cell::new(text("provision_method")),
            Cell::new(disks),
            Cell::new(text("comment")),
        ]);
    }
    table
}
