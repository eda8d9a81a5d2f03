//! `perilune audit`: who was refused what, who was given which secret, what was changed and done.

use clap::{Args, ValueEnum};
use perilune::client::encode;
use serde_json::Value;

use crate::arguments::number;
use crate::failure::Failure;
use crate::output;
use crate::output::table::{Cell, Table};
use crate::output::text::field_text;
use crate::session::Session;

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune audit
  perilune audit --kind secret -n 100      (who was given secrets and tokens)
  perilune audit --kind refused
  perilune audit --who 'node node001'

Administrators alone see it. The latest 20,000 entries of people, as many of nodes, and 5,000 refusals are kept; [AUDIT] LOG = journal, or the
path of a file, in luna.ini writes all of them as lines of JSON for collectors.";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Refused requests
    Refused,
    /// Secrets and tokens that were handed out
    Secret,
    /// The description of the cluster was changed
    Changed,
    /// Other actions: power, jobs, boots
    Done,
}

#[derive(Args)]
pub(crate) struct Audit {
    /// How many entries at most
    #[arg(long, short = 'n', default_value = "20", value_parser = number::<u32>)]
    limit: u32,
    /// Only of this kind
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Only of this user, or 'node NAME', 'machine MAC', 'token NAME (USER)', nobody
    #[arg(long)]
    who: Option<String>,
}

pub(crate) fn run(session: &Session, arguments: &Audit) -> Result<(), Failure> {
    let kind = arguments.kind.map(|kind| match kind {
        Kind::Refused => "&kind=refused",
        Kind::Secret => "&kind=secret",
        Kind::Changed => "&kind=changed",
        Kind::Done => "&kind=done",
    });
    let who = arguments.who.as_ref().map(|who| format!("&who={}", encode(who)));
    let query = format!(
        "/audit?limit={}{}{}",
        arguments.limit,
        kind.unwrap_or_default(),
        who.unwrap_or_default()
    );
    let answer = session.client.get(&query)?;
    let entries = answer.get("audit").and_then(Value::as_array).cloned().unwrap_or_default();
    if !session.output.is_table() {
        return Ok(session.output.value(&entries.into())?);
    }
    if entries.is_empty() {
        return Ok(output::line("nothing of the kind was noted")?);
    }
    let mut table = Table::new(["WHEN", "KIND", "WHO", "FROM", "TIMES", "WHAT"])
        .whole(&["WHEN", "KIND", "WHO", "FROM", "TIMES"]);
    for entry in &entries {
        let text =
            |key: &str| entry.get(key).map(|value| field_text(key, value)).unwrap_or_default();
        table.row(["at", "kind", "who", "from", "count", "what"].map(|key| Cell::new(text(key))));
    }
    Ok(session.output.table(&table)?)
}
