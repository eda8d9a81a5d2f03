//! `perilune rack`: racks, and what stands in them.

use clap::{Args, Subcommand, ValueEnum};
use perilune::client;
use serde_json::{Map, Value, json};

use crate::arguments::number;
use crate::failure::Failure;
use crate::field::{FieldArguments, options};
use crate::output::table::{Cell, Table};
use crate::output::text::field_text;
use crate::resource::{self, List, Names, Remove, Rename, Resource};
use crate::select::Exclude;
use crate::session::{Edit, Session, expand, insist};

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune rack add rack1 --size 48 --room A
  perilune rack place rack1 node[001-016] --position 3   (one above the other, from unit 3 on)
  perilune rack place rack1 pdu01 --type otherdevices --height 0
  perilune rack show rack1
  perilune rack inventory --unplaced";

const RESOURCE: Resource = Resource {
    kind: "rack",
    new_name: "newrackname",
    table,
    first: "add one with `perilune rack add rack1`",
};

pub(crate) struct RackFields;

options!(RackFields, perilune_wire::rack::request);

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum DeviceType {
    #[default]
    Node,
    Switch,
    Otherdevices,
    Controller,
}

impl DeviceType {
    fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Switch => "switch",
            Self::Otherdevices => "otherdevices",
            Self::Controller => "controller",
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List racks
    #[command(visible_alias = "ls")]
    List(List),
    /// Show racks and what stands in them
    Show(Names),
    /// Add racks
    Add(WithFields),
    /// Change racks
    Change(WithFields),
    /// Remove racks; what stood in them stands in none
    #[command(visible_alias = "rm")]
    Remove(Remove),
    /// Rename a rack
    Rename(Rename),
    /// Put devices into a rack
    Place(Place),
    /// Take devices out of their racks
    TakeOut {
        /// Names or host lists; nodes by selectors, too
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        exclude: Exclude,
        /// What they are
        #[arg(long, value_enum, default_value = "node")]
        r#type: DeviceType,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// List everything that can stand in a rack
    Inventory {
        /// Only what stands in none
        #[arg(long)]
        unplaced: bool,
    },
}

#[derive(Args)]
pub(crate) struct WithFields {
    /// Names or host lists
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    fields: FieldArguments<RackFields>,
}

#[derive(Args)]
pub(crate) struct Place {
    /// The rack
    source: String,
    /// Names or host lists of devices; nodes by selectors, too
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    exclude: Exclude,
    /// What they are
    #[arg(long, value_enum, default_value = "node")]
    r#type: DeviceType,
    /// The lowest unit of the first; the others stand above it
    #[arg(long, value_parser = number::<u32>)]
    position: Option<u32>,
    /// Height units of each
    #[arg(long, value_parser = number::<u32>)]
    height: Option<u32>,
    /// front or back
    #[arg(long)]
    orientation: Option<String>,
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => resource::list(session, &RESOURCE, &arguments),
        Command::Show(arguments) => show(session, &arguments),
        Command::Add(WithFields { names, fields }) => {
            resource::add(session, &RESOURCE, &expand(&names)?, &fields.into_object()?)
        }
        Command::Change(WithFields { names, fields }) => {
            resource::change(session, &RESOURCE, &expand(&names)?, &fields.into_object()?)
        }
        Command::Remove(arguments) => resource::remove(session, &RESOURCE, &arguments),
        Command::Rename(arguments) => resource::rename(session, &RESOURCE, &arguments),
        Command::Place(arguments) => place(session, arguments),
        Command::TakeOut { names, exclude, r#type, yes } => {
            let names = session.named(r#type.word(), &names, &exclude)?;
            take_out(session, &names, r#type, yes)
        }
        Command::Inventory { unplaced } => inventory(session, unplaced),
    }
}

fn place(session: &Session, arguments: Place) -> Result<(), Failure> {
    let Place { source, names, exclude, r#type, position, height, orientation } = arguments;
    session
        .client
        .object("rack", &source)
        .map_err(|error| resource::or_unknown(session, "rack", &source, error))?;
    let names = session.named(r#type.word(), &names, &exclude)?;
    let mut devices = Vec::new();
    let mut unit = position;
    for name in &names {
        let mut device = Map::new();
        device.insert("name".to_owned(), name.as_str().into());
        device.insert("type".to_owned(), r#type.word().into());
        device.extend(unit.map(|unit| ("position".to_owned(), unit.into())));
        device.extend(height.map(|height| ("height".to_owned(), height.into())));
        let orientation = orientation.clone();
        device.extend(orientation.map(|word| ("orientation".to_owned(), word.into())));
        devices.push(Value::Object(device));
        unit = unit.map(|unit| unit.saturating_add(height.unwrap_or(1)));
    }
    let fields = Map::from_iter([("devices".to_owned(), devices.into())]);
    session.client.save("rack", &source, &fields)?;
    session.done(&format!("{} placed in {source}", perilune_select::hostlist::fold(&names)))
}

/// All of them in one change, or none.
fn take_out(
    session: &Session,
    names: &[String],
    r#type: DeviceType,
    is_sure: bool,
) -> Result<(), Failure> {
    let edit = |name: &String| {
        let path = ["config", "rack", "inventory", name, "type", r#type.word(), "_delete"];
        Edit::get(name, &client::path(path))
    };
    let edits: Vec<Edit> = names.iter().map(edit).collect();
    if !is_sure && !session.client.only_tries() {
        session.trial("rack", &edits)?;
        let names = perilune_select::hostlist::fold(names);
        insist(&format!("{names}: will stand in no rack ({}).", edits.len()))?;
    }
    if session.is_one_change("rack", edits.len()) {
        return session.all("rack", "taken out", &edits);
    }
    session.each_of("taken out", &edits, |edit| session.one(edit))
}

fn show(session: &Session, arguments: &Names) -> Result<(), Failure> {
    if !session.output.is_table() {
        return resource::show(session, &RESOURCE, arguments);
    }
    for name in session.named("rack", &arguments.names, &arguments.exclude)? {
        let rack = session.client.object("rack", &name);
        let rack = rack.map_err(|error| resource::or_unknown(session, "rack", &name, error))?;
        let text =
            |key: &str| rack.get(key).map(|value| field_text(key, value)).unwrap_or_default();
        let units = format!("{} units", text("size"));
        let facts = [units, text("order"), text("room"), text("site"), text("labels")];
        let facts: Vec<_> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
        crate::output::line(&format!("{name}: {}", facts.join(", ")))?;
        let devices = rack.get("devices").and_then(Value::as_array).cloned().unwrap_or_default();
        session.output.table(&device_table(&devices, true))?;
    }
    Ok(())
}

fn inventory(session: &Session, unplaced: bool) -> Result<(), Failure> {
    let path =
        if unplaced { "/config/rack/inventory/unconfigured" } else { "/config/rack/inventory" };
    let answer = session.client.get(path)?;
    let devices = answer.pointer("/config/rack/inventory").and_then(Value::as_array).cloned();
    let devices = devices.unwrap_or_default();
    if !session.output.is_table() {
        return Ok(session.output.value(&json!(devices))?);
    }
    Ok(session.output.table(&device_table(&devices, false))?)
}

fn device_table(devices: &[Value], is_placed: bool) -> Table {
    let mut titles = vec!["NAME", "TYPE", "HEIGHT", "ORIENTATION", "VENDOR"];
    let mut keys = vec!["name", "type", "height", "orientation", "vendor"];
    if is_placed {
        titles.insert(0, "UNIT");
        keys.insert(0, "position");
    }
    let mut table = Table::new(titles);
    for device in devices {
        let text =
            |key: &&str| device.get(*key).map(|value| field_text(key, value)).unwrap_or_default();
        table.row(keys.iter().map(|key| Cell::new(text(key))).collect::<Vec<_>>());
    }
    table
}

fn table(racks: &Map<String, Value>) -> Table {
    let mut table = Table::new(["NAME", "SIZE", "ORDER", "ROOM", "SITE", "DEVICES"]);
    for (name, rack) in racks {
        let text =
            |key: &str| rack.get(key).map(|value| field_text(key, value)).unwrap_or_default();
        let devices = rack.get("devices").and_then(Value::as_array).map_or(0, Vec::len);
        table.row([
            Cell::new(name),
            Cell::new(text("size")),
            Cell::new(text("order")),
            Cell::new(text("room")),
            Cell::new(text("site")),
            Cell::new(devices.to_string()),
        ]);
    }
    table
}
