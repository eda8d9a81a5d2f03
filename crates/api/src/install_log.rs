//! The logs of installations: a node sends its own, an operator reads them. What scripts say may be nobody else's business.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_daemon::clock::{self, rfc3339};
use perilune_daemon::install_logs::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::answer;
use crate::extract::{Body, Path};
use crate::json::Json;
use crate::permissions::{Routes, operators};
use crate::problem::{ApiError, Problem};
use crate::state::State;

/// A text in JSON, each of whose characters may be written as six.
const LARGEST: usize = 640 << 10;

pub(super) fn routes() -> Routes {
    let put = Routes::new().add(operators().acts().or_node("node"), routes!(put));
    Routes::new()
        .add(operators().answers_at("monitor log *"), routes!(show))
        .merge(put.bodies_up_to(LARGEST))
}

/// What an installer has said so far.
#[derive(Deserialize, ToSchema)]
struct SentLog {
    /// Lines; 80 KiB at most.
    text: String,
}

/// What an installer last said.
#[derive(Serialize, ToSchema)]
struct KeptLog {
    /// When it came, RFC 3339.
    at: String,
    /// The beginning and the end of what its console said.
    text: String,
}

/// A node's installer sends its log, which takes the place of the one before.
#[utoipa::path(post, path = "/boot/log/{node}", tag = "boot", request_body = SentLog, responses(
    (status = 204, description = "It is kept"),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 404, description = "There is no such node", body = Problem),
    (status = 413, description = "The log is too long", body = Problem),
    (status = 429, description = "The last one came a moment ago", body = Problem),
))]
async fn put(
    state: axum::extract::State<State>,
    Path(node): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let SentLog { text } = serde_json::from_value(body).map_err(|error| {
        ApiError::Malformed(format!("data structure incomplete or incorrect: {error}"))
    })?;
    let node = state.cluster.published().node(&node)?.name.clone();
    state.install_logs.put(&node, &text, clock::milliseconds()).map_err(
        |refusal| match refusal {
            Refusal::TooLong(_) => ApiError::TooLarge(refusal.to_string()),
            Refusal::TooOften => ApiError::TooOften(refusal.to_string()),
        },
    )?;
    Ok(answer::done())
}

/// What the installer of a node last said.
#[utoipa::path(get, path = "/monitor/log/{node}", tag = "monitor", responses(
    (status = 200, description = "The log, below monitor, log and the node's name", body = KeptLog),
    (status = 404, description = "There is no such node, or it has sent none", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    Path(node): Path<String>,
) -> Result<Response, ApiError> {
    let node = state.cluster.published().node(&node)?.name.clone();
    let (at, text) = state
        .install_logs
        .get(node.as_str())
        .ok_or_else(|| ApiError::NotFound(format!("no installer of {node} has sent a log yet")))?;
    let shown = KeptLog { at: rfc3339(at), text };
    Ok(Json(json!({ "monitor": { "log": { node.as_str(): shown } } })).into_response())
}
