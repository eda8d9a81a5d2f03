//! Taking over what a controller was doing that does not run any more.
//!
//! One transaction, by the database's clock: whoever was stopped in the middle of this and goes on finds that the record is another one, and
//! whoever was stopped in the middle of its work can store neither that it is done nor what it leads to.

use futures_util::join;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;

use super::Postgres;
use super::doubt::LONGEST_COMMIT;
use super::schema::number;
use super::standby::Guard;
use super::words::{board_of, text};
use crate::commit::KEYS;
use crate::{Error, TakeOver};

/// Both tables, in one order for all: whoever writes records of one waits.
const LOCK: &str = "SELECT last FROM board WHERE board = ANY($1::text[]) ORDER BY board FOR UPDATE";
const MOVE: &str = "
    WITH there AS (
        SELECT r.key FROM record AS r, controller AS c
        WHERE r.board = $1 AND r.key = $2 AND r.sequence = $3 AND r.body IS NOT NULL
            AND c.name = $4 AND c.beat < clock_timestamp() - make_interval(secs => $5::float8)
    ), old AS (
        UPDATE board SET last = last + 1 FROM there WHERE board.board = $1 RETURNING last
    ), new AS (
        UPDATE board SET last = last + 1 FROM there WHERE board.board = $6 RETURNING last
    ), gone AS (
        UPDATE record SET body = NULL, sequence = old.last FROM old, there WHERE record.board = $1 AND record.key = there.key
    ), written AS (
        INSERT INTO record (board, key, sequence, body) SELECT $6, $7, new.last, $8 FROM new
        ON CONFLICT (board, key) DO UPDATE SET sequence = excluded.sequence, body = excluded.body
    ), kept AS (
        INSERT INTO record (board, key, sequence, body)
        SELECT $9, k.key, head.revision, '' FROM there, head, unnest($10::text[]) AS k (key)
    )
    SELECT last FROM new";

impl Postgres {
    pub(crate) async fn take_over(&self, taking: &TakeOver) -> Result<bool, Error> {
        self.noting(self.move_record(taking)).await
    }

    async fn move_record(&self, taking: &TakeOver) -> Result<bool, Error> {
        self.close_doubt().await?;
        if self.link.lacks_standby() {
            return Err(Error::NoStandby);
        }
        let TakeOver { controller, seconds, record, from, to, key, body, commits } = taking;
        let (from, to) = (board_of(*from, controller), self.board(*to));
        let client = self.link.any().await?;
        let guard = Guard::new(&self.link, &client).await?;
        let (lock, put) = join!(client.prepare_cached(LOCK), client.prepare_cached(MOVE));
        let (lock, put) = (lock?, put?);
        let (boards, sequence) = ([&*from, &*to], number(record.sequence));
        let (old, key, body, seconds) =
            (text(&record.key), text(key), text(body), f64::from(*seconds));
        let lock_parameters: [&(dyn ToSql + Sync); 1] = [&&boards[..]];
        let parameters: [&(dyn ToSql + Sync); 10] =
            [&from, &old, &sequence, controller, &seconds, &to, &key, &body, &KEYS, commits];
        let warnings = self.link.warnings();
        // Each is sent when it is first looked at, in this order.
        let sent = async {
            join!(
                client.batch_execute("BEGIN"),
                client.query(&lock, &lock_parameters),
                client.query_opt(&put, &parameters),
                client.batch_execute("COMMIT"),
                guard.holds(&client),
            )
        };
        let Ok((begun, locked, row, committed, guarded)) = timeout(LONGEST_COMMIT, sent).await
        else {
            drop(deadpool_postgres::Object::take(client));
            self.doubt.open();
            return Err(Error::NoAnswer);
        };
        let row = begun.and(locked).and(row).and_then(|row| committed.map(|()| row))?;
        if self.link.warnings() != warnings {
            return Err(Error::NoAnswer);
        }
        if !guarded? {
            return Err(Error::NoStandby);
        }
        Ok(row.is_some())
    }
}
