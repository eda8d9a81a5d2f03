//! `/boot/claim`: what unknown machines say, or seem, to be, and how an administrator accepts it; `/config/claimrule`: how many are
//! accepted in advance.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_daemon::boots::Evidence;
use perilune_daemon::clock::{self, rfc3339};
use perilune_model::discovery::{self, Wish, rules};
use perilune_model::{Draft, Error as Refusal, Kind, MacAddress, Name, NotAMacAddress};
use perilune_wire::claim::{ClaimRuleKeys, rule_request};
use perilune_wire::described;
use perilune_wire::envelope::Config;
use perilune_wire::fields::Fields;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::shown;
use crate::answer::{self, Message};
use crate::extract::{Body, Caller, Path};
use crate::json::Json;
use crate::permissions::{Routes, operators, viewers};
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(viewers(), routes!(list))
        .add(operators().changes(), routes!(accept))
        .add(viewers(), routes!(list_rules))
        .add(viewers(), routes!(show_rule))
        .add(operators().changes(), routes!(save_rule))
        .add(operators().changes(), routes!(remove_rule))
}

/// Machines that wait for a yes.
#[derive(Serialize, ToSchema)]
struct Waiting {
    claims: Vec<ClaimKeys>,
}

/// A machine that says, or seems, to be a node.
#[derive(Serialize, ToSchema)]
struct ClaimKeys {
    macaddress: String,
    /// Where it asks from.
    address: String,
    /// The node that it wants to be; none when that is the next of a group.
    node: Option<String>,
    /// The group whose next node it wants to be.
    group: Option<String>,
    /// Why, where it did not say so itself: its port, its cloud, its address.
    reason: Option<String>,
    /// The machine whose place it would take.
    replaces: Option<String>,
    /// RFC 3339.
    since: String,
}

/// What a machine has become.
#[derive(Serialize, ToSchema)]
struct Accepted {
    /// The node.
    node: String,
    /// The MAC address whose place it took.
    replaced: Option<String>,
}

/// Machines that say, or seem, to be a node, and wait for a yes.
#[utoipa::path(get, path = "/boot/claim", tag = "boot", responses(
    (status = 200, description = "A list below claims", body = Waiting),
))]
async fn list(state: axum::extract::State<State>) -> Response {
    let cluster = state.cluster.published();
    let claims = state.claims.all();
    let waiting = claims.iter().filter(|(mac, _)| cluster.node_by_mac(**mac).is_none());
    let waiting = waiting.map(|(mac, claim)| ClaimKeys {
        macaddress: mac.to_string(),
        address: claim.address.to_string(),
        node: match &claim.wish {
            Wish::Node(node) => Some(node.to_string()),
            Wish::NextOf(_) => None,
        },
        group: match &claim.wish {
            Wish::Node(_) => None,
            Wish::NextOf(group) => Some(group.to_string()),
        },
        reason: claim.reason.clone(),
        replaces: claim.wish.replaces(&cluster, *mac).map(|mac| mac.to_string()),
        since: rfc3339(claim.since),
    });
    Json(Waiting { claims: waiting.collect() }).into_response()
}

fn accepted(fields: &mut Fields<'_>) -> (bool, Option<Name>) {
    let node = fields.help("The node, where the machine claims nothing").name("node", Name::host);
    let replace = fields.help("It takes the place of the node's present machine").flag("replace");
    (replace, node.value().cloned())
}

perilune_wire::described! {
    /// Which node a machine becomes.
    Acceptance, accepted, { "node": "node001", "replace": true }
}

/// Makes an unknown machine what it claims to be, or the node that the request names, and expects its boot.
#[utoipa::path(post, path = "/boot/claim/{macaddress}/_accept", tag = "boot", security(("token" = [])), request_body = Acceptance, responses(
    (status = 200, description = "The node that it became, and the MAC address whose place it took", body = Accepted),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 404, description = "The machine claims nothing, or what it claims is not there", body = Problem),
    (status = 409, description = "The node is another machine already, and the request does not say that this one replaces it", body = Problem),
))]
async fn accept(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(mac): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    // Whether the machine may take the place of the one that the node has now, and the node where it claims nothing.
    let (replace, node) = body.read(&[], accepted)?;
    let mac: MacAddress = mac.parse().map_err(|error: NotAMacAddress| {
        ApiError::Malformed(format!("'{}': {error}", shown(&mac)))
    })?;
    let claimed = || state.claims.of(mac).map(|claim| claim.wish.clone());
    let wish = node.map(Wish::Node).or_else(claimed).ok_or_else(|| {
        ApiError::NotFound(format!(
            "the machine {mac} claims nothing; 'perilune node adopt {mac} NAME' makes it a node"
        ))
    })?;
    let cluster = state.cluster.published();
    if let Wish::Node(name) = &wish {
        cluster.node(name.as_str())?;
    }
    let replaced = wish.replaces(&cluster, mac);
    if let Some(present) = replaced.filter(|_| !replace) {
        return Err(ApiError::Conflict(format!(
            "{wish} is the machine {present} already; say that this one replaces it (perilune node adopt {mac} --replace)"
        )));
    }
    let decide = move |draft: &mut Draft| -> Result<Name, Refusal> {
        // Somebody may have given it another machine since; that one nobody has said to replace.
        if wish.replaces(draft, mac) != replaced {
            let reason = "the node has another machine by now; look again";
            return Err(Refusal::invalid("macaddress", reason));
        }
        let missing = || Refusal::NotFound { kind: Kind::Node, name: wish.to_string() };
        discovery::accept(draft, mac, &wish)?.ok_or_else(missing)
    };
    let node = state.cluster.commit(caller.meta(), decide).await?;
    state.claims.forget(mac);
    if replaced.is_some() {
        // What the former machine was given is good for nothing from now on.
        state.boots.forget(&node).await?;
    }
    state.boots.expect(&node, Evidence::Arm, None);
    let replaced = replaced.map(|mac| mac.to_string());
    Ok(Json(Accepted { node: node.to_string(), replaced }).into_response())
}

fn keys(rule: &discovery::ClaimRule) -> ClaimRuleKeys<'_> {
    ClaimRuleKeys::new(rule, rfc3339(rule.until), clock::milliseconds())
}

/// Rules that accept claims in advance.
#[utoipa::path(get, path = "/config/claimrule", tag = "boot", responses(
    (status = 200, description = "Rules by name, below config and claimrule", body = ClaimRuleKeys),
    (status = 404, description = "There is no rule", body = Problem),
))]
async fn list_rules(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let rules = cluster.claim_rules();
    let entries = rules.values().map(|rule| (rule.name.as_str(), keys(rule))).collect();
    answer::listed(rules.is_empty(), "rule for claims", Config { resource: "claimrule", entries })
}

/// One rule that accepts claims.
#[utoipa::path(get, path = "/config/claimrule/{name}", tag = "boot", responses(
    (status = 200, description = "The rule by name, below config and claimrule", body = ClaimRuleKeys),
    (status = 404, description = "There is no such rule", body = Problem),
))]
async fn show_rule(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let rule = cluster.claim_rule(&name)?;
    Ok(Json(Config::one("claimrule", &name, keys(rule))).into_response())
}

/// Accepts claims in advance: `count` of them, for `seconds`, of one `group` or from one `network` where these are given.
#[utoipa::path(post, path = "/config/claimrule/{name}", tag = "boot", request_body = described::ClaimRuleRequest, responses(
    (status = 201, description = "It is new", body = Message),
    (status = 204, description = "It was there and is as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
))]
async fn save_rule(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let key = Name::general(&name).map_err(|error| {
        ApiError::Malformed(format!("invalid rule name '{}': {error}", shown(&name)))
    })?;
    let now = clock::milliseconds();
    let rule =
        body.read(&["config", "claimrule", &name], |fields| rule_request(fields, &key, now))?;
    let decide = move |draft: &mut Draft| rules::save(draft, rule.clone(), now);
    let saved = state.cluster.commit(caller.meta(), decide).await?;
    Ok(answer::saved(saved, "Rule", &name))
}

/// Removes a rule: claims wait for a yes again.
#[utoipa::path(get, path = "/config/claimrule/{name}/_delete", tag = "boot", responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such rule", body = Problem),
))]
async fn remove_rule(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let decide = move |draft: &mut Draft| draft.remove(Kind::ClaimRule, &name);
    state.cluster.commit(caller.meta(), decide).await?;
    Ok(answer::done())
}
