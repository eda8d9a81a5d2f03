//! Requests of machines that have shown nothing yet. Anybody can make them, and each answer takes the daemon's time, so they are counted
//! (`budgets`).

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use perilune_daemon::clock;
use perilune_daemon::rate::Wait;

use crate::connections::{Group, Standing};
use crate::problem::ApiError;
use crate::source::{self, Source};
use crate::state::State;

/// Where such a request comes from; it was counted, and is not one too many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unproven(pub(super) Source);

impl FromRequestParts<State> for Unproven {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let source = source::of(parts);
        spend(parts, state, source).map_err(|wait| {
            let seconds = wait.seconds();
            let message = format!("machines there asked too often; ask again in {seconds} s");
            ApiError::Busy { message, seconds }
        })?;
        Ok(Self(source))
    }
}

/// Counts the request.
pub(super) fn spend(parts: &Parts, state: &State, source: Source) -> Result<(), Wait> {
    let (budgets, now) = (&state.turns.unproven, clock::steady_milliseconds());
    if source.is_anybody() {
        let said = parts.uri.path().rsplit('/').next().and_then(|last| last.parse().ok());
        return budgets.spend_unnamed(said, now);
    }
    let Some(standing) = parts.extensions.get::<Standing>() else { return Ok(()) };
    let asker = standing.asker(source.address);
    let port = || {
        let Group::Card(card) = asker.group else { return None };
        let seen = state.discovery.last_seen(&state.cluster.published(), card)?;
        Some((seen.switch, seen.port.label()))
    };
    budgets.spend(&asker, port, now)
}
