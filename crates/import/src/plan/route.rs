//! Static routes, and whom they are coupled to.

use std::collections::BTreeMap;

use perilune_model::Name;
use perilune_model::route::{Destination, MOST, Route};

use super::planner::Planner;
use crate::names::Referent;
use crate::reading::Reading;
use crate::report::{Finding, Verdict};
use crate::source::{Row, Source};

impl Planner<'_> {
    pub(super) fn routes(&mut self) {
        for row in self.source.rows("route") {
            match route(&mut Reading::new("route", row, &mut self.report)) {
                Some(route) => self.take("route", row, route),
                None => self.names.refused("route", row.id),
            }
        }
    }

    /// The routes of a node, a group or a network, by our own column and by the table of newer databases. What is no route is left out.
    pub(super) fn coupled(&mut self, table: &'static str, row: &Row) -> Vec<Name> {
        let mut routes: Vec<Name> = Vec::new();
        let mut reading = Reading::new(table, row, &mut self.report);
        reading.name = row.cell("name").text().map(|name| crate::cell::shown(&name));
        for word in reading.text("routes").unwrap_or_default().split(',').map(str::trim) {
            match self.draft.routes().get_key_value(word) {
                Some((name, _)) if routes.contains(name) => {}
                Some((name, _)) => routes.push(name.clone()),
                None if word.is_empty() => {}
                None => reading.odd(
                    "routes",
                    format!("there is no route '{}'; left out", crate::cell::shown(word)),
                ),
            }
        }
        let own = self.couplings.get(&(table.to_owned(), row.id));
        for map in own.into_iter().flatten() {
            let mut reading = Reading::new("routemap", map, &mut self.report);
            let Some(route) = reading.number("routeid") else { continue };
            match self.names.find("route", route) {
                Referent::Taken(name) if routes.contains(&name) => {}
                Referent::Taken(name) => routes.push(name),
                Referent::Refused | Referent::Missing => {
                    reading.odd(
                        "routeid",
                        format!("there is no route of the number {route}; left out"),
                    );
                }
            }
        }
        if routes.len() > MOST {
            routes.truncate(MOST);
            self.report.add(Finding {
                verdict: Verdict::Odd,
                table: table.to_owned(),
                row: Some(row.id),
                name: None,
                column: Some("routes".to_owned()),
                message: format!("it has more than {MOST} routes; the others are left out"),
            });
        }
        routes
    }
}

/// Rows that couple routes, by the table and the row of whom they are for.
pub(super) fn couplings(source: &Source) -> BTreeMap<(String, i64), Vec<&Row>> {
    let mut couplings: BTreeMap<(String, i64), Vec<&Row>> = BTreeMap::new();
    for row in source.rows("routemap") {
        let id = row.cell("tablerefid").text().and_then(|text| text.parse().ok());
        if let (Some(table), Some(id)) = (row.cell("tableref").text(), id) {
            couplings.entry((table, id)).or_default().push(row);
        }
    }
    couplings
}

fn route(reading: &mut Reading<'_>) -> Option<Route> {
    let name = reading.own_name("name", Name::general)?;
    let Some(destination) = reading.parsed::<Destination>("destination", "a range of addresses")
    else {
        reading.refuse("destination", "it leads nowhere");
        return None;
    };
    let device = reading.text("device").and_then(|device| match Name::interface(&device) {
        Ok(device) => Some(device),
        Err(error) => {
            reading.odd("device", format!("{error}; read as unset"));
            None
        }
    });
    let route = Route {
        name,
        destination,
        gateway: reading.address("gateway"),
        metric: reading.number("metric"),
        device,
        comment: reading.text("comment"),
    };
    if let Some(violation) = route.violations().first() {
        reading.refuse(&violation.field, &violation.reason);
        return None;
    }
    Some(route)
}
