//! What a selector means in a cluster.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::pattern::Pattern;
use crate::selector::{Factor, Part, Term, Union};
use crate::{Error, Key, Selector, natural};

/// So many names that are like a wrong one are told.
const MOST_NEAR: usize = 3;
/// So many letters of a name allow for one slip.
const LETTERS_FOR_A_SLIP: usize = 3;

/// What nodes there are and what is known of them. Nodes go by their positions, in the order of the bytes of their names.
pub trait Facts {
    /// How many nodes there are.
    fn count(&self) -> usize;

    /// The name of a node.
    fn name(&self, position: usize) -> &str;

    /// What a node has: the name of its rack, the value of a label.
    fn value(&self, position: usize, key: &Key) -> Option<Cow<'_, str>>;

    /// Whether the program knows of this; `None` where anything can be asked for, and is just had by no node.
    fn known(&self, key: &Key) -> Option<Vec<String>>;

    /// The keys of the labels that there are.
    fn label_keys(&self) -> Vec<String>;

    /// The nodes whose value of `key` is wanted, where an index finds them for less than asking each of them.
    fn indexed(&self, _key: &Key, _is_wanted: &dyn Fn(&str) -> bool) -> Option<Vec<usize>> {
        None
    }
}

/// Nodes, by their positions.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set {
    words: Vec<u64>,
    count: usize,
}

impl Selector {
    /// The nodes that are meant, in natural order.
    ///
    /// Whatever is named must be there, also where it is taken away: a slip there would hit the node that was to be spared. What is
    /// wanted must be some node's; that nothing is left is an error, too.
    pub fn select<'a>(&self, facts: &'a impl Facts) -> Result<Vec<&'a str>, Error> {
        let search = Search { facts };
        let set = search.union(&self.union)?;
        if set.is_empty() {
            return Err(Error::Nothing { part: self.text.trim().to_owned() });
        }
        let mut names: Vec<&str> = set.positions().map(|position| facts.name(position)).collect();
        names.sort_by(|one, other| natural::compare(one, other));
        Ok(names)
    }
}

struct Search<'a, F> {
    facts: &'a F,
}

impl<F: Facts> Search<'_, F> {
    fn union(&self, union: &Union) -> Result<Set, Error> {
        let mut set = Set::none(self.facts.count());
        if union.wanted.is_empty() {
            set = Set::all(self.facts.count());
        }
        let all = Set::all(self.facts.count());
        for part in &union.wanted {
            // Most are plain names, and a set for each would cost more than all the rest.
            if let [Factor { is_negated: false, term: Term::Names(pattern) }] =
                part.factors.as_slice()
            {
                self.names(pattern, &mut set, &all)?;
                continue;
            }
            let found = self.part(part)?;
            if found.is_empty() {
                return Err(Error::Nothing { part: part.text.clone() });
            }
            set.add(&found);
        }
        for part in &union.without {
            set.take(&self.part(part)?);
        }
        Ok(set)
    }

    fn part(&self, part: &Part) -> Result<Set, Error> {
        let mut set = Set::all(self.facts.count());
        for Factor { is_negated, term } in &part.factors {
            // Only those that are left can still come or go.
            let found = self.term(term, &set)?;
            if *is_negated { set.take(&found) } else { set.keep(&found) }
        }
        Ok(set)
    }

    /// The nodes that a term means, of these at least.
    fn term(&self, term: &Term, among: &Set) -> Result<Set, Error> {
        match term {
            Term::Group(union) => self.union(union),
            Term::Names(pattern) => {
                let mut set = Set::none(self.facts.count());
                self.names(pattern, &mut set, among)?;
                Ok(set)
            }
            Term::Having(key, pattern) => self.having(key, pattern, among),
            Term::Source(source) => {
                let reason = format!("{source} cannot be read here; the command line reads files");
                Err(Error::Refused(reason))
            }
        }
    }

    fn names(&self, pattern: &Pattern, set: &mut Set, among: &Set) -> Result<(), Error> {
        if pattern.has_wildcards() {
            let is_meant = |position: &usize| pattern.matches(self.facts.name(*position));
            let mut is_any = false;
            for position in among.positions().filter(is_meant) {
                set.insert(position);
                is_any = true;
            }
            // None of these, and others all the same: it is no slip.
            let is_any = is_any || (0..self.facts.count()).any(|position| is_meant(&position));
            let name = pattern.to_string();
            return if is_any { Ok(()) } else { Err(self.unknown_node(name)) };
        }
        if let Some(name) = pattern.literal() {
            return self.one(name, set);
        }
        for name in pattern.names() {
            self.one(&name, set)?;
        }
        Ok(())
    }

    fn one(&self, name: &str, set: &mut Set) -> Result<(), Error> {
        let position = self.position(name).ok_or_else(|| self.unknown_node(name.to_owned()))?;
        set.insert(position);
        Ok(())
    }

    fn position(&self, name: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.facts.count());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.facts.name(middle).cmp(name) {
                Ordering::Equal => return Some(middle),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        None
    }

    fn having(&self, key: &Key, pattern: &Pattern, among: &Set) -> Result<Set, Error> {
        if let Key::Label(label) = key {
            self.check_label(label)?;
        }
        let mut set = Set::none(self.facts.count());
        if let Some(positions) = self.facts.indexed(key, &|value| pattern.matches(value)) {
            for position in positions {
                set.insert(position);
            }
        } else {
            for position in among.positions() {
                let value = self.facts.value(position, key);
                if value.is_some_and(|value| pattern.matches(&value)) {
                    set.insert(position);
                }
            }
        }
        if set.is_empty()
            && let Some(known) = self.facts.known(key)
            && !known.iter().any(|known| pattern.matches(known))
        {
            let name = pattern.to_string();
            let near = nearest(&name, known.iter().map(String::as_str));
            return Err(Error::Unknown { what: key.word(), name, near });
        }
        Ok(set)
    }

    /// A key that nothing has is a slip, and with `!` it would spare nobody. Values come and go, as states do.
    fn check_label(&self, label: &str) -> Result<(), Error> {
        let known = self.facts.label_keys();
        if known.iter().any(|known| known == label) {
            return Ok(());
        }
        let near = nearest(label, known.iter().map(String::as_str));
        Err(Error::Unknown { what: "label", name: label.to_owned(), near })
    }

    fn unknown_node(&self, name: String) -> Error {
        let names = (0..self.facts.count()).map(|position| self.facts.name(position));
        let near = nearest(&name, names);
        Error::Unknown { what: "node", name, near }
    }
}

/// What is like `name`, the nearest first.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    // Of two letters one may be wrong: racks are called r1.
    let allowed = |known: &str| match name.len().max(known.len()) {
        0 | 1 => 0,
        length => (length / LETTERS_FOR_A_SLIP).max(1),
    };
    let mut close: Vec<(usize, &str)> = known
        // The lengths alone tell most of them apart, at a hundredth of the cost.
        .filter(|known| name.len().abs_diff(known.len()) <= allowed(known))
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, known)| *distance <= allowed(known))
        .collect();
    close.sort_unstable();
    close.into_iter().take(MOST_NEAR).map(|(_, name)| name.to_owned()).collect()
}

impl Set {
    fn none(count: usize) -> Self {
        Self { words: vec![0; count.div_ceil(64)], count }
    }

    fn all(count: usize) -> Self {
        let mut words = vec![u64::MAX; count.div_ceil(64)];
        if let Some(last) = words.last_mut().filter(|_| !count.is_multiple_of(64)) {
            *last = (1 << (count % 64)) - 1;
        }
        Self { words, count }
    }

    fn insert(&mut self, position: usize) {
        if let Some(word) = self.words.get_mut(position / 64).filter(|_| position < self.count) {
            *word |= 1 << (position % 64);
        }
    }

    fn add(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    fn keep(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    fn take(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
    }

    fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    fn positions(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index * 64 + bit)
        })
    }
}

#[cfg(test)]
mod tests;
