//! `perilune route`: static routes, and whom they are for.

use clap::{Args, Subcommand, ValueEnum};
use perilune::client::path;

use super::standard::columns;
use crate::failure::Failure;
use crate::field::{FieldArguments, options};
use crate::resource::{self, List, Names, Remove, Rename, Resource};
use crate::select::Exclude;
use crate::session::{Edit, Session, expand};

const RESOURCE: Resource = Resource {
    kind: "route",
    new_name: "newname",
    table: |objects| {
        columns(
            objects,
            &["NAME", "DESTINATION", "GATEWAY", "DEVICE", "METRIC", "ASSIGNED", "COMMENT"],
            &["destination", "gateway", "device", "metric", "assigned", "comment"],
        )
    },
    first: "add one with `perilune route add backbone --destination 10.0.0.0/8 --gateway 10.141.0.254`",
};

pub(crate) struct RouteFields;

options!(RouteFields, perilune_wire::route::request);

const ADD_EXAMPLES: &str = "\
Examples:
  perilune route add backbone --destination 10.0.0.0/8 --gateway 10.141.0.254
  perilune route add storage --destination 192.0.2.0/24 --device ib0 --metric 50

It counts for those that it is coupled to:
  perilune route couple backbone group compute";

const COUPLE_EXAMPLES: &str = "\
Examples:
  perilune route couple backbone group compute
  perilune route couple backbone node 'node[001-016]'

A node has its own routes; if it has none, those of its group; if that has none, those of the networks that it is in.";

const DECOUPLE_EXAMPLES: &str = "Example:\n  perilune route decouple backbone group compute";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List routes
    #[command(visible_alias = "ls")]
    List(List),
    /// Show routes in full
    Show(Names),
    /// Add routes
    #[command(after_help = ADD_EXAMPLES)]
    Add(WithFields),
    /// Change fields of routes
    #[command(after_help = "Example:\n  perilune route change backbone --metric 200")]
    Change(WithFields),
    /// Remove routes that are coupled to nothing
    #[command(visible_alias = "rm")]
    Remove(Remove),
    /// Rename a route
    Rename(Rename),
    /// Give a route to networks, groups or nodes
    #[command(after_help = COUPLE_EXAMPLES)]
    Couple(Couple),
    /// Take a route away from networks, groups or nodes
    #[command(after_help = DECOUPLE_EXAMPLES)]
    Decouple(Couple),
}

#[derive(Args)]
pub(crate) struct WithFields {
    /// Names, separated by commas
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    fields: FieldArguments<RouteFields>,
}

#[derive(Args)]
pub(crate) struct Couple {
    /// The route
    route: String,
    /// What it is for
    kind: Target,
    /// Names or host lists; nodes by selectors, too
    #[arg(required = true)]
    names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    Network,
    Group,
    Node,
}

impl Target {
    fn word(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Group => "group",
            Self::Node => "node",
        }
    }
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
        Command::Remove(arguments) => resource::remove(session, &RESOURCE, &arguments),
        Command::Rename(arguments) => resource::rename(session, &RESOURCE, &arguments),
        Command::Couple(arguments) => all(session, &arguments, "_couple", "coupled"),
        Command::Decouple(arguments) => all(session, &arguments, "_decouple", "decoupled"),
    }
}

fn all(session: &Session, arguments: &Couple, verb: &str, done: &str) -> Result<(), Failure> {
    let kind = arguments.kind.word();
    let names = match arguments.kind {
        Target::Node => session.nodes(&arguments.names, &Exclude::default())?,
        Target::Network | Target::Group => expand(&arguments.names)?,
    };
    let edit = |name: &String| {
        let path = path(["config", "route", &arguments.route, kind, name, verb]);
        Edit::get(name, &path)
    };
    let edits: Vec<Edit> = names.iter().map(edit).collect();
    session.all(kind, done, &edits)
}
