//! `/config/user`: who may log in, and what they may do.

use std::net::IpAddr;

use crate::operations::routes;
use argon2::password_hash::PasswordHasher;
use argon2::{Argon2, PasswordHash, PasswordVerifier};
use axum::response::{IntoResponse, Response};
use perilune_daemon::clock;
use perilune_model::user::{self, Role};
use perilune_model::{Draft, Error as Refusal, Kind, Name};
use perilune_wire::described;
use perilune_wire::envelope::Config;
use perilune_wire::user::{UserKeys, password_request, request};

use crate::answer::shown;
use crate::answer::{self, Message};
use crate::extract::{Body, Caller, Origin, Path};
use crate::json::Json;
use crate::permissions::{Routes, admins, viewers};
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(admins(), routes!(list))
        .add(admins(), routes!(show))
        .add(admins().changes(), routes!(save))
        .add(viewers().changes(), routes!(change_password))
        .add(admins().changes(), routes!(revoke))
        .add(admins().changes(), routes!(remove))
}

/// All users, but the one of the configuration.
#[utoipa::path(get, path = "/config/user", tag = "user", responses(
    (status = 200, description = "Users by name, below config and user", body = UserKeys),
    (status = 404, description = "There is no user", body = Problem),
))]
async fn list(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let entries = cluster.users().values().map(|user| (user.name.as_str(), UserKeys::new(user)));
    answer::listed(
        cluster.users().is_empty(),
        "user",
        Config { resource: "user", entries: entries.collect() },
    )
}

/// One user.
#[utoipa::path(get, path = "/config/user/{name}", tag = "user", responses(
    (status = 200, description = "The user by name, below config and user", body = UserKeys),
    (status = 404, description = "There is no such user", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let user = cluster.user(&name)?;
    Ok(Json(Config::one("user", &name, UserKeys::new(user))).into_response())
}

/// Makes or changes a user.
#[utoipa::path(post, path = "/config/user/{name}", tag = "user", request_body = described::UserRequest, responses(
    (status = 201, description = "It is new", body = Message),
    (status = 204, description = "It was there and is as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such user to rename", body = Problem),
))]
async fn save(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let key = user_name(&state, &name)?;
    let asked = body.read(&["config", "user", &name], request)?;
    if let Some(new_name) = &asked.new_name {
        user_name(&state, new_name.as_str())?;
    }
    let password_hash = match asked.password {
        Some(password) => Some(hash(password).await?),
        None => None,
    };
    let request = user::Request {
        new_name: asked.new_name,
        password_hash,
        role: asked.role,
        comment: asked.comment,
    };
    let saved =
        state.cluster.commit(caller.meta(), move |draft| user::save(draft, &key, &request)).await?;
    Ok(answer::saved(saved, "User", &name))
}

/// Changes a password. Whoever is no administrator changes the own one, and gives the present one.
#[utoipa::path(post, path = "/config/user/{name}/_password", tag = "user", request_body = described::PasswordRequest, responses(
    (status = 204, description = "It is changed"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 403, description = "It is another's, or the present password is not that", body = Problem),
    (status = 404, description = "There is no such user", body = Problem),
))]
async fn change_password(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let (present, new) = body.read(&["config", "user", &name], password_request)?;
    if caller.role < Role::Admin {
        let known = match present {
            Some(present) if caller.is_user(&name) => {
                let origin = Origin { address: caller.origin(), neighbour: None };
                is_password(&state, origin, &name, present).await?
            }
            Some(_) | None => false,
        };
        if !known {
            let message = format!(
                "only administrators and '{}' with the present password may change this password",
                shown(&name)
            );
            return Err(ApiError::Forbidden(message));
        }
    }
    let key = state.cluster.published().user(&name)?.name.clone();
    let request =
        user::Request { password_hash: Some(hash(new).await?), ..user::Request::default() };
    state.cluster.commit(caller.meta(), move |draft| user::save(draft, &key, &request)).await?;
    Ok(answer::done())
}

/// Ends all logins of a user, and the API tokens. Whoever is no administrator ends the own logins with another password.
#[utoipa::path(post, path = "/config/user/{name}/_revoke", tag = "user", responses(
    (status = 204, description = "Tokens that were given to it so far are good for nothing"),
    (status = 404, description = "There is no such user", body = Problem),
))]
async fn revoke(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let named = (name != state.settings.username).then_some(name);
    let decide = move |draft: &mut Draft| user::revoke(draft, named.as_deref());
    state.cluster.commit(caller.meta(), decide).await?;
    Ok(answer::done())
}

/// Removes a user. Tokens that were given to it are good for nothing from then on.
#[utoipa::path(get, path = "/config/user/{name}/_delete", tag = "user", responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such user", body = Problem),
))]
async fn remove(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    state.cluster.commit(caller.meta(), move |draft| draft.remove(Kind::User, &name)).await?;
    Ok(answer::done())
}

/// How history and audit name who is no user.
const NO_USERS: [&str; 6] = ["node ", "machine ", "token ", "nobody", "perilune", "configuration"];

/// The user of the configuration is nobody else's name, and no user is named as what is no user.
fn user_name(state: &State, name: &str) -> Result<Name, ApiError> {
    let key = Name::general(name).map_err(|error| {
        ApiError::Malformed(format!("invalid user name '{}': {error}", shown(name)))
    })?;
    let is_no_user =
        |other: &&&str| name.starts_with(**other) && (other.ends_with(' ') || name == **other);
    if let Some(other) = NO_USERS.iter().find(is_no_user) {
        let reason = format!("a name that begins with '{}' is for what is no user", other.trim());
        return Err(Refusal::invalid("name", reason).into());
    }
    if name == state.settings.username {
        let reason = format!("'{name}' is the user of {}", state.settings.file.display());
        return Err(Refusal::invalid("name", reason).into());
    }
    Ok(key)
}

/// Whether this is the password of a user, of the one of the configuration too. Whoever gave too many wrong ones has to wait, but for
/// those who need not guess: who can read the configuration, on this machine.
pub(super) async fn is_password(
    state: &State,
    origin: Origin,
    user: &str,
    password: String,
) -> Result<bool, ApiError> {
    let from = origin.address;
    let check = || {
        let checked = state.attempts.check(from, user, clock::steady_milliseconds());
        checked.map_err(|wait| ApiError::TooManyAttempts(wait.seconds()))
    };
    let is_configured = user == state.settings.username;
    let is_of_configuration =
        || is_configured && same(password.as_bytes(), state.settings.password.as_bytes());
    if let Err(refusal) = check() {
        let may_try = is_configured && knows_configuration(origin).await?;
        return if may_try && is_of_configuration() { Ok(true) } else { Err(refusal) };
    }
    let now = clock::steady_milliseconds();
    if is_of_configuration() {
        state.attempts.succeeded(from, user, now);
        return Ok(true);
    }
    if state.attempts.is_repeated(from, user, &password, now) {
        return Ok(false);
    }
    if is_configured {
        // It counts before it takes its time, so that many at once are no way around.
        wrong(state, from, user, &password);
    }
    let turn = state.turns.password.acquire().await;
    let _turn = turn.map_err(|error| ApiError::Defect(error.to_string()))?;
    if is_configured {
        return hash(password).await.map(|_| false);
    }
    // Others may have failed while this one waited for its turn.
    check()?;
    let is_right = verify(state, user, password.clone()).await?;
    if is_right {
        state.attempts.succeeded(from, user, clock::steady_milliseconds());
    } else {
        wrong(state, from, user, &password);
    }
    Ok(is_right)
}

async fn knows_configuration(origin: Origin) -> Result<bool, ApiError> {
    let Some(neighbour) = origin.neighbour else { return Ok(false) };
    let look = move || crate::neighbour::can_read_configuration(neighbour);
    tokio::task::spawn_blocking(look).await.map_err(|error| ApiError::Defect(error.to_string()))
}

fn wrong(state: &State, from: IpAddr, user: &str, password: &str) {
    let now = clock::steady_milliseconds();
    state.attempts.failed(from, user, now);
    state.attempts.remember(from, user, password, now);
    tracing::warn!(user = shown(user), %from, "a wrong password was given");
}

/// Compares in a time that does not tell how much is equal.
pub(super) fn same(given: &[u8], known: &[u8]) -> bool {
    let differences = given.iter().zip(known).fold(0, |sum, (a, b)| sum | (a ^ b));
    given.len() == known.len() && differences == 0
}

/// Takes as long for a user who is not there, so that nobody learns who may log in.
async fn verify(state: &State, user: &str, password: String) -> Result<bool, ApiError> {
    let cluster = state.cluster.published();
    let Some(user) = cluster.users().get(user) else {
        return hash(password).await.map(|_| false);
    };
    let known = user.password_hash.clone();
    let verify = move || {
        let known = PasswordHash::new(&known).ok();
        known.is_some_and(|known| {
            Argon2::default().verify_password(password.as_bytes(), &known).is_ok()
        })
    };
    tokio::task::spawn_blocking(verify).await.map_err(|error| ApiError::Defect(error.to_string()))
}

/// The Argon2id hash of a password, in PHC string format. It takes its time, away from those who answer requests.
async fn hash(password: String) -> Result<String, ApiError> {
    let compute = move || {
        let hash = Argon2::default().hash_password(password.as_bytes());
        hash.map(|hash| hash.to_string()).map_err(|error| error.to_string())
    };
    let hash = tokio::task::spawn_blocking(compute).await;
    hash.map_err(|error| ApiError::Defect(error.to_string()))?.map_err(ApiError::Defect)
}
