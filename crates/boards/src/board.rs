//! The board itself: what it holds, and how it is changed.

use std::borrow::Borrow;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use imbl::OrdMap;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::Error;
use crate::follow::{Change, Since, Subscription};
use crate::snapshot::{Entry, Snapshot};

/// Numbers of one life of the daemon; there are enough for 10,000 changes a second during three years.
const LIFE: u64 = 1 << 40;
/// As often is a change decided again when another controller was first.
const TRIES: u32 = 8;
/// How long somebody waits for a look at what others have stored.
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// Looks that somebody asks for are this far apart at least: strangers can make somebody ask.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// When a change of a board is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// In batches, half a second later at most, but for changes that somebody waits for.
    Behind,
    /// At once: somebody waits for each change, and batches are whatever came together.
    BeforeAnswer,
}

/// How much a board keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// As many keys; beyond, the one that was not changed for the longest time goes.
    pub keys: usize,
    /// As many changes for followers that come later; who missed more begins anew.
    pub changes: usize,
}

/// What becomes of a key.
#[derive(Debug)]
pub enum Update<V> {
    /// It stays as it is; this is no change.
    Keep,
    /// It becomes this.
    Put(V),
    /// It goes.
    Remove,
}

/// One kind of observed state, by key; clones share it.
#[derive(Debug)]
pub struct Board<K, V> {
    shared: Arc<Shared<K, V>>,
    /// What stores changes ends when the last of these is gone.
    alive: Option<mpsc::Sender<Infallible>>,
}

impl<K, V> Clone for Board<K, V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), alive: self.alive.clone() }
    }
}

#[derive(Debug)]
pub(crate) struct Shared<K, V> {
    inner: Mutex<Inner<K, V>>,
    /// Apart from the lock, so that readers never wait for writers.
    published: watch::Sender<Snapshot<K, V>>,
    /// Something is to be stored.
    pub(crate) unwritten: Notify,
    /// Somebody waits for it.
    pub(crate) urgent: Notify,
    /// Somebody waits for what others have stored.
    pub(crate) look: Notify,
    durability: Option<Durability>,
}

/// Somebody who waits until a change is stored.
#[derive(Debug)]
pub(crate) struct Waiting<K> {
    pub(crate) key: K,
    pub(crate) sequence: u64,
    pub(crate) answer: oneshot::Sender<Result<(), Stored>>,
}

/// Why a change that somebody waits for was not stored.
#[derive(Debug, Clone)]
pub(crate) enum Stored {
    /// Another controller was first; the board shows what it did.
    Lost,
    /// The store refused.
    Refused(perilune_store::Error),
}

#[derive(Debug)]
pub(crate) struct Inner<K, V> {
    rules: Rules,
    is_stored: bool,
    pub(crate) current: Snapshot<K, V>,
    changes: VecDeque<Change<K, V>>,
    /// Keys by their last change, to find the one that was not changed for the longest time.
    by_age: BTreeMap<u64, K>,
    /// Keys that are to be stored, each with its last change.
    pub(crate) unwritten: BTreeMap<K, u64>,
    pub(crate) waiting: Vec<Waiting<K>>,
    /// The change of the store's table that made each key what it is there.
    pub(crate) stored: BTreeMap<K, u64>,
    /// What stores changes has ended.
    pub(crate) is_closed: bool,
    /// Whether others store changes as well.
    pub(crate) is_followed: bool,
    /// Those who wait for a look. Dropping them tells that there was one.
    pub(crate) lookers: Vec<oneshot::Sender<Infallible>>,
    /// When there was the last one that somebody waited for.
    pub(crate) looked: Option<Instant>,
}

impl<K: Ord + Clone, V> Board<K, V> {
    /// A board that is not stored. `life` tells its numbers from those of other lives of the daemon.
    pub fn volatile(life: u64, rules: Rules) -> Self {
        Self { shared: Shared::new(life, rules, None), alive: None }
    }

    pub(crate) fn stored(shared: Arc<Shared<K, V>>, alive: mpsc::Sender<Infallible>) -> Self {
        Self { shared, alive: Some(alive) }
    }

    /// The board as of now.
    pub fn snapshot(&self) -> Snapshot<K, V> {
        self.shared.published.borrow().clone()
    }

    /// What stands under a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
    {
        self.snapshot().get(key).map(Arc::clone)
    }

    /// Changes what stands under a key; everybody sees it at once. Answers the number of the change, or of the last one when there is
    /// none.
    pub fn update(&self, key: &K, decide: impl FnOnce(Option<&Arc<V>>) -> Update<V>) -> u64 {
        let mut decide = Some(decide);
        self.update_each(std::slice::from_ref(key), |_, known| {
            decide.take().map_or(Update::Keep, |decide| decide(known))
        })
    }

    /// The same for several keys, in this order, as one: nobody sees a part of it. A key may come more than once.
    pub fn update_each(
        &self,
        keys: &[K],
        mut decide: impl FnMut(&K, Option<&Arc<V>>) -> Update<V>,
    ) -> u64 {
        let mut inner = self.shared.lock();
        self.apply_each(&mut inner, keys, &mut decide)
    }

    /// The same for all keys that are there, in their order, as one.
    pub fn update_all(&self, mut decide: impl FnMut(&K, &Arc<V>) -> Update<V>) -> u64 {
        let mut inner = self.shared.lock();
        let before = inner.current.clone();
        for (key, value) in before.iter() {
            let update = decide(key, value);
            inner.apply(key, update);
        }
        self.tell(&inner);
        inner.current.sequence
    }

    /// Changes what stands under a key, and returns when that is stored. A failure means that it may be lost with the daemon, and
    /// must not be promised to anybody. `decide` is called again when another controller was first.
    pub async fn update_stored(
        &self,
        key: &K,
        mut decide: impl FnMut(Option<&Arc<V>>) -> Update<V>,
    ) -> Result<u64, Error> {
        self.update_each_stored(std::slice::from_ref(key), |_, known| decide(known)).await
    }

    /// The same for several keys, which are stored together. It is seen at once when this is called, not when it is first polled.
    /// `decide` is called again for those where another controller was first.
    pub fn update_each_stored<D>(
        &self,
        keys: &[K],
        mut decide: D,
    ) -> impl Future<Output = Result<u64, Error>> + use<K, V, D>
    where
        D: FnMut(&K, Option<&Arc<V>>) -> Update<V>,
    {
        let mut round = self.begin(keys, &mut decide);
        let board = self.clone();
        async move {
            for _ in 1..TRIES {
                let lost = settled(round.waits).await?;
                if lost.is_empty() {
                    return Ok(round.sequence);
                }
                round = board.begin(&lost, &mut decide);
            }
            let lost = settled(round.waits).await?;
            if lost.is_empty() { Ok(round.sequence) } else { Err(Error::Contended) }
        }
    }

    fn begin(
        &self,
        keys: &[K],
        decide: &mut impl FnMut(&K, Option<&Arc<V>>) -> Update<V>,
    ) -> Round<K> {
        let mut inner = self.shared.lock();
        let sequence = self.apply_each(&mut inner, keys, decide);
        let wait = |key: &K| Some((key.clone(), self.shared.wait(&mut inner, key)?));
        Round { sequence, waits: keys.iter().filter_map(wait).collect() }
    }

    /// Returns when what stands under a key now is stored.
    pub async fn stored_now(&self, key: &K) -> Result<(), Error> {
        let stored = {
            let mut inner = self.shared.lock();
            self.shared.wait(&mut inner, key)
        };
        let waits = stored.map(|stored| (key.clone(), stored)).into_iter().collect();
        if settled(waits).await?.is_empty() { Ok(()) } else { Err(Error::Contended) }
    }

    /// Returns when the board shows what other controllers have stored before this was called, or when the store does not answer: for somebody who
    /// misses what another may have noted a moment ago. At once where there are no others.
    pub async fn look(&self) {
        let last = {
            let inner = self.shared.lock();
            if !inner.is_followed || inner.is_closed {
                return;
            }
            inner.looked
        };
        if let Some(last) = last {
            sleep_until(last + LOOK_PAUSE).await;
        }
        let (looker, looked) = oneshot::channel();
        self.shared.lock().lookers.push(looker);
        self.shared.look.notify_one();
        // It ends with an error, since nothing is ever sent.
        timeout(LONGEST_LOOK, looked).await.ok();
    }

    /// What is new for somebody who knew the board as of this number.
    pub fn since(&self, known: u64) -> Since<K, V> {
        self.shared.lock().since(known)
    }

    /// Waits until what stands under a key is as somebody wants it.
    pub async fn until(&self, key: &K, mut is_wanted: impl FnMut(Option<&Arc<V>>) -> bool) {
        let mut published = self.shared.published.subscribe();
        // It fails when nothing can change any more, and this board is still there.
        drop(published.wait_for(|snapshot| is_wanted(snapshot.get(key))).await);
    }

    /// The board as of now, and every change from then on.
    pub fn subscribe(&self) -> (Snapshot<K, V>, Subscription<K, V>) {
        let inner = self.shared.lock();
        let (snapshot, published) = (inner.current.clone(), self.shared.published.subscribe());
        let shared = Arc::downgrade(&self.shared);
        let known = snapshot.sequence;
        (snapshot, Subscription { shared, published, known })
    }

    fn apply_each(
        &self,
        inner: &mut Inner<K, V>,
        keys: &[K],
        decide: &mut impl FnMut(&K, Option<&Arc<V>>) -> Update<V>,
    ) -> u64 {
        let mut is_changed = false;
        for key in keys {
            let update = decide(key, inner.current.get(key));
            is_changed |= inner.apply(key, update);
        }
        if is_changed {
            self.tell(inner);
        }
        inner.current.sequence
    }

    /// Shows the board as it is now, and has it stored.
    fn tell(&self, inner: &Inner<K, V>) {
        self.shared.publish(inner);
        if inner.unwritten.is_empty() {
            return;
        }
        self.shared.unwritten.notify_one();
        if self.shared.durability == Some(Durability::BeforeAnswer) {
            self.shared.urgent.notify_one();
        }
    }
}

/// Changes that were made together, and what tells that each is stored, by its key.
struct Round<K> {
    sequence: u64,
    waits: Vec<(K, oneshot::Receiver<Result<(), Stored>>)>,
}

/// Waits until all are stored; answers those where another controller was first.
async fn settled<K>(
    waits: Vec<(K, oneshot::Receiver<Result<(), Stored>>)>,
) -> Result<Vec<K>, Error> {
    let mut lost = Vec::new();
    for (key, stored) in waits {
        match stored.await {
            Ok(Ok(())) => {}
            Ok(Err(Stored::Lost)) => lost.push(key),
            Ok(Err(Stored::Refused(error))) => return Err(Error::Store(error)),
            Err(_) => return Err(Error::Stopping),
        }
    }
    Ok(lost)
}

impl<K, V> Shared<K, V> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner<K, V>> {
        // What a panicking decision left is the board as it was before.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is stored from now on.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.is_closed = true;
        inner.waiting.clear();
        inner.lookers.clear();
    }
}

impl<K: Ord + Clone, V> Shared<K, V> {
    pub(crate) fn new(life: u64, rules: Rules, durability: Option<Durability>) -> Arc<Self> {
        let current = Snapshot { sequence: life.saturating_mul(LIFE), entries: OrdMap::new() };
        let published = watch::Sender::new(current.clone());
        let inner = Inner {
            rules,
            is_stored: durability.is_some(),
            current,
            changes: VecDeque::new(),
            by_age: BTreeMap::new(),
            unwritten: BTreeMap::new(),
            waiting: Vec::new(),
            stored: BTreeMap::new(),
            is_closed: false,
            is_followed: false,
            lookers: Vec::new(),
            looked: None,
        };
        let (unwritten, urgent, look) = (Notify::new(), Notify::new(), Notify::new());
        let inner = Mutex::new(inner);
        Arc::new(Self { inner, published, unwritten, urgent, look, durability })
    }

    pub(crate) fn publish(&self, inner: &Inner<K, V>) {
        self.published.send_replace(inner.current.clone());
    }

    /// What tells that what stands under a key is stored; `None` when it is already.
    fn wait(
        &self,
        inner: &mut Inner<K, V>,
        key: &K,
    ) -> Option<oneshot::Receiver<Result<(), Stored>>> {
        let sequence = *inner.unwritten.get(key)?;
        let (answer, stored) = oneshot::channel();
        if !inner.is_closed {
            inner.waiting.push(Waiting { key: key.clone(), sequence, answer });
            self.urgent.notify_one();
        }
        Some(stored)
    }
}

impl<K: Ord + Clone, V> Inner<K, V> {
    /// Answers whether there was a change.
    pub(crate) fn apply(&mut self, key: &K, update: Update<V>) -> bool {
        match update {
            Update::Keep => return false,
            Update::Put(value) => self.set(key, Some(Arc::new(value))),
            Update::Remove if self.current.get(key).is_none() => return false,
            Update::Remove => self.set(key, None),
        }
        while self.current.entries.len() > self.rules.keys {
            let Some((_, oldest)) = self.by_age.first_key_value() else { break };
            let oldest = oldest.clone();
            self.set(&oldest, None);
        }
        true
    }

    /// Takes what was read from the store, which is no change for anybody.
    pub(crate) fn restore(&mut self, key: &K, value: V, stored: u64) {
        self.current.sequence += 1;
        self.stored.insert(key.clone(), stored);
        self.replace(key, Some(Arc::new(value)));
    }

    fn set(&mut self, key: &K, value: Option<Arc<V>>) {
        self.note(key, value, false);
        if self.is_stored {
            self.unwritten.insert(key.clone(), self.current.sequence);
        }
    }

    /// A change that another controller has stored.
    pub(crate) fn note_others(&mut self, key: &K, value: Option<Arc<V>>) {
        self.note(key, value, true);
    }

    fn note(&mut self, key: &K, value: Option<Arc<V>>, is_others: bool) {
        self.current.sequence += 1;
        self.replace(key, value.as_ref().map(Arc::clone));
        if self.changes.len() >= self.rules.changes {
            self.changes.pop_front();
        }
        let (sequence, key) = (self.current.sequence, key.clone());
        self.changes.push_back(Change { sequence, key, value, is_others });
    }

    fn replace(&mut self, key: &K, value: Option<Arc<V>>) {
        let sequence = self.current.sequence;
        let former = match value {
            Some(value) => {
                self.by_age.insert(sequence, key.clone());
                self.current.entries.insert(key.clone(), Entry { sequence, value })
            }
            None => self.current.entries.remove(key),
        };
        if let Some(former) = former {
            self.by_age.remove(&former.sequence);
        }
    }

    pub(crate) fn since(&self, known: u64) -> Since<K, V> {
        let is_whole_known = known == self.current.sequence;
        let first = self.changes.front().map(|change| change.sequence);
        let reaches_back = first.is_some_and(|first| first <= known.saturating_add(1));
        if is_whole_known || (reaches_back && known < self.current.sequence) {
            let new = self.changes.iter().filter(|change| change.sequence > known);
            return Since::Changes(new.cloned().collect());
        }
        Since::Whole(self.current.clone())
    }
}
