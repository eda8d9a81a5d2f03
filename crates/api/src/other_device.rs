//! `/config/otherdev`: other devices.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_model::device::other;
use perilune_model::{Kind, Name};
use perilune_wire::described;
use perilune_wire::device::{OtherDeviceKeys, other_request};
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

/// All other devices.
#[utoipa::path(get, path = "/config/otherdev", tag = "otherdev", responses(
    (status = 200, description = "Other devices by name, below config and otherdev", body = OtherDeviceKeys),
    (status = 404, description = "There is no other device", body = Problem),
))]
async fn list(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let entries = cluster
        .other_devices()
        .values()
        .map(|device| (device.name.as_str(), OtherDeviceKeys::new(device)));
    answer::listed(
        cluster.other_devices().is_empty(),
        "other device",
        Config { resource: "otherdev", entries: entries.collect() },
    )
}

/// One other device.
#[utoipa::path(get, path = "/config/otherdev/{name}", tag = "otherdev", responses(
    (status = 200, description = "The other device by name, below config and otherdev", body = OtherDeviceKeys),
    (status = 404, description = "There is no such other device", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let device = cluster.other_device(&name)?;
    Ok(Json(Config::one("otherdev", &name, OtherDeviceKeys::new(device))).into_response())
}

/// Makes or changes another device.
#[utoipa::path(post, path = "/config/otherdev/{name}", tag = "otherdev", request_body = described::OtherDeviceRequest, responses(
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
    let key = device_name(&name)?;
    let request = body.read(&["config", "otherdev", &name], other_request)?;
    let saved = state
        .cluster
        .commit(caller.meta(), move |draft| other::save(draft, &key, &request))
        .await?;
    Ok(answer::saved(saved, "Device", &name))
}

/// Makes another device like this one, at the next address.
#[utoipa::path(post, path = "/config/otherdev/{name}/_clone", tag = "otherdev", request_body = described::OtherDeviceCopy, responses(
    (status = 201, description = "It is made", body = Message),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such other device", body = Problem),
))]
async fn clone(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let request = body.read(&["config", "otherdev", &name], |fields| {
        fields.require("newotherdevname", "say what the new other device is called");
        other_request(fields)
    })?;
    let new_name = request.new_name.clone().unwrap_or_default();
    let message = format!("Device {name} cloned to {new_name} successfully");
    state
        .cluster
        .commit(caller.meta(), move |draft| other::clone(draft, &name, &new_name, &request))
        .await?;
    Ok(answer::created(message))
}

/// Removes another device.
#[utoipa::path(get, path = "/config/otherdev/{name}/_delete", tag = "otherdev", responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such other device", body = Problem),
))]
async fn remove(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    state
        .cluster
        .commit(caller.meta(), move |draft| draft.remove(Kind::OtherDevice, &name))
        .await?;
    Ok(answer::done())
}

fn device_name(name: &str) -> Result<Name, ApiError> {
    Name::host(name).map_err(|error| {
        ApiError::Malformed(format!("invalid other device name '{}': {error}", shown(name)))
    })
}
