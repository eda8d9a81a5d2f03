//! `perilune node import`: nodes from a table, as one change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use perilune::client;
use perilune_model::{MacAddress, label};
use perilune_wire::definition::{Field, Kind};
use serde_json::{Map, Value, json};

use super::node::{NodeFields, boot_interface};
use crate::failure::{Failure, nearest};
use crate::field::{Fields as _, InterfaceFields, table_value};
use crate::output::text::{printable, readable};
use crate::output::{self, changes};
use crate::session::{Edit, Session, insist};
use crate::source;

pub(crate) const EXAMPLES: &str = "\
The first line names the columns, separated by commas, semicolons or tabs: name; mac and ip of the interface it boots from; any field of a node, such as group
or osimage; interface.NAME.FIELD, such as interface.BMC.ip; rack, position, height, orientation; switch, port; label.KEY.
Only what the columns name is changed, and an empty cell changes nothing. New nodes are added, known ones changed.
All of it is one change, or none: whatever is wrong is told first, with row and column.

Examples:
  perilune node import nodes.csv --dry-run
  perilune node import nodes.csv --yes
  inventory-tool --csv | perilune node import - --yes

nodes.csv:
  name,group,mac,interface.BMC.ip,rack,position
  node001,compute,52:54:00:12:34:01,10.148.0.1,r1,1
  node002,compute,52:54:00:12:34:02,10.148.0.2,r1,2";

#[derive(Args)]
pub(crate) struct Import {
    /// The table, comma-separated; - reads standard input
    file: PathBuf,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// What a column says of a node.
enum Column {
    Name,
    /// A field of the interface that the node boots from.
    Boot(&'static str),
    Field(&'static Field),
    Interface(String, &'static Field),
    /// A key of what stands in a rack.
    Place(&'static str),
    /// A label of the node.
    Label(String),
}

/// A row with what its cells say.
#[derive(Debug, Default, PartialEq)]
struct Row {
    line: u64,
    name: String,
    fields: Map<String, Value>,
    /// By the name of each; that of the interface it boots from is empty.
    interfaces: BTreeMap<String, Map<String, Value>>,
    place: Map<String, Value>,
}

pub(crate) fn run(session: &Session, arguments: &Import) -> Result<(), Failure> {
    let rows = read(&text(&arguments.file)?)?;
    let known = session.client.objects("node")?;
    let edits = edits(&rows, &known);
    if edits.is_empty() {
        return session.done("nothing to do: the table says nothing but names");
    }
    if session.client.only_tries() {
        return session.all("node", "imported", &edits);
    }
    let planned = session.trial("node", &edits)?;
    if planned.is_empty() {
        return session.done("nothing to do: all is as the table says");
    }
    if !arguments.yes {
        let plan = changes::folded(&planned);
        output::write(&changes::render(&plan, session.output.canvas.colour))?;
        session.warn();
        insist(&format!("{}.", changes::summary(&planned)))?;
    }
    // Who was asked has seen them.
    session.client.take_remarks();
    session.make(&edits)?;
    if arguments.yes {
        session.warn();
    }
    if !session.output.is_table() {
        let mut done = json!({ "changes": planned });
        readable(&mut done);
        return Ok(session.output.value(&done)?);
    }
    Ok(output::line(&changes::summary(&planned))?)
}

fn text(file: &std::path::Path) -> Result<String, Failure> {
    let text = source::text(file, source::DOCUMENT);
    text.map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

/// The rows of a table, or everything that is wrong with it.
fn read(text: &str) -> Result<Vec<Row>, Failure> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(delimiter(text))
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let mut wrong = Vec::new();
    let headers = reader.headers().map_err(|error| Failure::usage(error.to_string()))?.clone();
    let titles: Vec<String> = headers.iter().map(str::to_owned).collect();
    let mut columns = Vec::new();
    for (place, title) in titles.iter().enumerate() {
        match column(title) {
            Ok(column) => columns.push(column),
            Err(reason) => wrong.push(format!("row 1, column {}: {reason}", shown(title))),
        }
        if titles.iter().position(|other| other == title) != Some(place) {
            wrong.push(format!("row 1, column {}: it is there twice", shown(title)));
        }
    }
    if !columns.iter().any(|column| matches!(column, Column::Name)) {
        wrong.push("row 1: there is no column name".to_owned());
    }
    if !wrong.is_empty() {
        return Err(all_of(&wrong));
    }
    let mut rows: Vec<Row> = Vec::new();
    let mut names = BTreeSet::new();
    for record in reader.records() {
        let record = record.map_err(|error| Failure::usage(error.to_string()))?;
        let line = record.position().map_or(0, |position| line_of(text, position));
        if record.len() != titles.len() {
            let (cells, expected) = (record.len(), titles.len());
            wrong.push(format!("row {line}: {cells} cells, and {expected} columns"));
            continue;
        }
        let mut row = Row { line, ..Row::default() };
        for ((title, column), cell) in titles.iter().zip(&columns).zip(&record) {
            if let Err(reason) = row.take(column, cell) {
                wrong.push(format!("row {line}, column {title}: {reason}"));
            }
        }
        if row.name.is_empty() {
            wrong.push(format!("row {line}, column name: it is empty"));
        } else if !names.insert(row.name.clone()) {
            wrong.push(format!("row {line}, column name: {} is there twice", row.name));
        }
        if !row.place.is_empty() && !row.place.contains_key("rack") {
            wrong.push(format!("row {line}, column rack: it is empty, and a place is given"));
        }
        rows.push(row);
    }
    if let Some(line) = unclosed_quote(text) {
        wrong.push(format!(
            "row {line}: a quote is opened and not closed, and takes all that follows into its cell"
        ));
    }
    if wrong.is_empty() { Ok(rows) } else { Err(all_of(&wrong)) }
}

/// What separates the cells: a comma, or what spreadsheets of other languages write, which shows in the titles.
fn delimiter(text: &str) -> u8 {
    let is_title = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    let titles = text.lines().find(is_title).unwrap_or_default();
    [b',', b';', b'\t'].into_iter().find(|sign| titles.as_bytes().contains(sign)).unwrap_or(b',')
}

/// The line of a quote that nothing closes.
fn unclosed_quote(text: &str) -> Option<usize> {
    let mut opened = None;
    for (line, content) in text.lines().enumerate() {
        if opened.is_none() && content.starts_with('#') {
            continue;
        }
        // Two quotes within a cell are one of its text, and change nothing about where it ends.
        for _ in content.bytes().filter(|byte| *byte == b'"') {
            opened = if opened.is_some() { None } else { Some(line + 1) };
        }
    }
    opened
}

/// A title as an error shows it: not endless.
fn shown(title: &str) -> String {
    const LONGEST: usize = 40;
    let mut shown = printable(&title.chars().take(LONGEST).collect::<String>());
    if title.chars().count() > LONGEST {
        shown.push('…');
    }
    shown
}

/// The line of a record: its place is told before the empty lines and remarks that stand before it.
fn line_of(text: &str, position: &csv::Position) -> u64 {
    let start = usize::try_from(position.byte()).unwrap_or_default();
    let lines = text.get(start..).unwrap_or_default().lines();
    let skipped = lines.take_while(|line| line.trim().is_empty() || line.starts_with('#')).count();
    position.line() + u64::try_from(skipped).unwrap_or_default()
}

fn all_of(wrong: &[String]) -> Failure {
    const MOST: usize = 50;
    let mut lines: Vec<String> = wrong.iter().take(MOST).cloned().collect();
    if wrong.len() > MOST {
        lines.push(format!("and {} more", wrong.len() - MOST));
    }
    Failure::usage(lines.join("\n"))
}

fn column(title: &str) -> Result<Column, String> {
    let place = ["rack", "position", "height", "orientation"];
    if let Some(key) = place.into_iter().find(|key| *key == title) {
        return Ok(Column::Place(key));
    }
    if let Some(rest) = title.strip_prefix("interface.") {
        let (name, field) = rest.rsplit_once('.').unwrap_or((rest, ""));
        let known = InterfaceFields::fields()
            .iter()
            .find(|known| known.name == field.replace('-', "_") || known.alias == Some(field));
        return match known {
            Some(known) if !name.is_empty() => Ok(Column::Interface(name.to_owned(), known)),
            _ => Err("write interface.NAME.FIELD, such as interface.BMC.ip".to_owned()),
        };
    }
    if let Some(label) = title.strip_prefix("label.") {
        label::check_key(label)?;
        return Ok(Column::Label(label.to_owned()));
    }
    let wire = title.replace('-', "_");
    match wire.as_str() {
        "name" => return Ok(Column::Name),
        "mac" => return Ok(Column::Boot("macaddress")),
        "ip" => return Ok(Column::Boot("ipaddress")),
        _ => {}
    }
    let wire = if wire == "port" { "switchport" } else { &wire };
    let field = NodeFields::fields()
        .iter()
        .find(|field| field.name == wire && !matches!(field.kind, Kind::Objects(_) | Kind::Labels));
    field.map(Column::Field).ok_or_else(|| {
        let known = NodeFields::fields().iter().map(|field| field.name.as_str());
        nearest(
            wire,
            known.chain(["name", "mac", "ip", "rack", "position"]),
            "perilune node import --help",
        )
    })
}

impl Row {
    fn take(&mut self, column: &Column, cell: &str) -> Result<(), String> {
        if cell.is_empty() {
            return Ok(());
        }
        match column {
            Column::Name => cell.clone_into(&mut self.name),
            Column::Boot(key) => self.interface("", key, cell)?,
            Column::Interface(name, field) => self.interface_field(name, field, cell)?,
            Column::Field(field) => {
                self.fields.insert(field.name.clone(), table_value(field, cell)?);
            }
            Column::Place(key @ ("position" | "height")) => {
                let number: u32 =
                    cell.parse().map_err(|_error| format!("{cell} is not a number"))?;
                self.place.insert((*key).to_owned(), number.into());
            }
            Column::Place(key) => {
                self.place.insert((*key).to_owned(), cell.into());
            }
            Column::Label(key) => {
                let mut request = label::Request::default();
                request.set(key, cell)?;
                let labels = self.fields.entry("labels").or_insert_with(|| json!({}));
                if let Value::Object(labels) = labels {
                    labels.insert(key.clone(), cell.into());
                }
            }
        }
        Ok(())
    }

    fn interface_field(&mut self, name: &str, field: &Field, cell: &str) -> Result<(), String> {
        if matches!(field.name.as_str(), "macaddress" | "ipaddress") {
            return self.interface(name, &field.name, cell);
        }
        let value = table_value(field, cell)?;
        self.interfaces.entry(name.to_owned()).or_default().insert(field.name.clone(), value);
        Ok(())
    }

    fn interface(&mut self, name: &str, key: &str, cell: &str) -> Result<(), String> {
        match key {
            "macaddress" => {
                cell.parse::<MacAddress>().map_err(|error| format!("{cell}: {error}"))?;
            }
            _ => {
                cell.parse::<IpAddr>().map_err(|_error| format!("{cell} is not an address"))?;
            }
        }
        self.interfaces.entry(name.to_owned()).or_default().insert(key.to_owned(), cell.into());
        Ok(())
    }

    /// The node's fields with its interfaces.
    fn fields(&self, known: Option<&Map<String, Value>>) -> Map<String, Value> {
        let mut fields = self.fields.clone();
        let boot = boot_interface(if fields.contains_key("provision_interface") {
            &fields
        } else {
            known.unwrap_or(&fields)
        });
        let mut interfaces: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for (name, said) in &self.interfaces {
            let name = if name.is_empty() { boot.as_str() } else { name };
            interfaces.entry(name).or_default().extend(said.clone());
        }
        let list: Vec<Value> = interfaces
            .into_iter()
            .map(|(name, mut said)| {
                said.insert("interface".to_owned(), name.into());
                said.into()
            })
            .collect();
        if !list.is_empty() {
            fields.insert("interfaces".to_owned(), list.into());
        }
        fields
    }
}

/// What makes the nodes as the rows say, and then puts them into their racks. The name of each says its row.
fn edits(rows: &[Row], known: &Map<String, Value>) -> Vec<Edit> {
    let label = |row: &Row| format!("row {} ({})", row.line, row.name);
    let mut edits = Vec::new();
    for row in rows {
        let node = known.get(&row.name).and_then(Value::as_object);
        let fields = row.fields(node);
        if node.is_none() || !fields.is_empty() {
            let body = json!({ "config": { "node": { &row.name: fields } } });
            edits.push(Edit::post(
                &label(row),
                &client::path(["config", "node", &row.name]),
                &body,
            ));
        }
    }
    for row in rows.iter().filter(|row| !row.place.is_empty()) {
        let mut device = row.place.clone();
        let rack = device.remove("rack").and_then(|rack| rack.as_str().map(str::to_owned));
        let rack = rack.unwrap_or_default();
        device.insert("name".to_owned(), row.name.as_str().into());
        device.insert("type".to_owned(), "node".into());
        let body = json!({ "config": { "rack": { &rack: { "devices": [device] } } } });
        let path = client::path(["config", "rack", &rack]);
        edits.push(Edit::post(&label(row), &path, &body).expecting("known"));
    }
    edits
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::{Row, read};

    fn said(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn a_row_says_what_its_cells_say_and_nothing_else() {
        let text = "\u{feff}name, group,mac,interface.BMC.ip,interface.BMC.network,port,netboot,comment,rack,position,label.a,label.b\n\
                    # a remark\n\
                    n1,compute,02:00:00:00:00:01,10.148.0.1,ipmi,7,yes,\"a, b\",r1,3,x,\n\
                    n2,,,,,,,,,,,\n";
        let rows = read(text).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].line, rows[1].name.as_str()), (3, "n2"));
        assert_eq!(
            json!(rows[0].fields(None)),
            json!({ "group": "compute", "switchport": "7", "netboot": true, "comment": "YSwgYg==", "labels": { "a": "x" }, "interfaces": [
                { "ipaddress": "10.148.0.1", "network": "ipmi", "interface": "BMC" },
                { "macaddress": "02:00:00:00:00:01", "interface": "BOOTIF" },
            ] })
        );
        assert_eq!(json!(rows[0].place), json!({ "rack": "r1", "position": 3 }));
        let known = json!({ "provision_interface": "eth0" });
        let of_known = rows[0].fields(known.as_object());
        assert_eq!(of_known["interfaces"][1]["interface"], "eth0");
        assert_eq!(rows[1], Row { line: 4, name: "n2".to_owned(), ..Row::default() });
        assert_eq!(rows[1].fields(None), Map::new());
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_row_and_column() {
        let text = "name,mac,position,netboot,label.a\nn1,x,y,maybe,b c\n,02:00:00:00:00:01,1,yes,\nn1,,,,\nn3,1\n";
        let said = said(text);
        for part in [
            "row 2, column mac: x: ",
            "row 2, column position: y is not a number",
            "row 2, column netboot: ",
            "row 3, column rack: it is empty, and a place is given",
            "row 3, column name: it is empty",
            "row 4, column name: n1 is there twice",
            "row 2, column label.a: invalid value of a label 'b c': ",
            "row 5: 2 cells, and 5 columns",
        ] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
    }

    #[test]
    fn columns_that_are_not_known_are_told_at_once() {
        let said = said("nme,grop,interface.BMC,interface.BMC.ipp,label.ö,group,group\nx\n");
        for part in [
            "column nme: did you mean name",
            "column grop: did you mean group",
            "column interface.BMC: write interface.NAME.FIELD",
            "column interface.BMC.ipp: write",
            "column label.ö: invalid key of a label",
            "column group: it is there twice",
            "there is no column name",
        ] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
    }
}
