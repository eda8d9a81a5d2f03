//! `/controller`: the controllers that share the database, for the administrators of a site.

use std::collections::BTreeSet;

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_daemon::clock::rfc3339;
use perilune_daemon::controllers::Known;
use perilune_model::Cluster;
use perilune_model::image::ImageFiles;
use perilune_wire::fields::Fields;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::shown;
use crate::extract::{Body, Path};
use crate::json::Json;
use crate::permissions::{Routes, admins, operators, viewers};
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(viewers(), routes!(list))
        .add(operators().acts(), routes!(drain))
        .add(admins().acts(), routes!(remove))
}

/// The controllers of a site.
#[derive(Debug, Serialize, ToSchema)]
struct Answer {
    /// By name.
    controllers: Vec<ControllerEntry>,
    /// The revision that is stored.
    revision: u64,
    /// The format of what is stored, which all controllers know: what is newer is refused.
    format: u32,
    /// Whether the server of the database waits for a standby before it acknowledges a change; null where nobody expects it to.
    standby: Option<bool>,
    /// How many seconds ago the database was last asked.
    seconds_ago: u64,
    /// Whether controllers share a database.
    shared: bool,
}

/// A controller.
#[derive(Debug, Serialize, ToSchema)]
struct ControllerEntry {
    name: String,
    /// Where its API is.
    url: String,
    version: String,
    /// The newest format that its version knows.
    format: u32,
    /// The revision that it served when it was last heard.
    revision: u64,
    /// `in sync`, `behind`, or `silent` when it was not heard for 15 seconds.
    state: &'static str,
    /// Whether it does what one alone may do.
    master: bool,
    /// Whether somebody is about to stop it.
    drained: bool,
    /// When it started.
    since: Option<String>,
    /// When it was last heard.
    heard: Option<String>,
    /// Whether it is the one that answers.
    here: bool,
    /// The images whose trees it has: what is done with those is done there.
    trees: Vec<String>,
    /// Files of images that it does not have, or has not said to have.
    lacks: Vec<String>,
}

/// The controllers that share the database, how they are, and which is the master.
#[utoipa::path(get, path = "/controller", tag = "controller", responses(
    (status = 200, description = "The controllers by name", body = Answer),
))]
async fn list(state: axum::extract::State<State>) -> Response {
    Json(answer(&state)).into_response()
}

fn answer(state: &State) -> Answer {
    let known = state.controllers.known();
    let files = if state.controllers.is_shared() {
        files_of(&state.cluster.published())
    } else {
        BTreeSet::new()
    };
    let time = |at: u64| (at > 0).then(|| rfc3339(at));
    let controllers = known.heard.controllers.iter().map(|one| {
        let here = one.name == state.controllers.name();
        let holding = state.holdings.of(&one.name);
        let trees = holding.as_ref().map(|has| has.trees.iter().map(ToString::to_string));
        let has = |file: &String| holding.as_ref().is_some_and(|has| has.files.contains_key(file));
        let lacks = files.iter().filter(|file| !has(file)).cloned().collect();
        ControllerEntry {
            name: one.name.clone(),
            url: one.url.clone(),
            version: one.version.clone(),
            format: one.format,
            revision: one.revision,
            state: Known::health(one).word(),
            master: known.heard.master.holder.as_deref() == Some(one.name.as_str()),
            drained: one.is_drained,
            since: time(one.began),
            heard: time(one.heard),
            here,
            trees: trees.into_iter().flatten().collect(),
            lacks,
        }
    });
    let standby = state.controllers.expects_standby().then_some(known.heard.waits_for_standby);
    Answer {
        controllers: controllers.collect(),
        format: known.heard.format,
        standby,
        revision: known.heard.revision.max(state.cluster.published().revision()),
        seconds_ago: state.controllers.age().as_secs(),
        shared: state.controllers.is_shared(),
    }
}

/// The files that nodes may fetch.
fn files_of(cluster: &Cluster) -> BTreeSet<String> {
    let images = cluster.images().values();
    let files =
        images.flat_map(|image| image.tags.iter().map(|tag| &tag.files).chain([&image.files]));
    files.flat_map(ImageFiles::names).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

perilune_wire::described! {
    /// Whether a controller is about to be stopped.
    DrainRequest, drained, { "drained": true }
}

fn drained(fields: &mut Fields<'_>) -> bool {
    fields
        .help("It is about to be stopped (yes)")
        .boolean("drained")
        .value()
        .copied()
        .unwrap_or(true)
}

/// Says that a controller is about to be stopped, or, with `drained` false, that it is not: it is the master no longer, and `/ha/ready` of it
/// tells others to go elsewhere. Whatever it is asked it still answers.
#[utoipa::path(post, path = "/controller/{name}/_drain", tag = "controller", request_body = DrainRequest, responses(
    (status = 200, description = "The controllers by name", body = Answer),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 404, description = "There is no such controller", body = Problem),
    (status = 501, description = "The controller is alone", body = Problem),
    (status = 503, description = "The database does not answer", body = Problem),
))]
async fn drain(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let wanted = body.read(&[], drained)?;
    check_known(&state, &name)?;
    state.controllers.drain(&name, wanted).await?;
    Ok(Json(answer(&state)).into_response())
}

/// Only a name that is known goes to the database.
fn check_known(state: &State, name: &str) -> Result<(), ApiError> {
    let known = state.controllers.known();
    let is_known = known.heard.controllers.iter().any(|one| one.name == name);
    let unknown = || ApiError::NotFound(format!("there is no controller {}", shown(name)));
    if is_known { Ok(()) } else { Err(unknown()) }
}

/// Forgets a controller that runs no more, with its jobs and its audit.
#[utoipa::path(post, path = "/controller/{name}/_remove", tag = "controller", responses(
    (status = 200, description = "The controllers by name", body = Answer),
    (status = 404, description = "There is no such controller", body = Problem),
    (status = 409, description = "It runs", body = Problem),
    (status = 501, description = "The controller is alone", body = Problem),
    (status = 503, description = "The database does not answer", body = Problem),
))]
async fn remove(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    check_known(&state, &name)?;
    state.controllers.forget(&name).await?;
    state.holdings.forget(&name).await?;
    Ok(Json(answer(&state)).into_response())
}
