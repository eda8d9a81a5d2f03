//! What stores the changes of a board.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use perilune_store::{Error, Expected, Store, Table, Write, Written};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::board::{Inner, Shared, Stored, Waiting};
use crate::load::read;

/// How long a change may be in memory alone when nobody waits for it.
const WRITE_EVERY: Duration = Duration::from_millis(500);
/// From one write to the next at least. What comes meanwhile shares a transaction and a write to the disk, which cost as much for one
/// change as for fifty: strangers in a boot storm wait for their leases, and a single one does not.
const BETWEEN: Duration = Duration::from_millis(2);
/// How often it is looked for what other controllers have changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long after a failure it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Stores the changes of a board; it must run for anybody to be told that a change is stored.
#[derive(Debug)]
pub struct Writer<K, V> {
    shared: Arc<Shared<K, V>>,
    store: Store,
    table: Table,
    key: fn(&str) -> Option<K>,
    /// The last change of the table, by whomever, that the board shows.
    known: u64,
    /// What was sent to the store and may be stored or not, by key.
    doubtful: BTreeMap<K, Vec<Option<String>>>,
    all_gone: mpsc::Receiver<Infallible>,
}

/// What a writer is woken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wake {
    /// Something is to be stored.
    Write,
    /// Other controllers may have changed something.
    Look,
    /// The board is gone.
    Last,
}

impl<K, V> Writer<K, V>
where
    K: Ord + Clone + Display,
    V: Serialize + DeserializeOwned,
{
    pub(crate) fn new(
        shared: &Arc<Shared<K, V>>,
        store: Store,
        table: Table,
        key: fn(&str) -> Option<K>,
        known: u64,
        all_gone: mpsc::Receiver<Infallible>,
    ) -> Self {
        let doubtful = BTreeMap::new();
        shared.lock().is_followed = store.is_shared() && !table.is_private();
        Self { shared: Arc::clone(shared), store, table, key, known, doubtful, all_gone }
    }

    /// Stores what changes until the last handle of the board is gone, and once more then. Takes what other controllers change.
    pub async fn run(mut self) {
        let mut is_failing = false;
        let mut is_last = false;
        let mut next = Instant::now();
        let is_shared = self.is_shared();
        while !is_last {
            let wake = self.wait(is_failing).await;
            is_last = wake == Wake::Last;
            if wake == Wake::Write {
                tokio::time::sleep_until(next).await;
                next = Instant::now() + BETWEEN;
            }
            // Those who come later want a later look.
            let lookers = std::mem::take(&mut self.shared.lock().lookers);
            let done = match wake {
                Wake::Look if !is_failing => self.catch_up(&BTreeMap::new()).await,
                Wake::Look | Wake::Write | Wake::Last => {
                    let written = self.write().await;
                    // With nothing to write, a store that failed was not asked at all.
                    let looks = is_shared && (is_failing || !lookers.is_empty());
                    if written.is_ok() && looks {
                        self.catch_up(&BTreeMap::new()).await
                    } else {
                        written
                    }
                }
            };
            if !lookers.is_empty() {
                self.shared.lock().looked = Some(Instant::now());
                drop(lookers);
            }
            match done {
                Ok(()) => is_failing = false,
                Err(error) => {
                    if !is_failing {
                        let (table, error) = (self.table.word(), &error as &dyn std::error::Error);
                        tracing::error!(error, table, "changes are not stored; trying again");
                    }
                    is_failing = true;
                }
            }
        }
    }

    /// Whether others store changes as well.
    fn is_shared(&self) -> bool {
        self.store.is_shared() && !self.table.is_private()
    }

    /// Waits until there is something to do.
    async fn wait(&mut self, is_failing: bool) -> Wake {
        if is_failing {
            return tokio::select! {
                _ = self.all_gone.recv() => Wake::Last,
                () = tokio::time::sleep(TRY_AGAIN) => Wake::Write,
            };
        }
        let is_shared = self.is_shared();
        tokio::select! {
            biased;
            () = self.shared.urgent.notified() => return Wake::Write,
            () = self.shared.unwritten.notified() => {}
            _ = self.all_gone.recv() => return Wake::Last,
            () = self.shared.look.notified() => return Wake::Look,
            () = tokio::time::sleep(LOOK_EVERY), if is_shared => return Wake::Look,
        }
        tokio::select! {
            biased;
            () = self.shared.urgent.notified() => Wake::Write,
            // What is here is stored first, and then looked for.
            () = self.shared.look.notified() => Wake::Write,
            _ = self.all_gone.recv() => Wake::Last,
            () = tokio::time::sleep_until(Instant::now() + WRITE_EVERY) => Wake::Write,
        }
    }

    async fn write(&mut self) -> Result<(), Error> {
        let batch = self.batch();
        if batch.is_empty() {
            return Ok(());
        }
        let mut writes = Vec::with_capacity(batch.len());
        let mut taken = BTreeMap::new();
        for (key, sequence, write) in batch {
            taken.insert(key, sequence);
            writes.push(write);
        }
        // One controller alone is never in doubt: its store fails as a whole.
        let sent = if self.store.is_shared() { writes.clone() } else { Vec::new() };
        match self.store.put_if(self.table, writes).await {
            Ok(written) => {
                let lost = self.note(&taken, &written);
                let caught_up = if lost { self.catch_up(&taken).await } else { Ok(()) };
                self.doubtful.retain(|key, _| !taken.contains_key(key));
                caught_up
            }
            Err(error) => {
                if matches!(error, Error::InDoubt) {
                    for (key, write) in taken.keys().zip(sent) {
                        self.doubtful.entry(key.clone()).or_default().push(write.body);
                    }
                }
                self.answer(&taken, &Err(Stored::Refused(error.clone())));
                Err(error)
            }
        }
    }

    /// Everything that is not stored. It stays noted as that until it is.
    fn batch(&self) -> Vec<(K, u64, Write)> {
        let taken: Vec<_> = {
            let inner = self.shared.lock();
            let take = |(key, sequence): (&K, &u64)| {
                let expected = match inner.stored.get(key) {
                    Some(stored) => Expected::Sequence(*stored),
                    None => Expected::Nothing,
                };
                (key.clone(), *sequence, inner.current.get(key).map(Arc::clone), expected)
            };
            inner.unwritten.iter().map(take).collect()
        };
        // Others change the board meanwhile.
        let write = |(key, sequence, value, expected): (K, u64, Option<Arc<V>>, Expected)| {
            let body = value.map(|value| serde_json::to_string(&*value)).transpose();
            let body = match body {
                Ok(body) => body,
                Err(error) => {
                    tracing::error!(%key, %error, table = self.table.word(), "a change cannot be stored");
                    return None;
                }
            };
            let write = Write { key: key.to_string(), body, expected };
            Some((key, sequence, write))
        };
        taken.into_iter().filter_map(write).collect()
    }

    /// Notes what is stored; answers whether another controller was first anywhere.
    fn note(&self, taken: &BTreeMap<K, u64>, written: &[Written]) -> bool {
        let mut lost = false;
        let mut done = BTreeMap::new();
        {
            let mut inner = self.shared.lock();
            for ((key, sequence), written) in taken.iter().zip(written) {
                let Written::At(stored) = *written else {
                    lost = true;
                    continue;
                };
                let is_newest = inner.unwritten.get(key) == Some(sequence);
                if is_newest {
                    inner.unwritten.remove(key);
                }
                if is_newest && inner.current.get(key).is_none() {
                    inner.stored.remove(key);
                } else {
                    inner.stored.insert(key.clone(), stored);
                }
                done.insert(key.clone(), *sequence);
            }
        }
        self.answer(&done, &Ok(()));
        lost
    }

    fn answer(&self, taken: &BTreeMap<K, u64>, result: &Result<(), Stored>) {
        let mut inner = self.shared.lock();
        let is_meant = |waiting: &mut Waiting<K>| {
            taken.get(&waiting.key).is_some_and(|sequence| *sequence >= waiting.sequence)
        };
        let told: Vec<_> = inner.waiting.extract_if(.., is_meant).collect();
        drop(inner);
        for waiting in told {
            // Who does not wait any more need not know.
            drop(waiting.answer.send(result.clone()));
        }
    }

    /// Takes what other controllers did; their changes of a key take the place of ours, and who waits for ours decides again.
    async fn catch_up(&mut self, taken: &BTreeMap<K, u64>) -> Result<(), Error> {
        let since = self.store.since(self.table, self.known).await?;
        if since.records.is_empty() && !since.is_whole {
            return Ok(());
        }
        let mut lost = BTreeMap::new();
        {
            let mut inner = self.shared.lock();
            let mut gone = Vec::new();
            if since.is_whole {
                let here: BTreeSet<_> = since.records.iter().map(|record| &record.key).collect();
                gone.extend(
                    inner.stored.keys().filter(|key| !here.contains(&key.to_string())).cloned(),
                );
            }
            for record in since.records {
                self.known = self.known.max(record.sequence);
                let Some(key) = (self.key)(&record.key) else { continue };
                // What was in doubt was stored: it is ours, and what came since is still to be.
                if self.doubtful.get(&key).is_some_and(|sent| sent.contains(&record.body)) {
                    match record.body {
                        Some(_) => inner.stored.insert(key, record.sequence),
                        None => inner.stored.remove(&key),
                    };
                    continue;
                }
                if record.body.is_none() {
                    gone.extend(inner.stored.contains_key(&key).then_some(key));
                    continue;
                }
                // Whatever it is, ours is written in its place, or decided again.
                if inner.stored.insert(key.clone(), record.sequence) == Some(record.sequence) {
                    continue;
                }
                match read::<K, V>(&record, self.key) {
                    Ok((_, value)) => {
                        take(&mut inner, key, Some(Arc::new(value)), taken, &mut lost);
                    }
                    Err(reason) => {
                        tracing::error!(%key, reason, table = self.table.word(), "what another controller stored cannot be read");
                    }
                }
            }
            for key in gone {
                inner.stored.remove(&key);
                take(&mut inner, key, None, taken, &mut lost);
            }
            self.shared.publish(&inner);
        }
        self.answer(&lost, &Err(Stored::Lost));
        self.shared.unwritten.notify_one();
        Ok(())
    }
}

/// Nobody waits for what will not be stored any more.
impl<K, V> Drop for Writer<K, V> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// Shows what another controller did with a key.
fn take<K: Ord + Clone, V>(
    inner: &mut Inner<K, V>,
    key: K,
    value: Option<Arc<V>>,
    taken: &BTreeMap<K, u64>,
    lost: &mut BTreeMap<K, u64>,
) {
    // A change that came while this one was looked up was decided on what is no longer so, too.
    let ours = inner.unwritten.remove(&key).or(taken.get(&key).copied());
    inner.note_others(&key, value);
    lost.extend(ours.map(|sequence| (key, sequence)));
}
