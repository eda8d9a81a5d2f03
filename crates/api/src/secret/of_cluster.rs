//! `/config/secrets/cluster`: secrets that every node is given.

use crate::operations::routes;
use axum::response::Response;
use perilune_model::secret::{CLUSTER, Owner};
use perilune_wire::described;
use perilune_wire::secret::SecretKeys;

use super::{READ, copy, found, keys, remove, save_all, save_one, show_one};
use crate::answer::{self, Message};
use crate::extract::{Body, Caller, Path};
use crate::permissions::{Routes, admins};
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(admins().reveals(READ).answers_at("config secrets cluster []"), routes!(list))
        .add(admins().changes().in_bulk().reads_at("config secrets cluster [+]"), routes!(save))
        .add(admins().reveals(READ).answers_at("config secrets cluster []"), routes!(one))
        .add(admins().reveals(READ).answers_at("config secrets cluster []"), routes!(one_to_edit))
        .add(
            admins().changes().in_bulk().reads_at("config secrets cluster [+]"),
            routes!(save_this),
        )
        .add(admins().changes().in_bulk().reads_at("config secrets cluster [+]"), routes!(clone))
        .add(admins().changes().in_bulk(), routes!(delete))
}

/// The secrets of the cluster.
#[utoipa::path(get, path = "/config/secrets/cluster", tag = "secrets", responses(
    (status = 200, description = "A list below config, secrets and cluster", body = SecretKeys),
    (status = 404, description = "There is no secret", body = Problem),
))]
async fn list(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let list = Owner::Cluster.secrets(&state.cluster.published(), CLUSTER)?;
    if list.secrets.is_empty() {
        return Err(ApiError::NotFound("the cluster has no secrets".to_owned()));
    }
    Ok(found(Owner::Cluster, CLUSTER, &keys(&list.secrets)))
}

/// Writes secrets of the cluster; those that are not named stay.
#[utoipa::path(post, path = "/config/secrets/cluster", tag = "secrets", request_body = described::SecretRequest, responses(
    (status = 201, description = "All of them are new", body = Message),
    (status = 204, description = "They are as was asked; one at least was there"),
    (status = 400, description = "The request is refused", body = Problem),
))]
async fn save(
    state: axum::extract::State<State>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let saved = save_all(&state, &caller, Owner::Cluster, CLUSTER.to_owned(), &body).await?;
    Ok(answer::saved(saved, "Secrets of", CLUSTER))
}

/// One secret of the cluster.
#[utoipa::path(get, path = "/config/secrets/cluster/{secret}", tag = "secrets", responses(
    (status = 200, description = "A list of one, below config, secrets and cluster", body = SecretKeys),
    (status = 404, description = "There is no such secret", body = Problem),
))]
async fn one(
    state: axum::extract::State<State>,
    Path(secret): Path<String>,
) -> Result<Response, ApiError> {
    show_one(&state, Owner::Cluster, CLUSTER, &secret)
}

/// The same, where clients look before they open an editor; the last word is the name that the secret gets.
#[utoipa::path(get, path = "/config/secrets/cluster/{secret}/{new_name}", tag = "secrets", responses(
    (status = 200, description = "A list of one, below config, secrets and cluster", body = SecretKeys),
    (status = 404, description = "There is no such secret", body = Problem),
))]
async fn one_to_edit(
    state: axum::extract::State<State>,
    Path((secret, _)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    show_one(&state, Owner::Cluster, CLUSTER, &secret)
}

/// Writes one secret of the cluster, the one that the body names.
#[utoipa::path(post, path = "/config/secrets/cluster/{secret}", tag = "secrets", request_body = described::SecretRequest, responses(
    (status = 204, description = "It is as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
))]
async fn save_this(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(_): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    save_one(&state, &caller, Owner::Cluster, CLUSTER.to_owned(), &body).await
}

/// Copies a secret of the cluster; what the body does not have is that of the source.
#[utoipa::path(post, path = "/config/secrets/cluster/{secret}/_clone", tag = "secrets", request_body = described::SecretCopy, responses(
    (status = 201, description = "It is made", body = Message),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such secret", body = Problem),
))]
async fn clone(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(_): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    copy(&state, &caller, Owner::Cluster, CLUSTER.to_owned(), &body).await
}

/// Removes a secret of the cluster.
#[utoipa::path(get, path = "/config/secrets/cluster/{secret}/_delete", tag = "secrets", responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such secret", body = Problem),
))]
async fn delete(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(secret): Path<String>,
) -> Result<Response, ApiError> {
    remove(&state, &caller, Owner::Cluster, CLUSTER.to_owned(), secret).await
}
