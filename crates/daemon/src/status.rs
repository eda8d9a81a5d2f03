//! What nodes report: in memory, written in batches, apart from the cluster and its revision.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use perilune_plan::Progress;
use perilune_store::{Record, Store, Table};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// How long a state may be in memory alone.
const WRITE_EVERY: Duration = Duration::from_millis(500);
/// Installer states that count as good in what existing clients read.
const GOOD: [&str; 12] = [
    "discovered",
    "rendered",
    "downloaded",
    "started",
    "completed",
    "prescript",
    "partscript",
    "postscript",
    "roles",
    "image",
    "finalizing",
    "success",
];
const INSTALLER: &str = "install.";

/// What a node last reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeState {
    /// The state, such as `install.unpack` or `power on`.
    pub state: String,
    /// What was said beside it.
    pub status: Option<String>,
    /// When the node entered the state: milliseconds since 1970.
    pub since: u64,
    /// How far it is.
    #[serde(default)]
    pub progress: Option<Progress>,
    /// When it last said anything: milliseconds since 1970.
    #[serde(default)]
    pub updated: u64,
}

impl NodeState {
    /// The state in the words of `GET /config/node`.
    pub fn text(&self) -> String {
        match self.state.strip_prefix(INSTALLER) {
            Some(suffix) if GOOD.contains(&suffix) || suffix == "error" => {
                format!("Luna installer: {suffix}")
            }
            _ => self.state.clone(),
        }
    }

    /// The status number of `GET /monitor/node/{node}`, for states that have one.
    pub fn code(&self) -> Option<u16> {
        match self.state.strip_prefix(INSTALLER)? {
            suffix if GOOD.contains(&suffix) => Some(200),
            "error" => Some(500),
            _ => None,
        }
    }
}

#[derive(Debug, Default)]
struct States {
    nodes: BTreeMap<String, NodeState>,
    unwritten: BTreeSet<String>,
}

/// What all nodes last reported; clones share it.
#[derive(Debug, Clone)]
pub struct Status {
    states: Arc<Mutex<States>>,
    store: Store,
}

impl Status {
    /// The states that were stored before.
    pub async fn load(store: Store) -> Result<Self, perilune_store::Error> {
        let mut states = States::default();
        for record in store.records(Table::NodeStates).await? {
            match serde_json::from_str(&record.body) {
                Ok(state) => drop(states.nodes.insert(record.key, state)),
                Err(error) => {
                    tracing::warn!(node = record.key, %error, "a stored node state cannot be read; it is left out");
                }
            }
        }
        Ok(Self { states: Arc::new(Mutex::new(states)), store })
    }

    /// A node is in a state. `now` is in milliseconds since 1970.
    pub fn report(&self, node: &str, state: &str, status: Option<String>, now: u64) {
        let mut states = self.lock();
        let known = states.nodes.get(node);
        let same = known.filter(|known| known.state == state);
        let since = same.map_or(now, |known| known.since);
        let progress = same.and_then(|known| known.progress.clone());
        let entry = NodeState { state: state.to_owned(), status, since, progress, updated: now };
        states.nodes.insert(node.to_owned(), entry);
        states.unwritten.insert(node.to_owned());
    }

    /// A node was put into a state by what began at `begun`. What its installer has begun to say since is newer, and stays.
    pub fn report_unless_newer(&self, node: &str, state: &str, begun: u64, now: u64) {
        let is_newer = |known: NodeState| known.state.starts_with(INSTALLER) && known.since > begun;
        if !self.get(node).is_some_and(is_newer) {
            self.report(node, state, None, now);
        }
    }

    /// A node is this far. Without a state before, it is in that of the step.
    pub fn progress(&self, node: &str, progress: &Progress, now: u64) {
        let mut states = self.lock();
        let fresh = || NodeState {
            state: format!("{INSTALLER}{}", progress.phase.word()),
            status: None,
            since: now,
            progress: None,
            updated: now,
        };
        let entry = states.nodes.entry(node.to_owned()).or_insert_with(fresh);
        entry.progress = Some(progress.clone());
        entry.updated = now;
        states.unwritten.insert(node.to_owned());
    }

    /// What a node last reported.
    pub fn get(&self, node: &str) -> Option<NodeState> {
        self.lock().nodes.get(node).cloned()
    }

    /// What every node last reported.
    pub fn all(&self) -> BTreeMap<String, NodeState> {
        self.lock().nodes.clone()
    }

    /// A node has another name now.
    pub fn rename(&self, old: &str, new: &str) {
        let mut states = self.lock();
        if let Some(state) = states.nodes.remove(old) {
            states.nodes.insert(new.to_owned(), state);
            states.unwritten.extend([old.to_owned(), new.to_owned()]);
        }
    }

    /// Writes what is new, again and again, and once more when it is time to stop.
    pub async fn write(self, stop: CancellationToken) {
        let mut failing = false;
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(WRITE_EVERY) => false,
            };
            match self.write_once().await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "node states are not written; trying again"
                    );
                }
                Err(_) => {}
            }
            if stopping {
                return;
            }
        }
    }

    async fn write_once(&self) -> Result<(), perilune_store::Error> {
        let (put, gone): (Vec<Record>, Vec<String>) = {
            let mut states = self.lock();
            let names = std::mem::take(&mut states.unwritten);
            let mut records = Vec::new();
            let mut gone = Vec::new();
            for name in names {
                match states.nodes.get(&name).map(serde_json::to_string) {
                    Some(Ok(body)) => records.push(Record { key: name, body }),
                    Some(Err(error)) => {
                        tracing::error!(node = name, %error, "a node state cannot be stored");
                    }
                    None => gone.push(name),
                }
            }
            (records, gone)
        };
        let names: Vec<String> =
            put.iter().map(|record| record.key.clone()).chain(gone.iter().cloned()).collect();
        let written = self.store_all(put, gone).await;
        if written.is_err() {
            self.lock().unwritten.extend(names);
        }
        written
    }

    async fn store_all(
        &self,
        put: Vec<Record>,
        gone: Vec<String>,
    ) -> Result<(), perilune_store::Error> {
        if !put.is_empty() {
            self.store.put(Table::NodeStates, put).await?;
        }
        if !gone.is_empty() {
            self.store.remove(Table::NodeStates, gone).await?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, States> {
        // What a panicking holder left is still a map of states.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use perilune_plan::Phase;

    use super::*;

    fn progress(bytes: u64) -> Progress {
        Progress {
            phase: Phase::Unpack,
            bytes_done: Some(bytes),
            bytes_total: None,
            rate: None,
            message: None,
        }
    }

    #[tokio::test]
    async fn states_are_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path()).unwrap();
        let status = Status::load(store.clone()).await.unwrap();
        status.report("node001", "install.unpack", None, 1_000);
        status.progress("node001", &progress(7), 2_000);
        let stop = CancellationToken::new();
        stop.cancel();
        status.write(stop).await;
        let state = Status::load(store).await.unwrap().get("node001").unwrap();
        assert_eq!((state.since, state.updated), (1_000, 2_000));
        assert_eq!(state.progress, Some(progress(7)));
    }

    #[tokio::test]
    async fn what_a_node_has_said_since_it_was_switched_on_is_newer_than_the_news_that_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path()).unwrap();
        let status = Status::load(store).await.unwrap();
        let state = || status.get("node001").unwrap().state;
        status.report("node001", "install.success", None, 1_000);
        status.report_unless_newer("node001", "power cycle", 2_000, 9_000);
        assert_eq!(state(), "power cycle");
        status.report("node001", "install.discovered", None, 12_000);
        status.report_unless_newer("node001", "power cycle", 10_000, 15_000);
        assert_eq!(state(), "install.discovered");
        status.report_unless_newer("node001", "power on", 20_000, 21_000);
        assert_eq!(state(), "power on");
    }

    #[tokio::test]
    async fn a_new_state_forgets_the_progress_of_the_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path()).unwrap();
        let status = Status::load(store).await.unwrap();
        status.report("node001", "install.unpack", None, 1);
        status.progress("node001", &progress(7), 2);
        status.report("node001", "install.unpack", Some("again".into()), 3);
        assert_eq!(status.get("node001").unwrap().since, 1);
        assert!(status.get("node001").unwrap().progress.is_some());
        status.report("node001", "install.success", None, 4);
        let state = status.get("node001").unwrap();
        assert_eq!((state.since, state.progress.clone()), (4, None));
        assert_eq!((state.text().as_str(), state.code()), ("Luna installer: success", Some(200)));
    }
}
