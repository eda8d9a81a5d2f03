//! The database file: opened so that nothing in it is trusted, and read whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::Error;
use crate::cell::Cell;
use crate::schema;

/// How every SQLite database begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// As long as one value may be.
const LONGEST_VALUE: i32 = 16 << 20;
/// As many values as are held in memory.
const MOST_CELLS: usize = 8_000_000;
/// As many tables as are looked at.
const MOST_TABLES: usize = 1000;
/// As long as reading may take.
const LONGEST: Duration = Duration::from_mins(1);
/// Steps of SQLite's machine between two looks at the clock.
const STEPS: i32 = 100_000;

/// One row of a table that is read.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its id, or its place in the table where that has none.
    pub(crate) id: i64,
    columns: Arc<Vec<String>>,
    cells: Vec<Cell>,
}

impl Row {
    /// A row with a value for each column.
    pub(crate) fn new(id: i64, columns: &Arc<Vec<String>>, cells: Vec<Cell>) -> Self {
        Self { id, columns: Arc::clone(columns), cells }
    }

    /// Whether the row's table has such a column.
    pub(crate) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
    }

    /// The columns with their values.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (&str, &Cell)> {
        self.columns.iter().map(String::as_str).zip(&self.cells)
    }

    /// The value of a column; null where the table has no such column.
    pub(crate) fn cell(&self, column: &str) -> &Cell {
        let position = self.columns.iter().position(|name| name == column);
        position.and_then(|position| self.cells.get(position)).unwrap_or(&Cell::Null)
    }
}

/// A database in memory: the rows of the tables that are read, and how many the others have.
#[derive(Debug, Default)]
pub struct Source {
    tables: BTreeMap<String, Vec<Row>>,
    columns: BTreeMap<String, Arc<Vec<String>>>,
    others: BTreeMap<String, i64>,
}

impl Source {
    /// Reads a database. The file must not change meanwhile.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut magic = [0; MAGIC.len()];
        match File::open(path)?.read_exact(&mut magic) {
            Ok(()) if magic == *MAGIC => {}
            Ok(()) => return Err(Error::NotADatabase),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(Error::NotADatabase);
            }
            Err(error) => return Err(error.into()),
        }
        let connection = open(path).map_err(failed)?;
        check(&connection)?;
        let source = Self::tables(&connection)?;
        if schema::TELLING.iter().any(|table| source.columns.contains_key(*table)) {
            Ok(source)
        } else {
            Err(Error::Foreign(schema::TELLING.join(", ")))
        }
    }

    /// Puts a table in the place of one of this name.
    pub(crate) fn put(&mut self, table: &str, columns: Arc<Vec<String>>, rows: Vec<Row>) {
        self.columns.insert(table.to_owned(), columns);
        self.tables.insert(table.to_owned(), rows);
    }

    /// Keeps the rows of a table that are wanted.
    pub(crate) fn retain(&mut self, table: &str, wanted: impl FnMut(&Row) -> bool) {
        if let Some(rows) = self.tables.get_mut(table) {
            rows.retain(wanted);
        }
    }

    /// The rows of a table: those of a database by id, those of an export in its order.
    pub(crate) fn rows(&self, table: &str) -> &[Row] {
        self.tables.get(table).map(Vec::as_slice).unwrap_or_default()
    }

    /// The columns of a table; nothing where it is not there.
    pub(crate) fn columns(&self, table: &str) -> Option<&[String]> {
        self.columns.get(table).map(|columns| columns.as_slice())
    }

    /// Tables that are not read, with the number of their rows.
    pub(crate) fn others(&self) -> impl Iterator<Item = (&str, i64)> {
        self.others.iter().map(|(name, rows)| (name.as_str(), *rows))
    }

    fn tables(connection: &Connection) -> Result<Self, Error> {
        let mut source = Self::default();
        let mut cells = 0;
        for name in table_names(connection)? {
            if schema::known(&name).is_none() {
                let rows = count(connection, &name).map_err(failed)?;
                source.others.insert(name, rows);
                continue;
            }
            let columns = Arc::new(column_names(connection, &name).map_err(failed)?);
            let rows = rows(connection, &name, &columns, &mut cells)?;
            source.columns.insert(name.clone(), columns);
            source.tables.insert(name, rows);
        }
        Ok(source)
    }
}

/// Opens the file for reading, as one that nobody else uses: files beside it are not looked at.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri(path), flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_VALUE)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    let started = Instant::now();
    connection.progress_handler(STEPS, Some(move || started.elapsed() > LONGEST))?;
    Ok(connection)
}

fn uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                uri.push(char::from(*byte));
            }
            byte => {
                uri.push('%');
                for digit in [byte >> 4, byte & 15] {
                    uri.extend(char::from_digit(u32::from(digit), 16));
                }
            }
        }
    }
    uri + "?mode=ro&immutable=1"
}

fn check(connection: &Connection) -> Result<(), Error> {
    let found: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if found == "ok" { Ok(()) } else { Err(Error::Inconsistent(crate::cell::shown(&found))) }
}

/// Tables proper: views and virtual tables compute what they show, and nothing here needs that.
fn table_names(connection: &Connection) -> Result<Vec<String>, Error> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let mut names = Vec::new();
    let mut rows = statement.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        if names.len() == MOST_TABLES {
            return Err(Error::TooLarge { what: "tables", limit: MOST_TABLES });
        }
        names.push(row.get(0).map_err(failed)?);
    }
    Ok(names)
}

/// The columns that are stored; computed ones are left alone.
fn column_names(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        connection.prepare("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0")?;
    let names = statement.query_map([table], |row| row.get(0))?;
    names.collect()
}

fn rows(
    connection: &Connection,
    table: &str,
    columns: &Arc<Vec<String>>,
    cells: &mut usize,
) -> Result<Vec<Row>, Error> {
    let list: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
    let sql = format!("SELECT {} FROM {}", list.join(", "), quoted(table));
    let mut statement = connection.prepare(&sql).map_err(failed)?;
    let mut found = statement.query([]).map_err(failed)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        *cells += columns.len();
        if *cells > MOST_CELLS {
            return Err(Error::TooLarge { what: "values", limit: MOST_CELLS });
        }
        let mut values = Vec::with_capacity(columns.len());
        for position in 0..columns.len() {
            values.push(Cell::of(row.get_ref(position).map_err(failed)?));
        }
        let place = i64::try_from(rows.len()).unwrap_or(i64::MAX).saturating_add(1);
        let mut row = Row::new(place, columns, values);
        if let Cell::Integer(id) = row.cell("id") {
            row.id = *id;
        }
        rows.push(row);
    }
    rows.sort_by_key(|row| row.id);
    Ok(rows)
}

fn count(connection: &Connection, table: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("SELECT count(*) FROM {}", quoted(table)), [], |row| row.get(0))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn failed(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Error::NotADatabase,
        Some(ErrorCode::OperationInterrupted) => Error::TooSlow(LONGEST.as_secs()),
        Some(ErrorCode::TooBig) => Error::TooLarge { what: "bytes in one value", limit: 16 << 20 },
        _ => Error::Damaged(error),
    }
}
