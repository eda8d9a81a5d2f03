//! What is remembered: the cluster, its history, leases, node states and jobs, in one SQLite file.
//!
//! One thread writes. It stores all work that is waiting in one transaction (group commit) and answers when that is durable, so that
//! a thousand writers cost a few synchronous writes of the disk.

mod cluster;
mod error;
mod fingerprint;
mod history;
mod key;
mod record;
mod schema;
mod sealed;
mod sound;
mod space;
mod writer;

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use cluster::{Commit, Later};
pub use error::Error;
pub use history::{Entry, Meta};
pub use key::{KeyId, Keys, looks_sealed};
use perilune_model::Cluster;
pub use record::{Aside, Expected, Record, Since, Table, Write, Written};
use space::{Shortage, Space};
use writer::Writer;

const DATABASE: &str = "perilune.db";
/// A store that was closed a moment ago holds its lock until its last write is done.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// A handle on the store; clones share it. Work ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Store {
    writer: Writer,
    life: u64,
    keys: Arc<Keys>,
    /// How many commits were refused because another was first.
    stale: Arc<AtomicU64>,
    shortage: Shortage,
}

impl Store {
    /// Opens the store in this directory, makes it where there is none, and loads the cluster. What is secret in it is sealed
    /// with the key of this file, which is made where nothing is sealed yet.
    ///
    /// [`Error::Locked`] when another process has it open, [`Error::WrongKey`] and its like when the key does not open it,
    /// [`Error::Unsound`] when a part of it is lost.
    pub fn open(directory: &Path, key_file: &Path) -> Result<(Self, Cluster), Error> {
        let lock = lock(directory)?;
        let file = directory.join(DATABASE);
        let damaged = |error: Error| error.at_opening(&file);
        let unusable =
            |source| Error::Directory { path: directory.to_owned(), source: Arc::new(source) };
        sound::check_not_empty(&file, sound::was_made(&lock).map_err(unusable)?)?;
        let connection = schema::open(&file).map_err(damaged)?;
        sound::check(&connection, &file).map_err(damaged)?;
        let needed = sealed::needed(&connection).map_err(damaged)?;
        let may_make = needed.is_none() && !sealed::has_tokens(&connection).map_err(damaged)?;
        let (keys, is_new) = match Keys::load(key_file, needed, may_make) {
            // Another key may take the place of one that has sealed nothing: that of a site which is taken over.
            Err(Error::WrongKey { .. }) if !sealed::is_in_use(&connection).map_err(damaged)? => {
                (Keys::load(key_file, None, true)?, true)
            }
            loaded => (loaded?, needed.is_none()),
        };
        let keys = Arc::new(keys);
        if is_new {
            sealed::reseal(&connection, &keys, &keys, true).map_err(damaged)?;
        }
        sealed::clean(&connection).map_err(damaged)?;
        let cluster = cluster::load(&connection, &keys)
            .map_err(|error| sound::unreadable(damaged(error), &file))?;
        let life = schema::begin_life(&connection).map_err(damaged)?;
        sound::note_made(&lock).map_err(unusable)?;
        let shortage = Shortage::default();
        let writer = Writer::start(connection, lock, Space::new(directory, shortage.clone()))?;
        Ok((Self { writer, life, keys, stale: Arc::default(), shortage }, cluster))
    }

    /// Stores commits that were decided one after the other on the cluster of revision `base`; all of them or none. Durable when
    /// it returns. [`Error::Stale`] when the stored revision is another, [`Error::Full`] when the disk is nearly full: what is left is for
    /// records.
    pub async fn apply(&self, base: u64, commits: impl Into<Arc<[Commit]>>) -> Result<u64, Error> {
        let (keys, shortage) = (Arc::clone(&self.keys), self.shortage.clone());
        let commits = commits.into();
        let apply = move |connection: &_| {
            shortage.check()?;
            cluster::apply(connection, &keys, base, &commits)
        };
        let applied = self.writer.run(apply).await;
        if matches!(applied, Err(Error::Stale { .. })) {
            self.stale.fetch_add(1, Ordering::Relaxed);
        }
        applied
    }

    /// The newest entries of the history, at most `limit`, before revision `before` where one is given. Newest first.
    pub async fn history(&self, before: Option<u64>, limit: u32) -> Result<Vec<Entry>, Error> {
        let keys = Arc::clone(&self.keys);
        self.writer.run(move |connection| history::list(connection, &keys, before, limit)).await
    }

    /// The entries of the history from one revision to another, both included. Oldest first.
    pub async fn history_between(&self, first: u64, last: u64) -> Result<Vec<Entry>, Error> {
        let keys = Arc::clone(&self.keys);
        self.writer.run(move |connection| history::between(connection, &keys, first, last)).await
    }

    /// Writes records, each if its record is as the writer expects. Durable when it returns; what became of each is told in order.
    pub async fn put_if(&self, table: Table, writes: Vec<Write>) -> Result<Vec<Written>, Error> {
        self.writer.run(move |connection| record::put_if(connection, table, &writes)).await
    }

    /// What was changed in a table after a change with this number.
    pub async fn since(&self, table: Table, sequence: u64) -> Result<Since, Error> {
        self.writer.run(move |connection| record::since(connection, table, sequence)).await
    }

    /// Every record of a table, in the order of the keys.
    pub async fn records(&self, table: Table) -> Result<Vec<Record>, Error> {
        self.writer.run(move |connection| record::all(connection, table)).await
    }

    /// Takes records that cannot be read out of their table, and keeps them for whoever can make sense of them.
    pub async fn set_aside(&self, table: Table, records: Vec<Aside>) -> Result<(), Error> {
        self.writer.run(move |connection| record::set_aside(connection, table, &records)).await
    }

    /// The records that were set aside, the oldest first.
    pub async fn aside(&self) -> Result<Vec<Aside>, Error> {
        self.writer.run(record::aside).await
    }

    /// How often the store was opened. Numbers that are kept in memory begin anew with each life; this tells them apart.
    pub fn life(&self) -> u64 {
        self.life
    }

    /// What was committed after a revision: for a controller that was not first. `None` when it must [`Store::load`] instead.
    pub async fn later(&self, known: u64) -> Result<Option<Later>, Error> {
        let keys = Arc::clone(&self.keys);
        self.writer.run(move |connection| cluster::later(connection, &keys, known)).await
    }

    /// How many times commits were refused because another controller was first. Whoever commits lets those go first.
    pub fn refused_as_stale(&self) -> u64 {
        self.stale.load(Ordering::Relaxed)
    }

    /// The cluster as it is stored: for a controller that was not first, and for tests.
    pub async fn load(&self) -> Result<Cluster, Error> {
        let keys = Arc::clone(&self.keys);
        self.writer.run(move |connection| cluster::load(connection, &keys)).await
    }

    /// Whether changes are refused because the disk is nearly full.
    pub fn is_short_of_room(&self) -> bool {
        self.shortage.is_there()
    }

    /// The keys of what is secret.
    pub fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Makes a new key and seals everything with it, the history included; answers which it is. Killed at any moment, the store
    /// is sealed with one of the two keys and finds it when it is opened.
    pub async fn rotate_key(&self) -> Result<KeyId, Error> {
        let keys = Arc::clone(&self.keys);
        let rotate = move |connection: &_| {
            let new = keys.prepare()?;
            sealed::reseal(connection, &keys, &new, false)?;
            keys.promote(&new)?;
            sealed::clean(connection)?;
            Ok(keys.id())
        };
        self.writer.outside_transaction(rotate).await
    }

    /// Writes a copy of the whole store to a new file, consistent, while work goes on; answers the revision that it has.
    pub async fn backup(&self, file: std::path::PathBuf) -> Result<u64, Error> {
        self.writer.outside_transaction(move |connection| schema::backup(connection, &file)).await
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the lock tells nobody when it is free; the tries are bounded"
)]
fn lock(directory: &Path) -> Result<File, Error> {
    let failed = |source| Error::Directory { path: directory.to_owned(), source: Arc::new(source) };
    let private = |name: &str| {
        File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(directory.join(name))
            .map_err(failed)
    };
    let lock = private("perilune.lock")?;
    // The database holds passwords; the files that SQLite puts beside it get the mode that it has.
    drop(private(DATABASE)?);
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
    Err(Error::Locked { path: directory.to_owned() })
}
