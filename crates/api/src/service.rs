//! `/service` and `/monitor/service`: the services that existing clients know as programs of their own. Here they are parts of the
//! daemon, and follow the cluster by themselves, or servers of the site whose files are written.

use std::collections::BTreeMap;

use crate::operations::routes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use perilune_daemon::clock;
use perilune_daemon::config::Serve;
use perilune_daemon::names;
use perilune_daemon::servers::{Action, Kind};
use perilune_model::user::Role;
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::{Caller, Path};
use crate::json::Json;
use crate::permissions::{Routes, everybody, viewers};
use crate::problem::ApiError;
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new().add(viewers().acts(), routes!(act)).add(everybody(), routes!(look))
}

/// A service, and whether this daemon serves it.
enum Service {
    Running,
    /// Not here; why, and what to do.
    Absent(String),
    /// A server of the site.
    Server(Kind),
    Unknown,
}

fn find(state: &State, name: &str) -> Service {
    if let Some(kind) = state.servers.find(name) {
        return Service::Server(kind);
    }
    match name {
        "luna2" => Service::Running,
        "dhcp" | "dhcpd" if !state.dhcp_interfaces.is_empty() => Service::Running,
        "dhcp" | "dhcpd" => Service::Absent(
            "the daemon was started without --dhcp-interface; start it with one".to_owned(),
        ),
        name if is_dns(state, name) => match state.names.service() {
            names::Service::Running => Service::Running,
            names::Service::Absent(reason) => Service::Absent(reason),
        },
        _ => Service::Unknown,
    }
}

/// By its usual names, and by that of the server which the configuration names.
fn is_dns(state: &State, name: &str) -> bool {
    let other = matches!(&state.settings.names.serve, Serve::Other(other) if other == name);
    matches!(name, "dns" | "named") || other
}

/// What is asked for, to be polled.
#[derive(Debug, Serialize, ToSchema)]
struct Queued {
    message: String,
    request_id: String,
}

/// Whether a service runs.
#[derive(Serialize, ToSchema)]
struct ServiceStatus {
    monitor: OfServices,
}

/// What is said of services.
#[derive(Serialize, ToSchema)]
struct OfServices {
    /// `OK, running`, or why it does not, by the name of the service.
    #[serde(rename = "Service")]
    service: BTreeMap<String, String>,
}

/// Whether a service runs, or what is asked of it.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes the answer in the API's document")]
enum ServiceAnswer {
    Status(ServiceStatus),
    Queued(Queued),
}

/// Tells whether a service runs (`status`), or has it start, stop, read its files anew (`reload`, `restart`). DHCP, TFTP and DNS of the
/// daemon always know the cluster as it is, so there is nothing to wait for. The files of a server of the site are written before it acts.
#[utoipa::path(get, path = "/service/{name}/{action}", tag = "service", responses(
    (status = 200, description = "It runs; or it is asked for, and request_id is to be polled", body = ServiceAnswer),
    (status = 503, description = "It does not run", body = ServiceStatus),
))]
async fn act(
    state: axum::extract::State<State>,
    caller: Caller,
    Path((name, action)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    if action == "status" {
        return Ok(told(&state, &name).await);
    }
    caller.needs(Role::Operator)?;
    let queued = match (find(&state, &name), Action::read(&action)) {
        (Service::Server(kind), Some(known)) if is_known(kind, known) => {
            ask(&state, &caller.user, (kind, known), (&name, &action))
        }
        (service, _) => at_once(&state, &caller.user, service, (&name, &action)),
    };
    Ok(Json(queued).into_response())
}

/// Only BIND is started without being written to.
fn is_known(kind: Kind, action: Action) -> bool {
    action != Action::OnlyStart || kind == Kind::Dns
}

/// Has a server of the site act, once it is its turn.
fn ask(
    state: &State,
    user: &str,
    (kind, known): (Kind, Action),
    (name, action): (&str, &str),
) -> Queued {
    let words = format!("{action} service {name}");
    let begin = |number| {
        let now = clock::milliseconds();
        let request = state.jobs.begin_telling(now, user);
        let first = format!("queued service {name} {action} with queue_id {number}");
        state.jobs.tell_more(now, user, &request, &first);
        request
    };
    let queued = state.servers.ask(kind, known, (words, user.to_owned()), begin);
    let request_id = queued.request;
    let already = if queued.is_new { "" } else { "already " };
    Queued { message: format!("service for {name} {action} {already}queued"), request_id }
}

/// Says what became of what needs no waiting.
fn at_once(state: &State, user: &str, service: Service, (name, action): (&str, &str)) -> Queued {
    let number = clock::milliseconds() % 1000;
    let failed = |reason: &str| Err(format!("{action} service {name}: {reason}"));
    let outcome = match (service, action) {
        (Service::Running, "start" | "reload" | "restart" | "only_start") => {
            Ok(format!("finished {action} service {name}"))
        }
        (Service::Running, "stop") => {
            failed("it is a part of the daemon; stop the daemon to stop it")
        }
        (Service::Running | Service::Server(_), _) => {
            failed(&format!("Service Action {action} Is Not Recognized"))
        }
        (Service::Absent(reason), _) => failed(&reason),
        (Service::Unknown, _) => failed(&format!("Service Name {name} Is Not Recognized.")),
    };
    let begun = [
        format!("queued service {name} {action} with queue_id {number}"),
        format!("{action} service {name}"),
    ];
    let said: Vec<&str> = begun.iter().map(String::as_str).chain(outcome.as_deref().ok()).collect();
    let failure = outcome.as_ref().err().map(String::as_str);
    let request_id = state.jobs.tell(clock::milliseconds(), user, &said, failure);
    Queued { message: format!("service for {name} {action} queued"), request_id }
}

/// Whether a service runs.
#[utoipa::path(get, path = "/monitor/service/{name}", tag = "service", responses(
    (status = 200, description = "It runs", body = ServiceStatus),
    (status = 503, description = "It does not run", body = ServiceStatus),
))]
async fn look(state: axum::extract::State<State>, Path(name): Path<String>) -> Response {
    told(&state, &name).await
}

async fn told(state: &State, name: &str) -> Response {
    let runs = "OK, running".to_owned();
    let (status, text) = match find(state, name) {
        Service::Running => (StatusCode::OK, runs),
        Service::Server(kind) => match state.servers.runs(kind).await {
            Ok(()) => (StatusCode::OK, runs),
            Err(reason) => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("FAIL, not running: {reason}"))
            }
        },
        Service::Absent(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("FAIL, not running: {reason}"))
        }
        Service::Unknown => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("Service Name {name} Is Not Recognized."))
        }
    };
    let service = [(name.to_owned(), text)].into();
    (status, Json(ServiceStatus { monitor: OfServices { service } })).into_response()
}
