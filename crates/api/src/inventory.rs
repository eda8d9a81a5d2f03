//! `/config/node/inventory`: what machines are made of, as the installers of their nodes told.

use std::collections::BTreeMap;

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_daemon::clock::{self, rfc3339};
use perilune_daemon::inventories::{Kept, Refusal, Summary};
use perilune_plan::inventory::Inventory;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::answer;
use crate::extract::{Body, Path};
use crate::json::{self, Json};
use crate::permissions::{Routes, operators, viewers};
use crate::problem::{ApiError, Problem};
use crate::state::State;

/// Who told: the installer, before the node's own system runs.
const SOURCE: &str = "installer";

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(viewers(), routes!(list))
        .add(viewers().answers_at("config node * inventory []"), routes!(show))
        .add(operators().acts().or_node("name").reads_at(""), routes!(put))
}

/// What lists show of a machine.
#[derive(Serialize, ToSchema)]
struct InventoryEntry {
    source: &'static str,
    product: String,
    serial: String,
    cpu_count: u32,
    memory_mb: u64,
    disk_count: usize,
    disk_total_gb: u64,
    gpu_count: usize,
    nic_count: usize,
    /// When it was told, RFC 3339.
    updated: String,
}

impl InventoryEntry {
    fn new(kept: &Kept) -> Self {
        let Summary {
            product,
            serial,
            cpu_count,
            memory_mb,
            disk_count,
            disk_total_gb,
            gpu_count,
            nic_count,
        } = kept.summary.clone();
        Self {
            source: SOURCE,
            product,
            serial,
            cpu_count,
            memory_mb,
            disk_count,
            disk_total_gb,
            gpu_count,
            nic_count,
            updated: rfc3339(kept.at),
        }
    }
}

/// Inventories of all nodes that told one, in short.
#[utoipa::path(get, path = "/config/node/inventory", tag = "node", responses(
    (status = 200, description = "Inventories by node, below config and node", body = InventoryEntry),
    (status = 404, description = "No node has told one", body = Problem),
))]
async fn list(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let all = state.inventories.all();
    let known = all.iter().filter(|(name, _)| cluster.nodes().contains_key(*name));
    let entries: BTreeMap<&str, InventoryEntry> =
        known.map(|(name, kept)| (name.as_str(), InventoryEntry::new(kept))).collect();
    let body = json!({ "config": { "node": entries } });
    answer::listed(entries.is_empty(), "inventory of a node", body)
}

/// The inventory of a node: a list of one, since others may tell more in time.
#[utoipa::path(get, path = "/config/node/{name}/inventory", tag = "node", responses(
    (status = 200, description = "A list below config, node, the node's name and inventory", body = InventoryEntry),
    (status = 404, description = "There is no such node, or it has told none", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let node = state.cluster.published().node(&name)?.name.clone();
    let kept = state.inventories.get(node.as_str());
    let kept = kept.ok_or_else(|| {
        ApiError::NotFound(format!(
            "node {node} has told no inventory yet; it does when it is installed"
        ))
    })?;
    let (mut whole, short) = (json!(kept.inventory()), json!(InventoryEntry::new(&kept)));
    if let (Some(whole), Some(short)) = (whole.as_object_mut(), short.as_object()) {
        whole.extend(short.clone());
    }
    let list = json!({ "inventory": [whole] });
    Ok(Json(json!({ "config": { "node": { node.as_str(): list } } })).into_response())
}

/// A node's installer tells what its machine is made of, in place of what was told before.
#[utoipa::path(post, path = "/config/node/{name}/inventory", tag = "node", request_body = Inventory, responses(
    (status = 204, description = "It is kept"),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 404, description = "There is no such node", body = Problem),
    (status = 413, description = "It is too long", body = Problem),
    (status = 429, description = "The last one came a moment ago", body = Problem),
))]
async fn put(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    if !body.is_object() {
        return Err(ApiError::Malformed("an inventory is an object of what was found".to_owned()));
    }
    let inventory: Inventory = json::read(body).map_err(|error| {
        ApiError::Malformed(format!("data structure incomplete or incorrect: {error}"))
    })?;
    let node = state.cluster.published().node(&name)?.name.clone();
    state.inventories.put(&node, inventory, clock::milliseconds()).map_err(
        |refusal| match refusal {
            Refusal::TooLong(_) => ApiError::TooLarge(refusal.to_string()),
            Refusal::TooOften => ApiError::TooOften(refusal.to_string()),
        },
    )?;
    Ok(answer::done())
}
