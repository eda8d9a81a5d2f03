//! `/boot/reinstall`: nodes that are installed once are to be installed anew.

use crate::operations::routes;
use axum::response::Response;
use perilune_daemon::selection;
use perilune_model::effective::Effective;
use perilune_model::node::Node;
use perilune_model::provisioning::InstallPolicy;
use perilune_model::{Cluster, Name};
use utoipa::ToSchema;

use crate::answer;
use crate::extract::{Body, Caller};
use crate::permissions::{Routes, operators};
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new().add(operators().acts(), routes!(reinstall))
}

/// What is asked for.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the request in the API's document")]
struct ReinstallRequest {
    /// A host list, such as `node[001-016]`.
    nodes: String,
    /// Takes it back, as long as they were not installed.
    cancel: Option<bool>,
}

/// Has nodes installed anew at their next boot from the network, where their policy is `once`. All of them or none. It is stored when it
/// is answered.
#[utoipa::path(post, path = "/boot/reinstall", tag = "boot", request_body = ReinstallRequest, responses(
    (status = 204, description = "It is noted"),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 404, description = "There is no such node", body = Problem),
    (status = 409, description = "A node is not installed at its boots; the message says why", body = Problem),
))]
async fn reinstall(
    state: axum::extract::State<State>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let (nodes, cancel) =
        body.read(&[], |fields| (fields.text("nodes").value().cloned(), fields.flag("cancel")))?;
    let nodes = nodes.ok_or_else(|| {
        ApiError::Malformed("data structure incomplete or incorrect: nodes is missing".to_owned())
    })?;
    let reinstall = !cancel;
    let names = selection::expand(&state, &nodes)?;
    let cluster = state.cluster.published();
    let mut known: Vec<Name> = Vec::new();
    for name in &names {
        let node = cluster.node(name.as_str())?;
        if let Some(obstacle) = obstacle(&cluster, node).filter(|_| reinstall) {
            return Err(ApiError::Conflict(format!(
                "{name} would not be installed anew: {obstacle}"
            )));
        }
        known.push(node.name.clone());
    }
    let stored = known.iter().map(|name| state.installations.reinstall(name, reinstall));
    futures_util::future::try_join_all(stored).await?;
    tracing::info!(nodes, reinstall, user = caller.user, "nodes are to be installed anew");
    Ok(answer::done())
}

/// Why a node would start from its disk all the same.
fn obstacle(cluster: &Cluster, node: &Node) -> Option<&'static str> {
    let effective = Effective::of_node(cluster, node);
    if !effective.netboot().value {
        return Some("its netboot is no; set it to yes first");
    }
    match effective.install_policy().value {
        Some(InstallPolicy::Never) => Some("its install_policy is never; set it to once first"),
        Some(InstallPolicy::Always | InstallPolicy::Once | InstallPolicy::Memory) | None => None,
    }
}
