//! A site's own programs that know where machines are: executables, or Python files, below `boot/detection` of the plugins' directory, asked in
//! JSON on their standard input. `docs/discovery.md` says what they are asked and what they answer.

use std::time::Duration;

use perilune_model::device::Port;
use perilune_model::discovery::Place;
use perilune_model::{Cluster, Family, MacAddress, Name};
use perilune_program::Limits;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::plugins::Runner;

/// How long a program may take, and how long a machine waits for its turn.
const LONGEST: Duration = Duration::from_secs(3);
/// Programs that run at one moment at most, however many machines boot together. A machine whose turn does not come within
/// `LONGEST` asks again.
const AT_ONCE: usize = 16;
pub(super) const SWITCH_PORT: &str = "boot/detection/switchport";
const CLOUD: &str = "boot/detection/cloud";
const LIMITS: Limits = Limits::of(LONGEST, 64 << 10);

/// Too many machines want to be known at once; this one asks again.
pub(super) struct Busy;

/// The site's own programs.
pub(super) struct Programs {
    runner: Runner,
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

/// All switches, as programs hear of them.
pub(super) fn switches(cluster: &Cluster) -> Vec<Value> {
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
    switches.collect()
}

impl Programs {
    pub(super) fn new(runner: Runner) -> Self {
        Self { runner, turns: Semaphore::new(AT_ONCE) }
    }

    /// Where the site's program knows a machine to be.
    pub(super) async fn switchport(
        &self,
        cluster: &Cluster,
        mac: MacAddress,
    ) -> Result<Option<Place>, Busy> {
        if self.runner.find(SWITCH_PORT).is_none() {
            return Ok(None);
        }
        let switches = switches(cluster);
        let question = json!({ "version": 1, "macaddress": mac, "switches": switches });
        let located = self.ask(SWITCH_PORT, &question).await?;
        Ok(located.and_then(Located::place))
    }

    /// The cloud that the site's program knows a machine to live in.
    pub(super) async fn cloud(&self, mac: MacAddress) -> Result<Option<String>, Busy> {
        if self.runner.find(CLOUD).is_none() {
            return Ok(None);
        }
        let question = json!({ "version": 1, "macaddress": mac });
        let clouded = self.ask(CLOUD, &question).await?;
        Ok(clouded.and_then(Clouded::cloud))
    }

    /// The answer of a program; without one, it is as if the program were not there.
    async fn ask<T: DeserializeOwned>(
        &self,
        plugin: &str,
        question: &Value,
    ) -> Result<Option<T>, Busy> {
        // The semaphore is never closed: the time-out is the only failure.
        let turn = timeout(LONGEST, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(Busy) };
        let Some(answer) = self.runner.ask(plugin, question, LIMITS).await else {
            return Ok(None);
        };
        let answer = answer.and_then(|answer| {
            let unreadable =
                |error| format!("its answer is not the JSON that is expected: {error}");
            serde_json::from_slice(&answer).map_err(unreadable)
        });
        Ok(answer.map_err(|reason| failed(plugin, &reason)).ok())
    }
}

impl Located {
    fn place(self) -> Option<Place> {
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
                failed(SWITCH_PORT, &reason);
                None
            }
        }
    }
}

impl Clouded {
    fn cloud(self) -> Option<String> {
        match self.error {
            None => self.cloud,
            Some(reason) => {
                failed(CLOUD, &reason);
                None
            }
        }
    }
}

fn failed(program: &str, reason: &str) {
    tracing::warn!(program, reason, "a program of the site does not say where a machine is");
}
