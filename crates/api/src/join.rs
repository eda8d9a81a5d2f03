//! `/controller/_invite` and `/controller/_join`: how a new controller is given what all have alike.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_daemon::causes::chain;
use perilune_daemon::clock;
use perilune_daemon::config::is_controller_name;
use perilune_daemon::joining::{self, LIFE, Request};
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::{Body, Caller};
use crate::json::Json;
use crate::permissions::{Routes, admins, everybody};
use crate::problem::{ApiError, Problem};
use crate::source::Source;
use crate::state::State;
use crate::ticket::SealedKeys;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(admins().acts().reveals("made a code for a new controller"), routes!(invite))
        .add(everybody().acts(), routes!(join))
}

/// What a new controller needs to join.
#[derive(Debug, Serialize, ToSchema)]
struct Invitation {
    /// Good once.
    code: String,
    /// Where to join: at this controller alone.
    url: String,
    /// How long the code is good.
    seconds: u64,
}

/// Makes a code with which one new controller is given the key file, `SECRET_KEY` and the access to the database.
#[utoipa::path(post, path = "/controller/_invite", tag = "controller", responses(
    (status = 200, description = "The code", body = Invitation),
    (status = 409, description = "There is no database that it could share", body = Problem),
))]
async fn invite(state: axum::extract::State<State>, _: Caller) -> Result<Response, ApiError> {
    if state.invitations.database().is_none() {
        let reason = "this controller has a database of its own, which no other can share; bring it to PostgreSQL first (docs/controllers.md)";
        return Err(ApiError::Conflict(reason.to_owned()));
    }
    let code = state.invitations.invite(clock::steady_milliseconds());
    let code = code.map_err(|error| ApiError::Defect(error.to_string()))?;
    let known = state.controllers.known();
    let own = known.heard.controllers.iter().find(|one| one.name == state.controllers.name());
    let url = own.map(|own| own.url.clone()).unwrap_or_default();
    Ok(Json(Invitation { code, url, seconds: LIFE / 1000 }).into_response())
}

/// What a new controller sends.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the request in the API's document")]
struct JoinRequest {
    /// What it is to be called.
    #[schema(pattern = "^[-_.0-9A-Za-z]{1,64}$")]
    name: String,
    /// The key that the answer is sealed to, 32 bytes in base64.
    #[schema(pattern = "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$")]
    key: String,
    /// That it has the code.
    proof: String,
}

/// Gives a new controller what all have alike, sealed to its key: `name`, `key` and `proof`, which shows that it has a code.
#[utoipa::path(post, path = "/controller/_join", tag = "controller", request_body = JoinRequest, responses(
    (status = 200, description = "What all controllers have alike, sealed", body = SealedKeys),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 403, description = "No code that is good was shown", body = Problem),
    (status = 409, description = "A controller of this name runs; the code is still good", body = Problem),
))]
async fn join(
    state: axum::extract::State<State>,
    source: Source,
    body: Body,
) -> Result<Response, ApiError> {
    let malformed = |error: serde_json::Error| ApiError::Malformed(error.to_string());
    let request: Request = serde_json::from_value(body.0).map_err(malformed)?;
    let name = request.name.as_str();
    if !is_controller_name(name) {
        let reason = "name: it must be letters, digits, dots and dashes, at most 64";
        return Err(ApiError::Malformed(reason.to_owned()));
    }
    let refused =
        "the code is wrong, was used, or is over; another is made with perilune controller invite";
    let forbidden = || ApiError::Forbidden(refused.to_owned());
    let database = state.invitations.database().ok_or_else(forbidden)?;
    let now = clock::steady_milliseconds();
    if !state.invitations.is_proved(&request, now) {
        return Err(forbidden());
    }
    // Only who has a code is told who runs.
    if state.controllers.known().live().any(|one| one.name == name) {
        let reason = format!("a controller named {name} runs already; choose another name");
        return Err(ApiError::Conflict(reason));
    }
    let code = state.invitations.redeem(&request, now).ok_or_else(forbidden)?;
    let sealed = joining::bring(&state.settings, database, &request, &code);
    let sealed = sealed.map_err(|error| ApiError::Defect(chain(&error)))?;
    let client = source.address;
    let what = "was given the keys of the site and the access to its database, for a code";
    state.audit.secret(&format!("controller {name}"), client, what);
    tracing::warn!(controller = name, %client, "a new controller was given the keys of the site and the access to its database");
    Ok(Json(sealed).into_response())
}
