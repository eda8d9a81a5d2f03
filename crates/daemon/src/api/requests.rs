//! What the log has of every request, at the level `debug`. Nothing of queries, headers and bodies: they may hold passwords and tickets.

use axum::extract::{Request, State as Shared};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

use super::extract;
use crate::state::State;

/// Answers the request, and logs it.
pub(super) async fn log(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return next.run(request).await;
    }
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let user = extract::whoever(parts.headers.get(extract::TOKEN_HEADER), &state);
    let extract::Peer(peer) = extract::peer(&parts);
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let response = next.run(Request::from_parts(parts, body)).await;
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    tracing::debug!(%method, path, status, milliseconds, %peer, user, "request");
    response
}
