//! What is counted of every request, and what the log has of it at the level `debug`. Nothing of queries, headers and bodies: they may hold passwords and tickets.

use axum::extract::{MatchedPath, Request, State as Shared};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

use super::extract;
use crate::state::State;

/// What no route is for.
const NO_ROUTE: &str = "none";

/// Answers the request, counts and logs it.
pub(super) async fn note(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let (began, method) = (Instant::now(), request.method().clone());
    let response = log(&state, request, next).await;
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let method = if is_usual(&method) { method.as_str() } else { "other" };
    state.metrics.answered(method, route, response.status().as_u16(), began.elapsed());
    response
}

/// Whoever makes words up makes no labels of them.
fn is_usual(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS]
        .contains(method)
}

async fn log(state: &State, request: Request, next: Next) -> Response {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return next.run(request).await;
    }
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let user = extract::whoever(parts.headers.get(extract::TOKEN_HEADER), state);
    let extract::Peer(peer) = extract::peer(&parts);
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let response = next.run(Request::from_parts(parts, body)).await;
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    tracing::debug!(%method, path, status, milliseconds, %peer, user, "request");
    response
}
