use std::borrow::Cow;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Facts, Set};
use crate::{Key, Selector};

/// Twelve nodes in three racks; the odd ones are in the group `odd`, and `n11` failed.
struct Site {
    names: Vec<String>,
}

fn site() -> Site {
    let mut names: Vec<String> = (1..=12).map(|number| format!("n{number}")).collect();
    names.sort();
    Site { names }
}

fn number(name: &str) -> usize {
    name.trim_start_matches('n').parse().unwrap()
}

impl Facts for Site {
    fn count(&self) -> usize {
        self.names.len()
    }

    fn name(&self, position: usize) -> &str {
        &self.names[position]
    }

    fn value(&self, position: usize, key: &Key) -> Option<Cow<'_, str>> {
        let number = number(&self.names[position]);
        match key {
            Key::Group => Some(if number.is_multiple_of(2) { "even" } else { "odd" }.into()),
            Key::Rack => Some(format!("r{}", (number - 1) / 4 + 1).into()),
            Key::State => {
                Some(if number == 11 { "install.error" } else { "install.success" }.into())
            }
            Key::Label(label) => (label == "canary" && number < 3).then_some("yes".into()),
            Key::Switch | Key::Image | Key::Tag | Key::Power => None,
        }
    }

    fn label_keys(&self) -> Vec<String> {
        vec!["broken".to_owned(), "canary".to_owned()]
    }

    fn indexed(&self, key: &Key, is_wanted: &dyn Fn(&str) -> bool) -> Option<Vec<usize>> {
        // As if all but one label were looked up in an index.
        let is_index = matches!(key, Key::Label(label) if label == "canary");
        let has = |position: &usize| self.value(*position, key).is_some_and(|v| is_wanted(&v));
        is_index.then(|| (0..self.count()).filter(has).collect())
    }

    fn known(&self, key: &Key) -> Option<Vec<String>> {
        let known: &[&str] = match key {
            Key::Group => &["even", "odd", "empty"],
            Key::Rack => &["r1", "r2", "r3"],
            Key::State => &["install.error", "install.success", "install.unpack"],
            Key::Switch | Key::Image | Key::Tag | Key::Power => &[],
            Key::Label(_) => return None,
        };
        Some(known.iter().map(|known| (*known).to_owned()).collect())
    }
}

fn selected(text: &str) -> String {
    match Selector::parse(text).unwrap().select(&site()) {
        Ok(names) => names.join(" "),
        Err(error) => format!("{error}; {}", error.hint().unwrap_or_default()),
    }
}

#[test]
fn every_sign_means_what_the_page_says() {
    for (text, names) in [
        ("n2,n1,n2", "n1 n2"),
        ("n[1-9/4]", "n1 n5 n9"),
        ("n?", "n1 n2 n3 n4 n5 n6 n7 n8 n9"),
        ("n1*", "n1 n10 n11 n12"),
        ("@odd", "n1 n3 n5 n7 n9 n11"),
        ("group:odd&rack:r2", "n5 n7"),
        ("rack:r[1,3]&@even", "n2 n4 n10 n12"),
        ("rack:r*!rack:r[1-2]", "n9 n10 n11 n12"),
        ("state:install.error", "n11"),
        ("state:*.error,n1", "n1 n11"),
        ("label:canary=yes", "n1 n2"),
        ("label:canary=*&!n1", "n2"),
        ("n[1-4],!n3", "n1 n2 n4"),
        ("!n3,n[1-4]", "n1 n2 n4"),
        ("!@even", "n1 n3 n5 n7 n9 n11"),
        ("!@even,!rack:r3", "n1 n3 n5 n7"),
        ("n[1-4]!n3&!n1", "n2 n4"),
        ("(n1,n5)&rack:r2", "n5"),
        ("n9,(n1,n5)&rack:r2", "n5 n9"),
        ("rack:r1&!state:install.error", "n1 n2 n3 n4"),
        ("rack:r1&!label:broken=yes", "n1 n2 n3 n4"),
        ("!(@odd&rack:r1),!rack:r[2-3]", "n2 n4"),
    ] {
        assert_eq!(selected(text), names, "{text}");
    }
}

#[test]
fn what_matches_nothing_is_an_error_with_what_is_like_it() {
    for (text, said) in [
        ("n13", "there is no node n13; did you mean n1 or n10 or n11?"),
        ("x*", "there is no node x*; "),
        ("rack:r9", "there is no rack r9; did you mean r1 or r2 or r3?"),
        ("@oddd", "there is no group oddd; did you mean odd?"),
        ("@empty", "no node is @empty; "),
        ("n1,@empty", "no node is @empty; "),
        ("state:instal.error", "there is no state instal.error; did you mean install.error?"),
        ("rack:r1&state:install.error", "no node is rack:r1&state:install.error; "),
        ("label:canary=no", "no node is label:canary=no; "),
        ("n1,!n1", "no node is n1,!n1; "),
        // A slip in what is to be spared must not hit it.
        ("n[1-4],!m3", "there is no node m3; "),
        ("n[1-4]!label:brokn=yes", "there is no label brokn; did you mean broken?"),
        ("@odd&!rack:r11", "there is no rack r11; did you mean r1?"),
    ] {
        let found = selected(text);
        assert!(found.starts_with(said), "{text}: {found}");
    }
    let error = Selector::parse("n13").unwrap().select(&site()).unwrap_err();
    assert!(error.is_missing());
}

#[test]
fn files_are_read_by_who_asks_only() {
    let said = selected("n1,^/etc/shadow");
    assert!(said.contains("/etc/shadow cannot be read here"), "{said}");
}

#[test]
fn a_set_of_any_size_has_its_ends() {
    for count in [0, 1, 63, 64, 65, 128] {
        assert_eq!(Set::all(count).positions().count(), count);
        let mut set = Set::none(count);
        set.insert(count);
        assert!(set.is_empty());
    }
}

proptest! {
    #[test]
    fn the_signs_are_those_of_sets(
        a in prop::collection::btree_set(1_usize..13, 1..12),
        b in prop::collection::btree_set(1_usize..13, 1..12),
    ) {
        let list = |set: &BTreeSet<usize>| {
            format!("n[{}]", set.iter().map(usize::to_string).collect::<Vec<_>>().join(","))
        };
        let names = |set: BTreeSet<usize>| {
            let names: Vec<String> = set.iter().map(|number| format!("n{number}")).collect();
            names.join(" ")
        };
        let (left, right) = (list(&a), list(&b));
        let check = |text: String, expected: BTreeSet<usize>| {
            let found = selected(&text);
            if expected.is_empty() { found.starts_with("no node is") } else { found == names(expected) }
        };
        let is_right = check(format!("{left},{right}"), &a | &b);
        prop_assert!(is_right);
        let is_right = check(format!("{left}&{right}"), &a & &b);
        prop_assert!(is_right);
        let is_right = check(format!("{left}!{right}"), &a - &b);
        prop_assert!(is_right);
        let is_right = check(format!("{left},!{right}"), &a - &b);
        prop_assert!(is_right);
        let all: BTreeSet<usize> = (1..13).collect();
        let is_right = check(format!("!({left},{right})"), &all - &(&a | &b));
        prop_assert!(is_right);
        let is_right = check(format!("(!{left})&!{right}"), &(&all - &a) - &b);
        prop_assert!(is_right);
    }
}
