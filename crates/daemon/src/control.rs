//! Control of machines by their BMCs: requests for many at once, and what became of each machine.

mod former;
mod hook;
mod known_bmcs;
mod limits;
mod pins;
mod run;
mod runs;
mod targets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use perilune_bmc::redfish::Trust;
use perilune_bmc::{Action, Engine, Outcome, PowerState, Target, UnknownAction};
use perilune_boards::{Unreadable, Writer};
use perilune_store::Store;
use perilune_wire::control::Wishes;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use run::{Order, Request, Row, Run, Verdict};

use crate::boots::{Boots, Evidence};
use crate::clock;
use crate::cluster::ClusterService;
use crate::config::{self, Settings};
use crate::jobs::RequestIds;
use crate::plugins::Runner;
use crate::status::Status;
use former::FormerOwners;
pub use former::HandedOver;
use known_bmcs::{Difference, KnownBmcs};
pub(crate) use pins::PinnedCertificate;
use pins::PinnedCertificates;
use runs::Runs;
use targets::Resolver;

/// Hooks of the site that run at one moment.
const HOOKS: usize = 16;
/// Outcomes that may wait to be noted.
const WAITING: usize = 256;

/// Why machines cannot be controlled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] perilune_store::Error),
    /// The certificates of those who sign those of BMCs cannot be read.
    #[error("{path} ([BMCCONTROL] BMC_AUTHORITIES) cannot be read as certificates in PEM")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
}

/// Control of machines; clones share it.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    limits: config::Control,
    /// Runs the site's own programs.
    runner: Runner,
    /// As many hooks as may run at one moment.
    hooks: Arc<Semaphore>,
    runs: Runs,
    requests: RequestIds,
    pins: PinnedCertificates,
    known_bmcs: Mutex<KnownBmcs>,
    former: FormerOwners,
    /// The history, of who had which address.
    store: Store,
    /// Requests to be carried out by the [`Worker`]. Callers wait for results, so these are as many as there are callers.
    work: mpsc::UnboundedSender<Work>,
    status: Status,
    boots: Boots,
    cluster: ClusterService,
    /// What BMCs did and did not do since the daemon started.
    outcomes: Outcomes,
}

/// Counted outcomes.
pub(crate) type Outcomes = Family<Counted, Counter>;

/// What an outcome is counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Counted {
    action: &'static str,
    outcome: &'static str,
}

/// Control, and what must run for it to work.
pub struct Opened {
    pub(crate) control: Control,
    pub(crate) worker: Worker,
    /// Stores pinned certificates.
    pub(crate) pins: Writer<String, PinnedCertificate>,
    /// Pinned certificates that could not be read.
    pub(crate) unreadable: Vec<Unreadable>,
}

impl Control {
    /// With the certificates that were pinned before.
    pub(crate) async fn open(
        (settings, runner): (&Settings, Runner),
        store: &Store,
        (status, boots, cluster): (Status, Boots, ClusterService),
    ) -> Result<Opened, Error> {
        let authorities = match &settings.control.authorities {
            Some(path) => read_authorities(path)?,
            None => Vec::new(),
        };
        let (pins, writer, unreadable) = PinnedCertificates::open(store).await?;
        let (work, waiting) = mpsc::unbounded_channel();
        let shared = Shared {
            engine: Engine::new(authorities),
            limits: settings.control.clone(),
            runner,
            hooks: Arc::new(Semaphore::new(HOOKS)),
            runs: Runs::new(store.life()),
            requests: RequestIds::at(&settings.controller),
            pins,
            known_bmcs: Mutex::default(),
            former: FormerOwners::default(),
            store: store.clone(),
            work,
            status,
            boots,
            cluster,
            outcomes: Outcomes::default(),
        };
        let control = Self { shared: Arc::new(shared) };
        Ok(Opened { control, worker: Worker(waiting), pins: writer, unreadable })
    }

    /// Begins an action on machines, to be followed by the identifier that this answers. Those that cannot be reached at all have their
    /// verdict at once; when there is no such action, every machine is told so.
    pub fn start(&self, order: Order, nodes: Vec<String>, wishes: &Wishes, user: &str) -> String {
        let now = clock::milliseconds();
        let (targets, rows) = match &order.meant {
            Ok(_) => self.targets(nodes),
            Err(unknown) => (Vec::new(), nodes.iter().map(|node| refused(node, unknown)).collect()),
        };
        let total = targets.len() + rows.len();
        let (id, cancel) = (self.shared.requests.next(now), CancellationToken::new());
        let request =
            Request { id: id.clone(), order, total, user: user.to_owned(), begun: now, cancel };
        let request = Arc::new(request);
        self.shared.runs.begin(Run::new(Arc::clone(&request), rows), now);
        let ended = Ended { control: self.clone(), id: id.clone() };
        if let Ok(action) = &request.order.meant {
            let note = move |row| ended.control.shared.runs.note(&ended.id, row);
            self.carry_out(targets, *action, wishes, request.cancel.clone(), note);
        }
        id
    }

    /// Does something with one machine for somebody who waits for it; it is cancelled when nobody does any more. `None` when it
    /// takes too long.
    pub async fn act_on_one(&self, action: Action, node: &str, patience: Duration) -> Option<Row> {
        let (targets, mut rows) = self.targets(vec![node.to_owned()]);
        if let Some(row) = rows.pop() {
            return Some(row);
        }
        let (sender, mut results) = mpsc::channel(1);
        let note = move |row| {
            // Nobody is left to hear of it when the client went away.
            drop(sender.try_send(row));
        };
        let cancel = CancellationToken::new();
        self.carry_out(targets, action, &Wishes::default(), cancel.clone(), note);
        let _cancelled = cancel.drop_guard();
        tokio::time::timeout(patience, results.recv()).await.ok().flatten()
    }

    /// The BMCs of nodes, and the verdict of those that have none.
    fn targets(&self, nodes: Vec<String>) -> (Vec<Target>, Vec<Row>) {
        let cluster = self.shared.cluster.published();
        let pins = self.shared.pins.snapshot();
        let resolver = Resolver { cluster: &cluster, runner: &self.shared.runner, pins: &pins };
        let (mut targets, mut rows) = (Vec::new(), Vec::new());
        for node in nodes {
            match resolver.target(&node) {
                Ok(mut target) => {
                    self.forget_if_changed(&mut target);
                    targets.push(target);
                }
                Err(reason) => rows.push(Row::without_target(&node, &reason)),
            }
        }
        (targets, rows)
    }

    /// Forgets what is remembered of a BMC that belongs to another node now, or is called in another way.
    fn forget_if_changed(&self, target: &mut Target) {
        let difference = self.known_bmcs().note(target);
        if difference != Difference::None {
            self.shared.engine.forget(target);
        }
        // The certificate is the BMC's, whoever logs in to it.
        if difference == Difference::Node && self.shared.pins.forget(&targets::pin_key(target)) {
            target.redfish.trust = Trust::FirstUse;
        }
    }

    /// A request, as long as it is remembered.
    pub fn run(&self, id: &str) -> Option<Arc<Run>> {
        self.shared.runs.get(id)
    }

    /// Waits until a request has more than `known` results, or is over, or `patience` has passed; answers it as it is then.
    pub async fn more_than(&self, id: &str, known: usize, patience: Duration) -> Option<Arc<Run>> {
        self.shared.runs.more_than(id, known, patience).await
    }

    /// Requests that are remembered, the latest first.
    pub fn all(&self) -> Vec<Arc<Run>> {
        self.shared.runs.all()
    }

    /// Of the BMC addresses of these nodes, those that were other nodes' within the last day.
    pub async fn handed_over(
        &self,
        nodes: &[String],
    ) -> Result<Vec<HandedOver>, perilune_store::Error> {
        let cluster = self.shared.cluster.published();
        let now = clock::milliseconds();
        self.shared.former.of((&cluster, &self.shared.store), nodes, now).await
    }

    /// Forgets what is remembered of machines' BMCs: failures, refused passwords, pinned certificates. Names those that have none.
    pub async fn forget(
        &self,
        nodes: &[String],
    ) -> Result<Vec<(String, String)>, perilune_boards::Error> {
        let cluster = self.shared.cluster.published();
        let pins = self.shared.pins.snapshot();
        let resolver = Resolver { cluster: &cluster, runner: &self.shared.runner, pins: &pins };
        let mut unknown = Vec::new();
        let mut forgotten = Vec::new();
        for node in nodes {
            match resolver.target(node) {
                Ok(target) => {
                    self.shared.engine.forget(&target);
                    forgotten.push(targets::pin_key(&target));
                }
                Err(reason) => unknown.push((node.clone(), reason.to_string())),
            }
        }
        self.shared.pins.forget_stored(&forgotten).await?;
        Ok(unknown)
    }

    /// Has an action done, and each result given to `note`, which is dropped after the last.
    fn carry_out(
        &self,
        targets: Vec<Target>,
        action: Action,
        wishes: &Wishes,
        cancel: CancellationToken,
        note: impl Fn(Row) + Send + Sync + 'static,
    ) {
        // Only what is believed because it was seen first is believed from then on.
        let is_first = |target: &&Target| matches!(target.redfish.trust, Trust::FirstUse);
        let of_name = |target: &Target| (target.name.clone(), targets::pin_key(target));
        let keys: BTreeMap<_, _> = targets.iter().filter(is_first).map(of_name).collect();
        let (outcomes, mut waiting) = mpsc::channel(WAITING);
        let engine = self.shared.engine.clone();
        let limits = limits::limits(&self.shared.limits, wishes, action, &targets);
        let control = self.clone();
        let work = async move {
            let carried_out = engine.run(targets, action, limits, cancel, outcomes);
            let all_noted = async {
                while let Some(outcome) = waiting.recv().await {
                    control.learn(&keys, &outcome).await;
                    note(Row::of(outcome));
                }
            };
            tokio::join!(carried_out, all_noted);
        };
        if self.shared.work.send(Box::pin(work)).is_err() {
            tracing::debug!(%action, "the daemon stops; nothing is begun any more");
        }
    }

    /// What BMCs did and did not do since the daemon started.
    pub(crate) fn outcomes(&self) -> Outcomes {
        self.shared.outcomes.clone()
    }

    /// What an outcome means for others than those who asked for it.
    async fn learn(&self, keys: &BTreeMap<String, String>, outcome: &Outcome) {
        self.tell_status(outcome);
        let done = if outcome.result.is_ok() { "done" } else { "failed" };
        let labels = Counted { action: outcome.action.as_str(), outcome: done };
        self.shared.outcomes.get_or_create(&labels).inc();
        if let (Some(key), Some(certificate)) = (keys.get(&outcome.name), outcome.certificate) {
            self.shared.pins.pin(key, certificate).await;
        }
        if let Err(error) = &outcome.result {
            tracing::info!(node = outcome.name, action = %outcome.action, error = error.chain(), "a BMC action failed");
        }
        self.tell_hook(outcome);
    }

    /// Nobody waits for a hook.
    fn tell_hook(&self, outcome: &Outcome) {
        let cluster = self.shared.cluster.published();
        let runner = self.shared.runner.clone();
        let Some((hook, group)) = hook::find(&runner, &cluster, &outcome.name) else { return };
        let (turns, node, action) =
            (Arc::clone(&self.shared.hooks), outcome.name.clone(), outcome.action);
        let work = async move {
            hook::call((&runner, &turns), &hook, action, (&node, &group)).await;
        };
        if self.shared.work.send(Box::pin(work)).is_err() {
            tracing::debug!(node = outcome.name, "the daemon stops; a hook is not called");
        }
    }

    /// What was done to a node is its state, until it says more itself. A node that starts may have done so already.
    fn tell_status(&self, outcome: &Outcome) {
        let is_done = outcome.result.is_ok() && outcome.action.is_power_change();
        let cluster = self.shared.cluster.published();
        let Some(node) = cluster.node(&outcome.name).ok().filter(|_| is_done) else { return };
        let now = clock::milliseconds();
        let elapsed = u64::try_from(outcome.elapsed.as_millis()).unwrap_or(u64::MAX);
        let state = outcome.action.as_str();
        match outcome.action {
            Action::PowerOn | Action::PowerCycle | Action::PowerReset => {
                let begun = now.saturating_sub(elapsed);
                self.shared.status.report_unless_newer(&node.name, state, begun, now);
                if begins_to_run(outcome) {
                    self.shared.boots.expect(&node.name, Evidence::Power, None);
                }
            }
            _ => self.shared.status.report(&node.name, state, None, now),
        }
    }

    fn known_bmcs(&self) -> MutexGuard<'_, KnownBmcs> {
        self.shared.known_bmcs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Carries out what [`Control`] is asked for.
pub struct Worker(mpsc::UnboundedReceiver<Work>);

impl Worker {
    /// Works until `stop` is cancelled. What is under way then is cut off; sessions with BMCs are closed.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut requests = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                work = self.0.recv() => match work {
                    Some(work) => drop(requests.spawn(work)),
                    None => break,
                },
                Some(ended) = requests.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a request to control machines failed");
                    }
                }
            }
        }
        requests.shutdown().await;
    }
}

/// Whether the BMC has confirmed that the machine begins to run. One that was on, and was told to be, does not: its users have not left.
fn begins_to_run(outcome: &Outcome) -> bool {
    let was_off = outcome.before == Some(PowerState::Off);
    match outcome.action {
        Action::PowerOn => was_off && outcome.power == Some(PowerState::On),
        Action::PowerCycle | Action::PowerReset => true,
        _ => false,
    }
}

/// Ends a request when it is dropped, however that comes.
struct Ended {
    control: Control,
    id: String,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.control.shared.runs.end(&self.id);
    }
}

fn refused(node: &str, unknown: &UnknownAction) -> Row {
    let reason = unknown.to_string();
    Row::impossible(node, not_implemented(unknown), &reason)
}

/// Why nothing is done for words that mean nothing, as existing clients know it.
pub fn not_implemented(unknown: &UnknownAction) -> String {
    format!("Instruction not implemented: {unknown}")
}

fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let failed = |source| Error::Authorities { path: path.to_owned(), source };
    CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
}
