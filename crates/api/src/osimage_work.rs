//! What takes long with an OS image: packing it, copying it.

use crate::operations::routes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use perilune_daemon::causes::chain;
use perilune_daemon::clock;
use perilune_daemon::jobs::trees::Finding;
use perilune_daemon::jobs::{Format, GONE_SECONDS, Job, Mounted, Work};
use perilune_model::{Name, image};
use perilune_wire::described;
use perilune_wire::osimage::{self, CloneRequest};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::answer::{self, Message};
use crate::elsewhere::{self, Asking, Found};
use crate::extract::{Body, Caller, Path};
use crate::json::Json;
use crate::osimage::may_name_tree;
use crate::permissions::{Routes, operators};
use crate::problem::{ApiError, Problem};
use crate::query::Query;
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(operators().acts().answers_at(""), routes!(pack))
        .add(operators().acts().answers_at(""), routes!(cancel))
        .add(operators().acts().answers_at(""), routes!(refresh_certificates))
        .add(operators(), routes!(check))
        .add(operators().acts(), routes!(change_kernel))
        .add(operators().acts(), routes!(clone))
}

/// What was begun, and what to poll `/config/status` with.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Begun {
    /// A sentence about it.
    pub message: String,
    /// The request's identifier.
    pub request_id: String,
}

/// How an OS image is packed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct How {
    /// The form of the archive: `tar.zst` (which it is unless another is asked for), `tar.gz` or `tar.bz2` for older installers.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    format: Format,
    /// What becomes of file systems that are mounted in the tree: `refuse` (they are a failure that names them, unless something else is
    /// asked for), `leave-out` or `include`.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    mounts: Mounted,
}

/// How the tree of an OS image is copied.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct HowCopied {
    /// What becomes of file systems that are mounted in the tree: `refuse` (they are a failure that names them, unless something else is
    /// asked for), `leave-out` or `include`.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    mounts: Mounted,
}

/// Makes kernel, initramfs and archive of an OS image.
#[utoipa::path(get, path = "/config/osimage/{name}/_pack", tag = "osimage", params(How), responses(
    (status = 200, description = "It begins, or has begun before", body = Begun),
    (status = 404, description = "There is no such OS image", body = Problem),
))]
async fn pack(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    Query(How { format, mounts }): Query<How>,
) -> Result<Response, ApiError> {
    let image = state.cluster.published().image(&name)?.name.clone();
    begin_packing(&state, &caller, image, (format, mounts)).await
}

/// What was looked at in the tree of an OS image.
#[derive(Debug, serde::Serialize, ToSchema)]
struct CheckList {
    /// Each with what it is about.
    findings: Vec<Checked>,
}

/// One thing that was looked at.
#[derive(Debug, serde::Serialize, ToSchema)]
struct Checked {
    /// `good`, `warning` or `fault`.
    level: String,
    /// What it is about.
    subject: String,
    /// What is found, and what to do.
    text: String,
}

impl From<Finding> for Checked {
    fn from(finding: Finding) -> Self {
        let Finding { level, subject, text } = finding;
        Self { level, subject, text }
    }
}

/// Looks through the tree of an OS image for what a node would lack, and for what should not be in it.
#[utoipa::path(get, path = "/config/osimage/{name}/_check", tag = "osimage", responses(
    (status = 200, description = "The check list", body = CheckList),
    (status = 404, description = "There is no such OS image", body = Problem),
))]
async fn check(
    state: axum::extract::State<State>,
    _: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let image = std::sync::Arc::clone(state.cluster.published().image(&name)?);
    check_tree_is_here(&state, &image.name).await?;
    let tree = image.tree(&state.settings.image_directory);
    let modules = image.kernelmodules.clone().into_iter().collect();
    let found = state.jobs.trees().check(tree, image.kernelversion.clone(), modules).await;
    let fault = |error| Finding {
        level: "fault".to_owned(),
        subject: "tree".to_owned(),
        text: chain(&error),
    };
    let findings = found.unwrap_or_else(|error| vec![fault(error)]);
    let list = CheckList { findings: findings.into_iter().map(Checked::from).collect() };
    let list = json!({ "config": { "osimage": { name: list } } });
    Ok(Json(list).into_response())
}

/// Gives the tree of an OS image the authorities of the controller's subscription (`/etc/rhsm/ca`). Nodes have them once it is packed.
#[utoipa::path(get, path = "/config/osimage/{name}/_updatecerts", tag = "osimage", responses(
    (status = 200, description = "It begins, or has begun before", body = Begun),
    (status = 404, description = "There is no such OS image", body = Problem),
))]
async fn refresh_certificates(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let image = state.cluster.published().image(&name)?.name.clone();
    let what = format!("refreshing certificates of osimage {image}");
    begin(&state, &caller, Work::RefreshCertificates { image }, &what).await
}

/// Stops whatever makes files or a tree for an OS image.
#[utoipa::path(get, path = "/config/osimage/{name}/_cancel", tag = "osimage", responses(
    (status = 200, description = "It stops, or there was nothing to stop", body = Message),
    (status = 404, description = "There is no such OS image", body = Problem),
))]
async fn cancel(
    state: axum::extract::State<State>,
    asking: Asking,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    state.cluster.published().image(&name)?;
    let message = match state.jobs.cancel(clock::milliseconds(), &name).await? {
        0 => match cancel_elsewhere(&state, &asking, &name).await {
            Some(answer) => return answer,
            None => format!("nothing is done with osimage {name}"),
        },
        _ => format!("osimage {name} is cancelled; what was in service before stays"),
    };
    Ok(Json(Message { message }).into_response())
}

/// Where another controller makes files or a tree for an OS image, that one is asked.
async fn cancel_elsewhere(
    state: &State,
    asking: &Asking,
    image: &str,
) -> Option<Result<Response, ApiError>> {
    let jobs = state.jobs.of_others().await.ok()?;
    let makes = |job: &Job| job.work.target().is_some_and(|target| *target == image);
    let (controller, _) = jobs.iter().find(|(_, job)| makes(job))?;
    Some(match elsewhere::at(state, asking, controller).await? {
        Found::Gone(gone) => Err(ApiError::Conflict(format!(
            "{}; it goes on with this when it runs again soon, and this is ended when that was not heard for {GONE_SECONDS} seconds",
            elsewhere::of(&gone)
        ))),
        found => found.answer(),
    })
}

/// Changes an OS image, its kernel above all, and packs it.
#[utoipa::path(post, path = "/config/osimage/{name}/kernel", tag = "osimage", request_body = described::ImageKernel, responses(
    (status = 200, description = "It is changed, and packing begins", body = Begun),
    (status = 204, description = "It is changed; packing was not asked for"),
    (status = 404, description = "The request is refused", body = Problem),
))]
async fn change_kernel(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let (request, bare) =
        body.read(&["config", "osimage", &name], osimage::kernel_request).map_err(missing)?;
    let key = state.cluster.published().image(&name)?.name.clone();
    check_tree_is_here(&state, &key).await?;
    if let Some(version) = request.kernelversion.value().filter(|_| !bare) {
        check_kernel(&state, &key, version).await?;
    }
    let target = key.clone();
    let saved = state
        .cluster
        .commit(caller.meta(), move |draft| image::save(draft, &target, &request))
        .await;
    saved.map_err(|error| missing(error.into()))?;
    if bare {
        Ok(answer::done())
    } else {
        begin_packing(&state, &caller, key, Default::default()).await
    }
}

/// What cannot be packed now is refused before it is written down: every later packing would fail by it.
async fn check_kernel(state: &State, name: &Name, version: &str) -> Result<(), ApiError> {
    let tree =
        state.cluster.published().image(name.as_str())?.tree(&state.settings.image_directory);
    let wanted = version.to_owned();
    let found =
        tokio::task::spawn_blocking(move || perilune_image::has_kernel(&tree, &wanted)).await;
    let found = found.map_err(|error| ApiError::Defect(error.to_string()))?;
    found.map_err(|error| ApiError::NotFound(error.to_string()))
}

/// Makes an OS image like this one: with a copy of the tree, packed, unless something else is asked for.
#[utoipa::path(post, path = "/config/osimage/{name}/_clone", tag = "osimage", params(HowCopied), request_body = described::ImageCopy, responses(
    (status = 200, description = "It is described, and copying begins unless nocopy was asked for", body = Begun),
    (status = 404, description = "The request is refused", body = Problem),
))]
async fn clone(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    Query(HowCopied { mounts }): Query<HowCopied>,
    body: Body,
) -> Result<Response, ApiError> {
    let asked =
        body.read(&["config", "osimage", &name], osimage::clone_request).map_err(missing)?;
    let CloneRequest { new_name: target, tag, bare, nocopy, request } = asked;
    let source = state.cluster.published().image(&name)?.name.clone();
    if !nocopy {
        check_tree_is_here(&state, &source).await?;
    }
    may_name_tree(&state, &caller, None, &request).await?;
    if !nocopy {
        check_place(&state, &target, &request).await?;
    }
    let (from, to) = (source.clone(), target.clone());
    let decide = move |draft: &mut perilune_model::Draft| {
        image::clone(draft, from.as_str(), tag.as_ref(), &to, &request)
    };
    state.cluster.commit(caller.meta(), decide).await.map_err(|error| missing(error.into()))?;
    if nocopy {
        // The existing command line polls for whatever it asked, and takes every other answer for a failure.
        let message = "OS Image cloned successfully".to_owned();
        let request_id = state.jobs.tell(clock::milliseconds(), &caller.user, &[&message], None);
        return Ok(Json(Begun { message, request_id }).into_response());
    }
    let work = Work::CloneImage { source, target: target.clone(), pack: !bare, mounts };
    begin(&state, &caller, work, &format!("osimage clone for {target}")).await
}

/// A tree is copied to where nothing is yet.
async fn check_place(
    state: &State,
    target: &Name,
    request: &image::Request,
) -> Result<(), ApiError> {
    let path = request.path.value().map_or(target.as_str(), String::as_str);
    let place = state.settings.image_directory.join(path);
    let is_free = tokio::fs::symlink_metadata(&place).await.is_err();
    // Existing clients cannot ask for a tree to go along with its image.
    if is_free || state.jobs.is_left(target, &place).await {
        return Ok(());
    }
    Err(ApiError::NotFound(format!(
        "{} is already there; remove it, or choose another path",
        place.display()
    )))
}

async fn begin_packing(
    state: &State,
    caller: &Caller,
    image: Name,
    (format, mounts): (Format, Mounted),
) -> Result<Response, ApiError> {
    let what = format!("osimage pack for {image}");
    begin(state, caller, Work::PackImage { image, format, mounts }, &what).await
}

pub(super) async fn begin(
    state: &State,
    caller: &Caller,
    work: Work,
    what: &str,
) -> Result<Response, ApiError> {
    if let Some(tree) = work.tree() {
        check_tree_is_here(state, tree).await?;
    }
    let submitted = state.jobs.submit(clock::milliseconds(), &caller.user, work).await?;
    let message =
        if submitted.already { format!("{what} already queued") } else { format!("{what} queued") };
    Ok((StatusCode::OK, Json(Begun { message, request_id: submitted.request })).into_response())
}

/// Refuses work on a tree that is at another controller, and names that one. Where nobody has the tree, the work itself tells.
async fn check_tree_is_here(state: &State, image: &Name) -> Result<(), ApiError> {
    let cluster = state.cluster.published();
    let Some(found) = cluster.images().get(image) else { return Ok(()) };
    if tokio::fs::metadata(found.tree(&state.settings.image_directory)).await.is_ok() {
        return Ok(());
    }
    let others = state.holdings.with_tree(&state.controllers, image.as_str());
    let Some(other) = others.first() else { return Ok(()) };
    let (name, url) = (&other.controller.name, &other.controller.url);
    Err(ApiError::Conflict(format!(
        "the tree of osimage {image} is at controller {name}, and not here: ask that one ({url})"
    )))
}

/// Existing clients are told of every refusal of these by 404.
pub(super) fn missing(error: ApiError) -> ApiError {
    match error {
        ApiError::Fields(_) | ApiError::Refused(_) => ApiError::NotFound(error.to_string()),
        other => other,
    }
}
