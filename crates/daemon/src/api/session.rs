//! Logging in, and what anybody may know: `/token`, `/version`, `/ping`, `/all-routes`, `/openapi.json`, `/docs`.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use perilune_model::user::Role;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::api::extract::{Body, Origin};
use crate::api::permissions::{Routes, everybody};
use crate::api::problem::{ApiError, Problem};
use crate::api::user::is_password;
use crate::clock;
use crate::json::Json;
use crate::state::State;

/// The version of the API that existing clients look for.
const LUNA: &str = "2.1.0001";
const API: u32 = 1;
/// One answer for a wrong name and a wrong password, so that nobody learns who may log in.
const INCORRECT: &str = "Incorrect username or password";

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(everybody().acts(), routes!(log_in))
        .add(everybody(), routes!(version))
        .add(everybody(), routes!(ping))
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Token {
    /// The value of the header `x-access-tokens`.
    pub(super) token: String,
}

/// Logs in.
#[utoipa::path(post, path = "/token", tag = "session", request_body = Value, responses(
    (status = 201, description = "Logged in", body = Token),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 401, description = "Not logged in. After too many failures the header Retry-After says how many seconds to wait", body = Problem),
    (status = 403, description = "The user has the role installer, which is good for /tpm alone", body = Problem),
))]
async fn log_in(
    state: axum::extract::State<State>,
    origin: Origin,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let fields = object(&body)?;
    // Of before the password is looked at: one that is changed meanwhile must not be good for a token of the new generation.
    let named = fields.get("username").and_then(Value::as_str).unwrap_or_default();
    let mark = state.mark_of(named)?;
    let user = verified(&state, origin, fields).await?;
    let mark = mark.ok_or_else(|| ApiError::Unauthenticated(INCORRECT.to_owned()))?;
    if state.role_of(&user) == Some(Role::Installer) {
        let message = format!("the user '{user}' is an installer, and logs in at /tpm alone");
        return Err(ApiError::Forbidden(message));
    }
    let token = state
        .keys
        .for_user(&user, mark, clock::seconds())
        .map_err(|error| ApiError::Defect(error.to_string()))?;
    state.audit.secret(&user, origin.address, "logged in, and was given a token");
    Ok((StatusCode::CREATED, Json(Token { token })).into_response())
}

/// The body of a log-in.
pub(super) fn object(body: &Value) -> Result<&Map<String, Value>, ApiError> {
    body.as_object().ok_or_else(|| {
        ApiError::Malformed(
            "data structure incomplete or incorrect: it is not an object".to_owned(),
        )
    })
}

/// The user whose name and password stand in the body of a log-in.
pub(super) async fn verified(
    state: &State,
    origin: Origin,
    fields: &Map<String, Value>,
) -> Result<String, ApiError> {
    let refuse = |text: &str| Err(ApiError::Unauthenticated(text.to_owned()));
    if fields.is_empty() {
        return refuse("Login Required");
    }
    let Some(user) = fields.get("username").and_then(Value::as_str) else {
        return refuse("Username Is Required");
    };
    let Some(password) = fields.get("password").and_then(Value::as_str) else {
        return refuse("Password Is Required");
    };
    if user.is_empty() || password.is_empty() {
        return refuse("Please provide the username and password");
    }
    if is_password(state, origin, user, password.to_owned()).await? {
        return Ok(user.to_owned());
    }
    refuse(INCORRECT)
}

/// The versions of the API and of the program.
#[utoipa::path(get, path = "/version", tag = "session", responses((status = 200, description = "The versions", body = Value)))]
async fn version() -> Response {
    let version = json!({ "api": API, "commit": env!("CARGO_PKG_VERSION"), "luna": LUNA, "perilune": env!("CARGO_PKG_VERSION") });
    Json(json!({ "version": version })).into_response()
}

/// Whether the daemon is there.
#[utoipa::path(get, path = "/ping", tag = "session", responses((status = 200, description = "It is", body = Value)))]
async fn ping() -> Response {
    Json(json!({ "message": "pong" })).into_response()
}
