//! The API's document, a page that shows it, and the plain list of routes.

use std::sync::Arc;

use axum::Extension;
use axum::http::{HeaderMap, Method, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};

use crate::json::Json;

const PAGE: &str = include_str!("docs.html");

/// The document, made once.
#[derive(Clone)]
pub(super) struct Document(Arc<OpenApi>);

impl Document {
    pub(super) fn new(document: OpenApi) -> Self {
        Self(Arc::new(document))
    }
}

impl Document {
    /// Whether there is an operation of this name, such as `GET /config/node/{name}`.
    pub(super) fn has(&self, operation: &str) -> bool {
        let Some((method, path)) = operation.split_once(' ') else { return false };
        let item = self.0.paths.paths.get(path);
        item.is_some_and(|item| operations(item).any(|(known, _)| known == method))
    }
}

/// The document as JSON.
pub(super) async fn openapi(Extension(Document(document)): Extension<Document>) -> Response {
    Json(&*document).into_response()
}

/// A page that shows the document. It needs nothing from anywhere else.
pub(super) async fn page() -> Response {
    Html(PAGE).into_response()
}

/// Every route, as existing clients may list them.
pub(super) async fn all(
    Extension(Document(document)): Extension<Document>,
    headers: HeaderMap,
) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let mut routes = Vec::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in operations(item) {
            let function = operation.operation_id.clone().unwrap_or_default();
            let route = format!("http://{host}{}", path.replace('{', "<string:").replace('}', ">"));
            routes.push(json!({ "function": function, "method": method, "route": route }));
        }
    }
    Json(routes).into_response()
}

/// The operations of a path with their methods.
pub(super) fn operations(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    [("GET", &item.get), ("POST", &item.post), ("PUT", &item.put), ("DELETE", &item.delete)]
        .into_iter()
        .filter_map(|(method, operation)| operation.as_ref().map(|operation| (method, operation)))
}

/// The same, to be completed.
pub(super) fn operations_mut(
    item: &mut PathItem,
) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::DELETE, &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}
