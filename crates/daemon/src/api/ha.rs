//! `/ha`: the role of this controller, for clients that ask before they write. There is one controller, so the answers are always the
//! same: no high availability, no master, and the address that nodes use is its own.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::api::extract::Path;
use crate::api::permissions::{Routes, viewers};
use crate::api::problem::{ApiError, Problem};
use crate::json::Json;
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(viewers(), routes!(role))
        .add(viewers(), routes!(is_master))
        .add(viewers(), routes!(controllers))
        .add(viewers(), routes!(sync_image))
}

/// The role of a controller.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the shape that clients read")]
struct Role {
    enabled: bool,
    insync: bool,
    master: bool,
    overrule: bool,
    /// A number, as clients know it.
    sharedip: u8,
    syncimages: bool,
    /// When the role was last changed.
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
    ha: Role,
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
async fn role() -> Response {
    Json(RoleAnswer { ha: ALONE }).into_response()
}

/// Whether this controller is the master.
#[utoipa::path(get, path = "/ha/master", tag = "ha", responses(
    (status = 404, description = "It is not", body = MasterAnswer),
))]
async fn is_master() -> Response {
    (StatusCode::NOT_FOUND, Json(MasterAnswer { message: false })).into_response()
}

/// The controllers that run, with their roles: this one.
#[utoipa::path(get, path = "/ha/controllers", tag = "ha", responses(
    (status = 200, description = "Controllers by name, below message", body = ControllersAnswer),
))]
async fn controllers(state: axum::extract::State<State>) -> Response {
    let cluster = state.cluster.published();
    // A cluster that describes no controller still has the one that answers.
    let (name, shadow) = cluster
        .beacon()
        .map_or(("controller", false), |beacon| (beacon.name.as_str(), beacon.shadow));
    let own = Controller { ha: ALONE, config: Configured { shadow } };
    Json(ControllersAnswer { message: BTreeMap::from([(name.to_owned(), own)]) }).into_response()
}

/// Images are not copied between controllers on request.
#[utoipa::path(get, path = "/ha/syncimage/{name}", tag = "ha", responses(
    (status = 404, description = "They never are", body = Problem),
))]
async fn sync_image(Path(_): Path<String>) -> Result<Response, ApiError> {
    Err(ApiError::NotFound("sync not available for images".to_owned()))
}
