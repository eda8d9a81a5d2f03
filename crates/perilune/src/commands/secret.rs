//! `perilune secret`: files that the installer writes, with contents that few may read.

use clap::{Args, Subcommand};
use perilune::client;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::field::{FieldArguments, options};
use crate::output::table::{Cell, Table};
use crate::output::text::field_text;
use crate::output::{self, text};
use crate::resource;
use crate::session::{Edit, Session, ask_to_remove};

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune secret set group compute munge --content @munge.key --path /etc/munge/munge.key \\
    --owner munge:munge --mode 400
  perilune secret set cluster slurm --content @slurm.key --path /etc/slurm/slurm.key
  perilune secret list node node001                (the cluster's, its group's and its own)
  perilune secret show group compute munge --reveal > munge.key
  perilune secret remove group compute munge";

pub(crate) struct SecretFields;

options!(SecretFields, perilune_wire::secret::request);

#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
pub(crate) enum Owner {
    Node,
    Group,
    Cluster,
}

impl Owner {
    fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Group => "group",
            Self::Cluster => "cluster",
        }
    }
}

#[derive(Args)]
pub(crate) struct Which {
    /// node, group or cluster
    kind: Owner,
    /// Its name, but for the cluster
    source: String,
    /// The secret
    secret: Option<String>,
}

impl Which {
    /// The name of the owner, which the cluster has not, and that of the secret.
    fn names(&self) -> Result<(Option<&str>, &str), Failure> {
        match (self.kind, &self.secret) {
            (Owner::Cluster, None) => Ok((None, &self.source)),
            (Owner::Node | Owner::Group, Some(secret)) => Ok((Some(&self.source), secret)),
            (Owner::Cluster, Some(secret)) => Err(Failure::usage(format!(
                "the cluster has no name: perilune secret … cluster {secret}"
            ))),
            (Owner::Node | Owner::Group, None) => Err(Failure::usage(format!(
                "which secret? perilune secret … {} {} NAME",
                self.kind.word(),
                self.source
            ))),
        }
    }

    fn path(&self, rest: &[&str]) -> Result<String, Failure> {
        let (owner, secret) = self.names()?;
        let rest = std::iter::once(secret).chain(rest.iter().copied());
        Ok(path(self.kind, &owner.into_iter().chain(rest).collect::<Vec<_>>()))
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List secrets, without their contents
    #[command(visible_alias = "ls")]
    List {
        /// node or group; all secrets without it
        kind: Option<Owner>,
        /// Its name, but for the cluster
        source: Option<String>,
    },
    /// Show a secret; with --reveal, print its content and nothing else
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
        Command::List { kind: Some(Owner::Cluster), source: Some(_) } => {
            Err(Failure::usage("the cluster has no name: perilune secret list cluster"))
        }
        Command::List { kind: Some(kind), source: Some(source) } => {
            // Who has no secrets is answered like who is not there.
            let owner = session.client.object(kind.word(), &source);
            owner.map_err(|error| resource::or_unknown(session, kind.word(), &source, error))?;
            list(session, &path(kind, &[&source]))
        }
        Command::List { kind: Some(Owner::Cluster), source: None } => {
            list(session, &path(Owner::Cluster, &[]))
        }
        Command::List { kind: Some(kind), source: None } => {
            Err(Failure::usage(format!("which? perilune secret list {} NAME", kind.word())))
        }
        Command::List { kind: None, .. } => list(session, &client::path(["config", "secrets"])),
        Command::Show(which) => show(session, &which),
        Command::Set { which, fields } => set(session, &which, fields.into_object()?),
        Command::Remove { which, yes } => remove(session, &which, yes),
    }
}

fn remove(session: &Session, which: &Which, is_sure: bool) -> Result<(), Failure> {
    let (owner, secret) = which.names()?;
    let edit = Edit::get(secret, &which.path(&["_delete"])?);
    if !is_sure && !session.client.only_tries() {
        let whose = [Some(which.kind.word()), owner];
        let whose = whose.into_iter().flatten().collect::<Vec<_>>().join(" ");
        session.tried(&edit)?;
        ask_to_remove(&format!("the secret {secret} of {whose}"), &[])?;
    }
    session.one(&edit)?;
    session.done(&format!("{secret} removed"))
}

fn path(kind: Owner, rest: &[&str]) -> String {
    client::path(["config", "secrets", kind.word()].into_iter().chain(rest.iter().copied()))
}

/// The secrets of an answer, each list with the kind and the name of its owner. That of the cluster has no name.
fn lists(secrets: &mut Map<String, Value>) -> impl Iterator<Item = (&str, &str, &mut Vec<Value>)> {
    secrets.iter_mut().flat_map(|(kind, of_kind)| {
        let (owners, own) = match of_kind {
            Value::Object(owners) => (Some(owners), None),
            Value::Array(list) => (None, Some(("", list))),
            _ => (None, None),
        };
        let owners = owners.into_iter().flatten();
        let owners =
            owners.filter_map(|(owner, list)| Some((owner.as_str(), list.as_array_mut()?)));
        owners.chain(own).map(move |(owner, list)| (kind.as_str(), owner, list))
    })
}

fn list(session: &Session, path: &str) -> Result<(), Failure> {
    let answer = match session.client.get(path) {
        Err(client::Error::NotFound { .. }) => Value::Null,
        answer => answer?,
    };
    let secrets = answer.pointer("/config/secrets").and_then(Value::as_object).cloned();
    let mut secrets = secrets.unwrap_or_default();
    for (_, _, list) in lists(&mut secrets) {
        for secret in list.iter_mut() {
            session.shown("secret", secret);
        }
    }
    if !session.output.is_table() {
        return Ok(session.output.value(&secrets.into())?);
    }
    let mut table = Table::new(["OF", "OWNER", "NAME", "PATH", "USER", "MODE"]);
    for (kind, owner, list) in lists(&mut secrets) {
        for secret in list {
            let text =
                |key: &str| secret.get(key).map(|value| field_text(key, value)).unwrap_or_default();
            table.row([
                Cell::new(kind),
                Cell::new(owner),
                Cell::new(text("name")),
                Cell::new(text("path")),
                Cell::new(text("owner")),
                Cell::new(text("mode")),
            ]);
        }
    }
    Ok(session.output.table(&table)?)
}

fn show(session: &Session, which: &Which) -> Result<(), Failure> {
    let answer = session.client.get(&which.path(&[])?)?;
    let mut secrets = answer.pointer("/config/secrets").and_then(Value::as_object).cloned();
    let mut found = secrets.iter_mut().flat_map(lists).flat_map(|(_, _, list)| list);
    let mut one = found.next().cloned().unwrap_or_default();
    session.shown("secret", &mut one);
    if !session.output.is_table() {
        return Ok(session.output.value(&one)?);
    }
    if session.reveal {
        let content = one.get("content").and_then(Value::as_str).unwrap_or_default();
        return Ok(output::bytes(&text::decoded_bytes(content))?);
    }
    let object = one.as_object().cloned().unwrap_or_default();
    Ok(output::write(&output::object::render("secret", &object, session.output.canvas))?)
}

fn set(session: &Session, which: &Which, mut fields: Map<String, Value>) -> Result<(), Failure> {
    if fields.is_empty() {
        return Err(Failure::usage("give --content, --path, --owner or --mode"));
    }
    let (owner, secret) = which.names()?;
    fields.insert("name".to_owned(), secret.into());
    let list = json!([fields]);
    let of_kind = owner.map_or_else(|| list.clone(), |owner| json!({ owner: list }));
    let body = json!({ "config": { "secrets": { which.kind.word(): of_kind } } });
    let owner: Vec<&str> = owner.into_iter().collect();
    session.client.post(&path(which.kind, &owner), &body)?;
    session.done(&format!("{secret} saved"))
}
