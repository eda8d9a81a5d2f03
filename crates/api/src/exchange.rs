//! `/boot/ticket`: where the agent exchanges its ticket for a token.

use crate::operations::routes;
use axum::http::StatusCode;
use axum::response::Response;
use perilune_plan::{Purpose, Ticket, Token};
use perilune_seal::PublicKey;

use crate::extract::Path;
use crate::permissions::{Routes, everybody};
use crate::problem::{ApiError, Problem};
use crate::receive::Typed;
use crate::state::State;
use crate::ticket::{SealedKeys, bind, redeem, refusal, sealed, token_of};
use crate::tpm;
use crate::unproven::Unproven;
use crate::view::View;

pub(super) fn routes() -> Routes {
    Routes::new().add(everybody().acts(), routes!(exchange))
}

/// A ticket, and the key that the answer is sealed to.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it describes the request in the API's document")]
struct TicketRequest {
    /// The text of the kernel argument `perilune.ticket`.
    ticket: String,
    /// The public key of this boot, 32 bytes in base64.
    #[schema(pattern = "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$")]
    key: String,
    /// What the machine's TPM measured: its register 0 for SHA-256, hexadecimal. Unset without a TPM.
    tpm_sha256: Option<String>,
}

/// A node's token, for the ticket that its kernel was given and, where the cluster demands it (`security`), what its TPM measured. The
/// answer is sealed to the key that is shown; the ticket is good for no other key from then on.
#[utoipa::path(post, path = "/boot/ticket/{node}", tag = "boot", request_body = TicketRequest, responses(
    (status = 201, description = "The token, sealed", body = SealedKeys),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 401, description = "The ticket is for another node, another address, another key, or a boot that is over, or the TPM is not the node's", body = Problem),
    (status = 503, description = "Machines there asked too often; Retry-After says for how long to wait", body = Problem),
))]
async fn exchange(
    state: axum::extract::State<State>,
    view: View,
    Unproven(source): Unproven,
    Path(node): Path<String>,
    Typed(Ticket { ticket, key, tpm_sha256 }): Typed<Ticket>,
) -> Result<Response, ApiError> {
    let key = key.ok_or_else(|| {
        ApiError::Malformed("data structure incomplete or incorrect: key is missing".to_owned())
    })?;
    let key = PublicKey::try_from(key)
        .map_err(|error| ApiError::Malformed(format!("key is wrong: {error}")))?;
    if !source.is_privileged() {
        return Err(refusal(
            "a ticket is exchanged from a port below 1024 of the node itself, which only its root can use; a proxy on the way must \
             tell the port",
        ));
    }
    let boot = redeem(&state, &view.cluster, &node, source, &ticket)?;
    tpm::check_of_served(&state, &view.cluster, source.address, &node, tpm_sha256.as_deref())
        .await?;
    let exchange = bind(&state, &view.cluster, boot, Some(key.clone())).await?;
    let token = token_of(&state, &node, &exchange)?;
    let what = "was given the token of its boot for its ticket, sealed";
    state.audit.secret(&format!("node {node}"), source.address, what);
    sealed(&key, &Token { token }, Purpose::Token, &node, StatusCode::CREATED)
}
