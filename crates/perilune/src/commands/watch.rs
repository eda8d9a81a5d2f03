//! `perilune node watch`: states and progress of many nodes, live.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use console::Term;
use perilune::client::{self, encode};
use perilune_select::hostlist;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::{self, Failure, error_line};
use crate::job::pause;
use crate::output::table::{Tone, paint};
use crate::output::{self, Canvas, terminal_size, text};
use crate::select::Exclude;
use crate::session::{Session, unknown_among};

mod frame;

pub(crate) const EXAMPLES: &str = "\
On a terminal the table is redrawn; elsewhere each change is a line.

Examples:
  perilune node watch
  perilune node watch node[001-128]
  perilune node watch node[001-003] --until success --timeout 10m
  perilune node watch node001 --until success --fresh      (a reinstall: what it reached before does not count)

With --until the exit code is 0 when all nodes reached the state, and 1 when a node failed or time ran out.";

/// What nodes report as they install, ours and those of installers that are made elsewhere.
const STATES: [&str; 16] = [
    "discovered",
    "rendered",
    "prescript",
    "setupbmc",
    "partscript",
    "download",
    "downloaded",
    "unpack",
    "setnet",
    "secrets",
    "bootloader",
    "postscript",
    "roles",
    "scripts",
    "success",
    "error",
];

/// A query with more than this is not sent; all nodes are asked for, and chosen here.
const LONGEST_QUERY: usize = 2000;

#[derive(Args)]
pub(crate) struct Watch {
    /// Names, host lists or selectors (default: all nodes)
    names: Vec<String>,
    #[command(flatten)]
    exclude: Exclude,
    /// End when all nodes have reached this state, such as success
    #[arg(long, value_name = "STATE")]
    until: Option<String>,
    /// Give up after this time, such as 600, 90s or 10m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// With --until: only states that are reached from now on count
    #[arg(long, requires = "until")]
    fresh: bool,
    /// Time between two looks
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1")]
    interval: Duration,
}

/// What is known of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Progress {
    state: Option<String>,
    status: Option<Value>,
    since: Option<String>,
    phase: Option<String>,
    bytes_done: Option<u64>,
    bytes_total: Option<u64>,
    rate: Option<u64>,
    message: Option<String>,
    /// It said so to the site that was imported, and has not been heard here.
    #[serde(default)]
    imported: bool,
}

/// How the watch stands for one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pending,
    Reached,
    Failed,
}

/// What is said of a state that a node came to before its site was taken over.
const IMPORTED: &str = "in the old site";

type Nodes = BTreeMap<String, Progress>;

pub(crate) fn run(session: &Session, arguments: &Watch) -> Result<(), Failure> {
    let wanted = match arguments.names.as_slice() {
        [] => None,
        names => Some(session.nodes(names, &arguments.exclude)?),
    };
    let goal = arguments.until.as_deref().map(goal).transpose()?;
    let start = Instant::now();
    let mut view = View::new(session);
    let first = fetch(session, wanted.as_deref())?;
    check_names(session, wanted.as_deref(), &first)?;
    let before: Nodes = if arguments.fresh { first.clone() } else { Nodes::new() };
    let mut nodes = first;
    loop {
        view.show(&nodes)?;
        if let Some(goal) = &goal {
            let verdicts = verdicts(&nodes, goal, &before);
            let all_seen = nodes.len() >= wanted.as_ref().map_or(1, Vec::len);
            if all_seen && verdicts.values().all(|verdict| *verdict != Verdict::Pending) {
                return conclude(&nodes, &verdicts, goal, None);
            }
            if let Some(timeout) = arguments.timeout.filter(|timeout| start.elapsed() >= *timeout) {
                return conclude(&nodes, &verdicts, goal, Some(timeout));
            }
        } else if arguments.timeout.is_some_and(|timeout| start.elapsed() >= timeout) {
            return Ok(());
        }
        pause(arguments.interval);
        match fetch(session, wanted.as_deref()) {
            Ok(newer) => {
                view.trouble = None;
                nodes = newer;
            }
            Err(error @ client::Error::Unreachable { .. }) => view.lost_sight(&error),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The state that is waited for. Installers that are made elsewhere may report others than ours: those have a dot, as `install.x`.
fn goal(word: &str) -> Result<String, Failure> {
    if word.contains('.') {
        return Ok(word.to_owned());
    }
    if STATES.contains(&word) {
        return Ok(format!("install.{word}"));
    }
    let hint = failure::nearest(word, STATES.iter().copied(), "perilune node watch --help");
    Err(Failure::Usage {
        message: format!(
            "no node reaches the state '{word}': {hint}; there are {}",
            STATES.join(", ")
        ),
    })
}

fn fetch(session: &Session, wanted: Option<&[String]>) -> Result<Nodes, client::Error> {
    let query = wanted.map(|names| encode(&hostlist::fold(names)));
    let path = match query {
        Some(query) if query.len() <= LONGEST_QUERY => format!("/monitor/progress?nodes={query}"),
        _ => "/monitor/progress".to_owned(),
    };
    let answer = session.client.get(&path)?;
    let progress = answer.pointer("/monitor/progress").and_then(Value::as_object);
    let wanted: Option<BTreeSet<&String>> = wanted.map(|names| names.iter().collect());
    let nodes = progress.into_iter().flatten();
    let nodes =
        nodes.filter(|(name, _)| wanted.as_ref().is_none_or(|wanted| wanted.contains(name)));
    // What cannot be read is a node of which nothing is known; the others are shown.
    Ok(nodes
        .map(|(name, value)| (name.clone(), Progress::deserialize(value).unwrap_or_default()))
        .collect())
}

fn check_names(session: &Session, wanted: Option<&[String]>, nodes: &Nodes) -> Result<(), Failure> {
    match wanted.unwrap_or_default().iter().find(|name| !nodes.contains_key(*name)) {
        Some(missing) => {
            let known = session.client.objects("node")?;
            // Added since the first look.
            if known.contains_key(missing) {
                Ok(())
            } else {
                Err(unknown_among("node", missing, &known))
            }
        }
        None => Ok(()),
    }
}

fn verdicts<'a>(nodes: &'a Nodes, goal: &str, before: &Nodes) -> BTreeMap<&'a str, Verdict> {
    let judge = |(name, progress): (&'a String, &Progress)| {
        let is_old = before
            .get(name)
            .is_some_and(|old| old.since == progress.since && old.state == progress.state);
        let verdict = match progress.state.as_deref() {
            Some(_) if is_old => Verdict::Pending,
            Some(state) if state == goal => Verdict::Reached,
            Some("install.error") => Verdict::Failed,
            _ => Verdict::Pending,
        };
        (name.as_str(), verdict)
    };
    nodes.iter().map(judge).collect()
}

fn conclude(
    nodes: &Nodes,
    verdicts: &BTreeMap<&str, Verdict>,
    goal: &str,
    timeout: Option<Duration>,
) -> Result<(), Failure> {
    let of = |wanted: Verdict| {
        let names = verdicts.iter().filter(|(_, verdict)| **verdict == wanted);
        names.map(|(name, _)| *name).collect::<Vec<_>>()
    };
    let (failed, pending) = (of(Verdict::Failed), of(Verdict::Pending));
    for name in &failed {
        let reason = nodes.get(*name).map(reason).unwrap_or_default();
        error_line(&format!("{name}: install.error: {reason}"));
    }
    match timeout {
        Some(timeout) => {
            let time = humantime::format_duration(timeout);
            let message = if nodes.is_empty() {
                format!("after {time}: no node to watch")
            } else {
                format!("after {time}: {} not in {goal}", hostlist::fold(&pending))
            };
            Err(Failure::failed(message))
        }
        None if failed.is_empty() => Ok(()),
        None => Err(Failure::Reported { code: 1 }),
    }
}

fn reason(progress: &Progress) -> String {
    let status = progress.status.as_ref().map(|status| text::field_text("status", status));
    let status = status.filter(|status| !status.is_empty());
    status
        .or_else(|| progress.message.clone())
        .unwrap_or_else(|| "no reason was reported".to_owned())
}

/// Seconds, or a number with its unit.
pub(crate) fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text),
    }
}

/// Redraws on a terminal; elsewhere says what changed.
struct View<'a> {
    session: &'a Session,
    /// Lines on the terminal that are to be replaced.
    drawn: usize,
    told: Nodes,
    trouble: Option<String>,
}

impl<'a> View<'a> {
    fn new(session: &'a Session) -> Self {
        Self { session, drawn: 0, told: Nodes::new(), trouble: None }
    }

    fn show(&mut self, nodes: &Nodes) -> Result<(), Failure> {
        let output = &self.session.output;
        if output.is_terminal && output.is_table() {
            return self.redraw(nodes);
        }
        for (name, progress) in nodes {
            let told = self.told.get(name);
            if told.is_some_and(|told| told.state == progress.state && told.since == progress.since)
            {
                continue;
            }
            if output.is_table() {
                output::line(&change_line(name, progress))?;
            } else {
                // One document a line, so that a program can read while it goes on.
                output::line(
                    &json!({ "node": name, "state": progress.state, "since": progress.since,
                    "status": progress.status, "imported": progress.imported })
                    .to_string(),
                )?;
            }
        }
        self.told.clone_from(nodes);
        Ok(())
    }

    /// The nodes go on without us; so does the watch.
    fn lost_sight(&mut self, error: &client::Error) {
        let trouble = format!("{error}; trying again");
        if self.trouble.is_none() && !self.session.output.is_terminal {
            error_line(&trouble);
        }
        self.trouble = Some(trouble);
    }

    fn redraw(&mut self, nodes: &Nodes) -> Result<(), Failure> {
        let (rows, columns) = terminal_size().unwrap_or((24, 80));
        let canvas = Canvas { width: Some(columns), ..self.session.output.canvas };
        let mut lines = frame::frame(nodes, now(), canvas, rows);
        if let Some(trouble) = &self.trouble {
            let line = console::truncate_str(trouble, columns, "…");
            lines.push(paint(&line, Tone::Bad, canvas.colour));
        }
        let terminal = Term::buffered_stdout();
        terminal.clear_last_lines(self.drawn)?;
        for line in &lines {
            terminal.write_line(line)?;
        }
        terminal.flush()?;
        self.drawn = lines.len();
        Ok(())
    }
}

fn change_line(name: &str, progress: &Progress) -> String {
    let since = progress.since.as_deref().unwrap_or("-");
    let state = progress.state.as_deref().unwrap_or("not seen yet");
    let status = match progress.state.as_deref() {
        Some("install.error") => format!(": {}", reason(progress)),
        _ => String::new(),
    };
    let imported = if progress.imported { IMPORTED } else { "" };
    text::printable(format!("{since}  {name}  {state}{status}  {imported}").trim_end())
}

#[expect(
    clippy::disallowed_methods,
    reason = "an edge: how long ago a state began is shown to a person"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

/// A cluster in the middle of its installation.
#[cfg(test)]
mod fixture {
    use super::{Nodes, Progress};

    pub(super) fn progress(state: &str, since: &str) -> Progress {
        Progress {
            state: Some(state.to_owned()),
            since: Some(since.to_owned()),
            ..Progress::default()
        }
    }

    pub(super) fn nodes() -> Nodes {
        let mut unpacking = progress("install.unpack", "2026-01-02T10:00:00Z");
        unpacking.bytes_done = Some(600 << 20);
        unpacking.bytes_total = Some(1 << 30);
        unpacking.rate = Some(110 << 20);
        let mut broken = progress("install.error", "2026-01-02T09:58:00Z");
        broken.status = Some("no disk of 8 GiB or more".into());
        Nodes::from([
            ("node001".to_owned(), progress("install.success", "2026-01-02T09:00:00Z")),
            ("node002".to_owned(), unpacking),
            ("node003".to_owned(), broken),
            ("node004".to_owned(), Progress::default()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::fixture::{nodes, progress};
    use super::{Nodes, Verdict, change_line, duration, goal, verdicts};

    #[test]
    fn a_change_is_one_line_and_an_error_has_its_reason() {
        let nodes = nodes();
        assert_eq!(
            change_line("node003", &nodes["node003"]),
            "2026-01-02T09:58:00Z  node003  install.error: no disk of 8 GiB or more"
        );
        assert_eq!(change_line("node004", &nodes["node004"]), "-  node004  not seen yet");
    }

    #[test]
    fn a_state_from_before_does_not_count_when_only_fresh_ones_do() {
        let nodes = nodes();
        let judge = |before: &Nodes, name: &str| verdicts(&nodes, "install.success", before)[name];
        assert_eq!(judge(&Nodes::new(), "node001"), Verdict::Reached);
        assert_eq!(judge(&Nodes::new(), "node002"), Verdict::Pending);
        assert_eq!(judge(&Nodes::new(), "node003"), Verdict::Failed);
        assert_eq!(judge(&nodes, "node001"), Verdict::Pending);
        let earlier = Nodes::from([(
            "node001".to_owned(),
            progress("install.success", "2026-01-01T00:00:00Z"),
        )]);
        assert_eq!(judge(&earlier, "node001"), Verdict::Reached);
    }

    #[test]
    fn a_state_that_no_node_reaches_is_not_waited_for() {
        assert_eq!(goal("success").unwrap(), "install.success");
        assert_eq!(goal("os.ready").unwrap(), "os.ready");
        let refusal = goal("sucess").unwrap_err().to_string();
        assert!(refusal.contains("did you mean success"), "{refusal}");
    }

    #[test]
    fn times_are_seconds_or_have_a_unit() {
        assert_eq!(duration("600"), Ok(Duration::from_mins(10)));
        assert_eq!(duration("10m"), Ok(Duration::from_mins(10)));
        assert!(duration("soon").is_err());
    }
}
