//! The one way to change the cluster: decide, store, publish.

use std::any::Any;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use perilune_model::{Change, Cluster, Draft};
use perilune_store::{Commit, Meta, Store};
use tokio::sync::{mpsc, oneshot, watch};

/// As many changes as are decided before they are stored together.
const BATCH: usize = 1024;
/// As many changes as may wait to be decided; more make their callers wait.
const WAITING: usize = 4096;

/// How long a promised address is kept.
const PROMISE: Duration = Duration::from_mins(10);

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model refuses it.
    #[error(transparent)]
    Refused(#[from] perilune_model::Error),
    /// It could not be stored.
    #[error("the change could not be stored")]
    Store(#[from] perilune_store::Error),
    /// The decision panicked; that is a defect of the program.
    #[error("the change could not be decided: {0}")]
    Defect(String),
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Stopping,
    /// Only a trial was asked for: this would change.
    #[error("only a trial was asked for")]
    Trial(Change),
}

/// Who asks for a change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Author {
    /// What the history says about it.
    pub meta: Meta,
    /// Whether it is only tried: it is decided, and answered with [`Error::Trial`].
    pub dry_run: bool,
}

impl From<Meta> for Author {
    fn from(meta: Meta) -> Self {
        Self { meta, dry_run: false }
    }
}

type Answer = Box<dyn Any + Send>;
type Decision = Box<dyn FnOnce(&mut Draft) -> Result<Answer, perilune_model::Error> + Send>;

type Search = Box<dyn FnOnce(&Cluster) -> Result<Option<IpAddr>, perilune_model::Error> + Send>;

enum Request {
    Change(ChangeRequest),
    Reserve { find: Search, answer: oneshot::Sender<Result<Option<IpAddr>, Error>> },
    Own(Vec<(IpAddr, String)>),
}

struct ChangeRequest {
    meta: Meta,
    /// Only show what would change.
    dry_run: bool,
    decide: Decision,
    answer: oneshot::Sender<Result<(Answer, Change), Error>>,
}

/// A handle on the cluster; clones share it.
#[derive(Clone)]
pub struct ClusterService {
    requests: mpsc::Sender<Request>,
    published: watch::Receiver<Arc<Cluster>>,
}

impl ClusterService {
    /// The service for a cluster that was loaded from this store, and the task that must run for it to answer. The task ends when
    /// the last handle is gone.
    pub fn new(store: Store, cluster: Cluster) -> (Self, impl Future<Output = ()> + Send) {
        let (requests, waiting) = mpsc::channel(WAITING);
        let (publisher, published) = watch::channel(Arc::new(cluster));
        (Self { requests, published }, serve(store, waiting, publisher))
    }

    /// The cluster as of now. It does not change under the reader's hands.
    pub fn published(&self) -> Arc<Cluster> {
        Arc::clone(&self.published.borrow())
    }

    /// For those who must follow the cluster. Never hold the guard of `borrow` across an await.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Cluster>> {
        self.published.clone()
    }

    /// Decides a change on the newest cluster, stores it, publishes it; durable when it returns. It runs on even when the caller
    /// goes away.
    pub async fn commit<T, F>(&self, author: impl Into<Author>, decide: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Draft) -> Result<T, perilune_model::Error> + Send + 'static,
    {
        let Author { meta, dry_run } = author.into();
        let (answer, change) = self.request(meta, dry_run, decide).await?;
        if dry_run { Err(Error::Trial(change)) } else { Ok(answer) }
    }

    /// Whether a change would be accepted now; nothing is stored. For what has to be known before files are touched.
    pub async fn check<T, F>(&self, decide: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Draft) -> Result<T, perilune_model::Error> + Send + 'static,
    {
        self.request(Meta::default(), true, decide).await.map(|(answer, _)| answer)
    }

    /// Finds an address and promises it: for ten minutes nobody is given it unasked.
    pub async fn reserve<F>(&self, find: F) -> Result<Option<IpAddr>, Error>
    where
        F: FnOnce(&Cluster) -> Result<Option<IpAddr>, perilune_model::Error> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let request = Request::Reserve { find: Box::new(find), answer: sender };
        if self.requests.send(request).await.is_err() {
            return Err(Error::Stopping);
        }
        answer.await.unwrap_or(Err(Error::Stopping))
    }

    /// Says which addresses this host has. It is no change of what is described, and no commit.
    pub async fn set_own_addresses(&self, own: Vec<(IpAddr, String)>) {
        // A daemon that is stopping needs to know none.
        drop(self.requests.send(Request::Own(own)).await);
    }

    async fn request<T, F>(
        &self,
        meta: Meta,
        dry_run: bool,
        decide: F,
    ) -> Result<(T, Change), Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Draft) -> Result<T, perilune_model::Error> + Send + 'static,
    {
        let decide: Decision =
            Box::new(move |draft| decide(draft).map(|answer| -> Answer { Box::new(answer) }));
        let (sender, answer) = oneshot::channel();
        let request = Request::Change(ChangeRequest { meta, dry_run, decide, answer: sender });
        if self.requests.send(request).await.is_err() {
            return Err(Error::Stopping);
        }
        let (answer, change) = answer.await.unwrap_or(Err(Error::Stopping))?;
        let answer =
            answer.downcast::<T>().expect("the decision that was sent answers with its own type");
        Ok((*answer, change))
    }
}

/// A change that was decided and waits to be stored.
struct Decided {
    commit: Commit,
    answer: Answer,
    sender: oneshot::Sender<Result<(Answer, Change), Error>>,
}

async fn serve(
    store: Store,
    mut waiting: mpsc::Receiver<Request>,
    publisher: watch::Sender<Arc<Cluster>>,
) {
    let mut requests = Vec::with_capacity(BATCH);
    let mut promises = VecDeque::new();
    while waiting.recv_many(&mut requests, BATCH).await > 0 {
        let base = Arc::clone(&publisher.borrow());
        let mut working = Cluster::clone(&base);
        let mut decided = Vec::new();
        take_back(&mut working, &mut promises);
        for request in requests.drain(..) {
            match request {
                Request::Change(request) => decided.extend(decide(&mut working, request)),
                Request::Reserve { find, answer } => {
                    promise(&mut working, &mut promises, find, answer);
                }
                Request::Own(own) => working.set_own_addresses(own),
            }
        }
        store_and_publish(&store, &publisher, working, decided).await;
    }
}

async fn store_and_publish(
    store: &Store,
    publisher: &watch::Sender<Arc<Cluster>>,
    mut working: Cluster,
    decided: Vec<Decided>,
) {
    if decided.is_empty() {
        // Promises may have been made or taken back; nobody who follows the cluster needs to know.
        publisher.send_if_modified(|published| {
            *published = Arc::new(working);
            false
        });
        return;
    }
    let commits = decided.iter().map(|decided| decided.commit.clone()).collect();
    match store.apply(working.revision(), commits).await {
        Ok(revision) => {
            working.set_revision(revision);
            publisher.send_replace(Arc::new(working));
            for Decided { commit, answer, sender } in decided {
                drop(sender.send(Ok((answer, commit.change))));
            }
        }
        Err(error) => {
            let changes = decided.len();
            let cause = &error as &dyn std::error::Error;
            tracing::error!(error = cause, changes, "changes were not stored");
            for Decided { sender, .. } in decided {
                drop(sender.send(Err(Error::Store(error.clone()))));
            }
        }
    }
}

/// Takes back the promises that are over.
fn take_back(working: &mut Cluster, promises: &mut VecDeque<(Instant, IpAddr)>) {
    let is_over = |(made, _): &(Instant, IpAddr)| made.elapsed() >= PROMISE;
    while let Some((_, address)) = promises.front().copied().filter(is_over) {
        promises.pop_front();
        working.release(address);
    }
}

fn promise(
    working: &mut Cluster,
    promises: &mut VecDeque<(Instant, IpAddr)>,
    find: Search,
    answer: oneshot::Sender<Result<Option<IpAddr>, Error>>,
) {
    let found = find(working).map_err(Error::Refused);
    if let Ok(Some(address)) = found {
        working.reserve(address);
        promises.push_back((Instant::now(), address));
    }
    drop(answer.send(found));
}

/// Decides one request on the working cluster. What needs no storing is answered at once.
fn decide(working: &mut Cluster, request: ChangeRequest) -> Option<Decided> {
    let ChangeRequest { meta, dry_run, decide, answer: sender } = request;
    let mut draft = Draft::new(working);
    // A panic is a defect, but it must not take the cluster from everybody else; the draft is thrown away with it.
    let outcome = catch_unwind(AssertUnwindSafe(|| decide(&mut draft)));
    let result = match outcome {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(refusal)) => Err(Error::Refused(refusal)),
        Err(panic) => Err(Error::Defect(text_of(&*panic))),
    };
    let answer = match result {
        Ok(answer) => answer,
        Err(error) => {
            drop(sender.send(Err(error)));
            return None;
        }
    };
    let (changed, change) = draft.finish();
    if dry_run || change.is_empty() {
        drop(sender.send(Ok((answer, change))));
        return None;
    }
    *working = changed;
    Some(Decided { commit: Commit { change, meta }, answer, sender })
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use perilune_model::group::Group;
    use perilune_model::{Error as Refusal, Name};

    use super::*;

    fn group(number: usize) -> Group {
        Group { name: Name::trusted(&format!("group{number}")), ..Group::default() }
    }

    fn service(directory: &std::path::Path) -> (ClusterService, tokio::task::JoinSet<()>) {
        let (store, cluster) = Store::open(directory, &directory.join("luna.key")).unwrap();
        let (service, task) = ClusterService::new(store, cluster);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(task);
        (service, tasks)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn changes_of_many_writers_all_count_and_equal_what_is_stored() {
        let directory = tempfile::tempdir().unwrap();
        let (service, _tasks) = service(directory.path());
        let mut writers = tokio::task::JoinSet::new();
        for number in 0..300 {
            let service = service.clone();
            writers.spawn(async move {
                service.commit(Meta::default(), move |draft| draft.put(group(number))).await
            });
        }
        for result in writers.join_all().await {
            result.unwrap();
        }
        let published = service.published();
        assert_eq!(published.groups().len(), 300);
        assert_eq!(published.revision(), 300);
    }

    #[tokio::test]
    async fn a_refused_change_a_trial_and_a_defect_change_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (service, _tasks) = service(directory.path());
        let refused = service
            .commit(Meta::default(), |draft| {
                draft.put(group(1))?;
                Err::<(), _>(Refusal::invalid("name", "no"))
            })
            .await;
        assert!(matches!(refused, Err(Error::Refused(_))));
        let trial = Author { meta: Meta::default(), dry_run: true };
        let tried = service.commit(trial, |draft| draft.put(group(1))).await;
        assert!(matches!(tried, Err(Error::Trial(change)) if change.edits.len() == 1));
        let defect = service
            .commit(Meta::default(), |_| -> Result<(), Refusal> { panic!("a defect") })
            .await;
        assert!(matches!(defect, Err(Error::Defect(text)) if text == "a defect"));
        assert_eq!(service.published().groups().len(), 0);
        assert_eq!(service.published().revision(), 0);
    }
}
