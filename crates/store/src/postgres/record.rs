//! Plain records in one table, with a number for each change.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::join;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::Postgres;
use super::doubt::LONGEST_COMMIT;
use super::schema::number;
use super::standby::Guard;
use super::words::text;
use crate::record::{KEPT_ASIDE, REMEMBERED};
use crate::{Aside, Error, Expected, Record, Since, Table, Write, Written};

/// How long it is tried to find out what became of writes whose connection was lost.
const LONGEST_DOUBT: Duration = Duration::from_secs(10);
/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// Numbers of a table are given, and seen by others, in the order in which their writers hold its row. The statement after this one sees
/// everything that was written before; in one statement with it, it would not.
const LOCK: &str = "SELECT last FROM board WHERE board = $1 FOR UPDATE";
/// `expected` is no number for anything, and -1 for no record.
const PUT: &str = "
    WITH input AS (
        SELECT i.key, i.body, i.expected, i.place
        FROM unnest($2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY AS i (key, body, expected, place)
    ), accepted AS (
        SELECT i.key, i.body, i.place, row_number() OVER (ORDER BY i.place) AS number
        FROM input AS i LEFT JOIN record AS r ON r.board = $1 AND r.key = i.key AND r.body IS NOT NULL
        WHERE i.expected IS NULL OR i.expected = coalesce(r.sequence, -1)
    ), moved AS (
        UPDATE board SET last = last + (SELECT count(*) FROM accepted) WHERE board = $1
        RETURNING last - (SELECT count(*) FROM accepted) AS before
    ), written AS (
        INSERT INTO record (board, key, sequence, body) SELECT $1, key, before + number, body FROM accepted, moved
        ON CONFLICT (board, key) DO UPDATE SET sequence = excluded.sequence, body = excluded.body
    )
    SELECT place, before + number FROM accepted, moved";

impl Postgres {
    /// Writes records; a key that comes more than once is written once more after the others.
    pub(super) async fn write_records(
        &self,
        table: Table,
        writes: &[Write],
    ) -> Result<Vec<Written>, Error> {
        self.close_doubt().await?;
        let mut written = vec![Written::Stale; writes.len()];
        let mut left: Vec<usize> = (0..writes.len()).collect();
        while !left.is_empty() {
            let mut seen = BTreeSet::new();
            let is_first = |place: &usize| {
                writes.get(*place).is_some_and(|write| seen.insert(write.key.as_str()))
            };
            let (round, others) = left.into_iter().partition::<Vec<_>, _>(is_first);
            let chosen: Vec<&Write> = round.iter().filter_map(|place| writes.get(*place)).collect();
            let results = self.write_round(table, &chosen).await?;
            for (place, result) in round.into_iter().zip(results) {
                if let Some(one) = written.get_mut(place) {
                    *one = result;
                }
            }
            left = others;
        }
        Ok(written)
    }

    /// Writes records of different keys. When the connection is lost it is found out what is stored, and the rest is written again.
    async fn write_round(&self, table: Table, writes: &[&Write]) -> Result<Vec<Written>, Error> {
        let mut round = Round::new(writes);
        let end = Instant::now() + LONGEST_DOUBT;
        let mut in_doubt = false;
        loop {
            let attempt = async {
                if in_doubt {
                    round.take_stored(&self.stored(table, &round.left()).await?);
                }
                self.send_records(table, &round.left()).await
            };
            let error = match attempt.await {
                Ok(Outcome::Stored(written)) => return Ok(round.finish(written)),
                Ok(Outcome::Unknown(error)) => {
                    in_doubt = true;
                    error
                }
                Err(error) => error,
            };
            self.link.note(&error);
            if !in_doubt || !error.is_away() {
                return Err(error);
            }
            if Instant::now() >= end {
                return Err(Error::InDoubt);
            }
            sleep(PAUSE).await;
        }
    }

    /// Sends writes, all of one transaction at once. An error means that none is stored.
    async fn send_records(&self, table: Table, writes: &[&Write]) -> Result<Outcome, Error> {
        if writes.is_empty() {
            return Ok(Outcome::Stored(Vec::new()));
        }
        if self.link.lacks_standby() {
            return Err(Error::NoStandby);
        }
        let client = self.link.any().await?;
        let guard = Guard::new(&self.link, &client).await?;
        let (lock, put) = join!(client.prepare_cached(LOCK), client.prepare_cached(PUT));
        let (lock, put, word) = (lock?, put?, self.board(table));
        let keys: Vec<String> = writes.iter().map(|write| text(&write.key)).collect();
        let bodies: Vec<Option<String>> =
            writes.iter().map(|write| write.body.as_deref().map(text)).collect();
        let expected: Vec<Option<i64>> =
            writes.iter().map(|write| wanted(write.expected)).collect();
        let warnings = self.link.warnings();
        // Each is sent when it is first looked at, in this order.
        let lock_parameters: [&(dyn ToSql + Sync); 1] = [&word];
        let put_parameters: [&(dyn ToSql + Sync); 4] = [&word, &keys, &bodies, &expected];
        let sent = async {
            join!(
                client.batch_execute("BEGIN"),
                client.query(&lock, &lock_parameters),
                client.query(&put, &put_parameters),
                client.batch_execute("COMMIT"),
                guard.holds(&client),
            )
        };
        let Ok((begun, locked, rows, committed, guarded)) = timeout(LONGEST_COMMIT, sent).await
        else {
            // The next statement on this connection would wait as well, and so would the next writer of the table.
            drop(deadpool_postgres::Object::take(client));
            self.doubt.open();
            return Ok(Outcome::Unknown(Error::NoAnswer));
        };
        // What was answered by an error was not stored, unless the connection was lost: then it may be.
        let rows = match begun.and(locked).and(rows).and_then(|rows| committed.map(|()| rows)) {
            Ok(rows) => rows,
            Err(error) => {
                let error = Error::from(error);
                return if error.is_away() { Ok(Outcome::Unknown(error)) } else { Err(error) };
            }
        };
        if self.link.warnings() != warnings {
            // It may be stored on this server alone.
            return Ok(Outcome::Unknown(Error::NoAnswer));
        }
        if !guarded? {
            return Ok(Outcome::Unknown(Error::NoStandby));
        }
        let mut written = vec![Written::Stale; writes.len()];
        let mut last = 0;
        for row in rows {
            let (place, sequence): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            last = last.max(sequence);
            let place = usize::try_from(place - 1).unwrap_or(usize::MAX);
            if let Some(one) = written.get_mut(place) {
                *one = Written::At(sequence.unsigned_abs());
            }
        }
        // Not for each removal: it is looked through all of them.
        let is_due = last.unsigned_abs() % 1024 < u64::try_from(writes.len()).unwrap_or(u64::MAX);
        if is_due && writes.iter().any(|write| write.body.is_none()) {
            forget_removals(&client, &word).await?;
        }
        Ok(Outcome::Stored(written))
    }

    /// Which of these writes are stored, by key: those whose record is as they wanted it, and not what they expected.
    async fn stored(
        &self,
        table: Table,
        writes: &[&Write],
    ) -> Result<BTreeMap<String, u64>, Error> {
        // What is read is safe, and what was sent before is either stored or still held by the server: a condition keeps that from
        // being stored after this.
        self.barrier_in_time().await?;
        let client = self.link.any().await?;
        let keys: Vec<String> = writes.iter().map(|write| text(&write.key)).collect();
        let sql = "SELECT key, body, sequence FROM record WHERE board = $1 AND key = ANY($2)";
        let rows = client.query(sql, &[&self.board(table), &keys]).await?;
        let there = rows.iter().map(|row| Ok((row.try_get::<_, String>(0)?, read(row)?)));
        let there: BTreeMap<String, Record> = there.collect::<Result<_, Error>>()?;
        let is_stored = |write: &&&Write| {
            let Some(record) = there.get(&text(&write.key)) else { return false };
            let before = match write.expected {
                Expected::Sequence(sequence) => sequence,
                Expected::Nothing | Expected::Anything => 0,
            };
            record.body == write.body.as_deref().map(text) && record.sequence > before
        };
        let stored = writes.iter().filter(is_stored);
        let told =
            |write: &&Write| Some((write.key.clone(), there.get(&text(&write.key))?.sequence));
        Ok(stored.filter_map(told).collect())
    }
}

/// Writes, and what is known of each.
struct Round<'a> {
    writes: Vec<(&'a Write, Option<Written>)>,
}

impl<'a> Round<'a> {
    fn new(writes: &[&'a Write]) -> Self {
        Self { writes: writes.iter().map(|write| (*write, None)).collect() }
    }

    /// Those of which nothing is known.
    fn left(&self) -> Vec<&'a Write> {
        self.writes.iter().filter(|(_, known)| known.is_none()).map(|(write, _)| *write).collect()
    }

    fn take_stored(&mut self, stored: &BTreeMap<String, u64>) {
        for (write, known) in &mut self.writes {
            let sequence = stored.get(&write.key).copied();
            *known = known.or(sequence.map(Written::At));
        }
    }

    /// What became of each, with that of those which were left.
    fn finish(self, written: Vec<Written>) -> Vec<Written> {
        let mut written = written.into_iter();
        let known = self.writes.into_iter().map(|(_, known)| known.or_else(|| written.next()));
        known.map(|known| known.unwrap_or(Written::Stale)).collect()
    }
}

enum Outcome {
    Stored(Vec<Written>),
    /// The connection was lost.
    Unknown(Error),
}

fn wanted(expected: Expected) -> Option<i64> {
    match expected {
        Expected::Anything => None,
        Expected::Nothing => Some(-1),
        Expected::Sequence(sequence) => Some(number(sequence)),
    }
}

/// Who was away for longer reads the whole table.
async fn forget_removals(client: &Client, board: &str) -> Result<(), Error> {
    let sql = "
        WITH moved AS (
            UPDATE board SET horizon = last - $2::bigint WHERE board = $1 AND last >= horizon + 2 * $2::bigint RETURNING horizon
        )
        DELETE FROM record USING moved WHERE board = $1 AND sequence <= moved.horizon AND body IS NULL";
    client.execute(sql, &[&board, &number(REMEMBERED)]).await?;
    Ok(())
}

async fn ends(client: &Client, board: &str) -> Result<(i64, i64), Error> {
    let sql = "SELECT last, horizon FROM board WHERE board = $1";
    let row = client.query_one(sql, &[&board]).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

pub(super) async fn since(client: &Client, board: &str, after: u64) -> Result<Since, Error> {
    let after = number(after);
    let (last, _) = ends(client, board).await?;
    if last == after {
        return Ok(Since { records: Vec::new(), is_whole: false });
    }
    let sql = "SELECT key, body, sequence FROM record WHERE board = $1 AND sequence > $2 ORDER BY sequence";
    let rows = client.query(sql, &[&board, &after]).await?;
    // Looked at afterwards: removals may have been forgotten meanwhile. A number that was not given yet is of another database.
    let (_, horizon) = ends(client, board).await?;
    if after < horizon || after > last {
        return Ok(Since { records: all(client, board).await?, is_whole: true });
    }
    let records = rows.iter().map(read).collect::<Result<_, _>>()?;
    Ok(Since { records, is_whole: false })
}

pub(super) async fn all(client: &Client, board: &str) -> Result<Vec<Record>, Error> {
    let sql =
        "SELECT key, body, sequence FROM record WHERE board = $1 AND body IS NOT NULL ORDER BY key";
    let rows = client.query(sql, &[&board]).await?;
    rows.iter().map(read).collect()
}

/// What stands in tables whose names begin so, but for one of them; each with the rest of its table's name.
pub(super) async fn of_others(
    client: &Client,
    (all, own): (&str, &str),
) -> Result<Vec<(String, Record)>, Error> {
    let sql = "SELECT key, body, sequence, substr(board, length($1) + 1) FROM record
        WHERE board IN (SELECT board FROM board WHERE starts_with(board, $1) AND board <> $2) AND body IS NOT NULL
        ORDER BY board, key";
    let rows = client.query(sql, &[&all, &own]).await?;
    rows.iter().map(|row| Ok((row.try_get(3)?, read(row)?))).collect()
}

fn read(row: &Row) -> Result<Record, Error> {
    let sequence = row.try_get::<_, i64>(2)?.unsigned_abs();
    Ok(Record { key: row.try_get(0)?, body: row.try_get(1)?, sequence })
}

pub(super) async fn set_aside(client: &Client, records: &[Aside]) -> Result<(), Error> {
    let column = |pick: fn(&Aside) -> &str| -> Vec<String> {
        records.iter().map(|record| text(pick(record))).collect()
    };
    let sql = "INSERT INTO aside (board, key, body, reason) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])";
    let columns = [
        column(|record| &record.table),
        column(|record| &record.key),
        column(|record| &record.body),
        column(|record| &record.reason),
    ];
    let [tables, keys, bodies, reasons] = &columns;
    client.execute(sql, &[tables, keys, bodies, reasons]).await?;
    let sql = "DELETE FROM aside WHERE number <= (SELECT max(number) FROM aside) - $1";
    client.execute(sql, &[&i64::from(KEPT_ASIDE)]).await?;
    Ok(())
}

pub(super) async fn aside(client: &Client) -> Result<Vec<Aside>, Error> {
    let sql = "SELECT board, key, body, reason FROM aside ORDER BY number";
    let rows = client.query(sql, &[]).await?;
    let read = |row: &Row| {
        let (table, key) = (row.try_get(0)?, row.try_get(1)?);
        Ok(Aside { table, key, body: row.try_get(2)?, reason: row.try_get(3)? })
    };
    rows.iter().map(read).collect()
}
