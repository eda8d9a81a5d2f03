//! Tickets: what a machine shows to prove that its boot was begun here.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use perilune_plan::{Ticket, Token};
use utoipa_axum::routes;

use crate::api::boot::{fits, node_token};
use crate::api::extract::{Body, Path, Peer};
use crate::api::permissions::{Routes, everybody};
use crate::api::problem::{ApiError, Problem};
use crate::api::query::Query;
use crate::api::tpm;
use crate::json::Json;
use crate::state::State;
use crate::status::{NodeState, SUCCESS};

pub(super) fn routes() -> Routes {
    Routes::new().add(everybody().acts(), routes!(exchange))
}

/// A node's token, for the ticket that its kernel was given and, where the cluster demands it (`security`), what its TPM measured.
#[utoipa::path(post, path = "/boot/ticket/{node}", tag = "boot", request_body = serde_json::Value, responses(
    (status = 201, description = "The token", body = serde_json::Value),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 401, description = "The ticket is for another node, another address, or a boot that is over, or the TPM is not the node's", body = Problem),
))]
async fn exchange(
    state: axum::extract::State<State>,
    Peer(asker): Peer,
    Path(node): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let Ticket { ticket, tpm_sha256 } = serde_json::from_value(body).map_err(|error| {
        ApiError::Malformed(format!("data structure incomplete or incorrect: {error}"))
    })?;
    admit(&state, &node, asker, &ticket)?;
    tpm::check_of_served(&state, asker, &node, tpm_sha256.as_deref()).await?;
    let token = node_token(&state, &node)?;
    Ok((StatusCode::CREATED, Json(Token { token })).into_response())
}

/// Whether the ticket is that of this node's boot, shown by the machine that it was given to, and the boot is not over.
fn admit(state: &State, node: &str, asker: IpAddr, ticket: &str) -> Result<(), ApiError> {
    let refuse = |text: &str| ApiError::Unauthenticated(text.to_owned());
    let boot = state.keys.redeem(ticket).filter(|boot| boot.node == node);
    let boot =
        boot.ok_or_else(|| refuse("this boot is not served any longer; boot the machine again"))?;
    let cluster = state.cluster.published();
    let same_place = boot.address == asker
        || cluster.node(node).is_ok_and(|known| fits(&cluster, &known.interfaces, asker));
    if !same_place {
        tracing::warn!(node, %asker, expected = %boot.address, "a ticket was shown by another machine");
        return Err(refuse("this ticket was given to another address"));
    }
    let is_over =
        |reported: &Arc<NodeState>| reported.state == SUCCESS && reported.since / 1000 > boot.begun;
    if state.status.get(node).as_ref().is_some_and(is_over) {
        return Err(refuse(
            "this boot has been completed; boot the machine again to install it anew",
        ));
    }
    Ok(())
}

/// Whether the query has a ticket.
pub(super) async fn is_shown(parts: &mut Parts, state: &State) -> bool {
    Query::<Ticket>::from_request_parts(parts, state).await.is_ok()
}

/// Lets in an installer that shows the ticket of its boot in the address that it asks for.
pub(super) async fn admit_shown(parts: &mut Parts, state: &State) -> Result<(), ApiError> {
    let Query(Ticket { ticket, .. }) = Query::from_request_parts(parts, state).await?;
    let Path(node) = Path::<String>::from_request_parts(parts, state).await?;
    let Peer(asker) = Peer::from_request_parts(parts, state).await?;
    admit(state, &node, asker, &ticket)?;
    if state.cluster.published().settings().security {
        let reason = "this cluster has security on, and the distribution's installer cannot show what the machine's TPM measured";
        return Err(ApiError::Unauthenticated(reason.to_owned()));
    }
    Ok(())
}
