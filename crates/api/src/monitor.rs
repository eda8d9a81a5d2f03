//! `/monitor`: what nodes report, and which machines nobody described.

use std::collections::BTreeMap;

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_boot::Site;
use perilune_daemon::clock::{self, rfc3339};
use perilune_daemon::selection;
use perilune_daemon::sightings::Sighting;
use perilune_daemon::spool::{Entry, Milestone};
use perilune_daemon::status::{ERROR, SUCCESS, is_milestone};
use perilune_model::discovery::Place;
use perilune_model::effective::Effective;
use perilune_model::{MacAddress, Name};
use perilune_plan::{Installation, Phase, Progress, Root};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::answer;
use crate::answer::shown;
use crate::extract::{Body, Path};
use crate::json::{self, Json};
use crate::permissions::{Routes, everybody, operators, viewers};
use crate::problem::{ApiError, Problem};
use crate::query::Query;
use crate::state::State;

/// As long as a state and what is said beside it may be.
const LONGEST_STATE: usize = 64;
const LONGEST_STATUS: usize = 4096;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(everybody().answers_at("monitor status node *"), routes!(nodes))
        .add(everybody().answers_at("monitor status *"), routes!(node))
        .add(operators().acts().or_node("node").reads_at("monitor status *"), routes!(report))
        .add(everybody().answers_at("monitor status *"), routes!(node_by_its_documented_path))
        .add(
            operators().acts().or_node("node").reads_at("monitor status *"),
            routes!(report_by_its_documented_path),
        )
        .add(operators().acts().or_node("node"), routes!(progress_of_node))
        .add(viewers().answers_at("monitor progress *"), routes!(progress))
        .add(viewers().answers_at("monitor unknown []"), routes!(unknown))
}

/// What something last said of itself.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Condition {
    /// Its state, in a list after its name.
    pub(super) state: String,
    /// A number as existing clients know it, or a text, or nothing.
    pub(super) status: Value,
}

/// What every node last reported.
#[utoipa::path(get, path = "/monitor/node", tag = "monitor", responses(
    (status = 200, description = "State and status by node, below monitor, status and node", body = Condition),
    (status = 404, description = "No node has reported anything", body = Problem),
))]
async fn nodes(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let states = state.status.all();
    if states.is_empty() {
        return Err(ApiError::NotFound("no entries found".to_owned()));
    }
    let mut entries = serde_json::Map::new();
    for (name, state) in states.iter() {
        let status = state.code().map(|code| code.to_string()).or_else(|| state.status.clone());
        let status = status.unwrap_or_else(|| "None".to_owned());
        entries.insert(
            name.to_string(),
            json!(Condition { state: format!("{name} {}", state.state), status: status.into() }),
        );
    }
    Ok(Json(json!({ "monitor": { "status": { "node": entries } } })).into_response())
}

/// What a node last reported.
#[utoipa::path(get, path = "/monitor/node/{node}", tag = "monitor", responses(
    (status = 200, description = "Its state and status, below monitor, status and its name", body = Condition),
    (status = 404, description = "It has reported nothing", body = Problem),
))]
async fn node(
    state: axum::extract::State<State>,
    Path(node): Path<String>,
) -> Result<Response, ApiError> {
    let Some(reported) = state.status.get(&node) else {
        return Err(ApiError::NotFound(format!("{} not found", shown(&node))));
    };
    let status = reported.code().map_or_else(|| json!(reported.status), |code| json!(code));
    let mut entry = serde_json::Map::new();
    entry.insert(node, json!(Condition { state: reported.state.clone(), status }));
    Ok(Json(json!({ "monitor": { "status": entry } })).into_response())
}

/// What a node reports.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the request in the API's document")]
struct StatusReport {
    /// Its state, such as `install.success`; control characters are left out.
    #[schema(value_type = StateText)]
    state: String,
    /// A code, or what is to be said about it. What is neither text nor number says nothing.
    status: Option<Value>,
    /// With `install.success`: where the node starts from by itself; null for a root in memory.
    installation: Option<InstallationReport>,
}

/// A text or a number with something in it that can be seen.
struct StateText;

impl utoipa::PartialSchema for StateText {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let types = [utoipa::openapi::Type::String, utoipa::openapi::Type::Number];
        let types: utoipa::openapi::schema::SchemaType = types.into_iter().collect();
        let text = utoipa::openapi::ObjectBuilder::new().schema_type(types);
        text.pattern(Some(r"[^\u0000-\u001f\u007f-\u009f]")).into()
    }
}

impl ToSchema for StateText {}

/// The file that firmware or a boot loader starts.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the request in the API's document")]
struct InstallationReport {
    /// The UUID of its file system.
    filesystem: Option<String>,
    /// Its path there.
    file: Option<String>,
}

/// How far an installation is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the request in the API's document")]
struct ProgressReport {
    /// The step.
    #[schema(value_type = PhaseWord)]
    phase: Phase,
    /// Bytes that are done, of those that are counted in this step.
    bytes_done: Option<u64>,
    /// Bytes in all.
    bytes_total: Option<u64>,
    /// Bytes per second.
    rate: Option<u64>,
    /// A sentence for a person, such as what is being retried.
    message: Option<String>,
}

/// The word of a step.
struct PhaseWord;

impl utoipa::PartialSchema for PhaseWord {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let text = utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::Type::String);
        text.enum_values(Some(Phase::ALL.map(Phase::word))).into()
    }
}

impl ToSchema for PhaseWord {}

/// A node, or somebody for it, reports its state.
#[utoipa::path(post, path = "/monitor/node/{node}", tag = "monitor", request_body = StatusReport, responses(
    (status = 204, description = "It is noted"),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 404, description = "There is no such node", body = Problem),
))]
async fn report(
    state: axum::extract::State<State>,
    Path(node): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let reports = body.object(&["monitor", "status"])?;
    let Some(report) = reports.get(&node).and_then(Value::as_object) else {
        return Err(ApiError::NotFound(format!("the report is not about {}", shown(&node))));
    };
    let node = state.cluster.published().node(&node)?.name.clone();
    let text = |key: &str, longest: usize| {
        let text = report.get(key).and_then(|value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        })?;
        let kept = text
            .chars()
            .filter(|c| !c.is_control() || *c == '\n')
            .take(longest)
            .collect::<String>();
        (!kept.is_empty()).then_some(kept)
    };
    let Some(reported) = text("state", LONGEST_STATE) else {
        return Err(ApiError::Malformed(
            "data structure incomplete or incorrect: state is missing".to_owned(),
        ));
    };
    let status = text("status", LONGEST_STATUS);
    if reported == ERROR {
        // Once: a node that fails tries again, and says the same each time.
        let known = state.status.get(node.as_str());
        if known.is_none_or(|known| known.state != ERROR || known.status != status) {
            let reason = status.as_deref().unwrap_or("no reason given");
            tracing::warn!(%node, reason, "a node is not installed");
        }
    }
    let at = clock::milliseconds();
    if !is_milestone(&reported) {
        state.status.report(&node, &reported, status, at);
        return Ok(answer::done());
    }
    let installation = if reported == SUCCESS {
        installation(&state, &node, report.get("installation"))?
    } else {
        None
    };
    let milestone = Milestone { node, state: reported, status, installation, at };
    note_milestone(&state, milestone).await?;
    Ok(answer::done())
}

/// Notes where an installed node starts from, before it is answered. Our own installer always says it: nothing for a root in memory. Of
/// others it is known whether their node has a disk.
/// Stores that a node is installed, or is not. Where the database of several controllers is away, it is kept here until it is back.
async fn note_milestone(state: &State, milestone: Milestone) -> Result<(), ApiError> {
    let Err(error) = state.stored_or_away(state.store_milestone(&milestone)).await else {
        return Ok(());
    };
    if !matches!(&error, perilune_boards::Error::Store(error) if error.is_away()) {
        return Err(error.into());
    }
    let node = milestone.node.clone();
    state.spool.keep(Entry::Milestone(milestone)).await.map_err(|failed| {
        tracing::error!(%node, error = %failed, "what a node told is not kept either");
        error
    })?;
    Ok(())
}

/// What a node starts from by itself, as it told or as it is described.
fn installation(
    state: &State,
    node: &Name,
    told: Option<&Value>,
) -> Result<Option<Installation>, ApiError> {
    let start: Option<Installation> = match told {
        Some(told) => serde_json::from_value(told.clone()).map_err(|error| {
            ApiError::Malformed(format!(
                "data structure incomplete or incorrect: installation: {error}"
            ))
        })?,
        None => installs_on_disk(state, node).then(Installation::default),
    };
    Ok(start.map(Installation::within_bounds))
}

/// Whether the root of a node as it is described is on a disk.
fn installs_on_disk(state: &State, node: &Name) -> bool {
    let cluster = state.cluster.published();
    let environment = state.environment(&cluster);
    let site = Site { templates: &state.templates, environment: &environment, cluster: &cluster };
    let is_kickstart = cluster
        .node(node.as_str())
        .is_ok_and(|node| Effective::of_node(&cluster, node).is_kickstart());
    is_kickstart || site.plan(node.as_str()).is_ok_and(|plan| plan.root != Root::Memory)
}

/// The same as `/monitor/node/{node}`.
#[utoipa::path(get, path = "/monitor/status/{node}", tag = "monitor", responses(
    (status = 200, description = "Its state and status, below monitor, status and its name", body = Condition),
    (status = 404, description = "It has reported nothing", body = Problem),
))]
async fn node_by_its_documented_path(
    state: axum::extract::State<State>,
    path: Path<String>,
) -> Result<Response, ApiError> {
    node(state, path).await
}

/// The same as `/monitor/node/{node}`.
#[utoipa::path(post, path = "/monitor/status/{node}", tag = "monitor", request_body = StatusReport, responses(
    (status = 204, description = "It is noted"),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 404, description = "There is no such node", body = Problem),
))]
async fn report_by_its_documented_path(
    state: axum::extract::State<State>,
    path: Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    report(state, path, body).await
}

/// A node reports how far its installation is.
#[utoipa::path(post, path = "/boot/progress/{node}", tag = "boot", request_body = ProgressReport, responses(
    (status = 204, description = "It is noted"),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 404, description = "There is no such node", body = Problem),
))]
async fn progress_of_node(
    state: axum::extract::State<State>,
    Path(node): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let progress: Progress = json::read(body).map_err(|error| {
        ApiError::Malformed(format!("data structure incomplete or incorrect: {error}"))
    })?;
    let node = state.cluster.published().node(&node)?.name.clone();
    let message = progress.message.map(|text| text.chars().take(LONGEST_STATUS).collect());
    state.status.progress(&node, Progress { message, ..progress }, clock::milliseconds());
    Ok(answer::done())
}

/// Which nodes are asked about.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// A host list, such as `node[001-004]`; all nodes without it.
    nodes: Option<String>,
}

/// How far a node is.
#[derive(Debug, Default, Serialize, ToSchema)]
struct NodeProgress {
    /// The state it last reported; null before the first.
    state: Option<String>,
    status: Option<String>,
    /// When it entered that state, RFC 3339.
    since: Option<String>,
    phase: Option<&'static str>,
    bytes_done: Option<u64>,
    bytes_total: Option<u64>,
    /// Bytes per second.
    rate: Option<u64>,
    message: Option<String>,
    /// When it last reported anything, RFC 3339.
    updated: Option<String>,
    /// Whether it reported this to the site that was imported, and nothing since.
    imported: bool,
    /// When it was last installed on a disk, RFC 3339.
    installed: Option<String>,
    /// Whether it is to be installed anew, where its policy is `once`.
    reinstall: bool,
}

/// How far every node is.
#[utoipa::path(get, path = "/monitor/progress", tag = "monitor", params(Which), responses(
    (status = 200, description = "By node, below monitor and progress", body = NodeProgress),
    (status = 400, description = "The host list cannot be read", body = Problem),
    (status = 404, description = "The host list names what is not there", body = Problem),
))]
async fn progress(
    state: axum::extract::State<State>,
    Query(which): Query<Which>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let names: Vec<String> = match which.nodes {
        Some(list) => selection::expand(&state, &list)?,
        None => cluster.nodes().keys().map(ToString::to_string).collect(),
    };
    let (states, installations) = (state.status.all(), state.installations.all());
    let known = names.into_iter().filter(|name| cluster.nodes().contains_key(name.as_str()));
    let entries: BTreeMap<String, NodeProgress> = known
        .map(|name| {
            let state = states.get(name.as_str());
            let mut progress = state.map_or_else(NodeProgress::default, |state| (&**state).into());
            if let Some(known) = installations.get(name.as_str()) {
                progress.installed = Some(rfc3339(known.at));
                progress.reinstall = known.reinstall;
            }
            (name, progress)
        })
        .collect();
    Ok(Json(json!({ "monitor": { "progress": entries } })).into_response())
}

impl From<&perilune_daemon::status::NodeState> for NodeProgress {
    fn from(state: &perilune_daemon::status::NodeState) -> Self {
        let progress = &state.progress;
        let of = |read: fn(&Progress) -> Option<u64>| progress.as_ref().and_then(read);
        Self {
            phase: progress.as_ref().map(|progress| progress.phase.word()),
            bytes_done: of(|progress| progress.bytes_done),
            bytes_total: of(|progress| progress.bytes_total),
            rate: of(|progress| progress.rate),
            message: progress.as_ref().and_then(|progress| progress.message.clone()),
            state: Some(state.state.clone()),
            status: state.status.clone(),
            since: Some(rfc3339(state.since)),
            updated: Some(rfc3339(state.updated)),
            imported: state.imported,
            installed: None,
            reinstall: false,
        }
    }
}

/// A machine that nobody described.
#[derive(Debug, Serialize, ToSchema)]
struct UnknownMachine {
    macaddress: String,
    ipaddress: Option<String>,
    vendor_class: Option<String>,
    /// What it says at its console, or seems, to be; `perilune node adopt` accepts that.
    claim: Option<String>,
    /// The switch that sees it, when one said so.
    switch: Option<String>,
    /// The number of the port at which it is seen.
    port: Option<u32>,
    /// What the switch calls the port.
    portname: Option<String>,
    /// RFC 3339.
    first_seen: String,
    /// RFC 3339.
    last_seen: String,
    requests: u64,
}

impl UnknownMachine {
    fn new(mac: MacAddress, sighting: &Sighting, place: Option<Place>) -> Self {
        Self {
            macaddress: mac.to_string(),
            ipaddress: sighting.address.map(|address| address.to_string()),
            vendor_class: sighting.vendor_class.clone(),
            claim: None,
            switch: place.as_ref().map(|place| place.switch.to_string()),
            port: place.as_ref().and_then(|place| place.port.number),
            portname: place.and_then(|place| place.port.names.into_iter().next()),
            first_seen: rfc3339(sighting.first_seen),
            last_seen: rfc3339(sighting.last_seen),
            requests: sighting.requests,
        }
    }
}

/// Machines that asked for an address or a boot script and that nobody described.
#[utoipa::path(get, path = "/monitor/unknown", tag = "monitor", responses(
    (status = 200, description = "A list, below monitor and unknown", body = UnknownMachine),
))]
async fn unknown(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let machines = state.sightings.all();
    let unknown = machines.iter().filter(|(mac, _)| cluster.node_by_mac(**mac).is_none());
    let machines: Vec<UnknownMachine> = unknown
        .map(|(mac, sighting)| {
            let mac = *mac;
            let place = state.discovery.last_seen(&cluster, mac);
            let claim = state.claims.of(mac).map(|claim| claim.wish.to_string());
            UnknownMachine { claim, ..UnknownMachine::new(mac, sighting, place) }
        })
        .collect();
    Ok(Json(json!({ "monitor": { "unknown": machines } })).into_response())
}
