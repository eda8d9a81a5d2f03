//! `/metrics`: what monitoring reads of the daemon.

use crate::operations::routes;
use axum::extract::State as Shared;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use perilune_daemon::metrics::text;

use crate::export::admit_reader;
use crate::permissions::{Routes, everybody};
use crate::problem::{ApiError, Problem};
use crate::state::State;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn routes() -> Routes {
    Routes::new().add(everybody(), routes!(read))
}

/// What the daemon counts and knows, in the format of `OpenMetrics`.
#[utoipa::path(get, path = "/metrics", tag = "monitor", responses(
    (status = 200, description = "Metrics", body = String, content_type = "application/openmetrics-text"),
    (status = 401, description = "A token is missing, and the address is not one of [PLUGINS] EXPORT_CLIENTS", body = Problem),
))]
async fn read(state: Shared<State>, mut parts: Parts) -> Result<Response, ApiError> {
    admit_reader(&mut parts, &state).await?;
    let _turn = state.metrics.turn().await;
    let all = State::clone(&state);
    let rendered = tokio::task::spawn_blocking(move || text::render(&all)).await;
    let rendered = rendered.map_err(|error| ApiError::Defect(error.to_string()))?;
    let text = rendered.map_err(|error| ApiError::Defect(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}
