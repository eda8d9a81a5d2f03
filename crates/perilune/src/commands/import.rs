//! `perilune import`

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use serde_json::Value;

use crate::failure::Failure;
use crate::output;
use crate::output::table::{Cell, Table, Tone};
use crate::session::Session;

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune import /trinity/local/luna/daemon/common/luna.db             tell what would be taken
  perilune import luna.db -o json > report.json                         the same for a program
  perilune import luna.db --commit                                      do it
  perilune import luna.db --commit --replace                            … in a cluster that is in use already

Stop the old daemon first, so that the file is whole. Nothing is written to it.";

/// What there is to do with each verdict.
const VERDICTS: [(&str, &str); 3] = [
    ("refused", "Refused: these rows are not taken"),
    ("odd", "Odd: these are taken, and read as told"),
    ("left", "Left out: this has no place here"),
];
/// As large as the daemon takes a database.
const LARGEST: u64 = 256 << 20;
/// As many objects as are named.
const NAMED: usize = 10;

#[derive(Args)]
pub(crate) struct Import {
    /// The database of the old site, luna.db
    file: PathBuf,
    /// Do it (default: only print what would be taken)
    #[arg(long)]
    commit: bool,
    /// Replace everything in the cluster except its users
    #[arg(long)]
    replace: bool,
}

pub(crate) fn run(session: &Session, arguments: &Import) -> Result<(), Failure> {
    let written = check(&arguments.file)?;
    // What nodes reported is as old as the file, which may be a copy of some time ago.
    let as_of = humantime::format_rfc3339_seconds(written);
    let path = format!(
        "/config/import?dry_run={}&replace={}&as_of={as_of}",
        !arguments.commit, arguments.replace
    );
    let answer = session.client.post_file(&path, &arguments.file)?;
    let report = answer.get("import").cloned().unwrap_or_default();
    let obstacles = texts(&report, "obstacles");
    if session.output.is_table() {
        show(session, &report, arguments)?;
    } else {
        session.output.value(&report)?;
    }
    if obstacles.is_empty() { Ok(()) } else { Err(Failure::Reported { code: 1 }) }
}

/// What can be told before anything is sent. Answers when the file was written.
fn check(file: &Path) -> Result<SystemTime, Failure> {
    let usage = |error: std::io::Error| Failure::usage(format!("{}: {error}", file.display()));
    let metadata = fs::metadata(file).map_err(usage)?;
    if !metadata.is_file() {
        return Err(Failure::usage(format!("{} is not a file", file.display())));
    }
    if metadata.len() > LARGEST {
        return Err(Failure::Failed {
            message: format!("{} is larger than {} MiB, the most that is read", file.display(), LARGEST >> 20),
            hint: Some("empty the tables queue, status and journal of a copy, then: sqlite3 copy.db VACUUM".to_owned()),
        });
    }
    let mut beside = file.as_os_str().to_owned();
    beside.push("-wal");
    let has_more = fs::metadata(&beside).is_ok_and(|metadata| metadata.len() > 0);
    if has_more {
        return Err(Failure::Failed {
            message: format!(
                "{} is not whole: newer changes stand in {} beside it",
                file.display(),
                Path::new(&beside).display()
            ),
            hint: Some(format!(
                "stop the old daemon, then copy it: sqlite3 {} \"VACUUM INTO 'copy.db'\", and import copy.db",
                file.display()
            )),
        });
    }
    metadata.modified().map_err(usage)
}

fn show(session: &Session, report: &Value, arguments: &Import) -> Result<(), Failure> {
    let taken = report.get("taken").and_then(Value::as_object);
    let mut table = Table::new(["KIND", "TAKEN"]);
    for (kind, count) in taken.into_iter().flatten() {
        table.row([Cell::new(kind), Cell::new(count.to_string())]);
    }
    session.output.table(&table)?;
    for (verdict, title) in VERDICTS {
        let table = findings(report, verdict);
        if !table.is_empty() {
            output::line(&format!("\n{title}"))?;
            session.output.table(&table)?;
        }
    }
    if let Some(more) = report.get("more_findings").and_then(Value::as_u64).filter(|more| *more > 0)
    {
        output::line(&format!("… and {more} more"))?;
    }
    output::line("")?;
    for (key, sentence) in [
        ("removed", "The cluster has these, and loses them"),
        ("replaced", "The cluster has these, and they become those of the database"),
    ] {
        objects(report, key, sentence)?;
    }
    if report.get("keeps_settings").and_then(Value::as_bool) == Some(true) {
        output::line("The cluster is in use: its own settings stay.")?;
    }
    let obstacles = texts(report, "obstacles");
    for obstacle in &obstacles {
        output::line(&format!("cannot be done: {obstacle}"))?;
    }
    let end = if arguments.commit {
        "All of this was done in one change."
    } else if obstacles.is_empty() {
        "Nothing was changed. To do it, add --commit."
    } else {
        "Nothing was changed. To let the database take the place of everything, add --replace."
    };
    Ok(output::line(end)?)
}

fn findings(report: &Value, verdict: &str) -> Table {
    let mut table = Table::new(["TABLE", "ROW", "NAME", "COLUMN", "MESSAGE"]);
    let all = report.get("findings").and_then(Value::as_array);
    let tone = if verdict == "refused" { Tone::Bad } else { Tone::Plain };
    for finding in all.into_iter().flatten() {
        let text = |key: &str| match finding.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        if text("verdict") == verdict {
            table.row([
                Cell::toned(text("table"), tone),
                Cell::new(text("row")),
                Cell::new(text("name")),
                Cell::new(text("column")),
                Cell::new(text("message")),
            ]);
        }
    }
    table
}

fn objects(report: &Value, key: &str, sentence: &str) -> Result<(), Failure> {
    let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for object in report.get(key).and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        kinds.entry(text("kind")).or_default().push(text("name"));
    }
    for (kind, names) in kinds {
        let more = names.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names: Vec<&str> = names.into_iter().take(NAMED).collect();
        output::line(&format!("{sentence}: {kind} {}{more}", names.join(", ")))?;
    }
    Ok(())
}

fn texts(report: &Value, key: &str) -> Vec<String> {
    let list = report.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
