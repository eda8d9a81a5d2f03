//! What is planned so far.

use std::collections::BTreeMap;

use perilune_model::{Draft, Object};

use super::tag::Tags;
use crate::names::Names;
use crate::report::{Finding, Report, Verdict};
use crate::source::{Row, Source};

pub(super) struct Planner<'a> {
    pub(super) source: &'a Source,
    pub(super) draft: Draft,
    pub(super) names: Names,
    /// Rows of addresses by the table and the row of the device that they are of.
    pub(super) addresses: BTreeMap<(&'static str, i64), &'a Row>,
    /// Rows that couple routes, by the table and the row of whom they are for.
    pub(super) couplings: BTreeMap<(String, i64), Vec<&'a Row>>,
    pub(super) tags: Tags<'a>,
    pub(super) report: Report,
}

impl Planner<'_> {
    /// Takes an object that a row describes, under the row's id; refused where its name is taken, or the model refuses it.
    pub(super) fn take(&mut self, table: &'static str, row: &Row, object: impl Into<Object>) {
        let object = object.into();
        let name = object.name().clone();
        let refusal = if self.draft.object(object.kind(), name.as_str()).is_some() {
            Some(
                "another row has this name already, and is taken; rename one in the old site"
                    .to_owned(),
            )
        } else {
            self.draft.put(object).err().map(|error| error.to_string())
        };
        match refusal {
            None => self.names.taken(table, row.id, name),
            Some(message) => {
                self.names.refused(table, row.id);
                self.report.add(Finding {
                    verdict: Verdict::Refused,
                    table: table.to_owned(),
                    row: Some(row.id),
                    name: Some(name.to_string()),
                    column: None,
                    message,
                });
            }
        }
    }
}

/// Rows by the id that a column holds.
pub(super) fn grouped<'a>(
    source: &'a Source,
    table: &str,
    column: &str,
) -> BTreeMap<i64, Vec<&'a Row>> {
    let mut groups: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
    for row in source.rows(table) {
        // What is no number is told of when the row is looked at as one of no owner.
        if let Some(id) = row.cell(column).text().and_then(|text| text.parse().ok()) {
            groups.entry(id).or_default().push(row);
        }
    }
    groups
}
