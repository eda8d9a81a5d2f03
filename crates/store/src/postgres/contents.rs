//! All that is in the database, as it is stored.

use tokio_postgres::Client;

use super::address::Address;
use super::link::Link;
use super::schema::{check_unused, number};
use super::words::{board_of, text};
use crate::contents::{Contents, StoredBoard, StoredEntry};
use crate::{Error, Meta, Record, Table, fingerprint};

/// As many rows are sent at once.
const ROWS: usize = 2000;

/// Everything but what other controllers have for themselves, as of one moment.
pub(crate) async fn contents(address: &Address, controller: &str) -> Result<Contents, Error> {
    let link = Link::new(address)?;
    let client = link.any().await?;
    check_unused(&client, address).await?;
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let unsigned = |row: &tokio_postgres::Row, place: usize| {
        Ok::<_, Error>(row.try_get::<_, i64>(place)?.unsigned_abs())
    };
    let sql = "SELECT revision, (SELECT value FROM meta WHERE key = 'life') FROM head";
    let head = client.query_one(sql, &[]).await?;
    let rows = client.query("SELECT kind, name, body FROM object", &[]).await?;
    let objects = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)));
    let objects = objects.collect::<Result<_, Error>>()?;
    let sql = "SELECT revision, at, author, origin, action, edits, inverse FROM history ORDER BY revision";
    let mut history = Vec::new();
    for row in client.query(sql, &[]).await? {
        let meta = Meta {
            at: unsigned(&row, 1)?,
            author: row.try_get(2)?,
            origin: row.try_get(3)?,
            action: row.try_get(4)?,
        };
        let (edits, inverse) = (row.try_get(5)?, row.try_get(6)?);
        history.push(StoredEntry { revision: unsigned(&row, 0)?, meta, edits, inverse });
    }
    let mut boards = Vec::new();
    for table in Table::ALL {
        let word = board_of(table, controller);
        let sql = "SELECT last, horizon FROM board WHERE board = $1";
        let ends = client.query_one(sql, &[&word]).await?;
        let sql = "SELECT key, body, sequence FROM record WHERE board = $1 ORDER BY sequence";
        let rows = client.query(sql, &[&word]).await?;
        let record = |row| -> Result<Record, Error> {
            Ok(Record { sequence: unsigned(row, 2)?, key: row.try_get(0)?, body: row.try_get(1)? })
        };
        let records = rows.iter().map(record).collect::<Result<_, Error>>()?;
        let (last, horizon) = (unsigned(&ends, 0)?, unsigned(&ends, 1)?);
        boards.push(StoredBoard { table, last, horizon, records });
    }
    let aside = super::record::aside(&client).await?;
    let (revision, life) = (unsigned(&head, 0)?, unsigned(&head, 1)?);
    Ok(Contents { revision, life, objects, history, boards, aside })
}

/// Fills a database that was prepared and in which nothing is yet; all or nothing.
pub(crate) async fn fill(
    address: &Address,
    controller: &str,
    contents: Contents,
) -> Result<(), Error> {
    let link = Link::new(address)?;
    let client = link.any().await?;
    check_unused(&client, address).await?;
    // Whoever fails closes the connection, and nothing was done.
    client.batch_execute("BEGIN; SELECT revision FROM head FOR UPDATE").await?;
    let sql = "SELECT EXISTS (SELECT 1 FROM head WHERE revision > 0) OR EXISTS (SELECT 1 FROM object) OR EXISTS (SELECT 1 FROM record)";
    if client.query_one(sql, &[]).await?.try_get(0)? {
        return Err(Error::NotEmpty { place: address.to_string() });
    }
    objects(&client, &contents).await?;
    history(&client, &contents).await?;
    for board in &contents.boards {
        records(&client, board, &board_of(board.table, controller)).await?;
    }
    super::record::set_aside(&client, &contents.aside).await?;
    let sql = "UPDATE head SET revision = $1";
    client.execute(sql, &[&number(contents.revision)]).await?;
    let sql = "UPDATE meta SET value = $1 WHERE key = 'life'";
    client.execute(sql, &[&number(contents.life)]).await?;
    client.batch_execute("COMMIT").await?;
    Ok(())
}

async fn objects(client: &Client, contents: &Contents) -> Result<(), Error> {
    let sql = "INSERT INTO object SELECT * FROM unnest($1::text[], $2::text[], $3::text[])";
    for part in contents.objects.chunks(ROWS) {
        let kinds: Vec<&str> = part.iter().map(|(kind, ..)| kind.as_str()).collect();
        let names: Vec<&str> = part.iter().map(|(_, name, _)| name.as_str()).collect();
        let bodies: Vec<&str> = part.iter().map(|(.., body)| body.as_str()).collect();
        client.execute(sql, &[&kinds, &names, &bodies]).await?;
    }
    let marks =
        contents.objects.iter().map(|(kind, name, _)| i128::from(fingerprint::of(kind, name)));
    let sum = marks.sum::<i128>().to_string();
    client.execute("UPDATE fingerprint SET objects = $1::text::numeric", &[&sum]).await?;
    Ok(())
}

async fn history(client: &Client, contents: &Contents) -> Result<(), Error> {
    let sql = "INSERT INTO history (revision, at, author, origin, action, edits, inverse)
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])";
    for part in contents.history.chunks(ROWS) {
        let numbers = |pick: fn(&StoredEntry) -> u64| -> Vec<i64> {
            part.iter().map(|entry| number(pick(entry))).collect()
        };
        let texts = |pick: fn(&StoredEntry) -> &str| -> Vec<String> {
            part.iter().map(|entry| text(pick(entry))).collect()
        };
        let (revisions, at) = (numbers(|entry| entry.revision), numbers(|entry| entry.meta.at));
        let authors = texts(|entry| &entry.meta.author);
        let origins = texts(|entry| &entry.meta.origin);
        let actions = texts(|entry| &entry.meta.action);
        let (edits, inverses) = (texts(|entry| &entry.edits), texts(|entry| &entry.inverse));
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [&revisions, &at, &authors, &origins, &actions, &edits, &inverses];
        client.execute(sql, &parameters).await?;
    }
    Ok(())
}

async fn records(client: &Client, board: &StoredBoard, word: &str) -> Result<(), Error> {
    let sql = "INSERT INTO board (board, last, horizon) VALUES ($1, $2, $3)
        ON CONFLICT (board) DO UPDATE SET last = excluded.last, horizon = excluded.horizon";
    client.execute(sql, &[&word, &number(board.last), &number(board.horizon)]).await?;
    let sql = "INSERT INTO record (board, key, body, sequence) SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[])";
    for part in board.records.chunks(ROWS) {
        let keys: Vec<String> = part.iter().map(|record| text(&record.key)).collect();
        let bodies: Vec<Option<String>> =
            part.iter().map(|record| record.body.as_deref().map(text)).collect();
        let sequences: Vec<i64> = part.iter().map(|record| number(record.sequence)).collect();
        client.execute(sql, &[&word, &keys, &bodies, &sequences]).await?;
    }
    Ok(())
}
