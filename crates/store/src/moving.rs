//! Everything of one engine brought to the other: objects, history, records and what was set aside, as they are stored. What is sealed
//! stays sealed: both are of one key.

use std::path::Path;

use perilune_model::Cluster;

use crate::contents::Contents;
use crate::postgres::Postgres;
use crate::sqlite::Sqlite;
use crate::{Address, Error, Program, Store, postgres, sqlite};

/// What was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The revision of the cluster.
    pub revision: u64,
    /// How many objects.
    pub objects: usize,
    /// How many entries of the history.
    pub entries: usize,
    /// How many records: leases, states of nodes, jobs and their like.
    pub records: usize,
}

impl Contents {
    fn counted(&self) -> Moved {
        let records = self.boards.iter().flat_map(|board| &board.records);
        Moved {
            revision: self.revision,
            objects: self.objects.len(),
            entries: self.history.len(),
            records: records.filter(|record| record.body.is_some()).count(),
        }
    }
}

impl Store {
    /// Copies the embedded database of a directory, which no daemon has open, to an empty PostgreSQL database. All of it is there or
    /// nothing, and is read again before this returns. The embedded one stays as it is.
    pub async fn move_to_postgres(
        directory: &Path,
        (address, controller): (&Address, &str),
        key_file: &Path,
    ) -> Result<Moved, Error> {
        let sqlite::Opened { engine, cluster, .. } = Sqlite::open(directory, key_file)?;
        Self::prepare(address, key_file).await?;
        let contents = engine.contents().await?;
        let moved = contents.counted();
        postgres::fill(address, controller, contents).await?;
        let (_, there) = Self::connect(address, controller, key_file).await?;
        compare(&cluster, &there, &address.to_string())?;
        Ok(moved)
    }

    /// Copies a PostgreSQL database, which no controller has open, to a new embedded one in a directory. What other controllers were doing
    /// themselves (jobs) and have seen (audit) is left out.
    pub async fn move_to_embedded(
        (address, controller): (&Address, &str),
        directory: &Path,
        key_file: &Path,
    ) -> Result<Moved, Error> {
        let postgres::Opened { engine, cluster, .. } =
            Postgres::open(Program::THIS, address, controller, key_file).await?;
        drop(engine);
        let contents = postgres::contents(address, controller).await?;
        let moved = contents.counted();
        let sqlite::Opened { engine, keys, .. } = Sqlite::open(directory, key_file)?;
        engine.fill(contents, directory).await?;
        let there = engine.load(&keys).await?;
        compare(&cluster, &there, &directory.display().to_string())?;
        Ok(moved)
    }
}

fn compare(from: &Cluster, to: &Cluster, database: &str) -> Result<(), Error> {
    if from == to && from.revision() == to.revision() {
        return Ok(());
    }
    let wrong = "it is not what was copied to it".to_owned();
    Err(Error::Incomplete { database: database.to_owned(), wrong })
}
