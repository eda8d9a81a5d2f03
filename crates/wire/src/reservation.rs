//! Reservations, as clients read them.

use perilune_model::reservation::Reservation;
use serde::Serialize;
use utoipa::ToSchema;

/// A machine that becomes no node by itself, and addresses that are given to nobody, until somebody decides.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReservationKeys<'a> {
    name: &'a str,
    reason: &'a str,
    macaddresses: Vec<String>,
    addresses: Vec<String>,
}

impl<'a> ReservationKeys<'a> {
    /// The reservation.
    pub fn new(reservation: &'a Reservation) -> Self {
        Self {
            name: reservation.name.as_str(),
            reason: &reservation.reason,
            macaddresses: reservation.macaddresses.iter().map(ToString::to_string).collect(),
            addresses: reservation.addresses.iter().map(ToString::to_string).collect(),
        }
    }
}
