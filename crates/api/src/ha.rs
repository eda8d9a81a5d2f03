//! `/ha`: how this controller stands beside the others, for clients that ask before they write. All of them take changes at any time; who is
//! the master matters to what one alone may do.

use std::collections::{BTreeMap, BTreeSet};

use crate::operations::routes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use perilune_daemon::clock::rfc3339;
use perilune_daemon::controllers::{Health, Known};
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::Message;
use crate::extract::Path;
use crate::json::Json;
use crate::permissions::{Routes, everybody, operators, viewers};
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(viewers(), routes!(role))
        .add(viewers(), routes!(is_master))
        .add(operators().acts(), routes!(become_master))
        .add(operators().acts(), routes!(overrule))
        .add(viewers(), routes!(controllers))
        .add(viewers(), routes!(sync_image))
        .add(everybody(), routes!(is_ready))
}

/// The role of a controller.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the shape that clients read")]
struct Role {
    /// Whether there is more than one controller.
    enabled: bool,
    /// Whether it serves what is stored.
    insync: bool,
    master: bool,
    overrule: bool,
    /// A number, as clients know it.
    sharedip: u8,
    syncimages: bool,
    /// When the master was last another.
    updated: Option<String>,
}

const ALONE: Role = Role {
    enabled: false,
    insync: false,
    master: false,
    overrule: false,
    sharedip: 1,
    syncimages: true,
    updated: None,
};

/// What is said of one controller.
#[derive(Debug, Serialize, ToSchema)]
struct Controller {
    /// Its role, while it is heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    ha: Option<Role>,
    /// Why nothing else is said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    config: Configured,
}

/// How a controller is described.
#[derive(Debug, Serialize, ToSchema)]
struct Configured {
    shadow: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct RoleAnswer {
    ha: Role,
}

#[derive(Debug, Serialize, ToSchema)]
struct MasterAnswer {
    message: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct ControllersAnswer {
    message: BTreeMap<String, Controller>,
}

/// The role of this controller.
#[utoipa::path(get, path = "/ha/state", tag = "ha", responses(
    (status = 200, description = "The role", body = RoleAnswer),
))]
async fn role(state: axum::extract::State<State>) -> Response {
    Json(RoleAnswer { ha: own_role(&state) }).into_response()
}

fn own_role(state: &State) -> Role {
    if !state.controllers.is_shared() {
        return ALONE;
    }
    let (insync, master) = (state.cluster.is_in_sync(), state.controllers.is_master());
    role_of(state, insync, master)
}

fn role_of(state: &State, insync: bool, master: bool) -> Role {
    let known = state.controllers.known();
    Role {
        enabled: names(state, &known).len() > 1,
        insync,
        master,
        overrule: known.heard.overrule,
        updated: known.heard.master.since.map(rfc3339),
        ..ALONE
    }
}

/// Controllers that run or are described. A described one that nobody runs as is the address that moves between them.
fn names(state: &State, known: &Known) -> BTreeSet<String> {
    let cluster = state.cluster.published();
    let heard = known.heard.controllers.iter().map(|one| one.name.clone());
    let described = cluster.controllers().values().filter(|one| !one.beacon);
    heard.chain(described.map(|one| one.name.to_string())).collect()
}

/// Whether this controller is the master.
#[utoipa::path(get, path = "/ha/master", tag = "ha", responses(
    (status = 200, description = "It is", body = MasterAnswer),
    (status = 404, description = "It is not", body = MasterAnswer),
))]
async fn is_master(state: axum::extract::State<State>) -> Response {
    let message = own_role(&state).master;
    let status = if message { StatusCode::OK } else { StatusCode::NOT_FOUND };
    (status, Json(MasterAnswer { message })).into_response()
}

/// Makes this controller the master. Changes are taken by all of them, before and after.
#[utoipa::path(get, path = "/ha/master/_set", tag = "ha", responses(
    (status = 200, description = "It is", body = Message),
    (status = 503, description = "The database has not said so in time, or there is one controller", body = Problem),
))]
async fn become_master(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    if !state.controllers.is_shared() {
        let reason = "there is one controller, which does everything; there is no master to be (docs/controllers.md)";
        return Err(ApiError::Unavailable(reason.to_owned()));
    }
    state.controllers.become_master().await?;
    let message = "current role set to master".to_owned();
    Ok(Json(Message { message }).into_response())
}

/// Has work not wait for controllers that are away, until all are in step again. No change is taken that the database did not take.
#[utoipa::path(get, path = "/ha/overrule/_set", tag = "ha", responses(
    (status = 204, description = "It does not"),
    (status = 503, description = "The database does not answer", body = Problem),
))]
async fn overrule(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    state.controllers.overrule().await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The controllers, with their roles as all of them know them.
#[utoipa::path(get, path = "/ha/controllers", tag = "ha", responses(
    (status = 200, description = "Controllers by name, below message", body = ControllersAnswer),
))]
async fn controllers(state: axum::extract::State<State>) -> Response {
    let cluster = state.cluster.published();
    if !state.controllers.is_shared() {
        // A cluster that describes no controller still has the one that answers.
        let (name, shadow) = cluster
            .beacon()
            .map_or(("controller", false), |beacon| (beacon.name.as_str(), beacon.shadow));
        let config = Configured { shadow };
        let own = Controller { ha: Some(ALONE), comment: None, config };
        let message = BTreeMap::from([(name.to_owned(), own)]);
        return Json(ControllersAnswer { message }).into_response();
    }
    let known = state.controllers.known();
    let message = names(&state, &known).into_iter().map(|name| {
        let shadow = cluster.controllers().get(name.as_str()).is_some_and(|one| one.shadow);
        let (ha, comment) = match said_of(&state, &known, &name) {
            Ok(role) => (Some(role), None),
            Err(comment) => (None, Some(comment)),
        };
        (name, Controller { ha, comment, config: Configured { shadow } })
    });
    Json(ControllersAnswer { message: message.collect() }).into_response()
}

/// The role of a controller, or why it is not known.
fn said_of(state: &State, known: &Known, name: &str) -> Result<Role, String> {
    if name == state.controllers.name() {
        return Ok(own_role(state));
    }
    let one = known.heard.controllers.iter().find(|one| one.name == name);
    let one = one.ok_or_else(|| "never heard of".to_owned())?;
    let health = Known::health(one);
    if health == Health::Silent {
        return Err(format!("not heard of since {}", rfc3339(one.heard)));
    }
    let is_master = known.heard.master.holder.as_deref() == Some(name);
    Ok(role_of(state, health == Health::InSync, is_master))
}

/// Images are not copied between controllers on request.
#[utoipa::path(get, path = "/ha/syncimage/{name}", tag = "ha", responses(
    (status = 404, description = "They never are", body = Problem),
))]
async fn sync_image(Path(_): Path<String>) -> Result<Response, ApiError> {
    Err(ApiError::NotFound("sync not available for images".to_owned()))
}

/// Whether whoever chooses between controllers should choose this one: for keepalived, pacemaker, and load balancers.
#[utoipa::path(get, path = "/ha/ready", tag = "ha", responses(
    (status = 200, description = "It serves what is stored", body = Message),
    (status = 503, description = "It is behind, the database is away, or it is drained", body = Message),
))]
async fn is_ready(state: axum::extract::State<State>) -> Response {
    let is_ready = state.controllers.is_ready();
    let message = if is_ready { "ready" } else { "not ready" }.to_owned();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = (status, Json(Message { message })).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
