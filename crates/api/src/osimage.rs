//! `/config/osimage` and `/config/osimagetag`: OS images and their tags.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_daemon::causes::chain;
use perilune_daemon::clock;
use perilune_daemon::cluster;
use perilune_model::user::Role;
use perilune_model::{Error as Refusal, Kind, Name, image};
use perilune_wire::described;
use perilune_wire::envelope::Config;
use perilune_wire::osimage::{self, ImageEntry, Site, TagEntry};
use serde::Deserialize;

use crate::answer::shown;
use crate::answer::{self, Message};
use crate::extract::{Body, Caller, Path};
use crate::group::Members;
use crate::json::Json;
use crate::permissions::{Routes, operators, viewers};
use crate::problem::{ApiError, Problem, Trial};
use crate::query::{Query, boolean};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(viewers(), routes!(list))
        .add(viewers(), routes!(show))
        .add(operators().changes(), routes!(save))
        .add(viewers(), routes!(members))
        .add(operators().changes(), routes!(remove))
        .add(operators().changes(), routes!(set_tag))
        .add(operators().changes(), routes!(remove_tag))
        .add(viewers(), routes!(tags))
        .add(viewers(), routes!(tags_of))
}

/// All OS images.
#[utoipa::path(get, path = "/config/osimage", tag = "osimage", responses(
    (status = 200, description = "OS images by name, below config and osimage", body = ImageEntry),
    (status = 404, description = "There is no OS image", body = Problem),
))]
async fn list(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let (cluster, served) = (state.cluster.published(), served_files(&state).await);
    let is_served = |file: &str| served.contains(file);
    let site = Site { images: &state.settings.image_directory, is_served: &is_served };
    let entries =
        cluster.images().values().map(|image| (image.name.as_str(), ImageEntry::new(image, site)));
    answer::listed(
        cluster.images().is_empty(),
        "OS image",
        Config { resource: "osimage", entries: entries.collect() },
    )
}

/// One OS image.
#[utoipa::path(get, path = "/config/osimage/{name}", tag = "osimage", responses(
    (status = 200, description = "The OS image by name, below config and osimage", body = ImageEntry),
    (status = 404, description = "There is no such OS image", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let (cluster, served) = (state.cluster.published(), served_files(&state).await);
    let is_served = |file: &str| served.contains(file);
    let site = Site { images: &state.settings.image_directory, is_served: &is_served };
    let entry = ImageEntry::detail(cluster.image(&name)?, site);
    Ok(Json(Config::one("osimage", &name, entry)).into_response())
}

/// Makes or changes an OS image. A new name moves the tree along when its place follows from the name.
#[utoipa::path(post, path = "/config/osimage/{name}", tag = "osimage", request_body = described::ImageRequest, responses(
    (status = 201, description = "It is new", body = Message),
    (status = 204, description = "It was there and is as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no OS image or no tree to rename", body = Problem),
))]
async fn save(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let key = image_name(&name)?;
    let request =
        body.read(&["config", "osimage", &name], |fields| osimage::request(fields, &key))?;
    let known =
        state.cluster.published().image(key.as_str()).ok().and_then(|image| image.path.clone());
    may_name_tree(&state, &caller, known.as_deref(), &request).await?;
    let moved = if request.new_name.is_some() {
        move_tree(&state, &caller, &key, &request).await?
    } else {
        None
    };
    let saved =
        state.cluster.commit(caller.meta(), move |draft| image::save(draft, &key, &request)).await;
    match (saved, moved) {
        (Ok(saved), _) => Ok(answer::saved(saved, "OS Image", &name)),
        (Err(error), Some((from, to))) => {
            if let Err(error) = state.jobs.trees().rename(&to, &from).await {
                tracing::error!(tree = %to.display(), %error, "a tree that was moved cannot be moved back");
            }
            Err(error.into())
        }
        (Err(error), None) => Err(error.into()),
    }
}

/// Moves the tree of an image that will be renamed, where it has to; answers from where to where.
async fn move_tree(
    state: &State,
    caller: &Caller,
    key: &Name,
    request: &image::Request,
) -> Result<Option<(PathBuf, PathBuf)>, ApiError> {
    let cluster = state.cluster.published();
    let image = cluster.image(key.as_str())?;
    refuse_at_work(state, key.as_str()).await?;
    let (target, asked) = (key.clone(), request.clone());
    let decide = move |draft: &mut _| image::save(draft, &target, &asked);
    if caller.is_trial() {
        // It ends here, with what would change.
        state.cluster.commit(caller.meta(), decide).await?;
        return Ok(None);
    }
    state.cluster.check(decide).await?;
    let Some(new_name) = request.new_name.as_ref().filter(|_| request.moves_tree(image)) else {
        return Ok(None);
    };
    let images = &state.settings.image_directory;
    let (from, to) = (image.tree(images), images.join(new_name.as_str()));
    let is_taken = tokio::fs::symlink_metadata(&to).await.is_ok();
    if is_taken && state.jobs.is_left(key, &to).await && from.is_dir() {
        let made_way = state.jobs.make_way(clock::milliseconds(), &to).await;
        made_way.map_err(|error| ApiError::NotFound(error.to_string()))?;
    } else if is_taken {
        return Err(ApiError::NotFound(format!(
            "{} is already there; remove it or choose another name",
            to.display()
        )));
    }
    if !from.is_dir() {
        let (from, to) = (from.display(), to.display());
        return Err(ApiError::NotFound(format!(
            "the image {key} has no tree at {from}, which a new name would move to {to}; make it there, or give the path of its tree along with the new name"
        )));
    }
    state.jobs.trees().rename(&from, &to).await.map_err(|error| {
        let (from, to, error) = (from.display(), to.display(), chain(&error));
        ApiError::NotFound(format!("the tree {from} cannot be moved to {to}: {error}"))
    })?;
    Ok(Some((from, to)))
}

/// Whoever packs a tree can read all of it. So trees outside the directory of images are for administrators to name; a path that the image
/// has already may be sent along.
pub(super) async fn may_name_tree(
    state: &State,
    caller: &Caller,
    known: Option<&str>,
    request: &image::Request,
) -> Result<(), ApiError> {
    let Some(path) = request.path.value().filter(|path| known != Some(path.as_str())) else {
        return Ok(());
    };
    let directory = &state.settings.image_directory;
    let place = directory.join(path);
    let climbs = place.components().any(|part| part == std::path::Component::ParentDir);
    // Links count for where they lead.
    let real = |path: PathBuf| async { tokio::fs::canonicalize(&path).await.unwrap_or(path) };
    let is_inside = real(place).await.starts_with(real(directory.clone()).await) && !climbs;
    if is_inside || caller.role == Role::Admin {
        return Ok(());
    }
    Err(ApiError::Forbidden(format!(
        "the user '{}' is not an administrator and may name trees below {} only: to pack a tree is to be able to read it",
        caller.user,
        directory.display()
    )))
}

/// The nodes that boot from an OS image.
#[utoipa::path(get, path = "/config/osimage/{name}/_member", tag = "osimage", responses(
    (status = 200, description = "The nodes' names, below config, osimage and the image's name", body = Members),
    (status = 404, description = "There is no such OS image, or no node boots from it", body = Problem),
))]
async fn members(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let names = image::members(&state.cluster.published(), &name)?;
    if names.is_empty() {
        return Err(ApiError::NotFound(format!("no node boots from the OS image '{name}'")));
    }
    let members = names.iter().map(Name::as_str).collect();
    Ok(Json(Config::one("osimage", &name, Members { members })).into_response())
}

/// How an OS image is removed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Removal {
    /// `true`: its tree goes, too; `false`, or nothing: the tree stays. What is no boolean is refused, and nothing is removed.
    #[serde(default, deserialize_with = "boolean")]
    tree: bool,
}

/// Removes an OS image, an hour later its files, and its tree where that is asked for.
#[utoipa::path(get, path = "/config/osimage/{name}/_delete", tag = "osimage", params(Removal), responses(
    (status = 204, description = "It is gone"),
    (status = 400, description = "Nodes or groups use it, it is being packed, or its tree cannot be removed; the message says which", body = Problem),
    (status = 404, description = "There is no such OS image", body = Problem),
))]
async fn remove(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    Query(removal): Query<Removal>,
) -> Result<Response, ApiError> {
    let Removal { tree: with_tree } = removal;
    refuse_at_work(&state, &name).await?;
    let image = Arc::clone(state.cluster.published().image(&name)?);
    let tree = image.tree(&state.settings.image_directory);
    let fate = if with_tree { "is removed, too" } else { "stays" };
    if with_tree {
        let obstacle = state.jobs.obstacle_to_removal(image).await;
        if let Some(reason) = obstacle.map_err(|error| ApiError::Defect(error.to_string()))? {
            return Err(Refusal::invalid("tree", reason).into());
        }
    }
    let removed = state.cluster.commit(caller.meta(), move |draft| image::remove(draft, &name));
    let (image, files) = match removed.await {
        Err(cluster::Error::Trial(change, remarks)) => {
            let notes = vec![format!("the tree {} {fate}", tree.display())];
            return Ok(Json(Trial::new(&change, notes, remarks)).into_response());
        }
        removed => removed?,
    };
    let now = clock::milliseconds();
    state.jobs.remove_files(now, files).await;
    tracing::info!(osimage = %image.name, tree = %tree.display(), "OS image removed; its tree {fate}");
    if with_tree {
        state.jobs.remove_tree(now, tree).await;
    } else {
        state.jobs.leave_tree(tree).await;
    }
    Ok(answer::done())
}

/// Makes a tag the active one, or none. A new one keeps the files of now.
#[utoipa::path(post, path = "/config/osimage/{name}/tag", tag = "osimage", request_body = described::ImageTag, responses(
    (status = 204, description = "The tag is active"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such OS image", body = Problem),
))]
async fn set_tag(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let tag = body.read(&["config", "osimage", &name], osimage::tag_request)?;
    state
        .cluster
        .commit(caller.meta(), move |draft| image::activate_tag(draft, &name, &tag))
        .await?;
    Ok(answer::done())
}

/// Removes a tag. Nodes and groups that name it get the image's files of now.
#[utoipa::path(get, path = "/config/osimage/{name}/osimagetag/{tag}/_delete", tag = "osimage", responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such OS image or tag", body = Problem),
))]
async fn remove_tag(
    state: axum::extract::State<State>,
    caller: Caller,
    Path((name, tag)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let files = state
        .cluster
        .commit(caller.meta(), move |draft| image::remove_tag(draft, &name, &tag))
        .await?;
    state.jobs.remove_files(clock::milliseconds(), files).await;
    Ok(answer::done())
}

/// The tags of all OS images.
#[utoipa::path(get, path = "/config/osimagetag", tag = "osimage", responses(
    (status = 200, description = "Tags by name, below config and osimagetag", body = TagEntry),
    (status = 404, description = "There is no tag", body = Problem),
))]
async fn tags(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    list_tags(&state, None).await
}

/// The tags of an OS image.
#[utoipa::path(get, path = "/config/osimagetag/{osimage}", tag = "osimage", responses(
    (status = 200, description = "Tags by name, below config and osimagetag", body = TagEntry),
    (status = 404, description = "There is no such OS image, or it has no tags", body = Problem),
))]
async fn tags_of(
    state: axum::extract::State<State>,
    Path(osimage): Path<String>,
) -> Result<Response, ApiError> {
    list_tags(&state, Some(&osimage)).await
}

async fn list_tags(state: &State, image: Option<&str>) -> Result<Response, ApiError> {
    let (cluster, served) = (state.cluster.published(), served_files(state).await);
    if let Some(name) = image {
        cluster.image(name)?;
    }
    let is_served = |file: &str| served.contains(file);
    let site = Site { images: &state.settings.image_directory, is_served: &is_served };
    let mut entries = BTreeMap::new();
    for own in cluster.images().values().filter(|own| image.is_none_or(|name| own.name == name)) {
        entries.extend(
            own.tags.iter().map(|tag| (tag.name.as_str(), TagEntry::new(&cluster, own, tag, site))),
        );
    }
    let entries: Vec<_> = entries.into_iter().collect();
    answer::listed(entries.is_empty(), "tag", Config { resource: "osimagetag", entries })
}

pub(super) fn image_name(name: &str) -> Result<Name, ApiError> {
    Name::general(name).map_err(|error| {
        ApiError::Malformed(format!("invalid OS image name '{}': {error}", shown(name)))
    })
}

/// The tree and the files of an image that is worked on stay where they are.
async fn refuse_at_work(state: &State, name: &str) -> Result<(), ApiError> {
    let Some(request) = state.jobs.at_work_on(name).await? else { return Ok(()) };
    let by = vec![format!("job {request} (perilune osimage cancel {name} stops it)")];
    Err(Refusal::InUse { kind: Kind::Image, name: name.to_owned(), by }.into())
}

/// The names of all files that nodes could fetch.
async fn served_files(state: &State) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let Ok(mut entries) = tokio::fs::read_dir(&state.settings.image_files).await else {
        return names;
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        names.extend(entry.file_name().into_string());
    }
    names
}
