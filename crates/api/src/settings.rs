//! `/config/cluster`: settings of the cluster as a whole, and its controllers.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_model::controller::BEACON_KEY;
use perilune_model::{Saved, settings};
use perilune_wire::cluster::{ClusterKeys, request};
use perilune_wire::described;

use crate::answer::{self, Message};
use crate::extract::{Body, Caller};
use crate::json::Json;
use crate::permissions::{Routes, admins, viewers};
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(viewers().answers_at("config cluster"), routes!(show))
        .add(admins().changes().reads_at("config cluster"), routes!(save))
}

/// The cluster's settings and controllers.
#[utoipa::path(get, path = "/config/cluster", tag = "cluster", responses(
    (status = 200, description = "Settings, and each controller under its name, below config and cluster", body = ClusterKeys),
    (status = 404, description = "There is no controller", body = Problem),
))]
async fn show(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    if cluster.beacon().is_none() {
        return Err(ApiError::NotFound("the cluster has no controller".to_owned()));
    }
    let configuration = state.settings.file.to_string_lossy();
    let keys = ClusterKeys::new(&cluster, &configuration);
    Ok(Json(serde_json::json!({ "config": { "cluster": keys } })).into_response())
}

/// Changes the cluster's settings and its controllers' addresses.
#[utoipa::path(post, path = "/config/cluster", tag = "cluster", request_body = described::ClusterRequest, responses(
    (status = 201, description = "There was nothing to do", body = Message),
    (status = 204, description = "It is as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
))]
async fn save(
    state: axum::extract::State<State>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let keys = controller_keys(&state);
    if body.object(&["config", "cluster"])?.is_empty() {
        return Err(ApiError::Malformed(
            "data structure incomplete or incorrect: nothing is asked of the cluster".to_owned(),
        ));
    }
    let installed = state.installed_plugins();
    let request = body.read(&["config", "cluster"], |fields| request(fields, &keys, &installed))?;
    match state.cluster.commit(caller.meta(), move |draft| settings::save(draft, &request)).await? {
        Saved::Created => Ok(answer::created("nothing to update")),
        Saved::Updated | Saved::Renamed => Ok(answer::done()),
    }
}

/// The keys by which requests may give controllers new addresses.
pub(super) fn controller_keys(state: &State) -> Vec<String> {
    let cluster = state.cluster.published();
    let others = cluster.controllers().keys().map(|name| name.as_str().replace('-', "_"));
    std::iter::once(BEACON_KEY.to_owned()).chain(others.filter(|key| key != BEACON_KEY)).collect()
}
