//! Work that outlives its request: packing, copying, grabbing and pushing images, and removing what they no longer need.
//!
//! A job is on a board, stored before its request is answered, done by one worker, and safe to do twice: what was not done when the
//! daemon stopped is done when it starts again. Its messages are for whoever polls with the request's id.

mod agent;
mod ask;
mod certificates;
mod clean;
mod clone;
mod error;
mod message;
mod pack;
mod progress;
mod queue;
mod request_id;
mod run;
pub(crate) mod site;
mod sync;
#[cfg(test)]
pub(crate) mod tests;
mod tree;
pub mod trees;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use ask::{NotTaken, Submitted};
pub(crate) use clean::remove_file;
pub use error::Error;
use message::{END, Streams};
pub use message::{Message, News, OK, Said, Time, timestamp};
use perilune_boards::{Board, Durability, Rules, Unreadable, Update, Writer};
use perilune_image::{CancelFlag, Readers};
use perilune_model::Name;
use perilune_model::image::Image;
use perilune_store::{Store, Table};
use queue::{Number, Queue, Running};
pub(crate) use request_id::new as new_request_id;
pub use sync::Receiver;
use tokio::sync::Notify;
pub use trees::Trees;
use trees::{Done, Task};
pub use work::{Format, Job, Mounted, Work};

use crate::cluster::ClusterService;
use crate::holdings::Holdings;

/// Nodes that boot from files which were just replaced have this many milliseconds to fetch them.
const GRACE: Time = 60 * 60 * 1000;
/// More jobs than anybody may ask for: no job that was taken is ever pushed out.
const RULES: Rules = Rules { keys: 2 * ask::MOST, changes: 1024 };

/// Where images and their files are.
#[derive(Debug, Clone)]
pub struct Places {
    /// What packing makes, and the daemon serves.
    pub files: PathBuf,
    /// The trees of images that do not say where theirs is.
    pub images: PathBuf,
    /// Who works on the trees.
    pub trees: Trees,
    /// Who may read archives.
    pub readers: Readers,
    /// How the controller is reached.
    pub reached: perilune_boot::Settings,
    /// What torrents say, where archives get them.
    pub torrents: Option<Torrents>,
    /// What the site does itself.
    pub(crate) site: site::Site,
}

/// What torrents say.
#[derive(Debug, Clone, Copy)]
pub struct Torrents {
    /// Whether they name the controller's web server, since nobody seeds.
    pub names_web_server: bool,
}

/// All jobs and what they told; clones share them.
#[derive(Clone)]
pub struct Jobs {
    shared: Arc<Shared>,
}

/// What stores jobs; it must run for any to be taken.
pub struct Records(Writer<Number, Job>);

struct Shared {
    /// The jobs that are not done.
    jobs: Board<Number, Job>,
    state: Mutex<State>,
    wake: Notify,
    cluster: ClusterService,
    places: Places,
    holdings: Holdings,
}

struct State {
    running: BTreeMap<Number, Running>,
    /// Jobs that are not stored yet, and therefore do not begin.
    unstored: BTreeSet<Number>,
    last_number: u64,
    last_epoch: u64,
    streams: Streams,
}

/// A job as the list of jobs shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The job.
    pub job: Job,
    /// Whether it runs now.
    pub runs: bool,
}

impl Records {
    /// Runs until nothing is left to store.
    pub async fn run(self) {
        self.0.run().await;
    }
}

impl Jobs {
    /// The jobs that are stored, of which those that were not done will be; what stores further ones; and what could not be read.
    /// Removes what a killed daemon left unfinished.
    pub(crate) async fn open(
        store: &Store,
        cluster: ClusterService,
        places: Places,
        holdings: Holdings,
        now: Time,
    ) -> Result<(Self, Records, Vec<Unreadable>), perilune_store::Error> {
        let durability = Durability::BeforeAnswer;
        let (jobs, records, unreadable) =
            Board::open(store, Table::Jobs, Number::read, durability, RULES).await?;
        let mut state = State {
            running: BTreeMap::new(),
            unstored: BTreeSet::new(),
            last_number: 0,
            last_epoch: 0,
            streams: Streams::new(store.life()),
        };
        jobs.update_all(|number, job| state.resume(now, *number, job));
        match perilune_image::clean_litter(&places.files) {
            Ok(removed) if removed.is_empty() => {}
            Ok(removed) => tracing::info!(files = removed.len(), "unfinished files were removed"),
            Err(error) => {
                tracing::warn!(error = %error::chain(&error), "unfinished files were not looked for");
            }
        }
        let (state, wake) = (Mutex::new(state), Notify::new());
        let shared = Shared { jobs, state, wake, cluster, places, holdings };
        Ok((Self { shared: Arc::new(shared) }, Records(records), unreadable))
    }

    /// Puts the torrent of an archive beside it.
    pub(crate) async fn make_torrent(&self, archive: &str) -> Result<(), Error> {
        pack::torrent(&self.shared, archive, CancelFlag::default()).await.map(drop)
    }

    /// Who works on trees.
    pub fn trees(&self) -> &Trees {
        &self.shared.places.trees
    }

    /// What was said about a request after a number; `None` when nothing is known of it.
    pub fn after(&self, request: &str, known: u64) -> Option<News> {
        self.shared.lock().streams.after(request, known)
    }

    /// Whether the files of this image are being replaced, or soon will be.
    pub fn is_packing(&self, image: &str) -> bool {
        let jobs = self.shared.jobs.snapshot();
        jobs.iter().any(|(_, job)| job.work.packs().is_some_and(|name| *name == image))
    }

    /// The request of a job that works on this image or is about to.
    pub fn at_work_on(&self, image: &str) -> Option<String> {
        let jobs = self.shared.jobs.snapshot();
        let is_on_image = |job: &Job| job.work.images().iter().any(|name| **name == *image);
        let found = jobs.iter().find(|(_, job)| is_on_image(job));
        found.map(|(_, job)| job.request.clone())
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
        if let Err(error) = self.trees().at_once(Task::Leave { tree }).await {
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
        let task = Task::PutAside { tree: tree.to_owned(), request: request_id::new(now) };
        let Done::Aside(aside) = self.trees().at_once(task).await? else {
            return Err(Error::Defect);
        };
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
        let runs = |number: &Number| state.running.contains_key(number);
        let jobs = self.shared.jobs.snapshot();
        jobs.iter()
            .map(|(number, job)| Listed { job: Job::clone(job), runs: runs(number) })
            .collect()
    }

    /// Every message that is kept, with its request.
    pub fn messages(&self) -> Vec<(String, Arc<Message>)> {
        self.shared.lock().streams.all()
    }

    /// Tells what became of a request that is over already; whoever asked polls for it. Answers the request's identifier.
    pub fn tell(&self, now: Time, user: &str, said: &[&str], failure: Option<&str>) -> String {
        let request = self.begin_telling(now, user);
        for text in said {
            self.tell_more(now, user, &request, text);
        }
        self.end_telling(now, user, &request, failure);
        request
    }

    /// Begins a stream for what is done bit by bit; answers its request.
    pub fn begin_telling(&self, now: Time, user: &str) -> String {
        let request = request_id::new(now);
        self.shared.lock().streams.begin(now, &request, user);
        request
    }

    /// Says something in such a stream.
    pub fn tell_more(&self, now: Time, user: &str, request: &str, text: &str) {
        self.shared.lock().streams.say(now, request, user, OK, text);
    }

    /// Ends such a stream, with what was not done and why.
    pub(crate) fn end_telling(&self, now: Time, user: &str, request: &str, failure: Option<&str>) {
        let mut state = self.shared.lock();
        if let Some(failure) = failure {
            state.streams.fail(now, request, user, error::FAILED, failure);
        }
        state.streams.end(now, request, user);
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
    /// What becomes of a job that was stored before the daemon began.
    fn resume(&mut self, now: Time, number: Number, job: &Job) -> Update<Job> {
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
        Update::Keep
    }

    fn tell_cancelled(&mut self, now: Time, job: &Job) {
        let say = format!("{}: cancelled", job.work.title());
        self.streams.say(now, &job.request, &job.user, error::FAILED, &say);
        self.streams.end(now, &job.request, &job.user);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // What a panicking holder left is still a list of jobs and what they told.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The image that a job packs, as it is now, which is remembered.
    fn image_to_pack(&self, job: &Job, name: &str) -> Option<Arc<Image>> {
        let mut state = self.lock();
        let image = self.cluster.published().images().get(name).map(Arc::clone)?;
        if let Some(running) = state.running.get_mut(&Number(job.number)) {
            running.packs = Some(Arc::clone(&image));
        }
        Some(image)
    }
}
