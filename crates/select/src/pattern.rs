//! One word of a host list: `node[1-9/2]`, `r[1-2]n*`. It is expanded to names, or names are compared with it.

use std::fmt::{self, Write as _};

use crate::Error;

/// Host names are at most 253 characters; a longer one costs memory and names nothing.
const MAXIMUM_NAME_LENGTH: usize = 253;
/// Digits that fit a `u64` with room to spare.
const MAXIMUM_DIGITS: usize = 18;

/// Literals, ranges and wildcards in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Ranges(Vec<Range>),
    /// `?`
    One,
    /// `*`
    Any,
}

/// `001-128/2`. A range is as wide as its lower bound is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) low: u64,
    pub(crate) high: u64,
    pub(crate) step: u64,
    pub(crate) width: usize,
}

impl Range {
    fn count(&self) -> u128 {
        u128::from((self.high - self.low) / self.step) + 1
    }

    fn numbers(self) -> impl Iterator<Item = String> {
        let step = usize::try_from(self.step).unwrap_or(usize::MAX);
        let width = self.width;
        (self.low..=self.high).step_by(step).map(move |number| format!("{number:0width$}"))
    }

    /// Whether the digits are one of its numbers, written as it writes them.
    fn holds(&self, text: &str) -> bool {
        let Ok(number) = text.parse::<u64>() else { return false };
        let is_among = (self.low..=self.high).contains(&number)
            && (number - self.low).is_multiple_of(self.step);
        is_among && text.len() == digits(number).max(self.width)
    }
}

impl Pattern {
    /// How many names it stands for; one with wildcards stands for none by itself.
    pub(crate) fn count(&self) -> u128 {
        self.0.iter().fold(1_u128, |product, segment| match segment {
            Segment::Literal(_) | Segment::One | Segment::Any => product,
            Segment::Ranges(ranges) => {
                let sum =
                    ranges.iter().fold(0_u128, |sum, range| sum.saturating_add(range.count()));
                product.saturating_mul(sum)
            }
        })
    }

    pub(crate) fn has_wildcards(&self) -> bool {
        self.0.iter().any(|segment| matches!(segment, Segment::One | Segment::Any))
    }

    /// The text that it is, when it has neither ranges nor wildcards.
    pub(crate) fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Segment::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Every name, in the order written. Wildcards stand as they are.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().fold(vec![String::new()], |names, segment| match segment {
            Segment::Literal(text) => append(names, text),
            Segment::One => append(names, "?"),
            Segment::Any => append(names, "*"),
            Segment::Ranges(ranges) => names
                .iter()
                .flat_map(|name| {
                    ranges.iter().flat_map(move |range| {
                        range.numbers().map(move |number| format!("{name}{number}"))
                    })
                })
                .collect(),
        })
    }

    /// Whether the name is one of those that it stands for.
    ///
    /// Places in the name that were reached are walked on, segment by segment, so that no pattern costs more than its length
    /// times that of the name.
    pub(crate) fn matches(&self, name: &str) -> bool {
        if let Some(literal) = self.literal() {
            return literal == name;
        }
        if let Some(is_match) = self.matches_simply(name) {
            return is_match;
        }
        let mut reached = vec![0];
        for segment in &self.0 {
            reached = segment.reached_from(&reached, name);
            if reached.is_empty() {
                return false;
            }
        }
        reached.last() == Some(&name.len())
    }

    /// The answer for what most people write, `node*` and `node*7`: without the lists of places, which took most of the time in a large
    /// cluster.
    fn matches_simply(&self, name: &str) -> Option<bool> {
        let (first, last) = match self.0.as_slice() {
            [Segment::Any] => ("", ""),
            [Segment::Any, Segment::Literal(last)] => ("", last.as_str()),
            [Segment::Literal(first), Segment::Any] => (first.as_str(), ""),
            [Segment::Literal(first), Segment::Any, Segment::Literal(last)] => {
                (first.as_str(), last.as_str())
            }
            _ => return None,
        };
        let rest = name.strip_prefix(first);
        Some(rest.is_some_and(|rest| rest.ends_with(last)))
    }
}

impl Segment {
    /// Where this segment may end in the name, when it begins at one of these places. In order, each once.
    fn reached_from(&self, starts: &[usize], name: &str) -> Vec<usize> {
        let rest = |start: usize| name.get(start..).unwrap_or_default();
        let mut ends: Vec<usize> = match self {
            Self::Literal(text) => starts
                .iter()
                .filter(|start| rest(**start).starts_with(text.as_str()))
                .map(|start| start + text.len())
                .collect(),
            Self::One => starts
                .iter()
                .filter_map(|start| Some(start + rest(*start).chars().next()?.len_utf8()))
                .collect(),
            Self::Any => {
                let Some(first) = starts.first() else { return Vec::new() };
                let places = name.char_indices().map(|(place, _)| place).chain([name.len()]);
                places.filter(|place| place >= first).collect()
            }
            Self::Ranges(ranges) => {
                starts.iter().flat_map(|start| numbers_at(ranges, *start, rest(*start))).collect()
            }
        };
        ends.sort_unstable();
        ends.dedup();
        ends
    }
}

/// Where numbers of the ranges may end that begin at `start`.
fn numbers_at(ranges: &[Range], start: usize, rest: &str) -> impl Iterator<Item = usize> {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count().min(MAXIMUM_DIGITS + 1);
    (1..=digits)
        .filter(move |length| {
            let text = rest.get(..*length).unwrap_or_default();
            ranges.iter().any(|range| range.holds(text))
        })
        .map(move |length| start + length)
}

fn append(names: Vec<String>, text: &str) -> Vec<String> {
    names.into_iter().map(|name| name + text).collect()
}

/// Reads one word. `offset` is where it stands in `whole`, which errors show.
pub(crate) fn parse(whole: &str, offset: usize, word: &str) -> Result<Pattern, Error> {
    let reader = Reader { whole, offset };
    if let Some((first, last)) = word.split_once("..") {
        return reader.name_to_name(word, first, last);
    }
    let mut segments = Vec::new();
    let mut length = 0;
    let mut place = 0;
    let mut rest = word;
    while let Some((literal, after)) = rest.split_once('[') {
        let inside_at = place + literal.len() + 1;
        reader.literals(&mut segments, place, literal)?;
        let Some((inside, remainder)) = after.split_once(']') else {
            return reader.wrong(inside_at - 1, "a bracket is opened and not closed");
        };
        if let Some(nested) = inside.find('[') {
            let reason = "a bracket inside a bracket; write node[1-3][1-2]";
            return reader.wrong(inside_at + nested, reason);
        }
        let ranges = reader.ranges(inside_at, inside)?;
        length += literal.len()
            + ranges.iter().map(|range| digits(range.high).max(range.width)).max().unwrap_or(0);
        segments.push(Segment::Ranges(ranges));
        place = inside_at + inside.len() + 1;
        rest = remainder;
    }
    reader.literals(&mut segments, place, rest)?;
    if length + rest.len() > MAXIMUM_NAME_LENGTH {
        return reader.wrong(0, "a name has more than 253 characters");
    }
    if segments.is_empty() {
        segments.push(Segment::Literal(String::new()));
    }
    Ok(Pattern(segments))
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.0 {
            match segment {
                Segment::Literal(text) => formatter.write_str(text)?,
                Segment::One => formatter.write_char('?')?,
                Segment::Any => formatter.write_char('*')?,
                Segment::Ranges(ranges) => {
                    let written: Vec<String> = ranges.iter().map(ToString::to_string).collect();
                    write!(formatter, "[{}]", written.join(","))?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { low, high, step, width } = self;
        write!(formatter, "{low:0width$}")?;
        if low != high {
            write!(formatter, "-{high:0width$}")?;
        }
        if *step != 1 && low != high { write!(formatter, "/{step}") } else { Ok(()) }
    }
}

struct Reader<'a> {
    whole: &'a str,
    offset: usize,
}

impl Reader<'_> {
    fn wrong<T>(&self, place: usize, reason: &str) -> Result<T, Error> {
        Err(Error::syntax(self.whole, self.offset + place, reason))
    }

    /// Text without brackets: literals and wildcards.
    fn literals(&self, segments: &mut Vec<Segment>, place: usize, text: &str) -> Result<(), Error> {
        if let Some(closed) = text.find(']') {
            return self.wrong(place + closed, "a bracket is closed that was not opened");
        }
        for part in text.split_inclusive(['*', '?']) {
            let literal = part.trim_end_matches(['*', '?']);
            if !literal.is_empty() {
                segments.push(Segment::Literal(literal.to_owned()));
            }
            match part.strip_prefix(literal) {
                Some("*") if segments.last() != Some(&Segment::Any) => segments.push(Segment::Any),
                Some("?") => segments.push(Segment::One),
                _ => {}
            }
        }
        Ok(())
    }

    /// `node001..node004`
    fn name_to_name(&self, word: &str, first: &str, last: &str) -> Result<Pattern, Error> {
        const WRITE: &str = "a range from name to name is written node001..node004";
        let prefix = first.trim_end_matches(|character: char| character.is_ascii_digit());
        let numbers = first.strip_prefix(prefix).zip(last.strip_prefix(prefix));
        let is_too_long = prefix.len() > MAXIMUM_NAME_LENGTH - MAXIMUM_DIGITS;
        let Some((low, high)) =
            numbers.filter(|_| !word.contains(['[', ']', '*', '?']) && !is_too_long)
        else {
            return self.wrong(0, WRITE);
        };
        let range = self.range(prefix.len(), low, high, "1")?;
        let literal = (!prefix.is_empty()).then(|| Segment::Literal(prefix.to_owned()));
        Ok(Pattern(literal.into_iter().chain([Segment::Ranges(vec![range])]).collect()))
    }

    /// What stands in brackets: `1-9/2,20`.
    fn ranges(&self, place: usize, inside: &str) -> Result<Vec<Range>, Error> {
        let mut ranges = Vec::new();
        let mut at = place;
        for text in inside.split(',') {
            let (bounds, step) = match text.split_once('/') {
                Some((bounds, _)) if !bounds.contains('-') => {
                    return self.wrong(at, "a step belongs to a range, such as [1-9/2]");
                }
                Some((bounds, step)) => (bounds, step),
                None => (text, "1"),
            };
            let (low, high) = bounds.split_once('-').unwrap_or((bounds, bounds));
            ranges.push(self.range(at, low, high, step)?);
            at += text.len() + 1;
        }
        Ok(ranges)
    }

    fn range(&self, place: usize, low: &str, high: &str, step: &str) -> Result<Range, Error> {
        let width = low.len();
        let (low, high) = (self.number(place, low)?, self.number(place, high)?);
        if low > high {
            let reason = "a range ends before it begins; write the smaller number first";
            return self.wrong(place, reason);
        }
        let step = self.number(place, step)?;
        if step == 0 {
            return self.wrong(place, "a step of 0 never ends; [1-9/2] takes every second number");
        }
        Ok(Range { low, high, step, width })
    }

    fn number(&self, place: usize, text: &str) -> Result<u64, Error> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return self.wrong(place, "a range is numbers such as [001-128,200] or [1-9/2]");
        }
        let number = if text.len() > MAXIMUM_DIGITS { None } else { text.parse().ok() };
        match number {
            Some(number) => Ok(number),
            None => self.wrong(place, "a number has more than 18 digits"),
        }
    }
}

pub(crate) fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Cuts a text at these characters outside of brackets, each part with its place. Blanks around a part do not count.
pub(crate) fn split(text: &str, separator: char) -> Result<Vec<(usize, &str)>, Error> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut opened = None;
    for (place, character) in text.char_indices() {
        match character {
            '[' if opened.is_some() => {
                let reason = "a bracket inside a bracket; write node[1-3][1-2]";
                return Err(Error::syntax(text, place, reason));
            }
            '[' => opened = Some(place),
            ']' if opened.is_none() => {
                return Err(Error::syntax(text, place, "a bracket is closed that was not opened"));
            }
            ']' => opened = None,
            _ if character == separator && opened.is_none() => {
                parts.extend(trimmed(text, start, place));
                start = place + character.len_utf8();
            }
            _ => {}
        }
    }
    if let Some(place) = opened {
        return Err(Error::syntax(text, place, "a bracket is opened and not closed"));
    }
    parts.extend(trimmed(text, start, text.len()));
    Ok(parts)
}

/// A part without blanks around it, and where it stands; nothing if that is all.
pub(crate) fn trimmed(text: &str, start: usize, end: usize) -> Option<(usize, &str)> {
    let part = text.get(start..end).unwrap_or_default();
    let from_start = part.trim_start();
    let place = start + part.len() - from_start.len();
    Some((place, from_start.trim_end())).filter(|(_, part)| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::parse;

    fn matches(pattern: &str, name: &str) -> bool {
        parse(pattern, 0, pattern).unwrap().matches(name)
    }

    #[test]
    fn wildcards_and_ranges_stand_for_names() {
        for (pattern, name) in [
            ("node*", "node"),
            ("*", ""),
            ("*1", "node11"),
            ("n?de[1-3]", "node2"),
            ("n[1-2]3*", "n13x"),
            ("n[1-2][0-9]", "n15"),
            ("*[1-3]b*", "a2b2b"),
            ("node*7", "node7"),
            ("ab*ba", "abba"),
            ("r[01-10/3]n*", "r04n7"),
            ("*a*a*a*", "xaxaxa"),
            ("é?", "éü"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("node", "nodes"),
            ("?", ""),
            ("n[1-3]", "n01"),
            ("n[01-10]", "n1"),
            ("n[1-9/2]", "n4"),
            ("n[1-2]*x", "n12"),
            ("n[1-3]", "n"),
            ("*[5]", "n1"),
            ("ab*ba", "aba"),
            ("node*7", "node71"),
            ("*é", "e"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn no_pattern_takes_long() {
        let pattern = "*a".repeat(100) + "b";
        assert!(!matches(&pattern, &"a".repeat(250)));
    }

    proptest! {
        #[test]
        fn a_pattern_stands_for_the_names_that_it_is_expanded_to(
            low in 0_u64..30, count in 0_u64..30, step in 1_u64..5, width in 1_usize..4, other in 0_u64..99
        ) {
            let text = format!("n[{low:0width$}-{}/{step}]x[1,3]", low + count);
            let pattern = parse(&text, 0, &text).unwrap();
            let names = pattern.names();
            prop_assert_eq!(names.len() as u128, pattern.count());
            for name in &names {
                prop_assert!(pattern.matches(name));
            }
            let written = pattern.to_string();
            prop_assert_eq!(parse(&written, 0, &written).unwrap().names(), names.as_slice());
            let other = format!("n{other:0width$}x1");
            prop_assert_eq!(pattern.matches(&other), names.contains(&other));
        }
    }
}
