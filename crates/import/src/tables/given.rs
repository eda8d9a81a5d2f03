//! Tables that somebody sends: they take the place of the cluster's own, and the whole is planned like a database.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use perilune_model::Cluster;
use serde_json::{Map, Value};

use super::export::EXPORTED;
use super::{Ids, UNIQUE, tables};
use crate::cell::{Cell, shown};
use crate::plan::Plan;
use crate::report::{Report, Verdict};
use crate::source::{Row, Source};

/// Tables that are taken and are in no export.
const MORE: [&str; 4] = ["rack", "rackinventory", "route", "routemap"];
/// Tables that exports of old daemons have and nothing is taken of: users stay, and how controllers stand for each other.
const KEPT: [&str; 3] = ["user", "roles", "ha"];
/// A table that is in no export, and in no import of tables: what nodes reported stays.
const UNSAID: [&str; 1] = ["monitor"];
/// Entries of a table that describe it.
const DESCRIPTIONS: [&str; 2] = ["STRUCTURE", "SQLITE_SEQUENCE"];
/// Tables of which a cluster that has rows must keep some.
const NEEDED: [&str; 2] = ["cluster", "controller"];
/// Which row of which table a row belongs to: table, column, table of the owner. Owners come before what belongs to what they own.
const OWNED: [(&str, &str, &str); 6] = [
    ("osimagetag", "osimageid", "osimage"),
    ("nodeinterface", "nodeid", "node"),
    ("groupinterface", "groupid", "group"),
    ("nodesecrets", "nodeid", "node"),
    ("groupsecrets", "groupid", "group"),
    ("dns", "networkid", "network"),
];
/// Tables whose rows say themselves in which table their owner is.
const ANYWHERE: [&str; 2] = ["ipaddress", "rackinventory"];

/// Why tables cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body is no object.
    #[error(
        "the body is not an object of tables; send what GET /config/cluster/export answers, or some tables of it"
    )]
    NoTables,
    /// There is nothing in it.
    #[error(
        "the body names no table; send what GET /config/cluster/export answers, or some tables of it"
    )]
    Empty,
    /// A table that is not known.
    #[error("there is no table '{0}'; there are {known}", known = EXPORTED.iter().chain(&MORE).copied().collect::<Vec<_>>().join(", "))]
    Unknown(String),
    /// A table that is no list.
    #[error("table {0} is not a list of rows; to empty it send []")]
    NoRows(&'static str),
    /// A row that is no object.
    #[error("table {table}: entry {entry} is not a row, an object of columns and values")]
    NoRow {
        /// The table.
        table: &'static str,
        /// Which one, counted from one.
        entry: usize,
    },
    /// A value that no column can hold.
    #[error(
        "table {table}: column '{column}' of entry {entry} holds a list or an object; a column holds one value"
    )]
    NoValue {
        /// The table.
        table: &'static str,
        /// Which entry, counted from one.
        entry: usize,
        /// The column.
        column: String,
    },
    /// Two rows that cannot be together.
    #[error(
        "table {table}: rows {one} and {other} have the same {columns}; each row must have its own"
    )]
    NotUnique {
        /// The table.
        table: &'static str,
        /// The columns that are alike.
        columns: String,
        /// The id of a row.
        one: i64,
        /// The id of another.
        other: i64,
    },
    /// A table that has to have rows.
    #[error("table {0} cannot be empty: there would be no cluster")]
    Needed(&'static str),
}

/// Plans the cluster with some of its tables replaced. Rows whose owner is in no table are left out, and the report says so; rows
/// that it calls refused are not in the plan either.
pub fn plan(body: &Value, cluster: &Cluster) -> Result<Plan, Error> {
    let given = read(body)?;
    let mut ids = Ids::default();
    for (table, rows) in &given {
        let name = if *table == "controller" { "hostname" } else { "name" };
        // What belongs to an owner has no name of its own.
        let is_named = !OWNED.iter().any(|(owned, ..)| owned == table);
        for row in rows.iter().filter(|_| is_named) {
            if let Some(name) = row.cell(name).text() {
                ids.know(table, name, row.id);
            }
        }
    }
    let mut source = tables(cluster, ids);
    let mut notes = Report::default();
    // That we show none of them is nothing to tell.
    for table in KEPT.into_iter().chain(UNSAID) {
        source.put(table, Arc::default(), Vec::new());
    }
    for (table, rows) in given {
        if KEPT.contains(&table) {
            if !rows.is_empty() {
                let message = format!(
                    "{} rows are left out: users, and how controllers stand for each other, stay as they are",
                    rows.len()
                );
                notes.table(Verdict::Left, table, message);
            }
            continue;
        }
        if rows.is_empty() && NEEDED.contains(&table) && !source.rows(table).is_empty() {
            return Err(Error::Needed(table));
        }
        let columns =
            rows.first().map(|row| row.cells().map(|(name, _)| name.to_owned()).collect());
        source.put(table, Arc::new(columns.unwrap_or_default()), rows);
    }
    drop_orphans(&mut source, &mut notes);
    let mut plan = crate::plan::of_tables(&source);
    plan.is_of_tables = true;
    for note in notes.findings {
        plan.report.add(note);
    }
    plan.report.sort();
    Ok(plan)
}

fn read(body: &Value) -> Result<BTreeMap<&'static str, Vec<Row>>, Error> {
    let Value::Object(body) = body else { return Err(Error::NoTables) };
    if body.is_empty() {
        return Err(Error::Empty);
    }
    let mut given = BTreeMap::new();
    for (name, rows) in body {
        let table = EXPORTED.into_iter().chain(MORE).chain(KEPT).find(|table| table == name);
        let table = table.ok_or_else(|| Error::Unknown(shown(name)))?;
        let Value::Array(entries) = rows else { return Err(Error::NoRows(table)) };
        let rows = read_rows(table, entries)?;
        unique(table, &rows)?;
        given.insert(table, rows);
    }
    Ok(given)
}

fn read_rows(table: &'static str, entries: &[Value]) -> Result<Vec<Row>, Error> {
    let mut objects: Vec<(usize, &Map<String, Value>)> = Vec::with_capacity(entries.len());
    for (position, entry) in entries.iter().enumerate() {
        let entry_number = position + 1;
        let object = entry.as_object().ok_or(Error::NoRow { table, entry: entry_number })?;
        let describes =
            object.len() == 1 && DESCRIPTIONS.iter().any(|name| object.contains_key(*name));
        if !describes {
            objects.push((entry_number, object));
        }
    }
    let columns: BTreeSet<&String> = objects.iter().flat_map(|(_, object)| object.keys()).collect();
    let columns: Arc<Vec<String>> = Arc::new(columns.into_iter().cloned().collect());
    let mut rows = Vec::with_capacity(objects.len());
    for (entry, object) in objects {
        let mut cells = Vec::with_capacity(columns.len());
        for column in columns.iter() {
            let cell = cell(object.get(column).unwrap_or(&Value::Null));
            let no_value = || Error::NoValue { table, entry, column: shown(column) };
            cells.push(cell.ok_or_else(no_value)?);
        }
        let place = i64::try_from(rows.len()).unwrap_or(i64::MAX).saturating_add(1);
        let id = object.get("id").and_then(Value::as_i64).unwrap_or(place);
        rows.push(Row::new(id, &columns, cells));
    }
    Ok(rows)
}

fn cell(value: &Value) -> Option<Cell> {
    Some(match value {
        Value::Null => Cell::Null,
        Value::Bool(boolean) => Cell::boolean(Some(*boolean)),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Cell::Integer(number),
            None => Cell::Real(number.as_f64()?),
        },
        Value::String(text) => Cell::Text(text.clone()),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

fn unique(table: &'static str, rows: &[Row]) -> Result<(), Error> {
    let mut ids = BTreeSet::new();
    for row in rows {
        if !ids.insert(row.id) {
            let columns = "id".to_owned();
            return Err(Error::NotUnique { table, columns, one: row.id, other: row.id });
        }
    }
    for (_, columns) in UNIQUE.iter().filter(|(name, _)| *name == table) {
        let mut seen: BTreeMap<Vec<String>, i64> = BTreeMap::new();
        for row in rows {
            let values: Option<Vec<String>> =
                columns.iter().map(|column| row.cell(column).text()).collect();
            // What is null is like nothing else; so is an empty address.
            let Some(values) = values.filter(|values| !values.iter().any(String::is_empty)) else {
                continue;
            };
            if let Some(one) = seen.insert(values, row.id) {
                let columns = columns.join(" and ");
                return Err(Error::NotUnique { table, columns, one, other: row.id });
            }
        }
    }
    Ok(())
}

/// Leaves out rows that belong to nothing: an old database keeps them for ever, and a table that is replaced leaves some behind.
fn drop_orphans(source: &mut Source, notes: &mut Report) {
    for (table, column, owner) in OWNED {
        let owners = ids(source, owner);
        source.retain(table, |row| {
            let Some(id) = row.cell(column).text().and_then(|text| text.parse().ok()) else {
                return true;
            };
            owners.contains(&id) || note(notes, table, row.id, owner, id)
        });
    }
    for table in ANYWHERE {
        let all: BTreeMap<&str, BTreeSet<i64>> =
            ["controller", "switch", "otherdevices", "node", "nodeinterface"]
                .map(|owner| (owner, ids(source, owner)))
                .into();
        source.retain(table, |row| {
            let owner = row.cell("tableref").text().unwrap_or_default();
            let owner = if owner == "otherdev" { "otherdevices" } else { owner.as_str() };
            let id = row.cell("tablerefid").text().and_then(|text| text.parse().ok());
            let (Some(owners), Some(id)) = (all.get(owner), id) else { return true };
            owners.contains(&id) || note(notes, table, row.id, owner, id)
        });
    }
}

fn ids(source: &Source, table: &str) -> BTreeSet<i64> {
    source.rows(table).iter().map(|row| row.id).collect()
}

/// Says that a row is left out; false, for it is not wanted.
fn note(notes: &mut Report, table: &str, row: i64, owner: &str, id: i64) -> bool {
    let message = format!("it belongs to row {id} of {owner}, which is not there; left out");
    notes.row(Verdict::Odd, table, row, message);
    false
}
