//! `/config/osuser` and `/config/osgroup`: users and groups of the cluster's operating systems.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_directory::{Error, Kind};
use perilune_model::{Name, Saved, Violation};
use perilune_wire::described;
use perilune_wire::envelope::Config;
use perilune_wire::os_user::{self, GroupKeys, UserKeys};

use crate::answer::shown;
use crate::answer::{self, Message};
use crate::extract::{Body, Caller, Path};
use crate::json::Json;
use crate::permissions::{Routes, admins};
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(admins(), routes!(list_users))
        .add(admins(), routes!(show_user))
        .add(admins().acts(), routes!(save_user))
        .add(admins().acts(), routes!(remove_user))
        .add(admins(), routes!(list_groups))
        .add(admins(), routes!(show_group))
        .add(admins().acts(), routes!(save_group))
        .add(admins().acts(), routes!(remove_group))
}

/// All users of the operating systems.
#[utoipa::path(get, path = "/config/osuser", tag = "osuser", responses(
    (status = 200, description = "Users by name, below config and osuser", body = UserKeys),
    (status = 404, description = "There is none, or the program that keeps them failed", body = Problem),
    (status = 503, description = "The directory does not answer", body = Problem),
))]
async fn list_users(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    list(&state, Kind::User).await
}

/// A user of the operating systems.
#[utoipa::path(get, path = "/config/osuser/{username}", tag = "osuser", responses(
    (status = 200, description = "The user, below config, osuser and the name", body = UserKeys),
    (status = 404, description = "There is no such user", body = Problem),
    (status = 503, description = "The directory does not answer", body = Problem),
))]
async fn show_user(
    state: axum::extract::State<State>,
    Path(username): Path<String>,
) -> Result<Response, ApiError> {
    show(&state, Kind::User, &username).await
}

/// Makes or changes a user of the operating systems.
#[utoipa::path(post, path = "/config/osuser/{username}", tag = "osuser", request_body = described::OsUserRequest, responses(
    (status = 201, description = "The user is new", body = Message),
    (status = 204, description = "The user is as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "The program that keeps users failed", body = Problem),
    (status = 503, description = "The directory does not answer", body = Problem),
))]
async fn save_user(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(username): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let name = name(&username)?;
    let asked = body.read(&["config", "osuser", &username], os_user::user)?;
    let request = perilune_directory::UserRequest {
        password: asked.password,
        surname: asked.surname,
        given_name: asked.given_name,
        uid: asked.uid,
        gid: asked.gid,
        mail: asked.mail,
        telephone: asked.telephone,
        shell: asked.shell,
        groups: asked.groups,
        expire: asked.expire,
        home: asked.home,
    };
    let saved = state.directory.save_user(name.as_str(), &request).await?;
    Ok(answered(&caller, saved, Kind::User, &name))
}

/// Removes a user of the operating systems.
#[utoipa::path(get, path = "/config/osuser/{username}/_delete", tag = "osuser", responses(
    (status = 204, description = "The user is gone"),
    (status = 404, description = "There is no such user", body = Problem),
    (status = 503, description = "The directory does not answer", body = Problem),
))]
async fn remove_user(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(username): Path<String>,
) -> Result<Response, ApiError> {
    remove(&state, &caller, Kind::User, &username).await
}

/// All groups of the operating systems.
#[utoipa::path(get, path = "/config/osgroup", tag = "osgroup", responses(
    (status = 200, description = "Groups by name, below config and osgroup", body = GroupKeys),
    (status = 404, description = "There is none, or the program that keeps them failed", body = Problem),
    (status = 503, description = "The directory does not answer", body = Problem),
))]
async fn list_groups(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    list(&state, Kind::Group).await
}

/// A group of the operating systems.
#[utoipa::path(get, path = "/config/osgroup/{groupname}", tag = "osgroup", responses(
    (status = 200, description = "The group, below config, osgroup and the name", body = GroupKeys),
    (status = 404, description = "There is no such group", body = Problem),
    (status = 503, description = "The directory does not answer", body = Problem),
))]
async fn show_group(
    state: axum::extract::State<State>,
    Path(groupname): Path<String>,
) -> Result<Response, ApiError> {
    show(&state, Kind::Group, &groupname).await
}

/// Makes or changes a group of the operating systems.
#[utoipa::path(post, path = "/config/osgroup/{groupname}", tag = "osgroup", request_body = described::OsGroupRequest, responses(
    (status = 201, description = "The group is new", body = Message),
    (status = 204, description = "The group is as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "The program that keeps groups failed", body = Problem),
    (status = 503, description = "The directory does not answer", body = Problem),
))]
async fn save_group(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(groupname): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let name = name(&groupname)?;
    let asked = body.read(&["config", "osgroup", &groupname], os_user::group)?;
    let request = perilune_directory::GroupRequest { gid: asked.gid, members: asked.members };
    let saved = state.directory.save_group(name.as_str(), &request).await?;
    Ok(answered(&caller, saved, Kind::Group, &name))
}

/// Removes a group of the operating systems.
#[utoipa::path(get, path = "/config/osgroup/{groupname}/_delete", tag = "osgroup", responses(
    (status = 204, description = "The group is gone"),
    (status = 400, description = "It is the first group of a user", body = Problem),
    (status = 404, description = "There is no such group", body = Problem),
    (status = 503, description = "The directory does not answer", body = Problem),
))]
async fn remove_group(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(groupname): Path<String>,
) -> Result<Response, ApiError> {
    remove(&state, &caller, Kind::Group, &groupname).await
}

async fn list(state: &State, kind: Kind) -> Result<Response, ApiError> {
    let entries = state.directory.list(kind).await?;
    let is_empty = entries.is_empty();
    let what = format!("{} of the operating systems", kind.word());
    let config = Config {
        resource: resource(kind),
        entries: entries.iter().map(|(name, entry)| (name.as_str(), entry)).collect(),
    };
    answer::listed(is_empty, &what, config)
}

async fn show(state: &State, kind: Kind, name: &str) -> Result<Response, ApiError> {
    let missing = || ApiError::NotFound(format!("there is no {} '{}'", kind.word(), shown(name)));
    let checked = Name::general(name).map_err(|_error| missing())?;
    let entry = state.directory.show(kind, checked.as_str()).await?;
    Ok(Json(Config::one(resource(kind), name, entry)).into_response())
}

async fn remove(
    state: &State,
    caller: &Caller,
    kind: Kind,
    text: &str,
) -> Result<Response, ApiError> {
    let name = name(text)?;
    state.directory.remove(kind, name.as_str()).await?;
    tracing::info!(user = caller.user, kind = kind.word(), %name, "removed from the directory");
    Ok(answer::done())
}

/// The cluster's history knows nothing of these changes; the log does.
fn answered(caller: &Caller, saved: Saved, kind: Kind, name: &Name) -> Response {
    tracing::info!(user = caller.user, kind = kind.word(), %name, "saved in the directory");
    answer::saved(saved, kind.word(), name.as_str())
}

fn resource(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "osuser",
        Kind::Group => "osgroup",
    }
}

fn name(text: &str) -> Result<Name, ApiError> {
    Name::general(text).map_err(|error| {
        ApiError::Fields(vec![Violation { field: "name".to_owned(), reason: error.to_string() }])
    })
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match &error {
            // Existing clients take 404 for a directory that has nothing, or that is not there.
            Error::NotInstalled(_) | Error::NotFound { .. } | Error::Failed { .. } => {
                Self::NotFound(error.to_string())
            }
            Error::Invalid { field, reason } => {
                Self::Fields(vec![Violation { field: (*field).to_owned(), reason: reason.clone() }])
            }
            Error::Refused(_) => Self::Malformed(error.to_string()),
            Error::Unreachable { .. } | Error::TimedOut { .. } | Error::Malformed { .. } => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}
