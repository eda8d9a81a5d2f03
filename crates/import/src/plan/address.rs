//! Addresses of devices. The old database keeps them apart from what holds them, in one table for all.

use std::collections::BTreeMap;
use std::net::IpAddr;

use perilune_model::{Addresses, Family, Name};

use super::planner::Planner;
use crate::cell::shown;
use crate::names::Referent;
use crate::reading::Reading;
use crate::report::Verdict;
use crate::source::{Row, Source};

/// Tables whose rows can have addresses.
const HOLDERS: [&str; 4] = ["controller", "switch", "otherdevices", "nodeinterface"];

/// Where a device is.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) addresses: Addresses,
    pub(super) network: Option<Name>,
    pub(super) dhcp: bool,
}

/// The table that a row of an address says it belongs to.
fn holder_table(row: &Row) -> Option<&'static str> {
    let text = row.cell("tableref").text()?;
    let word = if text == "otherdev" { "otherdevices" } else { text.as_str() };
    HOLDERS.into_iter().find(|table| *table == word)
}

fn holder_id(row: &Row) -> Option<i64> {
    row.cell("tablerefid").text()?.parse().ok()
}

/// The rows of addresses by what they belong to; the first where there are several.
pub(super) fn rows(source: &Source) -> BTreeMap<(&'static str, i64), &Row> {
    let mut rows = BTreeMap::new();
    for row in source.rows("ipaddress") {
        if let Some(key) = holder_table(row).zip(holder_id(row)) {
            rows.entry(key).or_insert(row);
        }
    }
    rows
}

/// Rows of addresses that belong to nothing.
pub(super) fn report_orphans(planner: &mut Planner<'_>) {
    for row in planner.source.rows("ipaddress") {
        let Some(table) = holder_table(row) else {
            let text = row.cell("tableref").text().unwrap_or_default();
            let message =
                format!("it belongs to a row of '{}', whose rows have no addresses", shown(&text));
            planner.report.row(Verdict::Refused, "ipaddress", row.id, message);
            continue;
        };
        let key = holder_id(row).map(|id| (table, id));
        let first = key.and_then(|key| planner.addresses.get(&key)).map(|first| first.id);
        let message = match key.map(|(table, id)| planner.names.find(table, id)) {
            Some(Referent::Missing) | None => {
                let id = row.cell("tablerefid").text().unwrap_or_default();
                format!("it belongs to row {} of {table}, which is not there", shown(&id))
            }
            Some(_) if first != Some(row.id) => {
                format!(
                    "row {} of {table} has another row of addresses, which is taken",
                    key.map_or(0, |key| key.1)
                )
            }
            Some(_) => continue,
        };
        planner.report.row(Verdict::Refused, "ipaddress", row.id, message);
    }
}

impl Planner<'_> {
    /// Where the device of a row is. What cannot be is left out and noted.
    pub(super) fn place(&mut self, table: &'static str, row: &Row, device: &str) -> Place {
        let Some(address) = self.addresses.get(&(table, row.id)).copied() else {
            return Place::default();
        };
        let mut reading = Reading::of("ipaddress", address, device, &mut self.report);
        let mut network = reading.reference(&self.names, "network", "networkid");
        let dhcp = reading.boolean("dhcp").unwrap_or(false);
        let mut addresses = Addresses::default();
        for (column, family) in [("ipaddress", Family::V4), ("ipaddress_ipv6", Family::V6)] {
            let Some(found) = reading.address(column) else { continue };
            if Family::of(found) != family {
                reading.odd(column, format!("{found} is an address of the other family; left out"));
                continue;
            }
            if let Some(holder) = self.draft.holder(found) {
                reading.odd(column, format!("the address {found} is that of {holder}; left out"));
                continue;
            }
            // Devices may be outside of all networks; an interface without one is a slip.
            if network.is_none() && table == "nodeinterface" {
                network = self.draft.network_of(found).map(|network| network.name.clone());
                if let Some(network) = &network {
                    reading.odd(
                        "networkid",
                        format!("{found} has no network; it lies in '{network}', which is taken"),
                    );
                }
            }
            let Some(own) = network.as_ref().and_then(|name| self.draft.networks().get(name))
            else {
                addresses.set(found);
                continue;
            };
            if own.contains(found) {
                if is_lent(own, found) {
                    let message = format!(
                        "{found} lies in the DHCP range of '{}'; taken, but better moved out of it",
                        own.name
                    );
                    reading.odd(column, message);
                }
                addresses.set(found);
            } else if table == "nodeinterface" {
                reading.odd(
                    column,
                    format!("{found} lies outside of its network '{}'; left out", own.name),
                );
            } else {
                reading.odd(column, format!("{found} lies outside of its network '{}'; taken as one outside of all networks", own.name));
                addresses.set(found);
                network = None;
            }
        }
        Place { addresses, network, dhcp }
    }
}

fn is_lent(network: &perilune_model::network::Network, address: IpAddr) -> bool {
    network
        .lent_range(Family::of(address))
        .is_some_and(|(first, last)| (first..=last).contains(&address))
}
