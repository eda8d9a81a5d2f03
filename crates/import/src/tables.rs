//! The cluster as the tables of the old database: what an export shows, and what an import of some tables starts from.

mod export;
mod given;
mod ids;
mod machines;
mod site;

use std::sync::Arc;

pub use export::export;
pub use given::{Error, plan};
use perilune_model::Cluster;

use crate::cell::Cell;
use crate::schema;
use crate::source::{Row, Source};
use ids::Ids;

/// Columns that no two rows of a table may have alike.
const UNIQUE: [(&str, &[&str]); 16] = [
    ("osimage", &["name"]),
    ("group", &["name"]),
    ("node", &["name"]),
    ("network", &["name"]),
    ("switch", &["name"]),
    ("otherdevices", &["name"]),
    ("cloud", &["name"]),
    ("cluster", &["name"]),
    ("rack", &["name"]),
    ("route", &["name"]),
    ("controller", &["hostname"]),
    ("nodeinterface", &["nodeid", "interface"]),
    ("ipaddress", &["ipaddress"]),
    ("ipaddress", &["ipaddress_ipv6"]),
    ("ipaddress", &["tableref", "tablerefid"]),
    ("rackinventory", &["tableref", "tablerefid"]),
];

/// The columns of a table.
fn columns(table: &str) -> Vec<String> {
    let Some(known) = schema::known(table) else { return Vec::new() };
    std::iter::once("id").chain(known.columns()).map(str::to_owned).collect()
}

/// All tables of a cluster. Objects whose rows somebody gives anew have the ids that they get there.
fn tables(cluster: &Cluster, ids: Ids) -> Source {
    let mut writer = Writer { source: Source::default(), ids };
    writer.site(cluster);
    writer.machines(cluster);
    writer.source
}

/// Writes objects as rows.
struct Writer {
    source: Source,
    ids: Ids,
}

impl Writer {
    /// Writes one table: for each row the key that its id is made of, and the columns that are set.
    fn table<'a>(
        &mut self,
        table: &'static str,
        rows: impl IntoIterator<Item = (String, Vec<(&'a str, Cell)>)>,
    ) {
        let columns = Arc::new(columns(table));
        let rows = rows.into_iter().map(|(key, values)| {
            let id = self.ids.of(table, &key);
            let mut cells = vec![Cell::Null; columns.len()];
            let all = std::iter::once(("id", Cell::Integer(id))).chain(values);
            for (column, cell) in all {
                let place = columns.iter().position(|name| name == column);
                debug_assert!(place.is_some(), "{table} has a column {column}");
                if let Some(place) = place.and_then(|place| cells.get_mut(place)) {
                    *place = cell;
                }
            }
            Row::new(id, &columns, cells)
        });
        let rows = rows.collect();
        self.source.put(table, columns, rows);
    }

    /// The number by which rows refer to an object; null for none.
    fn reference(&mut self, table: &'static str, name: Option<impl AsRef<str>>) -> Cell {
        name.map_or(Cell::Null, |name| Cell::Integer(self.ids.of(table, name.as_ref())))
    }
}
