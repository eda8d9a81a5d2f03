//! `cargo xtask recipes`: what docs/controllers.md tells sites to put around their controllers, run as it is written there. What is done, and what must
//! hold, is in `crates/perilune/tests`.

use anyhow::Result;
use clap::ValueEnum;

use crate::chaos::run_test;

/// How tests are told that what takes minutes is wanted.
const VARIABLE: &str = "PERILUNE_RECIPES";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Recipe {
    /// Three PostgreSQL with Patroni and etcd: needs root and the packages patroni, etcd-server and postgresql-15; takes ten minutes
    Patroni,
    /// Three PostgreSQL with `pg_auto_failover` and its monitor: needs root and the packages pg-auto-failover-cli and postgresql-15-auto-failover; takes ten minutes
    AutoFailover,
    /// An address that keepalived moves between two controllers: needs root and the package keepalived
    Keepalived,
}

pub(crate) fn run(recipes: &[Recipe]) -> Result<()> {
    let recipes = if recipes.is_empty() { Recipe::value_variants() } else { recipes };
    recipes.iter().try_for_each(|recipe| {
        let (test, module) = match recipe {
            Recipe::Patroni => ("cli", "patroni::"),
            Recipe::AutoFailover => ("cli", "auto_failover::"),
            Recipe::Keepalived => ("clients", "keepalived::"),
        };
        run_test(test, module, (VARIABLE, "1"))
    })
}
