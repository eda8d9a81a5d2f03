//! The rules, and what breaks them. A rule that nothing needs any more is an error too, so that the file stays true.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use spdx::{Expression, LicenseItem, ParseMode};

use super::graph::{Crate, Graph};

/// Each map has the reason that the file gives.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Licences that every crate may have.
    licences: BTreeMap<String, String>,
    /// Crates that may have one more licence, each.
    exceptions: BTreeMap<(String, String), String>,
    /// Crates that must not be built.
    banned: BTreeMap<String, String>,
    /// Banned crates that `Cargo.lock` names all the same.
    named: BTreeMap<String, String>,
    /// Crates that are built in more than one version.
    twice: BTreeMap<String, String>,
}

impl Rules {
    pub(crate) fn read(text: &str) -> Result<Self> {
        let mut rules = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                rules.add(line).with_context(|| format!("line {}", index + 1))?;
            }
        }
        Ok(rules)
    }

    fn add(&mut self, line: &str) -> Result<()> {
        let (rule, reason) = line.split_once(':').context("no `:` before the reason")?;
        let reason = reason.trim().to_owned();
        ensure!(!reason.is_empty(), "no reason");
        let words: Vec<&str> = rule.split_whitespace().collect();
        let earlier = match *words.as_slice() {
            ["licence", licence] => self.licences.insert(licence.to_owned(), reason),
            ["exception", name, licence] => {
                self.exceptions.insert((name.to_owned(), licence.to_owned()), reason)
            }
            ["banned", name] => self.banned.insert(name.to_owned(), reason),
            ["named", name] => self.named.insert(name.to_owned(), reason),
            ["twice", name] => self.twice.insert(name.to_owned(), reason),
            _ => bail!("unknown rule `{rule}`"),
        };
        ensure!(earlier.is_none(), "`{rule}` stands here twice");
        Ok(())
    }

    /// Everything that is wrong, a line each.
    pub(crate) fn violations(&self, graph: &Graph) -> Vec<String> {
        let mut wrong = self.wrong_licences(graph);
        wrong.extend(self.wrong_versions(graph));
        wrong.extend(self.wrong_crates(graph));
        wrong
    }

    fn wrong_licences(&self, graph: &Graph) -> Vec<String> {
        let mut used = BTreeSet::new();
        let mut wrong: Vec<String> = graph
            .named
            .iter()
            .filter_map(|one| {
                self.refused_licence(one, &mut used)
                    .map(|why| format!("{} {}: {why}", one.name, one.version))
            })
            .collect();
        let unused_licences =
            self.licences.keys().filter(|licence| !used.contains(&(None, (*licence).clone())));
        wrong.extend(
            unused_licences
                .map(|licence| format!("licence {licence}: no crate needs it; remove the rule")),
        );
        let unused = self
            .exceptions
            .keys()
            .filter(|(name, licence)| !used.contains(&(Some(name.clone()), licence.clone())));
        wrong.extend(unused.map(|(name, licence)| {
            format!("exception {name} {licence}: not needed; remove the rule")
        }));
        wrong
    }

    /// Why a crate's licence is not allowed. Notes which rules allowed one.
    fn refused_licence(
        &self,
        one: &Crate,
        used: &mut BTreeSet<(Option<String>, String)>,
    ) -> Option<String> {
        let Some(licence) = &one.licence else { return Some("has no licence".to_owned()) };
        // Old manifests write `MIT/Apache-2.0`, which means either.
        let expression = match Expression::parse_mode(licence, ParseMode::LAX) {
            Ok(expression) => expression,
            Err(error) => return Some(format!("{licence}: {}", error.reason)),
        };
        let is_allowed = expression.evaluate(|required| {
            let name = base(&required.license);
            let exception = (one.name.clone(), name.clone());
            if self.licences.contains_key(&name) {
                used.insert((None, name));
                true
            } else if self.exceptions.contains_key(&exception) {
                used.insert((Some(exception.0), exception.1));
                true
            } else {
                false
            }
        });
        (!is_allowed).then(|| format!("licence {licence} is not on the list"))
    }

    fn wrong_versions(&self, graph: &Graph) -> Vec<String> {
        let names: BTreeSet<&str> = graph.built.iter().map(|(name, _)| name.as_str()).collect();
        let mut wrong = Vec::new();
        for name in &names {
            let versions = graph.versions(name);
            match (versions.len() > 1, self.twice.contains_key(*name)) {
                (true, false) => wrong.push(format!(
                    "{name}: built as {}; bring both to one version, or give the reason (`twice {name}: …`)",
                    versions.join(" and ")
                )),
                (false, true) => wrong.push(format!("twice {name}: there is one version now; remove the rule")),
                (true, true) | (false, false) => {}
            }
        }
        let gone = self.twice.keys().filter(|name| !names.contains(name.as_str()));
        wrong
            .extend(gone.map(|name| format!("twice {name}: is not built at all; remove the rule")));
        wrong
    }

    fn wrong_crates(&self, graph: &Graph) -> Vec<String> {
        let named: BTreeSet<&str> = graph.named.iter().map(|one| one.name.as_str()).collect();
        let mut wrong = Vec::new();
        for (name, reason) in &self.banned {
            if let [version, ..] = graph.versions(name).as_slice() {
                wrong.push(format!(
                    "{name} {version}: must not be built ({reason}); `cargo tree --target=all -i {name}` tells who wants it"
                ));
            } else if named.contains(name.as_str()) && !self.named.contains_key(name) {
                wrong.push(format!("{name}: Cargo.lock names it; have it go, or give the reason (`named {name}: …`)"));
            }
        }
        for name in self.named.keys() {
            if !self.banned.contains_key(name) {
                wrong.push(format!("named {name}: is not banned; remove the rule"));
            } else if !named.contains(name.as_str()) {
                wrong.push(format!(
                    "named {name}: Cargo.lock does not name it any more; remove the rule"
                ));
            }
        }
        wrong
    }
}

/// The licence's own name: "or later" and additional permissions only ever allow more.
fn base(item: &LicenseItem) -> String {
    match item {
        LicenseItem::Spdx { id, .. } => id.name.to_owned(),
        LicenseItem::Other(other) => other.lic_ref.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "licence MIT: asks for its text\nexception parser MPL-2.0: used unchanged\nbanned rsa: leaks keys\n\
                         named rsa: optional\ntwice syn: two generations of macros\n";

    fn one(name: &str, version: &str, licence: &str) -> Crate {
        Crate {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: Some(licence.to_owned()),
            is_ours: false,
            directory: "/".into(),
        }
    }

    fn graph() -> Graph {
        let named = [
            one("parser", "1.0.0", "MPL-2.0+"),
            one("rsa", "0.9.0", "MIT"),
            one("syn", "2.0.0", "MIT/Apache-2.0"),
            one("syn", "3.0.0", "MIT OR Apache-2.0"),
        ];
        let built = named.iter().filter(|one| one.name != "rsa");
        let built = built.map(|one| (one.name.clone(), one.version.clone())).collect();
        Graph { named: named.into(), built }
    }

    fn violations(rules: &str, graph: &Graph) -> String {
        Rules::read(rules).unwrap().violations(graph).join("\n")
    }

    #[test]
    fn what_the_rules_allow_is_allowed() {
        assert_eq!(violations(RULES, &graph()), "");
    }

    #[test]
    fn a_licence_that_is_not_on_the_list_is_refused() {
        let mut graph = graph();
        graph.named.insert(one("reader", "1.0.0", "GPL-3.0-only"));
        graph.named.insert(one("both", "1.0.0", "MIT AND GPL-2.0-only"));
        graph.named.insert(Crate { licence: None, ..one("silent", "1.0.0", "") });
        let found = violations(RULES, &graph);
        for refused in
            ["reader 1.0.0: licence GPL-3.0-only", "both 1.0.0:", "silent 1.0.0: has no licence"]
        {
            assert!(found.contains(refused), "{refused} in {found}");
        }
    }

    #[test]
    fn an_exception_is_for_one_crate() {
        let mut graph = graph();
        graph.named.insert(one("scanner", "1.0.0", "MPL-2.0"));
        assert_eq!(violations(RULES, &graph), "scanner 1.0.0: licence MPL-2.0 is not on the list");
    }

    #[test]
    fn a_second_version_needs_a_reason() {
        let mut graph = graph();
        graph.built.insert(("parser".to_owned(), "2.0.0".to_owned()));
        assert!(violations(RULES, &graph).starts_with("parser: built as 1.0.0 and 2.0.0"));
    }

    #[test]
    fn a_banned_crate_is_named_with_a_reason_and_never_built() {
        let mut built = graph();
        built.built.insert(("rsa".to_owned(), "0.9.0".to_owned()));
        assert!(violations(RULES, &built).starts_with("rsa 0.9.0: must not be built (leaks keys)"));
        let unexplained = RULES.replace("named rsa: optional\n", "");
        assert!(violations(&unexplained, &graph()).starts_with("rsa: Cargo.lock names it"));
    }

    #[test]
    fn a_rule_that_nothing_needs_is_an_error() {
        let rules = format!(
            "{RULES}licence ISC: short\nexception parser GPL-2.0-only: never\nbanned ring: second library\n\
             named ring: optional\nnamed md5: gone\ntwice md5: gone\ntwice parser: one version\n"
        );
        let found = violations(&rules, &graph());
        assert_eq!(found.lines().count(), 6, "{found}");
        assert!(found.contains("licence ISC"), "{found}");
        assert!(found.contains("exception parser GPL-2.0-only"), "{found}");
        assert!(found.contains("named ring: Cargo.lock does not name it"), "{found}");
        assert!(found.contains("named md5: is not banned"), "{found}");
        assert!(found.contains("twice md5: is not built"), "{found}");
        assert!(found.contains("twice parser: there is one version"), "{found}");
    }

    #[test]
    fn a_rule_without_a_reason_or_a_known_word_is_refused_with_its_line() {
        for rules in
            ["licence MIT", "\nlicence MIT: ", "permit MIT: yes", "twice a: one\ntwice a: two"]
        {
            let error = format!("{:#}", Rules::read(rules).unwrap_err());
            assert!(error.contains("line "), "{rules}: {error}");
        }
    }
}
