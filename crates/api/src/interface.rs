//! `/config/node/{name}/interfaces` and `/config/group/{name}/interfaces`.

use crate::operations::routes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use perilune_model::interface::{of_group, of_node};
use perilune_wire::described;
use perilune_wire::envelope::Config;
use perilune_wire::interface::{GroupInterfaceKeys, NodeInterface};
use perilune_wire::requests;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::{self, Message};
use crate::extract::{Body, Caller, Path};
use crate::json::Json;
use crate::permissions::{Routes, operators, viewers};
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(viewers().answers_at("config node * interfaces []"), routes!(list_of_node))
        .add(operators().changes().in_bulk(), routes!(save_of_node))
        .add(viewers().answers_at("config node * interfaces []"), routes!(show_of_node))
        .add(operators().changes().in_bulk(), routes!(remove_of_node))
        .add(viewers().answers_at("config group * interfaces []"), routes!(list_of_group))
        .add(operators().changes().in_bulk(), routes!(save_of_group))
        .add(viewers().answers_at("config group * interfaces []"), routes!(show_of_group))
        .add(operators().changes().in_bulk(), routes!(remove_of_group))
}

/// Interfaces, as they stand below the name of their node or group.
#[derive(Debug, Serialize, ToSchema)]
struct Interfaces<T> {
    interfaces: Vec<T>,
}

/// The interfaces of a node that are in a network.
#[utoipa::path(get, path = "/config/node/{name}/interfaces", tag = "interface", responses(
    (status = 200, description = "A list below config, node, the node's name and interfaces", body = NodeInterface),
    (status = 404, description = "There is no such node, or it has no such interface", body = Problem),
))]
async fn list_of_node(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    of_node_named(
        &state,
        &name,
        |_| true,
        || format!("the node '{name}' has no interface in a network"),
    )
}

/// One interface of a node, as a list of one.
#[utoipa::path(get, path = "/config/node/{name}/interfaces/{interface}", tag = "interface", responses(
    (status = 200, description = "A list of one below config, node, the node's name and interfaces", body = NodeInterface),
    (status = 404, description = "There is no such node or interface", body = Problem),
))]
async fn show_of_node(
    state: axum::extract::State<State>,
    Path((name, interface)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let missing = || format!("the node '{name}' has no interface '{interface}' in a network");
    of_node_named(&state, &name, |known| known == interface, missing)
}

fn of_node_named(
    state: &State,
    name: &str,
    wanted: impl Fn(&str) -> bool,
    missing: impl FnOnce() -> String,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let node = cluster.node(name)?;
    let found = node.interfaces.iter().filter(|interface| wanted(interface.name.as_str()));
    let interfaces: Vec<_> =
        found.filter_map(|interface| NodeInterface::listed(&cluster, interface)).collect();
    if interfaces.is_empty() {
        return Err(ApiError::NotFound(missing()));
    }
    Ok(Json(Config::one("node", name, Interfaces { interfaces })).into_response())
}

/// Makes or changes interfaces of a node, all of them or none.
#[utoipa::path(post, path = "/config/node/{name}/interfaces", tag = "interface", request_body = described::NodeInterfaces, responses(
    (status = 201, description = "They are as was asked; an address was taken from another node", body = Message),
    (status = 204, description = "They are as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such node", body = Problem),
))]
async fn save_of_node(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let interfaces = body.read(&["config", "node", &name], requests::node_interfaces)?;
    let forced = interfaces.iter().any(|interface| interface.force);
    let message = format!("Interfaces of node {name} set");
    state
        .cluster
        .commit(caller.meta(), move |draft| of_node::save(draft, &name, &interfaces))
        .await?;
    Ok(if forced {
        (StatusCode::CREATED, Json(Message { message })).into_response()
    } else {
        answer::done()
    })
}

/// Removes an interface of a node with its addresses.
#[utoipa::path(get, path = "/config/node/{name}/interfaces/{interface}/_delete", tag = "interface", responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such node or interface", body = Problem),
))]
async fn remove_of_node(
    state: axum::extract::State<State>,
    caller: Caller,
    Path((name, interface)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    state
        .cluster
        .commit(caller.meta(), move |draft| of_node::remove(draft, &name, &interface))
        .await?;
    Ok(answer::done())
}

/// The interfaces that a group gives to its nodes.
#[utoipa::path(get, path = "/config/group/{name}/interfaces", tag = "interface", responses(
    (status = 200, description = "A list below config, group, the group's name and interfaces", body = GroupInterfaceKeys),
    (status = 404, description = "There is no such group, or it has no interfaces", body = Problem),
))]
async fn list_of_group(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    of_group_named(&state, &name, |_| true, || format!("the group '{name}' has no interface"))
}

/// One interface of a group, as a list of one.
#[utoipa::path(get, path = "/config/group/{name}/interfaces/{interface}", tag = "interface", responses(
    (status = 200, description = "A list of one below config, group, the group's name and interfaces", body = GroupInterfaceKeys),
    (status = 404, description = "There is no such group or interface", body = Problem),
))]
async fn show_of_group(
    state: axum::extract::State<State>,
    Path((name, interface)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let missing = || format!("the group '{name}' has no interface '{interface}'");
    of_group_named(&state, &name, |known| known == interface, missing)
}

fn of_group_named(
    state: &State,
    name: &str,
    wanted: impl Fn(&str) -> bool,
    missing: impl FnOnce() -> String,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let group = cluster.group(name)?;
    let found = group.interfaces.iter().filter(|interface| wanted(interface.name.as_str()));
    let interfaces: Vec<_> =
        found.map(|interface| GroupInterfaceKeys::new(&cluster, interface)).collect();
    if interfaces.is_empty() {
        return Err(ApiError::NotFound(missing()));
    }
    Ok(Json(Config::one("group", name, Interfaces { interfaces })).into_response())
}

/// Makes or changes interfaces of a group and of all its nodes, all of them or none.
#[utoipa::path(post, path = "/config/group/{name}/interfaces", tag = "interface", request_body = described::GroupInterfaces, responses(
    (status = 204, description = "They are as was asked, on the nodes too"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such group", body = Problem),
))]
async fn save_of_group(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let interfaces = body.read(&["config", "group", &name], requests::group_interfaces)?;
    // Existing clients take nothing but 204 for success, whether the interface is new or not.
    state
        .cluster
        .commit(caller.meta(), move |draft| of_group::save(draft, &name, &interfaces))
        .await?;
    Ok(answer::done())
}

/// Removes an interface from a group and from all its nodes.
#[utoipa::path(get, path = "/config/group/{name}/interfaces/{interface}/_delete", tag = "interface", responses(
    (status = 204, description = "It is gone, on the nodes too"),
    (status = 404, description = "There is no such group or interface", body = Problem),
))]
async fn remove_of_group(
    state: axum::extract::State<State>,
    caller: Caller,
    Path((name, interface)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    state
        .cluster
        .commit(caller.meta(), move |draft| of_group::remove(draft, &name, &interface))
        .await?;
    Ok(answer::done())
}
