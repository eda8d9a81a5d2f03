//! Which controllers run, and which is the master.
//!
//! Beats need not be durable, and wait for no standby. Who the master is must be: an epoch that a failover took back would be given twice.

use futures_util::join;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::Postgres;
use super::schema::number;
use super::standby::Guard;
use crate::controllers::{Beat, Controller, Heard, MASTER_SECONDS, Master, SILENT_SECONDS};
use crate::{Error, Program, Table};

/// One statement, so that a caller who stops waiting leaves no transaction open.
const BEAT: &str = "
    WITH own AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
    INSERT INTO controller (name, url, version, revision, in_sync, began, beat, format)
    SELECT $1::text, $2::text, $3::text, $4::bigint, $6::boolean, clock_timestamp(), clock_timestamp(), $7::int FROM own
    ON CONFLICT (name) DO UPDATE SET url = excluded.url, version = excluded.version, format = excluded.format, revision = excluded.revision,
        in_sync = excluded.in_sync, beat = excluded.beat, began = CASE WHEN $5 THEN excluded.began ELSE controller.began END";
const CONTROLLERS: &str = "
    SELECT name, url, version, revision, in_sync, (extract(epoch FROM began) * 1000)::bigint, (extract(epoch FROM beat) * 1000)::bigint,
        (extract(epoch FROM clock_timestamp() - beat) * 1000)::bigint, drained, format
    FROM controller ORDER BY name";
const MASTER: &str = "
    SELECT CASE WHEN until >= clock_timestamp() THEN holder END, preferred, epoch, (extract(epoch FROM since) * 1000)::bigint,
        (SELECT value FROM meta WHERE key = 'overrule') > 0, (SELECT revision FROM head), (SELECT format FROM head),
        current_setting('synchronous_standby_names') <> ''
    FROM master";
/// Who was it and has not said so in time is it anew: what it began may have been taken over in between. Who is preferred goes first.
const CLAIM: &str = "
    UPDATE master SET
        epoch = CASE WHEN holder = $1 AND epoch = $2 AND until >= clock_timestamp() THEN epoch ELSE epoch + 1 END,
        since = CASE WHEN holder = $1 THEN since ELSE clock_timestamp() END,
        until = clock_timestamp() + make_interval(secs => $3::float8),
        holder = $1,
        preferred = CASE WHEN $4 THEN $1 ELSE preferred END
    WHERE $4 OR (
        (holder = $1 OR holder IS NULL OR until < clock_timestamp())
        AND NOT EXISTS (SELECT 1 FROM controller AS own WHERE own.name = $1 AND own.drained)
        AND (holder = $1 OR preferred = $1 OR NOT EXISTS (
            SELECT 1 FROM controller AS other
            WHERE other.name = preferred AND NOT other.drained AND other.beat > clock_timestamp() - make_interval(secs => $5::float8)
        ))
    )
    RETURNING epoch";

impl Postgres {
    pub(crate) async fn beat(&self, beat: &Beat) -> Result<Heard, Error> {
        let program = self.program;
        let beat = async {
            let client = self.link.any().await?;
            let heard = said(&client, program, beat).await?;
            self.agree(&client, heard).await
        };
        self.noting(beat).await
    }

    pub(crate) async fn claim_master(
        &self,
        epoch: u64,
        by_force: bool,
    ) -> Result<Option<u64>, Error> {
        let claim = async {
            if self.link.lacks_standby() {
                return Err(Error::NoStandby);
            }
            let client = self.link.any().await?;
            let warnings = self.link.warnings();
            let (seconds, silent) = (f64::from(MASTER_SECONDS), f64::from(SILENT_SECONDS));
            let (name, epoch) = (&*self.controller, number(epoch));
            let parameters: [&(dyn ToSql + Sync); 5] =
                [&name, &epoch, &seconds, &by_force, &silent];
            let statement = client.prepare_cached(CLAIM).await?;
            let guard = Guard::new(&self.link, &client).await?;
            let (row, guarded) =
                join!(client.query_opt(&statement, &parameters), guard.holds(&client));
            let row = row?;
            if self.link.warnings() != warnings {
                // It may be so on this server alone.
                return Err(Error::NoAnswer);
            }
            if !guarded? {
                return Err(Error::NoStandby);
            }
            let epoch: Option<i64> = row.map(|row| row.try_get(0)).transpose()?;
            Ok(epoch.map(i64::unsigned_abs))
        };
        self.noting(claim).await
    }

    pub(crate) async fn is_master(&self, epoch: u64) -> Result<bool, Error> {
        let look = async {
            let client = self.link.any().await?;
            let sql = "SELECT EXISTS (SELECT 1 FROM master WHERE holder = $1 AND epoch = $2 AND until >= clock_timestamp())";
            let row = client.query_one(sql, &[&&*self.controller, &number(epoch)]).await?;
            Ok(row.try_get(0)?)
        };
        self.noting(look).await
    }

    pub(crate) async fn resign_master(&self, epoch: u64) -> Result<(), Error> {
        let sql = "UPDATE master SET until = clock_timestamp() WHERE holder = $1 AND epoch = $2 AND until > clock_timestamp()";
        self.change(sql, &[&&*self.controller, &number(epoch)]).await.map(drop)
    }

    pub(crate) async fn drain(&self, controller: &str, is_drained: bool) -> Result<(), Error> {
        let sql = "UPDATE controller SET drained = $2 WHERE name = $1";
        match self.change(sql, &[&controller, &is_drained]).await? {
            0 => Err(Error::NoController { name: controller.to_owned() }),
            _ => Ok(()),
        }
    }

    pub(crate) async fn forget_controller(&self, controller: &str) -> Result<(), Error> {
        let name = || controller.to_owned();
        let sql = "DELETE FROM controller WHERE name = $1 AND beat < clock_timestamp() - make_interval(secs => $2::float8)";
        let gone = self.change(sql, &[&controller, &f64::from(SILENT_SECONDS)]).await?;
        if gone == 0 {
            let look = async {
                let sql = "SELECT EXISTS (SELECT 1 FROM controller WHERE name = $1)";
                let row = self.link.any().await?.query_one(sql, &[&controller]).await?;
                Ok(row.try_get(0)?)
            };
            let is_there: bool = self.noting(look).await?;
            return Err(if is_there {
                Error::ControllerRuns { name: name() }
            } else {
                Error::NoController { name: name() }
            });
        }
        let boards: Vec<String> = Table::ALL
            .into_iter()
            .filter(|table| table.is_private())
            .map(|table| super::words::board_of(table, controller))
            .collect();
        self.change("DELETE FROM record WHERE board = ANY($1)", &[&boards]).await?;
        self.change("DELETE FROM board WHERE board = ANY($1)", &[&boards]).await?;
        let sql = "UPDATE master SET preferred = NULL WHERE preferred = $1";
        self.change(sql, &[&controller]).await.map(drop)
    }

    pub(crate) async fn overrule(&self, is_set: bool) -> Result<(), Error> {
        let sql = "UPDATE meta SET value = $1 WHERE key = 'overrule' AND value <> $1";
        self.change(sql, &[&i64::from(is_set)]).await.map(drop)
    }

    pub(crate) async fn now(&self) -> Result<u64, Error> {
        let look = async {
            let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
            let row = self.link.any().await?.query_one(sql, &[]).await?;
            Ok(row.try_get::<_, i64>(0)?.unsigned_abs())
        };
        self.noting(look).await
    }

    async fn change(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let change = async { Ok(self.link.any().await?.execute(sql, parameters).await?) };
        self.noting(change).await
    }
}

async fn said(
    client: &deadpool_postgres::ClientWrapper,
    program: Program,
    beat: &Beat,
) -> Result<Heard, Error> {
    let Beat { name, url, revision, in_sync, is_first } = beat;
    let (version, format) = (program.version, i32::try_from(program.format).unwrap_or(i32::MAX));
    let statement = client.prepare_cached(BEAT).await?;
    let parameters: [&(dyn ToSql + Sync); 7] =
        [name, url, &version, &number(*revision), is_first, in_sync, &format];
    client.execute(&statement, &parameters).await?;
    heard(client).await
}

async fn heard(client: &Client) -> Result<Heard, Error> {
    let rows = client.query(CONTROLLERS, &[]).await?;
    let controllers = rows.iter().map(controller).collect::<Result<_, _>>()?;
    let row = client.query_one(MASTER, &[]).await?;
    let since: Option<i64> = row.try_get(3)?;
    let master = Master {
        holder: row.try_get(0)?,
        preferred: row.try_get(1)?,
        epoch: row.try_get::<_, i64>(2)?.unsigned_abs(),
        since: since.map(i64::unsigned_abs),
    };
    let (overrule, revision) = (row.try_get(4)?, row.try_get::<_, i64>(5)?.unsigned_abs());
    let (format, waits_for_standby) = (row.try_get::<_, i32>(6)?.unsigned_abs(), row.try_get(7)?);
    Ok(Heard { controllers, master, overrule, revision, format, waits_for_standby })
}

fn controller(row: &Row) -> Result<Controller, Error> {
    let unsigned = |place| Ok::<_, Error>(row.try_get::<_, i64>(place)?.unsigned_abs());
    // A clock of the database that is set back makes nobody silent.
    let silent = u64::try_from(row.try_get::<_, i64>(7)?).unwrap_or_default();
    Ok(Controller {
        name: row.try_get(0)?,
        url: row.try_get(1)?,
        version: row.try_get(2)?,
        revision: unsigned(3)?,
        in_sync: row.try_get(4)?,
        began: unsigned(5)?,
        heard: unsigned(6)?,
        silent,
        is_drained: row.try_get(8)?,
        format: row.try_get::<_, i32>(9)?.unsigned_abs(),
    })
}
