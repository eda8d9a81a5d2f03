//! A board as it was stored.

use std::fmt::Display;
use std::panic::resume_unwind;
use std::sync::Arc;

use perilune_store::{Aside, Record, Store, Table};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::{JoinError, spawn_blocking};

use crate::board::{Board, Durability, Rules, Shared};
use crate::writer::Writer;

/// A record that could not be read. It is kept aside in the store, and its key is free; where a newer version may have made it, it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The table.
    pub table: &'static str,
    /// The key.
    pub key: String,
    /// Why it could not be read.
    pub reason: String,
}

impl<K, V> Board<K, V>
where
    K: Ord + Clone + Display + Send + Sync + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// The board that is stored in this table, what must run for changes to be stored, and what could not be read, which is set aside.
    pub async fn open(
        store: &Store,
        table: Table,
        key: fn(&str) -> Option<K>,
        durability: Durability,
        rules: Rules,
    ) -> Result<(Self, Writer<K, V>, Vec<Unreadable>), perilune_store::Error> {
        let records = store.records(table).await?;
        let shared = Shared::new(store.life(), rules, Some(durability));
        let board = Arc::clone(&shared);
        // A start opens many boards at once: on a thread of its own, each is taken apart while the next is read from the store.
        let restoring = spawn_blocking(move || restore(&board, records, table, key)).await;
        let (known, aside) = match restoring.map_err(JoinError::try_into_panic) {
            Ok(restored) => restored,
            Err(Ok(panic)) => resume_unwind(panic),
            Err(Err(_cancelled)) => return Err(perilune_store::Error::Closed),
        };
        let unreadable = report(table, &aside);
        // A controller of a newer version can read what is its own, and goes by it.
        if !aside.is_empty() && !store.may_have_newer().await? {
            store.set_aside(table, aside).await?;
        }
        let (alive, all_gone) = mpsc::channel(1);
        let writer = Writer::new(&shared, store.clone(), table, key, known, all_gone);
        Ok((Self::stored(shared, alive), writer, unreadable))
    }
}

/// Puts records on a new board. Answers the last sequence, and what could not be read.
fn restore<K, V>(
    shared: &Shared<K, V>,
    mut records: Vec<Record>,
    table: Table,
    key: fn(&str) -> Option<K>,
) -> (u64, Vec<Aside>)
where
    K: Ord + Clone,
    V: DeserializeOwned,
{
    // So that who is first to go when there are too many is the same as before.
    records.sort_by_key(|record| record.sequence);
    let (mut known, mut aside) = (0, Vec::new());
    let mut inner = shared.lock();
    for record in records {
        known = record.sequence;
        match read(&record, key) {
            Ok((key, value)) => inner.restore(&key, value, record.sequence),
            Err(reason) => aside.push(Aside {
                table: table.word().to_owned(),
                key: record.key,
                body: record.body.unwrap_or_default(),
                reason,
            }),
        }
    }
    shared.publish(&inner);
    (known, aside)
}

/// What a record says, or why that cannot be read.
pub(crate) fn read<K, V: DeserializeOwned>(
    record: &Record,
    key: fn(&str) -> Option<K>,
) -> Result<(K, V), String> {
    let key = key(&record.key).ok_or_else(|| format!("invalid key '{}'", record.key))?;
    let body = record.body.as_deref().unwrap_or_default();
    let value = serde_json::from_str(body).map_err(|error| error.to_string())?;
    Ok((key, value))
}

fn report(table: Table, aside: &[Aside]) -> Vec<Unreadable> {
    let table = table.word();
    let mut unreadable = Vec::new();
    for Aside { key, reason, .. } in aside {
        tracing::error!(table, key, reason, "a stored record cannot be read; it is kept");
        unreadable.push(Unreadable { table, key: key.clone(), reason: reason.clone() });
    }
    unreadable
}
