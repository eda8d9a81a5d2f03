//! The cluster's objects and its history, and commits.

use std::collections::BTreeMap;

use perilune_model::{Cluster, Edit, Kind, Object};
use tokio_postgres::{Client, Row};

use super::schema::number;
use super::standby::WAITS;
use super::words::text;
use crate::commit::{CATCH_UP, KEYS};
use crate::history::{StoredEdit, decode, encode};
use crate::key::Keys;
use crate::record::corrupt;
use crate::{Commit, Entry, Error, Later, Meta, fingerprint, sealed};

/// Everything of a commit in one statement. The first part holds the one row that all controllers want, and only then do the others do
/// anything; `fence` makes sure that what was sent before a connection was lost cannot be stored any more once that was looked for, and `format`
/// that all controllers can read it. Where a standby is required, nothing is stored without.
pub(super) const COMMIT: &str = "
    WITH moved AS (
        UPDATE head SET revision = revision + $3 WHERE revision = $1 AND fence = $2 AND format = $17
            AND (NOT $18 OR current_setting('synchronous_standby_names') <> '') RETURNING revision
    ), entry AS (
        INSERT INTO history (revision, at, author, origin, action, edits, inverse, token)
        SELECT $1 + e.place, e.at, e.author, e.origin, e.action, e.edits, e.inverse, e.token::uuid
        FROM moved, unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
            WITH ORDINALITY AS e (at, author, origin, action, edits, inverse, token, place)
    ), named AS (
        INSERT INTO record (board, key, sequence, body)
        SELECT $16, k.key, $1 + k.place, '' FROM moved, unnest($15::text[]) WITH ORDINALITY AS k (key, place) WHERE k.key IS NOT NULL
    ), change AS (
        SELECT c.kind, c.name, c.body, c.mark
        FROM moved, unnest($11::text[], $12::text[], $13::text[], $14::bigint[]) AS c (kind, name, body, mark)
    ), put AS (
        INSERT INTO object (kind, name, body) SELECT kind, name, body FROM change WHERE body IS NOT NULL
        ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body
        RETURNING kind, name, xmax = 0 AS is_new
    ), gone AS (
        DELETE FROM object USING change
        WHERE object.kind = change.kind AND object.name = change.name AND change.body IS NULL
        RETURNING change.mark
    ), marked AS (
        UPDATE fingerprint SET objects = objects
            + coalesce((SELECT sum(change.mark) FROM put JOIN change USING (kind, name) WHERE put.is_new), 0)
            - coalesce((SELECT sum(mark) FROM gone), 0)
        FROM moved
    )
    SELECT revision, (SELECT value FROM meta WHERE key = 'refused'), pg_notify('perilune', revision::text)::text FROM moved";

/// What is sent for commits, column by column.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) at: Vec<i64>,
    pub(super) authors: Vec<String>,
    pub(super) origins: Vec<String>,
    pub(super) actions: Vec<String>,
    pub(super) edits: Vec<String>,
    pub(super) inverses: Vec<String>,
    /// Tells whether a commit is stored when its connection was lost.
    pub(super) tokens: Vec<String>,
    /// What names the requests, where they may be sent again.
    pub(super) keys: Vec<Option<String>>,
    pub(super) kinds: Vec<&'static str>,
    pub(super) names: Vec<String>,
    pub(super) bodies: Vec<Option<String>>,
    pub(super) marks: Vec<i64>,
}

impl Batch {
    pub(super) fn new(keys: &Keys, commits: &[Commit]) -> Result<Self, Error> {
        let mut batch = Self::default();
        // An object is written once, as it is in the end.
        let mut last = BTreeMap::new();
        for Commit { change, meta: Meta { at, author, origin, action }, key } in commits {
            let edits = StoredEdit::all(keys, &change.edits)?;
            let inverse = StoredEdit::all(keys, &change.inverse)?;
            batch.at.push(number(*at));
            batch.authors.push(text(author));
            batch.origins.push(text(origin));
            batch.actions.push(text(action));
            batch.edits.push(encode(&edits)?);
            batch.inverses.push(encode(&inverse)?);
            batch.tokens.push(token()?);
            batch.keys.push(key.as_deref().map(text));
            last.extend(edits.into_iter().map(|edit| ((edit.kind, edit.name), edit.body)));
        }
        for ((kind, name), body) in last {
            batch.marks.push(fingerprint::of(kind, &name));
            batch.kinds.push(kind);
            batch.names.push(name);
            batch.bodies.push(body);
        }
        Ok(batch)
    }
}

/// Random, in hexadecimal digits.
fn token() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::Random(error.to_string()))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// Reads the whole cluster, as of one moment.
pub(super) async fn load(client: &Client, keys: &Keys) -> Result<Cluster, Error> {
    // The first row is the revision; of one statement, hence of one moment.
    let sql = "SELECT '' AS kind, '' AS name, revision::text AS body FROM head UNION ALL SELECT kind, name, body FROM object";
    let rows = client.query(sql, &[]).await?;
    let mut cluster = Cluster::default();
    let mut revision = 0;
    let mut found: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for row in &rows {
        let (kind, name, body) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if str::is_empty(kind) {
            revision = str::parse(body).unwrap_or_default();
        } else {
            found.entry(kind).or_default().push((name, body));
        }
    }
    for kind in Kind::ALL {
        let mut objects = found.remove(kind.word()).unwrap_or_default();
        objects.sort_unstable();
        for (name, body) in objects {
            let opened = sealed::open(keys, *kind, name, body)?;
            let parsed = Object::from_json(*kind, opened.as_deref().unwrap_or(body));
            let object = parsed.map_err(|source| corrupt(kind.word(), name, source))?;
            cluster.apply(&Edit::Put(object));
        }
    }
    if let Some((kind, objects)) = found.first_key_value() {
        let name = objects.first().map_or("", |(name, _)| name);
        let unknown = serde::de::Error::custom(format!("unknown kind '{kind}'"));
        return Err(corrupt("object", name, unknown));
    }
    cluster.set_revision(revision);
    Ok(cluster)
}

/// What every commit depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// The revision that is stored.
    pub(super) revision: u64,
    pub(super) fence: i64,
    /// The format that all controllers know.
    pub(super) format: u32,
    pub(super) waits_for_standby: bool,
}

pub(super) async fn head(client: &Client) -> Result<Head, Error> {
    let sql = format!("SELECT revision, fence, format, {WAITS} FROM head");
    let row = client.query_one(&sql, &[]).await?;
    Ok(Head {
        revision: row.try_get::<_, i64>(0)?.unsigned_abs(),
        fence: row.try_get(1)?,
        format: row.try_get::<_, i32>(2)?.unsigned_abs(),
        waits_for_standby: row.try_get(3)?,
    })
}

/// Which of these keys name commits that are stored.
pub(super) async fn committed(
    client: &Client,
    keys: &[String],
) -> Result<BTreeMap<String, u64>, Error> {
    let keys: Vec<String> = keys.iter().map(|key| text(key)).collect();
    let sql = "SELECT key, sequence FROM record WHERE board = $1 AND key = ANY($2)";
    let rows = client.query(sql, &[&KEYS, &keys]).await?;
    let read = |row: &Row| Ok((row.try_get(0)?, row.try_get::<_, i64>(1)?.unsigned_abs()));
    rows.iter().map(read).collect()
}

pub(super) async fn later(
    client: &Client,
    keys: &Keys,
    known: u64,
    revision: u64,
) -> Result<Option<Later>, Error> {
    let Some(behind) = revision.checked_sub(known).filter(|behind| *behind <= CATCH_UP) else {
        return Ok(None);
    };
    if behind == 0 {
        return Ok(Some(Later { revision, edits: Vec::new() }));
    }
    let entries = between(client, keys, known + 1, revision).await?;
    let is_whole = u64::try_from(entries.len()) == Ok(behind);
    let edits = || entries.into_iter().flat_map(|entry| entry.edits).collect();
    Ok(is_whole.then(|| Later { revision, edits: edits() }))
}

const COLUMNS: &str = "SELECT revision, at, author, origin, action, edits, inverse FROM history";

pub(super) async fn history(
    client: &Client,
    keys: &Keys,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<Entry>, Error> {
    let sql = format!("{COLUMNS} WHERE revision < $1 ORDER BY revision DESC LIMIT $2");
    let before = before.map_or(i64::MAX, number);
    let rows = client.query(&sql, &[&before, &i64::from(limit)]).await?;
    rows.iter().map(|row| entry(row, keys)).collect()
}

pub(super) async fn between(
    client: &Client,
    keys: &Keys,
    first: u64,
    last: u64,
) -> Result<Vec<Entry>, Error> {
    let sql = format!("{COLUMNS} WHERE revision BETWEEN $1 AND $2 ORDER BY revision");
    let rows = client.query(&sql, &[&number(first), &number(last)]).await?;
    rows.iter().map(|row| entry(row, keys)).collect()
}

fn entry(row: &Row, keys: &Keys) -> Result<Entry, Error> {
    let revision = row.try_get::<_, i64>(0)?.unsigned_abs();
    let meta = Meta {
        at: row.try_get::<_, i64>(1)?.unsigned_abs(),
        author: row.try_get(2)?,
        origin: row.try_get(3)?,
        action: row.try_get(4)?,
    };
    let edits = decode(revision, keys, row.try_get(5)?)?;
    let inverse = decode(revision, keys, row.try_get(6)?)?;
    Ok(Entry { revision, meta, edits, inverse })
}
