//! Scripts of the cluster's configuration, run by bash: their output goes to the console line by line, and the last
//! lines of one that fails into the error.

mod output;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use output::{Next, Output};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::console::Console;
use crate::{tool, wait};

/// A process that a script left behind may hold its output open; nobody waits for that.
const GRACE: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A script that prints nothing for this long is reported, so that nobody thinks that the node is dead.
const HEARTBEAT: Duration = Duration::from_mins(1);

/// What scripts find in their environment.
#[derive(Clone)]
pub struct Environment(pub Vec<(&'static str, String)>);

/// How long a script may take, and what is called while it does: at most once a minute, with a sentence.
pub struct Watch<'a> {
    pub limit: Duration,
    pub heartbeat: &'a dyn Fn(&str),
}

impl Environment {
    /// Runs a script, named by what it is for.
    pub fn run(&self, name: &str, text: &str, watch: &Watch<'_>, console: &Console) -> Result<()> {
        let file = Path::new("/tmp").join(name.replace(['/', ' '], "-"));
        let write = || {
            fs::write(&file, text.replace("\r\n", "\n"))?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o700))
        };
        write().with_context(|| format!("cannot write the {name} to {}", file.display()))?;
        let mut bash = tool::command("bash");
        bash.arg(&file).envs(self.0.iter().map(|(key, value)| (*key, value.as_str())));
        let result = follow(&mut bash, name, watch, console);
        // It may hold what few may read, and nobody runs it again.
        fs::remove_file(&file).ok();
        result
    }
}

/// Runs a command to its end and shows what it says. At the end of its time it is killed, with all that it has started.
pub fn follow(
    command: &mut Command,
    name: &str,
    watch: &Watch<'_>,
    console: &Console,
) -> Result<()> {
    let (reader, writer) = io::pipe().with_context(|| format!("no pipe for the {name}"))?;
    let copy = writer.try_clone().with_context(|| format!("no pipe for the {name}"))?;
    command.stdin(Stdio::null()).stdout(writer).stderr(copy).process_group(0);
    let mut child = command.spawn().with_context(|| format!("the {name} cannot be started"))?;
    // Only the child holds the other end now, so that its end is the end of the output.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let output = Output::read(reader);

    let started = Instant::now();
    let mut clock = Heartbeat { started, last: started };
    let mut ended: Option<(ExitStatus, Instant)> = None;
    let is_late = loop {
        match output.next(LOOK_EVERY) {
            Next::Line(line) => {
                console.output(&line);
                clock.last = Instant::now();
            }
            Next::Silence => clock.beat(name, watch, console),
            Next::End => break false,
        }
        if ended.is_none() {
            let status = child.try_wait().with_context(|| format!("the {name} was lost"))?;
            ended = status.map(|status| (status, Instant::now()));
        }
        if ended.is_some_and(|(_, at)| at.elapsed() > GRACE) {
            break false;
        }
        // One that never stops talking is late as well.
        if ended.is_none() && started.elapsed() > watch.limit {
            break true;
        }
    };
    // The console may be slower than the script was.
    output.rest().iter().for_each(|line| console.output(line));
    let is_late = is_late || (ended.is_none() && !ends_in_time(&mut child, started, watch.limit));
    if is_late {
        end_all(&mut child);
        let limit = span(watch.limit);
        bail!("the {name} was ended after {limit}: {}", tool::quote(&output.last()));
    }
    let status = match ended {
        Some((status, _)) => status,
        None => child.wait().with_context(|| format!("the {name} was lost"))?,
    };
    if status.success() {
        return Ok(());
    }
    bail!("the {name} failed ({status}): {}", tool::quote(&output.last()))
}

/// Waits for one that has closed its output.
fn ends_in_time(child: &mut Child, started: Instant, limit: Duration) -> bool {
    let left = limit.saturating_sub(started.elapsed());
    wait::until(left, || child.try_wait().ok().flatten()).is_some()
}

/// Kills it with everything that it has started, as far as that has not left it.
fn end_all(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        kill_process_group(group, Signal::KILL).ok();
    }
    child.kill().ok();
    child.wait().ok();
}

/// When something was last heard of a script.
struct Heartbeat {
    started: Instant,
    last: Instant,
}

impl Heartbeat {
    fn beat(&mut self, name: &str, watch: &Watch<'_>, console: &Console) {
        if self.last.elapsed() < HEARTBEAT {
            return;
        }
        self.last = Instant::now();
        let (running, limit) = (span(self.started.elapsed()), span(watch.limit));
        let text = format!("the {name} has been running for {running}; it is ended after {limit}");
        console.line(&text);
        (watch.heartbeat)(&text);
    }
}

/// A length of time for people.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::console::tests::Memory;

    fn run(text: &str) -> (Result<()>, String) {
        run_for(Duration::from_mins(5), text)
    }

    fn run_for(limit: Duration, text: &str) -> (Result<()>, String) {
        let memory = Memory::default();
        let console = Console::new(memory.clone());
        let environment = Environment(vec![("LUNA_NODE", "node001".to_owned())]);
        let id = (std::process::id(), thread::current().id());
        let name = format!("script-{id:?}").replace(|c: char| !c.is_alphanumeric() && c != '-', "");
        let watch = Watch { limit, heartbeat: &|_| {} };
        let result = environment.run(&name, text, &watch, &console);
        assert!(!Path::new("/tmp").join(name).exists(), "nothing of it is left");
        (result, memory.text())
    }

    #[test]
    fn output_is_shown_and_the_environment_is_there() {
        let (result, shown) = run("echo out $LUNA_NODE\necho err >&2\n");
        result.unwrap();
        assert!(shown.contains("| out node001\r\n") && shown.contains("| err\r\n"), "{shown}");
    }

    #[test]
    fn what_a_script_leaves_running_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("child");
        run(&format!("sleep 3600 & echo $! > {}", file.display())).0.unwrap();
        let child = fs::read_to_string(&file).unwrap();
        assert!(Path::new("/proc").join(child.trim()).exists(), "it was waited for, or ended");
        let child = Pid::from_raw(child.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(child, Signal::KILL).unwrap();
    }

    #[test]
    fn a_script_that_takes_too_long_is_ended_with_all_that_it_has_started() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("child");
        // Quiet, endlessly talking, with its output closed, and waiting for a child of its own.
        for text in ["sleep 600", "while true; do echo x; done", "exec >&- 2>&-; sleep 600"] {
            let text = format!("echo begun; sleep 600 & echo $! > {}; {text}", file.display());
            let (result, _) = run_for(Duration::from_millis(500), &text);
            let error = result.unwrap_err().to_string();
            assert!(error.contains("was ended after 0 s"), "{error}");
            let child = fs::read_to_string(&file).unwrap();
            let stat = Path::new("/proc").join(child.trim()).join("stat");
            let is_gone = || {
                let stat = fs::read_to_string(&stat).unwrap_or_default();
                (stat.is_empty() || stat.contains(") Z ")).then_some(())
            };
            assert!(wait::until(Duration::from_secs(10), is_gone).is_some(), "{text}");
        }
    }

    #[test]
    fn times_are_told_as_people_say_them() {
        let told = [30, 60, 90, 7200, 7260].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(told, ["30 s", "1 min", "1 min 30 s", "2 h", "2 h 1 min"]);
    }

    #[test]
    fn a_failure_carries_the_last_lines() {
        let (result, _) = run("for i in $(seq 100); do echo line $i; done\r\nexit 7\r\n");
        let error = result.unwrap_err().to_string();
        assert!(
            error.contains("exit status: 7") && error.ends_with("line 99 / line 100"),
            "{error}"
        );
    }
}
