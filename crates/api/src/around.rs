//! What is done around each request, whatever it asks for: where it comes from, what it may hold, what is counted, noted and logged of it.
//!
//! One layer does all of it. Each layer of the router clones all that are below it for each request, so that the cost of several grows
//! with the square of their number.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State as Shared};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use ipnet::IpNet;
use tokio::time::Instant;

use crate::audit::Refusable;
use crate::bulk;
use crate::problem::ApiError;
use crate::receive::Held;
use crate::requests;
use crate::routes::Document;
use crate::source;
use crate::state::State;

/// What that needs; clones share it.
#[derive(Clone)]
pub(super) struct Around(Arc<Inner>);

struct Inner {
    state: State,
    proxies: Vec<IpNet>,
    document: Document,
    in_bulk: bulk::Parts,
}

impl Around {
    /// Handlers are told what routes there are, and which may be part of a bulk.
    pub(super) fn new(state: &State, document: Document, in_bulk: bulk::Parts) -> Self {
        let (state, proxies) = (state.clone(), state.proxies.clone());
        Self(Arc::new(Inner { state, proxies, document, in_bulk }))
    }
}

/// Answers a request by the routes.
pub(super) async fn answer(
    Shared(Around(around)): Shared<Around>,
    mut request: Request,
    next: Next,
) -> Response {
    let Inner { state, proxies, document, in_bulk } = &*around;
    let began = Instant::now();
    source::note(&mut request, proxies);
    // The memory of a body is kept as long as its request is answered.
    let held = Held::default();
    let extensions = request.extensions_mut();
    extensions.insert(held.clone());
    extensions.insert(document.clone());
    extensions.insert(in_bulk.clone());
    let route = extensions.get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let logged = requests::Logged::of(&request, state);
    let refusable = Refusable::of(&request);
    // Whatever the request had is gone with it, and what is shared is whole between any two statements.
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let response = answered.unwrap_or_else(panicked);
    drop(held);
    refusable.note(&response, state);
    let status = response.status().as_u16();
    requests::count(state, &method, route.as_ref(), status, began.elapsed());
    if let Some(logged) = logged {
        logged.tell(status, began.elapsed());
    }
    response
}

#[expect(clippy::needless_pass_by_value, reason = "what catches panics hands it over")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default();
    let mut response = ApiError::Defect(text).into_response();
    response.headers_mut().insert("connection", HeaderValue::from_static("close"));
    response
}
