//! `/boot`: what machines fetch between their firmware and their own init.

mod asker;
mod claimed;

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::operations::routes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use perilune_boot::{Error as Failure, Machine, NamedScript, OnDisk, Site};
use perilune_daemon::boots::Evidence;
use perilune_daemon::causes::chain;
use perilune_daemon::clock;
use perilune_daemon::identity;
use perilune_daemon::status::{RENDERED, RunningImage, SUCCESS};
use perilune_model::discovery::{Identified, Wish};
use perilune_model::{Cluster, MacAddress, Name, NotAMacAddress};
use perilune_plan::{Plan, Purpose};
use perilune_store::Meta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::shown;
use crate::boot::asker::Asker;
use crate::boot::claimed::{become_node, claimed, not_made_a_node, wait_for_a_yes};
use crate::extract::{Bearer, Path};
use crate::json::Json;
use crate::permissions::{Routes, admins, everybody, operators};
use crate::problem::{ApiError, Problem};
use crate::query::Query;
use crate::source::Source;
use crate::state::State;
use crate::ticket::{self, SealedKeys};
use crate::view::View;

const DISCOVERED: &str = "install.discovered";
/// So often a machine asks for its address again before its console says what is missing.
const AGAIN: u8 = 2;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(everybody(), routes!(menu))
        .add(everybody(), routes!(short_menu))
        .add(everybody(), routes!(disk))
        .add(everybody(), routes!(search))
        .add(everybody().acts(), routes!(manual_group))
        .add(everybody().acts(), routes!(manual_host))
        .add(
            admins().or_node("node").reveals("was given an install script with its token"),
            routes!(install),
        )
        .add(
            admins()
                .or_node("node")
                .or_ticket()
                .reveals("was given a kickstart file with its token"),
            routes!(kickstart),
        )
        .add(operators().or_any_node(), routes!(role))
        .add(operators().or_any_node(), routes!(script))
        .add(
            admins().or_node("node").reveals("was given the plan of a node with its secrets"),
            routes!(plan),
        )
}

/// The boot menu. A machine at the address of a node goes straight to that node's script.
#[utoipa::path(get, path = "/boot", tag = "boot", responses((status = 200, description = "A script for iPXE", body = String)))]
async fn menu(state: axum::extract::State<State>, view: View, Asker(source): Asker) -> Response {
    with_site(&state, &view, source, |site| match site.past_the_menu(source.address) {
        Some(mac) => Ok(site.direct_script(mac)),
        None => site.menu(),
    })
}

/// The boot menu, of few words.
#[utoipa::path(get, path = "/boot/short", tag = "boot", responses((status = 200, description = "A script for iPXE", body = String)))]
async fn short_menu(
    state: axum::extract::State<State>,
    view: View,
    Asker(source): Asker,
) -> Response {
    with_site(&state, &view, source, |site: &Site<'_>| site.short_menu())
}

/// On from the machine's own disk.
#[utoipa::path(get, path = "/boot/disk", tag = "boot", responses((status = 200, description = "A script for iPXE", body = String)))]
async fn disk(state: axum::extract::State<State>, view: View, Asker(source): Asker) -> Response {
    with_site(&state, &view, source, |site: &Site<'_>| site.disk_script())
}

/// The script of the machine with this hardware address.
#[utoipa::path(get, path = "/boot/search/mac/{macaddress}", tag = "boot", responses(
    (status = 200, description = "A script for iPXE; what is wrong is said by it, too", body = String),
    (status = 400, description = "It is no hardware address", body = Problem),
))]
async fn search(
    state: axum::extract::State<State>,
    view: View,
    Asker(source): Asker,
    Path(mac): Path<String>,
    Query(Tried { again }): Query<Tried>,
) -> Result<Response, ApiError> {
    let mac = mac_address(&mac)?;
    if let Ok(machine) = view.site(&state).machine(mac) {
        return script_of(&state, &view, Ask { source, mac, again }, Ok(machine)).await;
    }
    let asker = source.address;
    let admit = || state.claims.admit(asker, clock::steady_milliseconds());
    match state.discovery.identify(mac, asker, meta_of_machine(asker, mac), admit).await {
        Identified::Became(node, _) => become_node(&state, mac, &node),
        Identified::Waits(wish, reason) => {
            let reason = Some(reason.to_string());
            return Ok(wait_for_a_yes(&state, &view, source, mac, wish, reason));
        }
        Identified::Unknown => {}
    }
    script_of_new(&state, Ask { source, mac, again }).await
}

/// How often the machine has asked for an address again, so that the controller sees it.
#[derive(Deserialize)]
struct Tried {
    #[serde(default)]
    again: u8,
}

/// The machine says that it is the next node of a group: it becomes that by a rule of the site, or when an administrator accepts it.
#[utoipa::path(get, path = "/boot/manual/group/{groupname}/{macaddress}", tag = "boot", responses(
    (status = 200, description = "A script for iPXE; what is wrong is said by it, too", body = String),
    (status = 400, description = "It is no hardware address", body = Problem),
    (status = 404, description = "The group has no node left, and none may be made", body = String),
))]
async fn manual_group(
    state: axum::extract::State<State>,
    view: View,
    Asker(source): Asker,
    Path((group, mac)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let mac = mac_address(&mac)?;
    let machine = view.site(&state).machine(mac);
    if !matches!(machine, Err(Failure::UnknownMachine { .. })) {
        return script_of(&state, &view, Ask { source, mac, again: 0 }, machine).await;
    }
    let group = match view.cluster.group(&group) {
        Ok(group) => group.name.clone(),
        Err(error) => return Ok(not_made_a_node(&state, &view, source, mac, &chain(&error))),
    };
    claimed(&state, &view, source, mac, Wish::NextOf(group)).await
}

/// The machine says which node it is, and becomes that when an administrator accepts it.
#[utoipa::path(get, path = "/boot/manual/hostname/{hostname}/{macaddress}", tag = "boot", responses(
    (status = 200, description = "A script for iPXE; what is wrong is said by it, too", body = String),
    (status = 400, description = "It is no hardware address, or no host name", body = Problem),
))]
async fn manual_host(
    state: axum::extract::State<State>,
    view: View,
    Asker(source): Asker,
    Path((host, mac)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let mac = mac_address(&mac)?;
    let host = crate::node::node_name(&host)?;
    let machine = view.site(&state).machine(mac);
    let is_decided = match &machine {
        Ok(machine) => machine.node.name == host,
        Err(failure) => !matches!(failure, Failure::UnknownMachine { .. }),
    };
    if is_decided {
        return script_of(&state, &view, Ask { source, mac, again: 0 }, machine).await;
    }
    match view.cluster.node(host.as_str()) {
        Ok(node) => {
            let wish = Wish::Node(node.name.clone());
            claimed(&state, &view, source, mac, wish).await
        }
        Err(error) => Ok(not_made_a_node(&state, &view, source, mac, &chain(&error))),
    }
}

/// The install script, for installers that are made elsewhere.
#[utoipa::path(get, path = "/boot/install/{node}", tag = "boot", responses(
    (status = 200, description = "A script for bash", body = String),
    (status = 404, description = "There is none for this node", body = String),
))]
async fn install(
    state: axum::extract::State<State>,
    view: View,
    source: Source,
    bearer: Bearer,
    Path(node): Path<String>,
) -> Result<Response, ApiError> {
    ticket::refuse_in_clear(&state, &node, &bearer)?;
    let token = if bearer.is_node() {
        ticket::of_running(&state, &node)?
    } else {
        let at = installer_at(&state, &view.cluster, &node, source);
        ticket::for_administrator(&state, &view.cluster, &node, at).await?
    };
    // While no boot is expected the script is for looking at.
    let token = token.unwrap_or_default();
    Ok(rendered(&state, &view, (&node, &bearer), |site| site.install_script(&node, &token)))
}

/// What the distribution's own installer reads. It sends no header, so the ticket of its boot stands in the address that it was given.
#[utoipa::path(get, path = "/kickstart/install/{node}", tag = "boot", params(
    ("ticket" = Option<String>, Query, description = "The ticket that the boot script gives; without it, a token is needed"),
), responses(
    (status = 200, description = "A kickstart file", body = String),
    (status = 401, description = "The ticket is for another node, another address, or a boot that is over", body = Problem),
    (status = 404, description = "There is none for this node", body = String),
))]
async fn kickstart(
    state: axum::extract::State<State>,
    view: View,
    bearer: Bearer,
    Path(node): Path<String>,
) -> Result<Response, ApiError> {
    ticket::refuse_in_clear(&state, &node, &bearer)?;
    // Who only looks sees none.
    let token = if bearer.is_node() { ticket::of_running(&state, &node)? } else { None };
    let token = token.unwrap_or_default();
    Ok(rendered(&state, &view, (&node, &bearer), |site| site.kickstart_file(&node, &token)))
}

/// A role, below its name.
#[derive(Serialize, ToSchema)]
struct RoleKeys {
    role: BTreeMap<String, RoleTexts>,
}

/// What a role runs.
#[derive(Serialize, ToSchema)]
struct RoleTexts {
    /// The unit for systemd, base64.
    unit: String,
    /// The script that it runs, base64.
    script: String,
}

/// A named script, below its name.
#[derive(Serialize, ToSchema)]
struct ScriptKeys {
    script: BTreeMap<String, ScriptParts>,
}

/// The parts of a named script, base64, none of them empty.
#[derive(Serialize, ToSchema)]
struct ScriptParts {
    prescript: String,
    partscript: String,
    postscript: String,
}

/// What the installer is to do, plain or sealed to the key of its boot.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes the answer in the API's document")]
enum PlanAnswer {
    Plain(Box<Plan>),
    Sealed(SealedKeys),
}

/// A role's unit and script, for installers.
#[utoipa::path(get, path = "/boot/roles/{role}", tag = "boot", responses(
    (status = 200, description = "The unit and the script, base64", body = RoleKeys),
    (status = 404, description = "There is no such role", body = Problem),
))]
async fn role(
    state: axum::extract::State<State>,
    Path(role): Path<String>,
) -> Result<Response, ApiError> {
    let found = state.templates.role(&role);
    let found =
        found.ok_or_else(|| ApiError::NotFound(format!("there is no role '{}'", shown(&role))))?;
    let found = RoleTexts { unit: found.unit, script: found.script };
    Ok(Json(RoleKeys { role: [(role, found)].into() }).into_response())
}

/// A named script, for installers.
#[utoipa::path(get, path = "/boot/scripts/{script}", tag = "boot", responses(
    (status = 200, description = "Its parts, base64", body = ScriptKeys),
    (status = 404, description = "There is no such script", body = Problem),
))]
async fn script(
    state: axum::extract::State<State>,
    Path(script): Path<String>,
) -> Result<Response, ApiError> {
    let found = state.templates.named_script(&script);
    let found = found
        .ok_or_else(|| ApiError::NotFound(format!("there is no script '{}'", shown(&script))))?;
    let NamedScript { prescript, partscript, postscript } = found;
    let found = ScriptParts { prescript, partscript, postscript };
    Ok(Json(ScriptKeys { script: [(script, found)].into() }).into_response())
}

/// What the node's installer is to do.
#[utoipa::path(get, path = "/boot/plan/{node}", tag = "boot", responses(
    (status = 200, description = "The plan", body = PlanAnswer),
    (status = 404, description = "There is no such node", body = Problem),
    (status = 409, description = "The node cannot be installed; the message says why", body = Problem),
))]
async fn plan(
    state: axum::extract::State<State>,
    view: View,
    bearer: Bearer,
    Path(node): Path<String>,
) -> Result<Response, ApiError> {
    let running = state.boots.running(&node).filter(|_| bearer.is_node());
    let key = running.as_ref().and_then(|running| running.key.as_ref());
    let view = match key {
        Some(_) => {
            let cluster = identity::ensure(&state, &node, bearer.meta().meta).await?;
            view.after(&state, cluster)
        }
        None => view,
    };
    match view.site(&state).plan(&node) {
        Ok(mut plan) => {
            told(&state, &view, &node, &bearer);
            // Nobody looks for what is not there.
            let torrent = plan.image.torrent.as_ref();
            let torrent = torrent.map(|torrent| state.settings.image_files.join(torrent));
            if let Some(torrent) = torrent
                && !tokio::fs::try_exists(torrent).await.unwrap_or(false)
            {
                plan.image.torrent = None;
            }
            match key {
                // It holds secrets, and the network may be read by others.
                Some(key) => ticket::sealed(key, &plan, Purpose::Plan, &node, StatusCode::OK),
                None => {
                    // Private keys are for the node alone, whoever looks at its plan.
                    plan.identity = None;
                    Ok(Json(plan).into_response())
                }
            }
        }
        Err(error @ Failure::UnknownNode { .. }) => Err(ApiError::NotFound(error.to_string())),
        Err(error) => Err(ApiError::Conflict(error.to_string())),
    }
}

/// Notes what a node is told to install. Whoever else looks at it installs nothing.
fn told(state: &State, view: &View, node: &str, bearer: &Bearer) {
    let Ok(node) = view.cluster.node(node) else { return };
    let now = clock::milliseconds();
    match RunningImage::of(&view.cluster, node).filter(|_| bearer.is_node()) {
        Some(image) => state.status.told(&node.name, image, now),
        None => state.status.report(&node.name, RENDERED, None, now),
    }
}

/// A machine asks for its script.
#[derive(Clone, Copy)]
struct Ask {
    source: Source,
    mac: MacAddress,
    /// How often it asked for an address again.
    again: u8,
}

/// The script of a machine about which something may have been decided since it asked.
async fn script_of_new(state: &State, ask: Ask) -> Result<Response, ApiError> {
    let view = View::now(state, ask.source);
    script_of(state, &view, ask, view.site(state).machine(ask.mac)).await
}

/// The script of a machine, known or not; what is wrong is said on its console.
async fn script_of(
    state: &State,
    view: &View,
    ask: Ask,
    machine: Result<Machine<'_>, Failure>,
) -> Result<Response, ApiError> {
    let Ask { source, mac, .. } = ask;
    let script = match machine {
        Ok(machine) => {
            ticket::look_elsewhere(state, machine.node, machine.interface, source).await;
            let view = view.where_files_are(state, machine.node).await;
            script_of_node(state, &view, ask, &machine)?
        }
        Err(failure) => Err(failure),
    };
    match script {
        Ok(script) => Ok(text(asker::told_of_proxy(script, source))),
        Err(failure) => {
            if matches!(failure, Failure::UnknownMachine { .. }) {
                state.sightings.seen(mac, Some(source.address), None, clock::milliseconds());
            } else {
                tracing::warn!(%mac, error = chain(&failure), "a machine cannot boot");
            }
            let script = view.site(state).failed_script(&failure);
            Ok(text(asker::told_of_proxy(script, source)))
        }
    }
}

/// One that needs a ticket and gets none asks for an address again, so that the controller sees its firmware; after that the console says
/// what is missing.
fn script_of_node(
    state: &State,
    view: &View,
    Ask { source, mac, again }: Ask,
    machine: &Machine<'_>,
) -> Result<Result<String, Failure>, ApiError> {
    let site = view.site(state);
    let node = machine.node;
    let ticket = ticket::of_machine(state, node, machine.interface, source)?;
    let installed = state.installations.get(node.name.as_str());
    let on_disk = installed.as_ref().map_or_else(OnDisk::default, |known| OnDisk {
        start: Some(&known.start),
        reinstall: known.reinstall,
    });
    let script = site.node_script(machine, ticket.as_deref().unwrap_or_default(), on_disk);
    let script = match script.and_then(|script| paused(state, &view.cluster, script)) {
        Ok(script) => script,
        Err(failure) => return Ok(Err(failure)),
    };
    // A node that starts from its disk is not being installed, and needs no ticket.
    if script.image.is_none() {
        return Ok(Ok(script.text));
    }
    if ticket.is_none() {
        let asks_again = again < AGAIN && state.boots.accepts(Evidence::Dhcp);
        return Ok(if asks_again {
            Ok(site.ask_again_script(&node.name, mac, again + 1))
        } else {
            Err(unexpected(state, &node.name, source))
        });
    }
    if is_news(state, &node.name) {
        state.status.report(&node.name, DISCOVERED, None, clock::milliseconds());
    }
    Ok(Ok(script.text))
}

/// Any user of an installed node can ask for its script. Where that alone opens the window, it does not make the node's state another.
fn is_news(state: &State, node: &Name) -> bool {
    let window = state.boots.window(node.as_str());
    let is_weak = window.is_none_or(|window| window.evidence == Evidence::Search);
    let is_installed = state.status.get(node.as_str()).is_some_and(|known| known.state == SUCCESS);
    !(is_weak && is_installed)
}

/// What is missing for a ticket.
fn unexpected(state: &State, node: &Name, source: Source) -> Failure {
    let is_open = state.boots.window(node.as_str()).is_some();
    let lack = if is_open {
        format!(
            "this request came from {}, which is neither reserved for it nor lent to it; let it get its address from the cluster's DHCP server",
            source.address
        )
    } else {
        format!(
            "no boot of it is expected: nothing that counts here was seen ({}). To allow it: perilune node arm {node}",
            state.boots.accepted().iter().map(|kind| kind.word()).collect::<Vec<_>>().join(", ")
        )
    };
    Failure::Incomplete { node: node.to_string(), lack }
}

/// Where an installer is whose script an administrator's token asks for: here, or where the node can be when anybody may ask.
fn installer_at(state: &State, cluster: &Cluster, node: &str, source: Source) -> IpAddr {
    if !source.is_anybody() {
        return source.address;
    }
    let possible = cluster.node(node).map(|node| ticket::addresses_of(state, node));
    possible.ok().and_then(|possible| possible.first().copied()).unwrap_or(source.address)
}

/// Machines wait while the files of their image are being replaced, where the cluster's settings say so.
fn paused(
    state: &State,
    cluster: &Cluster,
    script: perilune_boot::NodeScript,
) -> Result<perilune_boot::NodeScript, Failure> {
    let packing = script.image.as_ref().filter(|image| state.jobs.is_packing(image.as_str()));
    match packing.filter(|_| cluster.settings().packing_bootpause) {
        None => Ok(script),
        Some(image) => Err(Failure::Incomplete {
            node: script.node.to_string(),
            lack: format!("its image '{image}' is being packed; it boots as soon as that is done"),
        }),
    }
}

/// A script that only an installer asks for: failures are plain text and 404, as it expects.
fn rendered(
    state: &State,
    view: &View,
    (node, bearer): (&str, &Bearer),
    render: impl FnOnce(&Site<'_>) -> Result<String, Failure>,
) -> Response {
    match render(&view.site(state)) {
        Ok(script) => {
            told(state, view, node, bearer);
            text(script)
        }
        Err(failure) => {
            (StatusCode::NOT_FOUND, text(format!("{}\n", chain(&failure)))).into_response()
        }
    }
}

fn with_site(
    state: &State,
    view: &View,
    source: Source,
    render: impl FnOnce(&Site<'_>) -> Result<String, Failure>,
) -> Response {
    let site = view.site(state);
    let script = render(&site).unwrap_or_else(|failure| {
        tracing::warn!(error = chain(&failure), "a boot menu cannot be made");
        site.failed_script(&failure)
    });
    text(asker::told_of_proxy(script, source))
}

fn text(script: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], script).into_response()
}

fn mac_address(text: &str) -> Result<MacAddress, ApiError> {
    let wrong = |reason: String| ApiError::Malformed(format!("'{}': {reason}", shown(text)));
    let mac: MacAddress = text.parse().map_err(|error: NotAMacAddress| wrong(error.to_string()))?;
    // Of InfiniBand iPXE says the whole address of the link, DHCP's clients what they like: the port is the same.
    mac.of_one_machine().map(MacAddress::port).map_err(|error| wrong(error.to_string()))
}

fn meta_of_machine(asker: IpAddr, mac: MacAddress) -> Meta {
    Meta {
        at: clock::milliseconds(),
        author: format!("machine {mac}"),
        origin: asker.to_string(),
        action: "boot".to_owned(),
    }
}
