//! `/tpm`: how installers that are made elsewhere, and running nodes, get the token of their node. Where the cluster demands it
//! (`security`), the node shows what its TPM measured; elsewhere an administrator's password will do, and what the TPM measured is noted
//! for the day on which it counts.

use std::net::IpAddr;

use axum::response::{IntoResponse, Response};
use perilune_model::user::Role;
use perilune_model::{Draft, Patch, node};
use perilune_store::Meta;
use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::extract::{Body, Path, Peer};
use crate::api::node::shown;
use crate::api::problem::{ApiError, Problem};
use crate::api::session::{self, Token};
use crate::api::user::same;
use crate::clock;
use crate::json::Json;
use crate::state::State;

const MEASURED: &str = "tpm_sha256";
/// More than any register that programs print, with what they print around it.
const LONGEST: usize = 128;

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new().routes(routes!(log_in))
}

/// A node's token, for what its TPM measured or, where the cluster does not ask for that, for an administrator's password.
#[utoipa::path(post, path = "/tpm/{nodename}", tag = "session", request_body = Value, responses(
    (status = 200, description = "The token, good for what concerns that node", body = Token),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 401, description = "Not let in. After too many failures the header Retry-After says how many seconds to wait", body = Problem),
    (status = 403, description = "The user is no administrator", body = Problem),
))]
async fn log_in(
    state: axum::extract::State<State>,
    Peer(from): Peer,
    Path(name): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let fields = session::object(&body)?;
    let measured = measured(fields)?;
    if state.cluster.published().settings().security {
        prove(&state, from, &name, measured)?;
    } else {
        let user = session::verified(&state, from, fields).await?;
        note(&state, from, user, &name, measured).await?;
    }
    let token = state.keys.for_node(&name, clock::seconds());
    let token = token.map_err(|error| ApiError::Defect(error.to_string()))?;
    Ok(Json(Token { token }).into_response())
}

/// What the TPM is said to have measured. Programs without a TPM may send an empty text.
fn measured(fields: &Map<String, Value>) -> Result<Option<&str>, ApiError> {
    let refuse = |reason: &str| Err(ApiError::Malformed(format!("{MEASURED} {reason}")));
    let text = match fields.get(MEASURED) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim(),
        Some(_) => return refuse("must be a text"),
    };
    let is_register = text.len() <= LONGEST && text.chars().all(|c| c.is_ascii_alphanumeric());
    if is_register {
        Ok(Some(text).filter(|text| !text.is_empty()))
    } else {
        refuse("must be the digits of a register, such as tpm2_pcrread sha256:0 shows")
    }
}

/// Whether this is what the node's TPM is known to measure. One answer for a wrong register and a node that is not there, so that nobody
/// learns which nodes there are.
fn prove(state: &State, from: IpAddr, name: &str, measured: Option<&str>) -> Result<(), ApiError> {
    let Some(measured) = measured else {
        let message =
            format!("no result: this cluster asks for {MEASURED}, what the node's TPM measured");
        return Err(ApiError::Unauthenticated(message));
    };
    // No user has such a name, so failures of nodes and of users do not mix.
    let who = format!("/tpm/{name}");
    let now = clock::milliseconds();
    let checked = state.attempts.check(from, &who, now);
    checked.map_err(|wait| ApiError::TooManyAttempts(wait.seconds()))?;
    let cluster = state.cluster.published();
    let known = cluster.node(name).ok().and_then(|node| node.tpm_sha256.as_deref());
    let known = known.filter(|known| !known.is_empty());
    if known.is_some_and(|known| same(measured.as_bytes(), known.as_bytes())) {
        state.attempts.succeeded(from, &who, now);
        return Ok(());
    }
    state.attempts.failed(from, &who, now);
    tracing::warn!(node = shown(name), %from, "what a TPM measured is not what is known of the node");
    Err(ApiError::Unauthenticated("invalid TPM information".to_owned()))
}

/// Keeps what the TPM measured, for an administrator who has logged in. A node's token shows its secrets, so nobody else is given it.
async fn note(
    state: &State,
    from: IpAddr,
    user: String,
    name: &str,
    measured: Option<&str>,
) -> Result<(), ApiError> {
    if state.role_of(&user) != Some(Role::Admin) {
        let message = format!(
            "the user '{}' is no administrator, and a node's token shows its secrets",
            shown(&user)
        );
        return Err(ApiError::Forbidden(message));
    }
    let cluster = state.cluster.published();
    let Ok(node) = cluster.node(name) else {
        return Err(ApiError::Unauthenticated(format!(
            "invalid node: there is no node '{}'",
            shown(name)
        )));
    };
    let Some(measured) = measured.filter(|new| node.tpm_sha256.as_deref() != Some(*new)) else {
        return Ok(());
    };
    let request =
        node::Request { tpm_sha256: Patch::Set(measured.to_owned()), ..node::Request::default() };
    let key = node.name.clone();
    let meta = Meta {
        at: clock::milliseconds(),
        author: user,
        origin: from.to_string(),
        action: format!("POST /tpm/{key}"),
    };
    let decide = move |draft: &mut Draft| {
        // Saving would make a node that was removed meanwhile.
        draft.node(key.as_str())?;
        node::save(draft, &key, &request)
    };
    state.cluster.commit(meta, decide).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_tpm_measured_is_digits_or_nothing() {
        let read = |value: Value| {
            let object = json!({ MEASURED: value });
            measured(object.as_object().unwrap()).map(|text| text.map(str::to_owned))
        };
        assert_eq!(read(json!("0xAB12\n")).unwrap().as_deref(), Some("0xAB12"));
        assert_eq!((read(json!("")).unwrap(), read(json!(null)).unwrap()), (None, None));
        for wrong in [json!(7), json!("a b"), json!("x".repeat(129)), json!("é")] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
