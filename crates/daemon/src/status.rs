//! What nodes report, apart from the cluster and its revision.

mod running;

use std::sync::Arc;

use perilune_boards::{
    Board, Durability, Rules, Snapshot, Subscription, Unreadable, Update, Writer,
};
use perilune_model::Name;
use perilune_plan::{Phase, Progress};
use perilune_store::{Store, Table};
pub use running::RunningImage;
use serde::{Deserialize, Serialize};

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
/// A node was told what to install.
pub const RENDERED: &str = "install.rendered";
/// A node is installed.
pub const SUCCESS: &str = "install.success";
/// Its installation failed.
pub const ERROR: &str = "install.error";

/// The states that nodes go through, whether any is in them or not.
pub(crate) fn usual() -> impl Iterator<Item = String> {
    let phases = Phase::ALL.map(Phase::word);
    let words = GOOD.into_iter().chain(phases).chain(["error"]);
    words.map(|word| format!("{INSTALLER}{word}"))
}

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
    /// Whether it was said to the site that was imported, and nothing here since.
    #[serde(default, skip_serializing_if = "is_false")]
    pub imported: bool,
    /// The image that it was last told to install.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Arc<RunningImage>>,
    /// The image that it has installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<Arc<RunningImage>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl NodeState {
    /// The state after this report. One that says the same again is in the state since it said so first.
    fn after(known: Option<&Arc<Self>>, state: &str, status: Option<String>, now: u64) -> Self {
        let same = known.filter(|known| known.state == state && !known.imported);
        let since = same.map_or(now, |known| known.since);
        let progress = same.and_then(|known| known.progress.clone());
        let told = known.and_then(|known| known.told.clone());
        let runs = known.and_then(|known| known.runs.clone());
        // What it was told to install it has now.
        let runs = if state == SUCCESS { told.clone().or(runs) } else { runs };
        Self {
            state: state.to_owned(),
            status,
            since,
            progress,
            updated: now,
            imported: false,
            told,
            runs,
        }
    }

    /// Whether this was said a moment ago.
    fn says(&self, state: &str, status: Option<&str>, now: u64) -> bool {
        let is_same = self.state == state && self.status.as_deref() == status && !self.imported;
        is_same && self.updated.abs_diff(now) < SAID_AGAIN
    }

    /// The state in the words of `GET /config/node`.
    pub fn text(&self) -> String {
        match self.state.strip_prefix(INSTALLER) {
            Some(suffix) if GOOD.contains(&suffix) || suffix == "error" => {
                format!("Luna installer: {suffix}")
            }
            _ => self.state.clone(),
        }
    }

    /// Why its installation failed, where it did.
    pub fn failure(&self) -> Option<&str> {
        self.status.as_deref().filter(|_| self.state == ERROR)
    }

    /// The image that it runs, as far as its state tells.
    pub fn running(&self) -> Option<&RunningImage> {
        self.runs.as_deref().filter(|_| self.power() != Some("off"))
    }

    /// Whether its power is on or off, as far as its state tells: what was done to it last, or that it reported anything since.
    pub fn power(&self) -> Option<&'static str> {
        match self.state.as_str() {
            "power off" | "power soft" => Some("off"),
            "power on" | "power cycle" | "power reset" => Some("on"),
            state if state.starts_with(INSTALLER) && !self.imported => Some("on"),
            _ => None,
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

/// What all nodes last reported; clones share it. Stored in batches, but for milestones, which are stored before they are answered.
#[derive(Debug, Clone)]
pub struct Status {
    board: Board<Name, NodeState>,
}

/// Nodes whose states are remembered; beyond, the one that was silent for longest is forgotten. Nodes that are gone count, too.
const RULES: Rules = Rules { keys: 200_000, changes: 4096 };

/// As long, in milliseconds, a state that is said again is no news: scripts ask and say the same in loops, and each change is stored.
const SAID_AGAIN: u64 = 1000;

/// Whether a node does not say again that it came to this state, and others act on it.
pub fn is_milestone(state: &str) -> bool {
    matches!(state, SUCCESS | ERROR)
}

impl Status {
    /// The states that were stored before, what stores new ones, and what could not be read.
    pub async fn open(
        store: &Store,
    ) -> Result<(Self, Writer<Name, NodeState>, Vec<Unreadable>), perilune_store::Error> {
        let key = |text: &str| Some(Name::trusted(text));
        let (board, writer, unreadable) =
            Board::open(store, Table::NodeStates, key, Durability::Behind, RULES).await?;
        Ok((Self { board }, writer, unreadable))
    }

    /// All states, and what tells of changes since.
    pub(crate) fn follow(&self) -> (Snapshot<Name, NodeState>, Subscription<Name, NodeState>) {
        self.board.subscribe()
    }

    /// A node says that it is in a state. A milestone is stored when this returns. `now` is in milliseconds since 1970.
    pub async fn report_stored(
        &self,
        node: &Name,
        state: &str,
        status: Option<String>,
        now: u64,
    ) -> Result<(), perilune_boards::Error> {
        if !is_milestone(state) {
            self.report(node, state, status, now);
            return Ok(());
        }
        let decide = |known: Option<&Arc<NodeState>>| {
            Update::Put(NodeState::after(known, state, status.clone(), now))
        };
        self.board.update_stored(node, decide).await.map(drop)
    }

    /// Returns when what is shown of a node is stored.
    pub(crate) async fn stored_now(&self, node: &Name) -> Result<(), perilune_boards::Error> {
        self.board.stored_now(node).await
    }

    /// A node is in a state. Whoever says the same again at once has said it.
    pub fn report(&self, node: &Name, state: &str, status: Option<String>, now: u64) {
        self.board.update(node, |known| match known {
            Some(known) if known.says(state, status.as_deref(), now) => Update::Keep,
            known => Update::Put(NodeState::after(known, state, status, now)),
        });
    }

    /// A node was told what to install.
    pub fn told(&self, node: &Name, image: RunningImage, now: u64) {
        self.report(node, RENDERED, None, now);
        self.board.update(node, |known| match known {
            Some(known) if known.told.as_deref() != Some(&image) => {
                Update::Put(NodeState { told: Some(Arc::new(image)), ..NodeState::clone(known) })
            }
            _ => Update::Keep,
        });
    }

    /// A node was put into a state by what began at `begun`. What its installer has begun to say since is newer, and stays.
    pub fn report_unless_newer(&self, node: &Name, state: &str, begun: u64, now: u64) {
        let is_newer =
            |known: &Arc<NodeState>| known.state.starts_with(INSTALLER) && known.since > begun;
        self.board.update(node, |known| match known {
            Some(known) if is_newer(known) => Update::Keep,
            known => Update::Put(NodeState::after(known, state, None, now)),
        });
    }

    /// A node is this far. Without a state before, it is in that of the step.
    pub fn progress(&self, node: &Name, progress: Progress, now: u64) {
        self.board.update(node, |known| {
            let fresh = || NodeState {
                state: format!("{INSTALLER}{}", progress.phase.word()),
                status: None,
                since: now,
                progress: None,
                updated: now,
                imported: false,
                told: None,
                runs: None,
            };
            let known = known.filter(|known| !known.imported);
            let known = known.map_or_else(fresh, |known| NodeState::clone(known));
            Update::Put(NodeState { progress: Some(progress), updated: now, ..known })
        });
    }

    /// What nodes last reported to the site that was imported; stored when this returns. What a node has said here since is newer, and
    /// stays; `is_known` tells of which nodes that can be. `then` is when the database was written and `now` is now, in milliseconds
    /// since 1970.
    pub async fn take_over(
        &self,
        states: &[perilune_import::NodeState],
        is_known: impl Fn(&Name) -> bool,
        then: u64,
        now: u64,
    ) -> Result<(), perilune_boards::Error> {
        for said in states {
            let since = said.said.unwrap_or(then).min(now);
            let (state, status) = (said.state.clone(), said.status.clone());
            let taken = NodeState {
                state,
                status,
                since,
                progress: None,
                updated: since,
                imported: true,
                told: None,
                runs: None,
            };
            let is_known = is_known(&said.node);
            self.board.update(&said.node, |known| match known {
                Some(known) if is_known && !known.imported => Update::Keep,
                _ => Update::Put(taken),
            });
        }
        // What writes takes everything that waits, so that all but the first of these find theirs done.
        for said in states {
            self.board.stored_now(&said.node).await?;
        }
        Ok(())
    }

    /// What a node last reported.
    pub fn get(&self, node: &str) -> Option<Arc<NodeState>> {
        self.board.get(node)
    }

    /// What every node last reported.
    pub fn all(&self) -> Snapshot<Name, NodeState> {
        self.board.snapshot()
    }

    /// A node has another name now.
    pub fn rename(&self, old: &str, new: &Name) {
        let Some(state) = self.board.get(old) else { return };
        self.board.update(new, |_| Update::Put(NodeState::clone(&state)));
        self.board.update(&Name::trusted(old), |_| Update::Remove);
    }
}

#[cfg(test)]
mod tests {
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

    async fn status(store: &Store) -> (Status, Writer<Name, NodeState>) {
        let (status, writer, _) = Status::open(store).await.unwrap();
        (status, writer)
    }

    fn node() -> Name {
        Name::trusted("node001")
    }

    #[tokio::test]
    async fn states_are_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
        let (former, writer) = status(&store).await;
        former.report(&node(), "install.unpack", None, 1_000);
        former.progress(&node(), progress(7), 2_000);
        drop(former);
        writer.run().await;
        let state = status(&store).await.0.get("node001").unwrap();
        assert_eq!((state.since, state.updated), (1_000, 2_000));
        assert_eq!(state.progress, Some(progress(7)));
    }

    #[tokio::test]
    async fn a_milestone_is_stored_before_it_is_answered() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
        let (former, writer) = status(&store).await;
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(writer.run());
        for (number, state) in [SUCCESS, ERROR].into_iter().enumerate() {
            let node = Name::trusted(&format!("node00{number}"));
            former.report_stored(&node, state, None, 1).await.unwrap();
            // What writes is still there, but nothing is waited for: as after a kill.
            let stored = store.records(Table::NodeStates).await.unwrap();
            assert!(stored.iter().any(|record| record.key == node.as_str()), "{state}");
        }
    }

    #[tokio::test]
    async fn what_a_node_has_said_since_it_was_switched_on_is_newer_than_the_news_that_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
        let (status, _writer) = status(&store).await;
        let state = || status.get("node001").unwrap().state.clone();
        status.report(&node(), SUCCESS, None, 1_000);
        status.report_unless_newer(&node(), "power cycle", 2_000, 9_000);
        assert_eq!(state(), "power cycle");
        status.report(&node(), "install.discovered", None, 12_000);
        status.report_unless_newer(&node(), "power cycle", 10_000, 15_000);
        assert_eq!(state(), "install.discovered");
        status.report_unless_newer(&node(), "power on", 20_000, 21_000);
        assert_eq!(state(), "power on");
    }

    #[tokio::test]
    async fn a_node_runs_what_it_was_told_to_install_when_it_has_done_so() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
        let (status, _writer) = status(&store).await;
        let image = |tag: Option<&str>| RunningImage {
            image: Name::trusted("debian"),
            tag: tag.map(Name::trusted),
            file: None,
        };
        let runs = || {
            let state = status.get("node001").unwrap();
            state.running().map(ToString::to_string)
        };
        status.told(&node(), image(None), 1);
        assert_eq!((runs(), status.get("node001").unwrap().state.as_str()), (None, RENDERED));
        status.report(&node(), SUCCESS, None, 2);
        assert_eq!(runs().as_deref(), Some("debian"));
        status.told(&node(), image(Some("v1")), 3);
        status.report(&node(), ERROR, Some("no disk".into()), 4);
        assert_eq!(runs().as_deref(), Some("debian"));
        status.report(&node(), SUCCESS, None, 5);
        assert_eq!(runs().as_deref(), Some("debian:v1"));
        status.report(&node(), "power off", None, 6);
        assert_eq!(runs(), None);
        status.report(&node(), "power on", None, 7);
        assert_eq!(runs().as_deref(), Some("debian:v1"), "from its disk");
    }

    #[tokio::test]
    async fn a_new_state_forgets_the_progress_of_the_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
        let (status, _writer) = status(&store).await;
        status.report(&node(), "install.unpack", None, 1);
        status.progress(&node(), progress(7), 2);
        status.report(&node(), "install.unpack", Some("again".into()), 3);
        assert_eq!(status.get("node001").unwrap().since, 1);
        assert!(status.get("node001").unwrap().progress.is_some());
        status.report(&node(), SUCCESS, None, 4);
        let state = status.get("node001").unwrap();
        assert_eq!((state.since, state.progress.clone()), (4, None));
        assert_eq!((state.text().as_str(), state.code()), ("Luna installer: success", Some(200)));
    }
}
