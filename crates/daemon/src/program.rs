//! Runs a program of the site: asked on its standard input, heard on its standard output, and ended with all that it has started.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// What a program may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Until it has ended.
    pub(crate) time: Duration,
    /// Bytes of its answer, and of its complaints.
    pub(crate) output: u64,
}

/// What a program answers, or why it does not.
pub(crate) async fn ask(path: &Path, question: &str, limits: Limits) -> Result<Vec<u8>, String> {
    let answer = timeout(limits.time, run(path, question, limits.output)).await;
    answer.unwrap_or_else(|_| Err(format!("it did not end within {} s", limits.time.as_secs())))
}

async fn run(path: &Path, question: &str, output: u64) -> Result<Vec<u8>, String> {
    let mut command = Command::new(path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.process_group(0).kill_on_drop(true).spawn();
    let mut group = Group(child.map_err(|error| format!("it cannot be started: {error}"))?);
    let child = &mut group.0;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program may end without having read; its answer says more than that.
            stdin.write_all(question.as_bytes()).await.ok();
        }
    };
    let ((), answer, complaint) = tokio::join!(write, read(stdout, output), read(stderr, output));
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(answer);
    }
    let complaint = String::from_utf8_lossy(&complaint);
    let last = complaint.trim().lines().last().unwrap_or("it says nothing");
    Err(format!("it failed ({status}): {last}"))
}

/// A program that says more than anybody reads is ended with its streams.
async fn read(stream: Option<impl AsyncRead + Unpin>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // What cannot be read is missing from the answer, which is then no JSON.
        stream.take(most).read_to_end(&mut bytes).await.ok();
    }
    bytes
}

/// A program and what it has started: all end when nobody waits for them any more.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(error) = id.and_then(|id| kill_process_group(id, Signal::KILL).err()) {
            tracing::debug!(%error, "a program of the site could not be ended");
        }
    }
}
