//! `perilune completion`: the shell asks this program what could follow, so that it knows the names in the cluster, too.

use std::ffi::OsStr;

use clap::{Arg, Command, CommandFactory as _, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use perilune::client::Client;
use perilune::client::access::{self, Options, Surroundings};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::field;
use crate::output::write;

pub(crate) const EXAMPLES: &str = "\
Examples:
  source <(perilune completion bash)                              (this shell)
  perilune completion bash > /etc/bash_completion.d/perilune      (all users)
  perilune completion zsh > \"${fpath[1]}/_perilune\"
  perilune completion fish > ~/.config/fish/completions/perilune.fish";

/// The environment variable through which the shell asks.
const VARIABLE: &str = "COMPLETE";

/// Kinds whose names are completed.
const KINDS: [&str; 4] = ["node", "group", "network", "osimage"];

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Elvish,
    Fish,
    Zsh,
}

pub(crate) fn run(shell: Shell) -> Result<(), Failure> {
    let name = match shell {
        Shell::Bash => "bash",
        Shell::Elvish => "elvish",
        Shell::Fish => "fish",
        Shell::Zsh => "zsh",
    };
    let shells = Shells::builtins();
    let Some(completer) = shells.completer(name) else {
        return Err(Failure::usage(format!("no completion for {name}")));
    };
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, "perilune", "perilune", "perilune", &mut script)?;
    Ok(write(&String::from_utf8_lossy(&script))?)
}

/// The command line, with names of the cluster where names belong.
pub(crate) fn command() -> Command {
    let mut command = Arguments::command();
    for kind in KINDS {
        command = command.mut_subcommand(kind, |resource| with_names(resource, kind));
    }
    command
}

fn with_names(command: Command, kind: &'static str) -> Command {
    command
        .mut_args(|argument| name_completer(argument, kind))
        .mut_subcommands(|subcommand| with_names(subcommand, kind))
}

fn name_completer(argument: Arg, kind: &'static str) -> Arg {
    let id = argument.get_id().as_str().to_owned();
    let of = match id.as_str() {
        "names" | "source" => Some(kind),
        // A field that refers to another object has the name of its kind.
        other => field::of_option(other)
            .or_else(|| argument.get_long().map(|_| other))
            .and_then(|field| KINDS.into_iter().find(|kind| *kind == field)),
    };
    // A network's own field `network` is its range.
    match of.filter(|of| !(*of == "network" && kind == "network" && id.ends_with(of))) {
        Some(of) => argument.add(ArgValueCompleter::new(move |typed: &OsStr| names(of, typed))),
        None => argument,
    }
}

/// Without a daemon there is nothing to offer; a message would spoil the line that is being typed.
fn names(kind: &str, typed: &OsStr) -> Vec<CompletionCandidate> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let options = Options {
        url: variable("PERILUNE_URL"),
        config: variable("PERILUNE_CONFIG").map(Into::into),
        token: variable("PERILUNE_TOKEN"),
        certificate: variable("PERILUNE_CERTIFICATE").map(Into::into),
        dry_run: false,
    };
    let access = access::find(&options, &Surroundings::here()).ok();
    let Some(client) = access.and_then(|access| Client::new(access).ok()) else {
        return Vec::new();
    };
    let typed = typed.to_string_lossy();
    let (before, last) =
        typed.rsplit_once(',').map_or(("", &*typed), |(before, last)| (before, last));
    let objects = client.objects(kind).unwrap_or_default();
    let matching = objects.keys().filter(|name| name.starts_with(last));
    let whole = matching
        .map(|name| if before.is_empty() { name.clone() } else { format!("{before},{name}") });
    whole.map(CompletionCandidate::new).collect()
}
