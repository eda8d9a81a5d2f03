//! `perilune node list`: nodes with what is asked of them, in the order that is asked for.

use clap::Args;
use perilune_select::natural;
use perilune_wire::node_column::NodeColumn;
use serde_json::{Map, Value};

use super::node::RESOURCE;
use super::tone::tone;
use crate::failure::Failure;
use crate::output::table::{Cell, Table};
use crate::output::{self, Format};
use crate::resource::{self, List};
use crate::select::printed;
use crate::session::Session;

const EXAMPLES: &str = "\
Remark is why an installation failed, else the comment.

Examples:
  perilune node list
  perilune node list 'rack:r1' --columns name,status,since,position --sort=-since
  perilune node list @compute --columns name,osimage,tag,runs
  perilune node list state:install.error --columns name,failure -o csv
  perilune node list node[001-016] -o json
  perilune node list --group compute --fold      (prints node[001-128])";

pub(crate) fn examples() -> String {
    format!("Columns: {}.\n{EXAMPLES}", NodeColumn::words())
}

/// The exit code for what is not there, whoever says so.
const NOT_FOUND: u8 = 4;
/// What a list says without being asked.
const USUAL: [NodeColumn; 7] = [
    NodeColumn::Name,
    NodeColumn::Status,
    NodeColumn::Group,
    NodeColumn::Image,
    NodeColumn::Address,
    NodeColumn::Mac,
    NodeColumn::Remark,
];

#[derive(Args)]
pub(crate) struct ListNodes {
    #[command(flatten)]
    list: List,
    /// Only nodes of this group
    #[arg(long, short)]
    group: Option<String>,
    /// What is shown of each
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',', value_parser = NodeColumn::read)]
    columns: Vec<NodeColumn>,
    /// Sort by this column; -COLUMN sorts backwards
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    sort: Option<Order>,
}

/// By what a list is sorted.
#[derive(Debug, Clone, Copy)]
struct Order {
    column: NodeColumn,
    is_backwards: bool,
}

impl std::str::FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let column = text.strip_prefix('-');
        Ok(Self {
            column: NodeColumn::read(column.unwrap_or(text))?,
            is_backwards: column.is_some(),
        })
    }
}

pub(crate) fn run(session: &Session, arguments: &ListNodes) -> Result<(), Failure> {
    let ListNodes { list, group, columns, sort } = arguments;
    let is_whole = columns.is_empty() && sort.is_none();
    let named = selectors(list, group.as_deref())?;
    if !session.output.is_table() && is_whole {
        let names = if group.is_some() { named } else { list.names.clone() };
        let list = List { names, exclude: list.exclude.clone(), ..*list };
        return resource::list(session, &RESOURCE, &list);
    }
    let shown = if columns.is_empty() { USUAL.as_slice() } else { columns };
    // Behind what is shown: what it is sorted by, and the name, which programs know rows by.
    let asked: Vec<NodeColumn> = shown
        .iter()
        .copied()
        .chain(sort.map(|order| order.column))
        .chain([NodeColumn::Name])
        .collect();
    let is_everything = list.names.is_empty() && group.is_none();
    let mut rows = match session.node_rows(&named, &list.exclude, &asked) {
        // A cluster without nodes, of which the daemon says that nothing matches.
        Err(failure) if is_everything && failure.code() == NOT_FOUND => Vec::new(),
        rows => rows?,
    };
    if let Some(order) = sort {
        sort_by(&mut rows, shown.len(), order.is_backwards);
    }
    if list.fold || list.names_only {
        let names: Vec<String> = rows.into_iter().filter_map(|mut row| row.pop()).collect();
        return Ok(output::line(&printed(names.iter(), list.fold))?);
    }
    if !session.output.is_table() {
        return Ok(session.output.value(&objects(shown, rows))?);
    }
    if rows.is_empty() && session.output.format == Format::Table {
        return Ok(output::line(&format!("none; {}", RESOURCE.first))?);
    }
    Ok(session.output.table(&table(shown, &rows))?)
}

/// What is named, of the group if one is given.
fn selectors(list: &List, group: Option<&str>) -> Result<Vec<String>, Failure> {
    let named = if list.names.is_empty() { vec!["*".to_owned()] } else { list.names.clone() };
    let Some(group) = group else { return Ok(named) };
    // It becomes part of a selector, and must not be more than it says.
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if group.is_empty() || !group.chars().all(is_name) {
        let message = format!(
            "--group takes the name of one group, not '{group}'; for several write a selector, such as '@compute,@login'"
        );
        return Err(Failure::usage(message));
    }
    Ok(vec![format!("({})&group:{group}", named.join(","))])
}

/// By the text at this place as people count; rows without one come last.
fn sort_by(rows: &mut [Vec<String>], place: usize, is_backwards: bool) {
    let text = |row: &Vec<String>| row.get(place).cloned().unwrap_or_default();
    rows.sort_by(|one, other| {
        let (one, other) = (text(one), text(other));
        let order = natural::compare(&one, &other);
        let order = if is_backwards { order.reverse() } else { order };
        one.is_empty().cmp(&other.is_empty()).then(order)
    });
}

fn objects(columns: &[NodeColumn], rows: Vec<Vec<String>>) -> Value {
    let object = |row: Vec<String>| {
        let name = row.last().cloned().unwrap_or_default();
        let fields = columns.iter().zip(row);
        let fields = fields.map(|(column, text)| {
            (column.word().to_owned(), if text.is_empty() { Value::Null } else { text.into() })
        });
        (name, Value::Object(fields.collect()))
    };
    Value::Object(rows.into_iter().map(object).collect::<Map<_, _>>())
}

fn table(columns: &[NodeColumn], rows: &[Vec<String>]) -> Table {
    let titles: Vec<&'static str> = columns.iter().map(|column| column.title()).collect();
    let mut table = Table::new(titles).whole(&["STATUS", "SINCE", "ADDRESS", "MAC", "BMC"]);
    for row in rows {
        let cells = columns.iter().zip(row).map(|(column, text)| match column {
            NodeColumn::Status => Cell::toned(text, tone(text)),
            _ => Cell::new(text),
        });
        table.row(cells.collect::<Vec<_>>());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{USUAL, sort_by, table};
    use crate::output::Canvas;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|text| (*text).to_owned()).collect()).collect()
    }

    #[test]
    fn the_list_fits_eighty_columns_and_keeps_addresses_whole() {
        let rows = rows(&[
            &[
                "node001",
                "install.success",
                "compute",
                "debian12-compute",
                "10.141.100.1",
                "52:54:00:12:34:56",
                "rack 3, second from above",
            ],
            &[
                "node002",
                "",
                "compute",
                "debian12-compute",
                "10.141.100.1",
                "52:54:00:12:34:56",
                "",
            ],
        ]);
        let canvas = |width| Canvas { width: Some(width), colour: false };
        insta::assert_snapshot!(table(&USUAL, &rows).render(canvas(80)));
        insta::assert_snapshot!(table(&USUAL, &rows).render(canvas(110)));
    }

    #[test]
    fn rows_are_sorted_as_people_count_and_what_is_not_known_comes_last() {
        let sorted = |is_backwards| {
            let mut rows = rows(&[&["a", "10"], &["b", ""], &["c", "9"], &["d", "10"]]);
            sort_by(&mut rows, 1, is_backwards);
            rows.into_iter().map(|row| row[0].clone()).collect::<String>()
        };
        assert_eq!((sorted(false), sorted(true)), ("cadb".to_owned(), "adcb".to_owned()));
    }
}
