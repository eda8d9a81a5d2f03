//! `perilune history`, `diff` and `undo`: what was changed, and taking it back.

use std::time::Duration;

use clap::{Args, Subcommand};
use perilune::client::token::now;
use perilune::client::{self, encode};
use serde_json::{Value, json};

use crate::arguments::number;
use crate::failure::Failure;
use crate::output::table::{Cell, Table};
use crate::output::text::{field_text, printable, readable};
use crate::output::{self, changes};
use crate::session::{Session, ask_before_loss};

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune history
  perilune history --object node/node001 --since 7d
  perilune history --user ann
  perilune history show 42
  perilune diff 40..42
  perilune undo 42 --dry-run";

pub(crate) const DIFF_EXAMPLES: &str = "\
Examples:
  perilune diff 40..42      (what revisions 41 and 42 came to)
  perilune diff 40..        (everything since revision 40)";

pub(crate) const UNDO_EXAMPLES: &str = "\
A commit is taken back as a new commit, when nothing of it was changed since. Where that removes something, it is told and asked.

Examples:
  perilune undo 42 --dry-run
  perilune undo 42
  perilune undo 40..42      (all three, as one change)
  perilune undo --to 39     (everything since revision 39)";

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct History {
    #[command(flatten)]
    list: List,
    #[command(subcommand)]
    command: Option<HistoryCommand>,
}

#[derive(Args)]
pub(crate) struct List {
    /// How many commits at most
    #[arg(long, short = 'n', default_value = "20", value_parser = number::<u32>)]
    limit: u32,
    /// Only commits that concern this object, such as node/node001
    #[arg(long, value_name = "KIND/NAME")]
    object: Option<String>,
    /// Only commits of this user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only commits that are younger, such as 30m, 12h or 7d
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    since: Option<Duration>,
}

#[derive(Subcommand)]
pub(crate) enum HistoryCommand {
    /// List the latest commits, the newest first
    List(List),
    /// Show what one commit changed
    Show {
        /// Its revision
        #[arg(value_parser = number::<u64>)]
        revision: u64,
        /// One line for what changes alike in several objects
        #[arg(long)]
        fold: bool,
    },
}

#[derive(Args)]
pub(crate) struct Diff {
    /// Two revisions, such as 40..42; without the second, the newest
    #[arg(value_name = "FROM..TO")]
    range: String,
    /// One line for what changes alike in several objects
    #[arg(long)]
    fold: bool,
}

#[derive(Args)]
pub(crate) struct Undo {
    /// The revision to undo, or the first and the last of several: 40..42 undoes 40, 41 and 42
    #[arg(required_unless_present = "to", value_name = "REVISION[..REVISION]")]
    revision: Option<String>,
    /// Restore the cluster as it was after this revision
    #[arg(long, value_name = "REVISION", conflicts_with = "revision", value_parser = number::<u64>)]
    to: Option<u64>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(crate) fn run(session: &Session, arguments: History) -> Result<(), Failure> {
    match arguments.command {
        None => list(session, &arguments.list),
        Some(HistoryCommand::List(arguments)) => list(session, &arguments),
        Some(HistoryCommand::Show { revision, fold }) => show(session, revision, fold),
    }
}

fn list(session: &Session, arguments: &List) -> Result<(), Failure> {
    let object = arguments.object.as_ref().map(|object| format!("&object={}", encode(object)));
    let user = arguments.user.as_ref().map(|user| format!("&user={}", encode(user)));
    let since = arguments.since.map(|age| format!("&since={}", milliseconds_ago(age)));
    let query = [object, user, since].into_iter().flatten().collect::<String>();
    let query = format!("/history?limit={}{query}", arguments.limit);
    let answer = session.client.get(&query)?;
    let commits = answer.get("history").and_then(Value::as_array).cloned().unwrap_or_default();
    if !session.output.is_table() {
        return Ok(session.output.value(&commits.into())?);
    }
    if commits.is_empty() {
        return Ok(output::line("nothing was changed yet")?);
    }
    let mut table = Table::new(["REVISION", "WHEN", "WHO", "FROM", "OBJECTS", "WHAT"])
        .whole(&["REVISION", "WHEN", "WHO"]);
    for commit in &commits {
        let text =
            |key: &str| commit.get(key).map(|value| field_text(key, value)).unwrap_or_default();
        table.row([
            Cell::new(text("revision")),
            Cell::new(text("at")),
            Cell::new(text("author")),
            Cell::new(text("origin")),
            Cell::new(text("count")),
            Cell::new(text("action")),
        ]);
    }
    Ok(session.output.table(&table)?)
}

fn milliseconds_ago(age: Duration) -> u64 {
    now().saturating_sub(age.as_secs()).saturating_mul(1000)
}

fn show(session: &Session, revision: u64, fold: bool) -> Result<(), Failure> {
    let answer = session.client.get(&client::path(["history", &revision.to_string()]))?;
    let mut commit = answer.get("history").cloned().unwrap_or_default();
    if !session.output.is_table() {
        readable(&mut commit);
        return Ok(session.output.value(&commit)?);
    }
    let text = |key: &str| commit.get(key).map(|value| field_text(key, value)).unwrap_or_default();
    output::line(&format!(
        "revision {} of {} by {} from {}: {}",
        text("revision"),
        text("at"),
        text("author"),
        text("origin"),
        text("action")
    ))?;
    show_changes(session, &commit, fold)
}

pub(crate) fn diff(session: &Session, arguments: &Diff) -> Result<(), Failure> {
    let wrong = || Failure::usage("give two revisions, such as 40..42");
    let (from, to) = arguments.range.split_once("..").ok_or_else(wrong)?;
    is_revision(from)?;
    if !to.is_empty() {
        is_revision(to)?;
    }
    let to = if to.is_empty() { newest(session)?.to_string() } else { to.to_owned() };
    let answer = session.client.get(&client::path(["history", from, &to]))?;
    let mut compared = answer.get("history").cloned().unwrap_or_default();
    if !session.output.is_table() {
        readable(&mut compared);
        return Ok(session.output.value(&compared)?);
    }
    show_changes(session, &compared, arguments.fold)
}

pub(crate) fn undo(session: &Session, arguments: &Undo) -> Result<(), Failure> {
    let range = match (&arguments.revision, arguments.to) {
        (Some(revision), _) => {
            revision.split("..").try_for_each(is_revision)?;
            revision.clone()
        }
        (None, to) => {
            let (to, newest) = (to.unwrap_or_default(), newest(session)?);
            if to >= newest {
                let message = format!("nothing to do: revision {newest} is the newest");
                return Err(Failure::usage(message));
            }
            format!("{}..{newest}", to.saturating_add(1))
        }
    };
    let path = client::path(["history", &range, "_undo"]);
    if !arguments.yes && !session.client.only_tries() {
        session.client.post(&format!("{path}?dry_run=true"), &json!({}))?;
        let what = format!("This takes back revision {range}");
        ask_before_loss(&what, &session.client.take_tried())?;
        session.client.take_remarks();
    }
    let answer = session.client.post(&path, &json!({}))?;
    session.say(&answer)
}

fn is_revision(text: &str) -> Result<(), Failure> {
    number::<u64>(text).map(drop).map_err(|_error| {
        Failure::usage(format!(
            "'{}' is not a revision; perilune history lists them",
            printable(text)
        ))
    })
}

fn newest(session: &Session) -> Result<u64, Failure> {
    let answer = session.client.get("/history?limit=1")?;
    let newest = answer.pointer("/history/0/revision").and_then(Value::as_u64);
    Ok(newest.unwrap_or_default())
}

fn show_changes(session: &Session, of: &Value, fold: bool) -> Result<(), Failure> {
    let listed = of.get("changes").and_then(Value::as_array).cloned().unwrap_or_default();
    if listed.is_empty() {
        return Ok(output::line("nothing differs")?);
    }
    let listed = if fold { changes::folded(&listed) } else { listed };
    Ok(output::write(&changes::render(&listed, session.output.canvas.colour))?)
}
