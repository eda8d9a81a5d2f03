//! Hooks: programs of the site that are told what changes. They follow the published cluster and the states of nodes, never a request: a hook that
//! hangs, floods, forks or lies delays nobody, and is told of in `status`.

mod told;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use perilune_boards::{Since, Subscription};
use perilune_model::{Cluster, Name};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::controllers::Lead;
use crate::plugins::Runner;
use crate::status::{NodeState, Status};

/// Changes that come so close together are told at once.
const QUIET: Duration = Duration::from_millis(500);
/// However long it goes on, they are told after so long.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// After a failure, a hook is tried again after so long, each time; then not before something else changes.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(10), Duration::from_mins(1)];
/// What changed within this time may not have been told by the former master: the next one tells it, for the second time perhaps.
const HELD: Duration = Duration::from_secs(20);
/// Clusters are held so far apart at least.
const HELD_APART: Duration = Duration::from_secs(1);
/// As many states of nodes are told at once; of more, the latest of each node are.
const MOST_STATES: usize = 100_000;
/// A call that is not over after so many milliseconds is told of.
const SLOW: u64 = 60_000;
/// Minutes after which it is ended.
const LONGEST_RUN: u64 = 5;
/// How long hooks may take when the daemon ends.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Which hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// Nodes that come, change and go.
    ConfigNode,
    /// Groups, likewise.
    ConfigGroup,
    /// Names and addresses, likewise.
    ConfigDns,
    /// States that nodes report.
    MonitorNode,
    /// The daemon's own beginning and end.
    Luna,
}

impl Hook {
    pub const ALL: [Self; 5] =
        [Self::ConfigNode, Self::ConfigGroup, Self::ConfigDns, Self::MonitorNode, Self::Luna];

    /// Its path below the plugins' directory.
    pub fn path(self) -> &'static str {
        match self {
            Self::ConfigNode => "hooks/config/node",
            Self::ConfigGroup => "hooks/config/group",
            Self::ConfigDns => "hooks/config/dns",
            Self::MonitorNode => "hooks/monitor/node",
            Self::Luna => "hooks/luna/default",
        }
    }

    pub fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.path() == path)
    }
}

/// How it went the last time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// When it ended: milliseconds since 1970.
    pub at: u64,
    /// How often it failed since it last went well.
    pub failures: u32,
    /// Why it failed the last time; absent when it went well.
    pub failure: Option<String>,
    /// Nobody tries again before something else changes.
    pub given_up: bool,
}

/// How all hooks went; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    runner: Runner,
    outcomes: Arc<Mutex<BTreeMap<Hook, Outcome>>>,
    /// Calls that are not over, by numbers, with when they began.
    calls: Arc<Mutex<BTreeMap<u64, (Hook, u64)>>>,
}

impl Hooks {
    pub(crate) fn new(runner: Runner) -> Self {
        Self { runner, ..Self::default() }
    }

    /// What there is of a hook: its file, if it has any that runs.
    pub fn file(&self, hook: Hook) -> Option<PathBuf> {
        self.runner.find(hook.path()).map(|found| found.path)
    }

    /// How it went the last time.
    pub fn outcome(&self, hook: Hook) -> Option<Outcome> {
        self.lock().get(&hook).cloned()
    }

    /// Hooks that fail, or take long, for who looks at warnings.
    pub(crate) fn warnings(&self, now: u64) -> Vec<String> {
        let mut all = self.slow(now);
        all.extend(self.failing());
        all
    }

    /// Those that wait for a turn are among them.
    fn slow(&self, now: u64) -> Vec<String> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let slow = calls.values().filter(|(_, begun)| now.saturating_sub(*begun) >= SLOW);
        slow.map(|(hook, begun)| {
            let (path, minutes) = (hook.path(), now.saturating_sub(*begun) / 60_000);
            format!("the hook {path} was called {minutes} minutes ago and has not ended; it is ended after {LONGEST_RUN} minutes")
        })
        .collect()
    }

    /// Calls it; `None` where there is none.
    async fn call(&self, hook: Hook, question: &Value) -> Option<Result<Vec<u8>, String>> {
        let _noted = Call::note(&self.calls, hook);
        self.runner.call(hook.path(), question).await
    }

    fn failing(&self) -> Vec<String> {
        let outcomes = self.lock();
        let failed = outcomes.iter().filter_map(|(hook, outcome)| {
            let failure = outcome.failure.as_ref()?;
            let (path, times) = (hook.path(), outcome.failures);
            let end = if outcome.given_up {
                "it is called again when something else changes, or by perilune plugin run"
            } else {
                "it is tried again"
            };
            Some(format!(
                "the hook {path} failed {times} times, the last time because {failure}; {end}"
            ))
        });
        failed.collect()
    }

    /// Calls a hook once, as of now.
    pub async fn run_once(&self, hook: Hook, cluster: &Cluster) -> Result<Vec<u8>, String> {
        let question = told::whole(hook, cluster);
        let result = self.call(hook, &question).await;
        let result = result.unwrap_or_else(|| Err("there is no program of this hook".to_owned()));
        self.note(hook, result.as_ref().err().cloned(), result.is_err());
        result
    }

    /// Tells hooks what changes, until `stop`, while that is for this controller to do. They are told that the daemon begins, and that it ends.
    pub(crate) async fn run(
        self,
        cluster: watch::Receiver<Arc<Cluster>>,
        status: Status,
        lead: Lead,
        stop: CancellationToken,
    ) {
        let now = Arc::clone(&cluster.borrow());
        // What is reported while the first hook runs is told, too.
        let (_, news) = status.follow();
        self.tell_of_daemon("startup", &now).await;
        let mut tasks = JoinSet::new();
        for hook in [Hook::ConfigNode, Hook::ConfigGroup, Hook::ConfigDns] {
            let (hooks, told, held) = (self.clone(), Arc::clone(&now), VecDeque::new());
            let follower = Follower { hooks, hook, told, held, lead: lead.clone() };
            tasks.spawn(follower.run(cluster.clone(), stop.clone()));
        }
        tasks.spawn(self.clone().follow_states(news, lead, stop.clone()));
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
        let last = Arc::clone(&cluster.borrow());
        timeout(LAST_WORDS, self.tell_of_daemon("shutdown", &last)).await.ok();
    }

    async fn tell_of_daemon(&self, event: &str, cluster: &Cluster) {
        let question =
            json!({ "hook": Hook::Luna.path(), "event": event, "nodes": told::nodes(cluster) });
        if let Some(result) = self.call(Hook::Luna, &question).await {
            self.note(Hook::Luna, result.err(), true);
        }
    }

    async fn follow_states(
        self,
        mut news: Subscription<Name, NodeState>,
        lead: Lead,
        stop: CancellationToken,
    ) {
        let mut waiting: BTreeMap<Name, String> = BTreeMap::new();
        while let Some(Some(first)) = stop.run_until_cancelled(news.next()).await {
            gather(&mut waiting, first);
            // What comes meanwhile is told with it.
            let quiet = sleep(QUIET);
            tokio::pin!(quiet);
            loop {
                tokio::select! {
                    () = &mut quiet => break,
                    () = stop.cancelled() => return,
                    more = news.next() => match more {
                        Some(more) => gather(&mut waiting, more),
                        None => return,
                    }
                }
            }
            let states = std::mem::take(&mut waiting);
            // Every controller sees the states of all nodes.
            if states.is_empty() || !lead.confirm().await {
                continue;
            }
            let states: Vec<Value> = states
                .into_iter()
                .map(|(name, state)| json!({ "name": name.as_str(), "state": state }))
                .collect();
            let question = json!({ "hook": Hook::MonitorNode.path(), "states": states });
            // What is told late is not true any more: it is told once.
            if let Some(result) = self.call(Hook::MonitorNode, &question).await {
                self.note(Hook::MonitorNode, result.err(), true);
            }
        }
    }

    fn note(&self, hook: Hook, failure: Option<String>, given_up: bool) {
        let mut outcomes = self.lock();
        let failures = outcomes.get(&hook).map_or(0, |former| former.failures);
        let failures = if failure.is_some() { failures.saturating_add(1) } else { 0 };
        if let Some(reason) = &failure {
            tracing::warn!(hook = hook.path(), reason, "a hook of the site failed");
        }
        let given_up = given_up && failure.is_some();
        outcomes.insert(hook, Outcome { at: clock::milliseconds(), failures, failure, given_up });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Hook, Outcome>> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gather(waiting: &mut BTreeMap<Name, String>, news: Since<Name, NodeState>) {
    let Since::Changes(changes) = news else { return };
    for change in changes {
        let Some(state) = change.value else { continue };
        if waiting.len() < MOST_STATES || waiting.contains_key(&change.key) {
            waiting.insert(change.key, state.state.clone());
        }
    }
}

/// A call that is not over.
struct Call {
    calls: Arc<Mutex<BTreeMap<u64, (Hook, u64)>>>,
    number: u64,
}

impl Call {
    fn note(calls: &Arc<Mutex<BTreeMap<u64, (Hook, u64)>>>, hook: Hook) -> Self {
        let mut noted = calls.lock().unwrap_or_else(PoisonError::into_inner);
        let number = noted.last_key_value().map_or(0, |(number, _)| number + 1);
        noted.insert(number, (hook, clock::milliseconds()));
        drop(noted);
        Self { calls: Arc::clone(calls), number }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

/// Tells one hook how the cluster differs from what it was told last.
struct Follower {
    hooks: Hooks,
    hook: Hook,
    /// The cluster as of the last call that went well, or that was given up; while another controller tells, one that it has surely told.
    told: Arc<Cluster>,
    /// What another may not have told yet, each with when it was seen.
    held: VecDeque<(Instant, Arc<Cluster>)>,
    lead: Lead,
}

impl Follower {
    async fn run(mut self, mut cluster: watch::Receiver<Arc<Cluster>>, stop: CancellationToken) {
        let follow = async {
            loop {
                tokio::select! {
                    changed = cluster.changed() => if changed.is_err() { return },
                    () = self.lead.changed() => {}
                }
                if !self.lead.is_ours() {
                    let now = Arc::clone(&cluster.borrow_and_update());
                    self.hold(now);
                    continue;
                }
                self.let_go();
                settled(&mut cluster).await;
                self.tell(&mut cluster).await;
            }
        };
        stop.run_until_cancelled(Box::pin(follow)).await;
    }

    /// Another controller tells this.
    fn hold(&mut self, cluster: Arc<Cluster>) {
        let now = Instant::now();
        match self.held.back_mut() {
            Some((at, last)) if now.duration_since(*at) < HELD_APART => *last = cluster,
            _ => self.held.push_back((now, cluster)),
        }
        self.let_go();
    }

    /// What was seen long enough ago has been told.
    fn let_go(&mut self) {
        let is_over = |(at, _): &(Instant, Arc<Cluster>)| at.elapsed() >= HELD;
        while self.held.front().is_some_and(is_over) {
            if let Some((_, told)) = self.held.pop_front() {
                self.told = told;
            }
        }
    }

    /// Calls the hook until it goes well, or often enough. Each time it is told what is so then.
    async fn tell(&mut self, cluster: &mut watch::Receiver<Arc<Cluster>>) {
        let mut pauses = PAUSES.into_iter();
        loop {
            let now = Arc::clone(&cluster.borrow_and_update());
            let Some(question) = told::changes(self.hook, &self.told, &now) else {
                self.held.clear();
                self.told = now;
                return;
            };
            // One that was stopped for a while, and goes on, finds that another tells it.
            if !self.lead.confirm().await {
                self.hold(now);
                return;
            }
            let Some(result) = self.hooks.call(self.hook, &question).await else {
                self.told = now;
                return;
            };
            let failure = result.err();
            let pause = pauses.next();
            self.hooks.note(self.hook, failure.clone(), pause.is_none());
            match (failure, pause) {
                (Some(_), Some(pause)) => sleep(pause).await,
                _ => {
                    self.held.clear();
                    self.told = now;
                    return;
                }
            }
        }
    }
}

/// Waits until nothing has changed for a moment.
async fn settled(cluster: &mut watch::Receiver<Arc<Cluster>>) {
    let end = Instant::now() + LONGEST_WAIT;
    loop {
        cluster.borrow_and_update();
        let quiet = QUIET.min(end.saturating_duration_since(Instant::now()));
        match timeout(quiet, cluster.changed()).await {
            Ok(Ok(())) if Instant::now() < end => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests;
