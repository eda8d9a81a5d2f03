//! `/config/apitoken`: tokens of programs, each with what it may do, for which nodes, and until when. They are shown once, when they are
//! made; their hashes are kept.

use crate::operations::routes;
use axum::Extension;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use perilune_daemon::clock::{self, rfc3339};
use perilune_model::user::{self, ApiToken, Role};
use perilune_model::{Draft, Kind, Name};
use perilune_select::hostlist;
use perilune_wire::api_token::{ApiTokenKeys, LastUse, Request, request};
use perilune_wire::described;
use perilune_wire::envelope::Config;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer;
use crate::answer::shown;
use crate::extract::{Body, Caller, Path};
use crate::json::Json;
use crate::permissions::{Routes, admins};
use crate::problem::{ApiError, Problem};
use crate::routes::Document;
use crate::state::{State, TOKEN_BEGINNING, token_hash};

/// Random bytes of a token.
const LENGTH: usize = 32;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(admins(), routes!(list))
        .add(admins(), routes!(show))
        .add(admins().changes().reveals("made an API token"), routes!(add))
        .add(admins().changes(), routes!(remove))
}

/// A token that was made. It is not shown again.
#[derive(Serialize, ToSchema)]
struct Made {
    /// The value of the header `x-access-tokens`.
    token: String,
}

/// All API tokens.
#[utoipa::path(get, path = "/config/apitoken", tag = "user", responses(
    (status = 200, description = "Tokens by name, below config and apitoken", body = ApiTokenKeys),
    (status = 404, description = "There is no token", body = Problem),
))]
async fn list(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let tokens = cluster.api_tokens();
    let entries = tokens.values().map(|token| (token.name.as_str(), keys(&state, token))).collect();
    answer::listed(tokens.is_empty(), "API token", Config { resource: "apitoken", entries })
}

/// One API token, without what it is.
#[utoipa::path(get, path = "/config/apitoken/{name}", tag = "user", responses(
    (status = 200, description = "The token by name, below config and apitoken", body = ApiTokenKeys),
    (status = 404, description = "There is no such token", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let token = cluster.api_token(&name)?;
    Ok(Json(Config::one("apitoken", &name, keys(&state, token))).into_response())
}

fn keys<'a>(state: &'a State, token: &'a ApiToken) -> ApiTokenKeys<'a> {
    let uses = state.token_uses.all();
    let last = uses.get(&token.name).filter(|last| last.made == token.made);
    let last = last.map(|last| LastUse { at: rfc3339(last.at), from: last.from });
    let until = token.until.map(rfc3339);
    let user = token.user.as_ref().map_or(state.settings.username.as_str(), Name::as_str);
    let is_over = token.until.is_some_and(|until| until <= clock::milliseconds());
    ApiTokenKeys::new(token, user, (rfc3339(token.made), until, is_over), last)
}

/// Makes an API token, for the caller or another user, and shows it this once. It may do what its `role` may, or the `routes` alone, as
/// `GET /config/node/{name}`; with `nodes`, a host list, only what concerns these nodes. It ends with its user, and after `seconds`.
#[utoipa::path(post, path = "/config/apitoken/{name}", tag = "user", request_body = described::TokenRequest, responses(
    (status = 201, description = "The token", body = Made),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 403, description = "An API token asks, or the user may not do what the token is to do", body = Problem),
    (status = 404, description = "There is no such user", body = Problem),
))]
async fn add(
    state: axum::extract::State<State>,
    Extension(document): Extension<Document>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    caller.needs_login()?;
    let key = Name::general(&name).map_err(|error| {
        ApiError::Malformed(format!("invalid token name '{}': {error}", shown(&name)))
    })?;
    let asked = body.read(&["config", "apitoken", &name], |fields| {
        let asked = request(fields);
        if let Some(unknown) = asked.routes.iter().find(|route| !document.listed.has(route)) {
            let reason = format!("there is no operation '{}'; /openapi.json lists them, such as GET /config/node/{{name}}", shown(unknown));
            fields.refuse("routes", reason);
        }
        if let Some(Err(error)) = asked.nodes.as_deref().map(hostlist::expand) {
            fields.refuse("nodes", error.to_string());
        }
        asked
    })?;
    let Request { user, role, routes, nodes, seconds, comment } = asked;
    let user = user.unwrap_or_else(|| caller.user.clone());
    let owner = if user == state.settings.username || user == perilune_daemon::auth::UNNAMED {
        None
    } else {
        Some(state.cluster.published().user(&user)?.name.clone())
    };
    let of_owner = state.role_of(&user).unwrap_or_default();
    // Routes are for what the user may do; without them the role says it.
    let role = role.unwrap_or(if routes.is_empty() { Role::default() } else { of_owner });
    if role > of_owner {
        let (role, of_owner) = (role.word(), of_owner.word());
        return Err(ApiError::Forbidden(format!(
            "the user '{user}' has the role {of_owner}, and a token of that user cannot have the role {role}"
        )));
    }
    let text = new_token()?;
    let made = clock::milliseconds();
    let until = seconds.map(|seconds| made.saturating_add(seconds.saturating_mul(1000)));
    let hash = token_hash(&text);
    let token =
        ApiToken { name: key, user: owner, hash, role, routes, nodes, until, made, comment };
    let decide = move |draft: &mut Draft| user::add_token(draft, token.clone());
    state.cluster.commit(caller.meta(), decide).await?;
    Ok((StatusCode::CREATED, Json(Made { token: text })).into_response())
}

fn new_token() -> Result<String, ApiError> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| ApiError::Defect(error.to_string()))?;
    Ok(format!("{TOKEN_BEGINNING}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// Removes an API token: it is good for nothing from then on.
#[utoipa::path(get, path = "/config/apitoken/{name}/_delete", tag = "user", responses(
    (status = 204, description = "It is gone"),
    (status = 403, description = "An API token asks", body = Problem),
    (status = 404, description = "There is no such token", body = Problem),
))]
async fn remove(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    caller.needs_login()?;
    let decide = move |draft: &mut Draft| draft.remove(Kind::ApiToken, &name);
    state.cluster.commit(caller.meta(), decide).await?;
    Ok(answer::done())
}
