//! The engine for several controllers: a PostgreSQL database (13 or newer) that all of them use.
//!
//! A commit is one statement, so that the row of the revision is locked for one round trip only; it tells other controllers by one
//! NOTIFY. Nothing else does: a transaction with a NOTIFY waits for all others of the server. What a lost connection leaves in doubt
//! is found out (`doubt.rs`) before anybody is answered.

mod address;
mod agreed;
mod cluster;
mod contents;
mod controllers;
mod doubt;
mod follow;
mod format;
mod link;
mod record;
mod schema;
mod standby;
mod take_over;
mod words;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

pub use address::{Address, Encryption, Host, Standby};
pub(crate) use contents::{contents, fill};
use doubt::Doubt;
pub use follow::Follower;
use format::Agreed;
use link::{Link, Listening};
use perilune_model::Cluster;
pub(crate) use schema::prepare;
use words::{NAME_PAUSE, NAME_TRIES, board_of};

use crate::{
    Aside, Commit, Entry, Error, Keys, Later, Program, Record, Since, Table, Write, Written,
};

/// A handle on the database; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Postgres {
    link: Link,
    program: Program,
    agreed: Arc<Agreed>,
    /// What messages call the database.
    database: Arc<str>,
    /// The name of this controller.
    controller: Arc<str>,
    /// The connection that holds the name, until somebody follows on it.
    first: Arc<Mutex<Option<Listening>>>,
    doubt: Arc<Doubt>,
    /// How many commits of any controller were refused because another was first, as of the last commit here.
    refused: Arc<AtomicU64>,
}

/// What a database that was checked is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The version of the server.
    pub server: String,
    /// The layout of the tables.
    pub layout: u32,
    /// The revision of the cluster.
    pub revision: u64,
}

/// Whether all is there and the key opens it.
pub(crate) async fn check(address: &Address, key_file: &Path) -> Result<Checked, Error> {
    let link = Link::new(address)?;
    let client = link.any().await?;
    let needed = schema::check(&client, address).await?;
    let keys = Keys::load(key_file, Some(needed), false)?;
    let cluster = whole(&client, &keys, address).await?;
    let server = client.query_one("SELECT current_setting('server_version')", &[]).await?;
    let (server, revision) = (server.try_get(0)?, cluster.revision());
    Ok(Checked { server, layout: schema::newest(), revision })
}

/// The cluster, if nothing of it is missing.
async fn whole(
    client: &tokio_postgres::Client,
    keys: &Keys,
    address: &Address,
) -> Result<Cluster, Error> {
    let wrong = |wrong| Error::Incomplete { database: address.to_string(), wrong };
    if let Some(found) = schema::look_for_gaps(client).await? {
        return Err(wrong(found));
    }
    cluster::load(client, keys).await.map_err(|error| match error {
        Error::Corrupt { table, key, source } => {
            wrong(format!("the {table} '{key}' cannot be read ({source})"))
        }
        other => other,
    })
}

/// What was found when the database was opened.
pub(crate) struct Opened {
    pub(crate) engine: Postgres,
    pub(crate) life: u64,
    pub(crate) keys: Arc<Keys>,
    pub(crate) cluster: Cluster,
}

impl Postgres {
    pub(crate) async fn open(
        program: Program,
        address: &Address,
        controller: &str,
        key_file: &Path,
    ) -> Result<Opened, Error> {
        let engine = Self {
            link: Link::new(address)?,
            program,
            agreed: Arc::default(),
            database: address.to_string().into(),
            controller: controller.into(),
            first: Arc::default(),
            doubt: Arc::default(),
            refused: Arc::default(),
        };
        let client = engine.link.any().await?;
        // Whoever changes the tables sees this connection, or is waited for.
        schema::wait_until_prepared(&client).await?;
        let needed = schema::check(&client, address).await?;
        engine.head(&client).await?;
        let keys = Arc::new(Keys::load(key_file, Some(needed), false)?);
        let listening = engine.listen_as().await?;
        *engine.first.lock().unwrap_or_else(PoisonError::into_inner) = Some(listening);
        // What is read from here on is on the standby as well.
        match engine.barrier_in_time().await {
            Ok(()) | Err(Error::NoStandby) => {}
            Err(error) => return Err(error),
        }
        let boards = Table::ALL.map(|table| engine.board(table));
        let life = schema::begin_life(&client, &boards).await?;
        let cluster = whole(&client, &keys, address).await?;
        Ok(Opened { engine, life, keys, cluster })
    }

    /// A connection that is told of commits, and that holds the name of this controller. A controller that was killed has let go of it
    /// when the server has noticed.
    async fn listen_as(&self) -> Result<Listening, Error> {
        for _ in 0..NAME_TRIES {
            let listening = self.link.listen(&self.controller).await?;
            if listening.holds_name {
                return Ok(listening);
            }
            tokio::time::sleep(NAME_PAUSE).await;
        }
        let (name, database) = (self.controller.to_string(), self.database.to_string());
        Err(Error::NameTaken { name, database })
    }

    /// What a table is called in the database.
    fn board(&self, table: Table) -> String {
        board_of(table, &self.controller)
    }

    pub(crate) fn refused(&self) -> &Arc<AtomicU64> {
        &self.refused
    }

    pub(crate) fn standby(&self) -> Standby {
        self.link.standby()
    }

    pub(crate) async fn apply(
        &self,
        keys: &Keys,
        base: u64,
        commits: &[Commit],
    ) -> Result<u64, Error> {
        self.noting(self.commit(keys, base, commits)).await
    }

    pub(crate) async fn history(
        &self,
        keys: &Keys,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Entry>, Error> {
        let read = async { cluster::history(&*self.link.any().await?, keys, before, limit).await };
        self.noting(read).await
    }

    pub(crate) async fn history_between(
        &self,
        keys: &Keys,
        first: u64,
        last: u64,
    ) -> Result<Vec<Entry>, Error> {
        let read = async { cluster::between(&*self.link.any().await?, keys, first, last).await };
        self.noting(read).await
    }

    pub(crate) async fn committed(&self, keys: &[String]) -> Result<BTreeMap<String, u64>, Error> {
        let read = async { cluster::committed(&*self.link.any().await?, keys).await };
        self.noting(read).await
    }

    pub(crate) async fn later(&self, keys: &Keys, known: u64) -> Result<Option<Later>, Error> {
        let read = async {
            let client = self.link.any().await?;
            let head = self.head(&client).await?;
            cluster::later(&client, keys, known, head.revision).await
        };
        self.noting(read).await
    }

    pub(crate) async fn load(&self, keys: &Keys) -> Result<Cluster, Error> {
        let read = async {
            let client = self.link.any().await?;
            self.head(&client).await?;
            cluster::load(&client, keys).await
        };
        self.noting(read).await
    }

    pub(crate) async fn put_if(
        &self,
        table: Table,
        writes: &[Write],
    ) -> Result<Vec<Written>, Error> {
        self.write_records(table, writes).await
    }

    pub(crate) async fn since(&self, table: Table, sequence: u64) -> Result<Since, Error> {
        let read =
            async { record::since(&*self.link.any().await?, &self.board(table), sequence).await };
        self.noting(read).await
    }

    pub(crate) async fn records(&self, table: Table) -> Result<Vec<Record>, Error> {
        let read = async { record::all(&*self.link.any().await?, &self.board(table)).await };
        self.noting(read).await
    }

    pub(crate) async fn records_of_others(
        &self,
        table: Table,
    ) -> Result<Vec<(String, Record)>, Error> {
        let (all, own) = (board_of(table, ""), self.board(table));
        let read = async { record::of_others(&*self.link.any().await?, (&all, &own)).await };
        self.noting(read).await
    }

    pub(crate) async fn set_aside(&self, table: Table, records: &[Aside]) -> Result<(), Error> {
        let write = async { record::set_aside(&*self.link.any().await?, records).await };
        self.noting(write).await?;
        let gone: Vec<Write> =
            records.iter().map(|record| Write::remove(record.key.clone())).collect();
        self.write_records(table, &gone).await.map(drop)
    }

    pub(crate) async fn aside(&self) -> Result<Vec<Aside>, Error> {
        let read = async { record::aside(&*self.link.any().await?).await };
        self.noting(read).await
    }

    pub(crate) fn follow(&self) -> Follower {
        Follower::new(
            self.clone(),
            self.first.lock().unwrap_or_else(PoisonError::into_inner).take(),
        )
    }

    /// Forgets connections that a failure shows to be of no use.
    async fn noting<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let result = work.await;
        if let Err(error) = &result {
            self.link.note(error);
        }
        result
    }
}
