//! `/config/route`: static routes, and whom they are coupled to.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_model::route::{self, Couple, Target};
use perilune_model::{Draft, Kind, Name, Saved};
use perilune_wire::described;
use perilune_wire::envelope::Config;
use perilune_wire::route::{Assigned, RouteKeys};

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
        .add(viewers(), routes!(show))
        .add(operators().changes().in_bulk(), routes!(save))
        .add(operators().changes().in_bulk(), routes!(remove))
        .add(operators().changes().in_bulk(), routes!(couple))
        .add(operators().changes().in_bulk(), routes!(decouple))
}

/// All static routes.
#[utoipa::path(get, path = "/config/route", tag = "route", responses(
    (status = 200, description = "Routes by name, below config and route", body = RouteKeys),
    (status = 404, description = "There is not a route", body = Problem),
))]
async fn list(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let assigned = Assigned::of(&cluster);
    let routes = cluster.routes().values();
    let entries = routes.map(|route| (route.name.as_str(), RouteKeys::new(route, &assigned)));
    let entries = entries.collect();
    answer::listed(cluster.routes().is_empty(), "route", Config { resource: "route", entries })
}

/// One static route.
#[utoipa::path(get, path = "/config/route/{name}", tag = "route", responses(
    (status = 200, description = "The route by name, below config and route", body = RouteKeys),
    (status = 404, description = "There is no such route", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let keys = RouteKeys::new(cluster.route(&name)?, &Assigned::of(&cluster));
    Ok(Json(Config::one("route", &name, keys)).into_response())
}

/// Makes or changes a static route.
#[utoipa::path(post, path = "/config/route/{name}", tag = "route", request_body = described::RouteRequest, responses(
    (status = 201, description = "It is new, or has another name", body = Message),
    (status = 204, description = "It was there and is as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
))]
async fn save(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let key = Name::general(&name).map_err(|error| {
        ApiError::Malformed(format!("invalid route name '{}': {error}", shown(&name)))
    })?;
    let request = body.read(&["config", "route", &name], perilune_wire::route::request)?;
    let new_name = request.new_name.clone();
    let saved = state
        .cluster
        .commit(caller.meta(), move |draft| route::save(draft, &key, &request))
        .await?;
    Ok(match (saved, new_name) {
        (Saved::Renamed, Some(new_name)) => {
            answer::created(format!("Route {name} renamed to {new_name} successfully"))
        }
        (saved, _) => answer::saved(saved, "Route", &name),
    })
}

/// Removes a static route that is coupled to nothing.
#[utoipa::path(get, path = "/config/route/{name}/_delete", tag = "route", responses(
    (status = 204, description = "It is gone"),
    (status = 400, description = "It is coupled; the message names to what", body = Problem),
    (status = 404, description = "There is no such route", body = Problem),
))]
async fn remove(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    state.cluster.commit(caller.meta(), move |draft| draft.remove(Kind::Route, &name)).await?;
    Ok(answer::done())
}

/// Gives a route to a network, a group or a node.
#[utoipa::path(get, path = "/config/route/{name}/{kind}/{target}/_couple", tag = "route", responses(
    (status = 201, description = "It is coupled, or was", body = Message),
    (status = 400, description = "The kind is none of network, group and node", body = Problem),
    (status = 404, description = "There is no such route, or nothing of that name", body = Problem),
))]
async fn couple(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(path): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    let couple = read(path)?;
    let message = format!("Route {} coupled to {}", couple.route, target(&couple));
    let decide = move |draft: &mut Draft| route::couple(draft, &couple);
    state.cluster.commit(caller.meta(), decide).await?;
    Ok(answer::created(message))
}

/// Takes a route away from a network, a group or a node.
#[utoipa::path(get, path = "/config/route/{name}/{kind}/{target}/_decouple", tag = "route", responses(
    (status = 201, description = "It is no longer coupled", body = Message),
    (status = 400, description = "The kind is none of network, group and node", body = Problem),
    (status = 404, description = "There is no such route, nothing of that name, or it is not coupled", body = Problem),
))]
async fn decouple(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(path): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    let couple = read(path)?;
    let message = format!("Route {} decoupled from {}", couple.route, target(&couple));
    let decide = move |draft: &mut Draft| route::decouple(draft, &couple);
    state.cluster.commit(caller.meta(), decide).await?;
    Ok(answer::created(message))
}

fn read((route, kind, name): (String, String, String)) -> Result<Couple, ApiError> {
    let target = Target::from_word(&kind).ok_or_else(|| {
        let words = Target::ALL.map(Target::word).join(", ");
        let kind = shown(&kind);
        ApiError::Malformed(format!("a route cannot be coupled to a '{kind}'; use one of {words}"))
    })?;
    Ok(Couple { route, target, name })
}

fn target(couple: &Couple) -> String {
    format!("{} {}", couple.target.word(), couple.name)
}
