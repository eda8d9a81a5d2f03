//! `/config/network`: networks.

use std::net::IpAddr;

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_model::{Family, Kind, Name, addresses, network};
use perilune_wire::described;
use perilune_wire::envelope::Config;
use perilune_wire::network::{NetworkKeys, request};
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::shown;
use crate::answer::{self, Message};
use crate::extract::{Body, Caller, Path};
use crate::json::Json;
use crate::permissions::{Routes, operators, viewers};
use crate::problem::{ApiError, Problem};
use crate::settings::controller_keys;
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(viewers(), routes!(list))
        .add(viewers(), routes!(show))
        .add(operators().changes().in_bulk(), routes!(save))
        .add(operators().changes().in_bulk(), routes!(clone))
        .add(operators().changes().in_bulk(), routes!(remove))
        .add(viewers(), routes!(members))
        .add(operators().acts(), routes!(next_free))
        .add(viewers(), routes!(look_up))
}

/// All networks.
#[utoipa::path(get, path = "/config/network", tag = "network", responses(
    (status = 200, description = "Networks by name, below config and network", body = NetworkKeys),
    (status = 404, description = "There is no network", body = Problem),
))]
async fn list(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let entries = cluster
        .networks()
        .values()
        .map(|network| (network.name.as_str(), NetworkKeys::entry(network)));
    answer::listed(
        cluster.networks().is_empty(),
        "network",
        Config { resource: "network", entries: entries.collect() },
    )
}

/// One network.
#[utoipa::path(get, path = "/config/network/{name}", tag = "network", responses(
    (status = 200, description = "The network by name, below config and network", body = NetworkKeys),
    (status = 404, description = "There is no such network", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let network = cluster.network(&name)?;
    Ok(Json(Config::one("network", &name, NetworkKeys::detail(network))).into_response())
}

/// Makes or changes a network. Devices whose addresses no longer fit get others, in the same change.
#[utoipa::path(post, path = "/config/network/{name}", tag = "network", request_body = described::NetworkRequest, responses(
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
    let key = network_name(&name)?;
    let keys = controller_keys(&state);
    let request = body.read(&["config", "network", &name], |fields| request(fields, &keys))?;
    let saved = state
        .cluster
        .commit(caller.meta(), move |draft| network::save(draft, &key, &request))
        .await?;
    Ok(answer::saved(saved, "Network", &name))
}

/// Makes a network like this one, in a range of its own.
#[utoipa::path(post, path = "/config/network/{name}/_clone", tag = "network", request_body = described::NetworkCopy, responses(
    (status = 201, description = "It is made", body = Message),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such network", body = Problem),
))]
async fn clone(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let request = body.read(&["config", "network", &name], |fields| {
        fields.require("newnetname", "say what the new network is called");
        request(fields, &[])
    })?;
    let new_name = request.new_name.clone().unwrap_or_default();
    let message = format!("Network {name} cloned to {new_name} successfully");
    state
        .cluster
        .commit(caller.meta(), move |draft| network::clone(draft, &name, &new_name, &request))
        .await?;
    Ok(answer::created(message))
}

/// Removes a network that nothing is in.
#[utoipa::path(get, path = "/config/network/{name}/_delete", tag = "network", responses(
    (status = 204, description = "It is gone"),
    (status = 400, description = "Devices or groups are in it; the message names them", body = Problem),
    (status = 404, description = "There is no such network", body = Problem),
))]
async fn remove(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    state.cluster.commit(caller.meta(), move |draft| draft.remove(Kind::Network, &name)).await?;
    Ok(answer::done())
}

/// An address that a device has.
#[derive(Debug, Serialize, ToSchema)]
struct Taken<'a> {
    #[schema(value_type = Option<String>)]
    ipaddress: Option<IpAddr>,
    device: &'a str,
}

/// The addresses that are taken in a network.
#[derive(Debug, Serialize, ToSchema)]
struct TakenAddresses<'a> {
    taken: Vec<Taken<'a>>,
}

/// The devices that have an address in a network.
#[utoipa::path(get, path = "/config/network/{name}/_member", tag = "network", responses(
    (status = 200, description = "A list below config, network, the network's name and taken", body = TakenAddresses),
    (status = 404, description = "There is no such network, or nothing is in it", body = Problem),
))]
async fn members(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let network = cluster.network(&name)?;
    let held = cluster.holders().filter(|(address, _)| network.contains(**address));
    let taken: Vec<_> = held
        .map(|(address, holder)| Taken {
            ipaddress: Some(*address),
            device: holder.device().as_str(),
        })
        .collect();
    if taken.is_empty() {
        return Err(ApiError::NotFound(format!("nothing is in the network '{name}'")));
    }
    Ok(Json(Config::one("network", &name, TakenAddresses { taken })).into_response())
}

/// An address that is free.
#[derive(Serialize, ToSchema)]
struct NextAddress {
    nextip: String,
}

/// Whether an address is taken.
#[derive(Serialize, ToSchema)]
struct AddressStatus {
    /// `free` or `taken`.
    status: &'static str,
}

/// An address that is free, and stays so for ten minutes unless somebody asks for it by itself.
#[utoipa::path(get, path = "/config/network/{name}/_nextfreeip", tag = "network", responses(
    (status = 200, description = "The address, below config, network, the network's name and nextip", body = NextAddress),
    (status = 404, description = "There is no such network, or it is full", body = Problem),
))]
async fn next_free(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let full = format!("the network '{name}' has no free IPv4 address");
    let wanted = name.clone();
    let find =
        move |draft: &perilune_model::Draft| -> Result<Option<IpAddr>, perilune_model::Error> {
            Ok(addresses::first_free(draft, draft.network(&wanted)?, Family::V4))
        };
    let free = state.cluster.promise(find).await?;
    let free = free.ok_or(ApiError::NotFound(full))?;
    let next = NextAddress { nextip: free.to_string() };
    Ok(Json(Config::one("network", &name, next)).into_response())
}

/// Whether an address of a network is taken.
#[utoipa::path(get, path = "/config/network/{name}/{ipaddress}", tag = "network", responses(
    (status = 200, description = "free or taken, below config, network, the address and status", body = AddressStatus),
    (status = 400, description = "It is not an address", body = Problem),
    (status = 404, description = "There is no such network, or the address is outside of it", body = Problem),
))]
async fn look_up(
    state: axum::extract::State<State>,
    Path((name, text)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let address: IpAddr = text.parse().map_err(|_error| {
        ApiError::Malformed(format!("'{}' is not an IP address", shown(&text)))
    })?;
    let cluster = state.cluster.published();
    if !cluster.network(&name)?.contains(address) {
        return Err(ApiError::NotFound(format!("{address} is outside the network '{name}'")));
    }
    // One that was promised is free: who was promised it asks about it before using it.
    let status = if cluster.taken(address).is_none() { "free" } else { "taken" };
    Ok(Json(Config::one("network", &text, AddressStatus { status })).into_response())
}

fn network_name(name: &str) -> Result<Name, ApiError> {
    Name::domain(name).map_err(|error| {
        ApiError::Malformed(format!("invalid network name '{}': {error}", shown(name)))
    })
}
