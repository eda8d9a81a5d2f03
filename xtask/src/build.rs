//! Builds the programs that are demonstrated: the daemon with its command line, and the agent that runs in the
//! initramfs of any distribution and therefore is static.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The programs, where [`release`] leaves them.
pub(crate) struct Programs {
    pub(crate) perilune: PathBuf,
    pub(crate) agent: PathBuf,
}

pub(crate) fn programs() -> Result<Programs> {
    let target = target_directory();
    let programs = Programs {
        perilune: target.join("release/perilune"),
        agent: target.join("agent").join(triple()).join("release/perilune-agent"),
    };
    programs.there("is not built yet: run `cargo xtask demo` without --built")
}

/// Those of a directory, by the names that they are installed by.
pub(crate) fn programs_of(directory: &Path) -> Result<Programs> {
    let directory = std::path::absolute(directory)?;
    let programs =
        Programs { perilune: directory.join("perilune"), agent: directory.join("perilune-agent") };
    programs.there("is not there")
}

impl Programs {
    fn there(self, otherwise: &str) -> Result<Self> {
        for program in [&self.perilune, &self.agent] {
            ensure!(program.exists(), "{} {otherwise}", program.display());
        }
        Ok(self)
    }
}

pub(crate) fn release() -> Result<()> {
    build(cargo().args(["--package", "perilune"]))?;
    // Flags of its own in the shared directory would have cargo build everything twice, each time.
    let agent = target_directory().join("agent");
    build(
        cargo()
            .args(["--package", "perilune-agent", "--target", &triple(), "--target-dir"])
            .arg(agent)
            .env("RUSTFLAGS", "-C target-feature=+crt-static"),
    )
}

/// Where cargo puts what it makes.
pub(crate) fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |directory| root().join(directory))
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

pub(crate) fn triple() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a build takes as long as it takes, in the terminal's foreground"
)]
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--locked"]).current_dir(root());
    cargo
}

pub(crate) fn build(cargo: &mut Command) -> Result<()> {
    let status = cargo.status().context("cargo does not start")?;
    ensure!(status.success(), "the build failed");
    Ok(())
}
