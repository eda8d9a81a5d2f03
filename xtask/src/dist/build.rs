//! The programs that are packed: as `cargo build --release` makes them, without a path of the machine that they are made on.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

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

/// Flags of its own would have everything in `target/release` built anew, each time: this has a directory of its own.
fn built_for_others() -> Result<Programs> {
    let directory = target_directory().join("package");
    let prefixes =
        [(root().to_owned(), "/perilune"), (origin::cargo_home()?.join("registry/src"), "/crates")];
    let rust = flags("--remap-path-prefix=", &prefixes);
    let c = flags("-ffile-prefix-map=", &prefixes);
    let build = |package: &str, target: &Path, more: &str| {
        let mut cargo = build::cargo();
        cargo
            .args(["--package", package, "--target", &build::triple(), "--target-dir"])
            .arg(target);
        cargo.env("RUSTFLAGS", joined(&rust, more)).env("CFLAGS", &c).env("CXXFLAGS", &c);
        cargo.env_remove("CARGO_BUILD_RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        build::build(&mut cargo).with_context(|| package.to_owned())
    };
    let agent = directory.join("static");
    build("perilune", &directory, "")?;
    build("perilune-agent", &agent, "-C target-feature=+crt-static")?;
    let program = |target: &Path, name: &str| -> PathBuf {
        target.join(build::triple()).join("release").join(name)
    };
    Ok(Programs {
        perilune: program(&directory, "perilune"),
        agent: program(&agent, "perilune-agent"),
    })
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

fn joined(flags: &OsString, more: &str) -> OsString {
    let mut joined = flags.clone();
    joined.push(" ");
    joined.push(more);
    joined
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
