//! What long operations tell, and what is being done: `/config/status`, `/service/status`, `/monitor/queue`, `/monitor/status`.

use crate::operations::routes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use perilune_daemon::clock::{self, rfc3339};
use perilune_daemon::followers::Told;
use perilune_daemon::jobs::{self, Job, TakenOver, timestamp};
use perilune_wire::job::Progress;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::answer::{self, Message};
use crate::elsewhere::{self, Asking, Found};
use crate::extract::{Body, Follower, Path};
use crate::json::Json;
use crate::permissions::{Routes, everybody, operators, viewers};
use crate::problem::{ApiError, Problem};
use crate::query::Query;
use crate::state::State;

/// The longest identifier of a request.
const LONGEST: usize = 256;
/// The status of a message that tells of a controller that is gone.
const UNAVAILABLE: u16 = StatusCode::SERVICE_UNAVAILABLE.as_u16();
/// Existing clients stop polling at this very text.
const NOTHING: &str = "No data for this request";

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(everybody().answers_at(""), routes!(poll))
        .add(everybody().answers_at(""), routes!(poll_service))
        .add(viewers().answers_at("monitor queue []"), routes!(queue))
        .add(viewers().answers_at("monitor status []"), routes!(messages))
        .add(operators().acts().reads_at("monitor status"), routes!(take_messages))
}

/// What is new about a long operation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Fresh {
    /// Messages, each `YYYY-MM-DD HH:MM:SS :: text`, joined by `;;`. A client is told each once, unless it asks by `after`.
    message: String,
    /// 200, or that of the last message that tells of a failure.
    status: u16,
    /// For who asked by `after`: the same messages one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Said>>,
    /// For who asked by `after`: what to ask by next.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<u64>,
    /// For who asked by `after`: whether there will be no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_over: Option<bool>,
}

/// One message.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Said {
    /// When, RFC 3339.
    at: String,
    /// What, as a sentence.
    text: String,
    /// 200, or that of a failure.
    status: u16,
    /// How far a step is, where that is what the message says.
    progress: Option<Progress>,
}

/// From where on messages are wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct From {
    /// What the client knows, as `last` told it; 0 at first. The answer then has `messages`, `last` and `is_over`, and the daemon does
    /// not remember who was told what.
    after: Option<u64>,
}

/// What is new about a long operation. When it is over and all was told, there is none of this identifier any more.
#[utoipa::path(get, path = "/config/status/{request_id}", tag = "job", params(From), responses(
    (status = 200, description = "New messages; empty when nothing is new", body = Fresh),
    (status = 400, description = "The identifier cannot be one", body = Problem),
    (status = 404, description = "The operation is over, or unknown", body = Problem),
))]
async fn poll(
    state: axum::extract::State<State>,
    asking: Asking,
    follower: Follower,
    Path(request_id): Path<String>,
    Query(from): Query<From>,
) -> Result<Response, ApiError> {
    news(&state, &asking, &follower, (&request_id, &from)).await
}

/// The same as `/config/status/{request_id}`.
#[utoipa::path(get, path = "/service/status/{request_id}", tag = "job", params(From), responses(
    (status = 200, description = "New messages; empty when nothing is new", body = Fresh),
    (status = 400, description = "The identifier cannot be one", body = Problem),
    (status = 404, description = "The operation is over, or unknown", body = Problem),
))]
async fn poll_service(
    state: axum::extract::State<State>,
    asking: Asking,
    follower: Follower,
    Path(request_id): Path<String>,
    Query(from): Query<From>,
) -> Result<Response, ApiError> {
    news(&state, &asking, &follower, (&request_id, &from)).await
}

async fn news(
    state: &State,
    asking: &Asking,
    follower: &Follower,
    (request_id, from): (&str, &From),
) -> Result<Response, ApiError> {
    if request_id.len() > LONGEST {
        return Err(ApiError::Malformed(format!(
            "the request_id is longer than {LONGEST} characters"
        )));
    }
    let nothing = || ApiError::NotFound(NOTHING.to_owned());
    let last = |text: (u16, String)| {
        let fresh = last(state, follower, (request_id, from), text);
        Ok(Json(fresh.ok_or_else(nothing)?).into_response())
    };
    if let Some(taken) = state.jobs.taken_over(request_id) {
        return last(end_of(&taken));
    }
    match elsewhere::of_request(state, asking, request_id).await {
        Some(Found::Told(response)) => return Ok(response),
        // It may have said something in a moment.
        Some(Found::Silent(_)) => return Ok(Json(nothing_new(from)).into_response()),
        Some(Found::Gone(gone)) => {
            if let Some(text) = elsewhere::job_waits(&gone, request_id) {
                return Ok(Json(waits(state, follower, (request_id, from), text)).into_response());
            }
            return last(match state.jobs.taken_over_now(request_id).await {
                Some(taken) => end_of(&taken),
                None => (UNAVAILABLE, elsewhere::job_is_lost(&gone)),
            });
        }
        None => {}
    }
    if let Some(known) = from.after {
        let news = state.jobs.after(request_id, known).ok_or_else(nothing)?;
        let fresh = Fresh {
            messages: Some(news.messages.iter().filter_map(|message| said(message)).collect()),
            last: Some(news.last),
            is_over: Some(news.is_over),
            ..fresh(&news)
        };
        return Ok(Json(fresh).into_response());
    }
    let told = state.followers.next(request_id, &follower.key(), |known| {
        let news = state.jobs.after(request_id, known)?;
        let (last, is_over) = (news.last, news.is_over);
        Some(Told { news, last, is_over })
    });
    Ok(Json(fresh(&told.ok_or_else(nothing)?)).into_response())
}

/// That nothing was said since.
fn nothing_new(from: &From) -> Fresh {
    let asked = from.after.is_some();
    let messages = asked.then(Vec::new);
    let (last, is_over) = (from.after, asked.then_some(false));
    Fresh { message: String::new(), status: jobs::OK, messages, last, is_over }
}

/// What is said at the end of a job that was taken from its controller.
fn end_of(taken: &TakenOver) -> (u16, String) {
    (if taken.is_done() { jobs::OK } else { UNAVAILABLE }, taken.text())
}

/// That the controller which does this is gone, and may go on with it: told once to each who follows.
fn waits(
    state: &State,
    follower: &Follower,
    (request_id, from): (&str, &From),
    text: String,
) -> Fresh {
    let key = format!("{request_id} waits");
    let told = state.followers.next(&key, &follower.key(), |_| {
        let (now, status) = (clock::milliseconds(), jobs::OK);
        let message = format!("{} :: {text}", timestamp(now));
        let said = Said { at: rfc3339(now), text, status, progress: None };
        let messages = from.after.map(|_| vec![said]);
        Some(Told {
            news: Fresh { message, messages, ..nothing_new(from) },
            last: 0,
            is_over: true,
        })
    });
    told.unwrap_or_else(|| nothing_new(from))
}

/// What became of what a controller did that is gone: the last message of all, told once to each who follows. `None` for who was told.
fn last(
    state: &State,
    follower: &Follower,
    (request_id, from): (&str, &From),
    (status, text): (u16, String),
) -> Option<Fresh> {
    let now = clock::milliseconds();
    let error = if status == jobs::OK { "" } else { "error " };
    let message = format!("{} :: {error}{text}", timestamp(now));
    if let Some(known) = from.after {
        let said = Said { at: rfc3339(now), text, status, progress: None };
        let (messages, last, is_over) = (Some(vec![said]), Some(known), Some(true));
        return Some(Fresh { message, status, messages, last, is_over });
    }
    state.followers.next(request_id, &follower.key(), |_| {
        let news = Fresh { message, status, messages: None, last: None, is_over: None };
        Some(Told { news, last: 0, is_over: true })
    })
}

/// Messages as existing clients read them.
fn fresh(news: &jobs::NewMessages) -> Fresh {
    let lines = news.messages.iter().filter_map(|message| {
        message.line().map(|line| format!("{} :: {line}", timestamp(message.at)))
    });
    let statuses = news.messages.iter().map(|message| message.status);
    let status = statuses.rev().find(|status| *status != jobs::OK).unwrap_or(jobs::OK);
    let message = lines.collect::<Vec<_>>().join(";;");
    Fresh { message, status, messages: None, last: None, is_over: None }
}

fn said(message: &jobs::Message) -> Option<Said> {
    let text = message.text()?;
    let progress = match &message.said {
        jobs::Said::Progress(progress) => Some(progress.clone()),
        jobs::Said::Begin | jobs::Said::Text(_) | jobs::Said::Failure(_) | jobs::Said::End => None,
    };
    Some(Said { at: rfc3339(message.at), text, status: message.status, progress })
}

/// A task that is done or waits.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QueueEntry {
    created: String,
    /// Always `maintask`.
    level: &'static str,
    queue_id: u64,
    request_id: String,
    /// `queued` or `in progress`.
    status: &'static str,
    subsystem: &'static str,
    task: String,
    username_initiator: String,
    /// Which controller does it, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    controller: Option<String>,
}

impl QueueEntry {
    fn new(job: Job, runs: bool, controller: Option<String>) -> Self {
        let (subsystem, task) = job.work.task();
        Self {
            created: timestamp(job.due),
            level: "maintask",
            queue_id: job.number,
            request_id: job.request,
            status: if runs { "in progress" } else { "queued" },
            subsystem,
            task,
            username_initiator: job.user,
            controller,
        }
    }
}

/// What is being done, and what waits, at all controllers; a job of one that does not run waits for it. Cleaning up is listed under the time when it is due.
#[utoipa::path(get, path = "/monitor/queue", tag = "job", responses(
    (status = 200, description = "A list, below monitor and queue", body = QueueEntry),
))]
async fn queue(state: axum::extract::State<State>) -> Response {
    let (known, own) = (state.controllers.known(), state.controllers.name());
    let own = state.controllers.is_shared().then(|| own.to_owned());
    let here = state.jobs.list().into_iter();
    let mut listed: Vec<_> = here.map(|listed| (listed.job, listed.runs, own.clone())).collect();
    match state.jobs.of_others().await {
        Ok(others) => listed.extend(others.into_iter().map(|(controller, job)| {
            let runs = job.begun && known.live().any(|one| one.name == controller);
            (job, runs, Some(controller))
        })),
        // What is here is known all the same.
        Err(error) => tracing::debug!(%error, "what other controllers do is not known"),
    }
    listed.sort_by_key(|(job, ..)| job.due);
    let tasks = listed.into_iter().map(|(job, runs, at)| QueueEntry::new(job, runs, at));
    Json(json!({ "monitor": { "queue": tasks.collect::<Vec<_>>() } })).into_response()
}

/// A message that is kept.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Kept {
    created: String,
    message: String,
    /// 1 when it was delivered.
    read: u8,
    request_id: String,
    username_initiator: String,
}

/// Every message that is kept, delivered or not, at whichever controller.
#[utoipa::path(get, path = "/monitor/status", tag = "job", responses(
    (status = 200, description = "A list, below monitor and status", body = Kept),
))]
async fn messages(state: axum::extract::State<State>, asking: Asking) -> Response {
    let kept = state.jobs.messages().into_iter().filter_map(|(request_id, message)| {
        Some(json!(Kept {
            created: timestamp(message.at),
            message: message.line()?,
            read: message.read.into(),
            request_id,
            username_initiator: message.user.clone(),
        }))
    });
    let mut all: Vec<Value> = kept.collect();
    for told in elsewhere::at_all(&state, &asking).await {
        let others = told.pointer("/monitor/status").and_then(Value::as_array);
        all.extend(others.into_iter().flatten().cloned());
    }
    // Each controller has its own in the order in which they came.
    all.sort_by(|one, other| {
        let created = |kept: &Value| kept.get("created").and_then(Value::as_str).map(str::to_owned);
        created(one).cmp(&created(other))
    });
    Json(json!({ "monitor": { "status": all } })).into_response()
}

/// Messages of another controller.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the request in the API's document")]
struct PassedOn {
    /// The request that they are about.
    #[schema(max_length = 256)]
    request_id: String,
    /// The messages. Without them the other controller asks to be polled, which is refused.
    messages: Option<Vec<PassedOnMessage>>,
}

/// A message of another controller.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the request in the API's document")]
struct PassedOnMessage {
    message: String,
}

/// Takes messages of another controller for a request that is polled here.
#[utoipa::path(post, path = "/monitor/status", tag = "job", request_body = PassedOn, responses(
    (status = 201, description = "They are taken", body = Message),
    (status = 404, description = "The request is refused", body = Problem),
    (status = 503, description = "Polls are not passed on to another controller", body = Problem),
))]
async fn take_messages(
    state: axum::extract::State<State>,
    body: Body,
) -> Result<Response, ApiError> {
    let bad = || ApiError::NotFound("Bad Request".to_owned());
    let status = body.object(&["monitor", "status"])?;
    let request_id = status
        .get("request_id")
        .and_then(Value::as_str)
        .filter(|id| id.len() <= LONGEST)
        .ok_or_else(bad)?;
    let Some(messages) = status.get("messages") else {
        let reason = "this controller does not pass polls on to another; send the messages instead";
        return Err(ApiError::Unavailable(reason.to_owned()));
    };
    let texts = |messages: &Vec<Value>| -> Option<Vec<String>> {
        messages.iter().map(|message| message.get("message")?.as_str().map(str::to_owned)).collect()
    };
    let texts = messages.as_array().and_then(texts).ok_or_else(bad)?;
    state.jobs.relay(clock::milliseconds(), request_id, &texts);
    Ok(answer::created("success"))
}
