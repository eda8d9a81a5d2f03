//! `/config/switch`: switches.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_model::device::switch;
use perilune_model::{Kind, Name};
use perilune_wire::described;
use perilune_wire::device::{SwitchKeys, switch_request};
use perilune_wire::envelope::Config;

use crate::answer::shown;
use crate::answer::{self, Message};
use crate::extract::{Body, Caller, Path};
use crate::json::Json;
use crate::permissions::{Routes, operators};
use crate::problem::{ApiError, Problem};
use crate::state::State;

/// For the audit: administrators see them.
const READ: &str = "read communities of switches";

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(operators().reveals(READ), routes!(list))
        .add(operators().reveals(READ), routes!(show))
        .add(operators().changes().in_bulk(), routes!(save))
        .add(operators().changes().in_bulk(), routes!(clone))
        .add(operators().changes().in_bulk(), routes!(remove))
}

/// All switches.
#[utoipa::path(get, path = "/config/switch", tag = "switch", responses(
    (status = 200, description = "Switches by name, below config and switch", body = SwitchKeys),
    (status = 404, description = "There is no switch", body = Problem),
))]
async fn list(state: axum::extract::State<State>, caller: Caller) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let entries = cluster
        .switches()
        .values()
        .map(|switch| (switch.name.as_str(), SwitchKeys::new(switch, caller.view())));
    answer::listed(
        cluster.switches().is_empty(),
        "switch",
        Config { resource: "switch", entries: entries.collect() },
    )
}

/// One switch.
#[utoipa::path(get, path = "/config/switch/{name}", tag = "switch", responses(
    (status = 200, description = "The switch by name, below config and switch", body = SwitchKeys),
    (status = 404, description = "There is no such switch", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let switch = cluster.switch(&name)?;
    Ok(Json(Config::one("switch", &name, SwitchKeys::new(switch, caller.view()))).into_response())
}

/// Makes or changes a switch.
#[utoipa::path(post, path = "/config/switch/{name}", tag = "switch", request_body = described::SwitchRequest, responses(
    (status = 201, description = "It is new", body = Message),
    (status = 204, description = "It was there and is as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such network", body = Problem),
))]
async fn save(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let key = switch_name(&name)?;
    let request = body.read(&["config", "switch", &name], switch_request)?;
    let saved = state
        .cluster
        .commit(caller.meta(), move |draft| switch::save(draft, &key, &request))
        .await?;
    Ok(answer::saved(saved, "Switch", &name))
}

/// Makes a switch like this one, at the next address.
#[utoipa::path(post, path = "/config/switch/{name}/_clone", tag = "switch", request_body = described::SwitchCopy, responses(
    (status = 201, description = "It is made", body = Message),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such switch", body = Problem),
))]
async fn clone(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let request = body.read(&["config", "switch", &name], |fields| {
        fields.require("newswitchname", "say what the new switch is called");
        switch_request(fields)
    })?;
    let new_name = request.new_name.clone().unwrap_or_default();
    let message = format!("Switch {name} cloned to {new_name} successfully");
    state
        .cluster
        .commit(caller.meta(), move |draft| switch::clone(draft, &name, &new_name, &request))
        .await?;
    Ok(answer::created(message))
}

/// Removes a switch that no node is at.
#[utoipa::path(get, path = "/config/switch/{name}/_delete", tag = "switch", responses(
    (status = 204, description = "It is gone"),
    (status = 400, description = "Nodes are at it; the message names them", body = Problem),
    (status = 404, description = "There is no such switch", body = Problem),
))]
async fn remove(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    state.cluster.commit(caller.meta(), move |draft| draft.remove(Kind::Switch, &name)).await?;
    Ok(answer::done())
}

fn switch_name(name: &str) -> Result<Name, ApiError> {
    Name::host(name).map_err(|error| {
        ApiError::Malformed(format!("invalid switch name '{}': {error}", shown(name)))
    })
}
