//! A site's own programs that know where machines are: executables below `boot/detection` of the plugins' directory, asked in
//! JSON on their standard input. `docs/discovery.md` says what they are asked and what they answer.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use perilune_model::device::Port;
use perilune_model::discovery::Place;
use perilune_model::{Cluster, Family, MacAddress, Name};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::control::is_executable;

/// How long a program may take, and how long a machine waits for its turn.
const LONGEST: Duration = Duration::from_secs(3);
/// As many programs as run at one moment.
const AT_ONCE: usize = 16;
/// As long as an answer or a complaint may be.
const LONGEST_OUTPUT: u64 = 64 << 10;

/// Too many machines want to be known at once; this one asks again.
pub(super) struct Busy;

/// The site's own programs.
pub(super) struct Programs {
    plugins: Option<PathBuf>,
    turns: Semaphore,
}

/// Where a program says that a machine is; nowhere when it leaves that out.
#[derive(Deserialize)]
struct Located {
    switch: Option<String>,
    port: Option<Value>,
    error: Option<String>,
}

/// The cloud that a program says a machine lives in.
#[derive(Deserialize)]
struct Clouded {
    cloud: Option<String>,
    error: Option<String>,
}

impl Programs {
    pub(super) fn new(plugins: Option<PathBuf>) -> Self {
        Self { plugins, turns: Semaphore::new(AT_ONCE) }
    }

    /// Where the site's program knows a machine to be.
    pub(super) async fn switchport(
        &self,
        cluster: &Cluster,
        mac: MacAddress,
    ) -> Result<Option<Place>, Busy> {
        let Some(path) = self.find("switchport") else { return Ok(None) };
        let switches = cluster.switches().values().map(|switch| {
            let addresses = &switch.addresses;
            json!({
                "name": switch.name,
                "ipaddress": addresses.get(Family::V4).or_else(|| addresses.get(Family::V6)),
                "oid": switch.oid,
                "read": switch.read,
                "rw": switch.rw,
                "uplinkports": switch.uplinkports,
            })
        });
        let switches: Vec<Value> = switches.collect();
        let question = json!({ "version": 1, "macaddress": mac, "switches": switches });
        let located = self.ask(&path, &question).await?;
        Ok(located.and_then(|located: Located| located.place(&path)))
    }

    /// The cloud that the site's program knows a machine to live in.
    pub(super) async fn cloud(&self, mac: MacAddress) -> Result<Option<String>, Busy> {
        let Some(path) = self.find("cloud") else { return Ok(None) };
        let question = json!({ "version": 1, "macaddress": mac });
        let clouded = self.ask(&path, &question).await?;
        Ok(clouded.and_then(|clouded: Clouded| clouded.cloud(&path)))
    }

    fn find(&self, name: &str) -> Option<PathBuf> {
        let path = self.plugins.as_ref()?.join("boot/detection").join(name);
        is_executable(&path).then_some(path)
    }

    /// The answer of a program; without one, it is as if the program were not there.
    async fn ask<T: DeserializeOwned>(
        &self,
        path: &Path,
        question: &Value,
    ) -> Result<Option<T>, Busy> {
        // Nobody ever closes it.
        let turn = timeout(LONGEST, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(Busy) };
        let answer = timeout(LONGEST, run(path, &question.to_string())).await;
        let answer = answer
            .unwrap_or_else(|_| Err(format!("it did not end within {} s", LONGEST.as_secs())));
        let answer = answer.and_then(|answer| {
            let unreadable =
                |error| format!("its answer is not the JSON that is expected: {error}");
            serde_json::from_slice(&answer).map_err(unreadable)
        });
        Ok(answer.map_err(|reason| failed(path, &reason)).ok())
    }
}

impl Located {
    fn place(self, program: &Path) -> Option<Place> {
        let Self { switch, port, error } = self;
        let port = match port {
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        match (error, switch, port) {
            (None, Some(switch), Some(port)) => {
                let (switch, port) = (Name::trusted(&switch), Port::written(&port));
                Some(Place { switch, port, others: std::iter::empty().collect() })
            }
            (None, None, None) => None,
            (error, ..) => {
                let reason = error.unwrap_or_else(|| "it names no switch, or no port".to_owned());
                failed(program, &reason);
                None
            }
        }
    }
}

impl Clouded {
    fn cloud(self, program: &Path) -> Option<String> {
        match self.error {
            None => self.cloud,
            Some(reason) => {
                failed(program, &reason);
                None
            }
        }
    }
}

fn failed(path: &Path, reason: &str) {
    tracing::warn!(program = %path.display(), reason, "a program of the site does not say where a machine is");
}

async fn run(path: &Path, question: &str) -> Result<Vec<u8>, String> {
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
    let ((), answer, complaint) = tokio::join!(write, read(stdout), read(stderr));
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(answer);
    }
    let complaint = String::from_utf8_lossy(&complaint);
    let last = complaint.trim().lines().last().unwrap_or("it says nothing");
    Err(format!("it failed ({status}): {last}"))
}

/// A program that says more than anybody reads is ended with its streams.
async fn read(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // What cannot be read is missing from the answer, which is then no JSON.
        stream.take(LONGEST_OUTPUT).read_to_end(&mut bytes).await.ok();
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
