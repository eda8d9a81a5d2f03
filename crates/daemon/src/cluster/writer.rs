//! Decides, stores and publishes changes, many at once.

use std::any::Any;
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use perilune_model::{Change, Cluster, Draft};
use perilune_store::{Commit, Later, Store};
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::promises::Promises;
use super::{Answer, ChangeRequest, Error, Made, Request, Search, TRIES};

/// As many requests are decided before their changes are stored together.
const BATCH: usize = 1024;
/// After another controller was first, as many requests are decided at once as take about so long: what takes longer to decide loses again
/// and again, and all that are decided with it. Fewer would cost each of them a round trip to the database.
const QUICK: Duration = Duration::from_millis(10);
/// As long as is looked whether somebody was refused on what is no longer so, at most.
const LONGEST_LOOK: Duration = Duration::from_secs(1);
/// As long as others are let go first, at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Writer {
    store: Store,
    publisher: watch::Sender<Arc<Cluster>>,
    made: broadcast::Sender<Made>,
    promises: Promises,
    /// As many requests are decided at once.
    size: usize,
    /// How many commits of anybody the store had refused as stale when this was last looked at.
    refused: u64,
    /// How long others were let go first the last time.
    pause: Duration,
    durations: Histogram,
}

impl Writer {
    pub(super) fn new(
        store: Store,
        publisher: watch::Sender<Arc<Cluster>>,
        made: broadcast::Sender<Made>,
        promises: Promises,
        durations: Histogram,
    ) -> Self {
        let refused = store.refused_as_stale();
        Self {
            store,
            publisher,
            made,
            promises,
            size: BATCH,
            refused,
            pause: Duration::ZERO,
            durations,
        }
    }

    /// Serves requests in the order in which they come, until nobody can make any more.
    pub(super) async fn run(mut self, mut waiting: mpsc::Receiver<Request>) {
        let mut new = Vec::with_capacity(BATCH);
        let mut queue = VecDeque::new();
        loop {
            if queue.is_empty() {
                if waiting.recv_many(&mut new, BATCH).await == 0 {
                    return;
                }
                queue.extend(new.drain(..));
            }
            let batch = queue.drain(..self.size.min(queue.len())).collect();
            // Who lost keeps the place in front of those who came later.
            for request in self.settle(batch).await.into_iter().rev() {
                queue.push_front(request);
            }
        }
    }

    /// Decides and stores requests, and answers them; gives back those that are to be decided again.
    async fn settle(&mut self, batch: Vec<Request>) -> Vec<Request> {
        let begun = Instant::now();
        let batch = self.take_host(batch);
        let batch = self.look(batch).await;
        let mut base = self.published();
        // After the base is known: whoever commits one of these from now on has this one decided again.
        let (batch, mut later) = self.answer_repeated(batch).await;
        let deciding = Instant::now();
        let (mut working, mut decided) = self.decide(&base, batch);
        let took = deciding.elapsed();
        // With a commit among them it shows whether another controller was first.
        let refused_alone =
            decided.iter().any(Decided::is_refused) && !decided.iter().any(Decided::needs_storing);
        if refused_alone && self.finds_newer(&base).await {
            base = self.published();
            let batch = decided.into_iter().map(Decided::into_request).collect();
            let (batch, more) = self.answer_repeated(batch).await;
            later.extend(more);
            (working, decided) = self.decide(&base, batch);
        }
        let commits: Arc<[Commit]> = decided.iter().filter_map(Decided::commit).collect();
        if commits.is_empty() {
            self.answer(decided);
            return later;
        }
        match self.store.apply(base.revision(), Arc::clone(&commits)).await {
            Ok(revision) => {
                working.set_revision(revision);
                // Nobody may follow. Whoever does has it before the cluster.
                drop(self.made.send(Made { first: base.revision() + 1, commits }));
                self.publisher.send_replace(Arc::new(working));
                self.durations.observe(begun.elapsed().as_secs_f64());
                self.answer(decided);
                self.size = self.size.saturating_mul(2).min(BATCH);
                self.let_others_go_first(begun.elapsed()).await;
                later
            }
            Err(perilune_store::Error::Stale { .. }) => {
                let mut again = self.lost(&base, decided, took).await;
                again.append(&mut later);
                again
            }
            Err(error) => {
                self.fail(&base, decided, &error);
                later
            }
        }
    }

    /// Answers requests that were made before, by the names that they have. Gives back the others, and those that wait for one of the same name
    /// among them.
    async fn answer_repeated(&self, batch: Vec<Request>) -> (Vec<Request>, Vec<Request>) {
        let keys: Vec<String> = batch.iter().filter_map(key_of).cloned().collect();
        if keys.is_empty() {
            return (batch, Vec::new());
        }
        let known = self.store.committed(keys).await;
        let (mut new, mut later, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        for request in batch {
            let Some(key) = key_of(&request).cloned() else {
                new.push(request);
                continue;
            };
            let found = known.as_ref().map(|known| known.get(&key).copied());
            match (found, request) {
                (Ok(Some(revision)), Request::Change(request)) => {
                    drop(request.answer.send(Err(Error::Repeated(revision))));
                }
                (Err(error), Request::Change(request)) => {
                    drop(request.answer.send(Err(Error::Store(error.clone()))));
                }
                (_, request) if seen.insert(key) => new.push(request),
                (_, request) => later.push(request),
            }
        }
        (new, later)
    }

    /// Whether another controller has committed something that was not published here yet. Whoever is refused may have made what is missing
    /// there, a moment ago.
    async fn finds_newer(&self, base: &Cluster) -> bool {
        if !self.store.is_shared() {
            return false;
        }
        let found = tokio::time::timeout(LONGEST_LOOK, self.catch_up(base)).await;
        matches!(found, Ok(Ok(()))) && self.published().revision() != base.revision()
    }

    fn published(&self) -> Arc<Cluster> {
        Arc::clone(&self.publisher.borrow())
    }

    /// What this host has is no change, and nobody who follows the cluster needs to know.
    fn take_host(&self, batch: Vec<Request>) -> Vec<Request> {
        let tell = |change: &dyn Fn(&mut Cluster)| {
            self.publisher.send_if_modified(|published| {
                change(Arc::make_mut(published));
                false
            });
        };
        let mut others = Vec::with_capacity(batch.len());
        for request in batch {
            match request {
                Request::Own(own) => tell(&|cluster| cluster.set_own_addresses(own.clone())),
                Request::Answering(all) => tell(&|cluster| cluster.set_answering(all.clone())),
                request => others.push(request),
            }
        }
        others
    }

    /// Publishes what others have committed, where somebody said that they may have.
    async fn look(&self, batch: Vec<Request>) -> Vec<Request> {
        let (looks, others) =
            batch.into_iter().partition::<Vec<_>, _>(|request| matches!(request, Request::Look(_)));
        let base = self.published();
        let is_new = |request: &Request| matches!(request, Request::Look(revision) if *revision != base.revision());
        if looks.iter().any(is_new)
            && let Err(error) = self.catch_up(&base).await
        {
            // Whoever looks does so again in a second.
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "what other controllers changed was not read");
        }
        others
    }

    /// Decides requests one after the other; answers the cluster as it is after all of them.
    fn decide(&self, base: &Cluster, batch: Vec<Request>) -> (Cluster, Vec<Decided>) {
        let mut promised = self.promises.current(Instant::now());
        let mut working = base.clone();
        let mut decided = Vec::with_capacity(batch.len());
        for request in batch {
            match request {
                Request::Change(request) => {
                    let result = self.decide_one(&mut working, &promised, &request);
                    decided.push(Decided::Change { request, result });
                }
                Request::Promise { find, answer } => {
                    let draft = Draft::sparing(&working, Arc::clone(&promised));
                    let result = guarded(|| find(&draft));
                    if let Ok(Some(address)) = result {
                        Arc::make_mut(&mut promised).insert(address);
                    }
                    decided.push(Decided::Promise { find, answer, result });
                }
                // These were taken out before.
                Request::Look(_) | Request::Own(_) | Request::Answering(_) => {}
            }
        }
        (working, decided)
    }

    /// Decides one request, and makes its change on the working cluster unless it is a trial. What other controllers could not read is refused.
    fn decide_one(
        &self,
        working: &mut Cluster,
        promised: &Arc<BTreeSet<IpAddr>>,
        request: &ChangeRequest,
    ) -> Result<(Answer, Change), Error> {
        let mut draft = Draft::sparing(working, Arc::clone(promised));
        let answer = guarded(|| (request.decide)(&mut draft))?;
        let (changed, change) = draft.finish();
        self.store.check_known_to_all(&change)?;
        if !request.dry_run {
            *working = changed;
        }
        Ok((answer, change))
    }

    /// Another controller was first: takes what that one did, and has everything decided again that has not lost too often. `took` is how
    /// long deciding took.
    async fn lost(
        &mut self,
        base: &Cluster,
        decided: Vec<Decided>,
        took: Duration,
    ) -> Vec<Request> {
        self.refused = self.refused.saturating_add(1);
        self.size = quickly_decided(decided.len(), took);
        if let Err(error) = self.catch_up(base).await {
            self.fail(base, decided, &error);
            return Vec::new();
        }
        decided.into_iter().filter_map(Decided::again).collect()
    }

    /// Publishes what other controllers have committed.
    async fn catch_up(&self, base: &Cluster) -> Result<(), perilune_store::Error> {
        let cluster = match self.store.later(base.revision()).await? {
            // What is published is what is stored: nobody who follows it need wake.
            Some(Later { revision, .. }) if revision == base.revision() => return Ok(()),
            Some(Later { revision, edits }) => {
                let mut cluster = base.clone();
                for edit in &edits {
                    cluster.apply(edit);
                }
                cluster.set_revision(revision);
                cluster
            }
            None => {
                let mut cluster = self.store.load().await?;
                cluster.set_host_of(base);
                cluster
            }
        };
        tracing::debug!(revision = cluster.revision(), "another controller changed the cluster");
        self.publisher.send_replace(Arc::new(cluster));
        Ok(())
    }

    /// Nothing was stored.
    fn fail(&self, base: &Cluster, decided: Vec<Decided>, error: &perilune_store::Error) {
        let (stored, others): (Vec<_>, Vec<_>) =
            decided.into_iter().partition(Decided::needs_storing);
        let cause = error as &dyn std::error::Error;
        tracing::error!(error = cause, changes = stored.len(), "changes were not stored");
        for decided in stored {
            decided.fail(error);
        }
        // What needed no storing was decided on changes that never came to be.
        let others = others.into_iter().map(Decided::into_request).collect();
        let (_, others) = self.decide(base, others);
        let (stored, others): (Vec<_>, Vec<_>) =
            others.into_iter().partition(Decided::needs_storing);
        for decided in stored {
            decided.fail(error);
        }
        self.answer(others);
    }

    fn answer(&self, decided: Vec<Decided>) {
        let now = Instant::now();
        for decided in decided {
            // Who does not wait any more need not know.
            match decided {
                Decided::Change { request, result } => drop(request.answer.send(result)),
                Decided::Promise { answer, result, .. } => {
                    if let Ok(Some(address)) = result {
                        self.promises.promise(address, now);
                    }
                    drop(answer.send(result));
                }
            }
        }
    }

    /// Whoever lost against this commit has the next turn, or a busy controller could keep others from ever being first.
    async fn let_others_go_first(&mut self, round: Duration) {
        let refused = self.store.refused_as_stale();
        if refused <= self.refused {
            self.pause = Duration::ZERO;
            return;
        }
        self.refused = refused;
        // They take about as long as this one did; more when that was not enough.
        self.pause = (self.pause * 2).max(round * 2).min(LONGEST_PAUSE);
        tokio::time::sleep(self.pause).await;
    }
}

/// As many requests as are decided quickly, where `count` took so long.
fn quickly_decided(count: usize, took: Duration) -> usize {
    let count = u128::try_from(count).unwrap_or(u128::MAX);
    let quick = count.saturating_mul(QUICK.as_nanos()) / took.as_nanos().max(1);
    usize::try_from(quick).unwrap_or(BATCH).clamp(1, BATCH)
}

/// The name of a request, where it has one.
fn key_of(request: &Request) -> Option<&String> {
    match request {
        Request::Change(request) => request.key.as_ref(),
        Request::Promise { .. } | Request::Look(_) | Request::Own(_) | Request::Answering(_) => {
            None
        }
    }
}

/// A request with what was decided. It is answered when that is durable, and so is everything that was decided before it.
enum Decided {
    Change {
        request: ChangeRequest,
        result: Result<(Answer, Change), Error>,
    },
    Promise {
        find: Search,
        answer: oneshot::Sender<Result<Option<IpAddr>, Error>>,
        result: Result<Option<IpAddr>, Error>,
    },
}

impl Decided {
    fn needs_storing(&self) -> bool {
        match self {
            Self::Change { request, result: Ok((_, change)) } => {
                !request.dry_run && !change.is_empty()
            }
            Self::Change { .. } | Self::Promise { .. } => false,
        }
    }

    fn is_refused(&self) -> bool {
        matches!(self, Self::Change { result: Err(Error::Refused(_)), .. })
    }

    fn commit(&self) -> Option<Commit> {
        let Self::Change { request, result: Ok((_, change)) } = self else { return None };
        let commit = || Commit {
            change: change.clone(),
            meta: request.meta.clone(),
            key: request.key.clone(),
        };
        self.needs_storing().then(commit)
    }

    fn into_request(self) -> Request {
        match self {
            Self::Change { request, .. } => Request::Change(request),
            Self::Promise { find, answer, .. } => Request::Promise { find, answer },
        }
    }

    /// The request, to be decided again; one that has lost too often is refused.
    fn again(self) -> Option<Request> {
        let is_stored = self.needs_storing();
        match self.into_request() {
            Request::Change(mut request) if is_stored => {
                request.lost += 1;
                if request.lost < TRIES {
                    return Some(Request::Change(request));
                }
                tracing::warn!(action = request.meta.action, "other controllers were always first");
                drop(request.answer.send(Err(Error::Contended)));
                None
            }
            request => Some(request),
        }
    }

    fn fail(self, error: &perilune_store::Error) {
        match self {
            Self::Change { request, .. } => {
                drop(request.answer.send(Err(Error::Store(error.clone()))));
            }
            Self::Promise { answer, .. } => drop(answer.send(Err(Error::Store(error.clone())))),
        }
    }
}

/// A panic is a defect, but it must not take the cluster from everybody else; the draft is thrown away with it.
pub(super) fn guarded<T>(
    decide: impl FnOnce() -> Result<T, perilune_model::Error>,
) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(decide)) {
        Ok(decided) => decided.map_err(Error::Refused),
        Err(panic) => Err(Error::Defect(text_of(&*panic))),
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_to_decide_is_decided_with_few_others() {
        assert_eq!(quickly_decided(64, QUICK), 64);
        assert_eq!(quickly_decided(64, QUICK / 4), 256);
        assert_eq!(quickly_decided(64, QUICK * 16), 4);
        assert_eq!(quickly_decided(64, Duration::from_mins(1)), 1);
        for took in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            assert!((1..=BATCH).contains(&quickly_decided(0, took)), "{took:?}");
            assert!((1..=BATCH).contains(&quickly_decided(usize::MAX, took)), "{took:?}");
        }
    }
}
