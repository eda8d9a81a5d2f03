//! `cargo xtask dependencies`: licences, two versions of one crate, and crates that must not be built, by the rules of
//! `xtask/dependencies.txt`. What cargo knows is asked from cargo; nothing is fetched.

mod graph;
mod rules;

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::build;
use crate::output::block;
pub(crate) use graph::Crate;
use graph::Graph;
use rules::Rules;

const RULES: &str = "xtask/dependencies.txt";

pub(crate) fn run() -> Result<()> {
    let path = build::root().join(RULES);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let rules = Rules::read(&text).context(RULES)?;
    let graph = Graph::of_workspace()?;
    let wrong = rules.violations(&graph);
    ensure!(
        wrong.is_empty(),
        "{} by the rules of {RULES}:\n{}",
        count(wrong.len()),
        wrong.join("\n")
    );
    block(&format!(
        "{} crates are named, {} of them built: licences, versions and bans are as {RULES} says",
        graph.named.len(),
        graph.built.len()
    ));
    Ok(())
}

/// Crates that are compiled into these of our programs, on this kind of machine.
pub(crate) fn built_into(programs: &[&str]) -> Result<Vec<Crate>> {
    Graph::of_programs(programs).map(|graph| {
        let is_built = |one: &Crate| graph.built.contains(&(one.name.clone(), one.version.clone()));
        graph.named.into_iter().filter(|one| is_built(one)).collect()
    })
}

fn count(wrong: usize) -> String {
    if wrong == 1 { "one thing is wrong".to_owned() } else { format!("{wrong} things are wrong") }
}
