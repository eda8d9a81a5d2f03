//! The same files for every other system: unpacked at `/`, or read one by one.

use std::path::{Path, PathBuf};

use anyhow::Result;
use perilune_testkit::process::{command, run};
use perilune_testkit::{Limit, Stop};

use super::build::Speed;
use super::contents::Contents;
use super::{LIMIT_SECONDS, NAME, Release};

pub(super) fn make(
    contents: &Contents,
    release: &Release,
    directory: &Path,
    speed: Speed,
    stop: &Stop,
) -> Result<PathBuf> {
    let name = format!("{NAME}-{}-{}", release.version, std::env::consts::ARCH);
    let package = directory.join(format!("{name}.tar.zst"));
    let level = if speed == Speed::Release { "zstd -19 -T1" } else { "zstd -1 -T1" };
    let mut tar = command("tar");
    tar.args(["--create", "--sort=name", "--owner=root:0", "--group=root:0", "--numeric-owner"])
        .args(["--format=gnu", &format!("--mtime=@{}", release.time)])
        .arg(format!("--transform=s,^\\.,{name},"))
        .arg(format!("--use-compress-program={level}"))
        .arg("--file")
        .arg(&package)
        .arg("--directory")
        .arg(&contents.stage)
        .arg(".");
    run(&mut tar, &Limit::seconds(LIMIT_SECONDS).unless(stop))?;
    Ok(package)
}
