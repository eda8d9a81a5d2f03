//! The layout of the database, and what is looked at before anybody is served from it.

use std::path::Path;

use tokio_postgres::Client;

use super::Address;
use super::link::Link;
use super::words::{NAME_PAUSE, NAME_TRIES};
use crate::key::KeyId;
use crate::record::signed;
use crate::{Error, Keys, Program, fingerprint};

/// Each step takes the layout from its position to the next. Steps are never changed once they were released. Texts are compared by
/// their bytes: the order must be the same on every controller, and outlive the libraries of the database's system.
const STEPS: &[&str] = &[
    r#"
    CREATE TABLE meta (key text COLLATE "C" PRIMARY KEY, value bigint NOT NULL);
    INSERT INTO meta VALUES ('life', 0), ('refused', 0);
    CREATE TABLE head (only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one), revision bigint NOT NULL, fence bigint NOT NULL);
    INSERT INTO head (revision, fence) VALUES (0, 0);
    CREATE TABLE fingerprint (only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one), objects numeric NOT NULL);
    INSERT INTO fingerprint (objects) VALUES (0);
    CREATE TABLE object (kind text COLLATE "C", name text COLLATE "C", body text NOT NULL, PRIMARY KEY (kind, name));
    CREATE TABLE history (
        revision bigint PRIMARY KEY, at bigint NOT NULL, author text NOT NULL, origin text NOT NULL, action text NOT NULL,
        edits text NOT NULL, inverse text NOT NULL, token uuid UNIQUE
    );
    CREATE TABLE board (board text COLLATE "C" PRIMARY KEY, last bigint NOT NULL DEFAULT 0, horizon bigint NOT NULL DEFAULT 0);
    CREATE TABLE record (
        board text COLLATE "C", key text COLLATE "C", sequence bigint NOT NULL, body text, PRIMARY KEY (board, key)
    );
    CREATE INDEX record_sequence ON record (board, sequence);
    CREATE TABLE aside (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, board text NOT NULL, key text NOT NULL, body text NOT NULL, reason text NOT NULL
    );
"#,
    r#"
    CREATE TABLE controller (
        name text COLLATE "C" PRIMARY KEY, url text NOT NULL, version text NOT NULL, revision bigint NOT NULL,
        in_sync boolean NOT NULL, began timestamptz NOT NULL, beat timestamptz NOT NULL, drained boolean NOT NULL DEFAULT false
    );
    CREATE TABLE master (
        only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one), holder text COLLATE "C", preferred text COLLATE "C",
        epoch bigint NOT NULL DEFAULT 0, since timestamptz, until timestamptz
    );
    INSERT INTO master DEFAULT VALUES;
    INSERT INTO meta VALUES ('overrule', 0);
"#,
    // What older programs cannot read is counted from here on (program.rs). They would not look.
    r"
    ALTER TABLE head ADD COLUMN format int NOT NULL DEFAULT 1;
    ALTER TABLE controller ADD COLUMN format int NOT NULL DEFAULT 1;
",
];

/// The oldest layout whose programs work with the tables as these steps leave them: such controllers go on while others are replaced. A step that
/// only adds to the tables leaves it as it is; any other sets it to the layout that it makes.
const SUITS: u32 = 3;

/// The oldest server whose SQL is enough.
const OLDEST_SERVER: i32 = 130_000;
/// Whoever prepares the database holds this lock, so that two do not at the same time.
const PREPARING: i64 = 0x0070_6572_696c_756e;
const KEY: &str = "key";

pub(super) fn newest() -> u32 {
    u32::try_from(STEPS.len()).unwrap_or(u32::MAX)
}

/// Makes the tables, or brings them up to date; answers the layout that was there.
pub(crate) async fn prepare(address: &Address, key_file: &Path) -> Result<Option<u32>, Error> {
    let link = Link::new(address)?;
    let client = link.any().await?;
    check_server(&client).await?;
    // A failure closes the connection, and with it nothing was done.
    client.batch_execute("BEGIN").await?;
    client.execute("SELECT pg_advisory_xact_lock($1)::text", &[&PREPARING]).await?;
    let found = layout(&client).await?;
    if let Some(found) = found.filter(|found| *found > newest()) {
        let suits = suits(&client, found).await?;
        client.batch_execute("ROLLBACK").await?;
        return if suits <= newest() { Ok(Some(found)) } else { Err(newer(address, found)) };
    }
    if found.is_some_and(|found| found < SUITS) {
        check_unused(&client, address).await?;
    }
    for step in STEPS.iter().skip(found.unwrap_or_default() as usize) {
        client.batch_execute(step).await?;
    }
    let note =
        "INSERT INTO meta VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    client.execute(note, &[&"layout", &i64::from(newest())]).await?;
    client.execute(note, &[&"suits", &i64::from(SUITS)]).await?;
    if found.is_none() {
        // Nobody else uses it yet.
        let format = i32::try_from(Program::THIS.format).unwrap_or(i32::MAX);
        client.execute("UPDATE head SET format = $1", &[&format]).await?;
    }
    let needed = needed_key(&client).await?;
    let keys = Keys::load(key_file, needed, needed.is_none())?;
    client.execute(note, &[&KEY, &keys.id().number()]).await?;
    client.batch_execute("COMMIT").await?;
    Ok(found)
}

/// Refuses a database that this program cannot use; answers which key it is sealed with.
pub(super) async fn check(client: &Client, address: &Address) -> Result<KeyId, Error> {
    check_server(client).await?;
    let database = || address.to_string();
    let unprepared = || Error::Unprepared { database: database() };
    let found = layout(client).await?.ok_or_else(unprepared)?;
    if found > newest() && suits(client, found).await? > newest() {
        return Err(newer(address, found));
    }
    if found < newest() {
        let others_go_on = found >= SUITS;
        return Err(Error::Older { database: database(), found, needed: newest(), others_go_on });
    }
    needed_key(client).await?.ok_or_else(unprepared)
}

fn newer(address: &Address, found: u32) -> Error {
    let (database, known) = (address.to_string(), newest());
    Error::Outdated { database, what: "layout", found, known }
}

/// The oldest layout whose programs work with the tables of this one.
async fn suits(client: &Client, found: u32) -> Result<u32, Error> {
    let suits = client.query_opt("SELECT value FROM meta WHERE key = 'suits'", &[]).await?;
    let suits: Option<i64> = suits.map(|row| row.try_get(0)).transpose()?;
    Ok(suits.map_or(found, |suits| u32::try_from(suits).unwrap_or(u32::MAX)))
}

/// Returns when nobody changes the tables.
pub(super) async fn wait_until_prepared(client: &Client) -> Result<(), Error> {
    let sql = "SELECT pg_advisory_xact_lock_shared($1)::text";
    client.execute(sql, &[&PREPARING]).await?;
    Ok(())
}

async fn check_server(client: &Client) -> Result<(), Error> {
    let sql = "SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_setting('server_encoding')";
    let row = client.query_one(sql, &[]).await?;
    let (number, version, encoding): (i32, String, String) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if number < OLDEST_SERVER {
        return Err(Error::Address(format!(
            "the server is PostgreSQL {version}; 13 or newer is needed"
        )));
    }
    if encoding != "UTF8" {
        return Err(Error::Address(format!(
            "the database is encoded as {encoding}; make one with ENCODING 'UTF8'"
        )));
    }
    Ok(())
}

async fn layout(client: &Client) -> Result<Option<u32>, Error> {
    // A table of this name in another schema of the search path is not ours.
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'head')";
    if !client.query_one(sql, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let found = client.query_opt("SELECT value FROM meta WHERE key = 'layout'", &[]).await?;
    let found: Option<i64> = found.map(|row| row.try_get(0)).transpose()?;
    Ok(found.map(|found| u32::try_from(found).unwrap_or(u32::MAX)))
}

async fn needed_key(client: &Client) -> Result<Option<KeyId>, Error> {
    let found = client.query_opt("SELECT value FROM meta WHERE key = $1", &[&KEY]).await?;
    let number: Option<i64> = found.map(|row| row.try_get(0)).transpose()?;
    Ok(number.map(KeyId::from_number))
}

/// Refuses a database that controllers use.
pub(super) async fn check_unused(client: &Client, address: &Address) -> Result<(), Error> {
    let sql = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'perilune' AND pid <> pg_backend_pid()";
    // Connections that were closed a moment ago are still listed.
    for _ in 0..NAME_TRIES {
        if client.query_one(sql, &[]).await?.try_get::<_, i64>(0)? == 0 {
            return Ok(());
        }
        tokio::time::sleep(NAME_PAUSE).await;
    }
    Err(Error::InUse { database: address.to_string() })
}

/// Counts that a controller opened the store, and answers how often one did.
pub(super) async fn begin_life(client: &Client, boards: &[String]) -> Result<u64, Error> {
    let sql = "INSERT INTO board (board) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING";
    client.execute(sql, &[&boards]).await?;
    let sql = "UPDATE meta SET value = value + 1 WHERE key = 'life' RETURNING value";
    let life: i64 = client.query_one(sql, &[]).await?.try_get(0)?;
    Ok(life.unsigned_abs())
}

/// What is missing of cluster or history, such as after a copy of the database that was cut short.
pub(super) async fn look_for_gaps(client: &Client) -> Result<Option<String>, Error> {
    // One statement, hence of one moment.
    let sql = "SELECT head.revision, fingerprint.objects::text, entries.count, entries.first, entries.last,
            (SELECT coalesce(array_agg(kind || ' ' || name), '{}') FROM object)
        FROM head, fingerprint, (SELECT count(*), coalesce(min(revision), 1) AS first, coalesce(max(revision), 0) AS last FROM history) AS entries";
    let row = client.query_one(sql, &[]).await?;
    let (revision, noted): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
    let (count, first, last): (i64, i64, i64) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
    if last != revision {
        return Ok(Some(format!("it is of revision {revision}, and its history ends with {last}")));
    }
    if first != 1 || count != last {
        return Ok(Some(format!(
            "its history has {count} entries from {first} to {last}; some are missing"
        )));
    }
    let objects: Vec<String> = row.try_get(5)?;
    let marks = objects.iter().filter_map(|object| object.split_once(' '));
    let there: i128 = marks.map(|(kind, name)| i128::from(fingerprint::of(kind, name))).sum();
    let is_whole = noted.parse::<i128>() == Ok(there);
    Ok((!is_whole).then(|| "some of its objects are missing, or were never made".to_owned()))
}

/// The numbers of the database are signed.
pub(super) fn number(number: u64) -> i64 {
    signed(number)
}
