//! Jobs of controllers that are gone. Whoever sees that one was silent for longer than a restart takes ends its jobs, since nobody else has the
//! trees that they work on; all controllers tell whoever follows them. One that was stopped and goes on finds its job taken: what it does under the
//! name of the job is refused by the database.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use perilune_boards::{Update, Writer};
use perilune_model::{Name, image};
use perilune_store::{Controller, Record, Table, TakeOver};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::error::{Error, chain};
use super::message::Time;
use super::shared::{Jobs, Shared};
use super::tree;
use super::work::{Job, Work};
use crate::clock::{self, rfc3339};
use crate::cluster::{Author, RequestKey};
use crate::controllers::Controllers;

/// A controller that is started anew within so many seconds goes on with its jobs itself.
pub const GONE_SECONDS: u32 = 120;
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// What became of a job is told for as long as its messages would be: milliseconds.
const KEPT: Time = 60 * 60 * 1000;
/// More than all of them have: beyond, the oldest is told no more.
pub(super) const RULES: perilune_boards::Rules = perilune_boards::Rules { keys: 2000, changes: 64 };

/// What a job commits, each of it once.
#[derive(Debug, Clone, Copy)]
pub(super) enum Milestone {
    /// The files of its image.
    Packed,
    /// The kernel that was grabbed.
    Kernel,
    /// That an image whose tree was not copied is gone.
    Forgotten,
}

impl Milestone {
    const ALL: [Self; 3] = [Self::Packed, Self::Kernel, Self::Forgotten];

    fn key(self, request: &str) -> String {
        let word = match self {
            Self::Packed => "packed",
            Self::Kernel => "kernel",
            Self::Forgotten => "forgotten",
        };
        format!("job {request} {word}")
    }
}

/// A job that was taken from a controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenOver {
    job: Job,
    from: String,
    pub(super) to: String,
    /// When `from` was heard last, and when it was taken: milliseconds since 1970.
    heard: Time,
    at: Time,
    /// All that it leads to was stored already.
    is_done: bool,
    /// Where `from` has a part of a copy, if it got as far: below its own directory of images.
    #[serde(default)]
    left: Option<PathBuf>,
}

impl TakenOver {
    /// Whether it came to its end all the same.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// The image that it was to make and did not.
    fn unfinished(&self) -> Option<&Name> {
        match &self.job.work {
            Work::CloneImage { target, .. } if !self.is_done => Some(target),
            _ => None,
        }
    }

    /// What is told of it, as the last there is.
    pub fn text(&self) -> String {
        let Self { job, from, to, heard, .. } = self;
        let (title, heard) = (job.work.title(), rfc3339(*heard));
        if self.is_done {
            return format!(
                "finished {title}; controller {from} has not been heard since {heard}, after that"
            );
        }
        let when = if job.begun { "stopped while it did this" } else { "stopped before it began" };
        format!(
            "{title}: controller {from} {when} and has not been heard since {heard}; controller {to} has ended it, since the tree is at {from}. \
             Ask for it again there when it runs, or at a controller that has the tree"
        )
    }
}

/// Whether somebody else ends it: what only cleans up on its own disks waits for its controller.
fn can_be_ended(work: &Work) -> bool {
    match work {
        Work::PackImage { .. }
        | Work::CloneImage { .. }
        | Work::GrabImage { .. }
        | Work::PushImage { .. }
        | Work::RefreshCertificates { .. } => true,
        Work::RemoveFiles { .. } | Work::RemoveTree { .. } => false,
    }
}

pub(super) type Taken = Writer<String, TakenOver>;

impl Jobs {
    /// What is known of a job that was taken from its controller.
    pub fn taken_over(&self, request: &str) -> Option<TakenOver> {
        self.shared.taken.get(request).map(|taken| TakenOver::clone(&taken))
    }

    /// The same, when it may have been taken a moment ago.
    pub async fn taken_over_now(&self, request: &str) -> Option<TakenOver> {
        self.shared.taken.look().await;
        self.taken_over(request)
    }

    /// Ends the jobs of controllers that are gone, and leaves off those that others have taken from this one, until `stop`.
    pub(crate) async fn take_over(self, controllers: Controllers, stop: CancellationToken) {
        let (_, mut taken) = self.shared.taken.subscribe();
        self.remove_left().await;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                news = taken.next() => if news.is_none() { return },
                () = tokio::time::sleep(LOOK_EVERY) => {
                    let gone = controllers.silent_others().into_iter();
                    let gone = gone.filter(|one| one.silent >= u64::from(GONE_SECONDS) * 1000);
                    self.end_all_of(gone.map(|one| (one.name.clone(), one)).collect()).await;
                    self.forget_old(clock::milliseconds());
                }
            }
            self.leave_off();
        }
    }

    async fn end_all_of(&self, gone: BTreeMap<String, Controller>) {
        if gone.is_empty() || self.shared.cluster.away_since().is_some() {
            return;
        }
        let found = match self.shared.store.records_of_others(Table::Jobs).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "what other controllers were doing is not known");
                return;
            }
        };
        for (name, record) in found {
            let Some(controller) = gone.get(&name) else { continue };
            // A newer version may know other work; its controllers end it.
            let job = record.body.as_deref().and_then(|body| serde_json::from_str(body).ok());
            let Some(job) = job.filter(|job: &Job| can_be_ended(&job.work)) else { continue };
            if let Err(error) = self.end_one(controller, record, job).await {
                tracing::debug!(%error, controller = name, "a job is not taken over now");
            }
        }
    }

    async fn end_one(
        &self,
        controller: &Controller,
        record: Record,
        job: Job,
    ) -> Result<(), perilune_store::Error> {
        let keys = Milestone::ALL.map(|milestone| milestone.key(&job.request)).to_vec();
        let done = self.shared.store.committed(keys.clone()).await?;
        let is_done =
            job.work.packs().is_some() && done.contains_key(&Milestone::Packed.key(&job.request));
        let taken = TakenOver {
            from: controller.name.clone(),
            to: self.shared.holdings.own().to_owned(),
            heard: controller.heard,
            at: clock::milliseconds(),
            is_done,
            left: self.unfinished_copy(&job),
            job,
        };
        let Ok(body) = serde_json::to_string(&taken) else { return Ok(()) };
        let taking = TakeOver {
            controller: controller.name.clone(),
            seconds: GONE_SECONDS,
            record,
            from: Table::Jobs,
            to: Table::TakenOver,
            key: taken.job.request.clone(),
            body,
            commits: keys.into_iter().filter(|key| !done.contains_key(key)).collect(),
        };
        if !self.shared.store.take_over(&taking).await? {
            return Ok(());
        }
        tracing::warn!(
            request = taken.job.request,
            task = taken.job.work.title(),
            controller = taken.from,
            is_done,
            "a job of a controller that is gone was ended"
        );
        self.forget_unfinished(&taken).await;
        Ok(())
    }

    /// Where the tree of an image is before it is whole, below the directory of images.
    fn unfinished_copy(&self, job: &Job) -> Option<PathBuf> {
        let Work::CloneImage { target, .. } = &job.work else { return None };
        let cluster = self.shared.cluster.published();
        let place = cluster.images().get(target)?.tree(Path::new(""));
        Some(tree::unfinished(&place, &job.request))
    }

    /// Removes what this controller has left of copies that another has ended.
    async fn remove_left(&self) {
        let own = self.shared.holdings.own();
        let taken = self.shared.taken.snapshot();
        let left = taken.iter().filter(|(_, taken)| taken.from == own);
        for left in left.filter_map(|(_, taken)| taken.left.as_ref()) {
            let left = self.shared.places.images.join(left);
            if tokio::fs::symlink_metadata(&left).await.is_ok() {
                self.remove_tree(clock::milliseconds(), left).await;
            }
        }
    }

    /// An image whose tree was not copied is of no use, and in the way of a second try.
    async fn forget_unfinished(&self, taken: &TakenOver) {
        let Some(target) = taken.unfinished() else { return };
        let name = target.clone();
        let meta = taken.job.meta();
        let removed = self
            .shared
            .cluster
            .commit(meta, move |draft| image::remove(draft, name.as_str()).map(drop));
        if let Err(error) = removed.await {
            tracing::info!(osimage = %target, error = %chain(&error), "an image without a tree stays");
        }
    }

    /// Stops what others have taken from this controller.
    fn leave_off(&self) {
        let taken = self.shared.taken.snapshot();
        let jobs = self.shared.jobs.snapshot();
        for (number, job) in jobs.iter() {
            let Some(taken) = taken.get(&job.request) else { continue };
            let mut state = self.shared.lock();
            match state.running.get(number) {
                // It ends by itself then.
                Some(running) => running.cancel.cancel(),
                None => {
                    self.shared.jobs.update(number, |_| Update::Remove);
                    let now = clock::milliseconds();
                    let status = super::error::FAILED;
                    state.streams.fail(now, &job.request, &job.user, status, &taken.text());
                    state.streams.end(now, &job.request, &job.user);
                }
            }
        }
    }

    /// Each forgets what it has taken itself.
    fn forget_old(&self, now: Time) {
        let own = self.shared.holdings.own();
        self.shared.taken.update_all(|_, taken| {
            let is_old = taken.at.saturating_add(KEPT) <= now;
            if is_old && taken.to == own { Update::Remove } else { Update::Keep }
        });
    }
}

impl Shared {
    /// Who commits this milestone of a job: nobody, once another controller has taken it.
    pub(super) fn author(&self, job: &Job, milestone: Milestone) -> Author {
        let key = self.holdings.are_shared().then(|| RequestKey::new(milestone.key(&job.request)));
        Author { key, ..Author::from(job.meta()) }
    }

    /// What the end of such a commit means: one that was made before is no failure, unless the job is another controller's.
    pub(super) async fn committed<T>(
        &self,
        job: &Job,
        result: Result<T, crate::cluster::Error>,
    ) -> Result<Option<T>, Error> {
        match result {
            Ok(done) => Ok(Some(done)),
            Err(crate::cluster::Error::Repeated(_)) => {
                self.taken.look().await;
                match self.taken.get(&job.request) {
                    Some(taken) => Err(Error::TakenOver(taken.to.clone())),
                    None => Ok(None),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::work::Mounted;
    use super::*;

    fn taken(work: Work, is_done: bool) -> TakenOver {
        let job = Job {
            number: 1,
            request: "r1".to_owned(),
            user: "admin".to_owned(),
            created: 0,
            due: 0,
            epoch: 1,
            work,
            cancelled: false,
            begun: true,
        };
        let (from, to) = ("controller1".to_owned(), "controller2".to_owned());
        TakenOver { job, from, to, heard: 0, at: 0, is_done, left: None }
    }

    #[test]
    fn an_image_that_was_copied_and_packed_stays() {
        let name = Name::trusted;
        let clone = Work::CloneImage {
            source: name("a"),
            target: name("b"),
            pack: true,
            mounts: Mounted::default(),
        };
        assert_eq!(taken(clone.clone(), false).unfinished(), Some(&name("b")));
        assert_eq!(taken(clone, true).unfinished(), None);
    }
}
