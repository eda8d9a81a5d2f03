//! `[SERVICES] COMMAND`, and the programs that check files.

use std::path::Path;
use std::time::Duration;

use perilune_program::{Ended, Limits};

use super::queue::{Action, Kind};
use crate::config::ServerSettings;

/// A service that takes longer to start is looked at by somebody.
const ACTING: Limits = Limits::of(Duration::from_mins(1), 64 << 10);
/// Checking the zones or hosts of a large site takes seconds.
const CHECKING: Limits = Limits::of(Duration::from_mins(1), 64 << 10);
/// Lines of a program's words that are told: the first say what is wrong, and the last may be a banner.
const LINES: usize = 6;
const LONGEST_LINE: usize = 300;

/// Whether the system says that a server runs.
pub(super) async fn status(settings: &ServerSettings, kind: Kind) -> Result<(), String> {
    let Some(unit) = settings.unit(kind) else { return Err("it is not configured".to_owned()) };
    let ended = run(&settings.command, &["status", unit], "", ACTING).await?;
    let runs = String::from_utf8_lossy(&ended.answer).contains("active (running)");
    if ended.status.success() || runs { Ok(()) } else { Err(format!("{unit} does not run")) }
}

/// Has a server act.
pub(super) async fn act(
    settings: &ServerSettings,
    kind: Kind,
    action: Action,
) -> Result<(), String> {
    let Some(unit) = settings.unit(kind) else { return Err("it is not configured".to_owned()) };
    let word = action.word();
    let failed = |reason: &str| format!("Service {unit} is Failed to {word}.{reason}");
    let ended = run(&settings.command, &[word, unit], "", ACTING).await;
    let ended = ended.map_err(|reason| failed(&format!(" {reason}")))?;
    let said = words(&ended);
    let is_refused = action == Action::Reload && said.contains("Failed");
    if ended.status.success() && !is_refused {
        return Ok(());
    }
    Err(failed(&if said.is_empty() { said } else { format!(" {said}") }))
}

/// Has a program check a file, whose name is its last argument.
pub(super) async fn check(program: &[String], more: &[&str], file: &Path) -> Result<(), String> {
    let file = file.display().to_string();
    let more: Vec<&str> = more.iter().copied().chain([file.as_str()]).collect();
    let ended = run(program, &more, "", CHECKING).await?;
    if ended.status.success() { Ok(()) } else { Err(words(&ended)) }
}

/// Runs a program with words on its standard input, and answers its complaint when it fails.
pub(super) async fn feed(program: &[String], input: &str) -> Result<(), String> {
    let ended = run(program, &[], input, ACTING).await?;
    if ended.status.success() { Ok(()) } else { Err(words(&ended)) }
}

async fn run(
    program: &[String],
    more: &[&str],
    input: &str,
    limits: Limits,
) -> Result<Ended, String> {
    let Some(path) = program.first() else {
        return Err("no program is configured".to_owned());
    };
    let words: Vec<&str> = program.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let ended = perilune_program::run(&words, input, limits, None).await;
    ended.map_err(|reason| format!("{path}: {reason}"))
}

/// What a program said, for people: its first lines.
fn words(ended: &Ended) -> String {
    let all = [&ended.complaint, &ended.answer].map(|bytes| String::from_utf8_lossy(bytes));
    let lines = all.iter().flat_map(|text| text.lines()).map(str::trim);
    // dhcpd says who made it before what is wrong.
    let is_banner = |line: &str| {
        ["Internet Systems Consortium", "Copyright", "All rights reserved", "For info, please"]
            .iter()
            .any(|words| line.starts_with(words))
    };
    let lines = lines.filter(|line| !line.is_empty() && !is_banner(line)).take(LINES);
    let lines = lines.map(|line| line.chars().take(LONGEST_LINE).collect::<String>());
    lines.collect::<Vec<_>>().join("; ")
}
