//! What is remembered: the cluster, its history, leases, node states and jobs.
//!
//! One handle, two engines: an SQLite file in the data directory for one controller, and PostgreSQL for several. Both promise the
//! same, and `tests/contract` holds both to it.

mod commit;
mod contents;
mod controllers;
mod error;
mod fingerprint;
mod history;
mod key;
mod moving;
mod postgres;
mod program;
mod record;
mod sealed;
mod sqlite;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use commit::{Commit, Later};
pub use controllers::{Beat, Controller, Heard, MASTER_SECONDS, Master};
pub use error::Error;
pub use history::{Entry, Meta};
pub use key::{KeyId, Keys, looks_sealed};
pub use moving::Moved;
use perilune_model::{Change, Cluster};
use postgres::Postgres;
pub use postgres::{Address, Checked, Encryption, Follower, Host, Standby};
pub use program::{Newer, Program};
pub use record::{Aside, Expected, Record, Since, Table, TakeOver, Write, Written};
pub use sqlite::DATABASE;
use sqlite::Sqlite;

/// A handle on the store; clones share it. Work ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Store {
    engine: Engine,
    life: u64,
    keys: Arc<Keys>,
    program: Program,
    /// How many commits were refused because another was first.
    stale: Arc<AtomicU64>,
}

#[derive(Debug, Clone)]
enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Store {
    /// Opens the store in this directory, makes it where there is none, and loads the cluster. What is secret in it is sealed
    /// with the key of this file, which is made where nothing is sealed yet.
    ///
    /// [`Error::Locked`] when another process has it open, [`Error::WrongKey`] and its like when the key does not open it,
    /// [`Error::Unsound`] when a part of it is lost.
    pub fn open(directory: &Path, key_file: &Path) -> Result<(Self, Cluster), Error> {
        let sqlite::Opened { engine, life, keys, cluster } = Sqlite::open(directory, key_file)?;
        let engine = Engine::Sqlite(engine);
        let program = Program::THIS;
        Ok((Self { engine, life, keys, program, stale: Arc::default() }, cluster))
    }

    /// Opens the store in a PostgreSQL database that [`Store::prepare`] has prepared, and loads the cluster.
    ///
    /// `controller` is the name of this controller, which no other may have: what it alone does is stored under it.
    ///
    /// [`Error::Unprepared`] when it was not, [`Error::WrongKey`] when other controllers use another key, [`Error::NameTaken`] when a
    /// controller of this name runs, [`Error::Outdated`] when newer ones have stored what this program does not know.
    pub async fn connect(
        address: &Address,
        controller: &str,
        key_file: &Path,
    ) -> Result<(Self, Cluster), Error> {
        Self::connect_as(Program::THIS, address, controller, key_file).await
    }

    /// The same for another version of the program.
    pub async fn connect_as(
        program: Program,
        address: &Address,
        controller: &str,
        key_file: &Path,
    ) -> Result<(Self, Cluster), Error> {
        let postgres::Opened { engine, life, keys, cluster } =
            Postgres::open(program, address, controller, key_file).await?;
        let stale = Arc::clone(engine.refused());
        let engine = Engine::Postgres(engine);
        Ok((Self { engine, life, keys, program, stale }, cluster))
    }

    /// Makes the tables of the store in an empty PostgreSQL database, or brings them up to date, and notes the key of this file as the
    /// one that what is secret is sealed with. Answers what was there before: `None` when nothing was.
    pub async fn prepare(address: &Address, key_file: &Path) -> Result<Option<u32>, Error> {
        postgres::prepare(address, key_file).await
    }

    /// Whether all is there in a PostgreSQL database and this key opens it. Nothing is changed.
    pub async fn check(address: &Address, key_file: &Path) -> Result<Checked, Error> {
        postgres::check(address, key_file).await
    }

    /// Stores commits that were decided one after the other on the cluster of revision `base`; all of them or none. Durable when
    /// it returns. [`Error::Stale`] when the stored revision is another, [`Error::Full`] when the disk is nearly full: what is left is for
    /// records. [`Error::InDoubt`] when the database was lost meanwhile and does not tell: they may be stored.
    pub async fn apply(&self, base: u64, commits: impl Into<Arc<[Commit]>>) -> Result<u64, Error> {
        let commits = commits.into();
        match &self.engine {
            Engine::Sqlite(engine) => {
                let applied = engine.apply(&self.keys, base, commits).await;
                if matches!(applied, Err(Error::Stale { .. })) {
                    self.stale.fetch_add(1, Ordering::Relaxed);
                }
                applied
            }
            // Refusals are counted in the database, for all controllers.
            Engine::Postgres(engine) => engine.apply(&self.keys, base, &commits).await,
        }
    }

    /// Which version of the program this is.
    pub fn program(&self) -> Program {
        self.program
    }

    /// What is wanted where the server of the database acknowledges what it alone has.
    pub fn standby(&self) -> Standby {
        match &self.engine {
            Engine::Sqlite(_) => Standby::Optional,
            Engine::Postgres(engine) => engine.standby(),
        }
    }

    /// Refuses a change that other controllers could not read: [`Error::NotYet`].
    pub fn check_known_to_all(&self, change: &Change) -> Result<(), Error> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(()),
            Engine::Postgres(engine) => engine.check_known_to_all(change),
        }
    }

    /// Whether what this program cannot read may be of a newer one, for which it is to be left as it is.
    pub async fn may_have_newer(&self) -> Result<bool, Error> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(false),
            Engine::Postgres(engine) => engine.may_have_newer().await,
        }
    }

    /// Which of these keys name commits that are stored, and the revision of each.
    pub async fn committed(&self, keys: Vec<String>) -> Result<BTreeMap<String, u64>, Error> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.committed(keys).await,
            Engine::Postgres(engine) => engine.committed(&keys).await,
        }
    }

    /// The newest entries of the history, at most `limit`, before revision `before` where one is given. Newest first.
    pub async fn history(&self, before: Option<u64>, limit: u32) -> Result<Vec<Entry>, Error> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.history(&self.keys, before, limit).await,
            Engine::Postgres(engine) => engine.history(&self.keys, before, limit).await,
        }
    }

    /// The entries of the history from one revision to another, both included. Oldest first.
    pub async fn history_between(&self, first: u64, last: u64) -> Result<Vec<Entry>, Error> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.history_between(&self.keys, first, last).await,
            Engine::Postgres(engine) => engine.history_between(&self.keys, first, last).await,
        }
    }

    /// Writes records, each if its record is as the writer expects. Durable when it returns; what became of each is told in order.
    pub async fn put_if(&self, table: Table, writes: Vec<Write>) -> Result<Vec<Written>, Error> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.put_if(table, writes).await,
            Engine::Postgres(engine) => engine.put_if(table, &writes).await,
        }
    }

    /// What was changed in a table after a change with this number.
    pub async fn since(&self, table: Table, sequence: u64) -> Result<Since, Error> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.since(table, sequence).await,
            Engine::Postgres(engine) => engine.since(table, sequence).await,
        }
    }

    /// Every record of a table, in the order of the keys.
    pub async fn records(&self, table: Table) -> Result<Vec<Record>, Error> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.records(table).await,
            Engine::Postgres(engine) => engine.records(table).await,
        }
    }

    /// Every record that other controllers have of a table of which each has its own, with the name of the controller.
    pub async fn records_of_others(&self, table: Table) -> Result<Vec<(String, Record)>, Error> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(Vec::new()),
            Engine::Postgres(engine) => engine.records_of_others(table).await,
        }
    }

    /// Takes a record over from a controller that does not run. `false` where nothing was done: that one was heard meanwhile, or has changed
    /// the record, or another has taken it.
    pub async fn take_over(&self, taking: &TakeOver) -> Result<bool, Error> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(false),
            Engine::Postgres(engine) => engine.take_over(taking).await,
        }
    }

    /// Takes records that cannot be read out of their table, and keeps them for whoever can make sense of them.
    pub async fn set_aside(&self, table: Table, records: Vec<Aside>) -> Result<(), Error> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.set_aside(table, records).await,
            Engine::Postgres(engine) => engine.set_aside(table, &records).await,
        }
    }

    /// The records that were set aside, the oldest first.
    pub async fn aside(&self) -> Result<Vec<Aside>, Error> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.aside().await,
            Engine::Postgres(engine) => engine.aside().await,
        }
    }

    /// How often the store was opened, by whomever. Numbers that are kept in memory begin anew with each life; this tells them apart.
    pub fn life(&self) -> u64 {
        self.life
    }

    /// What was committed after a revision: for a controller that was not first. `None` when it must [`Store::load`] instead.
    pub async fn later(&self, known: u64) -> Result<Option<Later>, Error> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.later(&self.keys, known).await,
            Engine::Postgres(engine) => engine.later(&self.keys, known).await,
        }
    }

    /// How many times commits were refused because another controller was first. Whoever commits lets those go first.
    pub fn refused_as_stale(&self) -> u64 {
        self.stale.load(Ordering::Relaxed)
    }

    /// The cluster as it is stored: for a controller that was not first, and for tests.
    pub async fn load(&self) -> Result<Cluster, Error> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.load(&self.keys).await,
            Engine::Postgres(engine) => engine.load(&self.keys).await,
        }
    }

    /// Tells of commits of other controllers; `None` where there can be none.
    pub fn follow(&self) -> Option<Follower> {
        match &self.engine {
            Engine::Sqlite(_) => None,
            Engine::Postgres(engine) => Some(engine.follow()),
        }
    }

    /// Whether other controllers may change what is stored.
    pub fn is_shared(&self) -> bool {
        matches!(self.engine, Engine::Postgres(_))
    }

    /// Whether changes are refused because the disk is nearly full.
    pub fn is_short_of_room(&self) -> bool {
        match &self.engine {
            Engine::Sqlite(engine) => engine.is_short_of_room(),
            // The disk is the database server's; it refuses by itself.
            Engine::Postgres(_) => false,
        }
    }

    /// The keys of what is secret.
    pub fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Makes a new key and seals everything with it, the history included; answers which it is. Killed at any moment, the store
    /// is sealed with one of the two keys and finds it when it is opened.
    pub async fn rotate_key(&self) -> Result<KeyId, Error> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.rotate_key(&self.keys).await,
            Engine::Postgres(_) => Err(Error::OnlyEmbedded { what: "replacing the key" }),
        }
    }

    /// Writes a copy of the whole store to a new file, consistent, while work goes on; answers the revision that it has.
    pub async fn backup(&self, file: PathBuf) -> Result<u64, Error> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.backup(file).await,
            Engine::Postgres(_) => Err(Error::OnlyEmbedded { what: "a backup by the daemon" }),
        }
    }
}
