//! `perilune osuser` and `perilune osgroup`: users and groups of the nodes' operating systems, in the site's directory.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use crate::arguments::number;
use crate::failure::Failure;
use crate::output::table::{Cell, Table};
use crate::password;
use crate::resource::{self, List, Names, Remove, Resource};
use crate::session::{Session, expand};

const USERS: Resource = Resource {
    kind: "osuser",
    new_name: "",
    table: users,
    first: "add one with `perilune osuser add alice --surname Smith`",
};
const GROUPS: Resource = Resource {
    kind: "osgroup",
    new_name: "",
    table: groups,
    first: "add one with `perilune osgroup add users`",
};

#[derive(Subcommand)]
pub(crate) enum UserCommand {
    /// List users
    #[command(visible_alias = "ls")]
    List(List),
    /// Show users in full
    Show(Names),
    /// Add users
    #[command(after_help = "Examples:
  perilune osuser add alice --given-name Alice --surname Smith --password -
  perilune osuser add student[01-20] --groups course     (each gets a number and a group of its own)")]
    Add(UserFields),
    /// Change fields of users
    #[command(after_help = "Examples:
  perilune osuser change alice --shell /bin/zsh
  perilune osuser change alice --groups users,gpu         (all of them; \"\" leaves none)
  perilune osuser change alice --mail \"\"                  (clears it)")]
    Change(UserFields),
    /// Remove users
    #[command(visible_alias = "rm")]
    Remove(Remove),
}

#[derive(Args)]
pub(crate) struct UserFields {
    /// Names or host lists
    #[arg(required = true)]
    names: Vec<String>,
    /// The password; `-` and `@FILE` keep it off the command line; asked for without a value
    #[arg(long, value_name = password::FORMS, num_args = 0..=1, default_missing_value = password::ASK)]
    password: Option<String>,
    /// Given name
    #[arg(long, value_name = "TEXT")]
    given_name: Option<String>,
    /// Family name
    #[arg(long, value_name = "TEXT")]
    surname: Option<String>,
    /// Mail address
    #[arg(long, value_name = "TEXT")]
    mail: Option<String>,
    /// Telephone
    #[arg(long, value_name = "TEXT")]
    phone: Option<String>,
    /// The number (default: the next free one)
    #[arg(long, value_name = "NUMBER", value_parser = number::<u32>)]
    uid: Option<u32>,
    /// The number of the first group (default: a group of its own)
    #[arg(long, value_name = "NUMBER", value_parser = number::<u32>)]
    gid: Option<u32>,
    /// All other groups, separated by commas
    #[arg(long, value_name = "NAMES")]
    groups: Option<String>,
    /// Login shell
    #[arg(long, value_name = "PATH")]
    shell: Option<String>,
    /// Home directory
    #[arg(long, value_name = "PATH")]
    home: Option<String>,
    /// The day on which the account ends, counted from 1970; -1 is never
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    expire: Option<i64>,
}

#[derive(Subcommand)]
pub(crate) enum GroupCommand {
    /// List groups
    #[command(visible_alias = "ls")]
    List(List),
    /// Show groups in full
    Show(Names),
    /// Add groups
    #[command(after_help = "Example:\n  perilune osgroup add gpu --gid 2000 --members alice,bob")]
    Add(GroupFields),
    /// Change fields of groups
    #[command(
        after_help = "Example:\n  perilune osgroup change gpu --members alice       (all of them; \"\" leaves none)"
    )]
    Change(GroupFields),
    /// Remove groups
    #[command(visible_alias = "rm")]
    Remove(Remove),
}

#[derive(Args)]
pub(crate) struct GroupFields {
    /// Names or host lists
    #[arg(required = true)]
    names: Vec<String>,
    /// The number (default: the next free one)
    #[arg(long, value_name = "NUMBER", value_parser = number::<u32>)]
    gid: Option<u32>,
    /// All members, separated by commas
    #[arg(long, value_name = "NAMES")]
    members: Option<String>,
}

pub(crate) fn users_command(session: &Session, command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::List(arguments) => resource::list(session, &USERS, &arguments),
        UserCommand::Show(arguments) => resource::show(session, &USERS, &arguments),
        UserCommand::Add(fields) => {
            resource::add(session, &USERS, &expand(&fields.names)?, &fields.object()?)
        }
        UserCommand::Change(fields) => {
            resource::change(session, &USERS, &expand(&fields.names)?, &fields.object()?)
        }
        UserCommand::Remove(arguments) => resource::remove(session, &USERS, &arguments),
    }
}

pub(crate) fn groups_command(session: &Session, command: GroupCommand) -> Result<(), Failure> {
    match command {
        GroupCommand::List(arguments) => resource::list(session, &GROUPS, &arguments),
        GroupCommand::Show(arguments) => resource::show(session, &GROUPS, &arguments),
        GroupCommand::Add(fields) => {
            resource::add(session, &GROUPS, &expand(&fields.names)?, &fields.object())
        }
        GroupCommand::Change(fields) => {
            resource::change(session, &GROUPS, &expand(&fields.names)?, &fields.object())
        }
        GroupCommand::Remove(arguments) => resource::remove(session, &GROUPS, &arguments),
    }
}

impl UserFields {
    /// The fields as the API takes them.
    fn object(&self) -> Result<Map<String, Value>, Failure> {
        let password = match &self.password {
            None => None,
            Some(text) => Some(password::given("password", text)?),
        };
        let text = |text: &Option<String>| text.clone().map(Value::from);
        let fields = [
            ("userPassword", password.map(Value::from)),
            ("givenName", text(&self.given_name)),
            ("sn", text(&self.surname)),
            ("mail", text(&self.mail)),
            ("telephoneNumber", text(&self.phone)),
            ("uidNumber", self.uid.map(Value::from)),
            ("gidNumber", self.gid.map(Value::from)),
            ("memberOf", self.groups.as_deref().map(list)),
            ("loginShell", text(&self.shell)),
            ("homeDirectory", text(&self.home)),
            ("shadowExpire", self.expire.map(Value::from)),
        ];
        Ok(given(fields))
    }
}

impl GroupFields {
    fn object(&self) -> Map<String, Value> {
        given([
            ("gidNumber", self.gid.map(Value::from)),
            ("member", self.members.as_deref().map(list)),
        ])
    }
}

fn given<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    given.collect()
}

fn list(text: &str) -> Value {
    let words = text.split(',').map(str::trim);
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().into()
}

fn users(users: &Map<String, Value>) -> Table {
    table(
        users,
        &["NAME", "UID", "GID", "FULL NAME", "GROUPS", "SHELL", "HOME"],
        &["uidNumber", "gidNumber", "cn", "memberOf", "loginShell", "homeDirectory"],
    )
}

fn groups(groups: &Map<String, Value>) -> Table {
    table(groups, &["NAME", "GID", "MEMBERS"], &["gidNumber", "member"])
}

/// What is shown is the directory's own: a value may be a text, a number or a list.
fn table(objects: &Map<String, Value>, titles: &[&'static str], attributes: &[&str]) -> Table {
    let mut table = Table::new(titles.to_vec());
    for (name, object) in objects {
        let cells =
            attributes.iter().map(|key| Cell::new(object.get(*key).map(words).unwrap_or_default()));
        table.row(std::iter::once(Cell::new(name)).chain(cells).collect::<Vec<_>>());
    }
    table
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(","),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
