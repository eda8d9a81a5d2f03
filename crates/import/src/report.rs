//! What is said about an import: what is taken, what is odd, what is refused.

use std::collections::BTreeMap;

/// As many findings as are told one by one.
const MOST_FINDINGS: usize = 10_000;

/// What became of the row or the value that a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The row is not taken.
    Refused,
    /// The row is taken; the finding says how it was read.
    Odd,
    /// A table or a column that has no place here.
    Left,
}

impl Verdict {
    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Odd => "odd",
            Self::Left => "left",
        }
    }
}

/// Something that the administrator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What became of it.
    pub verdict: Verdict,
    /// The table.
    pub table: String,
    /// The row's id.
    pub row: Option<i64>,
    /// The name of the object that the row describes.
    pub name: Option<String>,
    /// The column.
    pub column: Option<String>,
    /// What was found and how it is read.
    pub message: String,
}

/// What is said about an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How many objects of each kind are taken, by the kind's word.
    pub taken: BTreeMap<&'static str, usize>,
    /// The findings: refused first, then odd, then left; each in the order of the tables.
    pub findings: Vec<Finding>,
    /// Findings beyond those that are told.
    pub more: usize,
}

impl Report {
    pub(crate) fn add(&mut self, finding: Finding) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn table(&mut self, verdict: Verdict, table: &str, message: String) {
        self.add(Finding {
            verdict,
            table: table.to_owned(),
            row: None,
            name: None,
            column: None,
            message,
        });
    }

    pub(crate) fn row(&mut self, verdict: Verdict, table: &str, row: i64, message: String) {
        self.add(Finding {
            verdict,
            table: table.to_owned(),
            row: Some(row),
            name: None,
            column: None,
            message,
        });
    }

    pub(crate) fn count(&mut self, word: &'static str, count: usize) {
        if count > 0 {
            *self.taken.entry(word).or_default() += count;
        }
    }

    pub(crate) fn sort(&mut self) {
        self.findings.sort_by_key(|finding| finding.verdict);
    }

    /// How many findings have this verdict, of those that are told.
    pub fn of(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }
}
