//! `cargo xtask chaos`: several controllers on one database while everything fails that can, for longer than the tests do it. What is done, and
//! what must hold, is in `crates/perilune/tests/cli/chaos.rs`, and for machines that boot meanwhile in `crates/perilune/tests/clients/boot_storm.rs`.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::build::root;

/// How the test is told how many faults there are to be.
const VARIABLE: &str = "PERILUNE_CHAOS_FAULTS";

pub(crate) fn run(faults: u32) -> Result<()> {
    for (test, module) in [("cli", "chaos::"), ("clients", "boot_storm::")] {
        run_test(test, module, (VARIABLE, &faults.to_string()))?;
    }
    Ok(())
}

/// Runs a module of tests of the program, told something by its environment.
#[expect(
    clippy::disallowed_methods,
    reason = "a test takes as long as it takes, in the terminal's foreground"
)]
pub(crate) fn run_test(test: &str, module: &str, (variable, value): (&str, &str)) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "test",
        "--locked",
        "--package",
        "perilune",
        "--test",
        test,
        "--",
        module,
        "--nocapture",
    ]);
    cargo.current_dir(root()).env(variable, value);
    let status = cargo.status().context("cargo does not start")?;
    ensure!(status.success(), "a promise was not kept");
    Ok(())
}
