//! `/service` and `/monitor/service`: the services that existing clients know as programs of their own. Here they are parts of the
//! daemon, and follow the cluster by themselves.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use perilune_model::user::Role;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::api::extract::{Caller, Path};
use crate::api::permissions::{Routes, everybody, viewers};
use crate::api::problem::ApiError;
use crate::clock;
use crate::config::Serve;
use crate::json::Json;
use crate::names;
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new().add(viewers().acts(), routes!(act)).add(everybody(), routes!(look))
}

/// A service, and whether this daemon serves it.
enum Service {
    Running,
    /// Not here; why, and what to do.
    Absent(String),
    Unknown,
}

fn find(state: &State, name: &str) -> Service {
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

/// Tells whether a service runs (`status`), or lets it take over what changed. DHCP, TFTP and DNS always know the cluster as it is, so
/// there is nothing to wait for.
#[utoipa::path(get, path = "/service/{name}/{action}", tag = "service", responses(
    (status = 200, description = "It runs; or it is asked for, and request_id is to be polled", body = serde_json::Value),
    (status = 503, description = "It does not run", body = serde_json::Value),
))]
async fn act(
    state: axum::extract::State<State>,
    caller: Caller,
    Path((name, action)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    if action == "status" {
        return Ok(told(&state, &name));
    }
    caller.needs(Role::Operator)?;
    let number = clock::milliseconds() % 1000;
    let failed = |reason: &str| Err(format!("{action} service {name}: {reason}"));
    let outcome = match (find(&state, &name), action.as_str()) {
        (Service::Running, "start" | "reload" | "restart" | "only_start") => {
            Ok(format!("finished {action} service {name}"))
        }
        (Service::Running, "stop") => {
            failed("it is a part of the daemon; stop the daemon to stop it")
        }
        (Service::Running, _) => failed(&format!("Service Action {action} Is Not Recognized")),
        (Service::Absent(reason), _) => failed(&reason),
        (Service::Unknown, _) => failed(&format!("Service Name {name} Is Not Recognized.")),
    };
    let begun = [
        format!("queued service {name} {action} with queue_id {number}"),
        format!("{action} service {name}"),
    ];
    let said: Vec<&str> = begun.iter().map(String::as_str).chain(outcome.as_deref().ok()).collect();
    let failure = outcome.as_ref().err().map(String::as_str);
    let request_id = state.jobs.tell(clock::milliseconds(), &caller.user, &said, failure);
    let message = format!("service for {name} {action} queued");
    Ok(Json(Queued { message, request_id }).into_response())
}

/// Whether a service runs.
#[utoipa::path(get, path = "/monitor/service/{name}", tag = "service", responses(
    (status = 200, description = "It runs, below monitor and Service", body = serde_json::Value),
    (status = 503, description = "It does not run", body = serde_json::Value),
))]
async fn look(state: axum::extract::State<State>, Path(name): Path<String>) -> Response {
    told(&state, &name)
}

fn told(state: &State, name: &str) -> Response {
    let (status, text) = match find(state, name) {
        Service::Running => (StatusCode::OK, "OK, running".to_owned()),
        Service::Absent(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("FAIL, not running: {reason}"))
        }
        Service::Unknown => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("Service Name {name} Is Not Recognized."))
        }
    };
    let answer = json!({ "monitor": { "Service": { name: text } } });
    (status, Json(answer)).into_response()
}
