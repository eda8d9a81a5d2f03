//! A site's own way to a BMC: an executable that is asked in JSON on its standard input, and answers in JSON on its
//! standard output. What both look like is told at [`Driver::Plugin`](crate::Driver).

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::{Action, Error, Event, Item, PowerState, Reply, Sensor, Target};

const LONGEST_OUTPUT: u64 = 4 << 20;
const LONGEST_COMPLAINT: u64 = 4 << 10;
/// Shorter passwords are parts of usual words, and hiding those would make a text unreadable.
const SHORTEST_HIDDEN: usize = 4;
/// Memory that each of its processes may fill: bytes.
const MEMORY: u64 = 2 << 30;
const TIME: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Answer {
    power: Option<PowerState>,
    text: Option<String>,
    events: Option<Vec<Event>>,
    sensors: Option<Vec<Sensor>>,
    inventory: Option<Vec<Item>>,
    error: Option<String>,
}

pub(crate) struct Plugin {
    path: PathBuf,
    question: serde_json::Value,
}

impl Plugin {
    pub(crate) fn new(path: &Path, target: &Target) -> Self {
        let question = json!({
            "version": 1,
            "name": target.name,
            "address": target.address,
            "group": target.group,
            "username": target.credentials.user,
            "password": target.credentials.password,
        });
        Self { path: path.to_owned(), question }
    }

    pub(crate) async fn perform(&mut self, action: Action) -> Result<Reply, Error> {
        if let Some(question) = self.question.as_object_mut() {
            question.insert("action".to_owned(), json!(action));
        }
        let question = self.question.to_string();
        let ran = tokio::time::timeout(TIME, self.ask(&question)).await;
        let output =
            ran.unwrap_or_else(|_| Err(format!("it did not end within {} s", TIME.as_secs())));
        let answer = output.and_then(|output| {
            let answer: Answer = serde_json::from_slice(&output)
                .map_err(|error| format!("its answer is not the JSON that is expected: {error}"))?;
            answer.into_reply(action)
        });
        answer.map_err(|reason| {
            let reason = self.without_password(reason);
            Error::Plugin { path: self.path.clone(), reason }
        })
    }

    /// Programs that fail may say what they were given, and whoever may control machines reads it.
    fn without_password(&self, text: String) -> String {
        match self.question.get("password").and_then(serde_json::Value::as_str) {
            Some(password) if password.chars().count() >= SHORTEST_HIDDEN => {
                text.replace(password, "(hidden)")
            }
            _ => text,
        }
    }

    async fn ask(&self, question: &str) -> Result<Vec<u8>, String> {
        let mut command = Command::new(&self.path);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.process_group(0).kill_on_drop(true).spawn();
        let mut group = Group::of(child.map_err(|error| format!("it cannot be started: {error}"))?);
        if let Some(id) = group.id {
            let limit = Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) };
            // One that has ended already needs none.
            prlimit(Some(id), Resource::Data, limit).ok();
        }
        let child = &mut group.child;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let write = async {
            if let Some(mut stdin) = stdin {
                // A plugin may end without having read; its answer says more than that.
                drop(stdin.write_all(question.as_bytes()).await);
            }
        };
        let ((), output, complaint) =
            tokio::join!(write, read(stdout, LONGEST_OUTPUT), read(stderr, LONGEST_COMPLAINT));
        let status = child.wait().await.map_err(|error| error.to_string())?;
        if status.success() {
            return Ok(output);
        }
        let complaint = String::from_utf8_lossy(&complaint);
        let first = complaint.trim().lines().last().unwrap_or("it says nothing").to_owned();
        Err(format!("it failed ({status}): {first}"))
    }
}

/// A plugin and what it has started: all end when nobody waits for them any more, also what the plugin left behind when it ended.
struct Group {
    child: Child,
    /// Of the plugin, and of the group. As long as anybody is in the group, the system gives the number to nobody else.
    id: Option<Pid>,
}

impl Group {
    fn of(child: Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Self { child, id }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        match self.id.map(|id| kill_process_group(id, Signal::KILL)) {
            // There is nobody left.
            None | Some(Ok(()) | Err(Errno::SRCH)) => {}
            Some(Err(error)) => tracing::debug!(%error, "a control plugin could not be ended"),
        }
    }
}

/// All of it is read, so that the plugin never waits; what is beyond the limit is dropped.
async fn read(stream: Option<impl AsyncRead + Unpin>, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        drop((&mut stream).take(limit).read_to_end(&mut bytes).await);
        drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await);
    }
    bytes
}

impl Answer {
    fn into_reply(self, action: Action) -> Result<Reply, String> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let lacks = |field: &str| format!("its answer to \"{action}\" lacks \"{field}\"");
        let text = self.text;
        match action {
            Action::PowerStatus => self.power.map(Reply::Power).ok_or_else(|| lacks("power")),
            Action::SelList => self
                .events
                .or_else(|| text.as_deref().map(events))
                .map(Reply::Events)
                .ok_or_else(|| lacks("events")),
            Action::Sensors => self.sensors.map(Reply::Sensors).ok_or_else(|| lacks("sensors")),
            Action::Inventory => {
                self.inventory.map(Reply::Inventory).ok_or_else(|| lacks("inventory"))
            }
            _ => Ok(Reply::Done),
        }
    }
}

/// A log as plain text, a line for each event.
fn events(text: &str) -> Vec<Event> {
    let event = |(number, line): (usize, &str)| Event {
        id: (number + 1).to_string(),
        time: String::new(),
        sensor: String::new(),
        text: line.to_owned(),
        asserted: true,
    };
    text.lines().enumerate().map(event).collect()
}
