//! `/config/rack`: racks, and the inventory of what can stand in them.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_model::rack::{self, Device, DeviceType};
use perilune_model::{Kind, Name};
use perilune_wire::described;
use perilune_wire::envelope::Config;
use perilune_wire::rack::{DeviceKeys, RackKeys, inventory_request, request};

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
        .add(operators().changes().in_bulk(), routes!(remove))
        .add(viewers().answers_at("config rack inventory []"), routes!(inventory))
        .add(
            operators().changes().in_bulk().reads_at("config rack inventory []"),
            routes!(save_inventory),
        )
        .add(viewers().answers_at("config rack inventory []"), routes!(part_of_inventory))
        .add(operators().changes().in_bulk(), routes!(take_out))
}

/// All racks and what stands in them.
#[utoipa::path(get, path = "/config/rack", tag = "rack", responses(
    (status = 200, description = "Racks by name, below config and rack", body = RackKeys),
    (status = 404, description = "There is no rack", body = Problem),
))]
async fn list(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let devices = rack::devices(&cluster);
    let racks = cluster.racks().values();
    let entries = racks.map(|rack| (rack.name.as_str(), RackKeys::new(rack, &devices)));
    answer::listed(
        cluster.racks().is_empty(),
        "rack",
        Config { resource: "rack", entries: entries.collect() },
    )
}

/// One rack and what stands in it.
#[utoipa::path(get, path = "/config/rack/{name}", tag = "rack", responses(
    (status = 200, description = "The rack by name, below config and rack", body = RackKeys),
    (status = 404, description = "There is no such rack", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let rack = cluster.rack(&name)?;
    let devices = rack::devices(&cluster);
    Ok(Json(Config::one("rack", &name, RackKeys::new(rack, &devices))).into_response())
}

/// Makes or changes a rack, and puts devices into it.
#[utoipa::path(post, path = "/config/rack/{name}", tag = "rack", request_body = described::RackRequest, responses(
    (status = 204, description = "It is as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such device, or no such rack to rename", body = Problem),
))]
async fn save(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let key = Name::general(&name).map_err(|error| {
        ApiError::Malformed(format!("invalid rack name '{}': {error}", shown(&name)))
    })?;
    let request = body.read(&["config", "rack", &name], request)?;
    state.cluster.commit(caller.meta(), move |draft| rack::save(draft, &key, &request)).await?;
    Ok(answer::done())
}

/// Removes a rack. What stood in it stands in none.
#[utoipa::path(get, path = "/config/rack/{name}/_delete", tag = "rack", responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such rack", body = Problem),
))]
async fn remove(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    state.cluster.commit(caller.meta(), move |draft| draft.remove(Kind::Rack, &name)).await?;
    Ok(answer::done())
}

/// Everything that can stand in a rack.
#[utoipa::path(get, path = "/config/rack/inventory", tag = "rack", responses(
    (status = 200, description = "A list below config, rack and inventory", body = DeviceKeys),
    (status = 404, description = "There is no device", body = Problem),
))]
async fn inventory(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    inventory_of(&state, |_| true)
}

/// What stands in a rack (`configured`), or in none (`unconfigured`).
#[utoipa::path(get, path = "/config/rack/inventory/{subset}", tag = "rack", responses(
    (status = 200, description = "A list below config, rack and inventory; empty for other words", body = DeviceKeys),
    (status = 404, description = "There is no device", body = Problem),
))]
async fn part_of_inventory(
    state: axum::extract::State<State>,
    Path(subset): Path<String>,
) -> Result<Response, ApiError> {
    inventory_of(&state, |device| match subset.as_str() {
        "configured" => device.placement.rack.is_some(),
        "unconfigured" => device.placement.rack.is_none(),
        _ => false,
    })
}

fn inventory_of(state: &State, wanted: impl Fn(&Device<'_>) -> bool) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let devices = rack::devices(&cluster);
    let listed: Vec<_> =
        devices.iter().filter(|device| wanted(device)).map(DeviceKeys::new).collect();
    answer::listed(devices.is_empty(), "device", Config::one("rack", "inventory", listed))
}

/// Says how large devices are and which way they face.
#[utoipa::path(post, path = "/config/rack/inventory", tag = "rack", request_body = described::RackDevice, responses(
    (status = 204, description = "They are as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such device", body = Problem),
))]
async fn save_inventory(
    state: axum::extract::State<State>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let requests = body.read_list(&["config", "rack"], "inventory", inventory_request)?;
    state
        .cluster
        .commit(caller.meta(), move |draft| rack::save_inventory(draft, &requests))
        .await?;
    Ok(answer::done())
}

/// Takes a device out of its rack; the inventory still knows it.
#[utoipa::path(get, path = "/config/rack/inventory/{name}/type/{type}/_delete", tag = "rack", responses(
    (status = 201, description = "It stands in no rack", body = Message),
    (status = 404, description = "Nobody placed such a device", body = Problem),
))]
async fn take_out(
    state: axum::extract::State<State>,
    caller: Caller,
    Path((name, device_type)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let Some(device_type) = DeviceType::from_word(&device_type) else {
        let message = format!(
            "there are no devices of type '{}'; it must be node, switch, otherdevices or controller",
            shown(&device_type)
        );
        return Err(ApiError::NotFound(message));
    };
    let message = format!("Device {name} removed from its rack");
    state
        .cluster
        .commit(caller.meta(), move |draft| rack::remove_from_rack(draft, device_type, &name))
        .await?;
    Ok(answer::created(message))
}
