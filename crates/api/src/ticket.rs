//! Tickets: what a machine shows to prove that its boot was begun here. See `docs/trust.md`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use perilune_daemon::auth::Boot;
use perilune_daemon::boots::{Evidence, Exchange, Refusal, WINDOW, Window};
use perilune_daemon::clock;
use perilune_daemon::spool::Entry;
use perilune_model::effective::Effective;
use perilune_model::interface::Interface;
use perilune_model::node::Node;
use perilune_model::{Cluster, MacAddress, Name};
use perilune_plan::{Purpose, Ticket};
use perilune_seal::PublicKey;
use sha2::{Digest as _, Sha256};

use crate::extract::{Bearer, NodeToken, Path};
use crate::json::Json;
use crate::problem::ApiError;
use crate::query::Query;
use crate::source::Source;
use crate::state::State;
use crate::view::View;

/// Random bytes in the name of a boot.
const NAME_LENGTH: usize = 12;
/// How long another controller takes to store what it has seen, under load.
const STORING: Duration = Duration::from_millis(400);
/// Characters that tell which controller began to serve a boot.
const MARK_LENGTH: usize = 6;

/// An answer that only the holder of the private key can read.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it describes the answer in the API's document")]
pub(super) struct SealedKeys {
    /// The encapsulated secret, base64.
    enc: String,
    /// The ciphertext, base64.
    sealed: String,
}

/// An answer that the machine with this key alone can read.
pub(super) fn sealed(
    key: &PublicKey,
    answer: &impl serde::Serialize,
    purpose: Purpose,
    node: &str,
    status: StatusCode,
) -> Result<Response, ApiError> {
    let text = serde_json::to_vec(answer).map_err(|error| ApiError::Defect(error.to_string()))?;
    let sealed = key.seal(&text, &purpose.of(node));
    let sealed = sealed.map_err(|error| ApiError::Malformed(format!("key is wrong: {error}")))?;
    Ok((status, Json(sealed)).into_response())
}

/// Where no ticket would be given, takes what other controllers have noted by now: firmware may have been answered there, a moment ago.
pub(super) async fn look_elsewhere(
    state: &State,
    node: &Node,
    interface: &Interface,
    source: Source,
) {
    let is_known = || {
        let window = state.boots.window(node.name.as_str());
        interface.macaddress.is_none_or(|mac| {
            window
                .is_some_and(|window| address_of(state, interface, mac, &window, source).is_some())
        })
    };
    // Where the search itself shows that a boot is expected, no other controller knows better.
    let is_at_home = interface.addresses.iter().any(|own| own == source.address);
    let shows = is_at_home && state.boots.accepts(Evidence::Search);
    if !state.controllers.is_shared() || shows || is_known() {
        return;
    }
    tokio::join!(state.boots.look(), state.leases.look());
    if !is_known() {
        // The other may be about to store it. Who is refused comes again after seconds only.
        tokio::time::sleep(STORING).await;
        tokio::join!(state.boots.look(), state.leases.look());
    }
}

/// A ticket for the machine that asks, when a boot of this node is expected and the machine is where the node is.
pub(super) fn of_machine(
    state: &State,
    node: &Node,
    interface: &Interface,
    source: Source,
) -> Result<Option<String>, ApiError> {
    let Some(mac) = interface.macaddress else { return Ok(None) };
    if interface.addresses.iter().any(|own| own == source.address) {
        // Counts where the site takes it. What the network lends to anybody is no address of the node's own.
        state.boots.expect(&node.name, Evidence::Search, None);
    }
    let Some(window) = state.boots.window(node.name.as_str()) else { return Ok(None) };
    let Some(address) = address_of(state, interface, mac, &window, source) else { return Ok(None) };
    let boot = Boot {
        node: node.name.to_string(),
        mac,
        address,
        boot: new_name(state)?,
        begun: state.boots.now(),
    };
    let ticket = state.keys.ticket(&boot, WINDOW);
    ticket.map(Some).map_err(|error| ApiError::Defect(error.to_string()))
}

/// The address that a ticket is bound to: the asker's, when that is reserved for the node, lent to it, or was chosen by its firmware;
/// behind a proxy that names nobody, the first of these that is known.
fn address_of(
    state: &State,
    interface: &Interface,
    mac: MacAddress,
    window: &Window,
    source: Source,
) -> Option<IpAddr> {
    let chosen = window.chosen;
    if source.is_anybody() {
        let lent = || state.leases.of(mac).next();
        return chosen.or_else(lent).or_else(|| interface.addresses.iter().next());
    }
    let at = source.address;
    let is_own = chosen == Some(at) || interface.addresses.iter().any(|own| own == at);
    (is_own || is_lent(state, mac, at)).then_some(at)
}

/// Whether DHCP has lent this address to this machine.
fn is_lent(state: &State, mac: MacAddress, address: IpAddr) -> bool {
    state.leases.has(mac, address)
}

/// The boot of a ticket, when it is this node's, from where the ticket was given, and the machine is still the node's.
pub(super) fn redeem(
    state: &State,
    cluster: &Cluster,
    node: &str,
    source: Source,
    ticket: &str,
) -> Result<Boot, ApiError> {
    let boot = state.keys.redeem(ticket, state.boots.now()).filter(|boot| boot.node == node);
    let boot =
        boot.ok_or_else(|| refusal("this boot is not served any longer; boot the machine again"))?;
    let known = cluster.node_by_mac(boot.mac).filter(|(known, _)| known.name == *node);
    let Some((_, interface)) = known else {
        return Err(refusal("this machine is not that node any longer"));
    };
    // A machine that was adopted a moment ago asked for its script from an address that was lent to it; the agent has the node's own.
    let is_own = interface.addresses.iter().any(|own| own == source.address);
    if boot.address != source.address && !is_own {
        tracing::warn!(node, from = %source.address, expected = %boot.address, "a ticket was shown by another machine");
        return Err(refusal("this ticket was given to another address"));
    }
    Ok(Boot { address: source.address, ..boot })
}

/// Uses a ticket.
pub(super) async fn bind(
    state: &State,
    cluster: &Cluster,
    boot: Boot,
    key: Option<PublicKey>,
) -> Result<Arc<Exchange>, ApiError> {
    let Boot { node, address, boot, begun, .. } = boot;
    let archive = archive_of(cluster, &node);
    let at = clock::steady_milliseconds() / 1000;
    use_of(state, &node, Exchange { boot, begun, key, address, archive, at, succeeded: None }).await
}

/// A ticket of this controller is used while the database is away, too, and its use kept here. One of another controller waits, since that one
/// may have taken it.
async fn use_of(state: &State, node: &str, wanted: Exchange) -> Result<Arc<Exchange>, ApiError> {
    let (address, name) = (wanted.address, Name::trusted(node));
    let exchanged = state.boots.exchange(&name, wanted.clone());
    let exchanged = match state.stored_or_away(exchanged).await {
        Err(perilune_boards::Error::Store(error))
            if error.is_away() && is_of_here(state, &wanted.boot) =>
        {
            keep_use(state, name, wanted, error).await?
        }
        exchanged => exchanged?,
    };
    exchanged.map_err(|refused| {
        tracing::warn!(node, %address, reason = %refused, "a ticket was refused");
        refusal(&refused.to_string())
    })
}

/// Keeps the use of a ticket that the board shows, and that is not stored.
async fn keep_use(
    state: &State,
    node: Name,
    wanted: Exchange,
    error: perilune_store::Error,
) -> Result<Result<Arc<Exchange>, Refusal>, ApiError> {
    // What was refused is not shown.
    let shown = state.boots.exchange_of(node.as_str(), &wanted.boot);
    let shown = shown.filter(|shown| shown.key == wanted.key && shown.address == wanted.address);
    let Some(exchange) = shown else { return Ok(Err(Refusal::Used)) };
    let entry = Entry::Exchange { node: node.clone(), exchange: Exchange::clone(&exchange) };
    state.spool.keep(entry).await.map_err(|failed| {
        tracing::error!(%node, error = %failed, "the use of a ticket is not kept either");
        error
    })?;
    Ok(Ok(exchange))
}

/// The token of an installer that has no ticket, while a boot of its node is expected; `None` when none is. One that asks again in the
/// same boot gets the same.
pub(super) async fn without_ticket(
    state: &State,
    cluster: &Cluster,
    node: &str,
    address: IpAddr,
) -> Result<Option<String>, ApiError> {
    let Some(window) = state.boots.window_anywhere(node).await else { return Ok(None) };
    let running = running_in(state, node, &window);
    if let Some(running) =
        running.filter(|running| running.key.is_none() && running.address == address)
    {
        return token_of(state, node, &running).map(Some);
    }
    new_boot(state, cluster, node, address).await.map(Some)
}

/// The token of the boot that runs, for the node that has shown it.
pub(super) fn of_running(state: &State, node: &str) -> Result<Option<String>, ApiError> {
    let running = state.boots.running(node);
    running.map(|running| token_of(state, node, &running)).transpose()
}

/// The token that an administrator sees who asks for a node's script, or an installer that asks with an administrator's token: that of the
/// boot that runs, which must not end because somebody looks. One that is sealed to a key is shown to nobody.
pub(super) async fn for_administrator(
    state: &State,
    cluster: &Cluster,
    node: &str,
    address: IpAddr,
) -> Result<Option<String>, ApiError> {
    let Some(window) = state.boots.window_anywhere(node).await else { return Ok(None) };
    match running_in(state, node, &window) {
        Some(running) if running.key.is_some() => Ok(None),
        Some(running) => token_of(state, node, &running).map(Some),
        None => new_boot(state, cluster, node, address).await.map(Some),
    }
}

/// The boot of a node that was served in this window.
fn running_in(state: &State, node: &str, window: &Window) -> Option<Arc<Exchange>> {
    state.boots.running(node).filter(|running| running.begun >= window.opened)
}

async fn new_boot(
    state: &State,
    cluster: &Cluster,
    node: &str,
    address: IpAddr,
) -> Result<String, ApiError> {
    let (boot, begun, at) =
        (new_name(state)?, state.boots.now(), clock::steady_milliseconds() / 1000);
    let archive = archive_of(cluster, node);
    let wanted = Exchange { boot, begun, key: None, address, archive, at, succeeded: None };
    let exchange = use_of(state, node, wanted).await?;
    token_of(state, node, &exchange)
}

/// The addresses that a node's machine can have: reserved, lent, or chosen by its firmware.
pub(super) fn addresses_of(state: &State, node: &Node) -> Vec<IpAddr> {
    let chosen = state.boots.window(node.name.as_str()).and_then(|window| window.chosen);
    let of_interface = |interface: &Interface| {
        let lent = interface.macaddress.into_iter().flat_map(|mac| state.leases.of(mac));
        lent.chain(interface.addresses.iter()).collect::<Vec<_>>()
    };
    chosen.into_iter().chain(node.interfaces.iter().flat_map(of_interface)).collect()
}

/// A token that was sealed to a key travels in the clear with each request. Whoever has read it must not be given secrets in the clear for
/// it: the machine itself has them in its plan, which is sealed.
pub(super) fn refuse_in_clear(state: &State, node: &str, bearer: &Bearer) -> Result<(), ApiError> {
    let has_key = |running: Arc<Exchange>| running.key.is_some();
    if bearer.is_node() && state.boots.running(node).is_some_and(has_key) {
        let reason = "the node's secrets are in its plan (/boot/plan), sealed to the key of this boot, and are not given in the clear";
        return Err(ApiError::Forbidden(reason.to_owned()));
    }
    Ok(())
}

pub(super) fn token_of(state: &State, node: &str, exchange: &Exchange) -> Result<String, ApiError> {
    let token = state.keys.for_node(node, exchange);
    token.map_err(|error| ApiError::Defect(error.to_string()))
}

/// The archive of a node's image and tag.
pub(super) fn archive_of(cluster: &Cluster, node: &str) -> Option<String> {
    let node = cluster.nodes().get(node)?;
    Effective::of_node(cluster, node).files()?.imagefile.clone()
}

fn new_name(state: &State) -> Result<String, ApiError> {
    let mut bytes = [0; NAME_LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| ApiError::Defect(error.to_string()))?;
    Ok(format!("{}{}", mark_of(state), URL_SAFE_NO_PAD.encode(bytes)))
}

/// How the names of boots begin that this controller has begun to serve. It is signed with the rest of the ticket.
fn mark_of(state: &State) -> String {
    let digest = Sha256::digest(state.controllers.name());
    let mut mark = URL_SAFE_NO_PAD.encode(digest);
    mark.truncate(MARK_LENGTH);
    mark
}

fn is_of_here(state: &State, boot: &str) -> bool {
    boot.starts_with(&mark_of(state))
}

pub(super) fn refusal(text: &str) -> ApiError {
    ApiError::Unauthenticated(text.to_owned())
}

/// Whether the query has a ticket.
pub(super) async fn is_shown(parts: &mut Parts, state: &State) -> bool {
    Query::<Ticket>::from_request_parts(parts, state).await.is_ok()
}

/// Lets in a distribution's installer that shows the ticket of its boot in the address that it asks for.
pub(super) async fn admit_shown(parts: &mut Parts, state: &State) -> Result<Bearer, ApiError> {
    let Query(Ticket { ticket, .. }) = Query::from_request_parts(parts, state).await?;
    let Path(node) = Path::<String>::from_request_parts(parts, state).await?;
    let Ok(source) = Source::from_request_parts(parts, state).await;
    // Whoever goes on with this request has the same view.
    let Ok(view) = View::from_request_parts(parts, state).await;
    let boot = redeem(state, &view.cluster, &node, source, &ticket)?;
    if view.cluster.settings().security {
        return Err(refusal(
            "this cluster has security on, and the distribution's installer cannot show what the machine's TPM measured",
        ));
    }
    // It has no key and no port of root: what binds the ticket is the address, and the window.
    if state.boots.window_anywhere(&node).await.is_none() {
        return Err(refusal("no boot of this node is expected any longer; boot the machine again"));
    }
    let exchange = bind(state, &view.cluster, boot, None).await?;
    Ok(Bearer::Node(NodeToken::new(parts, node, exchange.archive.clone())?))
}
