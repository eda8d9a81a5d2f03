//! The one way to change the cluster: decide, store, publish.
//!
//! A decision can be called again. Another controller may have committed meanwhile; then the store refuses, the service takes what that
//! one did, publishes it, and decides again. A decision is therefore a function of the draft alone: it does nothing but change it.

mod follow;
mod gather;
mod key;
mod promises;
#[cfg(test)]
mod tests;
mod writer;

use std::any::Any;
use std::net::IpAddr;
use std::sync::Arc;

use follow::Reach;
pub(crate) use follow::follow;
use gather::Gathered;
use imbl::OrdSet;
pub use key::RequestKey;
use perilune_model::{Change, Cluster, Draft};
use perilune_store::{Commit, Meta, Store};
use prometheus_client::metrics::histogram::Histogram;
use promises::Promises;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use writer::Writer;

use crate::clock;

/// As many changes may wait to be decided; more make their callers wait.
const WAITING: usize = 4096;
/// As many batches of commits are kept for who follows them; who is slower reads the history.
const FOLLOWED: usize = 64;
/// What commits take, in seconds: one durable write, up to a disk that is at its end.
const DURATIONS: [f64; 8] = [0.0005, 0.001, 0.0025, 0.005, 0.025, 0.1, 0.5, 2.5];
/// As often is a change decided when other controllers are first again and again.
pub(crate) const TRIES: u32 = 8;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model refuses it.
    #[error(transparent)]
    Refused(#[from] perilune_model::Error),
    /// It could not be stored.
    #[error("the change could not be stored")]
    Store(#[from] perilune_store::Error),
    /// Other controllers were first, each time that it was decided.
    #[error(
        "other controllers changed the cluster at the same time, {TRIES} times in a row; nothing was changed, try again"
    )]
    Contended,
    /// The decision panicked; that is a defect of the program.
    #[error("the change could not be decided: {0}")]
    Defect(String),
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Stopping,
    /// Only a trial was asked for: this would change, with these remarks on it.
    #[error("only a trial was asked for")]
    Trial(Change, Vec<String>),
    /// The same request was made before, and led to this revision.
    #[error("this was done already, as revision {0}")]
    Repeated(u64),
}

/// Who asks for a change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Author {
    /// What the history says about it.
    pub meta: Meta,
    /// Whether it is only tried: it is decided, and answered with [`Error::Trial`].
    pub dry_run: bool,
    /// Names the request, where its client may send it again.
    pub key: Option<RequestKey>,
}

impl From<Meta> for Author {
    fn from(meta: Meta) -> Self {
        Self { meta, dry_run: false, key: None }
    }
}

type Answer = Box<dyn Any + Send>;
type Decision = Box<dyn Fn(&mut Draft) -> Result<Answer, perilune_model::Error> + Send>;
type Search = Box<dyn Fn(&Draft) -> Result<Option<IpAddr>, perilune_model::Error> + Send>;

enum Request {
    Change(ChangeRequest),
    Promise {
        find: Search,
        answer: oneshot::Sender<Result<Option<IpAddr>, Error>>,
    },
    /// Others may have committed this revision.
    Look(u64),
    Own(Vec<(IpAddr, String)>),
    Answering(Option<OrdSet<IpAddr>>),
}

struct ChangeRequest {
    meta: Meta,
    /// Only show what would change.
    dry_run: bool,
    /// Names it, where it may be made again.
    key: Option<String>,
    decide: Decision,
    /// How often it was decided for nothing.
    lost: u32,
    answer: oneshot::Sender<Result<(Answer, Change), Error>>,
}

/// Commits that were stored together.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// The revision of the first.
    pub(crate) first: u64,
    pub(crate) commits: Arc<[Commit]>,
}

/// A handle on the cluster; clones share it.
#[derive(Clone)]
pub struct ClusterService {
    requests: mpsc::Sender<Request>,
    published: watch::Receiver<Arc<Cluster>>,
    made: broadcast::Sender<Made>,
    durations: Histogram,
    /// Whether the database answers.
    reach: Reach,
    /// Whether other controllers may change what is stored.
    is_shared: bool,
    /// Where changes are gathered instead of being made.
    gathered: Option<Gathered>,
}

impl ClusterService {
    /// The service for a cluster that was loaded from this store, and the task that must run for it to answer. The task ends when
    /// the last handle is gone.
    pub fn new(store: Store, cluster: Cluster) -> (Self, impl Future<Output = ()> + Send) {
        let (requests, waiting) = mpsc::channel(WAITING);
        let (publisher, published) = watch::channel(Arc::new(cluster));
        let (made, _) = broadcast::channel(FOLLOWED);
        let promises = Promises::new(store.life());
        let is_shared = store.is_shared();
        let durations = Histogram::new(DURATIONS);
        let reach = Reach::default();
        let writer = Writer::new(store, publisher, made.clone(), promises, durations.clone());
        let service =
            Self { requests, published, made, durations, reach, is_shared, gathered: None };
        (service, writer.run(waiting))
    }

    /// How long changes took to be decided and stored, in seconds.
    pub(crate) fn durations(&self) -> Histogram {
        self.durations.clone()
    }

    /// Since when the database does not answer, in milliseconds since 1970; `None` while it does.
    pub(crate) fn away_since(&self) -> Option<u64> {
        self.reach.away_since()
    }

    /// Whether newer controllers have stored what this program cannot read.
    pub(crate) fn is_outdated(&self) -> bool {
        self.reach.is_outdated()
    }

    /// Whether what is published is what is stored, as far as can be known. Where no other can change what is stored, it is.
    pub fn is_in_sync(&self) -> bool {
        !self.is_shared || self.reach.is_in_sync()
    }

    /// The cluster as of now. It does not change under the reader's hands.
    pub fn published(&self) -> Arc<Cluster> {
        match &self.gathered {
            Some(gathered) => gathered.cluster(),
            None => Arc::clone(&self.published.borrow()),
        }
    }

    /// A handle whose changes are decided at once and only gathered: it publishes the cluster as it would be after them, and
    /// [`Self::commit_gathered`] makes all of them or none.
    #[must_use]
    pub fn gathering(&self) -> Self {
        Self { gathered: Some(Gathered::new(self.published())), ..self.clone() }
    }

    /// Forgets what a refused change has left behind among what is gathered.
    pub fn rewind(&self) {
        if let Some(gathered) = &self.gathered {
            gathered.rewind();
        }
    }

    /// Makes what another handle has gathered, as one change, and does then what was put off. The answer is what may be a slip in it.
    pub async fn commit_gathered(
        &self,
        author: impl Into<Author>,
        gathering: &Self,
    ) -> Result<Vec<String>, Error> {
        let Some(gathered) = &gathering.gathered else { return Ok(Vec::new()) };
        let (decisions, afterwards) = gathered.take();
        let decide = move |draft: &mut Draft| {
            decisions.iter().try_for_each(|decide| decide(draft).map(drop))?;
            Ok(draft.remarks())
        };
        let remarks = self.commit(author, decide).await?;
        for work in afterwards {
            work();
        }
        Ok(remarks)
    }

    /// Throws away what is gathered. What waits there may hold this very handle, and would never go by itself.
    pub fn discard(&self) {
        if let Some(gathered) = &self.gathered {
            drop(gathered.take());
        }
    }

    /// Does something when the changes that were asked for so far are made: now, unless they are only gathered.
    pub fn after_commit(&self, work: impl FnOnce() + Send + 'static) {
        match &self.gathered {
            Some(gathered) => gathered.after(Box::new(work)),
            None => work(),
        }
    }

    /// For those who must follow the cluster. Never hold the guard of `borrow` across an await.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Cluster>> {
        self.published.clone()
    }

    /// For those who must follow the commits that are made here, each before the cluster that it leads to.
    pub(crate) fn made(&self) -> broadcast::Receiver<Made> {
        self.made.subscribe()
    }

    /// Decides a change on the newest cluster, stores it, publishes it; durable when it returns. It runs on even when the caller
    /// goes away. `decide` is called again when another controller was first.
    pub async fn commit<T, F>(&self, author: impl Into<Author>, decide: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut Draft) -> Result<T, perilune_model::Error> + Send + 'static,
    {
        let Author { meta, dry_run, key } = author.into();
        if dry_run {
            let tried = move |draft: &mut Draft| decide(draft).map(|_answer| draft.remarks());
            let (remarks, change) = self.request(meta, true, None, tried).await?;
            return Err(Error::Trial(change, remarks));
        }
        // What is only gathered is stored later, by whoever commits it.
        let key = key.filter(|_| self.gathered.is_none()).and_then(|key| key.take());
        self.request(meta, false, key, decide).await.map(|(answer, _)| answer)
    }

    /// Whether a change would be accepted now; nothing is stored. For what has to be known before files are touched.
    pub async fn check<T, F>(&self, decide: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut Draft) -> Result<T, perilune_model::Error> + Send + 'static,
    {
        self.request(Meta::default(), true, None, decide).await.map(|(answer, _)| answer)
    }

    /// Finds an address and promises it: for ten minutes nobody is given it unasked.
    pub async fn promise<F>(&self, find: F) -> Result<Option<IpAddr>, Error>
    where
        F: Fn(&Draft) -> Result<Option<IpAddr>, perilune_model::Error> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let request = Request::Promise { find: Box::new(find), answer: sender };
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

    /// Says at which addresses of this host its own DNS server answers; `None` where another may be there. It is no commit either.
    pub(crate) async fn set_answering(&self, answering: Option<OrdSet<IpAddr>>) {
        drop(self.requests.send(Request::Answering(answering)).await);
    }

    async fn request<T, F>(
        &self,
        meta: Meta,
        dry_run: bool,
        key: Option<String>,
        decide: F,
    ) -> Result<(T, Change), Error>
    where
        T: Send + 'static,
        F: Fn(&mut Draft) -> Result<T, perilune_model::Error> + Send + 'static,
    {
        let decide: Decision =
            Box::new(move |draft| decide(draft).map(|answer| -> Answer { Box::new(answer) }));
        let (answer, change) = match &self.gathered {
            Some(gathered) if dry_run => gathered.try_out(&decide)?,
            Some(gathered) => gathered.decide(decide)?,
            None => self.send(meta, dry_run, key, decide).await?,
        };
        let answer =
            answer.downcast::<T>().expect("the decision that was sent answers with its own type");
        Ok((*answer, change))
    }

    async fn send(
        &self,
        meta: Meta,
        dry_run: bool,
        key: Option<String>,
        decide: Decision,
    ) -> Result<(Answer, Change), Error> {
        let (sender, answer) = oneshot::channel();
        let request = ChangeRequest { meta, dry_run, key, decide, lost: 0, answer: sender };
        if self.requests.send(Request::Change(request)).await.is_err() {
            return Err(Error::Stopping);
        }
        answer.await.unwrap_or(Err(Error::Stopping))
    }
}

/// Who the daemon is in the history of the cluster.
pub(crate) fn own_meta(action: &str) -> Meta {
    Meta {
        at: clock::milliseconds(),
        author: "perilune".to_owned(),
        origin: "daemon".to_owned(),
        action: action.to_owned(),
    }
}
