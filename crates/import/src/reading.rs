//! Reads the values of one row, and notes each that is not what its column is for.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use perilune_model::label::{self, Labels};
use perilune_model::provisioning::KERNEL_ARGUMENTS;
use perilune_model::{MacAddress, Name, NameError, Servers};

use crate::cell::{Cell, shown};
use crate::names::{Names, Referent};
use crate::report::{Finding, Report, Verdict};
use crate::source::Row;

/// As long as any text of the cluster may be.
const LONGEST_TEXT: usize = 1 << 20;

/// A row that is being read.
pub(crate) struct Reading<'a> {
    pub(crate) table: &'static str,
    pub(crate) row: &'a Row,
    /// The name of the object, for the report.
    pub(crate) name: Option<String>,
    report: &'a mut Report,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(table: &'static str, row: &'a Row, report: &'a mut Report) -> Self {
        Self { table, row, name: None, report }
    }

    /// The same for a row that belongs to the object of this name.
    pub(crate) fn of(
        table: &'static str,
        row: &'a Row,
        name: impl Display,
        report: &'a mut Report,
    ) -> Self {
        Self { table, row, name: Some(name.to_string()), report }
    }

    /// Notes how a value was read.
    pub(crate) fn odd(&mut self, column: &str, message: impl Into<String>) {
        self.note(Verdict::Odd, Some(column), message.into());
    }

    /// Arguments of a kernel. Those that are too long are taken: they may be from when the rest of the line was shorter. So are those that no
    /// boot script can have: whoever reads of them can put them right here.
    pub(crate) fn kernel_arguments(&mut self) -> Option<String> {
        let arguments = self.text(KERNEL_ARGUMENTS)?;
        let plain = perilune_plan::kernel_arguments(&arguments);
        if let Err(reason) = perilune_plan::check_kernel_arguments(&plain) {
            self.odd(
                KERNEL_ARGUMENTS,
                format!("{reason}; taken, and what is too long keeps nodes from booting"),
            );
        }
        if let Err(reason) = perilune_plan::check_script_text(&plain) {
            self.odd(KERNEL_ARGUMENTS, format!("{reason}; taken, and it keeps nodes from booting"));
        }
        Some(arguments)
    }

    /// Notes why the row is not taken.
    pub(crate) fn refuse(&mut self, column: &str, message: impl Into<String>) {
        self.note(Verdict::Refused, Some(column), message.into());
    }

    fn note(&mut self, verdict: Verdict, column: Option<&str>, message: String) {
        self.report.add(Finding {
            verdict,
            table: self.table.to_owned(),
            row: Some(self.row.id),
            name: self.name.clone(),
            column: column.map(str::to_owned),
            message,
        });
    }

    /// A text as it stands. Null, `""` and the word `None`, which the old daemon stored for null, are nothing.
    fn plain(&mut self, column: &str) -> Option<String> {
        let cell = self.row.cell(column);
        if *cell == Cell::Bytes {
            self.odd(column, "it holds bytes that are no text; read as unset");
        }
        let text = cell.text()?;
        if text.len() > LONGEST_TEXT {
            self.odd(column, format!("it is longer than {LONGEST_TEXT} bytes; read as unset"));
            return None;
        }
        let is_nothing = text.trim().is_empty() || text == "None";
        if is_nothing { None } else { Some(text) }
    }

    /// A text.
    pub(crate) fn text(&mut self, column: &str) -> Option<String> {
        let text = self.unmarked(column)?;
        let is_strange = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        if !text.contains(is_strange) {
            return Some(text);
        }
        self.odd(column, "it contains control characters; they are left out");
        Some(text.replace(is_strange, "")).filter(|text| !text.is_empty())
    }

    /// A value that must never be shown, and is taken as it is.
    pub(crate) fn confidential(&mut self, column: &str) -> Option<String> {
        self.plain(column)
    }

    /// `!!Invalid!!` and its like are what the old daemon answers for what it cannot find; a client may have sent it back.
    fn unmarked(&mut self, column: &str) -> Option<String> {
        let text = self.plain(column)?;
        if marked(&text).is_none() {
            return Some(text);
        }
        self.odd(
            column,
            format!("'{}' marks something that is missing; read as unset", shown(&text)),
        );
        None
    }

    /// The name of a file; the marks of one that was missing are taken off.
    pub(crate) fn file(&mut self, column: &str) -> Option<String> {
        let text = self.plain(column)?;
        let Some(inner) = marked(&text).map(str::to_owned) else { return Some(text) };
        self.odd(
            column,
            format!(
                "'{}' marks a file that was missing; read as '{}'",
                shown(&text),
                shown(&inner)
            ),
        );
        Some(inner).filter(|inner| !inner.is_empty())
    }

    /// A script: base64 by the convention of clients. What is not is taken as the script itself.
    pub(crate) fn script(&mut self, column: &str) -> Option<String> {
        let text = self.unmarked(column)?;
        let packed: String = text.split_ascii_whitespace().collect();
        if STANDARD.decode(&packed).is_ok() {
            if packed.len() != text.len() {
                self.odd(column, "its base64 contains white space; read without");
            }
            return Some(packed);
        }
        self.odd(column, "it is not base64; taken as the script itself");
        Some(text)
    }

    /// A value that is written as a text or a number; what cannot be read is noted and unset.
    pub(crate) fn parsed<T: FromStr>(&mut self, column: &str, what: &str) -> Option<T> {
        let text = self.unmarked(column)?;
        let parsed = text.trim().parse().ok();
        if parsed.is_none() {
            self.odd(column, format!("'{}' is not {what}; read as unset", shown(&text)));
        }
        parsed
    }

    /// A text that can be what it is for.
    pub(crate) fn checked(
        &mut self,
        column: &str,
        is_right: impl FnOnce(&str) -> bool,
    ) -> Option<String> {
        let text = self.unmarked(column)?;
        if is_right(text.trim()) {
            return Some(text.trim().to_owned());
        }
        self.odd(column, format!("'{}' cannot be this; read as unset", shown(&text)));
        None
    }

    /// A whole number.
    pub(crate) fn number<T: FromStr>(&mut self, column: &str) -> Option<T> {
        if let Cell::Real(real) = self.row.cell(column)
            && real.fract() == 0.0
            && let Ok(number) = format!("{real:.0}").parse()
        {
            return Some(number);
        }
        self.parsed(column, "a whole number in its range")
    }

    /// A boolean in any of the spellings that clients sent.
    pub(crate) fn boolean(&mut self, column: &str) -> Option<bool> {
        let text = self.unmarked(column)?;
        // A column of numbers may hold them with a fraction.
        let value = match text.trim() {
            "1.0" => Some(true),
            "0.0" => Some(false),
            text => perilune_plan::boolean(text),
        };
        if value.is_none() {
            self.odd(column, format!("'{}' is neither yes nor no; read as unset", shown(&text)));
        }
        value
    }

    /// A boolean of a node, where the number zero says nothing, and only the words say no.
    pub(crate) fn boolean_or_inherited(&mut self, column: &str) -> Option<bool> {
        if *self.row.cell(column) == Cell::Integer(0) { None } else { self.boolean(column) }
    }

    /// One of several words.
    pub(crate) fn word<T>(
        &mut self,
        column: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.unmarked(column)?;
        let word = read(&text.trim().to_ascii_lowercase());
        if word.is_none() {
            self.odd(column, format!("'{}' is not one of its words; read as unset", shown(&text)));
        }
        word
    }

    /// An address of either family.
    pub(crate) fn address(&mut self, column: &str) -> Option<IpAddr> {
        self.parsed(column, "an IP address")
    }

    /// A list of addresses; what is none is left out.
    pub(crate) fn addresses(&mut self, column: &str) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for word in self.list(column) {
            match word.parse() {
                Ok(address) => addresses.push(address),
                Err(_) => {
                    self.odd(column, format!("'{}' is not an IP address; left out", shown(&word)));
                }
            }
        }
        addresses
    }

    /// Servers, each by what `read` takes; others are left out.
    pub(crate) fn servers(
        &mut self,
        column: &str,
        read: fn(&str) -> Result<Servers, String>,
    ) -> Option<Servers> {
        let mut servers = Vec::new();
        for word in self.list(column) {
            match read(&word) {
                Ok(one) => servers.extend(one.iter().cloned()),
                Err(reason) => self.odd(column, format!("{reason}; left out")),
            }
        }
        Servers::of(servers)
    }

    /// Words that are separated by commas or blanks.
    pub(crate) fn list(&mut self, column: &str) -> Vec<String> {
        let text = self.text(column).unwrap_or_default();
        let words = text.split([',', ' ', '\n', '\t']).map(str::trim);
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    /// Labels. What can be none is left out; so is all of it when there are too many.
    pub(crate) fn labels(&mut self) -> Labels {
        let column = "labels";
        let mut request = label::Request::default();
        for word in self.list(column) {
            if let Err(reason) = request.add(&word) {
                self.odd(column, format!("{reason}; left out"));
            }
        }
        request.alone().unwrap_or_else(|violation| {
            self.odd(column, format!("{}; read as unset", violation.reason));
            Labels::default()
        })
    }

    /// A hardware address.
    pub(crate) fn mac(&mut self, column: &str) -> Option<MacAddress> {
        self.parsed(column, "a MAC address")
    }

    /// The name of the row's object; without one the row is refused. The report calls the object so from here on.
    pub(crate) fn own_name(
        &mut self,
        column: &str,
        check: fn(&str) -> Result<Name, NameError>,
    ) -> Option<Name> {
        let text = self.plain(column);
        let Some(text) = text else {
            self.refuse(column, "it has no name");
            return None;
        };
        self.name = Some(shown(&text));
        match check(&text) {
            Ok(name) => {
                if name != text.as_str() {
                    self.odd(column, format!("'{}' is read as '{name}'", shown(&text)));
                    self.name = Some(name.to_string());
                }
                Some(name)
            }
            Err(error) => {
                self.refuse(
                    column,
                    format!(
                        "'{}' cannot be a name: {error}; rename it in the old site",
                        shown(&text)
                    ),
                );
                None
            }
        }
    }

    /// The number of a row of another table. Zero, which no row has, is nothing.
    pub(crate) fn number_of_row(&mut self, column: &str) -> Option<i64> {
        self.number(column).filter(|id| *id != 0)
    }

    /// The object that a column refers to; one that is not there is noted.
    pub(crate) fn reference(
        &mut self,
        names: &Names,
        table: &'static str,
        column: &str,
    ) -> Option<Name> {
        let id = self.number_of_row(column)?;
        match names.find(table, id) {
            Referent::Taken(name) => Some(name),
            Referent::Refused => {
                self.odd(column, format!("row {id} of {table} is not taken; read as unset"));
                None
            }
            Referent::Missing => {
                self.odd(column, format!("there is no row {id} in {table}; read as unset"));
                None
            }
        }
    }

    /// The object that the row belongs to; without one the row is refused. A row whose owner is not taken goes with it, unsaid.
    pub(crate) fn owner(
        &mut self,
        names: &Names,
        table: &'static str,
        column: &str,
    ) -> Option<Name> {
        let Some(id) = self.number_of_row(column) else {
            self.refuse(column, format!("it belongs to no row of {table}"));
            return None;
        };
        match names.find(table, id) {
            Referent::Taken(name) => Some(name),
            Referent::Refused => None,
            Referent::Missing => {
                self.refuse(
                    column,
                    format!("it belongs to row {id} of {table}, which is not there"),
                );
                None
            }
        }
    }
}

/// What stands between the marks of something missing.
fn marked(text: &str) -> Option<&str> {
    text.strip_prefix("!!")?.strip_suffix("!!")
}
