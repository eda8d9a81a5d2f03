//! The controllers that share a database, and which of them is the master: the one that does what one alone may do, such as to write
//! the files of a server that all of them share. Everything else each of them does.
//!
//! The master says so again before its time is over, by the clock of the database. It believes it for less long than that, by a clock of its
//! own that never jumps, and asks the database once more before it does anything: a controller that was stopped in between and goes on
//! finds that it is the master no longer.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use perilune_boot::Protocol;
use perilune_model::Cluster;
use perilune_store::{Beat, Controller, Error, Heard, MASTER_SECONDS, Standby, Store};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::cluster::ClusterService;
use crate::config::Settings;

/// How often a controller says that it runs.
const BEAT: Duration = Duration::from_secs(3);
/// How often the master says that it is, and others look whether there is one.
const CLAIM: Duration = Duration::from_secs(2);
/// So long the master believes that it is, from before it said so. Another is it later than that.
const BELIEF: Duration = Duration::from_secs(6);
const _: () = assert!(BELIEF.as_secs() + 3 < MASTER_SECONDS as u64);
/// A controller that was silent for so long does not run.
const SILENT: Duration = Duration::from_secs(15);
/// Who asked within so many milliseconds whether a controller is ready asks again.
const WATCHED: u64 = 30_000;
/// So long a controller that is watched goes on after it says that it ends; others need only hear it.
const CLOSING: Duration = Duration::from_secs(5);
const TOLD: Duration = Duration::from_secs(1);
/// How long somebody waits for the database.
const ANSWER: Duration = Duration::from_secs(5);

/// The controllers of the site; clones share what is known.
#[derive(Clone)]
pub struct Controllers(Arc<Inner>);

struct Inner {
    name: String,
    place: Place,
    store: Store,
    cluster: ClusterService,
    known: watch::Sender<Arc<Known>>,
    held: Mutex<Option<Held>>,
    /// The epoch of the master that this controller is, for those who wait to begin.
    epoch: watch::Sender<Option<u64>>,
    is_wanted: AtomicBool,
    /// This controller is about to end.
    closes: AtomicBool,
    /// When it was last asked whether it is ready: steady milliseconds.
    asked: AtomicU64,
    /// Counts how often this controller was made the master.
    made: watch::Sender<u64>,
    wake: Notify,
}

/// Whether this controller does what one alone may do: always, where there is one.
#[derive(Clone, Default)]
pub(crate) struct Lead(Option<(Controllers, watch::Receiver<Option<u64>>)>);

impl Lead {
    /// Whether it is, by this controller's own clock.
    pub(crate) fn is_ours(&self) -> bool {
        self.0.as_ref().is_none_or(|(controllers, _)| controllers.is_master())
    }

    /// Whether it still is, by the database's word.
    pub(crate) async fn confirm(&self) -> bool {
        match &self.0 {
            Some((controllers, _)) => controllers.confirm_master().await,
            None => true,
        }
    }

    /// Returns when another, or this one anew, is the master.
    pub(crate) async fn changed(&mut self) {
        let is_told = match &mut self.0 {
            Some((_, master)) => master.changed().await.is_ok(),
            None => false,
        };
        if !is_told {
            std::future::pending::<()>().await;
        }
    }
}

/// What was last heard of all controllers.
#[derive(Debug)]
pub struct Known {
    pub heard: Heard,
    at: Instant,
}

/// This controller is the master.
#[derive(Debug, Clone, Copy)]
struct Held {
    epoch: u64,
    until: Instant,
}

/// Where others find this controller.
#[derive(Debug, Clone)]
struct Place {
    protocol: Protocol,
    host: Option<String>,
    listen: Vec<(Protocol, SocketAddr)>,
}

/// How a controller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    InSync,
    /// It does not serve what is stored.
    Behind,
    /// It was not heard for a while.
    Silent,
}

impl Health {
    /// For people and programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::InSync => "in sync",
            Self::Behind => "behind",
            Self::Silent => "silent",
        }
    }
}

impl Known {
    /// Only as of then: while the database is away, nobody knows better of anybody.
    pub fn health(controller: &Controller) -> Health {
        if Duration::from_millis(controller.silent) >= SILENT {
            return Health::Silent;
        }
        if controller.in_sync { Health::InSync } else { Health::Behind }
    }

    /// Those that run.
    pub fn live(&self) -> impl Iterator<Item = &Controller> {
        self.heard.controllers.iter().filter(|one| Self::health(one) != Health::Silent)
    }
}

impl Controllers {
    /// Says for the first time that this controller runs, and looks who else does.
    pub(crate) async fn open(
        store: &Store,
        cluster: &ClusterService,
        settings: &Settings,
        listen: &[(Protocol, SocketAddr)],
    ) -> Result<Self, Error> {
        let place = Place {
            protocol: settings.protocol,
            host: settings.host.clone(),
            listen: listen.to_vec(),
        };
        let name = settings.controller.clone();
        let first = beat(&name, &place, cluster, true);
        let heard = store.beat(&first).await?;
        let known = watch::Sender::new(Arc::new(Known { heard, at: Instant::now() }));
        let (store, cluster) = (store.clone(), cluster.clone());
        let (held, epoch) = (Mutex::new(None), watch::Sender::new(None));
        let (is_wanted, made) = (AtomicBool::new(false), watch::Sender::new(0));
        let (wake, closes, asked) = (Notify::new(), AtomicBool::new(false), AtomicU64::new(0));
        let inner = Inner {
            name,
            place,
            store,
            cluster,
            known,
            held,
            epoch,
            is_wanted,
            closes,
            asked,
            made,
            wake,
        };
        let controllers = Self(Arc::new(inner));
        controllers.claim().await;
        Ok(controllers)
    }

    /// Says again and again that this controller runs, and stays or becomes the master where it can, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let both = async { tokio::join!(self.keep_saying(), self.keep_claiming()) };
        Box::pin(stop.run_until_cancelled(both)).await;
        let Some(held) = self.lock().take() else { return };
        // Another need not wait then. It is no loss where the database is away.
        let resigned = timeout(ANSWER, self.0.store.resign_master(held.epoch)).await;
        if !matches!(resigned, Ok(Ok(()))) {
            tracing::debug!(
                "the database was not told that this controller is the master no longer"
            );
        }
    }

    async fn keep_saying(&self) {
        loop {
            sleep(BEAT).await;
            let Inner { store, known, .. } = &*self.0;
            match answered(store.beat(&self.own_beat())).await {
                Ok(heard) => {
                    let at = Instant::now();
                    known.send_replace(Arc::new(Known { heard, at }));
                    self.end_overrule().await;
                }
                // That the database is away is told by whoever follows it.
                Err(error) => {
                    tracing::debug!(%error, "the database was not told that this controller runs");
                }
            }
        }
    }

    /// What was overruled counts until all are in step again.
    async fn end_overrule(&self) {
        let known = self.known();
        let is_well = |one: &Controller| Known::health(one) == Health::InSync;
        let is_over = known.heard.overrule && known.heard.controllers.iter().all(is_well);
        if is_over
            && self.is_master()
            && let Err(error) = self.0.store.overrule(false).await
        {
            tracing::debug!(%error, "that all controllers are in step was not stored");
        }
    }

    async fn keep_claiming(&self) {
        loop {
            tokio::select! {
                () = sleep(CLAIM) => {}
                () = self.0.wake.notified() => {}
            }
            self.claim().await;
        }
    }

    /// Becomes the master, or stays it, if it can.
    async fn claim(&self) {
        let by_force = self.0.is_wanted.swap(false, Ordering::AcqRel);
        let before = self.lock().map(|held| held.epoch);
        // The database counts from when it gets this, which is later.
        let sent = Instant::now();
        let claimed = self.0.store.claim_master(before.unwrap_or_default(), by_force);
        let claimed = answered(claimed).await;
        let epoch = match claimed {
            Ok(epoch) => epoch,
            // It is believed until its time is over.
            Err(error) => {
                tracing::debug!(%error, "the database was not asked who the master is");
                return;
            }
        };
        let until = sent + BELIEF;
        *self.lock() = epoch.map(|epoch| Held { epoch, until });
        match (before, epoch) {
            (_, Some(new)) if before != epoch && self.0.store.is_shared() => {
                tracing::info!(epoch = new, "this controller is the master");
            }
            (Some(former), None) => {
                tracing::info!(epoch = former, "this controller is the master no longer");
                // One that is drained need not be waited for.
                if let Err(error) = self.0.store.resign_master(former).await {
                    tracing::debug!(%error, "the database was not told so");
                }
            }
            _ => {}
        }
        self.0.epoch.send_if_modified(|known| {
            let is_new = *known != epoch;
            *known = epoch;
            is_new
        });
        if by_force && epoch.is_some() {
            self.0.made.send_modify(|made| *made += 1);
        }
    }

    /// The name of this controller.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether others share the database.
    pub fn is_shared(&self) -> bool {
        self.0.store.is_shared()
    }

    /// Where others reach this controller, as far as that is known.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.0.place.addresses(&self.0.name, &self.0.cluster.published())
    }

    /// What was last heard of all.
    pub fn known(&self) -> Arc<Known> {
        Arc::clone(&self.0.known.borrow())
    }

    /// Whether this controller is the master, by its own clock.
    pub fn is_master(&self) -> bool {
        self.lock().is_some_and(|held| Instant::now() < held.until)
    }

    /// Whether this controller still is the master, by the database's word. Whoever is about to do what the master alone may do asks this.
    pub(crate) async fn confirm_master(&self) -> bool {
        let Some(held) = self.lock().filter(|held| Instant::now() < held.until) else {
            return false;
        };
        let asked = timeout(ANSWER, self.0.store.is_master(held.epoch)).await;
        // The answer may have taken longer than it is good for.
        matches!(asked, Ok(Ok(true))) && self.is_master()
    }

    /// What tells whether this controller does what one alone may do.
    pub(crate) fn lead(&self) -> Lead {
        Lead(self.is_shared().then(|| (self.clone(), self.follow_master())))
    }

    /// The epoch of the master that this controller is, and what tells of another.
    pub(crate) fn follow_master(&self) -> watch::Receiver<Option<u64>> {
        self.0.epoch.subscribe()
    }

    /// Makes this controller the master, whoever is. An error when the database has not said so in time; it may come to be so yet.
    pub async fn become_master(&self) -> Result<(), Error> {
        if self.0.cluster.away_since().is_some() {
            return Err(Error::NoAnswer);
        }
        let mut made = self.0.made.subscribe();
        self.0.is_wanted.store(true, Ordering::Release);
        self.0.wake.notify_one();
        match timeout(ANSWER, made.changed()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Error::Closed),
            Err(_elapsed) => Err(Error::NoAnswer),
        }
    }

    /// Whether somebody is about to stop this controller.
    pub(crate) fn is_drained(&self) -> bool {
        let known = self.known();
        let mut all = known.heard.controllers.iter();
        all.any(|one| one.name == self.0.name && one.is_drained)
    }

    /// Whether whoever chooses between controllers should choose this one.
    pub fn is_ready(&self) -> bool {
        self.0.asked.store(clock::steady_milliseconds(), Ordering::Release);
        self.0.cluster.is_in_sync() && !self.is_drained() && !self.closes()
    }

    fn closes(&self) -> bool {
        self.0.closes.load(Ordering::Acquire)
    }

    /// Says that this controller is about to end, and waits until those who choose between controllers have seen it: whoever asks whether it is
    /// ready looks every few seconds.
    pub(crate) async fn close(&self) {
        if !self.is_shared() {
            return;
        }
        self.0.closes.store(true, Ordering::Release);
        let asked = self.0.asked.load(Ordering::Acquire);
        let is_watched = clock::steady_milliseconds().saturating_sub(asked) < WATCHED;
        let told =
            async { tokio::join!(self.look(), sleep(if is_watched { CLOSING } else { TOLD })) };
        if let (Err(error), ()) = told.await {
            tracing::debug!(%error, "the other controllers were not told that this one ends");
        }
    }

    /// Says that a controller is about to be stopped, or is not.
    pub async fn drain(&self, controller: &str, is_drained: bool) -> Result<(), Error> {
        answered(self.0.store.drain(controller, is_drained)).await?;
        self.look().await
    }

    /// Forgets a controller that runs no more.
    pub async fn forget(&self, controller: &str) -> Result<(), Error> {
        if controller == self.0.name && self.is_shared() {
            return Err(Error::ControllerRuns { name: controller.to_owned() });
        }
        answered(self.0.store.forget_controller(controller)).await?;
        self.look().await
    }

    /// Says that work is not to wait for controllers that are away.
    pub async fn overrule(&self) -> Result<(), Error> {
        answered(self.0.store.overrule(true)).await?;
        self.look().await
    }

    /// One that is about to end is one that nobody should go to.
    fn own_beat(&self) -> Beat {
        let Inner { name, place, cluster, .. } = &*self.0;
        let own = beat(name, place, cluster, false);
        Beat { in_sync: own.in_sync && !self.closes(), ..own }
    }

    /// Shows what was just changed at once.
    async fn look(&self) -> Result<(), Error> {
        let Inner { store, known, .. } = &*self.0;
        let heard = answered(store.beat(&self.own_beat())).await?;
        known.send_replace(Arc::new(Known { heard, at: Instant::now() }));
        self.0.wake.notify_one();
        Ok(())
    }

    /// Whether the address that the cluster talks to is that of no one controller: none runs by its name.
    pub(crate) fn have_a_shared_address(&self, cluster: &Cluster) -> bool {
        let known = self.known();
        let runs = |name: &str| known.heard.controllers.iter().any(|one| one.name == name);
        cluster.beacon().is_none_or(|beacon| !runs(beacon.name.as_str()))
    }

    /// The other controllers that run.
    pub(crate) fn live_others(&self) -> Vec<Controller> {
        let known = self.known();
        known.live().filter(|one| one.name != self.0.name).cloned().collect()
    }

    /// The other controllers that do not run now, and may do so in a moment.
    pub(crate) fn silent_others(&self) -> Vec<Controller> {
        let known = self.known();
        let silent = known
            .heard
            .controllers
            .iter()
            .filter(|one| one.name != self.0.name && Known::health(one) == Health::Silent);
        silent.cloned().collect()
    }

    /// What somebody should look at.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let known = self.known();
        let all = &known.heard.controllers;
        let silent = all.iter().filter(|one| Known::health(one) == Health::Silent).map(|one| {
            format!(
                "controller {} was not heard since {}: start it, or, where it is gone for good, perilune controller remove {}",
                one.name,
                clock::rfc3339(one.heard),
                one.name
            )
        });
        let own = self.version();
        let others = known.live().filter(|one| one.version != own).map(|one| {
            format!(
                "controller {} runs version {}, and this one {own}; bring all to one version",
                one.name, one.version
            )
        });
        let format = self.0.store.program().format;
        let behind = all.iter().filter(|one| one.format < format).map(|one| {
            format!(
                "controller {} ({}) does not know everything that version {own} can store, which is refused until it does: install the new version there too",
                one.name, one.version
            )
        });
        let is_alone = self.is_shared() && self.expects_standby() && !known.heard.waits_for_standby;
        let alone = is_alone.then(|| self.warning_of_one_server());
        silent.chain(others).chain(behind).chain(alone).collect()
    }

    /// What acknowledges changes may take them with it.
    fn warning_of_one_server(&self) -> String {
        let what = if self.0.store.standby() == Standby::Required {
            "changes are refused (503) until it does, as [DATABASE] SYNCHRONOUS = require says"
        } else {
            "what is acknowledged now is lost where that server is lost"
        };
        format!(
            "the server of the database waits for no standby (its synchronous_standby_names is empty): {what}. Look at its standbys; docs/controllers.md has the settings of \
             Patroni that keep it from doing so"
        )
    }

    /// Whether somebody should know where the database acknowledges what one server alone has.
    pub fn expects_standby(&self) -> bool {
        self.0.store.standby() != Standby::Optional
    }

    /// The version of this program.
    pub fn version(&self) -> &'static str {
        self.0.store.program().version
    }

    /// How long ago what is known was heard.
    pub fn age(&self) -> Duration {
        self.known().at.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is answered in time; what is asked for may be done all the same.
async fn answered<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(ANSWER, Box::pin(work)).await.unwrap_or(Err(Error::NoAnswer))
}

fn beat(name: &str, place: &Place, cluster: &ClusterService, is_first: bool) -> Beat {
    let published = cluster.published();
    Beat {
        name: name.to_owned(),
        url: place.url(name, &published),
        revision: published.revision(),
        in_sync: cluster.is_in_sync(),
        is_first,
    }
}

impl Place {
    /// Where others reach the API: where it listens; everywhere, that is the address that is described for the controller, else one of this
    /// host in a network of the cluster, else what the configuration tells clients.
    fn url(&self, name: &str, cluster: &Cluster) -> String {
        // What is spoken to people; firmware has a port of its own.
        let own = self.listen.iter().find(|(protocol, _)| *protocol == self.protocol);
        let Some((protocol, at)) = own.or_else(|| self.listen.first()) else {
            return String::new();
        };
        let told = || self.host.clone().unwrap_or_else(|| name.to_owned());
        let host = self.addresses(name, cluster).first().copied().map_or_else(told, bracketed);
        format!("{protocol}://{host}:{}", at.port())
    }

    /// The addresses of that place, as far as they are known.
    fn addresses(&self, name: &str, cluster: &Cluster) -> Vec<IpAddr> {
        let own = self.listen.iter().find(|(protocol, _)| *protocol == self.protocol);
        let Some((_, at)) = own.or_else(|| self.listen.first()) else { return Vec::new() };
        if !at.ip().is_unspecified() {
            return vec![at.ip()];
        }
        let described = cluster.controllers().get(name);
        let described = described.map(|one| one.addresses.iter().collect::<Vec<_>>());
        described.filter(|all| !all.is_empty()).unwrap_or_else(|| {
            let own = cluster.own_addresses().keys();
            let in_network =
                |at: &&IpAddr| cluster.networks().values().any(|one| one.contains(**at));
            own.filter(in_network).copied().collect()
        })
    }
}

fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}
