//! `/config/switch/{name}/interfaces`: ports of switches with addresses of their own.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_model::device::switch_interface;
use perilune_wire::described;
use perilune_wire::device::{SwitchInterfaceKeys, switch_interfaces};
use perilune_wire::envelope::Config;
use serde::Serialize;

use crate::answer;
use crate::extract::{Body, Caller, Path};
use crate::json::Json;
use crate::permissions::{Routes, operators};
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(operators().answers_at("config switch * interfaces []"), routes!(list))
        .add(operators().answers_at("config switch * interfaces []"), routes!(show))
        .add(operators().changes().in_bulk(), routes!(save))
        .add(operators().changes().in_bulk(), routes!(remove))
}

/// As they stand below the name of their switch.
#[derive(Serialize)]
struct Interfaces<'a> {
    interfaces: Vec<SwitchInterfaceKeys<'a>>,
}

/// The interfaces of a switch.
#[utoipa::path(get, path = "/config/switch/{name}/interfaces", tag = "switch", responses(
    (status = 200, description = "A list below config, switch, the switch's name and interfaces", body = SwitchInterfaceKeys),
    (status = 404, description = "There is no such switch", body = Problem),
))]
async fn list(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let interfaces = &cluster.switch(&name)?.interfaces;
    let interfaces = interfaces.iter().map(SwitchInterfaceKeys::new).collect();
    Ok(Json(Config::one("switch", &name, Interfaces { interfaces })).into_response())
}

/// One interface of a switch, as a list of one.
#[utoipa::path(get, path = "/config/switch/{name}/interfaces/{interface}", tag = "switch", responses(
    (status = 200, description = "A list of one below config, switch, the switch's name and interfaces", body = SwitchInterfaceKeys),
    (status = 404, description = "There is no such switch or interface", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    Path((name, interface)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let found = cluster.switch(&name)?.interface(&interface).ok_or_else(|| {
        ApiError::NotFound(format!("the switch '{name}' has no interface '{interface}'"))
    })?;
    let interfaces = vec![SwitchInterfaceKeys::new(found)];
    Ok(Json(Config::one("switch", &name, Interfaces { interfaces })).into_response())
}

/// Makes, changes or renames interfaces of a switch, all of them or none.
#[utoipa::path(post, path = "/config/switch/{name}/interfaces", tag = "switch", request_body = described::SwitchInterfaces, responses(
    (status = 204, description = "They are as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such switch or network", body = Problem),
))]
async fn save(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let interfaces = body.read(&["config", "switch", &name], switch_interfaces)?;
    state
        .cluster
        .commit(caller.meta(), move |draft| switch_interface::save(draft, &name, &interfaces))
        .await?;
    Ok(answer::done())
}

/// Removes an interface of a switch with its addresses.
#[utoipa::path(get, path = "/config/switch/{name}/interfaces/{interface}/_delete", tag = "switch", responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such switch or interface", body = Problem),
))]
async fn remove(
    state: axum::extract::State<State>,
    caller: Caller,
    Path((name, interface)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    state
        .cluster
        .commit(caller.meta(), move |draft| switch_interface::remove(draft, &name, &interface))
        .await?;
    Ok(answer::done())
}
