//! The cluster as a whole, and its controllers.

use perilune_model::controller::{Controller, DEFAULT_PORT};
use perilune_model::settings::{self, FIELDS, Request, Settings};
use perilune_model::{FieldKind, Name, Violation};
use perilune_wire::fields::Fields;
use serde_json::{Map, Value};

use super::planner::Planner;
use crate::cell::shown;
use crate::reading::Reading;
use crate::report::Verdict;
use crate::schema::INSTALL_MODE;

impl Planner<'_> {
    pub(super) fn settings(&mut self) {
        let (first, others) = match self.source.rows("cluster") {
            [] => {
                let message = "there is no row; the settings are those of a new cluster".to_owned();
                self.report.table(Verdict::Odd, "cluster", message);
                return;
            }
            [first, others @ ..] => (first, others),
        };
        let mut reading = Reading::new("cluster", first, &mut self.report);
        let title = reading.checked("name", |text| Name::general(text).is_ok());
        let settings = settings::alone(&asked(&mut reading));
        let settings = match title {
            Some(title) => Settings { title, ..settings },
            None => settings,
        };
        // A draft has the settings of a new cluster from the beginning; these take their place.
        match self.draft.put(settings) {
            Ok(()) => self.report.count("cluster", 1),
            Err(error) => {
                self.report.row(Verdict::Refused, "cluster", first.id, error.to_string());
            }
        }
        for row in others {
            let message = "there is one cluster; the row with the lowest id is taken".to_owned();
            self.report.row(Verdict::Refused, "cluster", row.id, message);
        }
    }

    pub(super) fn controllers(&mut self) {
        let rows = self.source.rows("controller");
        let mut has_beacon = false;
        for row in rows {
            let mut reading = Reading::new("controller", row, &mut self.report);
            let Some(name) = reading.own_name("hostname", Name::host) else {
                self.names.refused("controller", row.id);
                continue;
            };
            let mut beacon = reading.boolean("beacon").unwrap_or(false);
            if beacon && has_beacon {
                reading.odd("beacon", "another controller is the beacon already; this one is not");
                beacon = false;
            }
            let controller = Controller {
                name,
                beacon,
                shadow: reading.boolean("shadow").unwrap_or(false),
                serverport: reading.number("serverport").unwrap_or(DEFAULT_PORT),
                status: reading.text("status"),
                vendor: reading.text("vendor"),
                ..Controller::default()
            };
            has_beacon |= beacon;
            let place = self.place("controller", row, controller.name.as_str());
            let (addresses, network) = (place.addresses, place.network);
            self.take("controller", row, Controller { addresses, network, ..controller });
        }
        let first = self.draft.controllers().values().next().cloned();
        match first {
            Some(first) if !has_beacon => {
                let message = format!("no controller is the beacon; '{}' becomes it", first.name);
                self.report.table(Verdict::Odd, "controller", message);
                let beacon = Controller { beacon: true, ..Controller::clone(&first) };
                // It was put a moment ago, and differs in nothing that could be refused.
                self.draft.put(beacon).ok();
            }
            Some(_) => {}
            None => {
                let message = "no controller is taken; set its address afterwards".to_owned();
                self.report.table(Verdict::Odd, "controller", message);
            }
        }
    }
}

/// What a row says, by the rules of requests. What they refuse is unset; of lists, what can be none is left out.
fn asked(reading: &mut Reading<'_>) -> Request {
    let mut said = Map::new();
    let columns = FIELDS.iter().map(|field| (field.name, field.kind));
    for (column, kind) in columns.chain([(INSTALL_MODE, FieldKind::Text)]) {
        let text = match kind {
            FieldKind::Flag => reading.boolean(column).map(|flag| flag.to_string()),
            FieldKind::Addresses => {
                let addresses = reading.addresses(column);
                Some(addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            }
            // An empty text is nothing, also where a new cluster has something.
            FieldKind::Text => Some(reading.text(column).unwrap_or_default()),
            FieldKind::List => Some(good_words(reading, column)),
        };
        if let Some(text) = text {
            said.insert(column.to_owned(), text.trim().into());
        }
    }
    let mut fields = Fields::new(&said);
    let request = perilune_wire::cluster::read(&mut fields);
    for Violation { field, reason } in fields.finish().err().unwrap_or_default() {
        let text = said.get(&field).and_then(Value::as_str).unwrap_or_default();
        reading.odd(&field, format!("'{}': {reason}; read as unset", shown(text)));
    }
    request
}

/// Those words of a list that a request may have.
fn good_words(reading: &mut Reading<'_>, column: &str) -> String {
    let mut good = Vec::new();
    for word in reading.list(column) {
        let said = Map::from_iter([(column.to_owned(), word.as_str().into())]);
        let mut fields = Fields::new(&said);
        perilune_wire::cluster::read(&mut fields);
        match fields.finish() {
            Ok(()) => good.push(word),
            Err(wrong) => {
                let reason = wrong.first().map_or("it is none", |wrong| wrong.reason.as_str());
                reading.odd(column, format!("'{}': {reason}; left out", shown(&word)));
            }
        }
    }
    good.join(",")
}
