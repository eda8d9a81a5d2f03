//! `perilune export` and `perilune apply`: the configuration as one document, and bringing the cluster to what one says.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use perilune_notation::Error;
use perilune_select::hostlist;
use serde_json::{Map, Value};

use super::{hosts, identity};
use crate::arguments::number;
use crate::failure::Failure;
use crate::output::{self, Format, changes, text};
use crate::session::{Session, insist};
use crate::source;

pub(crate) const EXPORT_EXAMPLES: &str = "\
Examples:
  perilune export > cluster.yaml
  perilune export --secrets > backup.yaml       (with passwords; keep it as safe as they are)
  perilune export --at 42                       (as it was after revision 42)
  perilune export --format hosts >> /etc/hosts
  perilune export --format ssh-known-hosts > /etc/ssh/ssh_known_hosts
  perilune export -o json | jq .node.node001";

pub(crate) const EXAMPLES: &str = "\
The document says what the cluster is to be: kind, name, fields, as perilune export
writes them. What an object in it does not say is unset; passwords and secrets that it
does not say stay. Objects that it does not name stay, too, unless --prune is given:
then those of the kinds in the document go. With --merge, fields that it does not say stay. All of it is one change, or none.

Examples:
  perilune apply -f cluster.yaml                show the plan, ask, do it
  perilune apply -f cluster.yaml --dry-run      only show the plan
  perilune apply -f cluster.yaml --prune --yes  for scripts
  perilune apply -f labels.yaml --merge         only what the document says
  perilune export | sed s/10.141/10.151/ | perilune apply -f - --dry-run";

#[derive(Args)]
pub(crate) struct Export {
    /// With the passwords of BMCs, and secrets, in the clear
    #[arg(long, conflicts_with = "format")]
    secrets: bool,
    /// As it was after this revision
    #[arg(long, value_name = "REVISION", conflicts_with = "format", value_parser = number::<u64>)]
    at: Option<u64>,
    /// What is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: ExportFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// The document that `perilune apply` reads
    #[default]
    Document,
    /// Names and addresses of all devices, as `/etc/hosts` has them
    Hosts,
    /// The SSH host keys of the nodes, as `/etc/ssh/ssh_known_hosts` has them
    SshKnownHosts,
}

#[derive(Args)]
pub(crate) struct Apply {
    /// The document, YAML or JSON; - reads standard input
    #[arg(long, short)]
    file: PathBuf,
    /// Remove objects of the document's kinds that it does not name
    #[arg(long)]
    prune: bool,
    /// Leave fields as they are that the document does not say; null unsets one
    #[arg(long, conflicts_with = "prune")]
    merge: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(crate) fn export(session: &Session, arguments: &Export) -> Result<(), Failure> {
    match arguments.format {
        ExportFormat::Document => {}
        ExportFormat::Hosts => return hosts::run(session),
        ExportFormat::SshKnownHosts => return identity::known_hosts(session),
    }
    let at = arguments.at.map(|revision| format!("&at={revision}")).unwrap_or_default();
    let path = format!("/config/export?secrets={}{at}", arguments.secrets);
    let document = session.client.get(&path)?;
    let secrets = if arguments.secrets { None } else { Some(session.client.objects("secrets")?) };
    let lacks = lacks(&document, secrets.as_ref());
    if session.output.format == Format::Json {
        // It has no remarks.
        for line in &lacks {
            output::note(line);
        }
        return Ok(session.output.value(&document)?);
    }
    for line in &lacks {
        output::line(&text::printable(&format!("# {line}")))?;
    }
    Ok(output::write(&perilune_notation::write_yaml(&document))?)
}

/// What a document does not have and whoever restores from it may miss. `secrets` are those that were left out, by the kind of their owner.
fn lacks(document: &Value, secrets: Option<&Map<String, Value>>) -> Vec<String> {
    let Some(secrets) = secrets else {
        return vec!["Passwords and secrets stand in this document as they are. It lacks users, identities of nodes and packed files of images.".to_owned()];
    };
    let names = |kinds: Option<&Value>| -> Vec<String> {
        kinds
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .collect()
    };
    let mut parts = Vec::new();
    for kind in ["node", "group"] {
        let owners = names(secrets.get(kind));
        if !owners.is_empty() {
            parts.push(format!("the secrets of {kind} {}", hostlist::fold(&owners)));
        }
    }
    let setups = names(document.get("bmcsetup"));
    if !setups.is_empty() {
        parts.push(format!("the password of bmcsetup {}", setups.join(", ")));
    }
    parts.push("users, identities of nodes and packed files of images".to_owned());
    vec![
        format!("This document lacks {}.", parts.join("; ")),
        "To apply it changes none of these: where they are, they stay; where they are not, give them by hand.".to_owned(),
        "With passwords and secrets: perilune export --secrets. Everything: perilune backup.".to_owned(),
    ]
}

pub(crate) fn run(session: &Session, arguments: &Apply) -> Result<(), Failure> {
    let document = read(&arguments.file)?;
    let path = format!("/config/apply?prune={}&merge={}", arguments.prune, arguments.merge);
    if session.client.only_tries() {
        let answer = session.client.post(&path, &document)?;
        return session.say(&answer);
    }
    session.client.post(&format!("{path}&dry_run=true"), &document)?;
    let planned = session.client.take_tried();
    if planned.is_empty() {
        return done(session, &[], "nothing to do: the cluster is as the document says");
    }
    if !arguments.yes {
        output::line(&format!("{}:", changes::summary(&planned)))?;
        output::write(&changes::render(&planned, session.output.canvas.colour))?;
        session.warn();
        // Standard input may be the document.
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage(
                "no terminal to ask; add --yes to do it, or --dry-run to only look",
            ));
        }
        insist(&format!("{}.", changes::summary(&planned)))?;
    }
    // Who was asked has seen them.
    session.client.take_remarks();
    let answer = session.client.post(&path, &document)?;
    if arguments.yes {
        session.warn();
    }
    let changed = answer.get("changes").and_then(Value::as_array).cloned().unwrap_or_default();
    done(session, &changed, &format!("{} changed", objects(changed.len())))
}

fn done(session: &Session, changed: &[Value], message: &str) -> Result<(), Failure> {
    if session.output.is_table() {
        return Ok(output::line(message)?);
    }
    let mut done = serde_json::json!({ "changes": changed });
    text::readable(&mut done);
    Ok(session.output.value(&done)?)
}

fn objects(count: usize) -> String {
    if count == 1 { "1 object".to_owned() } else { format!("{count} objects") }
}

fn read(file: &Path) -> Result<Value, Failure> {
    let is_input = file == Path::new("-");
    let name = if is_input { "standard input".to_owned() } else { file.display().to_string() };
    let text = source::text(file, source::DOCUMENT);
    let text = text.map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    let document = perilune_notation::read(&text).map_err(|error| unreadable(&name, &error))?;
    if document.is_object() {
        Ok(document)
    } else {
        Err(Failure::usage(format!(
            "{name} holds no document: kinds, names and fields, as perilune export writes them"
        )))
    }
}

fn unreadable(name: &str, error: &Error) -> Failure {
    match error {
        Error::Twice { .. } => Failure::usage(format!("{name}: {error}")),
        Error::TooDeep(_) | Error::Unreadable { .. } => {
            Failure::usage(format!("{name} is neither YAML nor JSON: {error}"))
        }
    }
}
