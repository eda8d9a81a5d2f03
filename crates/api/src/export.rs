//! `/export` and `/import`: what other programs of a site exchange with the daemon. `docs/metrics.md`.

use std::time::Duration;

use crate::operations::routes;
use axum::extract::State as Shared;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use perilune_daemon::boot_plugins;
use perilune_daemon::causes::chain;
use perilune_daemon::clock;
use perilune_daemon::plugins::Unanswered;
use perilune_daemon::prometheus::{self, Prometheus, targets};
use perilune_model::Cluster;
use perilune_program::Limits;
use perilune_wire::any_json::AnyJson;
use serde_json::{Value, json};

use crate::answer::shown;
use crate::extract::{Bearer, Body, Path};
use crate::json::Json;
use crate::permissions::{Routes, admins, everybody, viewers};
use crate::problem::{ApiError, Problem};
use crate::query::Query;
use crate::source;
use crate::state::State;

/// What a site's own program may take.
const LIMITS: Limits = Limits::of(Duration::from_secs(30), 64 << 20);
/// Seconds until a client may ask again for a program that is busy.
const RETRY: u64 = 5;
/// The hardware rules of a node, which the node may have made itself.
const HARDWARE: &str = "prometheus_hw_rules";

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(everybody(), routes!(export))
        .add(admins().acts().or_any_node().or_importer(), routes!(import))
}

/// Lets on whom the configuration names, a program of this machine, and whoever is logged in: what is exported names every node.
pub(super) async fn admit_reader(parts: &mut Parts, state: &State) -> Result<(), ApiError> {
    let source = source::of(parts);
    let is_named =
        state.settings.export_clients.iter().any(|known| known.contains(&source.address));
    if is_named || source.neighbour().is_some() {
        return Ok(());
    }
    viewers().admit(parts, state).await.map(drop).map_err(|error| match error {
        ApiError::Unauthenticated(text) => ApiError::Unauthenticated(format!(
            "{text}; programs of {} are let in without one where [PLUGINS] EXPORT_CLIENTS has that address",
            source.address
        )),
        other => other,
    })
}

/// What monitoring reads of the cluster: targets and rules of Prometheus, boot plugins, and what the site's own programs tell.
#[utoipa::path(get, path = "/export/{name}", tag = "export", responses(
    (status = 200, description = "What is asked for, as its reader expects it", body = AnyJson),
    (status = 401, description = "A token is missing, and the address is not one of [PLUGINS] EXPORT_CLIENTS", body = Problem),
    (status = 404, description = "It is not allowed, not there, or there is nothing to tell", body = Problem),
    (status = 503, description = "The site's own program for it runs as often as it may; ask again after `Retry-After`", body = Problem),
))]
async fn export(
    state: Shared<State>,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    mut parts: Parts,
) -> Result<Response, ApiError> {
    admit_reader(&mut parts, &state).await?;
    allowed(&state.settings.exporters, &name, "exporter", "ALLOWED_EXPORTERS")?;
    let question = json!({ "version": 1, "arguments": query });
    if let Some(answer) = ask_own(&state, "export", &name, &question).await {
        return answer;
    }
    let rules = &state.prometheus;
    let told = match name.as_str() {
        "prometheus" => {
            let targets = targets(&state.cluster.published(), rules.exporters());
            if targets.is_empty() {
                return Err(ApiError::NotFound("there is no node yet".to_owned()));
            }
            Ok(json!(targets))
        }
        "prometheus_rules" => rules.rules().await,
        "prometheus_rules_settings" => rules.switches().await,
        HARDWARE => match (listed(&query, "hasconfig"), listed(&query, "hostnames")) {
            (Some(hosts), _) => rules.has_hardware(hosts).await,
            (None, Some(hosts)) => rules.hardware(hosts).await,
            (None, None) => rules.hardware(hosts_of(&state.cluster.published())).await,
        },
        "boot_plugins" => return plugins(&state),
        _ => {
            return Err(ApiError::NotFound(format!("plugin {} could not be loaded", shown(&name))));
        }
    };
    told.map(|told| Json(told).into_response()).map_err(not_there)
}

/// Changes rules of Prometheus, boot plugins, or what the site's own program takes. A node may have its own hardware rules made.
#[utoipa::path(post, path = "/import/{name}", tag = "export", request_body = AnyJson, responses(
    (status = 200, description = "It is done, in words or as a list of what became of each", body = AnyJson),
    (status = 403, description = "The token is of a node, and this is not about its own hardware", body = Problem),
    (status = 404, description = "It is not allowed, not there, or what is wrong with it", body = Problem),
    (status = 503, description = "The site's own program for it runs as often as it may; ask again after `Retry-After`", body = Problem),
))]
async fn import(
    state: Shared<State>,
    Path(name): Path<String>,
    bearer: Bearer,
    Body(body): Body,
) -> Result<Response, ApiError> {
    if let Bearer::Node(node) = &bearer
        && !(name == HARDWARE && is_about(&state.cluster.published(), &node.name, &body))
    {
        return Err(ApiError::Forbidden(format!(
            "the token of node {} is good for the import of its own hardware rules alone",
            node.name
        )));
    }
    allowed(&state.settings.importers, &name, "importer", "ALLOWED_IMPORTERS")?;
    if let Some(answer) =
        ask_own(&state, "import", &name, &json!({ "version": 1, "data": body })).await
    {
        return answer;
    }
    let (rules, now) = (&state.prometheus, clock::seconds());
    match name.as_str() {
        "prometheus_rules" => rules
            .replace_rules(&body, now)
            .await
            .map(|said| Html(said).into_response())
            .map_err(not_there),
        "prometheus_rules_settings" => rules
            .set_switches(&body, now)
            .await
            .map(|told| Json(told).into_response())
            .map_err(not_there),
        HARDWARE => {
            let requests = Prometheus::hardware_requests(&body).map_err(not_there)?;
            let made = rules.make_hardware(requests, now).await;
            made.map(|told| Json(told).into_response()).map_err(not_there)
        }
        "boot_plugins" => take_plugins(&state, body),
        _ => Err(ApiError::NotFound(format!("plugin {} could not be loaded", shown(&name)))),
    }
}

fn allowed(names: &[String], name: &str, what: &str, key: &str) -> Result<(), ApiError> {
    if names.iter().any(|known| known == name) {
        return Ok(());
    }
    Err(ApiError::NotFound(format!(
        "{what} plugin {} is not permitted; [PLUGINS] {key} has those that are: {}",
        shown(name),
        names.join(", ")
    )))
}

/// Existing clients know one status for whatever is wrong here.
fn not_there(error: prometheus::Error) -> ApiError {
    match error {
        prometheus::Error::Stopping => ApiError::Stopping,
        other => ApiError::NotFound(chain(&other)),
    }
}

/// What the site's own program of this name answers, which comes first; `None` where there is none. JSON is answered as such, and everything
/// else as text.
async fn ask_own(
    state: &State,
    kind: &str,
    name: &str,
    question: &Value,
) -> Option<Result<Response, ApiError>> {
    let is_plain = !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    let plugin = format!("{kind}/{name}");
    if !is_plain {
        return None;
    }
    let answer = match state.runner.exchange(&plugin, question, LIMITS).await? {
        Ok(answer) => answer,
        Err(busy @ Unanswered::Busy(_)) => {
            return Some(Err(ApiError::Busy { message: busy.to_string(), seconds: RETRY }));
        }
        Err(Unanswered::Failed(reason)) => {
            tracing::warn!(program = plugin, reason, "a program of the site failed");
            return Some(Err(ApiError::NotFound(reason)));
        }
    };
    if let Ok(value) = serde_json::from_slice::<Value>(&answer)
        && !value.is_string()
    {
        return Some(Ok(Json(value).into_response()));
    }
    Some(Ok(Html(String::from_utf8_lossy(&answer).trim_end().to_owned()).into_response()))
}

/// The names of a list with commas; `None` where it is not asked for.
fn listed(query: &[(String, String)], key: &str) -> Option<Vec<String>> {
    let (_, text) = query.iter().find(|(known, _)| known == key)?;
    Some(
        text.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect(),
    )
}

fn hosts_of(cluster: &Cluster) -> Vec<String> {
    cluster.nodes().values().map(|node| node.hostname(cluster)).collect()
}

/// Whether a request is about this node's hardware alone.
fn is_about(cluster: &Cluster, node: &str, body: &Value) -> bool {
    let Ok(node) = cluster.node(node) else { return false };
    let own = [node.name.to_string(), node.hostname(cluster)];
    let is_own = |entry: &Value| {
        let host = entry.get("hostname").and_then(Value::as_str);
        host.is_some_and(|host| own.iter().any(|own| own == host))
    };
    body.as_array().is_some_and(|entries| entries.iter().all(is_own))
}

fn plugins(state: &State) -> Result<Response, ApiError> {
    let Some(directory) = &state.settings.plugins else {
        return Err(ApiError::NotFound("there is no directory of plugins".to_owned()));
    };
    let read = boot_plugins::read(directory);
    read.map(|document| Json(document).into_response()).map_err(|error| {
        ApiError::NotFound(format!("{} cannot be read: {error}", directory.display()))
    })
}

fn take_plugins(state: &State, body: Value) -> Result<Response, ApiError> {
    let Some(directory) = &state.settings.plugins else {
        return Err(ApiError::NotFound("there is no directory of plugins".to_owned()));
    };
    let document =
        serde_json::from_value(body).map_err(|error| ApiError::NotFound(error.to_string()))?;
    boot_plugins::write(directory, &document).map_err(ApiError::NotFound)?;
    Ok(Html("boot plugins synchronized".to_owned()).into_response())
}
