//! Who may call a route, and what a call does: declared where the route is added, and checked before its handler runs. A route
//! cannot be added without. `docs/permissions.md` lists all of them.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{RawPathParams, Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router, extract::FromRequestParts as _};
use perilune_model::user::Role;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::api::answer::Message;
use crate::api::extract::{self, Bearer, Caller, LargestBody, NodeToken};
use crate::api::problem::ApiError;
use crate::api::ticket;
use crate::auth::Identity;
use crate::json::Json;
use crate::state::State;

/// Who may call a route, and what a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    /// The lowest role; none when nobody need be logged in.
    role: Option<Role>,
    node: Nodes,
    /// Whether a ticket in the query is as good as a node's token.
    ticket: bool,
    effect: Effect,
}

/// Which tokens of nodes are good for a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nodes {
    None,
    /// That of the node which this parameter of the path names.
    Named(&'static str),
    Any,
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// It tells something.
    Tells,
    /// It changes what is described, and can be tried.
    Changes,
    /// It does more than that, and cannot be tried.
    Acts,
}

/// Anybody.
pub(super) const fn everybody() -> Access {
    Access { role: None, node: Nodes::None, ticket: false, effect: Effect::Tells }
}

/// Everybody who is logged in.
pub(super) const fn viewers() -> Access {
    Access { role: Some(Role::Viewer), ..everybody() }
}

/// Operators and administrators.
pub(super) const fn operators() -> Access {
    Access { role: Some(Role::Operator), ..everybody() }
}

/// Administrators.
pub(super) const fn admins() -> Access {
    Access { role: Some(Role::Admin), ..everybody() }
}

impl Access {
    /// A call changes what is described, and can be asked what it would change.
    pub(super) const fn changes(self) -> Self {
        Self { effect: Effect::Changes, ..self }
    }

    /// A call does more than to change what is described.
    pub(super) const fn acts(self) -> Self {
        Self { effect: Effect::Acts, ..self }
    }

    /// Also the node that this parameter of the path names, by its own token.
    pub(super) const fn or_node(self, parameter: &'static str) -> Self {
        Self { node: Nodes::Named(parameter), ..self }
    }

    /// Also any node, by its own token.
    pub(super) const fn or_any_node(self) -> Self {
        Self { node: Nodes::Any, ..self }
    }

    /// Also an installer, by the ticket of its boot in the query.
    pub(super) const fn or_ticket(self) -> Self {
        Self { ticket: true, ..self }
    }

    /// Whether somebody must be logged in.
    pub(super) fn is_protected(self) -> bool {
        self.role.is_some()
    }

    /// Whether a call does more than tell something.
    pub(super) fn does_something(self) -> bool {
        self.effect != Effect::Tells
    }

    /// Whether it can be asked what a call would change.
    pub(super) fn can_be_tried(self) -> bool {
        self.effect == Effect::Changes && self.is_protected()
    }

    /// Who asks, if they may.
    pub(super) async fn admit(self, parts: &mut Parts, state: &State) -> Result<Bearer, ApiError> {
        let bearer = match extract::identify(parts, state)? {
            Identity::User(user) => self.admit_user(parts, state, user).map(Bearer::User)?,
            Identity::Node { name, archive, .. } => {
                self.check_node(parts, state, &name).await?;
                Bearer::Node(NodeToken::new(parts, name, archive)?)
            }
            Identity::Importer(name) => {
                return Err(ApiError::Forbidden(format!(
                    "no boot of node {name} was expected when this token was given: it is good for the import of the node's own \
                     hardware rules alone"
                )));
            }
        };
        if self.effect == Effect::Acts && bearer.is_trial() {
            let message = "this does more than change the description of the cluster, and cannot be tried with dry_run";
            return Err(ApiError::Malformed(message.to_owned()));
        }
        Ok(bearer)
    }

    fn admit_user(self, parts: &Parts, state: &State, user: String) -> Result<Caller, ApiError> {
        let role = state.role_of(&user).ok_or_else(|| {
            ApiError::Unauthenticated(format!("there is no user '{user}' any more; log in again"))
        })?;
        let caller = Caller::new(parts, user, role)?;
        caller.needs(self.role.unwrap_or(Role::Admin))?;
        Ok(caller)
    }

    async fn check_node(
        self,
        parts: &mut Parts,
        state: &State,
        name: &str,
    ) -> Result<(), ApiError> {
        let parameter = match self.node {
            Nodes::Any => return Ok(()),
            Nodes::Named(parameter) => parameter,
            Nodes::None => {
                let message = "Token is not permitted for this endpoint";
                return Err(ApiError::Forbidden(message.to_owned()));
            }
        };
        let path = RawPathParams::from_request_parts(parts, state).await;
        let path = path.map_err(|error| ApiError::Malformed(error.to_string()))?;
        let named = path.iter().find(|(key, _)| *key == parameter).map(|(_, value)| value);
        if named == Some(name) {
            return Ok(());
        }
        Err(ApiError::Forbidden("Token is not valid for this node".to_owned()))
    }
}

/// Routes, each with who may call it.
#[derive(Default)]
pub(super) struct Routes(Vec<(Access, UtoipaMethodRouter<State>)>);

/// What is declared, by path and method.
#[derive(Debug, Default)]
pub(super) struct Declared(BTreeMap<(String, &'static str), Access>);

impl Declared {
    /// What is declared of an operation; for one that is not declared, what is so of none that may be called.
    pub(super) fn of(&self, path: &str, method: &Method) -> Access {
        self.0.get(&(path.to_owned(), method_word(method))).copied().unwrap_or(admins().acts())
    }
}

fn method_word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "",
    }
}

impl Routes {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds a route.
    pub(super) fn add(mut self, access: Access, route: UtoipaMethodRouter<State>) -> Self {
        self.0.push((access, route));
        self
    }

    pub(super) fn merge(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Bodies may be this large on all of these.
    pub(super) fn bodies_up_to(self, limit: usize) -> Self {
        let layered = |(access, (schemas, paths, router)): (Access, UtoipaMethodRouter<State>)| {
            (access, (schemas, paths, router.route_layer(Extension(LargestBody(limit)))))
        };
        Self(self.0.into_iter().map(layered).collect())
    }

    /// The router, its document, and what is declared.
    pub(super) fn into_router(
        self,
        state: &State,
        document: OpenApi,
    ) -> (Router<State>, OpenApi, Declared) {
        let mut router = OpenApiRouter::with_openapi(document);
        let mut declared = Declared::default();
        for (access, (schemas, paths, routes)) in self.0 {
            for (path, item) in &paths.paths {
                let methods = super::routes::operations(item).map(|(method, _)| method);
                declared.0.extend(methods.map(|method| ((path.clone(), method), access)));
            }
            // Who asks for what anybody may read is not looked at.
            let is_open = !access.is_protected() && !access.does_something();
            let routes = if is_open {
                routes
            } else {
                let guard = Guard { access, state: state.clone() };
                routes.route_layer(from_fn_with_state(guard, check))
            };
            router = router.routes((schemas, paths, routes));
        }
        let (router, document) = router.split_for_parts();
        (router, document, declared)
    }
}

#[derive(Clone)]
struct Guard {
    access: Access,
    state: State,
}

/// Lets a request on to its handler, with who asks, or answers why not.
async fn check(Shared(guard): Shared<Guard>, request: Request, next: Next) -> Response {
    let Guard { access, state } = guard;
    // Whoever asks for headers alone wants nothing done.
    if request.method() == Method::HEAD && access.does_something() {
        return no_head();
    }
    if !access.is_protected() {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    if access.ticket && ticket::is_shown(&mut parts, &state).await {
        let admitted = ticket::admit_shown(&mut parts, &state).await;
        return go_on(admitted, parts, body, next).await;
    }
    let admitted = access.admit(&mut parts, &state).await;
    go_on(admitted, parts, body, next).await
}

async fn go_on(
    admitted: Result<Bearer, ApiError>,
    mut parts: Parts,
    body: Body,
    next: Next,
) -> Response {
    match admitted {
        Ok(bearer) => {
            parts.extensions.insert(bearer);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(error) => error.into_response(),
    }
}

fn no_head() -> Response {
    let message = "this does something and cannot be asked by HEAD; ask by GET".to_owned();
    let mut response = Json(Message { message }).into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
    response
}
