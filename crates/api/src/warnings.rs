//! `/monitor/warnings`: what will not work.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_daemon::{clock, warnings};
use perilune_select::hostlist;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::json::Json;
use crate::permissions::{Routes, viewers};
use crate::problem::ApiError;
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new().add(viewers().answers_at("monitor warnings []"), routes!(list))
}

/// Something that will not work.
#[derive(Debug, Serialize, ToSchema)]
struct Warning {
    /// A host list of the nodes that it is about; null when it is about something else.
    nodes: Option<String>,
    /// What it is and what to do; `NODE` stands for each of the nodes.
    warning: String,
}

/// What will not work, as far as it can be known: nodes that cannot boot, files that are lost, ranges that are full.
#[utoipa::path(get, path = "/monitor/warnings", tag = "monitor", responses(
    (status = 200, description = "A list, below monitor and warnings", body = Warning),
))]
async fn list(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let all = State::clone(&state);
    let hidden = state.hidden_boots.warning(clock::milliseconds());
    let found = tokio::task::spawn_blocking(move || warnings::all(&all));
    let found = found.await.map_err(|error| ApiError::Defect(error.to_string()))?;
    let hidden = hidden.map(|warning| Warning { nodes: None, warning });
    let warnings = hidden.into_iter().chain(found.into_iter().map(|warning| Warning {
        nodes: (!warning.nodes.is_empty()).then(|| hostlist::fold(&warning.nodes)),
        warning: warning.text,
    }));
    Ok(Json(json!({ "monitor": { "warnings": warnings.collect::<Vec<_>>() } })).into_response())
}
