//! Commits, and what became of one whose connection was lost.
//!
//! A server that is lost after it was sent a commit may have stored it or not, and one that was disturbed while it waited for its standby
//! says that it has when the standby has not: it only warns. In both cases a *barrier* is written: a change of the fence, which every
//! commit depends on. It is acknowledged when all commits before it are where they are promised to be, and no commit that was sent before
//! can be stored after it. Whether the token of the commit is in the history is then the truth.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use futures_util::join;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::types::ToSql;

use super::Postgres;
use super::cluster::{Batch, COMMIT};
use super::schema::number;
use super::standby::Guard;
use crate::commit::KEYS;
use crate::{Commit, Error, Keys};

/// How long a commit may take. It is not cancelled then, only not waited for: it may be stored.
pub(super) const LONGEST_COMMIT: Duration = Duration::from_secs(20);
/// How long it is tried to find out what became of a commit.
const LONGEST_DOUBT: Duration = Duration::from_secs(10);
/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_millis(100);
/// As often is a commit sent again when only the fence has changed.
const FENCES: u32 = 8;

const BARRIER: &str = "UPDATE head SET fence = fence + 1 RETURNING fence";

/// What is known about the end of the history.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// The fence as of now, as far as this controller knows.
    fence: AtomicI64,
    /// There is a commit of which nobody knows whether it is stored. Nothing else is sent before that is known: each would wait for the
    /// one before in the server, and hold a connection there.
    is_open: AtomicBool,
    /// One barrier at a time, for the same reason.
    barrier: Arc<Mutex<()>>,
}

impl Doubt {
    pub(super) fn open(&self) {
        self.is_open.store(true, Ordering::Release);
    }
}

/// What became of a commit that was sent.
enum Sent {
    Stored { revision: u64, refused: u64 },
    NotStored(Error),
    Unknown,
}

impl Postgres {
    /// Stores commits after the revision that they were decided on; answers the new revision.
    pub(super) async fn commit(
        &self,
        keys: &Keys,
        base: u64,
        commits: &[Commit],
    ) -> Result<u64, Error> {
        let batch = Batch::new(keys, commits)?;
        self.close_doubt().await?;
        for _ in 0..FENCES {
            let warnings = self.link.warnings();
            match self.send(base, &batch).await? {
                Sent::Stored { revision, refused } if self.link.warnings() == warnings => {
                    self.refused.store(refused, Ordering::Relaxed);
                    return Ok(revision);
                }
                Sent::Stored { .. } | Sent::Unknown => {
                    if let Some(revision) = self.find_out(&batch).await? {
                        return Ok(revision);
                    }
                }
                Sent::NotStored(Error::Stale { stored, expected }) if stored == expected => {}
                Sent::NotStored(error) => return Err(error),
            }
        }
        Err(Error::Stale { stored: base, expected: base })
    }

    /// Sends commits. An error means that they were not sent.
    async fn send(&self, base: u64, batch: &Batch) -> Result<Sent, Error> {
        let client = self.link.for_commits().await?;
        let statement = client.prepare_cached(COMMIT).await?;
        let guard = Guard::new(&self.link, &client).await?;
        let fence = self.doubt.fence.load(Ordering::Acquire);
        let (format, requires_standby) = (self.agreed.format(), self.link.requires_standby());
        let format_number = i32::try_from(format).unwrap_or(i32::MAX);
        let count = i64::try_from(batch.tokens.len()).unwrap_or(i64::MAX);
        let base_number = number(base);
        let Batch { at, authors, origins, actions, edits, inverses, tokens, .. } = batch;
        let Batch { kinds, names, bodies, marks, keys, .. } = batch;
        let parameters: [&(dyn ToSql + Sync); 18] = [
            &base_number,
            &fence,
            &count,
            at,
            authors,
            origins,
            actions,
            edits,
            inverses,
            tokens,
            kinds,
            names,
            bodies,
            marks,
            keys,
            &KEYS,
            &format_number,
            &requires_standby,
        ];
        let sent = async { join!(client.query_opt(&statement, &parameters), guard.holds(&client)) };
        let Ok((answer, guarded)) = timeout(LONGEST_COMMIT, sent).await else {
            // Nobody may use this connection again: the next statement on it would wait as well.
            drop(deadpool_postgres::Object::take(client));
            return Ok(Sent::Unknown);
        };
        let row = match answer.map_err(Error::from) {
            Ok(row) => row,
            Err(error) if error.is_away() => {
                self.link.note(&error);
                return Ok(Sent::Unknown);
            }
            // One of the keys was stored after it was looked for: the commits are decided again, which finds it.
            Err(error) if error.is_doubled() => {
                return Err(Error::Stale { stored: base, expected: base });
            }
            Err(error) => return Ok(Sent::NotStored(error)),
        };
        if let Some(row) = row {
            if !matches!(guarded, Ok(true)) {
                return Ok(Sent::Unknown);
            }
            let revision = row.try_get::<_, i64>(0)?.unsigned_abs();
            let refused = row.try_get::<_, i64>(1)?.unsigned_abs();
            return Ok(Sent::Stored { revision, refused });
        }
        let head = self.head(&client).await?;
        self.doubt.fence.store(head.fence, Ordering::Release);
        let stored = head.revision;
        if stored == base && requires_standby && !head.waits_for_standby {
            return Ok(Sent::NotStored(Error::NoStandby));
        }
        if stored == base && head.format < format {
            // A failover has taken it back: whatever was decided may be too new for others.
            return Err(Error::Stale { stored, expected: base });
        }
        if stored != base {
            // Whoever commits lets those go first who were not. That it is counted need not outlive anything.
            let count = "BEGIN; SET LOCAL synchronous_commit = off; UPDATE meta SET value = value + 1 WHERE key = 'refused'; COMMIT";
            client.batch_execute(count).await?;
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Sent::NotStored(Error::Stale { stored, expected: base }))
    }

    /// Whether commits of which nothing is known are stored, and as which revision. [`Error::InDoubt`] when the database does not tell in
    /// time.
    async fn find_out(&self, batch: &Batch) -> Result<Option<u64>, Error> {
        self.doubt.open();
        // All are stored or none, so that one tells of all.
        let Some(token) = batch.tokens.last() else { return Ok(None) };
        let end = Instant::now() + LONGEST_DOUBT;
        tracing::warn!(
            "the database was lost, or has warned, while a change was stored; looking for the change"
        );
        loop {
            let found = timeout_at(end, self.look_for(token)).await;
            match found {
                Ok(Ok(found)) => {
                    tracing::info!(stored = found.is_some(), "what became of the change is known");
                    return Ok(found);
                }
                Ok(Err(error)) => self.link.note(&error),
                Err(_elapsed) => {}
            }
            if Instant::now() + PAUSE >= end {
                tracing::error!("the database does not tell whether a change is stored");
                return Err(Error::InDoubt);
            }
            sleep(PAUSE).await;
        }
    }

    async fn look_for(&self, token: &str) -> Result<Option<u64>, Error> {
        self.barrier().await?;
        let client = self.link.any().await?;
        let sql = "SELECT revision FROM history WHERE token = $1::text::uuid";
        let row = client.query_opt(sql, &[&token]).await?;
        let revision = row.map(|row| row.try_get::<_, i64>(0)).transpose()?;
        Ok(revision.map(i64::unsigned_abs))
    }

    /// Writes a barrier: what is read afterwards is as safe as a commit, and what was sent before is stored now or never.
    pub(super) async fn barrier(&self) -> Result<(), Error> {
        let turn = Arc::clone(&self.doubt.barrier).lock_owned().await;
        let (link, doubt) = (self.link.clone(), Arc::clone(&self.doubt));
        // It is waited for to the end, whoever asked for it: each that was left alone would hold a connection of the server while that
        // waits for its standby.
        let write = async move {
            let _turn = turn;
            let client = link.for_commits().await?;
            let guard = Guard::new(&link, &client).await?;
            let statement = client.prepare_cached(BARRIER).await?;
            let warnings = link.warnings();
            let sent = async { join!(client.query_one(&statement, &[]), guard.holds(&client)) };
            let (row, guarded) = sent.await;
            let fence: i64 = row?.try_get(0)?;
            if link.warnings() != warnings {
                return Err(Error::NoAnswer);
            }
            if !guarded? {
                return Err(Error::NoStandby);
            }
            doubt.fence.store(fence, Ordering::Release);
            doubt.is_open.store(false, Ordering::Release);
            Ok(())
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends when the server answers or its connection is lost, which keepalives find out"
        )]
        let written = tokio::spawn(write).await;
        written.unwrap_or(Err(Error::Closed))
    }

    /// Waits until nothing is in doubt any more; nothing is sent before.
    pub(super) async fn close_doubt(&self) -> Result<(), Error> {
        if self.doubt.is_open.load(Ordering::Acquire) {
            self.barrier_in_time().await?;
        }
        Ok(())
    }

    /// A barrier that is not waited for longer than anybody waits.
    pub(super) async fn barrier_in_time(&self) -> Result<(), Error> {
        match timeout(LONGEST_DOUBT, self.barrier()).await {
            Ok(written) => written,
            Err(_elapsed) => Err(Error::NoAnswer),
        }
    }
}
