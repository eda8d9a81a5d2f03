//! Answers that many handlers give.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use perilune_model::Saved;
use serde::Serialize;
use utoipa::ToSchema;

use crate::json::Json;
use crate::problem::ApiError;

/// A sentence about what was done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Message {
    /// The sentence.
    pub message: String,
}

/// 201 with a sentence.
pub(crate) fn created(message: impl Into<String>) -> Response {
    (StatusCode::CREATED, Json(Message { message: message.into() })).into_response()
}

/// 204, which has no body.
pub(crate) fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// 201 for what is new, 204 for what was there.
pub(crate) fn saved(saved: Saved, what: &str, name: &str) -> Response {
    match saved {
        Saved::Created => created(format!("{what} {name} created successfully")),
        Saved::Updated | Saved::Renamed => done(),
    }
}

/// 404 when a list is empty, as existing clients expect.
pub(crate) fn listed<T: Serialize>(
    is_empty: bool,
    what: &str,
    list: T,
) -> Result<Response, ApiError> {
    if is_empty {
        Err(ApiError::NotFound(format!("there is no {what} yet")))
    } else {
        Ok(Json(list).into_response())
    }
}

/// A text of a request as an error shows it: not endless.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    if text.chars().count() > LONGEST {
        shown.push('…');
    }
    shown
}
