//! What a device had that was refused: its machine must not become another, and its addresses must not be another's, until somebody
//! has put it right.

use std::net::IpAddr;

use perilune_model::reservation::Reservation;
use perilune_model::{MacAddress, Name};

use super::Planner;
use crate::cell::shown;
use crate::names::Referent;
use crate::reading::Reading;
use crate::source::Row;

/// Tables of devices with the column of their names.
const DEVICES: [(&str, &str); 4] =
    [("node", "name"), ("controller", "hostname"), ("switch", "name"), ("otherdevices", "name")];

impl Planner<'_> {
    pub(super) fn reservations(&mut self) {
        let interfaces = super::grouped(self.source, "nodeinterface", "nodeid");
        for (table, column) in DEVICES {
            for row in self.source.rows(table) {
                if self.names.find(table, row.id) != Referent::Refused {
                    continue;
                }
                let rows = interfaces.get(&row.id).map(Vec::as_slice).unwrap_or_default();
                let rows = if table == "node" { rows } else { &[] };
                let addresses = self.free_addresses(table, row, rows);
                let machines = self.free_machines(rows);
                if addresses.is_empty() && machines.is_empty() {
                    continue;
                }
                self.reserve(
                    table,
                    column,
                    row,
                    Reservation { macaddresses: machines, addresses, ..Reservation::default() },
                );
            }
        }
    }

    fn reserve(&mut self, table: &'static str, column: &str, row: &Row, reservation: Reservation) {
        let text = row.cell(column).text().unwrap_or_default();
        let name = self.reserved_name(table, row, &text);
        let kept: Vec<String> = reservation.macaddresses.iter().map(ToString::to_string).collect();
        let addresses = reservation.addresses.iter().map(ToString::to_string);
        let kept: Vec<String> = kept.into_iter().chain(addresses).collect();
        let reason = format!("the import refused row {} of {table}", row.id);
        let reservation = Reservation { name: name.clone(), reason, ..reservation };
        let message = match self.draft.put(reservation) {
            Ok(()) => format!(
                "{} stay reserved as '{name}': the machine becomes no node, and the addresses are given to nobody; when you have decided, do: perilune reservation release '{name}'",
                kept.join(", ")
            ),
            Err(error) => format!("{} are free to be taken by others: {error}", kept.join(", ")),
        };
        let shown_name = shown(&text);
        Reading::of(table, row, shown_name, &mut self.report).odd(column, message);
    }

    /// The name that the row has, as far as it can be one; its table and number where it cannot, or is another's.
    fn reserved_name(&self, table: &str, row: &Row, text: &str) -> Name {
        let numbered = Name::trusted(&format!("{table}-{}", row.id));
        let is_free = |name: &Name| !self.draft.reservations().contains_key(name);
        Name::general(text).ok().filter(is_free).unwrap_or(numbered)
    }

    fn free_addresses(&self, table: &'static str, row: &Row, interfaces: &[&Row]) -> Vec<IpAddr> {
        let own = self.addresses.get(&(table, row.id)).filter(|_| table != "node");
        let of_interfaces =
            interfaces.iter().filter_map(|row| self.addresses.get(&("nodeinterface", row.id)));
        let mut addresses: Vec<IpAddr> = own
            .into_iter()
            .chain(of_interfaces)
            .flat_map(|row| ["ipaddress", "ipaddress_ipv6"].map(|column| row.cell(column).text()))
            .filter_map(|text| text?.trim().parse().ok())
            .filter(|address: &IpAddr| self.draft.holder(*address).is_none())
            .collect();
        addresses.sort();
        addresses.dedup();
        addresses
    }

    fn free_machines(&self, interfaces: &[&Row]) -> Vec<MacAddress> {
        let macs = interfaces.iter().filter_map(|row| row.cell("macaddress").text()?.parse().ok());
        let is_free = |mac: &MacAddress| {
            self.draft.node_by_mac(*mac).is_none() && self.draft.reservation_by_mac(*mac).is_none()
        };
        let mut macs: Vec<MacAddress> = macs.filter(is_free).collect();
        macs.sort();
        macs.dedup();
        macs
    }
}
