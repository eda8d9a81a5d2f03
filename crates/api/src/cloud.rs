//! `/config/cloud`: clouds.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_model::device::cloud;
use perilune_model::{Kind, Name};
use perilune_wire::described;
use perilune_wire::device::{CloudKeys, cloud_request};
use perilune_wire::envelope::Config;

use crate::answer::shown;
use crate::answer::{self, Message};
use crate::extract::{Body, Caller, Path};
use crate::json::Json;
use crate::permissions::{Routes, operators, viewers};
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(viewers(), routes!(list))
        .add(viewers(), routes!(show))
        .add(operators().changes().in_bulk(), routes!(save))
        .add(operators().changes().in_bulk(), routes!(clone))
        .add(operators().changes().in_bulk(), routes!(remove))
}

/// All clouds.
#[utoipa::path(get, path = "/config/cloud", tag = "cloud", responses(
    (status = 200, description = "Clouds by name, below config and cloud", body = CloudKeys),
    (status = 404, description = "There is no cloud", body = Problem),
))]
async fn list(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let entries =
        cluster.clouds().values().map(|cloud| (cloud.name.as_str(), CloudKeys::new(cloud)));
    answer::listed(
        cluster.clouds().is_empty(),
        "cloud",
        Config { resource: "cloud", entries: entries.collect() },
    )
}

/// One cloud.
#[utoipa::path(get, path = "/config/cloud/{name}", tag = "cloud", responses(
    (status = 200, description = "The cloud by name, below config and cloud", body = CloudKeys),
    (status = 404, description = "There is no such cloud", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let cloud = cluster.cloud(&name)?;
    Ok(Json(Config::one("cloud", &name, CloudKeys::new(cloud))).into_response())
}

/// Makes or changes a cloud.
#[utoipa::path(post, path = "/config/cloud/{name}", tag = "cloud", request_body = described::CloudRequest, responses(
    (status = 201, description = "It is new", body = Message),
    (status = 204, description = "It was there and is as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
))]
async fn save(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let key = cloud_name(&name)?;
    let request = body.read(&["config", "cloud", &name], cloud_request)?;
    let saved = state
        .cluster
        .commit(caller.meta(), move |draft| cloud::save(draft, &key, &request))
        .await?;
    Ok(answer::saved(saved, "Cloud", &name))
}

/// Makes another cloud like this one.
#[utoipa::path(post, path = "/config/cloud/{name}/_clone", tag = "cloud", request_body = described::CloudCopy, responses(
    (status = 201, description = "It is made", body = Message),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such cloud", body = Problem),
))]
async fn clone(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let request = body.read(&["config", "cloud", &name], |fields| {
        fields.require("newcloudname", "say what the new cloud is called");
        cloud_request(fields)
    })?;
    let new_name = request.new_name.clone().unwrap_or_default();
    let message = format!("Cloud {name} cloned to {new_name} successfully");
    state
        .cluster
        .commit(caller.meta(), move |draft| cloud::clone(draft, &name, &new_name, &request))
        .await?;
    Ok(answer::created(message))
}

/// Removes a cloud that no node is in.
#[utoipa::path(get, path = "/config/cloud/{name}/_delete", tag = "cloud", responses(
    (status = 204, description = "It is gone"),
    (status = 400, description = "Nodes are in it; the message names them", body = Problem),
    (status = 404, description = "There is no such cloud", body = Problem),
))]
async fn remove(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    state.cluster.commit(caller.meta(), move |draft| draft.remove(Kind::Cloud, &name)).await?;
    Ok(answer::done())
}

fn cloud_name(name: &str) -> Result<Name, ApiError> {
    Name::general(name).map_err(|error| {
        ApiError::Malformed(format!("invalid cloud name '{}': {error}", shown(name)))
    })
}
