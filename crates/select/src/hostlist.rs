//! Host lists: `node[001-128,200]` names many nodes in few characters.
//!
//! The notation is the one cluster tools share: numeric ranges in brackets, also with steps, several brackets in one name,
//! lists separated by commas. A range is as wide as its lower bound is written, so `[01-10]` counts `01, 02, … 10`.
//! Existing Luna users also write `node001..node004`; that is a range, too.

use std::collections::{BTreeMap, BTreeSet};

use crate::pattern::{self, Pattern, Range};
use crate::{Error, MAXIMUM_NAMES};

/// Digits that fit a `u64` with room to spare.
const MAXIMUM_DIGITS: usize = 18;

/// Every name in `list`, in the order written, each once.
pub fn expand(list: &str) -> Result<Vec<String>, Error> {
    let mut patterns = Vec::new();
    for (place, word) in pattern::split(list, ',')? {
        let pattern = pattern::parse(list, place, word)?;
        if pattern.has_wildcards() {
            let reason = "a wildcard; write the names or ranges of numbers here";
            return Err(Error::syntax(list, place, reason));
        }
        patterns.push(pattern);
    }
    expand_all(&patterns)
}

/// The names of all these, each once. What would be too many is refused before any is made.
pub(crate) fn expand_all(patterns: &[Pattern]) -> Result<Vec<String>, Error> {
    let count = patterns.iter().fold(0_u128, |sum, pattern| sum.saturating_add(pattern.count()));
    if count > MAXIMUM_NAMES {
        return Err(Error::TooMany { count });
    }
    let mut seen = BTreeSet::new();
    let names = patterns.iter().flat_map(Pattern::names);
    Ok(names.filter(|name| seen.insert(name.clone())).collect())
}

/// The shortest usual way to write `names`: sorted, each once, numbers joined to ranges.
///
/// [`expand`] of the result gives the same names. Names that contain a bracket or a comma have no notation and are
/// written as they are.
pub fn fold<I>(names: I) -> String
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    let mut names: Vec<Vec<Piece>> = names.into_iter().map(|name| pieces(name.as_ref())).collect();
    names.sort();
    names.dedup();
    let dimensions = names.iter().map(|name| numbers_in(name)).max().unwrap_or(0);
    for dimension in (0..dimensions).rev() {
        names = fold_dimension(names, dimension);
    }
    let written: Vec<String> =
        names.iter().map(|name| name.iter().map(Piece::written).collect()).collect();
    written.join(",")
}

/// A name, cut where digits begin and end. The order is the natural one: `node9` before `node10`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Number { value: u64, width: usize },
    Text(String),
}

impl Piece {
    fn written(&self) -> String {
        match self {
            Self::Number { value, width } => format!("{value:0width$}"),
            Self::Text(text) => text.clone(),
        }
    }
}

fn pieces(name: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.trim_start_matches(|character: char| !character.is_ascii_digit());
        let tail = text.trim_start_matches(|character: char| character.is_ascii_digit());
        let letters = rest.strip_suffix(text).unwrap_or_default();
        if !letters.is_empty() {
            pieces.push(Piece::Text(letters.to_owned()));
        }
        let number = text.strip_suffix(tail).unwrap_or_default();
        if !number.is_empty() {
            let value = if number.len() > MAXIMUM_DIGITS { None } else { number.parse().ok() };
            pieces.push(match value {
                Some(value) => Piece::Number { value, width: number.len() },
                None => Piece::Text(number.to_owned()),
            });
        }
        rest = tail;
    }
    pieces
}

fn numbers_in(name: &[Piece]) -> usize {
    name.iter().filter(|piece| matches!(piece, Piece::Number { .. })).count()
}

/// What names have in common that differ in one number only: the text around it, and whether there is a number at all.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Around {
    before: Vec<Piece>,
    after: Vec<Piece>,
    has_number: bool,
}

/// Joins names that differ in nothing but their number at `dimension` (counted from the left).
fn fold_dimension(names: Vec<Vec<Piece>>, dimension: usize) -> Vec<Vec<Piece>> {
    let mut order = Vec::new();
    let mut groups: BTreeMap<Around, Vec<(u64, usize)>> = BTreeMap::new();
    for name in names {
        let (around, number) = cut_at_number(name, dimension);
        if !groups.contains_key(&around) {
            order.push(around.clone());
        }
        groups.entry(around).or_default().extend(number);
    }
    let mut folded = Vec::new();
    for around in order {
        let numbers = groups.remove(&around).unwrap_or_default();
        let mut name = around.before;
        name.extend(joined(numbers));
        name.extend(around.after);
        folded.push(name);
    }
    folded
}

fn cut_at_number(name: Vec<Piece>, dimension: usize) -> (Around, Option<(u64, usize)>) {
    let mut number = None;
    let mut around = Around { before: Vec::new(), after: Vec::new(), has_number: false };
    let mut seen = 0;
    for piece in name {
        match piece {
            Piece::Number { value, width } if seen == dimension => {
                number = Some((value, width));
                around.has_number = true;
                seen += 1;
            }
            piece @ (Piece::Number { .. } | Piece::Text(_)) => {
                seen += usize::from(matches!(piece, Piece::Number { .. }));
                if around.has_number { around.after.push(piece) } else { around.before.push(piece) }
            }
        }
    }
    (around, number)
}

/// `[1-3,7]`; a number alone stays a number, so that it keeps its place in the order.
fn joined(mut numbers: Vec<(u64, usize)>) -> Option<Piece> {
    if let [(value, width)] = *numbers {
        return Some(Piece::Number { value, width });
    }
    numbers.sort_unstable();
    // The text that would continue a range, and which range that is.
    let mut expected: BTreeMap<String, usize> = BTreeMap::new();
    let mut ranges: Vec<Range> = Vec::new();
    for (value, width) in numbers {
        let text = format!("{value:0width$}");
        let index = match expected.remove(&text) {
            Some(index) => index,
            None => {
                ranges.push(Range { low: value, high: value, step: 1, width });
                ranges.len() - 1
            }
        };
        if let Some(range) = ranges.get_mut(index) {
            range.high = value;
            expected
                .insert(format!("{next:0width$}", next = value + 1, width = range.width), index);
        }
    }
    let written: Vec<String> = ranges.iter().map(ToString::to_string).collect();
    (!written.is_empty()).then(|| Piece::Text(format!("[{}]", written.join(","))))
}

#[cfg(test)]
mod tests;
