//! Host lists: `node[001-128,200]` names many nodes in few characters.
//!
//! The notation is the one cluster tools share: numeric ranges in brackets, several brackets in one name,
//! lists separated by commas. A range is as wide as its lower bound is written, so `[01-10]` counts `01, 02, … 10`.
//! Existing Luna users also write `node001..node004`; that is a range, too.

use std::collections::{BTreeMap, BTreeSet};

/// A host list that names more than this is refused: it is a slip of the finger, not a cluster.
pub const MAXIMUM_NAMES: u128 = 100_000;

/// Host names are at most 253 characters; a longer one costs memory and names nothing.
const MAXIMUM_NAME_LENGTH: usize = 253;

/// Digits that fit a `u64` with room to spare.
const MAXIMUM_DIGITS: usize = 18;

/// Why a host list cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not written as a host list.
    #[error("host list {list:?}: {reason}")]
    Invalid {
        /// The part of the list that is wrong.
        list: String,
        /// What is wrong with it, and how it should be written.
        reason: &'static str,
    },
    /// It names more hosts than any cluster has.
    #[error("host list names {count} hosts; at most {MAXIMUM_NAMES} are accepted")]
    TooMany {
        /// How many names it would make.
        count: u128,
    },
}

/// Every name in `list`, in the order written, each once.
pub fn expand(list: &str) -> Result<Vec<String>, Error> {
    let patterns: Vec<Pattern<'_>> =
        split(list)?.into_iter().map(parse).collect::<Result<_, _>>()?;
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

/// One comma-separated part of a host list: literals and ranges in turn.
struct Pattern<'a>(Vec<Segment<'a>>);

enum Segment<'a> {
    Literal(&'a str),
    Ranges(Vec<Range>),
}

struct Range {
    low: u64,
    high: u64,
    width: usize,
}

impl Range {
    fn count(&self) -> u128 {
        u128::from(self.high - self.low) + 1
    }
}

impl Pattern<'_> {
    fn count(&self) -> u128 {
        self.0.iter().fold(1_u128, |product, segment| match segment {
            Segment::Literal(_) => product,
            Segment::Ranges(ranges) => {
                let sum =
                    ranges.iter().fold(0_u128, |sum, range| sum.saturating_add(range.count()));
                product.saturating_mul(sum)
            }
        })
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().fold(vec![String::new()], |names, segment| match segment {
            Segment::Literal(text) => names.into_iter().map(|name| name + text).collect(),
            Segment::Ranges(ranges) => names
                .iter()
                .flat_map(|name| ranges.iter().flat_map(move |range| append(name, range)))
                .collect(),
        })
    }
}

fn append<'a>(name: &'a str, range: &'a Range) -> impl Iterator<Item = String> + 'a {
    (range.low..=range.high)
        .map(move |number| format!("{name}{number:0width$}", width = range.width))
}

/// Splits at the commas that are outside brackets; empty parts are skipped, blanks around a part do not count.
fn split(list: &str) -> Result<Vec<&str>, Error> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut inside = false;
    for (position, character) in list.char_indices() {
        match character {
            '[' if inside => {
                return invalid(list, "a bracket inside a bracket; write node[1-3][1-2]");
            }
            '[' => inside = true,
            ']' if !inside => return invalid(list, "a bracket is closed that was not opened"),
            ']' => inside = false,
            ',' if !inside => {
                parts.push(list.get(start..position).unwrap_or_default());
                start = position + 1;
            }
            _ => {}
        }
    }
    if inside {
        return invalid(list, "a bracket is opened and not closed");
    }
    parts.push(list.get(start..).unwrap_or_default());
    Ok(parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect())
}

fn parse(part: &str) -> Result<Pattern<'_>, Error> {
    if let Some((first, last)) = part.split_once("..") {
        return parse_from_to(part, first, last);
    }
    let mut segments = Vec::new();
    let mut length = 0;
    let mut rest = part;
    while let Some((literal, after)) = rest.split_once('[') {
        let Some((inside, remainder)) = after.split_once(']') else {
            return invalid(part, "a bracket is opened and not closed");
        };
        let ranges: Vec<Range> =
            inside.split(',').map(|text| range(part, text)).collect::<Result<_, _>>()?;
        length += literal.len()
            + ranges.iter().map(|range| digits(range.high).max(range.width)).max().unwrap_or(0);
        segments.push(Segment::Literal(literal));
        segments.push(Segment::Ranges(ranges));
        rest = remainder;
    }
    segments.push(Segment::Literal(rest));
    if length + rest.len() > MAXIMUM_NAME_LENGTH {
        let start: String = part.chars().take(40).collect();
        return invalid(&format!("{start}…"), "a name has more than 253 characters");
    }
    Ok(Pattern(segments))
}

/// `node001..node004`
fn parse_from_to<'a>(part: &str, first: &'a str, last: &str) -> Result<Pattern<'a>, Error> {
    const WRITE: &str = "a range from name to name is written node001..node004";
    let prefix = first.trim_end_matches(|character: char| character.is_ascii_digit());
    let Some(low) = first.strip_prefix(prefix) else {
        return invalid(part, WRITE);
    };
    let Some(high) = last.strip_prefix(prefix) else {
        return invalid(part, WRITE);
    };
    if part.contains(['[', ']']) || prefix.len() > MAXIMUM_NAME_LENGTH - MAXIMUM_DIGITS {
        return invalid(part, WRITE);
    }
    let range = range_between(part, low, high)?;
    Ok(Pattern(vec![Segment::Literal(prefix), Segment::Ranges(vec![range])]))
}

fn range(part: &str, text: &str) -> Result<Range, Error> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    range_between(part, low, high)
}

fn range_between(part: &str, low: &str, high: &str) -> Result<Range, Error> {
    let width = low.len();
    let (low, high) = (number(part, low)?, number(part, high)?);
    if low > high {
        return invalid(part, "a range ends before it begins; write the smaller number first");
    }
    Ok(Range { low, high, width })
}

fn number(part: &str, text: &str) -> Result<u64, Error> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return invalid(part, "a range is numbers such as [001-128,200]");
    }
    if text.len() > MAXIMUM_DIGITS {
        return invalid(part, "a number has more than 18 digits");
    }
    text.parse().or_else(|_| invalid(part, "a number has more than 18 digits"))
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn invalid<T>(list: &str, reason: &'static str) -> Result<T, Error> {
    Err(Error::Invalid { list: list.to_owned(), reason })
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
                ranges.push(Range { low: value, high: value, width });
                ranges.len() - 1
            }
        };
        if let Some(range) = ranges.get_mut(index) {
            range.high = value;
            expected
                .insert(format!("{next:0width$}", next = value + 1, width = range.width), index);
        }
    }
    let written: Vec<String> = ranges
        .iter()
        .map(|Range { low, high, width }| {
            if low == high {
                format!("{low:0width$}")
            } else {
                format!("{low:0width$}-{high:0width$}")
            }
        })
        .collect();
    (!written.is_empty()).then(|| Piece::Text(format!("[{}]", written.join(","))))
}

#[cfg(test)]
mod tests;
