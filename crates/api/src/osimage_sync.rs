//! OS images and nodes that run: `_osgrab` and `_ospush`. Without `nodry` they only tell what would change.

use crate::operations::routes;
use axum::response::Response;
use perilune_daemon::jobs::{Receiver, Work};
use perilune_model::effective::Effective;
use perilune_model::{Cluster, Name};
use perilune_wire::fields::Fields;

use crate::extract::{Body, Caller, Path};
use crate::osimage_work::{Begun, begin, missing};
use crate::permissions::{Routes, operators};
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(operators().acts(), routes!(grab))
        .add(operators().acts(), routes!(push_to_node))
        .add(operators().acts(), routes!(push_to_group))
}

/// What is asked.
struct Wish {
    image: Option<Name>,
    really: bool,
    bare: bool,
}

fn wish(fields: &mut Fields<'_>) -> Wish {
    fields.ignore(&["name"]);
    Wish {
        image: fields
            .help("The image; else the one that is in effect")
            .of("osimage")
            .new_name("osimage", Name::general),
        really: fields.help("Do it; else only tell what would be done").flag("nodry"),
        bare: fields.help("Do not pack afterwards").flag("bare"),
    }
}

perilune_wire::described! {
    /// A grab or a push.
    SyncRequest, wish, { "osimage": "debian12", "nodry": true }
}

/// Brings the tree of an OS image to what a running node has, and packs it unless `bare` is true.
#[utoipa::path(post, path = "/config/node/{name}/_osgrab", tag = "osimage", request_body = SyncRequest, responses(
    (status = 200, description = "It begins, or has begun before", body = Begun),
    (status = 404, description = "There is no such node or OS image, or the request is refused", body = Problem),
))]
async fn grab(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    state.cluster.published().node(&name)?;
    let wish = body.read(&["config", "node", &name], wish)?;
    let (node, image) = node_and_image(&state.cluster.published(), &name, wish.image)?;
    let what = format!("osimage grab from {node} to {image}");
    let work = Work::GrabImage { node, image, really: wish.really, pack: !wish.bare };
    begin(&state, &caller, work, &what).await
}

/// Brings a running node to what an OS image has; nothing of the node's own is removed.
#[utoipa::path(post, path = "/config/node/{name}/_ospush", tag = "osimage", request_body = SyncRequest, responses(
    (status = 200, description = "It begins, or has begun before", body = Begun),
    (status = 404, description = "There is no such node or OS image, or the request is refused", body = Problem),
))]
async fn push_to_node(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    state.cluster.published().node(&name)?;
    let wish = body.read(&["config", "node", &name], wish)?;
    let (node, image) = node_and_image(&state.cluster.published(), &name, wish.image)?;
    let what = format!("osimage push from {node} to {image}");
    let work = Work::PushImage { to: Receiver::Node(node), image, really: wish.really };
    begin(&state, &caller, work, &what).await
}

/// Brings all running nodes of a group to what an OS image has; nothing of the nodes' own is removed.
#[utoipa::path(post, path = "/config/group/{name}/_ospush", tag = "osimage", request_body = SyncRequest, responses(
    (status = 200, description = "It begins, or has begun before", body = Begun),
    (status = 404, description = "There is no such group or OS image, or the request is refused", body = Problem),
))]
async fn push_to_group(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let group = cluster.group(&name)?;
    let wish = body.read(&["config", "group", &name], wish)?;
    let image = wish.image;
    let image = image.or_else(|| Effective::of_group(&cluster, group).osimage().value.cloned());
    let image = known_image(&cluster, image, "group", &name)?;
    let to = Receiver::Group(group.name.clone());
    let what = format!("osimage push from {name} to {image}");
    begin(&state, &caller, Work::PushImage { to, image, really: wish.really }, &what).await
}

fn node_and_image(
    cluster: &Cluster,
    name: &str,
    image: Option<Name>,
) -> Result<(Name, Name), ApiError> {
    let node = cluster.node(name)?;
    let own = || Effective::of_node(cluster, node).osimage().value.cloned();
    let image = known_image(cluster, image.or_else(own), "node", name)?;
    Ok((node.name.clone(), image))
}

fn known_image(
    cluster: &Cluster,
    image: Option<Name>,
    kind: &str,
    name: &str,
) -> Result<Name, ApiError> {
    let none = || {
        let message =
            format!("no image is configured for the {kind} {name}; give its osimage, or name one");
        ApiError::NotFound(message)
    };
    let image = image.ok_or_else(none)?;
    cluster.image(image.as_str()).map_err(|error| missing(error.into()))?;
    Ok(image)
}
