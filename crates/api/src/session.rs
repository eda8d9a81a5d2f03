//! Logging in, and what anybody may know: `/token`, `/version`, `/ping`, `/all-routes`, `/openapi.json`, `/docs`.

use std::borrow::Cow;
use std::fmt::Formatter;

use crate::operations::routes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use perilune_daemon::clock;
use perilune_model::user::Role;
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::answer::Message;
use crate::extract::Origin;
use crate::json::Json;
use crate::permissions::{Routes, everybody};
use crate::problem::{ApiError, Problem};
use crate::receive::Typed;
use crate::state::State;
use crate::user::is_password;

/// The version of the API that existing clients look for.
const LUNA: &str = "2.1.0001";
const API: u32 = 1;
/// One answer for a wrong name and a wrong password, so that nobody learns who may log in.
const INCORRECT: &str = "Incorrect username or password";

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(everybody().acts(), routes!(log_in))
        .add(everybody().answers_at("version"), routes!(version))
        .add(everybody(), routes!(ping))
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Token {
    /// The value of the header `x-access-tokens`.
    pub(super) token: String,
}

/// Logs in.
#[utoipa::path(post, path = "/token", tag = "session", request_body = LogIn, responses(
    (status = 201, description = "Logged in", body = Token),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 401, description = "Not logged in. After too many failures the header Retry-After says how many seconds to wait", body = Problem),
    (status = 403, description = "The user has the role installer, which is good for /tpm alone", body = Problem),
))]
async fn log_in(
    state: axum::extract::State<State>,
    origin: Origin,
    Typed(fields): Typed<LogIn>,
) -> Result<Response, ApiError> {
    // Of before the password is looked at: one that is changed meanwhile must not be good for a token of the new generation.
    let mark = state.mark_of(fields.username.text().unwrap_or_default())?;
    let user = verified(&state, origin, &fields).await?;
    let mark = mark.ok_or_else(|| ApiError::Unauthenticated(INCORRECT.to_owned()))?;
    if state.role_of(&user) == Some(Role::Installer) {
        let message = format!("the user '{user}' is an installer, and logs in at /tpm alone");
        return Err(ApiError::Forbidden(message));
    }
    let token = state
        .keys
        .for_user(&user, mark, clock::seconds())
        .map_err(|error| ApiError::Defect(error.to_string()))?;
    state.audit.secret(&user, origin.address, "logged in, and was given a token");
    Ok((StatusCode::CREATED, Json(Token { token })).into_response())
}

/// The body of a log-in. Anybody may send one: of what else it says nothing is kept.
#[derive(Debug, Default, ToSchema)]
#[schema(example = json!({ "username": "admin", "password": "secret" }))]
pub(super) struct LogIn {
    /// Who logs in.
    #[schema(value_type = String)]
    username: Given,
    /// The password.
    #[schema(value_type = String)]
    password: Given,
    /// What the TPM of a machine measured: a register in hexadecimal digits. For `/tpm` alone.
    #[schema(value_type = Option<String>, pattern = "^[0-9A-Za-z]{0,128}$")]
    pub(super) tpm_sha256: Given,
    /// Whether it says nothing at all.
    #[schema(ignore)]
    is_empty: bool,
}

/// What stands under a key.
#[derive(Debug, Default)]
pub(super) enum Given {
    /// Nothing, or `null`.
    #[default]
    Nothing,
    Text(String),
    /// Something that is no text.
    Other,
}

impl Given {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Nothing | Self::Other => None,
        }
    }
}

impl<'de> Deserialize<'de> for LogIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LogInVisitor)
    }
}

struct LogInVisitor;

impl<'de> Visitor<'de> for LogInVisitor {
    type Value = LogIn;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object with username and password")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LogIn, A::Error> {
        let mut fields = LogIn { is_empty: true, ..LogIn::default() };
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            fields.is_empty = false;
            let (name, place) = match &*key {
                "username" => ("username", &mut fields.username),
                "password" => ("password", &mut fields.password),
                "tpm_sha256" => ("tpm_sha256", &mut fields.tpm_sha256),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if !matches!(place, Given::Nothing) {
                return Err(A::Error::duplicate_field(name));
            }
            *place = map.next_value()?;
        }
        Ok(fields)
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GivenVisitor)
    }
}

struct GivenVisitor;

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = Given;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Given, E> {
        Ok(Given::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Given, E> {
        Ok(Given::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Given, E> {
        Ok(Given::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Given, E> {
        Ok(Given::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Given, E> {
        Ok(Given::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Given, E> {
        Ok(Given::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Given, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Given::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Given::Other)
    }
}

/// The user whose name and password stand in the body of a log-in.
pub(super) async fn verified(
    state: &State,
    origin: Origin,
    fields: &LogIn,
) -> Result<String, ApiError> {
    let refuse = |text: &str| Err(ApiError::Unauthenticated(text.to_owned()));
    if fields.is_empty {
        return refuse("Login Required");
    }
    let Some(user) = fields.username.text() else {
        return refuse("Username Is Required");
    };
    let Some(password) = fields.password.text() else {
        return refuse("Password Is Required");
    };
    if user.is_empty() || password.is_empty() {
        return refuse("Please provide the username and password");
    }
    if is_password(state, origin, user, password.to_owned()).await? {
        return Ok(user.to_owned());
    }
    refuse(INCORRECT)
}

/// What runs here.
#[derive(Debug, Serialize, ToSchema)]
struct Versions {
    /// Of the API.
    api: u32,
    /// The same as `perilune`.
    commit: &'static str,
    /// The Luna 2 whose clients work with it.
    luna: &'static str,
    /// Of the program.
    perilune: &'static str,
}

/// The versions of the API and of the program.
#[utoipa::path(get, path = "/version", tag = "session", responses((status = 200, description = "The versions", body = Versions)))]
async fn version() -> Response {
    let own = env!("CARGO_PKG_VERSION");
    let version = Versions { api: API, commit: own, luna: LUNA, perilune: own };
    Json(json!({ "version": version })).into_response()
}

/// Whether the daemon is there.
#[utoipa::path(get, path = "/ping", tag = "session", responses((status = 200, description = "It is", body = Message)))]
async fn ping() -> Response {
    Json(Message { message: "pong".to_owned() }).into_response()
}
