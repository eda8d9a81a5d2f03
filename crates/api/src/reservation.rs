//! `/config/reservation`: machines and addresses that are kept until somebody decides.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_model::Kind;
use perilune_wire::envelope::Config;
use perilune_wire::reservation::ReservationKeys;

use crate::answer;
use crate::extract::{Caller, Path};
use crate::json::Json;
use crate::permissions::{Routes, operators, viewers};
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(viewers(), routes!(list))
        .add(viewers(), routes!(show))
        .add(operators().changes(), routes!(release))
}

/// All reservations: machines that an import refused, with their addresses.
#[utoipa::path(get, path = "/config/reservation", tag = "reservation", responses(
    (status = 200, description = "Reservations by name, below config and reservation", body = ReservationKeys),
    (status = 404, description = "There is no reservation", body = Problem),
))]
async fn list(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let entries = cluster.reservations().values();
    let entries =
        entries.map(|reservation| (reservation.name.as_str(), ReservationKeys::new(reservation)));
    answer::listed(
        cluster.reservations().is_empty(),
        "reservation",
        Config { resource: "reservation", entries: entries.collect() },
    )
}

/// One reservation.
#[utoipa::path(get, path = "/config/reservation/{name}", tag = "reservation", responses(
    (status = 200, description = "The reservation by name, below config and reservation", body = ReservationKeys),
    (status = 404, description = "There is no such reservation", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let reservation = cluster.reservation(&name)?;
    Ok(Json(Config::one("reservation", &name, ReservationKeys::new(reservation))).into_response())
}

/// Releases a reservation: the machine may become a node, and its addresses are free.
#[utoipa::path(get, path = "/config/reservation/{name}/_delete", tag = "reservation", responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such reservation", body = Problem),
))]
async fn release(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    state
        .cluster
        .commit(caller.meta(), move |draft| draft.remove(Kind::Reservation, &name))
        .await?;
    Ok(answer::done())
}
