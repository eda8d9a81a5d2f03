//! `/config/key`: the key that passwords of BMCs and secrets are stored with.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::answer::Message;
use crate::extract::Caller;
use crate::json::Json;
use crate::permissions::{Routes, admins};
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(admins().answers_at("config key"), routes!(show))
        .add(admins().acts(), routes!(rotate))
}

/// Which key is in use. Nothing of it is told.
#[derive(Serialize, ToSchema)]
struct KeyKeys {
    /// What tells it from others: in the messages of a daemon that finds another one.
    id: String,
    /// Where it is kept.
    file: String,
}

/// Which key passwords of BMCs and secrets are stored with.
#[utoipa::path(get, path = "/config/key", tag = "key", responses(
    (status = 200, description = "The key, below config and key", body = KeyKeys),
))]
async fn show(state: axum::extract::State<State>) -> Response {
    let (id, file) = (state.vault.key().to_string(), state.vault.key_file().display().to_string());
    Json(json!({ "config": { "key": KeyKeys { id, file } } })).into_response()
}

/// Makes a new key and stores everything with it, the history included. The former one is kept beside it, for backups of before.
#[utoipa::path(post, path = "/config/key/_rotate", tag = "key", responses(
    (status = 201, description = "It is done", body = Message),
    (status = 503, description = "The key cannot be written; the former key is still in use", body = Problem),
))]
async fn rotate(state: axum::extract::State<State>, caller: Caller) -> Result<Response, ApiError> {
    let former = state.vault.key();
    let key = state.vault.rotate().await.map_err(|error| match error {
        error @ perilune_store::Error::KeyFile { .. } => {
            ApiError::Unavailable(perilune_daemon::causes::chain(&error))
        }
        error => ApiError::Store(error),
    })?;
    tracing::info!(user = caller.user, %key, %former, "passwords of BMCs and secrets are stored with a new key");
    let file = state.vault.key_file().display().to_string();
    Ok(crate::answer::created(format!(
        "everything is stored with the key {key} of {file} now; {file}.old has the former one, {former}, which opens backups of before"
    )))
}
