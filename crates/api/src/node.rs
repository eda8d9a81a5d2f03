//! `/config/node`: nodes.

use std::ops::Bound::{Excluded, Unbounded};

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_daemon::state::Parts;
use perilune_model::user::Role;
use perilune_model::{Kind, Name, Saved, node};
use perilune_wire::described;
use perilune_wire::envelope::Config;
use perilune_wire::node::{self as asked, NodeDetail, NodeEntry, Reported};
use serde_json::{Map, Value};

use crate::answer::{self, Message, shown};
use crate::extract::{Bearer, Body, Caller, Path};
use crate::json::Json;
use crate::permissions::{Routes, operators, viewers};
use crate::pieces;
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(viewers(), routes!(list))
        .add(viewers(), routes!(show))
        .add(operators().changes().in_bulk().or_node("name"), routes!(save))
        .add(operators().changes().in_bulk(), routes!(clone))
        .add(operators().changes().in_bulk(), routes!(remove))
}

/// All nodes, what is in effect for each.
#[utoipa::path(get, path = "/config/node", tag = "node", responses(
    (status = 200, description = "Nodes by name, below config and node", body = NodeEntry),
    (status = 404, description = "There is no node", body = Problem),
))]
async fn list(state: axum::extract::State<State>, caller: Caller) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    if cluster.nodes().is_empty() {
        return Err(ApiError::NotFound("there is no node yet".to_owned()));
    }
    let (states, view) = (state.status.all(), caller.view());
    let mut last: Option<Name> = None;
    let nodes = pieces::config("node", move |piece| {
        let before = last.take();
        let rest = (before.as_ref().map_or(Unbounded, Excluded), Unbounded);
        let mut written: Option<&Name> = None;
        for (name, node) in cluster.nodes().range::<_, Name>(rest) {
            if piece.is_full() {
                last = written.cloned();
                return Ok(true);
            }
            let said = states.get(name).map(|state| (state.text(), state.failure()));
            let entry = NodeEntry::new(&cluster, node, reported(said.as_ref()), view);
            piece.add(name.as_str(), &entry)?;
            written = Some(name);
        }
        Ok(false)
    });
    Ok(nodes)
}

/// One node, what is in effect and where it comes from.
#[utoipa::path(get, path = "/config/node/{name}", tag = "node", responses(
    (status = 200, description = "The node by name, below config and node", body = NodeDetail),
    (status = 404, description = "There is no such node", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let node = cluster.node(&name)?;
    let known = state.status.get(&name);
    let said = known.as_ref().map(|state| (state.text(), state.failure()));
    let detail = NodeDetail::new(&cluster, node, reported(said.as_ref()), caller.view());
    Ok(Json(Config::one("node", &name, detail)).into_response())
}

/// What a node last reported, in the words of the API.
fn reported<'a>(said: Option<&'a (String, Option<&'a str>)>) -> Reported<'a> {
    match said {
        Some((status, failure)) => Reported { status: Some(status), failure: *failure },
        None => Reported::default(),
    }
}

/// Makes or changes a node. A node that installs may report about itself: its vendor, its asset tag, the address it was lent.
#[utoipa::path(post, path = "/config/node/{name}", tag = "node", request_body = described::NodeRequest, responses(
    (status = 201, description = "It is new", body = Message),
    (status = 204, description = "It was there and is as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "A node that is gone reports about itself", body = Problem),
))]
async fn save(
    state: axum::extract::State<State>,
    bearer: Bearer,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let place = ["config", "node", name.as_str()];
    let is_node = matches!(bearer, Bearer::Node(_));
    if is_node {
        check_own_report(&state, &name, body.object(&place)?)?;
    }
    let key = node_name(&name)?;
    let installed = state.installed_plugins();
    let request = body.read(&place, |fields| asked::request(fields, &key, &installed))?;
    if let Bearer::User(caller) = &bearer {
        check_proof(&state, caller, &name, &request)?;
        caller.needs_nodes(request.new_name.iter().map(Name::as_str))?;
    }
    let new_name = request.new_name.clone();
    let (meta, target) = (bearer.meta(), key.clone());
    let save = if is_node { node::report } else { node::save };
    let saved = state.cluster.commit(meta, move |draft| save(draft, &target, &request)).await?;
    let answer = answer::saved(saved, "Node", key.as_str());
    let parts = state.parts();
    state.cluster.after_commit(move || follow(&parts, saved, &key, new_name.as_ref()));
    Ok(answer)
}

/// What is known of a node goes by its name as well.
fn follow(state: &Parts, saved: Saved, name: &Name, new_name: Option<&Name>) {
    if let (Saved::Renamed, Some(new_name)) = (saved, new_name) {
        state.status.rename(name.as_str(), new_name);
        state.boots.rename(name.as_str(), new_name);
        state.install_logs.rename(name.as_str(), new_name);
        state.installations.rename(name.as_str(), new_name);
        state.inventories.rename(name.as_str(), new_name);
    }
    if saved == Saved::Created {
        state.installations.forget(name);
        state.inventories.remove(name.as_str());
    }
}

/// Makes a node like this one.
#[utoipa::path(post, path = "/config/node/{name}/_clone", tag = "node", request_body = described::NodeCopy, responses(
    (status = 201, description = "It is made", body = Message),
    (status = 400, description = "The request is refused", body = Problem),
))]
async fn clone(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let key = node_name(&name)?;
    let installed = state.installed_plugins();
    let request = body.read(&["config", "node", &name], |fields| {
        fields.require("newnodename", "say what the new node is called");
        asked::request(fields, &key, &installed)
    })?;
    check_proof(&state, &caller, "", &request)?;
    let new_name = request.new_name.clone().unwrap_or_default();
    let message = format!("Node {name} cloned to {new_name} successfully");
    state
        .cluster
        .published()
        .node(&name)
        .map_err(|missing| ApiError::Malformed(missing.to_string()))?;
    state
        .cluster
        .commit(caller.meta(), move |draft| node::clone(draft, &name, &new_name, &request))
        .await?;
    Ok(answer::created(message))
}

/// Removes a node with its addresses and secrets.
#[utoipa::path(get, path = "/config/node/{name}/_delete", tag = "node", responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such node", body = Problem),
))]
async fn remove(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let gone = name.clone();
    state.cluster.commit(caller.meta(), move |draft| draft.remove(Kind::Node, &name)).await?;
    let (logs, inventories) = (state.install_logs.clone(), state.inventories.clone());
    state.cluster.after_commit(move || {
        logs.remove(&gone);
        inventories.remove(&gone);
    });
    Ok(answer::done())
}

/// What a node's TPM measured gets its token where the cluster has security on. Whoever may not see it may not set it either.
fn check_proof(
    state: &State,
    caller: &Caller,
    name: &str,
    request: &node::Request,
) -> Result<(), ApiError> {
    let cluster = state.cluster.published();
    let known = cluster.nodes().get(name).and_then(|node| node.tpm_sha256.clone());
    let mut wanted = known.clone();
    request.tpm_sha256.apply(&mut wanted);
    if wanted == known { Ok(()) } else { caller.needs(Role::Admin) }
}

/// The name of a node in a path.
pub(super) fn node_name(name: &str) -> Result<Name, ApiError> {
    Name::host(name).map_err(|error| {
        ApiError::Malformed(format!("invalid node name '{}': {error}", shown(name)))
    })
}

/// What a node may say about itself with its own token, and nothing else.
fn check_own_report(
    state: &State,
    name: &str,
    object: &Map<String, Value>,
) -> Result<(), ApiError> {
    let cluster = state.cluster.published();
    let node = cluster.node(name)?;
    let boot =
        perilune_model::effective::Effective::of_node(&cluster, node).provision_interface().value;
    let is_own_address = |interface: &Value| {
        let Some(interface) = interface.as_object() else { return false };
        let fields =
            interface.keys().all(|key| matches!(key.as_str(), "interface" | "ipaddress" | "force"));
        fields && interface.get("interface").and_then(Value::as_str) == Some(boot)
    };
    for (key, value) in object {
        let allowed = match key.as_str() {
            key if node::Reported::fields().any(|field| field == key) => true,
            "name" => value.as_str() == Some(name),
            "interfaces" => {
                value.as_array().is_some_and(|interfaces| interfaces.iter().all(is_own_address))
            }
            _ => false,
        };
        if !allowed {
            let message =
                format!("a node may not change '{}' of itself while it installs", shown(key));
            return Err(ApiError::Forbidden(message));
        }
    }
    Ok(())
}
