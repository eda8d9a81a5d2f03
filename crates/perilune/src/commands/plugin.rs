//! `perilune plugin`: programs of the site that the daemon calls.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use crate::failure::{Failure, error_line};
use crate::output;
use crate::output::table::{Cell, Table, Tone};
use crate::session::Session;

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune plugin list
  perilune plugin check
  perilune plugin run hooks/config/node     (tells it everything anew)

docs/plugins.md has an example of each.";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the hooks, and how their last calls ended
    #[command(visible_alias = "ls", after_help = "Example:\n  perilune plugin list -o json")]
    List,
    /// Say which hooks fail, and which files will not run
    #[command(
        after_help = "Example:\n  perilune plugin check\n\nExit codes: 0 all is well, 1 something is not."
    )]
    Check,
    /// Call a hook now, with the whole state
    #[command(after_help = "Example:\n  perilune plugin run hooks/config/node")]
    Run {
        /// Its path below the plugins' directory
        plugin: String,
    },
}

pub(crate) fn run(session: &Session, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List => list(session),
        Command::Check => check(session),
        Command::Run { plugin } => {
            let answer = session.client.post("/monitor/plugin", &json!({ "plugin": plugin }))?;
            let said = answer.get("output").and_then(Value::as_str).unwrap_or_default();
            session.done(&format!("{plugin} was called"))?;
            if said.is_empty() { Ok(()) } else { Ok(output::line(said.trim_end())?) }
        }
    }
}

/// What the daemon says of plugins.
struct Told {
    hooks: Map<String, Value>,
    /// Files that will not run, by their directories.
    not_run: Map<String, Value>,
}

fn told(session: &Session) -> Result<Told, Failure> {
    let answer = session.client.get("/monitor/plugin")?;
    let part = |key: &str| {
        let found = answer.pointer(&format!("/monitor/{key}")).and_then(Value::as_object);
        found.cloned().unwrap_or_default()
    };
    Ok(Told { hooks: part("plugin"), not_run: part("not_run") })
}

fn text<'a>(hook: &'a Value, key: &str) -> &'a str {
    hook.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list(session: &Session) -> Result<(), Failure> {
    let Told { hooks, .. } = told(session)?;
    if !session.output.is_table() {
        return Ok(session.output.value(&hooks.into())?);
    }
    let mut table = Table::new(["HOOK", "FILE", "LAST CALL", "FAILURE"]).whole(&["HOOK", "FILE"]);
    for (path, hook) in &hooks {
        let cells = [
            Cell::new(path),
            Cell::new(text(hook, "file")),
            Cell::new(text(hook, "at")),
            Cell::toned(text(hook, "failure"), Tone::Bad),
        ];
        table.row(cells);
    }
    Ok(session.output.table(&table)?)
}

fn check(session: &Session) -> Result<(), Failure> {
    let Told { hooks, not_run } = told(session)?;
    let failed = hooks.iter().filter(|(_, hook)| !text(hook, "failure").is_empty());
    let failed = failed.map(|(path, hook)| format!("{path} failed: {}", text(hook, "failure")));
    let files = not_run.values().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
    let files = files.map(|file| format!("{file} will not run (docs/plugins.md)"));
    let all: Vec<String> = failed.chain(files).collect();
    if all.is_empty() {
        return session.done("all hooks are well");
    }
    for one in &all {
        error_line(one);
    }
    Err(Failure::Reported { code: 1 })
}
