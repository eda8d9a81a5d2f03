//! Tables without lines: columns that shrink until they fit, one line for each row.

use std::io;

use console::{Style, measure_text_width, truncate_str};

use super::Canvas;
use super::text::printable;

/// Blanks between two columns.
const GAP: usize = 2;

/// A column that is cut keeps at least this much.
const LEAST_WIDTH: usize = 6;

/// What a cell tells at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Busy,
    Bad,
    Faint,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self::toned(text, Tone::Plain)
    }

    pub(crate) fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        let text = printable(text.as_ref());
        if text.is_empty() {
            Self { text: "-".to_owned(), tone: Tone::Faint }
        } else {
            Self { text, tone }
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

/// Rows under titles. The columns come in the order of their importance: what does not fit is left out from the end.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    titles: Vec<&'static str>,
    whole: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(titles: impl Into<Vec<&'static str>>) -> Self {
        Self { titles: titles.into(), whole: &[], rows: Vec::new() }
    }

    /// Columns that are of no use when they are cut, such as addresses.
    pub(crate) fn whole(self, titles: &'static [&'static str]) -> Self {
        Self { whole: titles, ..self }
    }

    pub(crate) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn render(&self, canvas: Canvas) -> String {
        self.lines(canvas).into_iter().map(|line| line + "\n").collect()
    }

    /// The titles in lower case, and the rows; what is not known is empty.
    pub(crate) fn csv(&self) -> io::Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.titles.iter().map(|title| title.to_lowercase()))?;
        for row in &self.rows {
            let is_nothing = |cell: &Cell| cell.tone == Tone::Faint && cell.text == "-";
            let texts =
                row.iter().map(|cell| if is_nothing(cell) { "" } else { cell.text.as_str() });
            writer.write_record(texts)?;
        }
        let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
        String::from_utf8(bytes).map_err(io::Error::other)
    }

    /// The title line and one line for each row.
    pub(crate) fn lines(&self, canvas: Canvas) -> Vec<String> {
        let widths = self.fit(self.natural_widths(), canvas.width);
        let titles: Vec<Cell> =
            self.titles.iter().map(|title| Cell::toned(title, Tone::Faint)).collect();
        std::iter::once(&titles)
            .chain(&self.rows)
            .map(|cells| render_line(cells, &widths, canvas.colour))
            .collect()
    }

    fn natural_widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> =
            self.titles.iter().map(|title| measure_text_width(title)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(measure_text_width(&cell.text));
            }
        }
        widths
    }

    /// As many columns as fit when they are cut, and then the widest ones cut until they do. The first names the row
    /// and is cut only when it alone is too wide.
    fn fit(&self, mut widths: Vec<usize>, available: Option<usize>) -> Vec<usize> {
        let Some(available) = available else {
            return widths;
        };
        let total =
            |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        let mut least: Vec<usize> = widths.clone();
        for (width, title) in least.iter_mut().zip(&self.titles).skip(1) {
            if !self.whole.contains(title) {
                *width = (*width).min(LEAST_WIDTH);
            }
        }
        while least.len() > 1 && total(&least) > available {
            least.pop();
        }
        widths.truncate(least.len());
        while total(&widths) > available {
            let cuttable = widths.iter_mut().zip(&least).filter(|(width, least)| **width > **least);
            match cuttable.map(|(width, _)| width).max() {
                Some(width) => *width -= 1,
                None => return vec![available],
            }
        }
        widths
    }
}

fn render_line(cells: &[Cell], widths: &[usize], colour: bool) -> String {
    let mut line = String::new();
    for (position, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if position > 0 {
            line.push_str(&" ".repeat(GAP));
        }
        let text = truncate_str(&cell.text, *width, "…");
        line.push_str(&paint(&text, cell.tone, colour));
        line.push_str(&" ".repeat(width.saturating_sub(measure_text_width(&text))));
    }
    line.truncate(line.trim_end().len());
    line
}

/// `text` in the colour of `tone`, where colours are wanted.
pub(crate) fn paint(text: &str, tone: Tone, colour: bool) -> String {
    let style = match tone {
        Tone::Plain => return text.to_owned(),
        _ if !colour || text.is_empty() => return text.to_owned(),
        Tone::Good => Style::new().green(),
        Tone::Busy => Style::new().cyan(),
        Tone::Bad => Style::new().red().bold(),
        Tone::Faint => Style::new().dim(),
    };
    style.force_styling(true).apply_to(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::{Canvas, Cell, Table, Tone};

    fn nodes() -> Table {
        let mut table = Table::new(["NAME", "STATUS", "GROUP", "COMMENT"]);
        table.row([
            Cell::new("node001"),
            Cell::toned("install.success", Tone::Good),
            Cell::new("compute"),
            Cell::new(
                "the first\nof many nodes, and the one that everybody looks at when it rains",
            ),
        ]);
        table.row([Cell::new("node002"), Cell::new(""), Cell::new("compute"), Cell::new("")]);
        table
    }

    fn at(width: usize) -> String {
        nodes().render(Canvas { width: Some(width), colour: false })
    }

    #[test]
    fn without_a_terminal_nothing_is_cut() {
        insta::assert_snapshot!(nodes().render(Canvas { width: None, colour: false }), @"
        NAME     STATUS           GROUP    COMMENT
        node001  install.success  compute  the first of many nodes, and the one that everybody looks at when it rains
        node002  -                compute  -
        ");
    }

    #[test]
    fn programs_are_given_all_of_it() {
        insta::assert_snapshot!(nodes().csv().unwrap(), @r#"
        name,status,group,comment
        node001,install.success,compute,"the first of many nodes, and the one that everybody looks at when it rains"
        node002,,compute,
        "#);
    }

    #[test]
    fn the_widest_column_is_cut_first() {
        insta::assert_snapshot!(at(60), @"
        NAME     STATUS           GROUP    COMMENT
        node001  install.success  compute  the first of many nodes,…
        node002  -                compute  -
        ");
    }

    #[test]
    fn when_nothing_can_be_cut_the_last_columns_are_left_out() {
        insta::assert_snapshot!(at(24), @"
        NAME     STATUS   GROUP
        node001  instal…  compu…
        node002  -        compu…
        ");
        insta::assert_snapshot!(at(5), @"
        NAME
        node…
        node…
        ");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 1..120 {
            let table = nodes().lines(Canvas { width: Some(width), colour: false });
            assert!(table.iter().all(|line| console::measure_text_width(line) <= width), "{width}");
        }
    }
}
