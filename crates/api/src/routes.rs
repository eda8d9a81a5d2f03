//! The API's document, a page that shows it, and the plain list of routes.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use axum::Extension;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;
use tokio::task::spawn_blocking;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};

use crate::json::{self, Json};
use crate::problem::ApiError;

const PAGE: &str = include_str!("docs.html");

/// All operations, by path and method.
#[derive(Debug, Default)]
pub(super) struct Listed(BTreeMap<String, Vec<&'static str>>);

impl Listed {
    pub(super) fn add(&mut self, path: &str, method: &'static str) {
        self.0.entry(path.to_owned()).or_default().push(method);
    }

    /// Whether there is an operation of this name, such as `GET /config/node/{name}`.
    pub(super) fn has(&self, operation: &str) -> bool {
        let Some((method, path)) = operation.split_once(' ') else { return false };
        self.0.get(path).is_some_and(|methods| methods.contains(&method))
    }
}

/// The operations, and what describes them when somebody asks for it: it takes twenty megabytes of memory until it is a text, and few
/// ever ask.
#[derive(Clone)]
pub(super) struct Document {
    pub(super) listed: Arc<Listed>,
    make: fn() -> OpenApi,
    made: Arc<OnceLock<Result<Made, String>>>,
}

/// What is kept of the document.
#[derive(Debug, Clone)]
struct Made {
    text: Bytes,
    routes: Arc<[Listing]>,
}

/// One operation, as the plain list has it.
#[derive(Debug)]
struct Listing {
    path: String,
    method: &'static str,
    name: String,
}

impl Made {
    fn of(document: &OpenApi) -> Result<Self, String> {
        let text = json::to_vec(document).map_err(|error| error.to_string())?;
        let listing = |path: &String, (method, operation): (&'static str, &Operation)| Listing {
            path: path.replace('{', "<string:").replace('}', ">"),
            method,
            name: operation.operation_id.clone().unwrap_or_default(),
        };
        let paths = document.paths.paths.iter();
        let routes =
            paths.flat_map(|(path, item)| operations(item).map(move |found| listing(path, found)));
        Ok(Self { text: text.into(), routes: routes.collect() })
    }
}

impl Document {
    pub(super) fn new(listed: Listed, make: fn() -> OpenApi) -> Self {
        Self { listed: Arc::new(listed), make, made: Arc::default() }
    }

    /// What is kept of it. One thread makes it, once, and goes on when whoever asked has hung up: else anybody could have it made again
    /// and again, at the same time, by asking and hanging up.
    async fn made(&self) -> Result<Made, ApiError> {
        let failed = |error| ApiError::Defect(format!("the document cannot be made: {error}"));
        if let Some(made) = self.made.get() {
            return made.clone().map_err(failed);
        }
        let Self { make, made, .. } = self.clone();
        let once = move || made.get_or_init(|| Made::of(&make())).clone();
        spawn_blocking(once).await.unwrap_or_else(|error| Err(error.to_string())).map_err(failed)
    }
}

/// The document as JSON.
pub(super) async fn openapi(
    Extension(document): Extension<Document>,
) -> Result<Response, ApiError> {
    let text = document.made().await?.text;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// A page that shows the document. It needs nothing from anywhere else.
pub(super) async fn page() -> Response {
    Html(PAGE).into_response()
}

/// Every route, as existing clients may list them.
pub(super) async fn all(
    Extension(document): Extension<Document>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let made = document.made().await?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let route = |Listing { path, method, name }: &Listing| json!({ "function": name, "method": method, "route": format!("http://{host}{path}") });
    let routes: Vec<_> = made.routes.iter().map(route).collect();
    Ok(Json(routes).into_response())
}

/// Functions of several modules have the same name; with the tag before it, it is theirs alone.
pub(super) fn name_of(operation: &Operation) -> Option<String> {
    let tag = operation.tags.iter().flatten().next().map_or("", String::as_str);
    operation.operation_id.as_ref().map(|function| format!("{tag}.{function}"))
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt as _;

    use super::*;

    static MADE: AtomicUsize = AtomicUsize::new(0);

    fn make() -> OpenApi {
        MADE.fetch_add(1, Ordering::Relaxed);
        OpenApi::default()
    }

    #[tokio::test]
    async fn the_document_is_made_once_however_many_ask_and_hang_up() {
        let document = Document::new(Listed::default(), make);
        for _ in 0..64 {
            // It is asked for, and not waited for.
            drop(document.made().now_or_never());
        }
        assert!(document.made().await.unwrap().text.starts_with(b"{"));
        assert_eq!(MADE.load(Ordering::Relaxed), 1);
    }
}
