//! The operations of a path: their handlers at once, and what describes them when somebody asks for it. The descriptions of all take
//! longer to make, and more memory, than the rest of a start.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter};
use utoipa::openapi::HttpMethod;
use utoipa_axum::PathItemExt as _;
use utoipa_axum::router::UtoipaMethodRouter;

use crate::routes as document;
use crate::state::State;

/// Makes what describes operations.
type Describe = fn() -> UtoipaMethodRouter<State>;

/// The operations of one path.
pub(super) struct Operations {
    pub(super) path: String,
    pub(super) methods: Vec<&'static str>,
    pub(super) router: MethodRouter<State>,
    pub(super) words: Words,
}

/// What describes the operations of a path.
#[derive(Debug)]
pub(super) struct Words {
    describe: Describe,
    /// What each method does.
    summaries: OnceLock<BTreeMap<&'static str, String>>,
}

impl Operations {
    pub(super) fn described(describe: Describe) -> Self {
        let words = Words { describe, summaries: OnceLock::new() };
        Self { path: String::new(), methods: Vec::new(), router: MethodRouter::new(), words }
    }

    /// Adds a handler. `P` is what `utoipa::path` made of it, and all of them have the same path.
    pub(super) fn with<P, H, T>(mut self, handler: &H) -> Self
    where
        P: utoipa::Path,
        H: Handler<T, State>,
        T: 'static,
    {
        self.path = P::path();
        for method in P::methods() {
            self.methods.push(word(&method));
            let filter: MethodFilter = method.to_method_filter();
            self.router = self.router.on(filter, handler.clone());
        }
        self
    }
}

impl Words {
    /// All that the document says of them.
    pub(super) fn describe(&self) -> UtoipaMethodRouter<State> {
        (self.describe)()
    }

    /// What a method does, as the document says it.
    pub(super) fn summary(&self, method: &str) -> &str {
        let summaries = self.summaries.get_or_init(|| {
            let (_, paths, _) = self.describe();
            let operations = paths.paths.values().flat_map(document::operations);
            let summary = |operation: &utoipa::openapi::path::Operation| operation.summary.clone();
            operations
                .map(|(method, operation)| (method, summary(operation).unwrap_or_default()))
                .collect()
        });
        summaries.get(method).map_or("", String::as_str)
    }
}

/// The operations of a path, by the names of their handlers.
macro_rules! routes {
    ($($handler:ident),+ $(,)?) => {
        pastey::paste! {
            $crate::operations::Operations::described(|| utoipa_axum::routes!($($handler),+))
                $(.with::<[<__path_ $handler>], _, _>(&$handler))+
        }
    };
}
pub(crate) use routes;

fn word(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET",
        HttpMethod::Post => "POST",
        HttpMethod::Put => "PUT",
        HttpMethod::Delete => "DELETE",
        HttpMethod::Options => "OPTIONS",
        HttpMethod::Head => "HEAD",
        HttpMethod::Patch => "PATCH",
        HttpMethod::Trace => "TRACE",
    }
}
