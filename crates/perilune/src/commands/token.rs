//! `perilune user token`: tokens of programs.

use clap::{Args, Subcommand};
use perilune::client;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::output::table::{Cell, Table};
use crate::output::text::{self, field_text};
use crate::output::{self, note};
use crate::resource::{self, List, Remove, Resource};
use crate::session::Session;

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune user token add monitoring --role viewer
  perilune user token add scheduler --role operator --nodes node[001-064] --for 365d
  perilune user token add backup --route 'GET /backup' --for never
  perilune user token list
  perilune user token remove scheduler

A token is for a program: PERILUNE_TOKEN for the command line, the header x-access-tokens for the API. It is shown once, when it is made, and
kept as a hash. It belongs to a user (you, unless --user says another), may never do more than that user, and ends with the user, with
`perilune user revoke`, or after its time. Routes are named as docs/permissions.md lists them.";

const RESOURCE: Resource = Resource {
    kind: "apitoken",
    new_name: "",
    table,
    first: "add one with `perilune user token add NAME --role viewer`",
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List tokens, with when each was last used
    #[command(visible_alias = "ls")]
    List(List),
    /// Make a token, and show it this once
    Add(Add),
    /// Remove tokens; they are refused from then on
    #[command(visible_alias = "rm")]
    Remove(Remove),
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Role {
    Viewer,
    Operator,
    Admin,
}

#[derive(Args)]
pub(crate) struct Add {
    /// What the token is called
    name: String,
    /// The user it belongs to (default: you)
    #[arg(long)]
    user: Option<String>,
    /// What it may do at most; viewer without this, or what its routes need
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// Only this operation, such as 'GET /config/node'; may be given several times
    #[arg(long = "route", value_name = "OPERATION")]
    routes: Vec<String>,
    /// Only what concerns these nodes, such as node[001-064]
    #[arg(long, value_name = "HOSTLIST")]
    nodes: Option<String>,
    /// How long, such as 12h or 365d, or never
    #[arg(long = "for", value_name = "TIME", default_value = "90d", value_parser = length)]
    length: u64,
    /// A note
    #[arg(long)]
    comment: Option<String>,
}

/// Seconds; 0 does not end.
fn length(text: &str) -> Result<u64, String> {
    if text == "never" {
        return Ok(0);
    }
    match humantime::parse_duration(text) {
        Ok(length) if length.as_secs() > 0 => Ok(length.as_secs()),
        Ok(_) => Err("it would end at once; write 12h, 365d or never".to_owned()),
        Err(error) => Err(format!("{error}; write 12h, 365d or never")),
    }
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => resource::list(session, &RESOURCE, &arguments),
        Command::Add(arguments) => add(session, arguments),
        Command::Remove(arguments) => resource::remove(session, &RESOURCE, &arguments),
    }
}

fn add(session: &Session, arguments: Add) -> Result<(), Failure> {
    let Add { name, user, role, routes, nodes, length, comment } = arguments;
    let mut fields = Map::new();
    fields.extend(user.map(|user| ("user".to_owned(), user.into())));
    let role = role.map(|role| match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    });
    fields.extend(role.map(|role| ("role".to_owned(), role.into())));
    if !routes.is_empty() {
        fields.insert("routes".to_owned(), routes.into());
    }
    fields.extend(nodes.map(|nodes| ("nodes".to_owned(), nodes.into())));
    fields.insert("seconds".to_owned(), length.into());
    fields.extend(comment.map(|comment| ("comment".to_owned(), text::encode(&comment).into())));
    let body = json!({ "config": { "apitoken": { name.as_str(): fields } } });
    let answer = session.client.post(&client::path(["config", "apitoken", &name]), &body)?;
    if session.client.only_tries() {
        return session.say(&answer);
    }
    if !session.output.is_table() {
        return Ok(session.output.value(&answer)?);
    }
    note("this is the token; it is not shown again:");
    Ok(output::line(answer.get("token").and_then(Value::as_str).unwrap_or_default())?)
}

fn table(tokens: &Map<String, Value>) -> Table {
    let mut table =
        Table::new(["NAME", "USER", "ROLE", "NODES", "ROUTES", "UNTIL", "LAST USED", "FROM"])
            .whole(&["NAME", "USER", "ROLE", "UNTIL", "LAST USED"]);
    for (name, token) in tokens {
        let text =
            |key: &str| token.get(key).map(|value| field_text(key, value)).unwrap_or_default();
        let is_over = token.get("expired").and_then(Value::as_bool) == Some(true);
        let until = if is_over { format!("{} (over)", text("until")) } else { text("until") };
        let routes = token.get("routes").and_then(Value::as_array).into_iter().flatten();
        let routes: Vec<&str> = routes.filter_map(Value::as_str).collect();
        table.row([
            Cell::new(name),
            Cell::new(text("user")),
            Cell::new(text("role")),
            Cell::new(text("nodes")),
            Cell::new(routes.join(", ")),
            Cell::new(until),
            Cell::new(text("last_used")),
            Cell::new(text("last_used_from")),
        ]);
    }
    table
}
