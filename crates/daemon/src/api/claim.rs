//! `/boot/claim`: an administrator accepts what an unknown machine says that it is.

use axum::response::{IntoResponse, Response};
use perilune_model::{Draft, Error as Refusal, Kind, Name, NotAMacAddress, discovery};
use serde_json::json;
use utoipa_axum::routes;

use crate::api::extract::{Body, Caller, Path};
use crate::api::node::shown;
use crate::api::permissions::{Routes, operators};
use crate::api::problem::{ApiError, Problem};
use crate::boots::Evidence;
use crate::claims::Wish;
use crate::json::Json;
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new().add(operators().changes(), routes!(accept))
}

/// Makes an unknown machine what it claims to be at its console, and expects its boot.
#[utoipa::path(post, path = "/boot/claim/{macaddress}/_accept", tag = "boot", security(("token" = [])), request_body = serde_json::Value, responses(
    (status = 200, description = "The node that it became", body = serde_json::Value),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 404, description = "The machine claims nothing, or what it claims is not there", body = Problem),
    (status = 409, description = "The node is another machine already, and the request does not say that this one replaces it", body = Problem),
))]
async fn accept(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(mac): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    // Whether the machine may take the place of the one that the node has now.
    let replace = body.read(&[], |fields| fields.flag("replace"))?;
    let mac = mac.parse().map_err(|error: NotAMacAddress| {
        ApiError::Malformed(format!("'{}': {error}", shown(&mac)))
    })?;
    let wish = state.claims.of(mac).ok_or_else(|| {
        ApiError::NotFound(format!(
            "the machine {mac} claims nothing; 'perilune node adopt {mac} NAME' makes it a node"
        ))
    })?;
    if let Wish::Node(name) = &*wish {
        let cluster = state.cluster.published();
        let known = cluster.node(name.as_str())?.provision_interface(&cluster);
        let present = known.and_then(|interface| interface.macaddress);
        if let Some(present) = present.filter(|present| *present != mac && !replace) {
            return Err(ApiError::Conflict(format!(
                "{name} is the machine {present} already; say that this one replaces it (perilune node adopt {mac} --replace)"
            )));
        }
    }
    let decide = move |draft: &mut Draft| -> Result<Name, Refusal> {
        match &*wish {
            Wish::Node(name) => discovery::assign(draft, name.as_str(), mac).map(|()| name.clone()),
            Wish::NextOf(group) => discovery::claim(draft, mac, Some(group))?.ok_or_else(|| {
                Refusal::NotFound { kind: Kind::Node, name: format!("next of {group}") }
            }),
        }
    };
    let node = state.cluster.commit(caller.meta(), decide).await?;
    state.claims.forget(mac);
    state.boots.expect(&node, Evidence::Arm, None);
    Ok(Json(json!({ "node": node })).into_response())
}
