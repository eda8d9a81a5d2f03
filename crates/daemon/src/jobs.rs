//! Work that outlives its request: packing, copying, grabbing and pushing images, and removing what they no longer need.
//!
//! A job is stored before its request is answered, done by one worker, and safe to do twice: what was not done when the daemon
//! stopped is done when it starts again. Its messages are for whoever polls with the request's id.

mod agent;
mod clean;
mod clone;
mod error;
mod message;
mod pack;
mod progress;
mod queue;
mod request_id;
mod rsync;
mod run;
mod sync;
#[cfg(test)]
mod tests;
mod tree;
mod work;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use error::Error;
use message::{END, Streams};
pub use message::{Message, News, OK, Progress, Said, Time, timestamp};
use perilune_model::Name;
use perilune_model::image::Image;
use perilune_store::{Store, Table, Write};
use queue::Queue;
pub(crate) use request_id::new as new_request_id;
pub use sync::Receiver;
use tokio::sync::Notify;
pub use work::{Format, Job, Mounted, Work};

use crate::cluster::ClusterService;

/// Nodes that boot from files which were just replaced have this many milliseconds to fetch them.
const GRACE: Time = 60 * 60 * 1000;
/// Whose jobs are that nobody asked for.
const DAEMON: &str = "perilune";

/// Where images and their files are.
#[derive(Debug, Clone)]
pub struct Places {
    /// What packing makes, and the daemon serves.
    pub files: PathBuf,
    /// The trees of images that do not say where theirs is.
    pub images: PathBuf,
    /// The program that becomes `/init`, when the configuration names it.
    pub agent: Option<PathBuf>,
}

/// All jobs and what they told; clones share them.
#[derive(Clone)]
pub struct Jobs {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    wake: Notify,
    store: Store,
    cluster: ClusterService,
    places: Places,
}

struct State {
    queue: Queue,
    streams: Streams,
    /// The images that are being packed, as they were when that began, by the job's number.
    packing: BTreeMap<u64, Arc<Image>>,
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// What the messages are polled by.
    pub request: String,
    /// The same was asked for before: this is that request.
    pub already: bool,
}

/// A job as the list of jobs shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The job.
    pub job: Job,
    /// Whether it runs now.
    pub runs: bool,
}

impl Jobs {
    /// The jobs that are stored; those that were not done will be. Removes what a killed daemon left unfinished.
    pub async fn open(
        store: Store,
        cluster: ClusterService,
        places: Places,
        now: Time,
    ) -> Result<Self, perilune_store::Error> {
        let mut state = State {
            queue: Queue::default(),
            streams: Streams::new(store.life()),
            packing: BTreeMap::new(),
        };
        for record in store.records(Table::Jobs).await? {
            match serde_json::from_str::<Job>(record.body.as_deref().unwrap_or_default()) {
                Ok(job) => state.restore(now, job),
                Err(error) => {
                    tracing::warn!(job = record.key, %error, "a stored job cannot be read; it is not done");
                }
            }
        }
        match perilune_image::clean_litter(&places.files) {
            Ok(removed) if removed.is_empty() => {}
            Ok(removed) => tracing::info!(files = removed.len(), "unfinished files were removed"),
            Err(error) => {
                tracing::warn!(error = %error::chain(&error), "unfinished files were not looked for");
            }
        }
        let shared =
            Shared { state: Mutex::new(state), wake: Notify::new(), store, cluster, places };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Asks for work. It is stored when this returns, and begins at once where nothing goes first.
    pub async fn submit(
        &self,
        now: Time,
        user: &str,
        work: Work,
    ) -> Result<Submitted, perilune_store::Error> {
        let job = {
            let mut state = self.shared.lock();
            if let Some(same) = self.shared.same(&state, &work) {
                let text = format!(
                    "a similar task with id {} is queued, progress shown here",
                    same.number
                );
                state.streams.say(now, &same.request, &same.user, OK, &text);
                return Ok(Submitted { request: same.request, already: true });
            }
            state.add(now, user, work)
        };
        // From here on the job is done whether or not the caller waits for it.
        self.shared.wake.notify_one();
        if let Err(error) = self.shared.remember(&job).await {
            self.shared.lock().queue.take(job.number);
            return Err(error);
        }
        Ok(Submitted { request: job.request, already: false })
    }

    /// What was said about a request after a number; `None` when nothing is known of it.
    pub fn after(&self, request: &str, known: u64) -> Option<News> {
        self.shared.lock().streams.after(request, known)
    }

    /// Whether the files of this image are being replaced, or soon will be.
    pub fn is_packing(&self, image: &str) -> bool {
        self.shared
            .lock()
            .queue
            .entries()
            .any(|entry| entry.job.work.packs().is_some_and(|name| *name == image))
    }

    /// The request of a job that works on this image or is about to.
    pub fn at_work_on(&self, image: &str) -> Option<String> {
        let state = self.shared.lock();
        let mut entries = state.queue.entries();
        let found =
            entries.find(|entry| entry.job.work.images().iter().any(|name| **name == *image))?;
        Some(found.job.request.clone())
    }

    /// Stops whatever makes new files or a new tree for this image; answers how many jobs that were.
    pub async fn cancel(&self, now: Time, image: &str) -> Result<usize, perilune_store::Error> {
        let keys = {
            let mut state = self.shared.lock();
            let is_of_image = |job: &Job| job.work.target().is_some_and(|name| *name == image);
            let entries = state.queue.entries().filter(|entry| is_of_image(&entry.job));
            let (running, waiting): (Vec<_>, Vec<_>) =
                entries.cloned().partition(|entry| entry.running.is_some());
            for flag in running.iter().filter_map(|entry| entry.running.as_ref()) {
                flag.cancel();
            }
            for entry in &waiting {
                let job = &entry.job;
                state.streams.say(
                    now,
                    &job.request,
                    &job.user,
                    error::FAILED,
                    &format!("{}: cancelled", job.work.title()),
                );
                state.streams.end(now, &job.request, &job.user);
                state.queue.take(job.number);
            }
            running.iter().chain(&waiting).map(|entry| key(&entry.job)).collect::<Vec<_>>()
        };
        // What was cancelled must not begin again after a restart.
        let count = keys.len();
        let gone = keys.into_iter().map(Write::remove).collect();
        self.shared.store.put_if(Table::Jobs, gone).await?;
        self.shared.wake.notify_one();
        Ok(count)
    }

    /// Has files removed in an hour, unless they are used again by then.
    pub async fn remove_files(&self, now: Time, files: Vec<String>) {
        self.shared.remove_files(now, files).await;
    }

    /// Why the tree of an image cannot be removed with it.
    pub async fn obstacle_to_removal(&self, image: Arc<Image>) -> Result<Option<String>, Error> {
        let (cluster, places) = (self.shared.cluster.published(), self.shared.places.clone());
        run::blocking(move || {
            let tree = image.tree(&places.images);
            tree::obstacle(&cluster, &places, (Some(image.name.as_str()), &tree))
        })
        .await
    }

    /// Remembers that the tree of an image that is gone stays where it is: another image may take its place.
    pub async fn leave_tree(&self, tree: PathBuf) {
        let left = run::blocking(move || tree::leave(&tree)).await;
        if let Err(error) = left.and_then(std::convert::identity) {
            tracing::warn!(%error, "another image cannot take the place of the tree");
        }
    }

    /// Whether a place holds only what a removed image has left, and nothing else uses it. `owner` is the image that wants the place.
    pub async fn is_left(&self, owner: &Name, tree: &Path) -> bool {
        let (cluster, places) = (self.shared.cluster.published(), self.shared.places.clone());
        let (owner, tree) = (owner.clone(), tree.to_owned());
        let look = move || {
            tree::is_left(&tree)
                && tree::obstacle(&cluster, &places, (Some(owner.as_str()), &tree)).is_none()
        };
        run::blocking(look).await.unwrap_or(false)
    }

    /// Gives a place to another tree, and has what was left there removed.
    pub async fn make_way(&self, now: Time, tree: &Path) -> Result<(), Error> {
        let (tree, request) = (tree.to_owned(), request_id::new(now));
        let aside = run::blocking(move || tree::put_aside(&tree, &request)).await??;
        self.remove_tree(now, aside).await;
        Ok(())
    }

    /// Has the tree of an image that is gone removed.
    pub async fn remove_tree(&self, now: Time, tree: PathBuf) {
        self.shared.clean(now, now, Work::RemoveTree { tree }).await;
    }

    /// Every job that is not done.
    pub fn list(&self) -> Vec<Listed> {
        let state = self.shared.lock();
        state
            .queue
            .entries()
            .map(|entry| Listed { job: entry.job.clone(), runs: entry.running.is_some() })
            .collect()
    }

    /// Every message that is kept, with its request.
    pub fn messages(&self) -> Vec<(String, Arc<Message>)> {
        self.shared.lock().streams.all()
    }

    /// Tells what became of a request that is over already; whoever asked polls for it. Answers the request's identifier.
    pub fn tell(&self, now: Time, user: &str, messages: &[(u16, String)]) -> String {
        let request = request_id::new(now);
        let mut state = self.shared.lock();
        state.streams.begin(now, &request, user);
        for (status, message) in messages {
            state.streams.say(now, &request, user, *status, message);
        }
        state.streams.end(now, &request, user);
        request
    }

    /// Takes messages that another controller has for a request.
    pub fn relay(&self, now: Time, request: &str, messages: &[String]) {
        let mut state = self.shared.lock();
        state.streams.begin(now, request, "__remote__");
        for message in messages {
            if message == END {
                state.streams.end(now, request, "__remote__");
            } else {
                state.streams.say(now, request, "__remote__", OK, message);
            }
        }
    }
}

impl State {
    fn add(&mut self, now: Time, user: &str, work: Work) -> Job {
        let title = work.title();
        let job = self.queue.add(now, now, request_id::new(now), user, work);
        let say = format!("queued {title} with id {}", job.number);
        self.streams.say(now, &job.request, user, OK, &say);
        if let Some(first) = self.queue.goes_first(job.number, &job.work) {
            let say = format!("task {} goes first: {}", first.number, first.work.title());
            self.streams.say(now, &job.request, user, OK, &say);
        }
        job
    }

    fn restore(&mut self, now: Time, job: Job) {
        if job.work.target().is_some() {
            let say = format!(
                "resumed {} with id {} after a restart of the daemon",
                job.work.title(),
                job.number
            );
            self.streams.say(now, &job.request, &job.user, OK, &say);
        }
        self.queue.restore(job);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // What a panicking holder left is still a list of jobs and what they told.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The job that does the same. One that packs an image as it was before somebody changed it does not.
    fn same(&self, state: &State, work: &Work) -> Option<Job> {
        let cluster = self.cluster.published();
        let is_outdated = |job: &Job| {
            let then = state.packing.get(&job.number);
            let image = then.and_then(|then| cluster.images().get(&then.name));
            then.zip(image).is_some_and(|(then, now)| !pack::is_packed_alike(then, now))
        };
        state.queue.same(work, is_outdated).cloned()
    }

    /// The image that a job packs, as it is now, which is remembered.
    fn image_to_pack(&self, job: &Job, name: &str) -> Option<Arc<Image>> {
        let mut state = self.lock();
        let image = self.cluster.published().images().get(name).map(Arc::clone)?;
        state.packing.insert(job.number, Arc::clone(&image));
        Some(image)
    }

    async fn remember(&self, job: &Job) -> Result<(), perilune_store::Error> {
        match serde_json::to_string(job) {
            Ok(body) => {
                self.store.put_if(Table::Jobs, vec![Write::put(key(job), body)]).await.map(drop)
            }
            Err(source) => Err(perilune_store::Error::Corrupt {
                table: "job",
                key: key(job),
                source: Arc::new(source),
            }),
        }
    }

    async fn remove_files(&self, now: Time, files: Vec<String>) {
        if !files.is_empty() {
            self.clean(now, now + GRACE, Work::RemoveFiles { files }).await;
        }
    }

    /// Nobody waits for cleaning; what goes wrong with it is for the log.
    async fn clean(&self, now: Time, due: Time, work: Work) {
        let job = self.lock().queue.add(now, due, request_id::new(now), DAEMON, work);
        if let Err(error) = self.remember(&job).await {
            tracing::warn!(error = %error::chain(&error), task = job.work.title(), "a restart will forget to clean up");
        }
        self.wake.notify_one();
    }
}

/// Keys sort as numbers do.
fn key(job: &Job) -> String {
    format!("{:020}", job.number)
}
