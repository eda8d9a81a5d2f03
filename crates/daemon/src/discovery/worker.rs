//! Reads switches: all that are due at once, each by itself, so that a dead one costs nobody but itself.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use perilune_model::{Name, discovery};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::readings::{PERIOD, Reading, Readings, Wish, target};
use super::scan;
use crate::causes::chain;
use crate::clock;
use crate::cluster::ClusterService;
use crate::controllers::Lead;
use crate::plugins::Runner;

/// Switches that are read at one moment at most. The others are begun as readings end, each of which wakes the worker.
const AT_ONCE: usize = 256;

/// What reads switches.
pub(crate) struct Worker {
    cluster: ClusterService,
    /// What calls the site's plugins.
    runner: Runner,
    readings: watch::Sender<Readings>,
    wanted: watch::Receiver<Option<Instant>>,
    /// One of several controllers reads all again and again; the others what somebody needs there.
    lead: Lead,
    /// The switches that are being read.
    busy: BTreeSet<Name>,
    tasks: JoinSet<(Name, Reading)>,
}

impl Worker {
    pub(super) fn new(
        (cluster, runner): (ClusterService, Runner),
        readings: watch::Sender<Readings>,
        wanted: watch::Receiver<Option<Instant>>,
        lead: Lead,
    ) -> Self {
        let (busy, tasks) = (BTreeSet::new(), JoinSet::new());
        Self { cluster, runner, readings, wanted, lead, busy, tasks }
    }

    /// Reads whatever is due until it is time to stop, beside what the site reads itself.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let scan = scan::run(self.runner.clone(), self.cluster.clone(), stop.clone());
        tokio::join!(self.read(stop), scan);
    }

    async fn read(mut self, stop: CancellationToken) {
        loop {
            let next = self.begin_what_is_due();
            tokio::select! {
                () = stop.cancelled() => return,
                wanted = self.wanted.changed() => {
                    if wanted.is_err() {
                        return;
                    }
                }
                Some(ended) = self.tasks.join_next() => self.note(ended),
                () = sleep_until(next) => {}
            }
        }
    }

    /// Begins, and says when there will be more to do.
    fn begin_what_is_due(&mut self) -> Instant {
        let cluster = self.cluster.published();
        let (regular, lead) = (OnceCell::new(), self.lead.clone());
        let wish = Wish {
            wanted: *self.wanted.borrow_and_update(),
            is_regular: &|| {
                *regular.get_or_init(|| lead.is_ours() && discovery::goes_by_ports(&cluster))
            },
            now: Instant::now(),
        };
        let mut next = wish.now + PERIOD;
        self.readings.send_if_modified(|readings| readings.keep_those_of(&cluster));
        for switch in cluster.switches().values() {
            let Some(target) = target(switch) else { continue };
            if self.busy.contains(&switch.name) || self.busy.len() >= AT_ONCE {
                continue;
            }
            match self.readings.borrow().due(switch, &wish) {
                Some(due) if due > wish.now => next = next.min(due),
                Some(_) => {
                    let name = switch.name.clone();
                    self.busy.insert(name.clone());
                    let begun = (target, wish.now, clock::milliseconds());
                    self.tasks.spawn(async move {
                        let outcome = perilune_switch::read(&begun.0).await;
                        (name, Reading::new(begun, outcome))
                    });
                }
                None => {}
            }
        }
        next
    }

    /// Publishes a reading, and whatever else has ended: those who wait look once.
    fn note(&mut self, ended: Result<(Name, Reading), JoinError>) {
        let mut all = vec![ended];
        all.extend(std::iter::from_fn(|| self.tasks.try_join_next()));
        self.readings.send_modify(|readings| {
            for ended in all {
                match ended {
                    Ok((switch, reading)) => {
                        self.busy.remove(&switch);
                        tell(&switch, readings, &reading);
                        readings.put(switch, reading);
                    }
                    // A defect; the daemon stops, as it does wherever one shows.
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(error) => tracing::debug!(%error, "a switch is not read any more"),
                }
            }
        });
    }
}

/// Says when a switch begins to fail, and when it answers again.
fn tell(switch: &Name, before: &Readings, reading: &Reading) {
    let failed = before.has_failed(switch);
    match &reading.outcome {
        Err(error) if failed != Some(true) => {
            tracing::warn!(%switch, error = chain(error), "a switch cannot be asked who is connected to it");
        }
        Ok(ports) if failed == Some(true) => {
            tracing::info!(%switch, ports = ports.len(), "a switch answers again");
        }
        outcome => tracing::debug!(%switch, answers = outcome.is_ok(), "a switch was read"),
    }
}
