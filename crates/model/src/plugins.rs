//! The plugins that are installed: the built-in ones and the site's. They are no part of the cluster, which only names them.

use std::collections::BTreeSet;

use crate::provisioning::ProvisionMethod;
use crate::{Patch, Violation, Words};

/// Names of the plugins that are installed, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installed {
    /// How an image can be fetched.
    pub provision_methods: BTreeSet<String>,
    /// Roles of nodes.
    pub roles: BTreeSet<String>,
    /// Named scripts that run at install.
    pub scripts: BTreeSet<String>,
}

impl Installed {
    /// What a request names and is not installed.
    pub fn missing<'a>(
        &'a self,
        provision: [&'a Patch<ProvisionMethod>; 2],
        roles: &'a Patch<Words>,
        scripts: &'a Patch<Words>,
    ) -> Vec<Violation> {
        let one = |method: &'a Patch<ProvisionMethod>| {
            method.value().into_iter().map(ProvisionMethod::word).collect()
        };
        let all =
            |words: &'a Patch<Words>| words.value().into_iter().flat_map(Words::iter).collect();
        let [method, fallback] = provision;
        let checks: [(&str, Vec<&str>, _); 4] = [
            ("provision_method", one(method), &self.provision_methods),
            ("provision_fallback", one(fallback), &self.provision_methods),
            ("roles", all(roles), &self.roles),
            ("scripts", all(scripts), &self.scripts),
        ];
        let missing = checks.into_iter().flat_map(|(field, words, installed)| {
            let missing = words.into_iter().filter(|word| !installed.contains(*word));
            missing.map(move |word| Violation {
                field: field.to_owned(),
                reason: format!("there is no '{word}'; installed are {}", list(installed)),
            })
        });
        missing.collect()
    }
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_is_not_installed_is_told_with_those_that_are() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let installed = Installed {
            provision_methods: names(&["http", "torrent"]),
            roles: names(&["default"]),
            scripts: names(&["default", "raid1"]),
        };
        let set = |text: &str| Patch::Set(text.to_owned().into());
        let provision = [&set("http"), &set("pigeon")];
        let scripts = Patch::Set("raid1,raid5,raid6".to_owned().into());
        let missing = installed.missing(provision, &Patch::Keep, &scripts);
        let told: Vec<(&str, &str)> =
            missing.iter().map(|one| (one.field.as_str(), one.reason.as_str())).collect();
        assert_eq!(
            told,
            [
                ("provision_fallback", "there is no 'pigeon'; installed are http, torrent"),
                ("scripts", "there is no 'raid5'; installed are default, raid1"),
                ("scripts", "there is no 'raid6'; installed are default, raid1"),
            ]
        );
        assert_eq!(installed.missing([&Patch::Clear; 2], &Patch::Keep, &Patch::Keep), []);
    }
}
