//! `/config/dns`: DNS hosts of a network that are not devices of the cluster, and other records of its domain.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_model::dns;
use perilune_wire::described;
use perilune_wire::dns::{DnsHostKeys, host};
use perilune_wire::envelope::Config;

use crate::answer::{self, Message};
use crate::extract::{Body, Caller, Path};
use crate::json::Json;
use crate::permissions::{Routes, operators, viewers};
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(viewers().answers_at("config dns * []"), routes!(show))
        .add(operators().changes().in_bulk().reads_at("config dns * []"), routes!(save))
        .add(operators().changes().in_bulk(), routes!(remove))
}

/// The DNS hosts and records of a network.
#[utoipa::path(get, path = "/config/dns/{network}", tag = "dns", responses(
    (status = 200, description = "A list below config, dns and the network's name", body = DnsHostKeys),
    (status = 404, description = "There is no such network, or it has none", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    Path(network): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let name = &cluster.network(&network)?.name;
    let Some(list) = cluster.dns_hosts().get(name) else {
        return Err(ApiError::NotFound(format!("the network '{network}' has no DNS hosts")));
    };
    let records = list.records.iter().map(DnsHostKeys::record);
    let hosts: Vec<_> = list.hosts.iter().map(DnsHostKeys::new).chain(records).collect();
    Ok(Json(Config::one("dns", &network, hosts)).into_response())
}

/// Gives hosts of a network their addresses, and names in its domain their other records: what is given of a name and a type is all that the
/// name has of the type. Hosts and records that are not named stay.
#[utoipa::path(post, path = "/config/dns/{network}", tag = "dns", request_body = described::HostRequest, responses(
    (status = 201, description = "They are as was asked", body = Message),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such network", body = Problem),
))]
async fn save(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(network): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let hosts: Vec<_> =
        body.read_list(&["config", "dns"], &network, host)?.into_iter().flatten().collect();
    let message = format!("DNS hosts of network {network} saved successfully");
    state.cluster.commit(caller.meta(), move |draft| dns::save(draft, &network, &hosts)).await?;
    Ok(answer::created(message))
}

/// Removes a DNS host, with all its records.
#[utoipa::path(get, path = "/config/dns/{network}/{host}/_delete", tag = "dns", responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such network, or it has no such host", body = Problem),
))]
async fn remove(
    state: axum::extract::State<State>,
    caller: Caller,
    Path((network, host)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    state.cluster.commit(caller.meta(), move |draft| dns::remove(draft, &network, &host)).await?;
    Ok(answer::done())
}
