//! `/table`: the cluster as tables of the old database, one at a time, and what tells whether they are the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::answer::Message;
use crate::extract::Path;
use crate::json::{self, Json};
use crate::operations::routes;
use crate::permissions::{Routes, admins};
use crate::problem::ApiError;
use crate::state::State;
use crate::tables::{self, SomeTables};

/// What of a list is no row.
const ABOUT: [&str; 2] = ["SQLITE_SEQUENCE", "STRUCTURE"];

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(admins(), routes!(hashes))
        .add(admins().reveals("exported a table with passwords"), routes!(data))
}

/// Digests of tables.
#[derive(Serialize, ToSchema)]
struct TableHashes {
    table: Hashes,
}

/// Digests of tables.
#[derive(Serialize, ToSchema)]
struct Hashes {
    /// SHA-256 by table, hexadecimal; 0 for one without rows.
    hashes: BTreeMap<String, String>,
}

/// What the master says, or another.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes the answer in the API's document")]
enum HashesAnswer {
    Hashes(TableHashes),
    NotMaster(Message),
}

/// A table.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the answer in the API's document")]
struct TableData {
    table: RowsByTable,
}

/// Its rows below its name.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the answer in the API's document")]
struct RowsByTable {
    data: SomeTables,
}

/// A digest of each table, from the master alone.
#[utoipa::path(get, path = "/table/hashes", tag = "ha", responses(
    (status = 200, description = "SHA-256 by table, below table and hashes; or the message that this is not the master", body = HashesAnswer),
))]
pub(super) async fn hashes(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let Some(tables) = of_master(&state).await? else { return Ok(not_master()) };
    let mut hashes = BTreeMap::new();
    for (name, list) in &tables {
        hashes.insert(name.clone(), digest(list.as_array().map_or(&[], Vec::as_slice))?);
    }
    Ok(Json(TableHashes { table: Hashes { hashes } }).into_response())
}

/// A table, from the master alone: what describes it, and its rows. Of tables that are not told of, nothing.
#[utoipa::path(get, path = "/table/data/{table}", tag = "ha", responses(
    (status = 201, description = "Its rows, below table, data and its name", body = TableData),
    (status = 200, description = "The message that this is not the master", body = Message),
))]
pub(super) async fn data(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let Some(mut tables) = of_master(&state).await? else { return Ok(not_master()) };
    let list = tables.remove(&name).unwrap_or_else(|| json!([]));
    let answer = json!({ "table": { "data": { name: list } } });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

fn not_master() -> Response {
    Json(Message { message: "not master".to_owned() }).into_response()
}

/// All tables, where this controller is the master or alone.
async fn of_master(state: &State) -> Result<Option<Map<String, Value>>, ApiError> {
    if state.controllers.is_shared() && !state.controllers.is_master() {
        return Ok(None);
    }
    let all = state.clone();
    let tables = tokio::task::spawn_blocking(move || tables::exported(&all)).await;
    match tables.map_err(|error| ApiError::Defect(error.to_string()))?? {
        Value::Object(tables) => Ok(Some(tables)),
        _ => Err(ApiError::Defect("an export is not an object".to_owned())),
    }
}

/// As existing controllers compute it: columns by name, rows by theirs, a blank after each comma and colon, nothing beyond ASCII.
fn digest(list: &[Value]) -> Result<String, ApiError> {
    let is_row = |row: &&Map<String, Value>| !ABOUT.iter().any(|word| row.contains_key(*word));
    let mut rows: Vec<&Map<String, Value>> =
        list.iter().filter_map(Value::as_object).filter(is_row).collect();
    if rows.is_empty() {
        return Ok("0".to_owned());
    }
    let name = |row: &&Map<String, Value>| {
        let named = ["name", "hostname"].iter().find_map(|column| row.get(*column));
        named.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    rows.sort_by_key(name);
    let mut hasher = Sha256::new();
    for row in rows {
        let sorted: BTreeMap<&String, &Value> = row.iter().collect();
        let text = json::to_vec(&sorted).map_err(|error| ApiError::Defect(error.to_string()))?;
        hasher.update("#");
        hasher.update(ascii(&String::from_utf8_lossy(&text)));
        hasher.update(";");
    }
    Ok(format!("{:x}", hasher.finalize()))
}

/// Everything beyond ASCII as `\uXXXX`.
fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii() {
            plain.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            write!(plain, "\\u{unit:04x}").expect("a text takes all");
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_the_text_that_existing_controllers_make() {
        let list = json!([
            { "SQLITE_SEQUENCE": 2 },
            { "STRUCTURE": [] },
            { "name": "b", "id": 1, "comment": null },
            { "name": "a", "id": 2, "comment": "é" },
        ]);
        let text = "#{\"comment\": \"\\u00e9\", \"id\": 2, \"name\": \"a\"};#{\"comment\": null, \"id\": 1, \"name\": \"b\"};";
        let expected = format!("{:x}", Sha256::digest(text));
        assert_eq!(digest(list.as_array().unwrap()).unwrap(), expected);
        assert_eq!(digest(&[json!({ "STRUCTURE": [] })]).unwrap(), "0");
        assert_eq!(ascii("a😀"), "a\\ud83d\\ude00");
    }
}
