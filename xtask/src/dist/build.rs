//! The programs that are packed: as `cargo build --release` makes them, but static, since an older system has an older C library than the
//! machine that they are made on, and without a path of that machine.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::origin;
use crate::build::{self, Programs, root, target_directory};

/// How much time may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speed {
    /// As it is given away: built, checked for paths, and made small.
    Release,
    /// For tests: the programs that are there, whatever they are, and little compression.
    Built,
}

pub(super) fn programs(speed: Speed) -> Result<Programs> {
    match speed {
        Speed::Built => build::programs(),
        Speed::Release => built_for_others(),
    }
}

/// The C library that is linked in: glibc's own cannot look up users and hosts from within a static program. Its allocator is slow, so that
/// the daemon brings another (`crates/perilune/src/main.rs`).
const STATIC: &str = "unknown-linux-musl";
/// What compiles C for it: the package musl-tools of Debian.
const COMPILER: &str = "musl-gcc";

/// Flags of its own would have everything in `target/release` built anew, each time: this has a directory of its own.
fn built_for_others() -> Result<Programs> {
    let directory = target_directory().join("package");
    let prefixes =
        [(root().to_owned(), "/perilune"), (origin::cargo_home()?.join("registry/src"), "/crates")];
    let rust = flags("--remap-path-prefix=", &prefixes);
    let c = flags("-ffile-prefix-map=", &prefixes);
    let triple = format!("{}-{STATIC}", std::env::consts::ARCH);
    ensure!(
        there(COMPILER),
        "{COMPILER} is not there: install the package musl-tools, and `rustup target add {triple}`"
    );
    let build = |package: &str| {
        let mut cargo = build::cargo();
        cargo.args(["--package", package, "--target", &triple, "--target-dir"]).arg(&directory);
        cargo.env(format!("CC_{}", triple.replace('-', "_")), COMPILER);
        cargo.env("RUSTFLAGS", &rust).env("CFLAGS", &c).env("CXXFLAGS", &c);
        cargo.env_remove("CARGO_BUILD_RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        // The allocator's C has the time of its compilation in it, which no package is to depend on. Not that of the commit either: what was
        // compiled for an earlier one is not compiled again.
        cargo.env("SOURCE_DATE_EPOCH", "0");
        build::build(&mut cargo).with_context(|| package.to_owned())
    };
    build("perilune")?;
    build("perilune-agent")?;
    let program = |name: &str| directory.join(&triple).join("release").join(name);
    Ok(Programs { perilune: program("perilune"), agent: program("perilune-agent") })
}

/// Whether a program can be called by its name.
fn there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).exists())
}

fn flags(flag: &str, prefixes: &[(PathBuf, &str)]) -> OsString {
    let mut flags = OsString::new();
    for (from, to) in prefixes {
        if !flags.is_empty() {
            flags.push(" ");
        }
        flags.push(flag);
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_has_its_flag() {
        let prefixes = [(PathBuf::from("/a/b"), "/x"), (PathBuf::from("/c"), "/y")];
        assert_eq!(flags("--map=", &prefixes), "--map=/a/b=/x --map=/c=/y");
    }
}
