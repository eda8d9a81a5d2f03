//! Work that outlives its request: packing, copying, grabbing and pushing images, and removing what they no longer need.
//!
//! A job is on a board, stored before its request is answered, done by one worker, and safe to do twice: what was not done when the
//! daemon stopped is done when it starts again. Its messages are for whoever polls with the request's id.

mod ask;
mod blocking;
mod certificates;
mod clean;
mod clone;
mod context;
mod error;
mod message;
mod pack;
mod places;
mod progress;
mod queue;
mod request_id;
mod run;
mod shared;
mod site;
mod sync;
mod taken;
#[cfg(test)]
pub(crate) mod tests;
mod tree;
pub mod trees;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub use ask::{NotTaken, Submitted};
pub(crate) use clean::remove_file;
pub use error::Error;
use message::{END, Streams};
pub use message::{Message, NewMessages, OK, Said, Time, timestamp};
use perilune_boards::{Board, Durability, Rules, Unreadable, Writer};
use perilune_image::CancelFlag;
use perilune_model::Name;
use perilune_model::image::Image;
use perilune_store::{Record, Store, Table};
pub(crate) use places::Site;
pub use places::{Places, Torrents};
use queue::Number;
pub(crate) use request_id::RequestIds;
pub use shared::Jobs;
use shared::{Shared, State};
pub use taken::{GONE_SECONDS, TakenOver};
use tokio::sync::Notify;
pub use trees::Trees;
use trees::{Done, Task};
pub use work::{Format, Job, Mounted, Receiver, Work};

use crate::cluster::ClusterService;
use crate::holdings::Holdings;

/// More jobs than anybody may ask for: no job that was taken is ever pushed out.
const RULES: Rules = Rules { keys: 2 * ask::MOST, changes: 1024 };

/// What stores jobs; it must run for any to be taken.
pub struct Records(Writer<Number, Job>, taken::Taken);

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
        tokio::join!(self.0.run(), self.1.run());
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
        let (jobs, records, mut unreadable) =
            Board::open(store, Table::Jobs, Number::read, durability, RULES).await?;
        let key = |text: &str| Some(text.to_owned());
        let (taken, taken_records, others) =
            Board::open(store, Table::TakenOver, key, durability, taken::RULES).await?;
        let mut state = State {
            running: BTreeMap::new(),
            unstored: BTreeSet::new(),
            last_number: 0,
            last_epoch: 0,
            streams: Streams::new(store.life()),
        };
        let requests = RequestIds::at(holdings.own());
        jobs.update_all(|number, job| state.resume(now, *number, job));
        match perilune_image::clean_litter(&places.files) {
            Ok(removed) if removed.is_empty() => {}
            Ok(removed) => tracing::info!(files = removed.len(), "unfinished files were removed"),
            Err(error) => {
                tracing::warn!(error = %error::chain(&error), "unfinished files were not looked for");
            }
        }
        let (state, wake) = (Mutex::new(state), Notify::new());
        let store = store.clone();
        unreadable.extend(others);
        let shared =
            Shared { jobs, taken, state, wake, cluster, places, holdings, requests, store };
        Ok((Self { shared: Arc::new(shared) }, Records(records, taken_records), unreadable))
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
    pub fn after(&self, request: &str, known: u64) -> Option<NewMessages> {
        self.shared.lock().streams.after(request, known)
    }

    /// Whether the files of this image are being replaced, or soon will be.
    pub fn is_packing(&self, image: &str) -> bool {
        let jobs = self.shared.jobs.snapshot();
        jobs.iter().any(|(_, job)| job.work.packs().is_some_and(|name| *name == image))
    }

    /// The request of a job that works on this image or is about to, at whichever controller.
    pub async fn at_work_on(&self, image: &str) -> Result<Option<String>, perilune_store::Error> {
        let is_on_image = |job: &Job| job.work.images().iter().any(|name| **name == *image);
        let jobs = self.shared.jobs.snapshot();
        if let Some((_, job)) = jobs.iter().find(|(_, job)| is_on_image(job)) {
            return Ok(Some(job.request.clone()));
        }
        let others = self.of_others().await?;
        Ok(others.into_iter().map(|(_, job)| job).find(is_on_image).map(|job| job.request))
    }

    /// Has files removed in an hour, unless they are used again by then.
    pub async fn remove_files(&self, now: Time, files: Vec<String>) {
        self.shared.remove_files(now, files).await;
    }

    /// Why the tree of an image cannot be removed with it.
    pub async fn obstacle_to_removal(&self, image: Arc<Image>) -> Result<Option<String>, Error> {
        let (cluster, places) = (self.shared.cluster.published(), self.shared.places.clone());
        blocking::blocking(move || {
            let tree = image.tree(&places.images);
            tree::obstacle(
                &cluster,
                (&places.files, &places.images),
                (Some(image.name.as_str()), &tree),
            )
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
                && tree::obstacle(
                    &cluster,
                    (&places.files, &places.images),
                    (Some(owner.as_str()), &tree),
                )
                .is_none()
        };
        blocking::blocking(look).await.unwrap_or(false)
    }

    /// Gives a place to another tree, and has what was left there removed.
    pub async fn make_way(&self, now: Time, tree: &Path) -> Result<(), Error> {
        let request = self.shared.requests.next(now);
        let task = Task::PutAside { tree: tree.to_owned(), request };
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

    /// The jobs of other controllers, each with the name of its controller: as they are stored.
    pub async fn of_others(&self) -> Result<Vec<(String, Job)>, perilune_store::Error> {
        let stored = self.shared.store.records_of_others(Table::Jobs).await?;
        let read = |(controller, record): (String, Record)| {
            // A newer version may know other work; it is told by that controller.
            let job = serde_json::from_str(record.body.as_deref()?).ok()?;
            Some((controller, job))
        };
        Ok(stored.into_iter().filter_map(read).collect())
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
        let request = self.shared.requests.next(now);
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
