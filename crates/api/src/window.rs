//! `/boot/window`: which boots are expected, and how an administrator allows some in advance.

use std::time::Duration;

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_daemon::boots::{Evidence, LONGEST_ARMED, WINDOW};
use perilune_daemon::selection;
use perilune_model::Name;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::extract::{Body, Caller};
use crate::json::{self, Json};
use crate::permissions::{Routes, operators, viewers};
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new().add(viewers(), routes!(list)).add(operators().acts(), routes!(arm))
}

/// Boots that are expected.
#[derive(Serialize, ToSchema)]
struct Windows {
    /// One for each node whose boot is expected.
    windows: Vec<Shown>,
    /// What opens a window here: `dhcp`, `power`, `arm`, `search`.
    evidence: Vec<&'static str>,
}

#[derive(Serialize, ToSchema)]
struct Shown {
    /// The node.
    node: String,
    /// Why its boot is expected: `dhcp`, `power`, `arm` or `search`.
    evidence: &'static str,
    /// Until the window closes by itself.
    seconds_left: u64,
}

/// What is asked for.
#[derive(Deserialize, ToSchema)]
struct WindowRequest {
    /// A host list, such as `node[001-016]`.
    nodes: String,
    /// How long: seconds, 86,400 at most; 1,800 when it is left out, and 0 closes the windows.
    #[serde(default)]
    #[schema(maximum = 86400)]
    seconds: Option<u64>,
}

/// The boots that are expected at present.
#[utoipa::path(get, path = "/boot/window", tag = "boot", responses(
    (status = 200, description = "The open windows, and what opens one", body = Windows),
))]
async fn list(state: axum::extract::State<State>) -> Response {
    Json(shown(&state)).into_response()
}

/// Allows boots of nodes for some time, or ends that. All of them or none.
#[utoipa::path(post, path = "/boot/window", tag = "boot", request_body = WindowRequest, responses(
    (status = 200, description = "The open windows, and what opens one", body = Windows),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 404, description = "There is no such node", body = Problem),
    (status = 409, description = "The configuration does not take this as evidence", body = Problem),
))]
async fn arm(
    state: axum::extract::State<State>,
    caller: Caller,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let WindowRequest { nodes, seconds } = json::read(body).map_err(|error| {
        ApiError::Malformed(format!("data structure incomplete or incorrect: {error}"))
    })?;
    let length = seconds.map_or(WINDOW, Duration::from_secs);
    if length > LONGEST_ARMED {
        let most = LONGEST_ARMED.as_secs();
        return Err(ApiError::Malformed(format!("seconds is too large: {most} at most")));
    }
    let names = selection::expand(&state, &nodes)?;
    caller.needs_nodes(names.iter().map(String::as_str))?;
    let cluster = state.cluster.published();
    let names = names.iter().map(|name| Ok(cluster.node(name.as_str())?.name.clone()));
    let names: Vec<Name> = names.collect::<Result<_, perilune_model::Error>>()?;
    if !state.boots.accepts(Evidence::Arm) {
        let reason = "boots cannot be allowed in advance: [BOOT] EVIDENCE of the configuration does not list arm";
        return Err(ApiError::Conflict(reason.to_owned()));
    }
    if length.is_zero() {
        state.boots.close(&names).await?;
    } else {
        for name in &names {
            state.boots.expect_for(name, Evidence::Arm, None, length);
        }
    }
    tracing::info!(nodes, seconds = length.as_secs(), user = caller.user, "boots are allowed");
    Ok(Json(shown(&state)).into_response())
}

fn shown(state: &State) -> Windows {
    let windows = state.boots.open_windows().into_iter().map(|(node, window, left)| Shown {
        node: node.to_string(),
        evidence: window.evidence.word(),
        seconds_left: left.as_secs(),
    });
    let evidence = state.boots.accepted().iter().map(|kind| kind.word());
    Windows { windows: windows.collect(), evidence: evidence.collect() }
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema as _;

    use super::*;

    #[test]
    fn the_document_says_how_long_a_window_may_be() {
        let schema = serde_json::json!(WindowRequest::schema());
        assert_eq!(schema["properties"]["seconds"]["maximum"], LONGEST_ARMED.as_secs());
    }
}
