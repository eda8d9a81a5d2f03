//! `/tpm`: how installers that are made elsewhere, and running nodes, get the token of their node. Where the cluster demands it
//! (`security`), the node shows what its TPM measured; elsewhere the password of an administrator or an installer will do, and what the
//! TPM measured is noted for the day on which it counts.

use std::net::IpAddr;

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_daemon::clock;
use perilune_model::node::Node;
use perilune_model::user::Role;
use perilune_model::{Cluster, Draft, Patch, node};
use perilune_store::Meta;

use crate::answer::shown;
use crate::extract::{Origin, Path};
use crate::json::Json;
use crate::permissions::{Routes, everybody};
use crate::problem::{ApiError, Problem};
use crate::receive::Typed;
use crate::session::{self, Given, LogIn, Token};
use crate::source::Source;
use crate::state::State;
use crate::ticket;
use crate::unproven::Unproven;
use crate::user::same;

const MEASURED: &str = "tpm_sha256";
/// More than any register that programs print, with what they print around it.
const LONGEST: usize = 128;

pub(super) fn routes() -> Routes {
    Routes::new().add(everybody().acts(), routes!(log_in))
}

/// A node's token, for what its TPM measured or, where the cluster does not ask for that, for an administrator's password. It is one for
/// installing while a boot of the node is expected; else one for the import of its own hardware rules alone.
#[utoipa::path(post, path = "/tpm/{nodename}", tag = "session", request_body = LogIn, responses(
    (status = 200, description = "The token, good for what concerns that node", body = Token),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 401, description = "Not let in. After too many failures the header Retry-After says how many seconds to wait", body = Problem),
    (status = 403, description = "The user is neither administrator nor installer, or no boot of the node is expected and an installer asks", body = Problem),
    (status = 503, description = "Machines there asked too often; Retry-After says for how long to wait", body = Problem),
))]
async fn log_in(
    state: axum::extract::State<State>,
    Unproven(source): Unproven,
    origin: Origin,
    Path(name): Path<String>,
    Typed(fields): Typed<LogIn>,
) -> Result<Response, ApiError> {
    let measured = match &fields.tpm_sha256 {
        Given::Nothing => None,
        Given::Text(text) => register(text)?,
        Given::Other => return Err(not_a_register()),
    };
    let is_measured = state.cluster.published().settings().security;
    let mut is_installer = false;
    let mut shown_by = "what its TPM measured".to_owned();
    if is_measured {
        prove(&state, origin.address, &name, measured)?;
    } else {
        let user = session::verified(&state, origin, &fields).await?;
        is_installer = state.role_of(&user) == Some(Role::Installer);
        shown_by = format!("the password of {user}");
        if is_installer {
            drop(state.boots.window_anywhere(&name).await);
            admit_installer(&state, source, &user, &name)?;
            check_of_served(&state, &state.cluster.published(), origin.address, &name, measured)
                .await?;
        } else {
            note(&state, origin.address, user, &name, measured).await?;
        }
    }
    let token = match place(&state, &name, source, is_measured || is_installer)? {
        Some(address) => {
            ticket::without_ticket(&state, &state.cluster.published(), &name, address).await?
        }
        None => None,
    };
    let (token, which) = match token {
        Some(token) => (token, "of its boot"),
        None if is_installer => return Err(not_of_a_boot(&name)),
        // No boot is expected: a running node may have the rules of its own hardware read, and nothing else.
        None => {
            let token = state.keys.for_import(&name, clock::steady_milliseconds() / 1000);
            let token = token.map_err(|error| ApiError::Defect(error.to_string()))?;
            (token, "for its own hardware rules alone")
        }
    };
    let what = format!("was given a token {which}, for {shown_by}");
    state.audit.secret(&format!("node {name}"), origin.address, &what);
    Ok(Json(Token { token }).into_response())
}

/// An installer's password stands in images, and whoever may read those on a node knows it: it is worth something only while the node is
/// expected to boot, and to the machine at the node's own address.
fn admit_installer(state: &State, source: Source, user: &str, name: &str) -> Result<(), ApiError> {
    let is_expected =
        state.cluster.published().node(name).is_ok() && state.boots.window(name).is_some();
    if is_expected && place(state, name, source, true)?.is_some() {
        return Ok(());
    }
    tracing::warn!(
        user,
        node = shown(name),
        "an installer asked for the token of a node that is not expected to boot there"
    );
    Err(not_of_a_boot(name))
}

fn not_of_a_boot(name: &str) -> ApiError {
    ApiError::Forbidden(format!(
        "installers get the token of a node that is expected to boot, at an address of that node; no boot of '{}' is expected, or this is not its address (perilune node arm, docs/trust.md)",
        shown(name)
    ))
}

/// Where the token is to be good: where it is asked for or, behind a proxy that names nobody, where the node is. What a TPM measured, and
/// the password of an installer, can be known to others, so then the node itself must ask.
fn place(
    state: &State,
    name: &str,
    source: Source,
    is_known_to_others: bool,
) -> Result<Option<IpAddr>, ApiError> {
    let cluster = state.cluster.published();
    let possible = ticket::addresses_of(state, cluster.node(name)?);
    if source.is_anybody() {
        return Ok(possible.first().copied());
    }
    let is_own = possible.contains(&source.address);
    Ok((is_own || !is_known_to_others).then_some(source.address))
}

/// What a TPM is said to have measured. Programs without a TPM may send an empty text.
fn register(text: &str) -> Result<Option<&str>, ApiError> {
    let text = text.trim();
    let is_register = text.len() <= LONGEST && text.chars().all(|c| c.is_ascii_alphanumeric());
    if is_register { Ok(Some(text).filter(|text| !text.is_empty())) } else { Err(not_a_register()) }
}

fn not_a_register() -> ApiError {
    ApiError::Malformed(format!(
        "{MEASURED} must be the digits of a register, such as tpm2_pcrread sha256:0 shows"
    ))
}

/// Programs write the same register with and without `0x`, in capitals or not.
fn digits(register: &str) -> String {
    let register = register.to_ascii_uppercase();
    register.strip_prefix("0X").map(str::to_owned).unwrap_or(register)
}

/// Of a machine whose boot is served: what its TPM measured must be what is known of the node, where the cluster demands it. Elsewhere
/// the first measurement of a node is kept for the day on which it counts, and a later one that differs is told.
pub(super) async fn check_of_served(
    state: &State,
    cluster: &Cluster,
    from: IpAddr,
    name: &str,
    measured: Option<&str>,
) -> Result<(), ApiError> {
    let measured = measured.map(register).transpose()?.flatten();
    let node = cluster.node(name)?;
    if cluster.settings().security {
        return prove(state, from, name, measured).map_err(|refusal| match refusal {
            ApiError::Unauthenticated(_) => {
                ApiError::Unauthenticated(what_to_do(node, measured.is_some()))
            }
            other => other,
        });
    }
    let Some(measured) = measured else { return Ok(()) };
    match node.tpm_sha256.as_deref().filter(|known| !known.is_empty()) {
        None => keep(state, from, format!("machine of {name}"), node, measured).await,
        Some(known) if digits(known) == digits(measured) => Ok(()),
        Some(_) => {
            tracing::warn!(node = name, %from, "what its TPM measured is not what is known of the node; it would not boot with security on");
            Ok(())
        }
    }
}

/// For the console of a machine that is kept out.
fn what_to_do(node: &Node, has_measured: bool) -> String {
    let name = &node.name;
    let is_known = node.tpm_sha256.as_deref().is_some_and(|known| !known.is_empty());
    let reason = match (has_measured, is_known) {
        (false, _) => "this machine shows no TPM: switch it on in the firmware's settings",
        (true, false) => "nothing is known of its TPM",
        (true, true) => {
            "its TPM measured something else than before: is it the same machine, with the same firmware?"
        }
    };
    format!(
        "this cluster has security on, and {name} cannot prove who it is: {reason}. An administrator can set tpm_sha256 of {name}, or \
         boot it once with security off"
    )
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
    let now = clock::steady_milliseconds();
    let checked = state.attempts.check(from, &who, now);
    checked.map_err(|wait| ApiError::TooManyAttempts(wait.seconds()))?;
    let cluster = state.cluster.published();
    let known = cluster.node(name).ok().and_then(|node| node.tpm_sha256.as_deref());
    let known = known.filter(|known| !known.is_empty());
    let measured = digits(measured);
    if known.is_some_and(|known| same(measured.as_bytes(), digits(known).as_bytes())) {
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
            "the user '{}' is neither administrator nor installer, and a node's token shows its secrets",
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
    match measured.filter(|new| node.tpm_sha256.as_deref() != Some(*new)) {
        Some(measured) => keep(state, from, user, node, measured).await,
        None => Ok(()),
    }
}

async fn keep(
    state: &State,
    from: IpAddr,
    author: String,
    node: &Node,
    measured: &str,
) -> Result<(), ApiError> {
    let request =
        node::Request { tpm_sha256: Patch::Set(measured.to_owned()), ..node::Request::default() };
    let key = node.name.clone();
    let action = format!("TPM of {key}");
    let meta = Meta { at: clock::milliseconds(), author, origin: from.to_string(), action };
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
    use super::*;

    #[test]
    fn what_a_tpm_measured_is_digits_or_nothing() {
        assert_eq!(register("0xAB12\n").unwrap(), Some("0xAB12"));
        assert_eq!(register("").unwrap(), None);
        for wrong in ["a b", &"x".repeat(129), "é"] {
            assert!(register(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_register_is_the_same_in_every_spelling() {
        assert_eq!(digits("0xab12"), digits("AB12"));
        assert_ne!(digits("AB12"), digits("AB13"));
    }
}
