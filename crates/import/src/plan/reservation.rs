//! What a device had that was refused: its machine must not become another, and its addresses must not be another's, until somebody
//! has put it right.

use std::collections::BTreeMap;
use std::net::IpAddr;

use perilune_model::reservation::Reservation;
use perilune_model::{MacAddress, Name};

use super::planner::Planner;
use crate::cell::shown;
use crate::names::Referent;
use crate::reading::Reading;
use crate::source::Row;

/// Tables of devices with the column of their names.
const DEVICES: [(&str, &str); 4] =
    [("node", "name"), ("controller", "hostname"), ("switch", "name"), ("otherdevices", "name")];

impl Planner<'_> {
    pub(super) fn reservations(&mut self) {
        let interfaces = super::planner::grouped(self.source, "nodeinterface", "nodeid");
        for (table, column) in DEVICES {
            for row in self.source.rows(table) {
                if self.names.find(table, row.id) != Referent::Refused {
                    continue;
                }
                let rows = interfaces.get(&row.id).map(Vec::as_slice).unwrap_or_default();
                let rows = if table == "node" { rows } else { &[] };
                let parts: Vec<_> = rows.iter().map(|row| ("nodeinterface", *row)).collect();
                let text = row.cell(column).text().unwrap_or_default();
                self.reserve((table, column, row), &text, &[&[(table, row)], &parts[..]].concat());
            }
        }
        self.interfaces_of_nodes(&interfaces);
    }

    /// Interfaces that are refused of nodes that are taken: each may be a machine's, or its BMC's.
    fn interfaces_of_nodes(&mut self, interfaces: &BTreeMap<i64, Vec<&Row>>) {
        const TABLE: &str = "nodeinterface";
        for (node, rows) in interfaces {
            let Referent::Taken(node) = self.names.find("node", *node) else { continue };
            for row in rows.iter().copied() {
                if self.names.find(TABLE, row.id) == Referent::Missing {
                    let text = row.cell("interface").text().filter(|text| !text.is_empty());
                    let text = text.map(|text| format!("{node}-{text}")).unwrap_or_default();
                    self.reserve((TABLE, "interface", row), &text, &[(TABLE, row)]);
                }
            }
        }
    }

    /// Keeps what these rows have, for the device or the interface of one of them, which is called so.
    fn reserve(
        &mut self,
        (table, column, row): (&'static str, &str, &Row),
        text: &str,
        parts: &[(&'static str, &Row)],
    ) {
        let reservation = Reservation {
            macaddresses: self.free_machines(parts),
            addresses: self.free_addresses(parts),
            ..Reservation::default()
        };
        if reservation.macaddresses.is_empty() && reservation.addresses.is_empty() {
            return;
        }
        let name = self.reserved_name(table, row, text);
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
        Reading::of(table, row, shown(text), &mut self.report).odd(column, message);
    }

    /// The name that the row has, as far as it can be one; its table and number where it cannot, or is another's.
    fn reserved_name(&self, table: &str, row: &Row, text: &str) -> Name {
        let numbered = Name::trusted(&format!("{table}-{}", row.id));
        let is_free = |name: &Name| !self.draft.reservations().contains_key(name);
        Name::general(text).ok().filter(is_free).unwrap_or(numbered)
    }

    /// The addresses of these rows that nobody else has.
    fn free_addresses(&self, rows: &[(&'static str, &Row)]) -> Vec<IpAddr> {
        let places = rows.iter().filter_map(|(table, row)| self.addresses.get(&(*table, row.id)));
        let mut addresses: Vec<IpAddr> = places
            .flat_map(|row| ["ipaddress", "ipaddress_ipv6"].map(|column| row.cell(column).text()))
            .filter_map(|text| text?.trim().parse().ok())
            .filter(|address: &IpAddr| self.draft.holder(*address).is_none())
            .collect();
        addresses.sort();
        addresses.dedup();
        addresses
    }

    /// The hardware addresses of these rows that no node has.
    fn free_machines(&self, rows: &[(&'static str, &Row)]) -> Vec<MacAddress> {
        let macs = rows.iter().filter_map(|(_, row)| row.cell("macaddress").text());
        let is_free = |mac: &MacAddress| {
            mac.of_one_machine().is_ok()
                && self.draft.node_by_mac(*mac).is_none()
                && self.draft.reservation_by_mac(*mac).is_none()
        };
        let mut macs: Vec<MacAddress> =
            macs.filter_map(|text| text.trim().parse().ok()).map(MacAddress::port).collect();
        macs.retain(is_free);
        macs.sort();
        macs.dedup();
        macs
    }
}
