//! A selector as it is written.

use std::ops::Range;

use crate::pattern::{self, Pattern};
use crate::{Error, MAXIMUM_NAMES, Source, hostlist};

/// Parentheses deeper than this are no selector of a person.
const DEEPEST: usize = 16;
/// Parts that are compared with every node. Whoever may ask must not keep the daemon busy with one question.
const MOST_COMPARED: usize = 100;
/// Signs and parentheses, each of which costs a set of nodes.
const MOST_OPERATORS: usize = 1000;

/// A selector that was read: what it means is asked with [`Selector::select`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    pub(crate) union: Union,
    pub(crate) text: String,
    /// Where files are named.
    pub(crate) sources: Vec<(Range<usize>, Source)>,
}

/// Parts between commas: those that are wanted, and those that are taken away from them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Union {
    pub(crate) wanted: Vec<Part>,
    pub(crate) without: Vec<Part>,
}

/// Terms between `&` or `!`: the nodes that are all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// As it is written.
    pub(crate) text: String,
    pub(crate) factors: Vec<Factor>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Factor {
    pub(crate) is_negated: bool,
    pub(crate) term: Term,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Term {
    /// Nodes by their names.
    Names(Pattern),
    /// Nodes by what is known of them.
    Having(Key, Pattern),
    /// What stands in parentheses.
    Group(Union),
    /// What stands in a file.
    Source(Source),
}

/// What is known of nodes, and can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `@compute`: the group.
    Group,
    /// `rack:r1`
    Rack,
    /// `switch:sw1`
    Switch,
    /// `image:debian`: the image that it gets, its own or its group's.
    Image,
    /// `tag:v1`: the tag of that image.
    Tag,
    /// `state:install.error`: what it last reported.
    State,
    /// `power:off`: as it was last seen.
    Power,
    /// `label:canary=yes`: the value of this label.
    Label(String),
}

/// The words before a colon.
const WORDS: [(&str, Key); 7] = [
    ("group", Key::Group),
    ("rack", Key::Rack),
    ("switch", Key::Switch),
    ("image", Key::Image),
    ("tag", Key::Tag),
    ("state", Key::State),
    ("power", Key::Power),
];
/// The word before the colon of a label.
const LABEL: &str = "label";

impl Key {
    /// What this is, in a sentence.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Rack => "rack",
            Self::Switch => "switch",
            Self::Image => "image",
            Self::Tag => "tag",
            Self::State => "state",
            Self::Power => "power state",
            Self::Label(_) => "label",
        }
    }
}

impl Selector {
    /// Reads a selector.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut parser = Parser {
            text,
            rest: text,
            compared: 0,
            named: 0,
            operators: 0,
            depth: 0,
            sources: Vec::new(),
        };
        let union = parser.union()?;
        if !parser.rest.is_empty() {
            return parser.wrong("a parenthesis is closed that was not opened");
        }
        if union.wanted.is_empty() && union.without.is_empty() {
            return parser.wrong("nothing is named");
        }
        Ok(Self { union, text: text.to_owned(), sources: parser.sources })
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// This, without what another one means.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        let text = format!("{} without {}", self.text.trim(), other.text.trim());
        let part = |selector: Self| {
            let term = Term::Group(selector.union);
            let factors = vec![Factor { is_negated: false, term }];
            vec![Part { text: selector.text, factors }]
        };
        let union = Union { wanted: part(self), without: part(other) };
        Self { union, text, sources: Vec::new() }
    }

    /// The names, in the order written, when it is names and ranges of them alone: those can be of nodes that are not there yet.
    pub fn plain(&self) -> Option<Result<Vec<String>, Error>> {
        if !self.union.without.is_empty() {
            return None;
        }
        let mut patterns = Vec::new();
        for part in &self.union.wanted {
            match part.factors.as_slice() {
                [Factor { is_negated: false, term: Term::Names(pattern) }]
                    if !pattern.has_wildcards() =>
                {
                    patterns.push(pattern.clone());
                }
                _ => return None,
            }
        }
        Some(hostlist::expand_all(&patterns))
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    compared: usize,
    named: u128,
    operators: usize,
    depth: usize,
    sources: Vec<(Range<usize>, Source)>,
}

impl<'a> Parser<'a> {
    fn place(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    fn wrong<T>(&self, reason: &str) -> Result<T, Error> {
        Err(Error::syntax(self.text, self.place(), reason))
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Whether the next character is this one; it is taken then.
    fn takes(&mut self, sign: char) -> Result<bool, Error> {
        self.skip_blanks();
        let Some(rest) = self.rest.strip_prefix(sign) else { return Ok(false) };
        if sign != ',' {
            self.operators += 1;
            if self.operators > MOST_OPERATORS {
                return self.wrong("more than 1000 signs and parentheses");
            }
        }
        self.rest = rest;
        Ok(true)
    }

    /// Up to the end, or to the parenthesis that closes it.
    fn union(&mut self) -> Result<Union, Error> {
        let mut union = Union::default();
        loop {
            while self.takes(',')? {}
            if self.rest.is_empty() || self.rest.starts_with(')') {
                return Ok(union);
            }
            let is_taken_away = self.takes('!')?;
            let part = self.part(is_taken_away)?;
            let parts = if is_taken_away { &mut union.without } else { &mut union.wanted };
            parts.push(part);
            self.skip_blanks();
            if !self.rest.is_empty() && !self.rest.starts_with([',', ')']) {
                return self.wrong("expected , & or ! here");
            }
        }
    }

    fn part(&mut self, is_taken_away: bool) -> Result<Part, Error> {
        let start = self.place();
        let mut factors = vec![Factor { is_negated: false, term: self.term()? }];
        loop {
            let is_and = self.takes('&')?;
            let is_negated = self.takes('!')?;
            if !is_and && !is_negated {
                break;
            }
            if is_taken_away {
                let reason = "after ! at the start of a part it is not clear what this belongs to; write b&!a, or !(a&b)";
                return self.wrong(reason);
            }
            factors.push(Factor { is_negated, term: self.term()? });
        }
        let text = self.text.get(start..self.place()).unwrap_or_default().trim().to_owned();
        Ok(Part { text, factors })
    }

    fn term(&mut self) -> Result<Term, Error> {
        self.skip_blanks();
        let place = self.place();
        if self.takes('(')? {
            self.depth += 1;
            if self.depth > DEEPEST {
                return self.wrong("parentheses are more than 16 deep");
            }
            let union = self.union()?;
            if !self.takes(')')? {
                return Err(Error::syntax(
                    self.text,
                    place,
                    "a parenthesis is opened and not closed",
                ));
            }
            self.depth -= 1;
            if union.wanted.is_empty() && union.without.is_empty() {
                return Err(Error::syntax(self.text, place, "nothing is named in the parentheses"));
            }
            return Ok(Term::Group(union));
        }
        let word = self.word()?;
        if word.is_empty() {
            return self.wrong("a name is missing here");
        }
        if let Some(source) = self.source(place, word)? {
            self.sources.push((place..place + word.len(), source.clone()));
            return Ok(Term::Source(source));
        }
        let (key, at, value) = self.keyed(place, word)?;
        let pattern = pattern::parse(self.text, at, value)?;
        if key.is_some() || pattern.has_wildcards() {
            self.compared += 1;
            if self.compared > MOST_COMPARED {
                let reason = "more than 100 parts with wildcards or properties";
                return Err(Error::syntax(self.text, place, reason));
            }
        }
        match key {
            Some(key) => Ok(Term::Having(key, pattern)),
            None if value.contains(char::is_whitespace) => {
                let blank = value.find(char::is_whitespace).unwrap_or_default();
                Err(Error::syntax(self.text, at + blank, "a blank; names are separated by commas"))
            }
            None => {
                if !pattern.has_wildcards() {
                    self.named = self.named.saturating_add(pattern.count());
                }
                // Counted before any name is made.
                if self.named > MAXIMUM_NAMES {
                    return Err(Error::TooMany { count: self.named });
                }
                Ok(Term::Names(pattern))
            }
        }
    }

    fn source(&self, place: usize, word: &str) -> Result<Option<Source>, Error> {
        match word.strip_prefix('^') {
            None if word == "-" => Ok(Some(Source::Input)),
            None => Ok(None),
            Some("") => Err(Error::syntax(self.text, place, "^ is followed by the name of a file")),
            Some("-") => Ok(Some(Source::Input)),
            Some(file) => Ok(Some(Source::File(file.to_owned()))),
        }
    }

    /// What a word asks for, and where that begins.
    fn keyed(&self, place: usize, word: &'a str) -> Result<(Option<Key>, usize, &'a str), Error> {
        if let Some(group) = word.strip_prefix('@') {
            return self.valued(Key::Group, place + 1, group);
        }
        let Some((name, value)) = word.split_once(':') else { return Ok((None, place, word)) };
        let at = place + name.len() + 1;
        if name == LABEL {
            let Some((label, value)) = value.split_once('=').filter(|(label, _)| !label.is_empty())
            else {
                let reason = "a label is asked for with its value, such as label:canary=yes or label:canary=*";
                return Err(Error::syntax(self.text, at, reason));
            };
            return self.valued(Key::Label(label.to_owned()), at + label.len() + 1, value);
        }
        match WORDS.iter().find(|(word, _)| *word == name) {
            Some((_, key)) => self.valued(key.clone(), at, value),
            None => {
                let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).chain([LABEL]).collect();
                let reason = format!("no property {name}; there are {}", words.join(", "));
                Err(Error::syntax(self.text, place, reason))
            }
        }
    }

    fn valued(
        &self,
        key: Key,
        at: usize,
        value: &'a str,
    ) -> Result<(Option<Key>, usize, &'a str), Error> {
        if value.is_empty() {
            let reason = format!("the {} is missing here", key.word());
            return Err(Error::syntax(self.text, at, reason));
        }
        Ok((Some(key), at, value))
    }

    /// Up to the next sign outside of brackets.
    fn word(&mut self) -> Result<&'a str, Error> {
        let mut opened = None;
        let mut length = self.rest.len();
        for (place, character) in self.rest.char_indices() {
            match character {
                '[' if opened.is_none() => opened = Some(place),
                ']' => opened = None,
                ',' | '&' | '!' | '(' | ')' if opened.is_none() => {
                    length = place;
                    break;
                }
                _ => {}
            }
        }
        if let Some(place) = opened {
            let place = self.place() + place;
            return Err(Error::syntax(self.text, place, "a bracket is opened and not closed"));
        }
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(word.trim_end())
    }
}

#[cfg(test)]
mod tests;
