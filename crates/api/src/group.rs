//! `/config/group`: groups.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_model::{Kind, Name, group};
use perilune_wire::described;
use perilune_wire::envelope::Config;
use perilune_wire::group::{self as asked, GroupDetail, GroupEntry};
use serde::Serialize;
use utoipa::ToSchema;

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
        .add(viewers(), routes!(members))
        .add(operators().changes().in_bulk(), routes!(clone))
        .add(operators().changes().in_bulk(), routes!(remove))
}

/// All groups.
#[utoipa::path(get, path = "/config/group", tag = "group", responses(
    (status = 200, description = "Groups by name, below config and group", body = GroupEntry),
    (status = 404, description = "There is no group", body = Problem),
))]
async fn list(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let entries = cluster
        .groups()
        .values()
        .map(|group| (group.name.as_str(), GroupEntry::new(&cluster, group)));
    answer::listed(
        cluster.groups().is_empty(),
        "group",
        Config { resource: "group", entries: entries.collect() },
    )
}

/// One group: what its nodes get, and where it comes from.
#[utoipa::path(get, path = "/config/group/{name}", tag = "group", responses(
    (status = 200, description = "The group by name, below config and group", body = GroupDetail),
    (status = 404, description = "There is no such group", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let group = cluster.group(&name)?;
    Ok(Json(Config::one("group", &name, GroupDetail::new(&cluster, group))).into_response())
}

/// The nodes of something.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Members<'a> {
    /// Their names, in order.
    pub(super) members: Vec<&'a str>,
}

/// The nodes of a group.
#[utoipa::path(get, path = "/config/group/{name}/_member", tag = "group", responses(
    (status = 200, description = "The nodes' names, below config, group and the group's name", body = Members),
    (status = 404, description = "There is no such group, or it has no nodes", body = Problem),
))]
async fn members(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let group = cluster.group(&name)?;
    let members: Vec<&str> =
        cluster.members(group.name.as_str()).map(|node| node.name.as_str()).collect();
    if members.is_empty() {
        return Err(ApiError::NotFound(format!("the group '{name}' has no nodes")));
    }
    Ok(Json(Config::one("group", &name, Members { members })).into_response())
}

/// Makes or changes a group.
#[utoipa::path(post, path = "/config/group/{name}", tag = "group", request_body = described::GroupRequest, responses(
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
    let key = group_name(&name)?;
    let installed = state.installed_plugins();
    let request =
        body.read(&["config", "group", &name], |fields| asked::request(fields, &key, &installed))?;
    let saved = state
        .cluster
        .commit(caller.meta(), move |draft| group::save(draft, &key, &request))
        .await?;
    Ok(answer::saved(saved, "Group", &name))
}

/// Makes a group like this one.
#[utoipa::path(post, path = "/config/group/{name}/_clone", tag = "group", request_body = described::GroupCopy, responses(
    (status = 201, description = "It is made", body = Message),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such group", body = Problem),
))]
async fn clone(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let key = group_name(&name)?;
    let installed = state.installed_plugins();
    let request = body.read(&["config", "group", &name], |fields| {
        fields.require("newgroupname", "say what the new group is called");
        asked::request(fields, &key, &installed)
    })?;
    let new_name = request.new_name.clone().unwrap_or_default();
    let message = format!("Group {name} cloned to {new_name} successfully");
    state
        .cluster
        .commit(caller.meta(), move |draft| group::clone(draft, &name, &new_name, &request))
        .await?;
    Ok(answer::created(message))
}

/// Removes a group that has no nodes.
#[utoipa::path(get, path = "/config/group/{name}/_delete", tag = "group", responses(
    (status = 204, description = "It is gone"),
    (status = 400, description = "It has nodes; the message names them", body = Problem),
    (status = 404, description = "There is no such group", body = Problem),
))]
async fn remove(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    state.cluster.commit(caller.meta(), move |draft| draft.remove(Kind::Group, &name)).await?;
    Ok(answer::done())
}

fn group_name(name: &str) -> Result<Name, ApiError> {
    Name::general(name).map_err(|error| {
        ApiError::Malformed(format!("invalid group name '{}': {error}", shown(name)))
    })
}
