//! Questions about what another controller does: they are passed on to that one, with the token of whoever asks.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use perilune_daemon::clock::rfc3339;
use perilune_daemon::elsewhere::{self, Answer, Asked, Gone};
use perilune_daemon::jobs::GONE_SECONDS;
use serde_json::Value;
use tokio::time::timeout;

use crate::extract::{FOLLOWER_HEADER, TOKEN_HEADER, peer};
use crate::problem::ApiError;
use crate::state::State;

/// How long all of them are waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// A request as it is passed on.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    asked: Asked,
    /// Another controller has passed it on to this one, which answers it.
    is_passed_on: bool,
}

impl FromRequestParts<State> for Asking {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &State) -> Result<Self, ApiError> {
        let follower = HeaderName::from_static(FOLLOWER_HEADER);
        let is_passed_on = parts.headers.contains_key(&follower);
        let mut headers = vec![(follower, peer(parts).0.to_string())];
        for name in [HeaderName::from_static(TOKEN_HEADER), header::AUTHORIZATION] {
            let value = parts.headers.get(&name).and_then(|value| value.to_str().ok());
            headers.extend(value.map(|value| (name, value.to_owned())));
        }
        let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let asked = Asked { method: parts.method.clone(), path, headers };
        Ok(Self { asked, is_passed_on })
    }
}

/// What is known of a request that another controller has.
#[derive(Debug)]
pub(super) enum Found {
    /// What that one answers.
    Told(Response),
    /// That one, of this name, does not answer, and may in a moment.
    Silent(String),
    /// That one does not run.
    Gone(Gone),
}

/// What is known of a request that another controller has; `None` of those that are here.
pub(super) async fn of_request(state: &State, asking: &Asking, request: &str) -> Option<Found> {
    if asking.is_passed_on {
        return None;
    }
    let controller = elsewhere::of_request(state, request)?;
    Some(found(elsewhere::ask(state, controller, &asking.asked).await))
}

/// What another controller answers to this; `None` where it is for this one to answer.
pub(super) async fn at(state: &State, asking: &Asking, controller: &str) -> Option<Found> {
    if asking.is_passed_on {
        return None;
    }
    let controller = elsewhere::named(state, controller)?;
    Some(found(elsewhere::ask(state, controller, &asking.asked).await))
}

/// What all other controllers that run answer to the same; those that do not answer are left out.
pub(super) async fn at_all(state: &State, asking: &Asking) -> Vec<Value> {
    if asking.is_passed_on {
        return Vec::new();
    }
    let asked = elsewhere::live(state).into_iter();
    let asked = asked.map(|one| timeout(PATIENCE, elsewhere::ask(state, one, &asking.asked)));
    let told = join_all(asked).await.into_iter().filter_map(|answer| match answer {
        Ok(Answer::Told { status: StatusCode::OK, body }) => serde_json::from_slice(&body).ok(),
        Ok(_) | Err(_) => None,
    });
    told.collect()
}

fn found(answer: Answer) -> Found {
    match answer {
        Answer::Told { status, body } => Found::Told(passed(status, body)),
        Answer::Silent { controller } => Found::Silent(controller),
        Answer::Gone(gone) => Found::Gone(gone),
    }
}

fn passed(status: StatusCode, body: Vec<u8>) -> Response {
    if body.is_empty() {
        return status.into_response();
    }
    let kind = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
}

impl Found {
    /// That controller's answer, or why there is none.
    pub(super) fn answer(self) -> Result<Response, ApiError> {
        match self {
            Self::Told(response) => Ok(response),
            Self::Silent(controller) => Err(ApiError::Busy {
                message: format!("this is at controller {controller}, which does not answer now"),
                seconds: 2,
            }),
            Self::Gone(gone) => Err(ApiError::NotFound(lost(&gone))),
        }
    }
}

/// What is said of a request whose controller is gone.
pub(super) fn lost(gone: &Gone) -> String {
    format!("{}; what it had not told of this is not known. Ask for it again", of(gone))
}

/// What is said of a job that is not over and whose controller is gone; `None` where it is over, or nobody knows.
pub(super) fn job_waits(gone: &Gone, request: &str) -> Option<String> {
    let job = gone.jobs.as_ref()?.iter().find(|job| job.request == request)?;
    let (title, whose) = (job.work.title(), of(gone));
    Some(format!(
        "{title}: {whose}. It is done when that one runs again soon, and is ended when that was not heard for {GONE_SECONDS} seconds"
    ))
}

/// What is said of a job that is over, as far as is known, and whose controller is gone.
pub(super) fn job_is_lost(gone: &Gone) -> String {
    let whose = of(gone);
    match gone.jobs {
        Some(_) => {
            format!("{whose}; this was over by then, and what became of it was lost with it")
        }
        None => format!(
            "{whose}; whether this was over by then is not known while the database is away"
        ),
    }
}

/// Since when a controller is gone.
pub(super) fn of(gone: &Gone) -> String {
    format!("controller {} has not been heard since {}", gone.controller, rfc3339(gone.heard))
}
