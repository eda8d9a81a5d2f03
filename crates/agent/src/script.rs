//! Scripts of the cluster's configuration, run by bash: their output goes to the console line by line, and the last
//! lines of one that fails into the error.

use std::fs;
use std::io::{self, BufRead, BufReader, PipeReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::console::Console;
use crate::tool;

/// What is remembered of the output.
const REMEMBERED: usize = 40;
/// A process that a script left behind may hold its output open; nobody waits for that.
const GRACE: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What scripts find in their environment.
#[derive(Clone)]
pub struct Environment(pub Vec<(&'static str, String)>);

impl Environment {
    /// Runs a script, named by what it is for.
    pub fn run(&self, name: &str, text: &str, console: &Console) -> Result<()> {
        let file = Path::new("/tmp").join(name.replace(['/', ' '], "-"));
        let write = || {
            fs::write(&file, text.replace("\r\n", "\n"))?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o700))
        };
        write().with_context(|| format!("cannot write the {name} to {}", file.display()))?;
        let mut bash = tool::command("bash");
        bash.arg(&file).envs(self.0.iter().map(|(key, value)| (*key, value.as_str())));
        follow(&mut bash, name, console)
    }
}

/// Runs a command to its end and shows what it says.
pub fn follow(command: &mut Command, name: &str, console: &Console) -> Result<()> {
    let (reader, writer) = io::pipe().with_context(|| format!("no pipe for the {name}"))?;
    let copy = writer.try_clone().with_context(|| format!("no pipe for the {name}"))?;
    command.stdin(Stdio::null()).stdout(writer).stderr(copy);
    let mut child = command.spawn().with_context(|| format!("the {name} cannot be started"))?;
    // Only the child holds the other end now, so that its end is the end of the output.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let lines = lines_of(reader);

    let mut said = Vec::new();
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        match lines.recv_timeout(LOOK_EVERY) {
            Ok(line) => {
                console.output(&line);
                said.push(line);
                let surplus = said.len().saturating_sub(REMEMBERED);
                said.drain(..surplus);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if ended.is_none() {
            let status = child.try_wait().with_context(|| format!("the {name} was lost"))?;
            ended = status.map(|status| (status, Instant::now()));
        }
        if ended.is_some_and(|(_, at)| at.elapsed() > GRACE) {
            break;
        }
    }
    let status = match ended {
        Some((status, _)) => status,
        None => child.wait().with_context(|| format!("the {name} was lost"))?,
    };
    if status.success() {
        return Ok(());
    }
    bail!("the {name} failed ({status}): {}", tool::quote(&said.join("\n")))
}

/// Reads lines as they come, on a thread that ends with the output.
fn lines_of(output: PipeReader) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::tests::Memory;

    fn run(text: &str) -> (Result<()>, String) {
        let memory = Memory::default();
        let console = Console::new(memory.clone());
        let environment = Environment(vec![("LUNA_NODE", "node001".to_owned())]);
        let id = (std::process::id(), thread::current().id());
        let name = format!("script-{id:?}").replace(|c: char| !c.is_alphanumeric() && c != '-', "");
        let result = environment.run(&name, text, &console);
        fs::remove_file(Path::new("/tmp").join(name)).unwrap();
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
        let started = Instant::now();
        run("sleep 60 & echo started").0.unwrap();
        assert!(started.elapsed() < Duration::from_secs(30));
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
