//! What is counted of every request, and what the log has of it at the level `debug`. Nothing of queries, headers and bodies: they may hold passwords and tickets.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;

use crate::extract;
use crate::source;
use crate::state::State;

/// What no route is for.
const NO_ROUTE: &str = "none";

/// Counts a request that is answered.
pub(super) fn count(
    state: &State,
    method: &Method,
    route: Option<&MatchedPath>,
    status: u16,
    took: Duration,
) {
    let route = route.map_or(NO_ROUTE, MatchedPath::as_str);
    state.metrics.answered(usual(method), route, status, took);
}

/// Whoever makes words up makes no labels of them.
fn usual(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// What the log tells of a request when it is answered.
pub(super) struct Logged {
    user: String,
    peer: IpAddr,
    method: Method,
    path: String,
}

impl Logged {
    /// Of this request, where the log tells of requests.
    pub(super) fn of(request: &Request, state: &State) -> Option<Self> {
        tracing::enabled!(tracing::Level::DEBUG).then(|| Self {
            user: extract::whoever(request.headers().get(extract::TOKEN_HEADER), state),
            peer: source::of_request(request).address,
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
        })
    }

    pub(super) fn tell(self, status: u16, took: Duration) {
        let Self { user, peer, method, path } = self;
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(%method, path, status, milliseconds, %peer, user, "request");
    }
}
