//! What every command has at hand: the daemon, and where to write.

use std::io::{self, BufRead as _, IsTerminal as _};

use perilune::client::Error::{LoginRefused, Unreachable};
use perilune::client::access::{self, Options, Surroundings};
use perilune::client::{self, Client};
use perilune_select::hostlist;
use serde_json::{Map, Value, json};

use crate::failure::{self, Failure, error_line};
use crate::output::{self, Output, changes, note};

pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) output: Output,
}

impl Session {
    pub(crate) fn open(options: &Options, output: Output) -> Result<Self, Failure> {
        let access = access::find(options, &Surroundings::here()).map_err(client::Error::from)?;
        let client = Client::new(access)?;
        let client = if options.dry_run { client.only_trying() } else { client };
        Ok(Self { client, output })
    }

    /// Does `operation` for each name. A failure is told at once and does not stop the others; only a daemon that
    /// cannot be reached does, because it would be the same for all.
    pub(crate) fn each(
        &self,
        done: &str,
        names: &[String],
        mut operation: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.client.only_tries() {
            for name in names {
                operation(name)?;
            }
            return self.show_tried();
        }
        if let ([name], true) = (names, self.output.is_table()) {
            operation(name)?;
            return Ok(output::line(&format!("{name} {done}"))?);
        }
        let mut succeeded = Vec::new();
        let mut failed: Map<String, Value> = Map::new();
        let mut codes = Vec::new();
        let mut broken = None;
        for name in names {
            match operation(name) {
                Ok(()) => succeeded.push(name.as_str()),
                Err(failure @ Failure::Client(Unreachable { .. } | LoginRefused { .. })) => {
                    broken = Some(failure);
                    break;
                }
                Err(failure) => {
                    let message = failure.to_string();
                    let names_itself = message.contains(name.as_str());
                    error_line(&if names_itself { message } else { format!("{name}: {message}") });
                    codes.push(failure.code());
                    failed.insert(name.clone(), failure.to_string().into());
                }
            }
        }
        if !self.output.is_table() {
            self.output.value(&json!({ "done": succeeded, "failed": failed }))?;
        } else if !succeeded.is_empty() {
            let count = succeeded.len();
            output::line(&format!("{} {done} ({count})", hostlist::fold(&succeeded)))?;
        }
        if let Some(failure) = broken {
            let rest = names.get(succeeded.len() + failed.len()..).unwrap_or_default();
            note(&format!("not done: {}", hostlist::fold(rest)));
            return Err(failure);
        }
        let Some(code) = codes.first().copied() else {
            return Ok(());
        };
        if self.output.is_table() {
            let names: Vec<&String> = failed.keys().collect();
            note(&format!(
                "failed: {} ({} of {})",
                hostlist::fold(&names),
                names.len(),
                names.len() + succeeded.len()
            ));
        }
        let same = succeeded.is_empty() && codes.iter().all(|other| *other == code);
        Err(Failure::Reported { code: if same { code } else { 1 } })
    }

    /// Says that it is done.
    pub(crate) fn done(&self, message: &str) -> Result<(), Failure> {
        self.say(&json!({ "message": message }))
    }

    /// A failure that says which names there are instead.
    pub(crate) fn unknown(&self, kind: &str, name: &str) -> Failure {
        let known = self.client.objects(kind).unwrap_or_default();
        unknown_among(kind, name, &known)
    }

    /// Says what would have changed.
    fn show_tried(&self) -> Result<(), Failure> {
        let (changes, notes) = (self.client.take_tried(), self.client.take_notes());
        if !self.output.is_table() {
            let tried = if notes.is_empty() {
                json!({ "dry_run": true, "changes": changes })
            } else {
                json!({ "dry_run": true, "changes": changes, "notes": notes })
            };
            return Ok(self.output.value(&tried)?);
        }
        if changes.is_empty() {
            return Ok(output::line("nothing would change")?);
        }
        output::write(&changes::render(&changes, self.output.canvas.colour))?;
        for told in notes.iter().filter_map(Value::as_str) {
            output::line(told)?;
        }
        note("nothing was changed: this was a trial (--dry-run)");
        Ok(())
    }

    /// `message` of an answer, for people.
    pub(crate) fn say(&self, answer: &Value) -> Result<(), Failure> {
        if self.client.only_tries() {
            return self.show_tried();
        }
        if !self.output.is_table() {
            return Ok(self.output.value(answer)?);
        }
        match answer.get("message").and_then(Value::as_str) {
            Some(message) => Ok(output::line(message)?),
            None => Ok(()),
        }
    }
}

pub(crate) fn unknown_among(kind: &str, name: &str, known: &Map<String, Value>) -> Failure {
    let list = format!("perilune {kind} list");
    Failure::NotFound {
        message: format!("there is no {kind} {name}"),
        hint: failure::nearest(name, known.keys().map(String::as_str), &list),
    }
}

/// Every name of the host lists, each once.
pub(crate) fn expand(lists: &[String]) -> Result<Vec<String>, Failure> {
    let names = hostlist::expand(&lists.join(","));
    let names = names.map_err(|error| Failure::usage(error.to_string()))?;
    if names.is_empty() { Err(Failure::usage("no name is given")) } else { Ok(names) }
}

/// Asks before something that cannot be undone. Without a terminal nobody can be asked, and the command is the answer.
pub(crate) fn confirm(question: &str) -> Result<(), Failure> {
    let mut input = io::stdin().lock();
    if !input.is_terminal() || !io::stderr().is_terminal() {
        return Ok(());
    }
    note(&format!("{question} Type yes to go on:"));
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    if matches!(answer.trim(), "yes" | "y") {
        Ok(())
    } else {
        Err(Failure::failed("nothing was changed"))
    }
}

/// Asks before something that would be too bad a surprise: where nobody can be asked, it is refused.
pub(crate) fn insist(question: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let message = format!("{question} Nobody can be asked here; give --yes if it is meant");
        return Err(Failure::usage(message));
    }
    confirm(question)
}
