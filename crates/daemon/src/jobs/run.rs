//! The worker: gives out jobs that are due, and waits for the next.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use perilune_boards::Update;
use perilune_image::CancelFlag;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::error::{Error, Failed, chain};
use super::message::Time;
use super::queue::{Number, Running};
use super::shared::Jobs;
use super::work::{Job, Work};
use super::{certificates, clean, clone, pack, sync};
use crate::clock;

/// How long a job that is told to stop may take when the daemon stops: a compressor ends its block, a disk may not answer.
const LAST_WORK: Duration = Duration::from_millis(500);
/// Old messages are looked for this often; and a clock that was set is noticed.
const SWEEP: Duration = Duration::from_mins(5);

impl Jobs {
    /// Does the jobs until it is told to stop; what is not done then is done after the next start.
    pub async fn run(self, stop: CancellationToken) {
        let limit = std::thread::available_parallelism().map_or(1, NonZero::get).clamp(2, 8);
        let mut workers = JoinSet::new();
        loop {
            let now = clock::milliseconds();
            while let Some((job, cancel)) = self.claim(now, limit) {
                let context =
                    Context { shared: Arc::clone(&self.shared), job, cancel, stop: stop.clone() };
                workers.spawn(context.perform());
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.shared.wake.notified() => {}
                Some(ended) = workers.join_next(), if !workers.is_empty() => pass_on(ended),
                () = tokio::time::sleep(self.sweep(now)) => {}
            }
        }
        for running in self.shared.lock().running.values() {
            running.cancel.cancel();
        }
        let last = async {
            while let Some(ended) = workers.join_next().await {
                pass_on(ended);
            }
        };
        if tokio::time::timeout(LAST_WORK, last).await.is_err() {
            // As after a kill: it is done after the next start, and what it leaves is removed then.
            tracing::info!("jobs that do not stop at once are cut off");
        }
    }

    pub(super) fn claim(&self, now: Time, limit: usize) -> Option<(Arc<Job>, CancelFlag)> {
        let mut state = self.shared.lock();
        let is_unstored = |number: &Number| state.unstored.contains(number);
        let job = self
            .shared
            .queue(&state, |queue| queue.next(now, limit, is_unstored).map(Arc::clone))?;
        let running = Running::default();
        let cancel = running.cancel.clone();
        state.running.insert(Number(job.number), running);
        if self.shared.holdings.are_shared() {
            let begun = |job: Option<&Arc<Job>>| match job {
                Some(job) => Update::Put(Job { begun: true, ..Job::clone(job) }),
                None => Update::Keep,
            };
            self.shared.jobs.update(&Number(job.number), begun);
        }
        Some((job, cancel))
    }

    /// Forgets old messages; tells how long to wait when nothing else happens.
    fn sweep(&self, now: Time) -> Duration {
        let mut state = self.shared.lock();
        let jobs = self.shared.jobs.snapshot();
        let runs = |request: &str| jobs.iter().any(|(_, job)| job.request == request);
        state.streams.purge(now, runs);
        let next = self.shared.queue(&state, |queue| queue.next_due(now));
        let next = next.map_or(SWEEP, |due| Duration::from_millis(due.saturating_sub(now)));
        next.min(SWEEP)
    }
}

/// A defect in a worker is one of the daemon.
fn pass_on(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

impl Context {
    async fn perform(self) {
        tracing::debug!(request = self.job.request, task = self.job.work.title(), "job begins");
        let result = match &self.job.work {
            Work::PackImage { image, format, mounts } => {
                pack::run(&self, image, (*format, *mounts)).await
            }
            Work::CloneImage { source, target, pack, mounts } => {
                clone::run(&self, source, target, (*pack, *mounts)).await
            }
            Work::GrabImage { node, image, really, pack } => {
                sync::grab(&self, node, image, (*really, *pack)).await
            }
            Work::PushImage { to, image, really } => sync::push(&self, to, image, *really).await,
            Work::RefreshCertificates { image } => certificates::run(&self, image).await,
            Work::RemoveFiles { files } => clean::remove_files(&self, files).await,
            Work::RemoveTree { tree } => clean::remove_tree(&self, tree).await,
        };
        if let Err(mut failed) = result {
            if let Some(taken) = self.shared.taken.get(&self.job.request) {
                failed.error = Error::TakenOver(taken.to.clone());
            }
            if self.is_put_off(&failed.error) {
                return;
            }
            self.tell_failure(&failed);
        }
        let number = Number(self.job.number);
        if let Err(error) = self.shared.jobs.update_stored(&number, |_| Update::Remove).await {
            tracing::warn!(error = %chain(&error), task = self.job.work.title(), "a restart may do this again");
        }
        let mut state = self.shared.lock();
        state.running.remove(&number);
        if self.job.work.target().is_some() {
            state.streams.end(clock::milliseconds(), &self.job.request, &self.job.user);
        }
        drop(state);
        self.shared.wake.notify_one();
    }

    fn tell_failure(&self, failed: &Failed) {
        let Failed { doing, error } = failed;
        let reason = chain(error);
        if self.job.work.target().is_some() {
            self.shared.lock().streams.fail(
                clock::milliseconds(),
                &self.job.request,
                &self.job.user,
                error.status(),
                &format!("{doing}: {reason}"),
            );
        }
        if error.is_cancelled() {
            tracing::info!(
                request = self.job.request,
                task = self.job.work.title(),
                "job was cancelled"
            );
        } else {
            tracing::warn!(request = self.job.request, doing, error = reason, "job failed");
        }
    }
}
