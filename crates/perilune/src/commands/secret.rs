//! `perilune secret`: files that the installer writes, with contents that few may read.

use clap::{Args, Subcommand};
use perilune::client;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::field::{Field, FieldArguments, Fields};
use crate::output::table::{Cell, Table};
use crate::output::text::field_text;
use crate::output::{self, text};
use crate::resource;
use crate::session::{Edit, Session, ask_to_remove};

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune secret set group compute munge --content @munge.key --path /etc/munge/munge.key
  perilune secret list node node001                (its own, and those of its group)
  perilune secret show group compute munge > munge.key
  perilune secret remove group compute munge";

pub(crate) struct SecretFields;

impl Fields for SecretFields {
    const FIELDS: &'static [Field] = &[
        Field::encoded("content", "What the file holds"),
        Field::text("path", "Where the installer writes it"),
    ];
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Owner {
    Node,
    Group,
}

impl Owner {
    fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Group => "group",
        }
    }
}

#[derive(Args)]
pub(crate) struct Which {
    /// node or group
    kind: Owner,
    /// Its name
    source: String,
    /// The secret
    secret: String,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List secrets, without their contents
    #[command(visible_alias = "ls")]
    List {
        /// node or group; all secrets without it
        #[arg(requires = "source")]
        kind: Option<Owner>,
        /// Its name
        source: Option<String>,
    },
    /// Print the content of a secret
    Show(Which),
    /// Make a secret, or change it
    Set {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        fields: FieldArguments<SecretFields>,
    },
    /// Remove a secret
    #[command(visible_alias = "rm")]
    Remove {
        #[command(flatten)]
        which: Which,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

pub(crate) fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List { kind: Some(kind), source: Some(source) } => {
            // Who has no secrets is answered like who is not there.
            let owner = session.client.object(kind.word(), &source);
            owner.map_err(|error| resource::or_unknown(session, kind.word(), &source, error))?;
            list(session, &path(kind, &[&source]))
        }
        Command::List { .. } => list(session, &client::path(["config", "secrets"])),
        Command::Show(which) => show(session, &which),
        Command::Set { which, fields } => set(session, &which, fields.into_object()?),
        Command::Remove { which: Which { kind, source, secret }, yes } => {
            let edit = Edit::get(&secret, &path(kind, &[&source, &secret, "_delete"]));
            if !yes && !session.client.only_tries() {
                let what = format!("the secret {secret} of {} {source}", kind.word());
                session.tried(&edit)?;
                ask_to_remove(&what, &[])?;
            }
            session.one(&edit)?;
            session.done(&format!("{secret} removed"))
        }
    }
}

fn path(kind: Owner, rest: &[&str]) -> String {
    client::path(["config", "secrets", kind.word()].into_iter().chain(rest.iter().copied()))
}

fn list(session: &Session, path: &str) -> Result<(), Failure> {
    let answer = match session.client.get(path) {
        Err(client::Error::NotFound { .. }) => Value::Null,
        answer => answer?,
    };
    let secrets = answer.pointer("/config/secrets").and_then(Value::as_object).cloned();
    let secrets = secrets.unwrap_or_default();
    if !session.output.is_table() {
        return Ok(session.output.value(&secrets.into())?);
    }
    let mut table = Table::new(["OF", "OWNER", "NAME", "PATH"]);
    for (kind, owners) in &secrets {
        for (owner, list) in owners.as_object().into_iter().flatten() {
            for secret in list.as_array().into_iter().flatten() {
                let text = |key: &str| {
                    secret.get(key).map(|value| field_text(key, value)).unwrap_or_default()
                };
                table.row([
                    Cell::new(kind),
                    Cell::new(owner),
                    Cell::new(text("name")),
                    Cell::new(text("path")),
                ]);
            }
        }
    }
    Ok(session.output.table(&table)?)
}

fn show(session: &Session, which: &Which) -> Result<(), Failure> {
    let Which { kind, source, secret } = which;
    let answer = session.client.get(&path(*kind, &[source, secret]))?;
    let owners = answer.pointer("/config/secrets").and_then(|all| all.get(kind.word()));
    let one = owners.and_then(|owners| owners.get(source)?.get(0)).cloned().unwrap_or_default();
    if !session.output.is_table() {
        return Ok(session.output.value(&one)?);
    }
    let content = one.get("content").and_then(Value::as_str).unwrap_or_default();
    Ok(output::write(&text::decoded(content))?)
}

fn set(session: &Session, which: &Which, mut fields: Map<String, Value>) -> Result<(), Failure> {
    let Which { kind, source, secret } = which;
    if fields.is_empty() {
        return Err(Failure::usage("give --content, --path or both"));
    }
    fields.insert("name".to_owned(), secret.as_str().into());
    let body = json!({ "config": { "secrets": { kind.word(): { source: [fields] } } } });
    session.client.post(&path(*kind, &[source]), &body)?;
    session.done(&format!("{secret} saved"))
}
