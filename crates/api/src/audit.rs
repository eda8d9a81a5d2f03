//! `/audit`: who was refused what, who was given which secret, what was changed and done; and how it gets there.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use perilune_daemon::audit::{Entry, Kind};
use perilune_daemon::clock::rfc3339;
use serde::{Deserialize, Serialize};

use crate::operations::routes;
use utoipa::ToSchema;

use crate::answer::shown;
use crate::extract;
use crate::json::Json;
use crate::permissions::{Routes, admins};
use crate::problem::{ApiError, Problem, Reason};
use crate::query::Query;
use crate::source;
use crate::state::State;

/// As many entries as one request lists.
const LONGEST_LIST: usize = 1000;
const USUAL_LIST: usize = 50;

pub(super) fn routes() -> Routes {
    Routes::new().add(admins(), routes!(list))
}

/// Which entries are wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// How many at most; 50 unless it is given, never more than 1000.
    limit: Option<usize>,
    /// Only those before this number.
    before: Option<u64>,
    /// Only `refused`, `secret`, `changed` or `done`.
    kind: Option<String>,
    /// Only those of this user, node or machine.
    who: Option<String>,
}

/// What happened, the latest first.
#[derive(Debug, Serialize, ToSchema)]
struct Entries {
    audit: Vec<EntryKeys>,
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
struct EntryKeys {
    number: u64,
    /// RFC 3339.
    at: String,
    /// When the last time, where it happened several times within a minute.
    last: String,
    /// How often.
    count: u64,
    /// `refused`, `secret` (somebody was given one, or a token), `changed` or `done`.
    kind: &'static str,
    /// A user, `token NAME (USER)`, `node NAME`, `machine MAC`, or `nobody`.
    who: String,
    /// The address that it came from.
    from: String,
    /// In words.
    what: String,
    /// The revision that a change made.
    revision: Option<u64>,
}

impl EntryKeys {
    fn new(number: u64, entry: &Entry) -> Self {
        Self {
            number,
            at: rfc3339(entry.at),
            last: rfc3339(entry.last),
            count: entry.count,
            kind: entry.kind.word(),
            who: entry.who.clone(),
            from: entry.from.clone(),
            what: entry.what.clone(),
            revision: entry.revision,
        }
    }
}

/// Who was refused what, who was given which secret, what was changed and done; the newest first.
#[utoipa::path(get, path = "/audit", tag = "history", params(Which), responses(
    (status = 200, description = "A list below audit", body = Entries),
    (status = 400, description = "The query cannot be read", body = Problem),
))]
async fn list(
    state: axum::extract::State<State>,
    Query(which): Query<Which>,
) -> Result<Response, ApiError> {
    let kind = which.kind.as_deref().map(|word| {
        let known = Kind::ALL.into_iter().find(|kind| kind.word() == word);
        known.ok_or_else(|| {
            let words = Kind::ALL.map(Kind::word).join(", ");
            ApiError::Malformed(format!(
                "invalid kind '{}': it must be one of {words}",
                shown(word)
            ))
        })
    });
    let kind = kind.transpose()?;
    let limit = which.limit.unwrap_or(USUAL_LIST).min(LONGEST_LIST);
    let wanted = |entry: &Entry| {
        kind.is_none_or(|kind| entry.kind == kind)
            && which.who.as_ref().is_none_or(|who| entry.who == *who)
    };
    let found = state.audit.latest(which.before, limit, wanted);
    let audit = found.iter().map(|(number, entry)| EntryKeys::new(*number, entry)).collect();
    Ok(Json(Entries { audit }).into_response())
}

/// What is noted of a request when it is refused, whoever refuses it.
pub(super) struct Refusable {
    token: Option<HeaderValue>,
    method: Method,
    uri: Uri,
    from: IpAddr,
}

impl Refusable {
    pub(super) fn of(request: &Request) -> Self {
        Self {
            token: request.headers().get(extract::TOKEN_HEADER).cloned(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            from: source::of_request(request).address,
        }
    }

    /// Notes it if this answer refuses.
    pub(super) fn note(&self, response: &Response, state: &State) {
        if !matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return;
        }
        let who = extract::whoever(self.token.as_ref(), state);
        let mut what = format!("{} {}", self.method, shown(self.uri.path()));
        if let Some(Reason(reason)) = response.extensions().get::<Reason>() {
            what = format!("{what}: {reason}");
        }
        state.audit.refused(&who, self.from, &what);
    }
}
