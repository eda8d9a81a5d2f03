//! The embedded engine: one SQLite file in the data directory, for one controller.
//!
//! One thread writes. It stores all work that is waiting in one transaction (group commit) and answers when that is durable, so that
//! a thousand writers cost a few synchronous writes of the disk.

mod cluster;
mod contents;
mod fingerprint;
mod history;
mod record;
mod schema;
mod sealed;
mod sound;
mod space;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perilune_model::Cluster;
use rusqlite::Connection;
use space::{Shortage, Space};
use writer::Writer;

use crate::contents::Contents;
use crate::{
    Aside, Commit, Entry, Error, KeyId, Keys, Later, Record, Since, Table, Write, Written,
};

/// The file of the embedded database, in the data directory.
pub const DATABASE: &str = "perilune.db";
/// A store that was closed a moment ago holds its lock until its last write is done.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// A handle on the database file; clones share it. Work ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Sqlite {
    writer: Writer,
    shortage: Shortage,
}

/// What was found when the file was opened.
pub(crate) struct Opened {
    pub(crate) engine: Sqlite,
    pub(crate) life: u64,
    pub(crate) keys: Arc<Keys>,
    pub(crate) cluster: Cluster,
}

impl Sqlite {
    pub(crate) fn open(directory: &Path, key_file: &Path) -> Result<Opened, Error> {
        let lock = lock(directory)?;
        let file = directory.join(DATABASE);
        let damaged = |error: Error| error.at_opening(&file);
        let unusable =
            |source| Error::Directory { path: directory.to_owned(), source: Arc::new(source) };
        sound::check_not_empty(&file, sound::was_made(&lock).map_err(unusable)?)?;
        let connection = schema::open(&file).map_err(damaged)?;
        // Two that read all of the file side by side: a start waits for one of them. What is read is used only when the file is whole.
        let (checked, loaded) = std::thread::scope(|scope| {
            let checking = scope.spawn(|| sound::check(&schema::beside(&file)?, &file));
            let loaded = load_with_known_key(&connection, key_file);
            (checking.join().unwrap_or_else(|panic| resume_unwind(panic)), loaded)
        });
        checked.map_err(damaged)?;
        let unreadable = |error: Error| sound::unreadable(damaged(error), &file);
        let (keys, cluster) = match loaded.map_err(unreadable)? {
            Some(loaded) => loaded,
            None => load_with_another_key(&connection, key_file).map_err(unreadable)?,
        };
        sealed::clean(&connection).map_err(damaged)?;
        let life = schema::begin_life(&connection).map_err(damaged)?;
        sound::note_made(&lock).map_err(unusable)?;
        schema::forget_pages(&connection).map_err(damaged)?;
        let shortage = Shortage::default();
        let writer = Writer::start(connection, lock, Space::new(directory, shortage.clone()))?;
        Ok(Opened { engine: Self { writer, shortage }, life, keys: Arc::new(keys), cluster })
    }

    pub(crate) async fn apply(
        &self,
        keys: &Arc<Keys>,
        base: u64,
        commits: Arc<[Commit]>,
    ) -> Result<u64, Error> {
        let (keys, shortage) = (Arc::clone(keys), self.shortage.clone());
        let apply = move |connection: &_| {
            shortage.check()?;
            cluster::apply(connection, &keys, base, &commits)
        };
        self.writer.run(apply).await
    }

    pub(crate) async fn history(
        &self,
        keys: &Arc<Keys>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Entry>, Error> {
        let keys = Arc::clone(keys);
        self.writer.run(move |connection| history::list(connection, &keys, before, limit)).await
    }

    pub(crate) async fn history_between(
        &self,
        keys: &Arc<Keys>,
        first: u64,
        last: u64,
    ) -> Result<Vec<Entry>, Error> {
        let keys = Arc::clone(keys);
        self.writer.run(move |connection| history::between(connection, &keys, first, last)).await
    }

    pub(crate) async fn committed(
        &self,
        keys: Vec<String>,
    ) -> Result<BTreeMap<String, u64>, Error> {
        self.writer.run(move |connection| cluster::committed(connection, &keys)).await
    }

    pub(crate) async fn put_if(
        &self,
        table: Table,
        writes: Vec<Write>,
    ) -> Result<Vec<Written>, Error> {
        self.writer.run(move |connection| record::put_if(connection, table, &writes)).await
    }

    pub(crate) async fn since(&self, table: Table, sequence: u64) -> Result<Since, Error> {
        self.writer.run(move |connection| record::since(connection, table, sequence)).await
    }

    pub(crate) async fn records(&self, table: Table) -> Result<Vec<Record>, Error> {
        self.writer.run(move |connection| record::all(connection, table)).await
    }

    pub(crate) async fn set_aside(&self, table: Table, records: Vec<Aside>) -> Result<(), Error> {
        self.writer.run(move |connection| record::set_aside(connection, table, &records)).await
    }

    pub(crate) async fn aside(&self) -> Result<Vec<Aside>, Error> {
        self.writer.run(record::aside).await
    }

    pub(crate) async fn later(&self, keys: &Arc<Keys>, known: u64) -> Result<Option<Later>, Error> {
        let keys = Arc::clone(keys);
        self.writer.run(move |connection| cluster::later(connection, &keys, known)).await
    }

    pub(crate) async fn load(&self, keys: &Arc<Keys>) -> Result<Cluster, Error> {
        let keys = Arc::clone(keys);
        self.writer.run(move |connection| cluster::load(connection, &keys)).await
    }

    /// All that is stored.
    pub(crate) async fn contents(&self) -> Result<Contents, Error> {
        self.writer.run(contents::read).await
    }

    /// Takes all that another store has, into a database in which nothing is yet.
    pub(crate) async fn fill(&self, all: Contents, directory: &Path) -> Result<(), Error> {
        let place = directory.display().to_string();
        let fill = move |connection: &_| {
            let there = contents::read(connection)?;
            if there.revision > 0 || there.boards.iter().any(|board| !board.records.is_empty()) {
                return Err(Error::NotEmpty { place });
            }
            contents::write(connection, &all)
        };
        self.writer.run(fill).await
    }

    pub(crate) fn is_short_of_room(&self) -> bool {
        self.shortage.is_there()
    }

    pub(crate) async fn rotate_key(&self, keys: &Arc<Keys>) -> Result<KeyId, Error> {
        let keys = Arc::clone(keys);
        let rotate = move |connection: &_| {
            let new = keys.prepare()?;
            sealed::reseal(connection, &keys, &new, false)?;
            keys.promote(&new)?;
            sealed::clean(connection)?;
            Ok(keys.id())
        };
        self.writer.outside_transaction(rotate).await
    }

    pub(crate) async fn backup(&self, file: PathBuf) -> Result<u64, Error> {
        self.writer.outside_transaction(move |connection| schema::backup(connection, &file)).await
    }
}

/// The cluster, when the key is there that the database says it is sealed with. Writes nothing, neither there nor beside.
fn load_with_known_key(
    connection: &Connection,
    key_file: &Path,
) -> Result<Option<(Keys, Cluster)>, Error> {
    let Some(needed) = sealed::needed(connection)? else { return Ok(None) };
    match Keys::load(key_file, Some(needed), false) {
        Ok(keys) => {
            let cluster = cluster::load(connection, &keys)?;
            Ok(Some((keys, cluster)))
        }
        Err(Error::WrongKey { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The cluster, with a key that is made now or takes the place of the one that was named.
fn load_with_another_key(
    connection: &Connection,
    key_file: &Path,
) -> Result<(Keys, Cluster), Error> {
    let needed = sealed::needed(connection)?;
    let may_make = needed.is_none() && !sealed::has_tokens(connection)?;
    let (keys, is_new) = match Keys::load(key_file, needed, may_make) {
        // Another key may take the place of one that has sealed nothing: that of a site which is taken over.
        Err(Error::WrongKey { .. }) if !sealed::is_in_use(connection)? => {
            (Keys::load(key_file, None, true)?, true)
        }
        loaded => (loaded?, needed.is_none()),
    };
    if is_new {
        sealed::reseal(connection, &keys, &keys, true)?;
    }
    let cluster = cluster::load(connection, &keys)?;
    Ok((keys, cluster))
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
