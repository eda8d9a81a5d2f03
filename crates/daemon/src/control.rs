//! Control of machines by their BMCs: requests for many at once, and what became of each machine.

mod run;
mod targets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use perilune_bmc::redfish::Fingerprint;
use perilune_bmc::{Action, Engine, Inrush, Limits, Outcome, PowerState, Target, Verification};
use perilune_model::Cluster;
use perilune_store::{Record, Store, Table};
use perilune_wire::control::Wishes;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use run::{Row, Run, Verdict};

use crate::clock;
use crate::config::{self, Settings};
use crate::status::Status;
use targets::{Missing, Resolver};

/// How long the results of a request are kept: milliseconds.
const KEPT: u64 = 60 * 60 * 1000;
/// As many requests as are remembered; the oldest one that is over is forgotten first.
const REMEMBERED: usize = 256;
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
    plugins: Option<PathBuf>,
    runs: Mutex<BTreeMap<String, Arc<Run>>>,
    pins: Mutex<BTreeMap<String, Fingerprint>>,
    /// Requests to be carried out by the [`Worker`]. Callers wait for results, so these are as many as there are callers.
    work: mpsc::UnboundedSender<Work>,
    store: Store,
    status: Status,
}

impl Control {
    /// With the certificates that were pinned before.
    pub async fn open(
        settings: &Settings,
        store: Store,
        status: Status,
    ) -> Result<(Self, Worker), Error> {
        let authorities = match &settings.control.authorities {
            Some(path) => read_authorities(path)?,
            None => Vec::new(),
        };
        let records = store.records(Table::BmcCertificates).await?;
        let pins = records.into_iter().filter_map(|pin| Some((pin.key, pin.body.parse().ok()?)));
        let pins = Mutex::new(pins.collect());
        let (work, waiting) = mpsc::unbounded_channel();
        let shared = Shared {
            engine: Engine::new(authorities),
            limits: settings.control.clone(),
            plugins: settings.plugins.clone(),
            runs: Mutex::default(),
            pins,
            work,
            store,
            status,
        };
        Ok((Self { shared: Arc::new(shared) }, Worker(waiting)))
    }

    /// Begins an action on machines. Those that cannot be reached at all have their verdict at once. `subsystem` and `action`
    /// are the words of the request; when there is no such action, every machine is told so.
    pub fn start(
        &self,
        cluster: &Cluster,
        words: (&str, &str),
        nodes: Vec<String>,
        wishes: &Wishes,
        user: &str,
    ) -> Arc<Run> {
        let command = format!("{} {}", words.0, words.1);
        let action = command.parse::<Action>();
        let now = clock::milliseconds();
        let run = Arc::new(Run::new(&run::new_id(now), words, nodes.len(), user, now));
        let mut targets = Vec::new();
        let pins = self.pins().clone();
        let resolver = Resolver { cluster, plugins: self.shared.plugins.as_deref(), pins: &pins };
        for node in nodes {
            let target = match &action {
                Ok(_) => resolver.target(&node),
                Err(error) => Err(Missing::Action(error.to_string())),
            };
            match target {
                Ok(target) => targets.push(target),
                Err(reason) => run.note(Row::without_target(&node, &reason)),
            }
        }
        self.remember(Arc::clone(&run));
        match action {
            Ok(action) => self.carry_out(targets, action, wishes, &run),
            Err(_) => run.end(),
        }
        run
    }

    /// A request, as long as it is remembered.
    pub fn run(&self, id: &str) -> Option<Arc<Run>> {
        self.runs().get(id).map(Arc::clone)
    }

    /// Requests that are remembered, the latest first.
    pub fn all(&self) -> Vec<Arc<Run>> {
        let mut runs: Vec<_> = self.runs().values().map(Arc::clone).collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.begun));
        runs
    }

    /// Forgets what is remembered of machines' BMCs: failures, refused passwords, pinned certificates. Names those that have none.
    pub async fn forget(
        &self,
        cluster: &Cluster,
        nodes: &[String],
    ) -> Result<Vec<(String, String)>, perilune_store::Error> {
        let pins = BTreeMap::new();
        let resolver = Resolver { cluster, plugins: self.shared.plugins.as_deref(), pins: &pins };
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
        forgotten.retain(|key| self.pins().remove(key).is_some());
        self.shared.store.remove(Table::BmcCertificates, forgotten).await?;
        Ok(unknown)
    }

    fn carry_out(&self, targets: Vec<Target>, action: Action, wishes: &Wishes, run: &Arc<Run>) {
        let keys: BTreeMap<_, _> =
            targets.iter().map(|target| (target.name.clone(), targets::pin_key(target))).collect();
        let (outcomes, mut waiting) = mpsc::channel(WAITING);
        let engine = self.shared.engine.clone();
        let (limits, cancel) = (self.limits(wishes), run.cancel.clone());
        let control = self.clone();
        let noted = Arc::clone(run);
        let work = async move {
            let ended = Ended(Arc::clone(&noted));
            let carried_out = engine.run(targets, action, limits, cancel, outcomes);
            let all_noted = async {
                while let Some(outcome) = waiting.recv().await {
                    control.note(&noted, &keys, outcome).await;
                }
            };
            tokio::join!(carried_out, all_noted);
            drop(ended);
        };
        if self.shared.work.send(Box::pin(work)).is_err() {
            // The daemon is stopping.
            run.end();
        }
    }

    async fn note(&self, run: &Run, keys: &BTreeMap<String, String>, outcome: Outcome) {
        if outcome.result.is_ok() && outcome.action.is_power_change() {
            let state = outcome.action.as_str();
            self.shared.status.report(&outcome.name, state, None, clock::milliseconds());
        }
        if let (Some(key), Some(certificate)) = (keys.get(&outcome.name), outcome.certificate) {
            self.pin(key, certificate).await;
        }
        if let Err(error) = &outcome.result {
            tracing::info!(node = outcome.name, action = %outcome.action, error = error.chain(), "a BMC did not do it");
        }
        run.note(Row::of(outcome));
    }

    async fn pin(&self, key: &str, certificate: Fingerprint) {
        if self.pins().insert(key.to_owned(), certificate) == Some(certificate) {
            return;
        }
        let record = Record { key: key.to_owned(), body: certificate.to_string() };
        if let Err(error) = self.shared.store.put(Table::BmcCertificates, vec![record]).await {
            tracing::warn!(%error, bmc = key, "the certificate of a BMC is not stored");
        }
    }

    fn limits(&self, wishes: &Wishes) -> Limits {
        let site = &self.shared.limits;
        let mut limits = match site.batch_size {
            Some(size) => Limits::in_batches(size, site.batch_delay),
            None => Limits::default(),
        };
        limits.concurrent = site.concurrent.unwrap_or(limits.concurrent);
        limits.starts_per_second =
            site.ramp.map(|ramp| f64::from(ramp.get())).or(limits.starts_per_second);
        limits.inrush = site.rack_inrush.map(|(machines, within)| Inrush { machines, within });
        limits.deadline = site.deadline.unwrap_or(limits.deadline);
        // A request may ask for less than the site allows, and never for more.
        limits.concurrent =
            wishes.concurrent.map_or(limits.concurrent, |wished| wished.min(limits.concurrent));
        if let Some(ramp) = wishes.ramp.map(|ramp| f64::from(ramp.get())) {
            limits.starts_per_second =
                Some(limits.starts_per_second.map_or(ramp, |site| site.min(ramp)));
        }
        limits.deadline = wishes.deadline.unwrap_or(limits.deadline);
        if wishes.verify == Some(false) {
            limits.verification = None;
        }
        if wishes.verify == Some(true) {
            limits.verification = Some(Verification::default());
        }
        limits.insist = wishes.insist;
        limits
    }

    fn remember(&self, run: Arc<Run>) {
        let now = clock::milliseconds();
        let mut runs = self.runs();
        runs.retain(|_, run| !run.is_over() || run.begun + KEPT > now);
        while runs.len() >= REMEMBERED {
            let oldest = runs.values().filter(|run| run.is_over()).min_by_key(|run| run.begun);
            let Some(oldest) = oldest.map(|run| run.id.clone()) else { break };
            runs.remove(&oldest);
        }
        runs.insert(run.id.clone(), run);
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Run>>> {
        self.shared.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pins(&self) -> MutexGuard<'_, BTreeMap<String, Fingerprint>> {
        self.shared.pins.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Ends a run when it is dropped, however that comes.
struct Ended(Arc<Run>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let failed = |source| Error::Authorities { path: path.to_owned(), source };
    CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
}

/// The power state that an outcome tells of, as the word of the API.
fn power_word(power: Option<PowerState>) -> Option<&'static str> {
    power.map(|power| match power {
        PowerState::On => "on",
        PowerState::Off => "off",
    })
}
