//! Which node a machine is that asks to boot and that nobody described: what switches, and the site's own programs, say of it.

mod program;
mod readings;
mod scan;
mod worker;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use perilune_model::discovery::{self, Evidence, Identified, Place};
use perilune_model::{Cluster, Draft, MacAddress};
use perilune_store::Meta;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

pub use readings::{Reading, Readings};
pub(crate) use worker::Worker;

use crate::causes::chain;
use crate::clock;
use crate::cluster::ClusterService;
use crate::controllers::Lead;
use crate::plugins::Runner;
use crate::sightings::Sightings;
use program::Programs;

/// How long a machine waits for what switches say; a dead switch is known as one before. Afterwards the machine is told to ask
/// again, and nothing is made of it.
const PATIENCE: Duration = Duration::from_secs(4);
/// A machine that was heard so short a while ago has not been moved since: what a switch said in between holds.
const HEARD: Duration = Duration::from_secs(30);
/// Whoever looks at what switches say sees nothing older, unless a switch does not answer.
const FRESH: Duration = Duration::from_mins(1);

/// What is known of unknown machines, and how more is found out.
pub struct Discovery {
    cluster: ClusterService,
    sightings: Sightings,
    programs: Programs,
    readings: watch::Receiver<Readings>,
    /// Readings that began before this will not do.
    wanted: watch::Sender<Option<Instant>>,
}

impl Discovery {
    /// With the site's plugins; the worker must run for switches to be asked.
    pub(crate) fn new(
        cluster: ClusterService,
        sightings: Sightings,
        runner: Runner,
        lead: Lead,
    ) -> (Self, Worker) {
        let (publisher, readings) = watch::channel(Readings::default());
        let (wanted, wishes) = watch::channel(None);
        let worker = Worker::new((cluster.clone(), runner.clone()), publisher, wishes, lead);
        let programs = Programs::new(runner);
        (Self { cluster, sightings, programs, readings, wanted }, worker)
    }

    /// Makes an unknown machine the node that it is, if that can be found out and is certain enough; tells what became of it. What was not
    /// found out yet is unknown: the machine asks again. `admit` is asked before anything is changed.
    pub async fn identify(
        &self,
        mac: MacAddress,
        asker: IpAddr,
        meta: Meta,
        admit: impl FnOnce() -> bool,
    ) -> Identified {
        let cluster = self.cluster.published();
        let Some(evidence) = self.evidence(&cluster, mac, asker).await else {
            tracing::info!(%mac, "it is not known yet where a machine is; it asks again");
            return Identified::Unknown;
        };
        let now = meta.at;
        let decide = move |draft: &mut Draft| discovery::identify(draft, mac, &evidence, now);
        // Most machines that ask again and again stay unknown, or wait; those need no turn among the changes.
        match decide.clone()(&mut Draft::new(&self.cluster.published())) {
            Ok(waits @ (Identified::Unknown | Identified::Waits(..))) => return waits,
            Ok(Identified::Became(..)) if !admit() => return Identified::Unknown,
            Ok(Identified::Became(..)) | Err(_) => {}
        }
        match self.cluster.commit(meta, decide).await {
            Ok(found) => {
                if let Identified::Became(node, reason) = &found {
                    tracing::info!(%node, %mac, %reason, "a machine that nobody described became a node");
                }
                found
            }
            Err(error) => {
                tracing::warn!(%mac, error = chain(&error), "a machine could not become a node");
                Identified::Unknown
            }
        }
    }

    /// Where switches saw a machine when they were last read.
    pub fn last_seen(&self, cluster: &Cluster, mac: MacAddress) -> Option<Place> {
        self.readings.borrow().places(cluster, mac, None).into_iter().next()
    }

    /// What every switch says, asked a short while ago at most.
    pub async fn look(&self, cluster: &Cluster) -> Readings {
        let now = Instant::now();
        let since = now.checked_sub(FRESH).unwrap_or(now);
        let mut readings = self.readings.clone();
        let told = |readings: &Readings| readings.have_told(cluster, since);
        if !told(&readings.borrow()) {
            self.want(since);
            // Switches that have not answered by then are shown as they are known.
            timeout(PATIENCE, readings.wait_for(told)).await.ok();
        }
        let known = readings.borrow();
        known.clone()
    }

    /// All that can be known of a machine now; `None` when there will be more in a moment.
    async fn evidence(
        &self,
        cluster: &Arc<Cluster>,
        mac: MacAddress,
        asker: IpAddr,
    ) -> Option<Evidence> {
        let places = self.places(cluster, mac).await?;
        let cloud = if places.is_empty() { self.programs.cloud(mac).await.ok()? } else { None };
        Some(Evidence { places, cloud, address: Some(asker) })
    }

    /// Where a machine is connected; empty when nobody knows. `None` when not all have told in time.
    async fn places(&self, cluster: &Arc<Cluster>, mac: MacAddress) -> Option<Vec<Place>> {
        if let Some(place) = self.programs.switchport(cluster, mac).await.ok()? {
            return Some(vec![place]);
        }
        let since = self.heard(mac);
        let mut readings = self.readings.clone();
        let told = |readings: &Readings| {
            let places = readings.places(cluster, mac, Some(since));
            let is_certain =
                places.iter().any(|place| discovery::claims(cluster, place).next().is_some());
            is_certain || readings.have_told(cluster, since)
        };
        if !told(&readings.borrow()) {
            self.want(since);
            if !discovery::goes_by_ports(cluster) {
                // Nobody is found by a port; the switches are asked only so that people can see where the machine is.
                return Some(readings.borrow().places(cluster, mac, None));
            }
            // The daemon stops when nobody reads switches any more.
            timeout(PATIENCE, readings.wait_for(told)).await.ok()?.ok()?;
        }
        let known = readings.borrow();
        Some(known.places(cluster, mac, Some(since)))
    }

    /// Since when the machine has been where it is: it was heard then, a moment ago at the latest.
    fn heard(&self, mac: MacAddress) -> Instant {
        let now = Instant::now();
        let silent =
            self.sightings.last_seen(mac).map(|seen| clock::milliseconds().saturating_sub(seen));
        let silent = silent.map(Duration::from_millis).filter(|silent| *silent <= HEARD);
        silent.and_then(|silent| now.checked_sub(silent)).unwrap_or(now)
    }

    fn want(&self, since: Instant) {
        // A reading that begins after the latest wish serves the earlier ones, too; an earlier wish must not replace a later one.
        self.wanted.send_if_modified(|wanted| {
            let is_later = wanted.is_none_or(|wanted| wanted < since);
            if is_later {
                *wanted = Some(since);
            }
            is_later
        });
    }
}
