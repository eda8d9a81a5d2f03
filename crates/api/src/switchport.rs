//! `/monitor/switchport`: who is connected to which port, as switches tell.

use std::collections::BTreeMap;

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_daemon::causes::chain;
use perilune_daemon::clock::rfc3339;
use perilune_daemon::discovery::Reading;
use perilune_model::device::Switch;
use perilune_model::discovery::Place;
use perilune_model::{Cluster, MacAddress, discovery};
use perilune_switch::Connected;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::json::Json;
use crate::permissions::{Routes, viewers};
use crate::problem::ApiError;
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new().add(viewers().answers_at("monitor switchport *"), routes!(ports))
}

/// What a switch says.
#[derive(Debug, Serialize, ToSchema)]
struct SwitchPorts {
    /// Its address; null for one without, which cannot be asked.
    ipaddress: Option<String>,
    /// When it was asked, RFC 3339; null before the first time.
    read: Option<String>,
    /// Why it does not say anything; null when it does.
    error: Option<String>,
    /// Its ports with machines, uplinks left out.
    ports: Vec<PortMachines>,
}

/// A port, and who is connected to it.
#[derive(Debug, Serialize, ToSchema)]
struct PortMachines {
    port: Option<u32>,
    /// What the switch calls it; null when it does not tell.
    name: Option<String>,
    /// The nodes that are described to be there.
    nodes: Vec<String>,
    machines: Vec<Machine>,
}

/// A machine at a port.
#[derive(Debug, Serialize, ToSchema)]
struct Machine {
    macaddress: String,
    /// The node that has this hardware address.
    node: Option<String>,
    /// The interface of that node.
    interface: Option<String>,
}

/// Who is connected to which port, as switches tell. They are asked, unless they were a minute ago.
#[utoipa::path(get, path = "/monitor/switchport", tag = "monitor", responses(
    (status = 200, description = "By switch, below monitor and switchport", body = SwitchPorts),
))]
async fn ports(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let readings = state.discovery.look(&cluster).await;
    let switches: BTreeMap<&str, SwitchPorts> = cluster
        .switches()
        .values()
        .map(|switch| {
            let reading = readings.of(switch).map(|reading| &**reading);
            (switch.name.as_str(), SwitchPorts::new(&cluster, switch, reading))
        })
        .collect();
    Ok(Json(json!({ "monitor": { "switchport": switches } })).into_response())
}

impl SwitchPorts {
    fn new(cluster: &Cluster, switch: &Switch, reading: Option<&Reading>) -> Self {
        let outcome = reading.map(|reading| reading.outcome.as_ref());
        let connected = outcome.into_iter().flatten().flatten();
        let own = connected.filter(|connected| !switch.is_uplink(&connected.port));
        let ports = own.map(|connected| PortMachines::new(cluster, switch, connected)).collect();
        let ipaddress = switch.addresses.iter().next().map(|address| address.to_string());
        let error = match (&outcome, &ipaddress) {
            (Some(Err(error)), _) => Some(chain(error)),
            (Some(Ok(_)), _) => None,
            (None, Some(_)) => Some("it has not answered yet; ask again".to_owned()),
            (None, None) => Some("it has no address; give it one".to_owned()),
        };
        Self { ipaddress, read: reading.map(|reading| rfc3339(reading.at)), error, ports }
    }
}

impl PortMachines {
    fn new(cluster: &Cluster, switch: &Switch, connected: &Connected) -> Self {
        let Connected { port, machines } = connected;
        let place = Place {
            switch: switch.name.clone(),
            port: port.clone(),
            others: std::iter::empty().collect(),
        };
        Self {
            port: port.number,
            name: port.names.first().cloned(),
            nodes: discovery::claims(cluster, &place).map(|node| node.name.to_string()).collect(),
            machines: machines.iter().map(|mac| Machine::new(cluster, *mac)).collect(),
        }
    }
}

impl Machine {
    fn new(cluster: &Cluster, mac: MacAddress) -> Self {
        let known = cluster.node_by_mac(mac);
        Self {
            macaddress: mac.to_string(),
            node: known.map(|(node, _)| node.name.to_string()),
            interface: known.map(|(_, interface)| interface.name.to_string()),
        }
    }
}
