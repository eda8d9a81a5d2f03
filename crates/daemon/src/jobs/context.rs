//! What a job has while it is done.

use std::sync::Arc;

use perilune_boards::Update;
use perilune_image::CancelFlag;
use perilune_model::{Draft, Name};
use perilune_store::Meta;
use perilune_wire::job::Progress;
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::message::OK;
use super::queue::Number;
use super::shared::Shared;
use super::taken::Milestone;
use super::trees::{Report, Told};
use super::work::{Job, Work};
use crate::clock;

/// What a job needs while it is done.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    pub(super) job: Arc<Job>,
    pub(super) cancel: CancelFlag,
    pub(super) stop: CancellationToken,
}

impl Context {
    /// Whether it failed only because the daemon stops; it is done after the next start.
    pub(super) fn is_put_off(&self, error: &Error) -> bool {
        error.is_cancelled() && self.stop.is_cancelled()
    }

    /// A daemon that is killed from now on has only the packing to do again.
    pub(super) async fn only_packs(&self, image: &Name) -> Result<(), perilune_boards::Error> {
        let number = Number(self.job.number);
        let only_packs = |job: Option<&Arc<Job>>| match job {
            Some(job) => Update::Put(Job { work: Work::pack(image.clone()), ..Job::clone(job) }),
            None => Update::Keep,
        };
        self.shared.jobs.update_stored(&number, only_packs).await.map(drop)
    }

    pub(super) fn tell(&self, text: &str) {
        self.shared.lock().streams.say(
            clock::milliseconds(),
            &self.job.request,
            &self.job.user,
            OK,
            text,
        );
    }

    pub(super) fn progress(&self, progress: Progress) {
        self.shared.lock().streams.progress(
            clock::milliseconds(),
            &self.job.request,
            &self.job.user,
            progress,
        );
    }

    /// Tells how many files of a step differ.
    pub(super) fn counting(&self, step: &str) -> Report {
        let (context, step) = (self.clone(), step.to_owned());
        Arc::new(move |told| {
            let Told::Files(done) = told else { return };
            let (step, unit) = (step.clone(), "files");
            context.progress(Progress {
                step,
                done,
                total: None,
                unit,
                rate: None,
                seconds_left: None,
            });
        })
    }

    /// Commits a milestone of the job; it was made before where nothing is answered.
    pub(super) async fn commit<T, F>(
        &self,
        milestone: Milestone,
        decide: F,
    ) -> Result<Option<T>, Error>
    where
        T: Send + 'static,
        F: Fn(&mut Draft) -> Result<T, perilune_model::Error> + Send + 'static,
    {
        let author = self.shared.author(&self.job, milestone);
        let result = self.shared.cluster.commit(author, decide).await;
        self.shared.committed(&self.job, result).await
    }
}

impl Job {
    /// Who is the author of what it changes in the cluster.
    pub(super) fn meta(&self) -> Meta {
        Meta {
            at: clock::milliseconds(),
            author: self.user.clone(),
            origin: format!("job {}", self.request),
            action: self.work.title(),
        }
    }
}
