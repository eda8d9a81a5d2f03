//! `perilune user`: who may log in, and what they may do.

use clap::{Args, Subcommand, ValueEnum};
use console::Term;
use perilune::client;
use serde_json::{Map, Value, json};

use super::token;
use crate::failure::Failure;
use crate::output::table::{Cell, Table};
use crate::output::text::{self, field_text};
use crate::password;
use crate::resource::{self, List, Names, Remove, Rename, Resource};
use crate::session::Session;

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune user add ann --role operator            (asks for the password)
  echo \"$SECRET\" | perilune user add backup --password-stdin
  perilune user add batch --password @batch.password
  perilune user change ann --role viewer
  perilune user password ann
  perilune user revoke ann                         (ends all logins, the password stays)

viewer reads what is no secret; operator also changes and controls; admin may do everything. installer is for images that were
made for another daemon: it gets the token of a node that is expected to boot, and nothing else (docs/trust.md).";

const RESOURCE: Resource = Resource {
    kind: "user",
    new_name: "newusername",
    table,
    first: "add one with `perilune user add ann --role operator`",
};

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    Viewer,
    Operator,
    Admin,
    Installer,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Installer => "installer",
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List users
    #[command(visible_alias = "ls")]
    List(List),
    /// Show users
    Show(Names),
    /// Add a user
    Add {
        #[command(flatten)]
        fields: UserFields,
        /// The password; asked for without this
        #[arg(long, value_name = password::FORMS, num_args = 0..=1, default_missing_value = password::ASK)]
        password: Option<String>,
        /// Read the password from standard input
        #[arg(long, conflicts_with = "password")]
        password_stdin: bool,
    },
    /// Change a user's role or comment
    Change(UserFields),
    /// Change a password: one's own, or as an administrator any
    Password {
        /// The user
        source: String,
        /// The new password; asked for without this
        #[arg(long, value_name = password::FORMS, num_args = 0..=1, default_missing_value = password::ASK)]
        password: Option<String>,
        /// Read the new password from standard input
        #[arg(long, conflicts_with = "password")]
        password_stdin: bool,
        /// Ask for the present password, too: needed unless an administrator does it
        #[arg(long)]
        own: bool,
    },
    /// End all logins and API tokens of users
    Revoke(Names),
    /// Remove users; they are logged out
    #[command(visible_alias = "rm")]
    Remove(Remove),
    /// Tokens of programs: what each may do, for which nodes, until when
    #[command(subcommand, after_help = token::EXAMPLES)]
    Token(token::Command),
    /// Rename a user
    Rename(Rename),
}

#[derive(Args)]
pub(crate) struct UserFields {
    /// The login name
    source: String,
    /// What the user may do; viewer for a new user
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// A note
    #[arg(long)]
    comment: Option<String>,
}

impl UserFields {
    fn object(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.extend(self.role.map(|role| ("role".to_owned(), role.word().into())));
        let comment = self.comment.as_ref().map(text::encode);
        fields.extend(comment.map(|comment| ("comment".to_owned(), comment.into())));
        fields
    }
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => resource::list(session, &RESOURCE, &arguments),
        Command::Show(arguments) => resource::show(session, &RESOURCE, &arguments),
        Command::Add { fields, password, password_stdin } => {
            let mut object = fields.object();
            let password = new_password(password.as_deref(), password_stdin)?;
            object.insert("password".to_owned(), password.into());
            resource::add(session, &RESOURCE, &[fields.source], &object)
        }
        Command::Change(fields) => resource::change(
            session,
            &RESOURCE,
            std::slice::from_ref(&fields.source),
            &fields.object(),
        ),
        Command::Password { source, password, password_stdin, own } => {
            let password = || new_password(password.as_deref(), password_stdin);
            set_password(session, &source, password, own)
        }
        Command::Revoke(arguments) => revoke(session, &arguments),
        Command::Remove(arguments) => resource::remove(session, &RESOURCE, &arguments),
        Command::Token(command) => token::run(session, command),
        Command::Rename(arguments) => resource::rename(session, &RESOURCE, &arguments),
    }
}

/// The user of the configuration is in no list, and has logins all the same.
fn revoke(session: &Session, arguments: &Names) -> Result<(), Failure> {
    session.each("logged out everywhere", &arguments.names, |user| {
        let path = client::path(["config", "user", user, "_revoke"]);
        session
            .client
            .post(&path, &json!({}))
            .map(drop)
            .map_err(|error| resource::or_unknown(session, "user", user, error))
    })
}

fn set_password(
    session: &Session,
    user: &str,
    new: impl FnOnce() -> Result<String, Failure>,
    own: bool,
) -> Result<(), Failure> {
    let mut fields = Map::new();
    if own {
        crate::output::note("The present password:");
        fields.insert("present".to_owned(), password::present(&Term::stderr())?.into());
    }
    fields.insert("password".to_owned(), new()?.into());
    let body = json!({ "config": { "user": { user: fields } } });
    session.client.post(&client::path(["config", "user", user, "_password"]), &body)?;
    session.done(&format!("{user} has another password"))
}

fn new_password(said: Option<&str>, from_stdin: bool) -> Result<String, Failure> {
    match said {
        Some(value) => password::given("password", value),
        None if from_stdin => password::line(),
        None => password::new(),
    }
}

fn table(users: &Map<String, Value>) -> Table {
    let mut table = Table::new(["NAME", "ROLE", "COMMENT"]);
    for (name, user) in users {
        let text =
            |key: &str| user.get(key).map(|value| field_text(key, value)).unwrap_or_default();
        table.row([Cell::new(name), Cell::new(text("role")), Cell::new(text("comment"))]);
    }
    table
}
