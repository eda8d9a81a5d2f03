//! `/config/secrets`: secrets of nodes, groups and the cluster.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_model::secret::{self, CLUSTER, Owner, Request, Secret};
use perilune_model::{Name, Saved};
use perilune_wire::described;
use perilune_wire::fields::Fields;
use perilune_wire::secret::{SecretKeys, copy_request, request};
use serde_json::{Map, Value, json};

use crate::answer::{self, Message};
use crate::extract::{Bearer, Body, Caller, Path};
use crate::json::Json;
use crate::permissions::{Routes, admins};
use crate::problem::{ApiError, Problem};
use crate::state::State;
use crate::ticket;

mod of_cluster;

/// For the audit.
const READ: &str = "read secrets";

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(admins().reveals(READ).answers_at("config secrets owners"), routes!(list))
        .add(
            admins().or_node("name").reveals(READ).answers_at("config secrets owners"),
            routes!(of_node),
        )
        .add(
            admins().changes().in_bulk().reads_at("config secrets node * [+]"),
            routes!(save_of_node),
        )
        .add(admins().reveals(READ).answers_at("config secrets * * []"), routes!(of_group))
        .add(
            admins().changes().in_bulk().reads_at("config secrets group * [+]"),
            routes!(save_of_group),
        )
        .add(admins().reveals(READ).answers_at("config secrets * * []"), routes!(one_of_node))
        .add(
            admins().changes().in_bulk().reads_at("config secrets node * [+]"),
            routes!(save_one_of_node),
        )
        .add(admins().reveals(READ).answers_at("config secrets * * []"), routes!(one_of_group))
        .add(
            admins().changes().in_bulk().reads_at("config secrets group * [+]"),
            routes!(save_one_of_group),
        )
        .add(
            admins().changes().in_bulk().reads_at("config secrets node * [+]"),
            routes!(clone_of_node),
        )
        .add(
            admins().changes().in_bulk().reads_at("config secrets group * [+]"),
            routes!(clone_of_group),
        )
        .add(admins().changes().in_bulk(), routes!(remove_of_node))
        .add(admins().changes().in_bulk(), routes!(remove_of_group, remove_of_group_by_post))
        .merge(of_cluster::routes())
        .add(
            admins().reveals(READ).answers_at("config secrets * * []"),
            routes!(one_of_node_to_edit),
        )
        .add(
            admins().reveals(READ).answers_at("config secrets * * []"),
            routes!(one_of_group_to_edit),
        )
}

/// All secrets of nodes, groups and the cluster.
#[utoipa::path(get, path = "/config/secrets", tag = "secrets", responses(
    (status = 200, description = "Lists by owner, below config, secrets, and node or group; that of the cluster below cluster", body = SecretKeys),
    (status = 404, description = "There is no secret", body = Problem),
))]
async fn list(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let mut answer = Map::new();
    let of_nodes = cluster.node_secrets().values().map(|list| &***list);
    add(&mut answer, Owner::Node, of_nodes.map(|list| (&list.name, keys(&list.secrets))));
    let of_groups = cluster.group_secrets().values().map(|list| &***list);
    add(&mut answer, Owner::Group, of_groups.map(|list| (&list.name, keys(&list.secrets))));
    let of_cluster = Owner::Cluster.secrets(&cluster, CLUSTER)?;
    if !of_cluster.secrets.is_empty() {
        answer.insert(CLUSTER.to_owned(), json!(keys(&of_cluster.secrets)));
    }
    answer::listed(answer.is_empty(), "secret", json!({ "config": { "secrets": answer } }))
}

/// The secrets of a node, its group and the cluster. An installing node is given those that have a path.
#[utoipa::path(get, path = "/config/secrets/node/{name}", tag = "secrets", responses(
    (status = 200, description = "Lists by owner, below config, secrets, and node or group; that of the cluster below cluster", body = SecretKeys),
    (status = 404, description = "There is no such node, or no secret", body = Problem),
))]
async fn of_node(
    state: axum::extract::State<State>,
    bearer: Bearer,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    ticket::refuse_in_clear(&state, &name, &bearer)?;
    let cluster = state.cluster.published();
    let mut groups: Vec<&str> =
        cluster.lineage_of(&cluster.node(&name)?.group).map(|group| group.name.as_str()).collect();
    groups.reverse();
    let is_node = matches!(bearer, Bearer::Node(_));
    let mut answer = Map::new();
    // In the order in which shell installers write them: of two with one path the last stays.
    let groups = groups.into_iter().map(|group| (Owner::Group, group));
    let owners = std::iter::once((Owner::Cluster, CLUSTER)).chain(groups);
    for (owner, name) in owners.chain([(Owner::Node, name.as_str())]) {
        let mut list = owner.secrets(&cluster, name)?;
        // Shell installers lose their way at a secret that has no path.
        list.secrets.retain(|secret| !is_node || secret.path.is_some());
        if owner != Owner::Cluster {
            add(&mut answer, owner, std::iter::once((&list.name, keys(&list.secrets))));
        } else if !list.secrets.is_empty() {
            answer.insert(CLUSTER.to_owned(), json!(keys(&list.secrets)));
        }
    }
    if answer.is_empty() {
        return Err(ApiError::NotFound(format!("the node '{name}' has no secrets")));
    }
    Ok(Json(json!({ "config": { "secrets": answer } })).into_response())
}

/// The secrets of a group.
#[utoipa::path(get, path = "/config/secrets/group/{name}", tag = "secrets", responses(
    (status = 200, description = "A list below config, secrets, group and the group's name", body = SecretKeys),
    (status = 404, description = "There is no such group, or no secret", body = Problem),
))]
async fn of_group(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let list = Owner::Group.secrets(&state.cluster.published(), &name)?;
    if list.secrets.is_empty() {
        return Err(ApiError::NotFound(format!("the group '{name}' has no secrets")));
    }
    Ok(found(Owner::Group, &name, &keys(&list.secrets)))
}

/// Writes secrets of a node; those that are not named stay.
#[utoipa::path(post, path = "/config/secrets/node/{name}", tag = "secrets", request_body = described::SecretRequest, responses(
    (status = 201, description = "All of them are new", body = Message),
    (status = 204, description = "They are as was asked; one at least was there"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such node", body = Problem),
))]
async fn save_of_node(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let saved = save_all(&state, &caller, Owner::Node, name.clone(), &body).await?;
    Ok(answer::saved(saved, "Secrets of node", &name))
}

/// One secret of a node.
#[utoipa::path(get, path = "/config/secrets/node/{name}/{secret}", tag = "secrets", responses(
    (status = 200, description = "A list of one, below config, secrets, node and the node's name", body = SecretKeys),
    (status = 404, description = "There is no such node or secret", body = Problem),
))]
async fn one_of_node(
    state: axum::extract::State<State>,
    Path((name, secret)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    show_one(&state, Owner::Node, &name, &secret)
}

/// The same, where clients look before they open an editor; the last word is the name that the secret gets.
#[utoipa::path(get, path = "/config/secrets/node/{name}/{secret}/{new_name}", tag = "secrets", responses(
    (status = 200, description = "A list of one, below config, secrets, node and the node's name", body = SecretKeys),
    (status = 404, description = "There is no such node or secret", body = Problem),
))]
async fn one_of_node_to_edit(
    state: axum::extract::State<State>,
    Path((name, secret, _)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    show_one(&state, Owner::Node, &name, &secret)
}

/// Writes one secret of a node, the one that the body names.
#[utoipa::path(post, path = "/config/secrets/node/{name}/{secret}", tag = "secrets", request_body = described::SecretRequest, responses(
    (status = 204, description = "It is as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such node", body = Problem),
))]
async fn save_one_of_node(
    state: axum::extract::State<State>,
    caller: Caller,
    Path((name, _)): Path<(String, String)>,
    body: Body,
) -> Result<Response, ApiError> {
    save_one(&state, &caller, Owner::Node, name, &body).await
}

/// Copies a secret of a node; what the body does not have is that of the source.
#[utoipa::path(post, path = "/config/secrets/node/{name}/{secret}/_clone", tag = "secrets", request_body = described::SecretCopy, responses(
    (status = 201, description = "It is made", body = Message),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such node or secret", body = Problem),
))]
async fn clone_of_node(
    state: axum::extract::State<State>,
    caller: Caller,
    Path((name, _)): Path<(String, String)>,
    body: Body,
) -> Result<Response, ApiError> {
    copy(&state, &caller, Owner::Node, name, &body).await
}

/// Removes a secret of a node.
#[utoipa::path(get, path = "/config/secrets/node/{name}/{secret}/_delete", tag = "secrets", responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such node or secret", body = Problem),
))]
async fn remove_of_node(
    state: axum::extract::State<State>,
    caller: Caller,
    Path((name, secret)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    remove(&state, &caller, Owner::Node, name, secret).await
}

/// Writes secrets of a group; those that are not named stay.
#[utoipa::path(post, path = "/config/secrets/group/{name}", tag = "secrets", request_body = described::SecretRequest, responses(
    (status = 201, description = "All of them are new", body = Message),
    (status = 204, description = "They are as was asked; one at least was there"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such group", body = Problem),
))]
async fn save_of_group(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let saved = save_all(&state, &caller, Owner::Group, name.clone(), &body).await?;
    Ok(answer::saved(saved, "Secrets of group", &name))
}

/// One secret of a group.
#[utoipa::path(get, path = "/config/secrets/group/{name}/{secret}", tag = "secrets", responses(
    (status = 200, description = "A list of one, below config, secrets, group and the group's name", body = SecretKeys),
    (status = 404, description = "There is no such group or secret", body = Problem),
))]
async fn one_of_group(
    state: axum::extract::State<State>,
    Path((name, secret)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    show_one(&state, Owner::Group, &name, &secret)
}

/// The same, where clients look before they open an editor; the last word is the name that the secret gets.
#[utoipa::path(get, path = "/config/secrets/group/{name}/{secret}/{new_name}", tag = "secrets", responses(
    (status = 200, description = "A list of one, below config, secrets, group and the group's name", body = SecretKeys),
    (status = 404, description = "There is no such group or secret", body = Problem),
))]
async fn one_of_group_to_edit(
    state: axum::extract::State<State>,
    Path((name, secret, _)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    show_one(&state, Owner::Group, &name, &secret)
}

/// Writes one secret of a group, the one that the body names.
#[utoipa::path(post, path = "/config/secrets/group/{name}/{secret}", tag = "secrets", request_body = described::SecretRequest, responses(
    (status = 204, description = "It is as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such group", body = Problem),
))]
async fn save_one_of_group(
    state: axum::extract::State<State>,
    caller: Caller,
    Path((name, _)): Path<(String, String)>,
    body: Body,
) -> Result<Response, ApiError> {
    save_one(&state, &caller, Owner::Group, name, &body).await
}

/// Copies a secret of a group; what the body does not have is that of the source.
#[utoipa::path(post, path = "/config/secrets/group/{name}/{secret}/_clone", tag = "secrets", request_body = described::SecretCopy, responses(
    (status = 201, description = "It is made", body = Message),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such group or secret", body = Problem),
))]
async fn clone_of_group(
    state: axum::extract::State<State>,
    caller: Caller,
    Path((name, _)): Path<(String, String)>,
    body: Body,
) -> Result<Response, ApiError> {
    copy(&state, &caller, Owner::Group, name, &body).await
}

/// Removes a secret of a group.
#[utoipa::path(get, path = "/config/secrets/group/{name}/{secret}/_delete", tag = "secrets", responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such group or secret", body = Problem),
))]
async fn remove_of_group(
    state: axum::extract::State<State>,
    caller: Caller,
    Path((name, secret)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    remove(&state, &caller, Owner::Group, name, secret).await
}

/// Removes a secret of a group, the way the document has it.
#[utoipa::path(post, path = "/config/secrets/group/{name}/{secret}/_delete", tag = "secrets", responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such group or secret", body = Problem),
))]
async fn remove_of_group_by_post(
    state: axum::extract::State<State>,
    caller: Caller,
    Path((name, secret)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    remove(&state, &caller, Owner::Group, name, secret).await
}

fn add<'a>(
    answer: &mut Map<String, Value>,
    owner: Owner,
    lists: impl Iterator<Item = (&'a Name, Vec<SecretKeys>)>,
) {
    let lists = lists.filter(|(_, secrets)| !secrets.is_empty());
    let lists: Map<_, _> =
        lists.map(|(name, secrets)| (name.to_string(), json!(secrets))).collect();
    if !lists.is_empty() {
        answer.insert(owner.word().to_owned(), Value::Object(lists));
    }
}

fn keys(secrets: &[Secret]) -> Vec<SecretKeys> {
    secrets.iter().map(SecretKeys::new).collect()
}

fn found(owner: Owner, name: &str, secrets: &[SecretKeys]) -> Response {
    let found = match owner {
        Owner::Node | Owner::Group => json!({ name: secrets }),
        Owner::Cluster => json!(secrets),
    };
    Json(json!({ "config": { "secrets": { owner.word(): found } } })).into_response()
}

fn show_one(state: &State, owner: Owner, name: &str, wanted: &str) -> Result<Response, ApiError> {
    let list = owner.secrets(&state.cluster.published(), name)?;
    let one = secret::find(&list, owner, wanted)?;
    Ok(found(owner, name, &keys(std::slice::from_ref(one))))
}

/// The list of a body, which that of the cluster has in the place of its owner.
fn read<T>(
    owner: Owner,
    name: &str,
    body: &Body,
    one: impl FnMut(&mut Fields<'_>) -> T,
) -> Result<Vec<T>, ApiError> {
    match owner {
        Owner::Node | Owner::Group => {
            body.read_list(&["config", "secrets", owner.word()], name, one)
        }
        Owner::Cluster => body.read_list(&["config", "secrets"], owner.word(), one),
    }
}

fn requests(owner: Owner, name: &str, body: &Body) -> Result<Vec<Request>, ApiError> {
    let requests = read(owner, name, body, request)?;
    if requests.is_empty() {
        return Err(ApiError::Malformed(format!(
            "the list of secrets of {} '{name}' is empty; give at least one",
            owner.word()
        )));
    }
    Ok(requests)
}

async fn save_all(
    state: &State,
    caller: &Caller,
    owner: Owner,
    name: String,
    body: &Body,
) -> Result<Saved, ApiError> {
    let requests = requests(owner, &name, body)?;
    let decide = move |draft: &mut _| secret::save(draft, owner, &name, &requests);
    Ok(state.cluster.commit(caller.meta(), decide).await?)
}

async fn save_one(
    state: &State,
    caller: &Caller,
    owner: Owner,
    name: String,
    body: &Body,
) -> Result<Response, ApiError> {
    let mut requests = requests(owner, &name, body)?;
    requests.truncate(1);
    let decide = move |draft: &mut _| secret::save(draft, owner, &name, &requests);
    state.cluster.commit(caller.meta(), decide).await?;
    Ok(answer::done())
}

async fn copy(
    state: &State,
    caller: &Caller,
    owner: Owner,
    name: String,
    body: &Body,
) -> Result<Response, ApiError> {
    let copies = read(owner, &name, body, copy_request)?;
    let Some((new_name, request)) = copies.into_iter().next() else {
        let message = "the list is empty; say which secret to copy, and newsecretname";
        return Err(ApiError::Malformed(message.to_owned()));
    };
    let message = format!("Secret {} cloned to {new_name} successfully", request.name);
    let decide = move |draft: &mut _| secret::clone(draft, owner, &name, &new_name, &request);
    state.cluster.commit(caller.meta(), decide).await?;
    Ok(answer::created(message))
}

async fn remove(
    state: &State,
    caller: &Caller,
    owner: Owner,
    name: String,
    wanted: String,
) -> Result<Response, ApiError> {
    let decide = move |draft: &mut _| secret::remove(draft, owner, &name, &wanted);
    state.cluster.commit(caller.meta(), decide).await?;
    Ok(answer::done())
}
