//! `/bulk`: several requests that change what is described, as one change: all of them or none.

use std::sync::Arc;

use crate::operations::routes;
use axum::body::{Body as HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::request::Parts as Sent;
use axum::http::response::Parts as Head;
use axum::http::uri::InvalidUri;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use perilune_daemon::cluster::{self, ClusterService};
use perilune_model::{Draft, Error as ModelError, Kind};
use perilune_store::Meta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;
use utoipa::ToSchema;

use crate::answer::shown;
use crate::bodies::Sender;
use crate::extract::{Body, Caller};
use crate::json::Json;
use crate::permissions::{Routes, operators};
use crate::problem::{ApiError, Problem};
use crate::query::wants_trial;
use crate::receive::LargestBody;
use crate::source::Source;
use crate::state::State;

/// As large as all requests together may be.
const LARGEST: usize = 64 << 20;
/// As many refusals are told.
const MOST_REFUSALS: usize = 20;
/// As many requests may be made as one.
const MOST: usize = 50_000;

pub(super) fn routes() -> Routes {
    Routes::new().add(operators().changes(), routes!(bulk)).bodies_up_to(LARGEST)
}

/// The routes that may be asked for in a bulk.
#[derive(Clone)]
pub(super) struct Parts(Arc<Router<State>>);

impl Parts {
    pub(super) fn new(router: Router<State>) -> Self {
        Self(Arc::new(router))
    }

    /// Whose changes are gathered by this state.
    pub(super) fn router(&self, gathering: &State) -> Router {
        Router::clone(&self.0)
            .fallback(not_in_bulk)
            .method_not_allowed_fallback(not_in_bulk)
            .with_state(gathering.clone())
    }
}

/// Requests that are made as one change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Bulk {
    /// The requests, which are decided one after the other: each sees what those before it changed.
    edits: Vec<Edit>,
}

/// One request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    /// `POST`, or `GET` for what is asked for so, such as `_delete`; `POST` when it is left out.
    #[schema(value_type = Option<EditMethod>)]
    method: Option<String>,
    /// The path, such as `/config/node/node001`: of a node, group, interface, network, switch, other device, cloud, rack, BMC setup, DNS host or
    /// secret.
    path: String,
    /// The body.
    body: Option<Value>,
    /// `new`: refused when it is there already; `known`: refused when it is not there. Either may be without.
    expect: Option<Expect>,
}

/// What a request of them may be made by.
#[derive(ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(dead_code, reason = "it describes the request in the API's document")]
enum EditMethod {
    Post,
    Get,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Expect {
    New,
    Known,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
struct Done {
    /// How many requests there were.
    edits: usize,
    /// How many of them made something new.
    created: usize,
    /// What may be a slip and is taken, in sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
}

/// Several requests as one change: all of them or none, one revision, one entry of the history. A failure says which of them was refused, counted
/// from 1.
#[utoipa::path(post, path = "/bulk", tag = "bulk", request_body = Bulk, responses(
    (status = 201, description = "All is done", body = Done),
    (status = 400, description = "Requests are refused; edit says which is the first, refusals which are the first twenty, and nothing is changed", body = Problem),
    (status = 403, description = "A request is not for the caller; nothing is changed", body = Problem),
    (status = 404, description = "A request names what is not there; nothing is changed", body = Problem),
    (status = 409, description = "What was to be new is there; nothing is changed", body = Problem),
))]
async fn bulk(
    state: axum::extract::State<State>,
    Extension(parts): Extension<Parts>,
    caller: Caller,
    sent: Sent,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let Bulk { edits } = serde_json::from_value(body).map_err(|error| {
        ApiError::Malformed(format!("data structure incomplete or incorrect: {error}"))
    })?;
    if edits.is_empty() || edits.len() > MOST {
        let count = edits.len();
        return Err(ApiError::Malformed(format!(
            "edits has {count} requests; 1 to {MOST} are taken"
        )));
    }
    let gathering = state.gathering();
    let _whatever_happens = Discarded::new(gathering.cluster.clone());
    let router = parts.router(&gathering);
    let mut created = 0;
    let mut refusals = Refusals::default();
    let mut author = caller.meta();
    author.meta.action = action(&edits);
    let count = edits.len();
    for (position, edit) in edits.into_iter().enumerate() {
        let number = position + 1;
        let place = format!("{} {}", edit.method.as_deref().unwrap_or("POST"), shown(&edit.path));
        let expect = edit.expect;
        let as_expected = expected(expect, &edit.path, &gathering).await;
        let answer = match as_expected.and_then(|()| edit.into_request(&sent)) {
            Ok(request) => router.clone().oneshot(request).await.into_response(),
            Err(error) => error.into_response(),
        };
        if answer.status().is_success() {
            created += usize::from(answer.status() == StatusCode::CREATED);
        } else {
            refusals.add(number, &place, answer).await;
            if refusals.told.len() == MOST_REFUSALS {
                break;
            }
            gathering.cluster.rewind();
        }
        // Many take long together; others have their turn in between.
        if number.is_multiple_of(256) {
            tokio::task::yield_now().await;
        }
    }
    if let Some(answer) = refusals.answer() {
        return Ok(answer);
    }
    let made = state.cluster.commit_gathered(author, &gathering.cluster).await;
    let remarks = made.map_err(unexpected)?;
    Ok((StatusCode::CREATED, Json(Done { edits: count, created, remarks })).into_response())
}

/// What was gathered goes with the request, also when its client hangs up.
pub(super) struct Discarded(ClusterService);

impl Discarded {
    pub(super) fn new(gathering: ClusterService) -> Self {
        Self(gathering)
    }
}

impl Drop for Discarded {
    fn drop(&mut self) {
        self.0.discard();
    }
}

/// What the history says was done.
fn action(edits: &[Edit]) -> String {
    let first = edits.first().map(|edit| shown(&edit.path)).unwrap_or_default();
    match edits.len() {
        // What is asked for one object reads as if it were asked at its own place.
        1 => format!(
            "{} {first}",
            edits.first().and_then(|edit| edit.method.as_deref()).unwrap_or("POST")
        ),
        count => format!("POST /bulk: {first} and {} more", count - 1),
    }
}

impl Edit {
    pub(super) fn get(path: String) -> Self {
        Self { method: Some("GET".to_owned()), path, body: None, expect: None }
    }

    pub(super) fn post(path: String, body: Value) -> Self {
        Self { method: None, path, body: Some(body), expect: None }
    }

    /// The request as if it were sent alone, by who sent all of them.
    pub(super) fn into_request(self, sent: &Sent) -> Result<Request, ApiError> {
        let method = match self.method.as_deref() {
            None | Some("POST") => Method::POST,
            Some("GET") => Method::GET,
            Some(other) => {
                let reason = format!("a request is made by POST or GET, not by '{}'", shown(other));
                return Err(ApiError::Malformed(reason));
            }
        };
        let malformed = |error: &dyn std::fmt::Display| {
            ApiError::Malformed(format!("'{}' is not a path: {error}", shown(&self.path)))
        };
        let uri: Uri = self.path.parse().map_err(|error: InvalidUri| malformed(&error))?;
        if uri.authority().is_some() || !uri.path().starts_with('/') {
            return Err(malformed(&"it begins with /"));
        }
        if wants_trial(&uri)? {
            let reason = "a trial is asked for at /bulk itself, for all of them";
            return Err(ApiError::Malformed(reason.to_owned()));
        }
        let body = self.body.map(|body| body.to_string()).unwrap_or_default();
        let mut request = Request::new(HttpBody::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        request.headers_mut().clone_from(&sent.headers);
        request.headers_mut().remove(header::CONTENT_LENGTH);
        let extensions = request.extensions_mut();
        extensions.insert(LargestBody(LARGEST));
        if let Some(source) = sent.extensions.get::<Source>() {
            extensions.insert(*source);
        }
        if let Some(sender) = sent.extensions.get::<Sender>() {
            extensions.insert(*sender);
        }
        Ok(request)
    }
}

async fn not_in_bulk(uri: Uri) -> ApiError {
    ApiError::NotFound(format!(
        "{} is nothing that can be part of a bulk: those are requests that change nodes, groups, interfaces, networks, switches, other devices, \
         clouds, racks, BMC setups, DNS hosts and secrets",
        shown(uri.path())
    ))
}

/// Refuses what is there already, or is not there, against what was expected. That is decided as the requests are, and with them again
/// when they are stored: another request or controller may have been first in between.
async fn expected(expect: Option<Expect>, path: &str, gathering: &State) -> Result<(), ApiError> {
    let Some(expect) = expect else { return Ok(()) };
    let words: Vec<&str> = path.split('?').next().unwrap_or_default().split('/').skip(1).collect();
    let ["config", resource, name, ..] = words.as_slice() else {
        let reason = "expect belongs to paths such as /config/node/node001";
        return Err(ApiError::Malformed(reason.to_owned()));
    };
    let (resource, name) = (*resource, decoded(name));
    let Some(&(_, kind)) = KINDS.iter().find(|(word, _)| *word == resource) else {
        let words: Vec<&str> = KINDS.iter().map(|(word, _)| *word).collect();
        let reason = format!("expect belongs to {}, not to {}", words.join(", "), shown(resource));
        return Err(ApiError::Malformed(reason));
    };
    let decide = move |draft: &mut Draft| match (expect, draft.object(kind, &name).is_some()) {
        (Expect::New, true) => Err(ModelError::AlreadyExists { kind, name: shown(&name) }),
        (Expect::Known, false) => Err(ModelError::NotFound { kind, name: shown(&name) }),
        (Expect::New, false) | (Expect::Known, true) => Ok(()),
    };
    gathering.cluster.commit(Meta::default(), decide).await.map_err(unexpected)
}

/// What was to be new is there, or what was to be there is not: whoever expected that wants to know it from other refusals.
fn unexpected(error: cluster::Error) -> ApiError {
    match error {
        cluster::Error::Refused(ModelError::AlreadyExists { kind, name }) => {
            ApiError::Conflict(format!("{kind} {name} is there already"))
        }
        cluster::Error::Refused(ModelError::NotFound { kind, name }) => {
            ApiError::NotFound(format!("there is no {kind} {name}"))
        }
        other => other.into(),
    }
}

/// The words of paths, and what they are about.
const KINDS: [(&str, Kind); 9] = [
    ("node", Kind::Node),
    ("group", Kind::Group),
    ("network", Kind::Network),
    ("switch", Kind::Switch),
    ("otherdev", Kind::OtherDevice),
    ("cloud", Kind::Cloud),
    ("rack", Kind::Rack),
    ("bmcsetup", Kind::BmcSetup),
    ("route", Kind::Route),
];

/// A segment of a path as it is meant: `%20` is a blank. Names are ASCII.
fn decoded(segment: &str) -> String {
    let mut text = String::new();
    let mut rest = segment;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => text.push(char::from(byte)),
            None => text.push('%'),
        }
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    text + rest
}

/// What a refusal says, and why.
async fn refusal(answer: Response) -> (Head, Map<String, Value>, String) {
    let (head, body) = answer.into_parts();
    let body = to_bytes(body, LARGEST).await.unwrap_or_default();
    let problem: Map<String, Value> = serde_json::from_slice(&body).unwrap_or_default();
    let reason = problem.get("message").and_then(Value::as_str).unwrap_or("it was refused");
    let reason = reason.to_owned();
    (head, problem, reason)
}

/// Why a request was refused.
pub(super) async fn reason_of(answer: Response) -> String {
    refusal(answer).await.2
}

/// The requests that were refused.
#[derive(Default)]
struct Refusals {
    /// The failure of the first, which is that of all.
    first: Option<(Head, Map<String, Value>)>,
    told: Vec<Refusal>,
}

/// One of them.
#[derive(Debug, Serialize, ToSchema)]
struct Refusal {
    /// Which request, counted from 1.
    edit: usize,
    /// Why.
    reason: String,
}

impl Refusals {
    async fn add(&mut self, number: usize, place: &str, answer: Response) {
        let (head, mut problem, reason) = refusal(answer).await;
        if self.first.is_none() {
            let message = format!("request {number} ({place}): {reason}; nothing was changed");
            problem.insert("message".to_owned(), message.into());
            problem.insert("edit".to_owned(), number.into());
            problem.insert("reason".to_owned(), reason.as_str().into());
            self.first = Some((head, problem));
        }
        self.told.push(Refusal { edit: number, reason });
    }

    /// The answer to all of them.
    fn answer(self) -> Option<Response> {
        let (head, mut problem) = self.first?;
        problem.insert("refusals".to_owned(), json!(self.told));
        let mut response = Json(problem).into_response();
        *response.status_mut() = head.status;
        Some(response)
    }
}
