//! Machines that say, or seem, to be a node: what becomes of that, and what their consoles are told meanwhile.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use perilune_boot::percent_encode;
use perilune_daemon::boots::Evidence;
use perilune_daemon::causes::chain;
use perilune_daemon::claims::Claim;
use perilune_daemon::clock;
use perilune_model::discovery::{self, Decision, Wish};
use perilune_model::{Draft, MacAddress, Name};

use super::{Ask, meta_of_machine, script_of_new, with_site};
use crate::problem::ApiError;
use crate::source::Source;
use crate::state::State;
use crate::view::View;

/// What a machine says at its console that it is. Only what a rule of the site accepts becomes a node by itself: anybody can ask.
pub(super) async fn claimed(
    state: &State,
    view: &View,
    source: Source,
    mac: MacAddress,
    wish: Wish,
) -> Result<Response, ApiError> {
    let meta = meta_of_machine(source.address, mac);
    let (from, now, wanted) = (Some(source.address), meta.at, wish.clone());
    let decide = move |draft: &mut Draft| discovery::decide(draft, mac, &wanted, from, now);
    // Whoever waits asks again and again, and needs no turn among the changes.
    let foreseen = decide.clone()(&mut Draft::new(&state.cluster.published()));
    let is_waiting = matches!(foreseen, Ok(Decision::Waits));
    if is_waiting || !state.claims.admit(source.address, clock::steady_milliseconds()) {
        return Ok(wait_for_a_yes(state, view, source, mac, wish, None));
    }
    match state.cluster.commit(meta, decide).await {
        Ok(Decision::Accepted { node, rule }) => {
            let rule = rule.map(|rule| rule.to_string());
            tracing::info!(%node, %mac, rule, "a machine was made a node at its console");
            become_node(state, mac, &node);
            script_of_new(state, Ask { source, mac, again: 0 }).await
        }
        Ok(Decision::NoneLeft) => {
            Ok((StatusCode::NOT_FOUND, "No Node is available for this group").into_response())
        }
        Ok(Decision::Waits) => Ok(wait_for_a_yes(state, view, source, mac, wish, None)),
        Err(error) => Ok(not_made_a_node(state, view, source, mac, &chain(&error))),
    }
}

/// A claim was accepted: the machine is expected to boot as what it is now.
pub(super) fn become_node(state: &State, mac: MacAddress, node: &Name) {
    state.claims.forget(mac);
    state.boots.expect(node, Evidence::Arm, None);
}

/// Notes what a machine says, or seems, to be. Its console waits, and goes on by itself when that is accepted.
pub(super) fn wait_for_a_yes(
    state: &State,
    view: &View,
    source: Source,
    mac: MacAddress,
    wish: Wish,
    reason: Option<String>,
) -> Response {
    let path = match &wish {
        _ if reason.is_some() => format!("/boot/search/mac/{mac}"),
        Wish::NextOf(group) => {
            format!("/boot/manual/group/{}/{mac}", percent_encode(group.as_str()))
        }
        Wish::Node(node) => format!("/boot/manual/hostname/{node}/{mac}"),
    };
    let now = clock::milliseconds();
    state.sightings.seen(mac, Some(source.address), None, now);
    let replaced = wish.replaces(&view.cluster, mac);
    let told = match &replaced {
        Some(present) => format!("{wish}, in place of {present}"),
        None => wish.to_string(),
    };
    let waiting = perilune_boot::Error::Waiting {
        mac: mac.to_string(),
        wish: told,
        replaces: replaced.is_some(),
    };
    let claim = Claim { wish, reason, address: source.address, since: now };
    state.claims.claim(mac, claim, clock::steady_milliseconds());
    with_site(state, view, source, |site| Ok(site.waiting_script(&waiting, &path)))
}

/// What somebody chose or typed at the machine's console cannot be: the console says why, before the menu comes again.
pub(super) fn not_made_a_node(
    state: &State,
    view: &View,
    source: Source,
    mac: MacAddress,
    reason: &str,
) -> Response {
    tracing::warn!(%mac, error = reason, "a machine could not be made a node");
    let refused = perilune_boot::Error::Refused { mac: mac.to_string(), reason: reason.to_owned() };
    with_site(state, view, source, |site| Ok(site.failed_script(&refused)))
}
