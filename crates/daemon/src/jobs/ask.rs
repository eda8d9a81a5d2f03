//! Asking for work, and taking that back.

use std::sync::Arc;

use perilune_boards::{Error, Update};

use super::error::chain;
use super::message::{OK, Time};
use super::pack;
use super::queue::{Number, Queue, Running};
use super::shared::{Jobs, Shared, State};
use super::work::{Job, Work};

/// Nodes that boot from files which were just replaced have this many milliseconds to fetch them.
pub(super) const GRACE: Time = 60 * 60 * 1000;
/// As many jobs may wait; more are refused.
pub(super) const MOST: usize = 10_000;
/// As often is a job given another number, when another controller has given its number to another job.
const TRIES: u32 = 8;
/// Whose jobs are that nobody asked for.
const DAEMON: &str = "perilune";

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// What the messages are polled by.
    pub request: String,
    /// The same was asked for before: this is that request.
    pub already: bool,
}

/// Why work is not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// Too much waits already.
    #[error("{MOST} jobs wait already; wait until some are done, or cancel some")]
    TooMany,
    /// It could not be stored.
    #[error(transparent)]
    NotStored(#[from] Error),
}

impl Jobs {
    /// Asks for work. It is stored when this returns, and begins at once where nothing goes first.
    pub async fn submit(&self, now: Time, user: &str, work: Work) -> Result<Submitted, NotTaken> {
        let job = {
            let mut state = self.shared.lock();
            match self.shared.same(&state, &work) {
                Some(same) => Err(same),
                None if self.shared.jobs.snapshot().len() >= MOST => return Err(NotTaken::TooMany),
                None => Ok(self.shared.put(&mut state, now, now, user, work)),
            }
        };
        let same = match job {
            Ok(job) => {
                let job = self.shared.stored(now, job).await?;
                return Ok(Submitted { request: job.request, already: false });
            }
            Err(same) => same,
        };
        self.shared.jobs.stored_now(&Number(same.number)).await?;
        let say = format!("a similar task with id {} is queued, progress shown here", same.number);
        self.shared.lock().streams.say(now, &same.request, &same.user, OK, &say);
        Ok(Submitted { request: same.request.clone(), already: true })
    }

    /// Stops whatever makes new files or a new tree for this image; answers how many jobs that were.
    pub async fn cancel(&self, now: Time, image: &str) -> Result<usize, Error> {
        let cancelled = {
            let mut state = self.shared.lock();
            let jobs = self.shared.jobs.snapshot();
            let is_of_image = |job: &Job| job.work.target().is_some_and(|name| *name == image);
            let jobs = jobs.iter().filter(|(_, job)| is_of_image(job));
            jobs.map(|(number, job)| (*number, self.shared.cancel(&mut state, now, job)))
                .collect::<Vec<_>>()
        };
        self.shared.wake.notify_one();
        // What was cancelled must not begin again after a restart.
        for (number, runs) in &cancelled {
            self.shared.jobs.update_stored(number, |job| without(job, *runs)).await?;
        }
        Ok(cancelled.len())
    }
}

/// What becomes of a job that is cancelled: one that runs stays until it ends.
fn without(job: Option<&Arc<Job>>, runs: bool) -> Update<Job> {
    match job {
        Some(job) if runs && !job.cancelled => {
            Update::Put(Job { cancelled: true, ..Job::clone(job) })
        }
        Some(_) if !runs => Update::Remove,
        _ => Update::Keep,
    }
}

impl Shared {
    pub(super) fn queue<T>(&self, state: &State, ask: impl FnOnce(Queue<'_>) -> T) -> T {
        ask(Queue { jobs: &self.jobs.snapshot(), running: &state.running })
    }

    /// The job that does the same. One that packs an image as it was before somebody changed it does not.
    fn same(&self, state: &State, work: &Work) -> Option<Arc<Job>> {
        let cluster = self.cluster.published();
        let is_outdated = |running: &Running| {
            let then = running.packs.as_ref();
            let image = then.and_then(|then| cluster.images().get(&then.name));
            then.zip(image).is_some_and(|(then, now)| !pack::is_packed_alike(then, now))
        };
        self.queue(state, |queue| queue.same(work, is_outdated).map(Arc::clone))
    }

    /// Answers whether it runs.
    fn cancel(&self, state: &mut State, now: Time, job: &Job) -> bool {
        let number = Number(job.number);
        let running = state.running.get(&number);
        running.inspect(|running| running.cancel.cancel());
        let runs = running.is_some();
        if !runs {
            state.unstored.remove(&number);
            state.tell_cancelled(now, job);
        }
        self.jobs.update(&number, |job| without(job, runs));
        runs
    }

    /// Puts a job of its own number and epoch on the board. It does not begin before it is stored.
    fn put(&self, state: &mut State, now: Time, due: Time, user: &str, work: Work) -> Job {
        state.last_epoch = (now / 1000).max(state.last_epoch + 1);
        let (request, user, epoch) = (self.requests.next(now), user.to_owned(), state.last_epoch);
        let job = Job {
            number: 0,
            request,
            user,
            created: now,
            due,
            epoch,
            work,
            cancelled: false,
            begun: false,
        };
        self.renumber(state, job)
    }

    fn renumber(&self, state: &mut State, mut job: Job) -> Job {
        state.last_number += 1;
        job.number = state.last_number;
        state.unstored.insert(Number(job.number));
        self.jobs.update(&Number(job.number), |_| Update::Put(job.clone()));
        job
    }

    /// Returns when a job is stored, and may begin. It is taken whether or not the caller waits for that.
    async fn stored(&self, now: Time, mut job: Job) -> Result<Job, Error> {
        for _ in 0..TRIES {
            let taken = Taken { shared: self, now, number: Number(job.number) };
            match self.jobs.stored_now(&taken.number).await {
                Ok(()) => return Ok(job),
                Err(Error::Contended) => {
                    let mut state = self.lock();
                    state.unstored.remove(&taken.number);
                    job = self.renumber(&mut state, job);
                }
                Err(error) => {
                    if self.lock().unstored.remove(&taken.number) {
                        self.jobs.update(&taken.number, |_| Update::Remove);
                    }
                    return Err(error);
                }
            }
        }
        Err(Error::Contended)
    }

    pub(super) async fn remove_files(&self, now: Time, files: Vec<String>) {
        if !files.is_empty() {
            self.clean(now, now + GRACE, Work::RemoveFiles { files }).await;
        }
    }

    /// Nobody waits for cleaning; what goes wrong with it is for the log.
    pub(super) async fn clean(&self, now: Time, due: Time, work: Work) {
        let title = work.title();
        let job = self.put(&mut self.lock(), now, due, DAEMON, work);
        if let Err(error) = self.stored(now, job).await {
            tracing::warn!(error = %chain(&error), task = title, "cannot note what is to be removed; it stays");
        }
    }
}

/// A job that was put on the board: it may begin when this is dropped, unless it was taken back by then.
struct Taken<'a> {
    shared: &'a Shared,
    now: Time,
    number: Number,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if !state.unstored.remove(&self.number) {
            return;
        }
        if let Some(job) =
            self.shared.jobs.get(&self.number).filter(|job| job.work.target().is_some())
        {
            state.tell_queued(self.shared, self.now, &job);
        }
        self.shared.wake.notify_one();
    }
}

impl State {
    fn tell_queued(&mut self, shared: &Shared, now: Time, job: &Job) {
        let (title, number) = (job.work.title(), job.number);
        let first =
            shared.queue(self, |queue| queue.goes_first(Number(number), &job.work).map(Arc::clone));
        let say = format!("queued {title} with id {number}");
        self.streams.say(now, &job.request, &job.user, OK, &say);
        if let Some(first) = first {
            let say = format!("task {} goes first: {}", first.number, first.work.title());
            self.streams.say(now, &job.request, &job.user, OK, &say);
        }
    }
}
