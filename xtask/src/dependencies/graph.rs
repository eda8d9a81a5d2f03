//! Which crates there are: those that `Cargo.lock` names, and those that are built.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::build;

/// A crate from a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) version: String,
    /// An SPDX expression, as its manifest has it.
    pub(crate) licence: Option<String>,
    /// Whether it is one of ours.
    pub(crate) is_ours: bool,
    /// Where its manifest is.
    pub(crate) directory: PathBuf,
}

/// `Cargo.lock` also names crates that no feature switches on (cargo cannot tell for features of the kind `crate?/feature`).
/// Whoever scans `Cargo.lock` sees those as well, so that both are kept apart here.
pub(crate) struct Graph {
    pub(crate) named: BTreeSet<Crate>,
    /// Name and version of what is compiled for some target, tests and build scripts included.
    pub(crate) built: BTreeSet<(String, String)>,
}

impl Graph {
    pub(crate) fn of_workspace() -> Result<Self> {
        Self::of(&["--workspace", "--target=all", "--edges=all"])
    }

    /// What is compiled into these packages, for this kind of machine.
    pub(crate) fn of_programs(packages: &[&str]) -> Result<Self> {
        let packages = packages.iter().flat_map(|package| ["--package", *package]);
        let words: Vec<&str> = packages.chain(["--edges=normal"]).collect();
        Self::of(&words)
    }

    fn of(selection: &[&str]) -> Result<Self> {
        let metadata = cargo(&["metadata", "--format-version=1", "--locked"])?;
        let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
        let words = ["tree", "--locked", "--prefix=none", "--format={p}"];
        let tree = cargo(&[&words, selection].concat())?;
        Ok(Self { named: named(&metadata)?, built: built(&tree) })
    }

    /// The versions of one crate that are built.
    pub(crate) fn versions(&self, name: &str) -> Vec<&str> {
        self.built
            .iter()
            .filter(|(one, _)| one == name)
            .map(|(_, version)| version.as_str())
            .collect()
    }
}

fn named(metadata: &Value) -> Result<BTreeSet<Crate>> {
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    packages
        .iter()
        .map(|package| {
            Ok(Crate {
                name: text(&package["name"]).context("a package without a name")?,
                version: text(&package["version"]).context("a package without a version")?,
                licence: text(&package["license"]),
                is_ours: package["source"].is_null(),
                directory: text(&package["manifest_path"])
                    .and_then(|path| Some(PathBuf::from(path).parent()?.to_owned()))
                    .context("a package without a manifest")?,
            })
        })
        .collect()
}

/// Lines such as `zstd v0.14.0 (*)`; lines of features have no version.
fn built(tree: &str) -> BTreeSet<(String, String)> {
    tree.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?;
            let version = words.next()?.strip_prefix('v')?;
            Some((name.to_owned(), version.to_owned()))
        })
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "cargo reads files, and answers at once")]
fn cargo(arguments: &[&str]) -> Result<String> {
    let answer = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .current_dir(build::root())
        .output()
        .context("cargo does not start")?;
    if !answer.status.success() {
        bail!("cargo {}: {}", arguments.join(" "), String::from_utf8_lossy(&answer.stderr));
    }
    let text = String::from_utf8(answer.stdout).context("cargo answers in UTF-8")?;
    ensure!(!text.is_empty(), "cargo {} says nothing", arguments.join(" "));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_features_are_no_crates() {
        let tree = "syn v2.0.1\nsyn feature \"default\"\nsyn v2.0.1 (*)\nserde_derive v1.0.0 (proc-macro)\n\n";
        let built = built(tree);
        assert_eq!(
            built.into_iter().collect::<Vec<_>>(),
            [
                ("serde_derive".to_owned(), "1.0.0".to_owned()),
                ("syn".to_owned(), "2.0.1".to_owned())
            ]
        );
    }
}
