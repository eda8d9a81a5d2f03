//! `/journal` and `/table`: a controller of Luna 2 beside these, while a site moves from one to the other. To it, all of these are one.
//!
//! A row of a journal is a request that somebody made there. Each is made here as a change of its own, once, however often it is sent.

mod function;
mod table;

use std::collections::BTreeMap;

use crate::operations::routes;
use axum::Extension;
use axum::http::StatusCode;
use axum::http::request::Parts as Sent;
use axum::response::{IntoResponse, Response};
use function::Call;
use perilune_daemon::clock;
use perilune_daemon::cluster::{self, Author, RequestKey};
use perilune_store::Meta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;

use crate::answer;
use crate::answer::shown;
use crate::bulk;
use crate::extract::{Body, Caller, Path};
use crate::json::Json;
use crate::permissions::{Routes, admins};
use crate::problem::{ApiError, Problem};
use crate::state::State;

/// As many rows are taken at once; who has more sends the rest later.
const MOST: usize = 10_000;
const ACCEPTED: &str = "success";

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(admins().acts().reads_at("journal []"), routes!(receive))
        .add(admins(), routes!(waiting))
        .add(admins(), routes!(waiting_for))
        .add(admins().acts(), routes!(forget))
        .merge(table::routes())
}

/// A row, with the columns of the old database.
#[derive(Debug, Clone, Deserialize, Serialize, utoipa::ToSchema)]
#[schema(as = JournalRow)]
#[serde(deny_unknown_fields)]
struct Row {
    function: String,
    #[serde(default)]
    object: Value,
    #[serde(default)]
    param: Value,
    #[serde(default)]
    payload: Option<String>,
    #[serde(default)]
    masteronly: Value,
    #[serde(default)]
    remoteonly: Value,
    #[serde(default)]
    misc: Value,
    #[serde(default)]
    sendfor: Option<String>,
    #[serde(default)]
    sendto: Option<String>,
    #[serde(default)]
    sendby: Option<String>,
    #[serde(default)]
    tries: Value,
    #[serde(default)]
    created: Value,
}

impl Row {
    /// The same for the same row, whichever controller it was sent for: what one has done is done for all.
    fn key(&self) -> String {
        let named = json!([
            self.function,
            self.object,
            self.param,
            self.payload,
            self.sendby,
            self.created
        ]);
        format!("{:x}", Sha256::digest(format!("journal {named}")))
    }

    /// Seconds since 1970.
    fn at(&self) -> u64 {
        match &self.created {
            Value::String(text) => text.parse().unwrap_or_default(),
            Value::Number(number) => number.as_u64().unwrap_or_default(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => 0,
        }
    }

    fn sender(&self) -> &str {
        self.sendby.as_deref().unwrap_or_default()
    }
}

/// Makes the changes that another controller's journal has, each once, in their order. Rows about files of that controller have nothing to do here;
/// those about images and their work are left to people, and said in the log.
#[utoipa::path(post, path = "/journal", tag = "ha", request_body = Row, responses(
    (status = 201, description = "All of them are done, were done before, or are refused", body = answer::Message),
    (status = 400, description = "A row has other columns", body = Problem),
    (status = 403, description = "A row is by no controller that is described", body = Problem),
    (status = 503, description = "The database does not answer; what was not done is to be sent again", body = Problem),
))]
async fn receive(
    state: axum::extract::State<State>,
    Extension(parts): Extension<bulk::Parts>,
    caller: Caller,
    sent: Sent,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let columns = || ApiError::Malformed("Invalid request: Columns are incorrect".to_owned());
    let rows = body.get("journal").and_then(Value::as_array).ok_or_else(columns)?;
    if rows.len() > MOST {
        return Err(ApiError::TooLarge(format!("{MOST} rows are taken at once")));
    }
    let rows = rows.iter().map(|row| Row::deserialize(row).map_err(|_error| columns()));
    let mut rows = rows.collect::<Result<Vec<Row>, _>>()?;
    let cluster = state.cluster.published();
    if let Some(stranger) =
        rows.iter().find(|row| !cluster.controllers().contains_key(row.sender()))
    {
        return Err(ApiError::Forbidden(format!(
            "rows are taken from controllers that are described, and '{}' is none",
            shown(stranger.sender())
        )));
    }
    rows.sort_by_key(Row::at);
    let known = state.history.committed(rows.iter().map(Row::key).collect()).await?;
    for row in rows {
        perform(&state, &parts, &caller, &sent, &row, &known).await?;
    }
    Ok(answer::created(ACCEPTED))
}

async fn perform(
    state: &State,
    parts: &bulk::Parts,
    caller: &Caller,
    sent: &Sent,
    row: &Row,
    known: &BTreeMap<String, u64>,
) -> Result<(), ApiError> {
    let key = row.key();
    if known.contains_key(&key) {
        return Ok(());
    }
    let (function, from) = (shown(&row.function), row.sender());
    match function::read(row) {
        Ok(Call::Change(edit)) => {
            let gathering = state.gathering();
            let _whatever_happens = bulk::Discarded::new(gathering.cluster.clone());
            let answer = match edit.into_request(sent) {
                Ok(request) => {
                    let router = parts.router(&gathering);
                    router.oneshot(request).await.into_response()
                }
                Err(error) => error.into_response(),
            };
            if !answer.status().is_success() {
                let reason = bulk::reason_of(answer).await;
                tracing::warn!(function, from, reason, "a change of another controller is refused");
                return Ok(());
            }
            let meta = Meta {
                at: clock::milliseconds(),
                author: format!("journal:{from}"),
                origin: caller.origin().to_string(),
                action: format!("{function} {}", shown(&row.object.to_string())),
            };
            let author = Author { meta, dry_run: false, key: Some(RequestKey::new(key)) };
            match state.cluster.commit_gathered(author, &gathering.cluster).await {
                Ok(_) | Err(cluster::Error::Repeated(_)) => Ok(()),
                Err(cluster::Error::Refused(refusal)) => {
                    tracing::warn!(function, from, %refusal, "a change of another controller is refused");
                    Ok(())
                }
                Err(error) => Err(error.into()),
            }
        }
        Ok(Call::Report(node, said)) => {
            if let Ok(node) = state.cluster.published().node(&node) {
                state.status.report(&node.name, &said, None, clock::milliseconds());
            }
            Ok(())
        }
        Ok(Call::Nothing) => Ok(()),
        Err(reason) => {
            tracing::warn!(
                function,
                from,
                reason,
                "a request of another controller is not done here"
            );
            Ok(())
        }
    }
}

/// Rows that wait for a controller.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct WaitingRows {
    /// None: what is changed here is in the database that all of these controllers share.
    journal: Vec<Value>,
}

/// The rows that wait for the controller that asks: none.
#[utoipa::path(get, path = "/journal", tag = "ha", responses(
    (status = 200, description = "An empty list below journal", body = WaitingRows),
))]
async fn waiting() -> Response {
    Json(WaitingRows { journal: Vec::new() }).into_response()
}

/// The rows that wait for a controller: none.
#[utoipa::path(get, path = "/journal/{controller}", tag = "ha", responses(
    (status = 200, description = "An empty list below journal", body = WaitingRows),
))]
async fn waiting_for(Path(_): Path<String>) -> Response {
    Json(WaitingRows { journal: Vec::new() }).into_response()
}

/// Removes the rows that wait for a controller; there are none.
#[utoipa::path(get, path = "/journal/{controller}/_delete", tag = "ha", responses(
    (status = 204, description = "There is none"),
))]
async fn forget(Path(_): Path<String>) -> StatusCode {
    StatusCode::NO_CONTENT
}
