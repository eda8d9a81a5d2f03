//! Where results go: tables and texts for people, JSON and YAML for programs.

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use console::Term;
use serde_json::Value;

pub(crate) mod changes;
pub(crate) mod object;
pub(crate) mod table;
pub(crate) mod text;

use table::Table;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    // A line of titles, then a line for each row. Without a comment of its own: one would stretch every help page.
    Csv,
    Json,
    Yaml,
}

/// What the result is written to can do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Canvas {
    /// Columns of the terminal; none when the output is no terminal, and nothing is cut.
    pub(crate) width: Option<usize>,
    pub(crate) colour: bool,
}

pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) canvas: Canvas,
    pub(crate) is_terminal: bool,
    /// Whether what went well is said.
    is_quiet: bool,
}

impl Output {
    pub(crate) fn new(format: Format, is_quiet: bool) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let width = if is_terminal { terminal_size().map(|(_, columns)| columns) } else { None };
        let colour = is_terminal && console::colors_enabled();
        Self { format, canvas: Canvas { width, colour }, is_terminal, is_quiet }
    }

    /// Says that something was done, to who wants to hear it.
    pub(crate) fn done(&self, text: &str) -> io::Result<()> {
        if self.is_quiet { Ok(()) } else { line(text) }
    }

    /// Whether rows are written, and not objects.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self.format, Format::Table | Format::Csv)
    }

    /// The value as JSON or YAML.
    pub(crate) fn value(&self, value: &Value) -> io::Result<()> {
        write(&self.text(value)?)
    }

    fn text(&self, value: &Value) -> io::Result<String> {
        Ok(match self.format {
            Format::Yaml => perilune_notation::write_yaml(value),
            Format::Json | Format::Table | Format::Csv => {
                serde_json::to_string_pretty(value)? + "\n"
            }
        })
    }

    /// One entry of what [`Self::entries`] writes.
    pub(crate) fn entry(&self, name: &str, value: Value) -> io::Result<String> {
        if self.format == Format::Yaml {
            let entry = serde_json::Map::from_iter([(name.to_owned(), value)]);
            return Ok(perilune_notation::write_yaml(&Value::Object(entry)));
        }
        // No text in JSON has a line break of its own.
        let text = serde_json::to_string_pretty(&value)?.replace('\n', "\n  ");
        Ok(format!("  {}: {text}", serde_json::to_string(name)?))
    }

    /// An object of which each entry was written by itself, as [`Self::value`] would write all of it.
    pub(crate) fn entries(&self, entries: &[String]) -> io::Result<()> {
        if entries.is_empty() {
            return self.value(&Value::Object(serde_json::Map::new()));
        }
        write(&self.object(entries))
    }

    fn object(&self, entries: &[String]) -> String {
        let (begin, between, end) =
            if self.format == Format::Yaml { ("", "", "") } else { ("{\n", ",\n", "\n}\n") };
        format!("{begin}{}{end}", entries.join(between))
    }

    pub(crate) fn table(&self, table: &Table) -> io::Result<()> {
        match self.format {
            Format::Csv => write(&table.csv()?),
            Format::Table | Format::Json | Format::Yaml => write(&table.render(self.canvas)),
        }
    }
}

/// Rows and columns of the terminal.
pub(crate) fn terminal_size() -> Option<(usize, usize)> {
    let (rows, columns) = Term::stdout().size_checked()?;
    Some((usize::from(rows), usize::from(columns)))
}

pub(crate) fn line(line: &str) -> io::Result<()> {
    write(&format!("{line}\n"))
}

pub(crate) fn write(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    // Programs are given what there is.
    let shown = if output.is_terminal() { text::for_terminal(text) } else { text.into() };
    output.write_all(shown.as_bytes())?;
    output.flush()
}

/// What a file holds. A terminal is shown it as text.
pub(crate) fn bytes(content: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    if output.is_terminal() {
        drop(output);
        return write(&String::from_utf8_lossy(content));
    }
    output.write_all(content)?;
    output.flush()
}

/// Says something beside the result. That nobody listens is no failure.
pub(crate) fn note(text: &str) {
    let mut output = io::stderr().lock();
    let shown = if output.is_terminal() { text::for_terminal(text) } else { text.into() };
    writeln!(output, "{shown}").ok();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Canvas, Format, Output};

    #[test]
    fn entries_are_written_one_by_one_as_all_of_them_would_be() {
        let value = json!({
            "n1": { "comment": "two\nlines", "interfaces": [{ "name": "BOOTIF" }, {}], "labels": {} },
            "n 2": null, "3": [], "no": "yes", "": "empty",
        });
        for format in [Format::Json, Format::Yaml] {
            let canvas = Canvas { width: None, colour: false };
            let output = Output { format, canvas, is_terminal: false, is_quiet: false };
            let entries = value.as_object().unwrap().clone().into_iter();
            let entries: Vec<String> =
                entries.map(|(name, value)| output.entry(&name, value).unwrap()).collect();
            assert_eq!(output.object(&entries), output.text(&value).unwrap());
        }
    }
}
