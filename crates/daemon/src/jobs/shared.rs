//! What jobs share: the board, what runs, and what was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use perilune_boards::{Board, Update};
use perilune_model::image::Image;
use perilune_store::Store;
use tokio::sync::Notify;

use super::error::FAILED;
use super::message::{OK, Streams, Time};
use super::places::Places;
use super::queue::{Number, Running};
use super::request_id::RequestIds;
use super::taken::TakenOver;
use super::work::Job;
use crate::cluster::ClusterService;
use crate::holdings::Holdings;

/// All jobs and what they told; clones share them.
#[derive(Clone)]
pub struct Jobs {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    /// The jobs that are not done.
    pub(super) jobs: Board<Number, Job>,
    /// Jobs of controllers that are gone, by request: the same on all.
    pub(super) taken: Board<String, TakenOver>,
    pub(super) state: Mutex<State>,
    pub(super) wake: Notify,
    pub(super) cluster: ClusterService,
    pub(super) places: Places,
    pub(super) holdings: Holdings,
    pub(super) requests: RequestIds,
    /// Where other controllers' jobs are seen.
    pub(super) store: Store,
}

pub(super) struct State {
    pub(super) running: BTreeMap<Number, Running>,
    /// Jobs that are not stored yet, and therefore do not begin.
    pub(super) unstored: BTreeSet<Number>,
    pub(super) last_number: u64,
    pub(super) last_epoch: u64,
    pub(super) streams: Streams,
}

impl State {
    /// What becomes of a job that was stored before the daemon began.
    pub(super) fn resume(&mut self, now: Time, number: Number, job: &Job) -> Update<Job> {
        self.last_number = self.last_number.max(number.0);
        self.last_epoch = self.last_epoch.max(job.epoch);
        if job.cancelled {
            self.tell_cancelled(now, job);
            return Update::Remove;
        }
        if job.work.target().is_some() {
            let title = job.work.title();
            let say =
                format!("resumed {title} with id {} after a restart of the daemon", job.number);
            self.streams.say(now, &job.request, &job.user, OK, &say);
        }
        if job.begun {
            return Update::Put(Job { begun: false, ..job.clone() });
        }
        Update::Keep
    }

    pub(super) fn tell_cancelled(&mut self, now: Time, job: &Job) {
        let say = format!("{}: cancelled", job.work.title());
        self.streams.say(now, &job.request, &job.user, FAILED, &say);
        self.streams.end(now, &job.request, &job.user);
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // What a panicking holder left is still a list of jobs and what they told.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The image that a job packs, as it is now, which is remembered.
    pub(super) fn image_to_pack(&self, job: &Job, name: &str) -> Option<Arc<Image>> {
        let mut state = self.lock();
        let image = self.cluster.published().images().get(name).map(Arc::clone)?;
        if let Some(running) = state.running.get_mut(&Number(job.number)) {
            running.packs = Some(Arc::clone(&image));
        }
        Some(image)
    }
}
