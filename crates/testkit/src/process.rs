//! Commands and waits that end: each has a limit, and stops early when the user interrupts.
#![expect(
    clippy::disallowed_methods,
    reason = "this module is where tests wait: blocking, but always with a limit"
)]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::Error;

/// How often a condition is looked at again, unless a limit says otherwise.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a process may take to end after a polite request.
const GRACE: Duration = Duration::from_secs(5);

/// Set once when the user wants everything to end.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// How long something may take, and what may cut it short.
#[derive(Clone, Debug)]
pub struct Limit {
    time: Duration,
    pause: Duration,
    stop: Option<Stop>,
}

impl Limit {
    pub fn seconds(seconds: u64) -> Self {
        Self { time: Duration::from_secs(seconds), pause: PAUSE, stop: None }
    }

    /// The same limit, which also ends when `stop` is requested.
    #[must_use]
    pub fn unless(self, stop: &Stop) -> Self {
        Self { stop: Some(stop.clone()), ..self }
    }

    /// The same limit, for a condition that costs something to look at.
    #[must_use]
    pub fn every(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    fn is_interrupted(&self) -> bool {
        self.stop.as_ref().is_some_and(Stop::is_requested)
    }
}

/// A command for `program`, with nothing on its standard input and in a process group of its own, so that
/// the terminal's interrupt reaches us alone and we end our children in order.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).process_group(0);
    command
}

/// Runs a command to its end and returns what it wrote to its standard output. A failure carries both outputs.
pub fn run(command: &mut Command, limit: &Limit) -> Result<String, Error> {
    let words = describe(command);
    let not_started = |source| Error::NotStarted { command: words.clone(), source };
    let mut output = tempfile::tempfile().map_err(not_started)?;
    let mut errors = tempfile::tempfile().map_err(not_started)?;
    command.stdout(output.try_clone().map_err(not_started)?);
    command.stderr(errors.try_clone().map_err(not_started)?);
    let mut child = command.spawn().map_err(not_started)?;
    let ended = wait_for(limit, || child.try_wait().ok().flatten());
    if ended.is_err() {
        kill(&mut child);
    }
    let text = contents(&mut output);
    let mut all = || format!("{text}{}", contents(&mut errors)).trim_end().to_owned();
    match ended {
        Ok(Some(status)) if status.success() => Ok(text),
        Ok(Some(status)) => Err(Error::Failed { command: words, status, output: all() }),
        Ok(None) => {
            kill(&mut child);
            Err(Error::TimedOut { command: words, seconds: limit.time.as_secs(), output: all() })
        }
        Err(error) => Err(error),
    }
}

/// Looks at a condition until it holds: `Some` with its value, `None` when the time is over.
pub fn wait_for<T>(
    limit: &Limit,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<Option<T>, Error> {
    let end = Instant::now() + limit.time;
    loop {
        if let Some(value) = condition() {
            return Ok(Some(value));
        }
        if limit.is_interrupted() {
            return Err(Error::Interrupted);
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        std::thread::sleep(limit.pause);
    }
}

/// Asks a process and its group to end, insists after a moment, and waits for it.
pub fn end(child: &mut Child) -> Option<ExitStatus> {
    if let Ok(Some(status)) = child.try_wait() {
        return Some(status);
    }
    signal_group(child.id(), Signal::TERM);
    let limit = Limit { time: GRACE, pause: PAUSE, stop: None };
    if let Ok(Some(status)) = wait_for(&limit, || child.try_wait().ok().flatten()) {
        return Some(status);
    }
    kill(child)
}

/// Ends a process and its group at once, as a power cut would.
pub fn kill(child: &mut Child) -> Option<ExitStatus> {
    signal_group(child.id(), Signal::KILL);
    child.wait().ok()
}

/// Sends a signal to the group that `command` made. A group that is gone already is what was wanted.
fn signal_group(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        kill_process_group(pid, signal).ok();
    }
}

/// Ends processes by their numbers, as `ip netns pids` lists them.
pub fn kill_all(ids: &[i32]) {
    for pid in ids.iter().filter_map(|id| Pid::from_raw(*id)) {
        rustix::process::kill_process(pid, Signal::KILL).ok();
    }
}

fn contents(file: &mut File) -> String {
    let mut bytes = Vec::new();
    match file.rewind().and_then(|()| file.read_to_end(&mut bytes)) {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("(its output cannot be read: {error})"),
    }
}

/// The command as a person would type it.
pub fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quote(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@,+%[]".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_gives_its_output() {
        let output = run(command("echo").arg("hello"), &Limit::seconds(10)).unwrap();
        assert_eq!(output, "hello\n");
    }

    #[test]
    fn a_failure_carries_what_the_command_said() {
        let error =
            run(command("sh").args(["-c", "echo so; echo why >&2; exit 3"]), &Limit::seconds(10))
                .unwrap_err();
        assert!(matches!(&error, Error::Failed { output, .. } if output == "so\nwhy"), "{error}");
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_its_children() {
        let error =
            run(command("sh").args(["-c", "sleep 3600 & wait"]), &Limit::seconds(1)).unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    }

    #[test]
    fn an_interrupt_ends_a_wait() {
        let stop = Stop::default();
        stop.request();
        let error =
            run(command("sleep").arg("600"), &Limit::seconds(600).unless(&stop)).unwrap_err();
        assert!(matches!(error, Error::Interrupted), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut command("no-such-program-here"), &Limit::seconds(1)).unwrap_err();
        assert!(error.to_string().contains("no-such-program-here"), "{error}");
    }

    #[test]
    fn a_described_command_can_be_pasted_into_a_shell() {
        let mut command = command("perilune");
        command.args(["node", "add", "node001", "--comment", "it's mine", ""]);
        assert_eq!(describe(&command), r"perilune node add node001 --comment 'it'\''s mine' ''");
    }
}
