//! `perilune completion`: the shell asks this program what could follow, so that it knows the names in the cluster, too.

mod selector;

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

/// Bash cuts what is typed at these signs, and would complete what stands behind them alone.
const WHOLE_WORDS: &str = "\
# rack:r1 and @compute are words.
COMP_WORDBREAKS=${COMP_WORDBREAKS//:/}
COMP_WORDBREAKS=${COMP_WORDBREAKS//@/}
";

/// Commands whose names are those of nodes, or selectors of them.
const OF_NODES: [&str; 3] = ["node", "nodes", "rack"];
/// Arguments that select nodes, in whatever command.
const SELECTORS: [&str; 2] = ["nodes", "exclude"];

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
    if matches!(shell, Shell::Bash) {
        script.extend_from_slice(WHOLE_WORDS.as_bytes());
    }
    Ok(write(&String::from_utf8_lossy(&script))?)
}

/// The command line, with names of the cluster where names belong.
pub(crate) fn command() -> Command {
    // Its pages of help hide what every command takes.
    let mut command = Arguments::command();
    for kind in KINDS {
        command = command.mut_subcommand(kind, |resource| with_names(resource, kind));
    }
    for name in OF_NODES {
        command = command.mut_subcommand(name, |resource| with_selectors(resource, "names"));
    }
    SELECTORS.into_iter().fold(command, with_selectors)
}

/// Completes what selects nodes: the arguments of this name, of the command and of those below it.
fn with_selectors(command: Command, name: &'static str) -> Command {
    let complete = |argument: Arg| {
        if argument.get_id().as_str() != name {
            return argument;
        }
        argument
            .add(ArgValueCompleter::new(move |typed: &OsStr| offered(typed, selector::candidates)))
    };
    command.mut_args(complete).mut_subcommands(|subcommand| with_selectors(subcommand, name))
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
        Some(of) => argument.add(ArgValueCompleter::new(move |typed: &OsStr| {
            offered(typed, |client, typed| names(client, of, typed))
        })),
        None => argument,
    }
}

/// Without a daemon there is nothing to offer; a message would spoil the line that is being typed.
fn offered(
    typed: &OsStr,
    candidates: impl FnOnce(&Client, &str) -> Vec<String>,
) -> Vec<CompletionCandidate> {
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
    // The shell hands over the quote in which a selector is begun, and puts what is offered behind it.
    let typed = typed.strip_prefix(['\'', '"']).unwrap_or(&typed);
    candidates(&client, typed).into_iter().map(CompletionCandidate::new).collect()
}

/// Names of one kind, the last of a list.
fn names(client: &Client, kind: &str, typed: &str) -> Vec<String> {
    let (before, last) =
        typed.rsplit_once(',').map_or(("", typed), |(before, last)| (before, last));
    let objects = client.objects(kind).unwrap_or_default();
    let matching = objects.keys().filter(|name| name.starts_with(last));
    let whole = matching
        .map(|name| if before.is_empty() { name.clone() } else { format!("{before},{name}") });
    whole.collect()
}
