//! Who may call a route, and what a call does: declared where the route is added, and checked before its handler runs. A route
//! cannot be added without. `docs/permissions.md` lists all of them.

pub(super) mod scope;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{RawPathParams, Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router, extract::FromRequestParts as _};
use perilune_daemon::audit::Kind;
use perilune_daemon::auth::Identity;
use perilune_model::user::Role;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::answer::{Message, shown};
use crate::bodies::Sender;
use crate::extract::{self, Bearer, Caller, NodeToken};
use crate::json::Json;
use crate::operations::{Operations, Words};
use crate::problem::ApiError;
use crate::receive::LargestBody;
use crate::routes::Listed;
use crate::state::State;
use crate::ticket;

/// As much of a body is read that nobody needs.
const MOST_DROPPED: usize = 1 << 20;

/// Who may call a route, and what a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    /// The lowest role; none when nobody need be logged in.
    role: Option<Role>,
    node: Nodes,
    /// Whether a ticket in the query is as good as a node's token.
    ticket: bool,
    /// Whether the token that a running node is given for its own hardware rules is as good as a node's token.
    importer: bool,
    effect: Effect,
    /// The secret that an answer has in it, for the audit.
    secret: Option<&'static str>,
    /// Whether a call may be one of several that are made as one change.
    in_bulk: bool,
    /// Where in an answer that stands which the document describes, where that is not the usual place.
    answer: Option<&'static str>,
    /// Likewise in a request.
    request: Option<&'static str>,
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
    Access {
        role: None,
        node: Nodes::None,
        ticket: false,
        importer: false,
        effect: Effect::Tells,
        secret: None,
        in_bulk: false,
        answer: None,
        request: None,
    }
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

    /// A call may be one of several that are made as one change: it does nothing but to commit, and what else follows waits for that
    /// (`ClusterService::after_commit`).
    pub(super) const fn in_bulk(self) -> Self {
        Self { in_bulk: true, ..self }
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

    /// Also a running node, by the token that is good for its own hardware rules alone.
    pub(super) const fn or_importer(self) -> Self {
        Self { importer: true, ..self }
    }

    /// An answer to an administrator or a node has secrets in it: who was given them is noted.
    pub(super) const fn reveals(self, what: &'static str) -> Self {
        Self { secret: Some(what), ..self }
    }

    /// In an answer, what the document describes stands below these words (`envelope`).
    pub(super) const fn answers_at(self, place: &'static str) -> Self {
        Self { answer: Some(place), ..self }
    }

    /// Likewise in a request.
    pub(super) const fn reads_at(self, place: &'static str) -> Self {
        Self { request: Some(place), ..self }
    }

    /// Where an answer has it, if that is declared.
    pub(super) fn answer_place(self) -> Option<&'static str> {
        self.answer
    }

    /// Where a request has it, if that is declared.
    pub(super) fn request_place(self) -> Option<&'static str> {
        self.request
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
        let bearer = match extract::identify_anywhere(parts, state).await? {
            Identity::User { name, .. } => self.admit_user(parts, state, name).map(Bearer::User)?,
            Identity::ApiToken(name) => {
                let token = state.api_token(&name)?;
                let role = state.role_of_token(&token).unwrap_or(Role::Installer);
                let nodes = scope::check(&token, parts, state).await?;
                let caller = Caller::by_token(parts, &token, role, nodes)?;
                caller.needs(self.role.unwrap_or(Role::Admin))?;
                Bearer::User(caller)
            }
            Identity::Node { name, archive, .. } => {
                self.check_node(parts, state, &name).await?;
                Bearer::Node(NodeToken::new(parts, name, archive)?)
            }
            Identity::Importer(name) if self.importer => {
                Bearer::Node(NodeToken::new(parts, name, None)?)
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
pub(super) struct Routes(Vec<(Access, Operations)>);

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
    pub(super) fn add(mut self, access: Access, operations: Operations) -> Self {
        self.0.push((access, operations));
        self
    }

    pub(super) fn merge(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Bodies of those who are known may be this large on all of these.
    pub(super) fn bodies_up_to(self, limit: usize) -> Self {
        let layered = |(access, operations): (Access, Operations)| {
            let router = operations.router.route_layer(Extension(LargestBody(limit)));
            (access, Operations { router, ..operations })
        };
        Self(self.0.into_iter().map(layered).collect())
    }

    /// The document of them all, and what is declared.
    pub(super) fn into_document(self, empty: OpenApi) -> (OpenApi, Declared) {
        let mut all = OpenApiRouter::with_openapi(empty);
        let mut declared = Declared::default();
        for (access, Operations { path, methods, words, .. }) in self.0 {
            for method in methods {
                declared.0.insert((path.clone(), method), access);
            }
            all = all.routes(words.describe());
        }
        (all.into_openapi(), declared)
    }

    /// The router, the router of those that may be part of a bulk, and the list of all.
    pub(super) fn into_router(self, state: &State) -> (Router<State>, Router<State>, Listed) {
        let (mut all, mut in_bulk) = (Router::new(), Router::new());
        let mut listed = Listed::default();
        for (access, Operations { path, methods, router, words }) in self.0 {
            for method in methods {
                listed.add(&path, method);
            }
            // Who asks for what anybody may read is not looked at.
            let is_open = !access.is_protected() && !access.does_something();
            let router = if is_open {
                router
            } else {
                let guard = Guard { access, words: Arc::new(words), state: state.clone() };
                router.route_layer(from_fn_with_state(guard, check))
            };
            if access.in_bulk {
                in_bulk = in_bulk.route(&path, router.clone());
            }
            all = all.route(&path, router);
        }
        (all, in_bulk, listed)
    }
}

#[derive(Clone)]
struct Guard {
    access: Access,
    words: Arc<Words>,
    state: State,
}

/// Lets a request on to its handler, with who asks, or answers why not.
async fn check(Shared(guard): Shared<Guard>, request: Request, next: Next) -> Response {
    let access = guard.access;
    // Whoever asks for headers alone wants nothing done.
    if request.method() == Method::HEAD && access.does_something() {
        return no_head();
    }
    if !access.is_protected() {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let state = &guard.state;
    let admitted = if access.ticket && ticket::is_shown(&mut parts, state).await {
        ticket::admit_shown(&mut parts, state).await
    } else {
        access.admit(&mut parts, state).await
    };
    guard.go_on(admitted, parts, body, next).await
}

impl Guard {
    async fn go_on(
        &self,
        admitted: Result<Bearer, ApiError>,
        mut parts: Parts,
        body: Body,
        next: Next,
    ) -> Response {
        let bearer = match admitted {
            Ok(bearer) => bearer,
            Err(error) => return error.into_response(),
        };
        if let Some(repeated) = self.done_before(&bearer).await {
            // Its client goes on with the connection, and what stands there unread would be taken for the next request.
            to_bytes(body, MOST_DROPPED).await.ok();
            return repeated.into_response();
        }
        let noted = self.what_to_note(&bearer, &parts);
        let noted = noted.map(|noted| (noted, bearer.who(), bearer.origin()));
        // From here on a body is read, as far as this sender may send one.
        parts.extensions.insert(if bearer.is_node() { Sender::Machine } else { Sender::Person });
        parts.extensions.insert(bearer);
        let response = next.run(Request::from_parts(parts, body)).await;
        match noted.filter(|_| response.status().is_success()) {
            Some(((Kind::Secret, what), who, from)) => self.state.audit.secret(&who, from, &what),
            Some(((_, what), who, from)) => self.state.audit.done(&who, from, &what),
            None => {}
        }
        response
    }

    /// The answer to a request that was made before, which looks at what it did then as if somebody else had: what it makes is there.
    async fn done_before(&self, bearer: &Bearer) -> Option<ApiError> {
        let key = bearer.key().filter(|_| self.access.does_something() && !bearer.is_trial())?;
        match self.state.history.committed(vec![key.text().to_owned()]).await {
            Ok(known) => known.values().next().map(|revision| ApiError::Repeated(*revision)),
            Err(error) => Some(error.into()),
        }
    }

    /// What the audit is told when the call succeeds: who is given secrets, and what is done that the history does not have.
    fn what_to_note(&self, bearer: &Bearer, parts: &Parts) -> Option<(Kind, String)> {
        if bearer.is_trial() {
            return None;
        }
        let path = shown(parts.uri.path());
        let method = &parts.method;
        let is_user = !bearer.is_node();
        match (self.access.secret, self.access.effect) {
            (Some(secret), _) if bearer.sees_secrets() => {
                Some((Kind::Secret, format!("{secret} ({method} {path})")))
            }
            (_, Effect::Acts) if is_user && !only_looks(&path) => {
                let words = self.words.summary(method_word(method)).trim_end_matches('.');
                Some((Kind::Done, format!("{words} ({method} {path})")))
            }
            _ => None,
        }
    }
}

/// Some routes do what their last word says, and these only look.
fn only_looks(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default().trim_start_matches('_');
    matches!(last, "status" | "list")
}

fn no_head() -> Response {
    let message = "this does something and cannot be asked by HEAD; ask by GET".to_owned();
    let mut response = Json(Message { message }).into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
    response
}
