//! `/config/identity`: what the systems of nodes are known by. Only what everybody may know is told here.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use futures_util::future::try_join_all;
use perilune_daemon::selection;
use perilune_model::Name;
use perilune_model::identity::{NodeIdentity, names_and_addresses, renew as renewed};
use perilune_select::hostlist;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::answer::{self, Message};
use crate::extract::{Body, Caller};
use crate::json::Json;
use crate::permissions::{Routes, operators, viewers};
use crate::problem::{ApiError, Problem};
use crate::query::Query;
use crate::state::State;

/// Each node takes some tenths of a second of a processor: more at once would outlast any client.
const MOST: usize = 1000;

pub(super) fn routes() -> Routes {
    Routes::new().add(viewers(), routes!(list)).add(operators().acts().reads_at(""), routes!(renew))
}

/// Which nodes are asked about.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// A host list, such as `node[001-004]`; all nodes without it.
    nodes: Option<String>,
}

/// What the system of a node is known by.
#[derive(Serialize, ToSchema)]
struct PublicIdentity {
    /// Its names and addresses, the shortest name first.
    names: Vec<String>,
    /// The public host keys of SSH: algorithm and key.
    ssh_host_keys: Vec<String>,
    /// The name of the iSCSI initiator.
    iscsi_initiator: String,
    /// The qualified name of the `NVMe` host.
    nvme_hostnqn: String,
}

/// The nodes whose identities are to be renewed.
#[derive(Deserialize, ToSchema)]
struct Renewal {
    /// A host list, such as `node[001-016]`.
    nodes: String,
}

/// The public part of the identities of nodes. A node that was never installed has none.
#[utoipa::path(get, path = "/config/identity", tag = "identity", params(Which), responses(
    (status = 200, description = "Identities by node, below config and identity", body = PublicIdentity),
    (status = 400, description = "The host list cannot be read", body = Problem),
    (status = 404, description = "There is no such node", body = Problem),
))]
async fn list(
    state: axum::extract::State<State>,
    Query(which): Query<Which>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let known: Vec<&NodeIdentity> = match which.nodes {
        Some(list) => named(&state, &list)?
            .iter()
            .filter_map(|name| cluster.node_identities().get(name).map(|known| &**known))
            .collect(),
        None => cluster.node_identities().values().map(|known| &**known).collect(),
    };
    let mut entries = serde_json::Map::new();
    for identity in known {
        let node = cluster.node(identity.name.as_str())?;
        let shown = PublicIdentity {
            names: names_and_addresses(&cluster, node),
            ssh_host_keys: identity.ssh_host_keys.iter().map(|key| key.public.clone()).collect(),
            iscsi_initiator: identity.initiator.clone(),
            nvme_hostnqn: perilune_plan::nvme_host_name(&identity.host_uuid),
        };
        entries.insert(node.name.to_string(), json!(shown));
    }
    Ok(Json(json!({ "config": { "identity": entries } })).into_response())
}

/// Gives nodes new identities. They have them from their next installation on.
#[utoipa::path(post, path = "/config/identity/_renew", tag = "identity", request_body = Renewal, responses(
    (status = 201, description = "It is done", body = Message),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 404, description = "There is no such node", body = Problem),
))]
async fn renew(
    state: axum::extract::State<State>,
    caller: Caller,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let Renewal { nodes } = serde_json::from_value(body).map_err(|error| {
        ApiError::Malformed(format!("data structure incomplete or incorrect: {error}"))
    })?;
    let names = named(&state, &nodes)?;
    if names.len() > MOST {
        let many = names.len();
        return Err(ApiError::Malformed(format!("nodes has {many} names; {MOST} at most at once")));
    }
    let made = names.iter().map(|name| state.identities.make(name.clone()));
    let made = try_join_all(made).await?;
    state.cluster.commit(caller.meta(), move |draft| renewed(draft, made.clone())).await?;
    let nodes = hostlist::fold(&names);
    Ok(answer::created(format!("{nodes}: a new identity, from the next installation on")))
}

/// The nodes of a host list, all of which are there.
fn named(state: &State, list: &str) -> Result<Vec<Name>, ApiError> {
    let names = selection::expand(state, list)?;
    let cluster = state.cluster.published();
    let names = names.iter().map(|name| Ok(cluster.node(name.as_str())?.name.clone()));
    Ok(names.collect::<Result<_, perilune_model::Error>>()?)
}
