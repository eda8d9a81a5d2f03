//! `perilune power`, `identify`, `sel`, `sensors`, `inventory`: machines by their BMCs, many at once.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use perilune::client;
use perilune_select::hostlist;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::watch::duration;
use crate::arguments::number;
use crate::failure::Failure;
use crate::job::pause;
use crate::output;
use crate::output::note;
use crate::output::table::{Tone, paint};
use crate::select::Exclude;
use crate::session::{Session, insist};

pub(crate) const EXAMPLES: &str = "\
Nodes with the same outcome are one line. Ctrl-C stops what has not begun.

Exit codes: 0 all were done, 1 some were not, 5 none was.";

pub(crate) const POWER_EXAMPLES: &str = "\
Examples:
  perilune power status node[001-998]
  perilune power on node[001-998] --ramp 50          (50 machines in a second)
  perilune power off node[001-128] --yes
  perilune power cycle node017 -o json

soft asks the operating system to shut down; off does not ask.
Nodes with the same outcome are one line. Ctrl-C stops what has not begun.

Exit codes: 0 all were done, 1 some were not, 5 none was.";

/// Some were done, and some were not.
const SOME: u8 = 1;
/// None was done.
const NONE: u8 = 5;
/// Seconds that one question waits for news.
const WAIT: u64 = 1;
/// A daemon that does not answer is asked again for so long: the request goes on without us.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PowerAction {
    On,
    Off,
    Status,
    Cycle,
    Reset,
    Soft,
}

impl PowerAction {
    fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Status => "status",
            Self::Cycle => "cycle",
            Self::Reset => "reset",
            Self::Soft => "soft",
        }
    }

    /// What happens to what runs on the machines.
    fn interrupts(self) -> Option<&'static str> {
        match self {
            Self::On | Self::Status => None,
            Self::Off => Some("switches off"),
            Self::Cycle => Some("switches off and on"),
            Self::Reset => Some("resets"),
            Self::Soft => Some("shuts down"),
        }
    }
}

#[derive(Args)]
pub(crate) struct Power {
    /// What to do
    action: PowerAction,
    #[command(flatten)]
    hosts: Hosts,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Ask before the power of more nodes than this is taken away
    #[arg(long, value_name = "NODES", env = "PERILUNE_ASK_ABOVE", default_value = "8", value_parser = number::<usize>)]
    ask_above: usize,
    /// Do not check that the power changed
    #[arg(long)]
    no_verify: bool,
}

#[derive(Args)]
pub(crate) struct Hosts {
    /// Names, host lists or selectors, such as node[001-128,200] or 'rack:r1&power:off'
    #[arg(required = true)]
    nodes: Vec<String>,
    #[command(flatten)]
    exclude: Exclude,
    /// BMCs at one moment
    #[arg(long, value_name = "BMCS", help_heading = "Limits", value_parser = number::<u32>)]
    concurrent: Option<u32>,
    /// BMCs in a second
    #[arg(long, value_name = "BMCS", help_heading = "Limits", value_parser = number::<u32>)]
    ramp: Option<u32>,
    /// Time limit for the whole command, such as 90s or 5m
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Limits")]
    deadline: Option<Duration>,
    /// Try BMCs, too, that are skipped because they failed lately
    #[arg(long, help_heading = "Limits")]
    insist: bool,
}

#[derive(Subcommand)]
pub(crate) enum Identify {
    /// Switch the light on
    On(Hosts),
    /// Switch it off
    Off(Hosts),
}

#[derive(Subcommand)]
pub(crate) enum Sel {
    /// List the events
    List(Hosts),
    /// Remove all of them
    Clear(Hosts),
}

#[derive(Subcommand)]
pub(crate) enum Bmc {
    /// Forget failures, refused passwords and pinned certificates, after a BMC was repaired or replaced
    Forget {
        /// Names, host lists or selectors, such as node[001-128,200]
        #[arg(required = true)]
        nodes: Vec<String>,
        #[command(flatten)]
        exclude: Exclude,
    },
}

pub(crate) fn power(session: &Session, arguments: Power) -> Result<(), Failure> {
    let Power { action, hosts, yes, ask_above, no_verify } = arguments;
    let nodes = session.nodes(&hosts.nodes, &hosts.exclude)?;
    if action.word() != PowerAction::Status.word() {
        warn_of_former_owners(session, &nodes);
    }
    if let Some(verb) = action.interrupts().filter(|_| nodes.len() > ask_above && !yes) {
        let list = hostlist::fold(&nodes);
        insist(&format!("This {verb} {} nodes: {list}.", nodes.len()))?;
    }
    let mut request = hosts.request(&nodes);
    if no_verify {
        request.insert("verify".to_owned(), false.into());
    }
    carry_out(session, ("power", action.word()), &request)
}

/// As many addresses are told one by one.
const TOLD: usize = 10;

/// Who has the address of another node's BMC since yesterday may reach that one still. A daemon that does not tell, or not this caller, keeps
/// nobody from what he is about to do.
fn warn_of_former_owners(session: &Session, nodes: &[String]) {
    let body = json!({ "control": { "check": { "hostlist": hostlist::fold(nodes) } } });
    let answer = session.client.post("/control/check", &body).unwrap_or_default();
    let found = answer.pointer("/control/check").and_then(Value::as_array);
    let found = found.map(Vec::as_slice).unwrap_or_default();
    for one in found.iter().take(TOLD) {
        let text = |key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default();
        note(&format!(
            "warning: {}, the BMC of {}, was that of {} until {}; look that it is the right machine",
            text("address"),
            text("node"),
            text("former"),
            text("until")
        ));
    }
    if let Some(more) = found.len().checked_sub(TOLD).filter(|more| *more > 0) {
        note(&format!("warning: and so are the BMCs of {more} more nodes"));
    }
}

pub(crate) fn identify(session: &Session, command: &Identify) -> Result<(), Failure> {
    let (action, hosts) = match command {
        Identify::On(hosts) => ("identify", hosts),
        Identify::Off(hosts) => ("noidentify", hosts),
    };
    many(session, ("chassis", action), hosts)
}

pub(crate) fn sel(session: &Session, command: &Sel) -> Result<(), Failure> {
    match command {
        Sel::List(hosts) => many(session, ("sel", "list"), hosts),
        Sel::Clear(hosts) => many(session, ("sel", "clear"), hosts),
    }
}

pub(crate) fn many(session: &Session, words: (&str, &str), hosts: &Hosts) -> Result<(), Failure> {
    carry_out(session, words, &hosts.request(&session.nodes(&hosts.nodes, &hosts.exclude)?))
}

pub(crate) fn bmc(session: &Session, command: &Bmc) -> Result<(), Failure> {
    let Bmc::Forget { nodes, exclude } = command;
    let list = hostlist::fold(session.nodes(nodes, exclude)?);
    let body = json!({ "control": { "forget": { "hostlist": list } } });
    session.say(&session.client.post("/control/forget", &body)?)
}

impl Hosts {
    /// These nodes, within the usual limits.
    pub(crate) fn of(nodes: Vec<String>, exclude: Exclude) -> Self {
        let (concurrent, ramp, deadline) = (None, None, None);
        Self { nodes, exclude, concurrent, ramp, deadline, insist: false }
    }

    fn request(&self, nodes: &[String]) -> Map<String, Value> {
        let mut request = Map::new();
        request.insert("hostlist".to_owned(), hostlist::fold(nodes).into());
        let numbers = [("concurrent", self.concurrent), ("ramp", self.ramp)];
        for (key, value) in numbers {
            request.extend(value.map(|value| (key.to_owned(), value.into())));
        }
        let deadline = self.deadline.map(|deadline| deadline.as_secs().max(1));
        request.extend(deadline.map(|seconds| ("deadline".to_owned(), seconds.into())));
        if self.insist {
            request.insert("insist".to_owned(), true.into());
        }
        request
    }
}

/// What became of one node.
#[derive(Debug, Clone, Deserialize)]
struct Outcome {
    node: String,
    ok: bool,
    text: String,
    brief: Option<String>,
    power: Option<String>,
    reply: Option<Value>,
    tries: u32,
    seconds: f64,
}

fn carry_out(
    session: &Session,
    (subsystem, action): (&str, &str),
    request: &Map<String, Value>,
) -> Result<(), Failure> {
    let interrupted = interrupted_by_user();
    let path = client::path(["control", "action", subsystem, &format!("_{action}")]);
    let body = json!({ "control": { subsystem: { action: request } } });
    let answer = session.client.post(&path, &body)?;
    let id = answer.get("request_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let (outcomes, lost) = follow(session, &id, &interrupted)?;
    if session.output.is_table() {
        show(session, (subsystem, action), &outcomes)?;
    } else {
        session.output.value(&as_json(&outcomes))?;
    }
    if let Some(failure) = lost {
        return Err(failure);
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.ok).count();
    match failed {
        0 => Ok(()),
        failed if failed == outcomes.len() => Err(Failure::Reported { code: NONE }),
        _ => Err(Failure::Reported { code: SOME }),
    }
}

/// Waits for all results, with a line on a terminal that says how many there are. When the request is lost from sight: those
/// that came, and why there are no more.
fn follow(
    session: &Session,
    id: &str,
    stop: &AtomicBool,
) -> Result<(Vec<Outcome>, Option<Failure>), Failure> {
    let bar = progress_bar(session);
    let path = client::path(["control", "request", id]);
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut is_cancelled = false;
    let mut heard = Instant::now();
    loop {
        if stop.load(Ordering::Relaxed) && !is_cancelled {
            // What is wrong with the daemon, if anything, is told where the results are asked for.
            is_cancelled = session.client.post(&format!("{path}/_cancel"), &json!({})).is_ok();
            bar.suspend(|| note("what has not begun is not done any more"));
        }
        let after = outcomes.len();
        let answer = match session.client.get(&format!("{path}?after={after}&wait={WAIT}")) {
            Ok(answer) => answer,
            Err(client::Error::Unreachable { .. }) if heard.elapsed() < PATIENCE => {
                bar.set_message("the daemon does not answer; asking again");
                pause(Duration::from_secs(WAIT));
                continue;
            }
            Err(error) => {
                bar.finish_and_clear();
                return Ok((outcomes, Some(lost(error))));
            }
        };
        heard = Instant::now();
        let request = answer.pointer("/control/request").cloned().unwrap_or_default();
        let news = answer.pointer("/control/results").cloned().unwrap_or_default();
        let news: Vec<Outcome> = serde_json::from_value(news)
            .map_err(|error| Failure::failed(format!("the results cannot be read: {error}")))?;
        outcomes.extend(news);
        let failed = outcomes.iter().filter(|outcome| !outcome.ok).count();
        bar.set_length(request.get("total").and_then(Value::as_u64).unwrap_or_default());
        bar.set_position(u64::try_from(outcomes.len()).unwrap_or_default());
        bar.set_message(if failed == 0 { String::new() } else { format!("{failed} failed") });
        if request.get("is_over").and_then(Value::as_bool).unwrap_or(true) {
            bar.finish_and_clear();
            return Ok((outcomes, None));
        }
    }
}

/// Requests live as long as the daemon does.
fn lost(error: client::Error) -> Failure {
    match error {
        client::Error::NotFound { .. } => Failure::Failed {
            message: "the daemon was started anew meanwhile; it goes no further with this"
                .to_owned(),
            hint: Some("`perilune power status` tells how far it came".to_owned()),
        },
        error => error.into(),
    }
}

fn progress_bar(session: &Session) -> ProgressBar {
    if !session.output.is_table() || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    match ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn show(session: &Session, words: (&str, &str), outcomes: &[Outcome]) -> Result<(), Failure> {
    let colour = session.output.canvas.colour;
    let is_list = outcomes.iter().any(|outcome| outcome.reply.is_some());
    let (done, failed): (Vec<&Outcome>, Vec<&Outcome>) =
        outcomes.iter().partition(|outcome| outcome.ok);
    if is_list {
        for line in lists(&done) {
            output::line(&line)?;
        }
    }
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for outcome in done.iter().filter(|outcome| !is_list || outcome.text.is_empty()) {
        groups.entry(said(words, outcome)).or_default().push(&outcome.node);
    }
    for (text, nodes) in groups {
        output::line(&format!("{}: {text}", hostlist::fold(nodes)))?;
    }
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for outcome in &failed {
        groups.entry(why(outcome)).or_default().push(&outcome.node);
    }
    for (text, nodes) in groups {
        let text = paint(&text, Tone::Bad, colour);
        output::line(&format!("{}: {text}", hostlist::fold(nodes)))?;
    }
    if !failed.is_empty() {
        note(&format!("{} of {} failed", failed.len(), outcomes.len()));
    }
    Ok(())
}

/// Lines of lists: with the node before each, unless there is only one.
fn lists(done: &[&Outcome]) -> Vec<String> {
    let mut sorted: Vec<_> = done.iter().filter(|outcome| !outcome.text.is_empty()).collect();
    sorted.sort_by(|one, other| one.node.cmp(&other.node));
    let lines = sorted.iter().flat_map(|outcome| {
        outcome.text.lines().map(|line| {
            if done.len() == 1 { line.to_owned() } else { format!("{}: {line}", outcome.node) }
        })
    });
    lines.collect()
}

fn said(words: (&str, &str), outcome: &Outcome) -> String {
    match words {
        ("power", "status") => outcome.text.clone(),
        (_, "list") => "nothing is listed".to_owned(),
        ("chassis", "identify") => "light on".to_owned(),
        ("chassis", "noidentify") => "light off".to_owned(),
        ("sel", "clear") => "cleared".to_owned(),
        (_, action) => match outcome.power.as_deref() {
            Some(power) if power == action => format!("{power} (seen)"),
            _ => format!("{action} done"),
        },
    }
}

fn why(outcome: &Outcome) -> String {
    let reason = outcome.brief.as_ref().unwrap_or(&outcome.text);
    match outcome.tries {
        0 | 1 => reason.clone(),
        tries => format!("{reason} after {tries} tries"),
    }
}

fn as_json(outcomes: &[Outcome]) -> Value {
    let mut sorted: Vec<_> = outcomes.iter().collect();
    sorted.sort_by(|one, other| one.node.cmp(&other.node));
    let nodes = sorted.into_iter().map(|outcome| {
        let entry = json!({
            "ok": outcome.ok,
            "text": outcome.text,
            "reason": outcome.brief,
            "power": outcome.power,
            "reply": outcome.reply,
            "tries": outcome.tries,
            "seconds": outcome.seconds,
        });
        (outcome.node.clone(), entry)
    });
    Value::Object(nodes.collect())
}

/// Becomes true at the first Ctrl-C.
fn interrupted_by_user() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let Ok(runtime) = runtime else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            raised.store(true, Ordering::Relaxed);
        }
    });
    flag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(node: &str, ok: bool, text: &str, tries: u32) -> Outcome {
        let brief = (!ok).then(|| text.to_owned());
        let node = node.to_owned();
        Outcome {
            node,
            ok,
            text: text.to_owned(),
            brief,
            power: None,
            reply: None,
            tries,
            seconds: 0.1,
        }
    }

    #[test]
    fn why_it_failed_says_how_often_it_was_tried() {
        assert_eq!(why(&outcome("a", false, "no answer", 3)), "no answer after 3 tries");
        assert_eq!(why(&outcome("a", false, "no such node", 0)), "no such node");
    }

    #[test]
    fn lines_of_several_nodes_carry_their_names() {
        let (one, other) = (outcome("b", true, "1\n2", 1), outcome("a", true, "3", 1));
        assert_eq!(lists(&[&one, &other]), ["a: 3", "b: 1", "b: 2"]);
        assert_eq!(lists(&[&one]), ["1", "2"]);
    }
}
