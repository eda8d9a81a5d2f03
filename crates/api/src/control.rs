//! `/control`: power, identification, event log, sensors and inventory of machines, by their BMCs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::operations::routes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use perilune_bmc::{Action, PowerState};
use perilune_daemon::clock;
use perilune_daemon::control::{HandedOver, Order, Row, Run, Verdict, not_implemented};
use perilune_daemon::followers::Told;
use perilune_daemon::selection;
use perilune_model::user::Role;
use perilune_wire::control::{ResultKeys, RunKeys, wishes};
use perilune_wire::fields::Fields;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::shown;
use crate::answer::{self, Message};
use crate::elsewhere::{self, Asking, Found};
use crate::extract::{Body, Caller, Follower, Path};
use crate::json::Json;
use crate::permissions::{Routes, everybody, operators, viewers};
use crate::problem::{ApiError, Problem};
use crate::query::Query;
use crate::state::State;

/// How long a request for many waits for results before it answers.
const FIRST_RESULTS: Duration = Duration::from_secs(1);
/// How long a request for one machine waits; the engine's own deadlines come before.
const ONE_RESULT: Duration = Duration::from_mins(5);
/// The longest that a client may wait for news in one request.
const LONGEST_WAIT: u64 = 30;
/// Existing clients stop polling at this very text.
const NOTHING: &str = "No data for this request";

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(viewers().acts(), routes!(act_on_one))
        .add(operators().acts().reads_at("control * *"), routes!(act_on_many))
        .add(everybody(), routes!(poll))
        .add(viewers().answers_at("control"), routes!(power_of))
        .add(viewers().answers_at("control request []"), routes!(requests))
        .add(viewers().answers_at("control request"), routes!(results))
        .add(operators().acts(), routes!(cancel))
        .add(operators().acts().reads_at("control forget"), routes!(forget))
        .add(viewers().answers_at("control check []").reads_at("control check"), routes!(check))
}

/// What became of one machine.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
struct MachineResult {
    /// By the subsystem.
    control: BTreeMap<String, String>,
}

/// What a request for many machines has come to.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
struct MachineResults {
    control: ResultsByMachine,
}

/// The number of a request for many machines, and its first results.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
struct FirstMachineResults {
    /// To be polled.
    request_id: String,
    control: ResultsByMachine,
}

/// Results by what they are and by machine.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
struct ResultsByMachine {
    /// Why, for machines where it failed.
    failed: BTreeMap<String, String>,
    /// The others, by the subsystem.
    #[serde(flatten)]
    done: BTreeMap<String, DoneByMachine>,
}

/// Machines where it is done.
#[derive(Debug, Default, serde::Serialize, utoipa::ToSchema)]
struct DoneByMachine {
    /// What was done.
    ok: BTreeMap<String, String>,
    /// Machines that are switched on, where that was asked.
    on: BTreeMap<String, String>,
    /// Machines that are switched off.
    off: BTreeMap<String, String>,
}

/// Does something with one machine, and waits until it is done.
#[utoipa::path(get, path = "/control/action/{subsystem}/{hostname}/{_action}", tag = "control", params(
    ("subsystem" = String, Path, description = "power, chassis, sel, sensors or inventory"),
    ("hostname" = String, Path, description = "The node"),
    ("_action" = String, Path, description = "_on, _off, _status, _cycle, _reset, _soft; _identify, _noidentify; _list, _clear"),
), responses(
    (status = 200, description = "What was asked for, below control and the subsystem", body = MachineResult),
    (status = 204, description = "It is done"),
    (status = 400, description = "The host name cannot be one", body = Problem),
    (status = 404, description = "There is no such node, or it has no BMC, or no BMC setup", body = Problem),
    (status = 501, description = "The BMC did not do it; why stands below control and the subsystem", body = MachineResult),
))]
async fn act_on_one(
    state: axum::extract::State<State>,
    caller: Caller,
    Path((subsystem, hostname, action)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    let Some(action) = action.strip_prefix('_') else {
        return Err(ApiError::NotFound(format!(
            "there is no action '{}'; actions begin with an underscore, such as _status",
            shown(&action)
        )));
    };
    let order = Order::read(&subsystem, action);
    // What only looks is for viewers, too; of what is no action, operators are told.
    if !order.meant.as_ref().is_ok_and(|action| !action.is_change()) {
        caller.needs(Role::Operator)?;
    }
    host(&hostname)?;
    let not_done = |text: String| {
        let answer = Json(MachineResult { control: [(order.subsystem.clone(), text)].into() });
        (StatusCode::NOT_IMPLEMENTED, answer).into_response()
    };
    let action = match &order.meant {
        Ok(action) => *action,
        Err(unknown) => return Ok(not_done(not_implemented(unknown))),
    };
    let row = one(&state, action, &hostname).await?;
    if row.verdict == Verdict::Failed {
        return Ok(not_done(row.text));
    }
    if action.is_change() {
        return Ok(answer::done());
    }
    let text = row.text.replace('\n', ";;");
    Ok(Json(MachineResult { control: [(order.subsystem, text)].into() }).into_response())
}

/// Whether a machine is switched on.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
struct PowerNow {
    /// `on` or `off`.
    power: String,
}

/// Whether a machine is switched on.
#[utoipa::path(get, path = "/control/power/{hostname}", tag = "control", responses(
    (status = 200, description = "on or off, below control and power", body = PowerNow),
    (status = 400, description = "The host name cannot be one", body = Problem),
    (status = 404, description = "There is no such node, or it has no BMC, or no BMC setup", body = Problem),
    (status = 503, description = "The BMC does not say", body = Problem),
))]
async fn power_of(
    state: axum::extract::State<State>,
    Path(hostname): Path<String>,
) -> Result<Response, ApiError> {
    host(&hostname)?;
    let row = one(&state, Action::PowerStatus, &hostname).await?;
    if row.verdict == Verdict::Failed {
        return Err(ApiError::Unavailable(row.text));
    }
    Ok(Json(json!({ "control": PowerNow { power: row.text } })).into_response())
}

fn host(name: &str) -> Result<(), ApiError> {
    perilune_model::Name::host(name).map(drop).map_err(|error| {
        ApiError::Malformed(format!("invalid host name '{}': {error}", shown(name)))
    })
}

/// What became of one machine: it was done, or it was tried.
async fn one(state: &State, action: Action, hostname: &str) -> Result<Row, ApiError> {
    let row = state.control.act_on_one(action, hostname, ONE_RESULT).await;
    let row = row.ok_or_else(|| {
        ApiError::Unavailable(format!("the BMC of '{hostname}' did not answer in time"))
    })?;
    match row.verdict {
        Verdict::Impossible => Err(ApiError::NotFound(row.text)),
        Verdict::Done | Verdict::Failed => Ok(row),
    }
}

perilune_wire::described! {
    /// What is to be done with which nodes.
    Batch, |fields| { fields.require("hostlist", "say with which nodes"); fields.raw("hostlist"); wishes(fields) },
    { "hostlist": "node[001-004]" }
}

/// Does something with many machines at once. The words that count are those in the body.
#[utoipa::path(post, path = "/control/action/{subsystem}/{_action}", tag = "control", params(
    ("subsystem" = String, Path, description = "power, chassis, sel, sensors or inventory"),
    ("_action" = String, Path, description = "The action after an underscore"),
), request_body = Batch, responses(
    (status = 200, description = "request_id, to be polled, and the first results", body = FirstMachineResults),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "The host list cannot be read", body = Problem),
))]
async fn act_on_many(
    state: axum::extract::State<State>,
    caller: Caller,
    follower: Follower,
    Path(_): Path<(String, String)>,
    body: Body,
) -> Result<Response, ApiError> {
    let control = body.object(&["control"])?;
    let bad = || {
        ApiError::NotFound("Bad request: there is no control:SUBSYSTEM:ACTION:hostlist".to_owned())
    };
    let (subsystem, actions) = control.iter().next().ok_or_else(bad)?;
    let (action, fields) = actions.as_object().and_then(|map| map.iter().next()).ok_or_else(bad)?;
    let mut fields = Fields::new(fields.as_object().ok_or_else(bad)?);
    let list = fields.raw("hostlist").and_then(Value::as_str).ok_or_else(bad)?;
    let wished = wishes(&mut fields);
    fields.finish()?;
    let nodes = expand(&state, list)?;
    caller.needs_nodes(nodes.iter().map(String::as_str))?;
    let order = Order::read(subsystem, action);
    let id = state.control.start(order, nodes, &wished, &caller.user);
    let run = state.control.more_than(&id, usize::MAX, FIRST_RESULTS).await;
    let run = run.ok_or_else(|| gone(&id))?;
    let news = told(&state, &run, &follower).unwrap_or_default();
    // Whoever is told the first results here polls for the others, often without a token.
    told(&state, &run, &follower.unnamed());
    let control = batch(&run, subsystem, &news);
    Ok(Json(FirstMachineResults { request_id: id, control }).into_response())
}

fn expand(state: &State, list: &str) -> Result<Vec<String>, ApiError> {
    let invalid =
        |reason: String| ApiError::NotFound(format!("Invalid request: invalid hostlist: {reason}"));
    let mut nodes = selection::expand(state, list).map_err(|error| invalid(error.to_string()))?;
    let mut seen = std::collections::BTreeSet::new();
    nodes.retain(|node| seen.insert(node.clone()));
    if nodes.is_empty() {
        return Err(invalid("it names no node".to_owned()));
    }
    Ok(nodes)
}

/// New results of a request for many machines, each given once. When it is over and all was told, there is none any more.
#[utoipa::path(get, path = "/control/status/{request_id}", tag = "control", responses(
    (status = 200, description = "ok, on and off below control and the subsystem, failed beside it", body = MachineResults),
    (status = 404, description = "The request is over, or unknown", body = Problem),
))]
async fn poll(
    state: axum::extract::State<State>,
    asking: Asking,
    follower: Follower,
    Path(request_id): Path<String>,
) -> Result<Response, ApiError> {
    match elsewhere::of_request(&state, &asking, &request_id).await {
        // It may have results in a moment.
        Some(Found::Silent(_)) => {
            return Ok(Json(json!({ "control": nothing_new() })).into_response());
        }
        Some(found) => return found.answer(),
        None => {}
    }
    let nothing = || ApiError::NotFound(NOTHING.to_owned());
    let run = state.control.run(&request_id).ok_or_else(nothing)?;
    let news = told(&state, &run, &follower).ok_or_else(nothing)?;
    let subsystem = if news.is_empty() { "unknown" } else { run.request.order.subsystem.as_str() };
    Ok(Json(MachineResults { control: batch(&run, subsystem, &news) }).into_response())
}

/// The results that this client was not told yet; `None` when it was told the end.
fn told(state: &State, run: &Run, follower: &Follower) -> Option<Vec<Arc<Row>>> {
    state.followers.next(&run.request.id, &follower.key(), |known| {
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let news = run.after(known);
        let last = known.saturating_add(news.len());
        Some(Told { news, last: u64::try_from(last).unwrap_or(u64::MAX), is_over: run.is_over })
    })
}

/// No results, as existing clients read them.
fn nothing_new() -> Value {
    json!({ "unknown": { "ok": {}, "on": {}, "off": {} }, "failed": {} })
}

/// Results as existing clients read them.
fn batch(run: &Run, subsystem: &str, rows: &[Arc<Row>]) -> ResultsByMachine {
    let (mut done, mut failed) = (DoneByMachine::default(), BTreeMap::new());
    let order = &run.request.order;
    let asks_for_power = order.meant == Ok(Action::PowerStatus);
    for row in rows {
        let (list, text) = match (row.verdict, row.power.filter(|_| asks_for_power)) {
            (Verdict::Done, Some(PowerState::On)) => (&mut done.on, "None".to_owned()),
            (Verdict::Done, Some(PowerState::Off)) => (&mut done.off, "None".to_owned()),
            (Verdict::Done, None) => {
                (&mut done.ok, format!("{} {}", order.subsystem, order.action))
            }
            (Verdict::Failed | Verdict::Impossible, _) => (&mut failed, row.text.clone()),
        };
        list.insert(row.node.clone(), text);
    }
    // There is no such subsystem, and one name has one meaning.
    let done = Some((subsystem.to_owned(), done)).filter(|(subsystem, _)| subsystem != "failed");
    ResultsByMachine { failed, done: done.into_iter().collect() }
}

/// Requests for many machines that are remembered, the latest first.
#[utoipa::path(get, path = "/control/request", tag = "control", responses(
    (status = 200, description = "A list below control and request", body = RunKeys),
))]
async fn requests(state: axum::extract::State<State>) -> Response {
    let runs: Vec<_> = state.control.all().iter().map(|run| keys(run)).collect();
    Json(json!({ "control": { "request": runs } })).into_response()
}

/// Which results are wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Results that the client has already.
    #[serde(default)]
    after: usize,
    /// Seconds, at most 30, to wait for further ones.
    #[serde(default)]
    wait: u64,
}

/// A request for many machines with its results in full; several clients may follow it.
#[utoipa::path(get, path = "/control/request/{request_id}", tag = "control", params(Which), responses(
    (status = 200, description = "Below control and request, its results under results", body = RunKeys),
    (status = 400, description = "The query cannot be read", body = Problem),
    (status = 404, description = "There is no such request", body = Problem),
))]
async fn results(
    state: axum::extract::State<State>,
    caller: Caller,
    asking: Asking,
    Path(request_id): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response, ApiError> {
    if let Some(found) = elsewhere::of_request(&state, &asking, &request_id).await {
        return found.answer();
    }
    own(&state, &caller, &request_id)?;
    let patience = Duration::from_secs(which.wait.min(LONGEST_WAIT));
    let run = state.control.more_than(&request_id, which.after, patience).await;
    let run = run.ok_or_else(|| gone(&request_id))?;
    let rows = run.after(which.after);
    let results: Vec<_> = rows.iter().map(|row| result_keys(row)).collect();
    Ok(Json(json!({ "control": { "request": keys(&run), "results": results } })).into_response())
}

/// Stops a request: what was not begun is not done any more.
#[utoipa::path(post, path = "/control/request/{request_id}/_cancel", tag = "control", responses(
    (status = 204, description = "It stops, or was over"),
    (status = 404, description = "There is no such request", body = Problem),
))]
async fn cancel(
    state: axum::extract::State<State>,
    caller: Caller,
    asking: Asking,
    Path(request_id): Path<String>,
) -> Result<Response, ApiError> {
    if let Some(found) = elsewhere::of_request(&state, &asking, &request_id).await {
        return found.answer();
    }
    own(&state, &caller, &request_id)?.request.cancel();
    Ok(answer::done())
}

/// Nodes by their names.
#[derive(utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ControlNodes)]
#[expect(dead_code, reason = "it describes the request in the API's document")]
struct Nodes {
    /// A host list, such as `node[001-004]`.
    hostlist: String,
}

/// A BMC's address that was another node's.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
struct FormerOwner {
    /// Whose it is.
    node: String,
    /// The address.
    address: String,
    /// Whose it was.
    former: String,
    /// Until when (RFC 3339).
    until: String,
}

/// What should be known before something is done to machines: BMC addresses that were another node's within the last day.
#[utoipa::path(post, path = "/control/check", tag = "control", request_body = Nodes, responses(
    (status = 200, description = "A list below control and check", body = FormerOwner),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "The host list cannot be read", body = Problem),
))]
async fn check(
    state: axum::extract::State<State>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let nodes = expand(&state, &hostlist(&body, "check")?)?;
    caller.needs_nodes(nodes.iter().map(String::as_str))?;
    let found = state.control.handed_over(&nodes).await?;
    let keys = |found: &HandedOver| {
        let until = clock::rfc3339(found.until);
        let (node, former) = (found.node.to_string(), found.former.to_string());
        FormerOwner { node, address: found.address.to_string(), former, until }
    };
    let found: Vec<_> = found.iter().map(keys).collect();
    Ok(Json(json!({ "control": { "check": found } })).into_response())
}

/// The nodes that a request is about.
fn hostlist(body: &Body, action: &str) -> Result<String, ApiError> {
    let list = body.read(&["control", action], |fields| {
        fields.raw("hostlist").and_then(Value::as_str).map(str::to_owned)
    })?;
    list.ok_or_else(|| {
        ApiError::Malformed(format!("say whose BMCs: control:{action}:hostlist is not text"))
    })
}

/// Forgets what is remembered of BMCs: failures, refused passwords, pinned certificates.
#[utoipa::path(post, path = "/control/forget", tag = "control", request_body = Nodes, responses(
    (status = 200, description = "It is forgotten", body = Message),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "The host list cannot be read, or one of them has no BMC", body = Problem),
))]
async fn forget(state: axum::extract::State<State>, body: Body) -> Result<Response, ApiError> {
    let nodes = expand(&state, &hostlist(&body, "forget")?)?;
    let unknown = state.control.forget(&nodes).await?;
    if let Some((_, reason)) = unknown.first() {
        return Err(ApiError::NotFound(reason.clone()));
    }
    let message = format!("forgotten what was known of {} BMCs", nodes.len());
    Ok(Json(Message { message }).into_response())
}

/// The request; for who is held to some nodes, only one of their own: another's may be about other nodes.
fn own(state: &State, caller: &Caller, request_id: &str) -> Result<Arc<Run>, ApiError> {
    let run = state.control.run(request_id).ok_or_else(|| gone(request_id))?;
    if caller.is_held_to_nodes() && run.request.user != caller.user {
        return Err(gone(request_id));
    }
    Ok(run)
}

fn gone(request_id: &str) -> ApiError {
    ApiError::NotFound(format!(
        "there is no request '{}'; they are forgotten after an hour",
        shown(request_id)
    ))
}

fn keys(run: &Run) -> RunKeys {
    let request = &run.request;
    RunKeys {
        request_id: request.id.clone(),
        subsystem: request.order.subsystem.clone(),
        action: request.order.action.clone(),
        user: request.user.clone(),
        begun: request.begun / 1000,
        total: request.total,
        done: run.done(),
        is_over: run.is_over,
    }
}

fn result_keys(row: &Row) -> ResultKeys {
    ResultKeys {
        node: row.node.clone(),
        ok: row.verdict == Verdict::Done,
        text: row.text.clone(),
        brief: row.brief.clone(),
        power: row.power.map(power_word),
        reply: row.reply.clone(),
        tries: row.tries,
        seconds: row.elapsed.as_secs_f64(),
    }
}

fn power_word(power: PowerState) -> &'static str {
    match power {
        PowerState::On => "on",
        PowerState::Off => "off",
    }
}
