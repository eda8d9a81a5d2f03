//! `cargo xtask dist`: the programs with all that belongs to them as a `.deb`, an `.rpm` and a tarball. What differs from build to build is
//! left out: two builds of one commit by one toolchain are the same, byte for byte.

mod bill;
mod build;
mod contents;
mod deb;
mod elf;
mod licences;
mod origin;
mod rpm;
mod tarball;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use perilune_testkit::Stop;

use crate::build::target_directory;
use crate::output::Output;
pub(crate) use build::Speed;
use contents::Contents;

/// What was made.
pub(crate) struct Packages {
    pub(crate) deb: PathBuf,
    pub(crate) rpm: PathBuf,
    pub(crate) tarball: PathBuf,
}

/// What every package says about itself.
pub(crate) struct Release {
    /// `0.1.0`.
    pub(crate) version: String,
    /// When the commit was made, in seconds: the time of every file.
    pub(crate) time: u64,
    /// Whether the programs run without any library of the system.
    pub(crate) is_static: bool,
}

/// Slow compression of large programs on a busy machine.
const LIMIT_SECONDS: u64 = 900;
const NAME: &str = "perilune";
const SUMMARY: &str = "provisioning of HPC cluster nodes";
const DESCRIPTION: &str = "Turns racks of blank machines into a running cluster: DHCP, TFTP, HTTP, images of operating systems, power by BMC. \
                           Existing Luna 2 sites are taken over with their clients.";

/// Makes all three in `target/dist`, of programs that are there already or are built now.
pub(crate) fn make(speed: Speed, version: Option<&str>, stop: &Stop) -> Result<Packages> {
    let output = Output::new();
    let programs = build::programs(speed)?;
    let directory = target_directory().join("dist");
    let stage = directory.join("stage");
    if stage.exists() {
        fs::remove_dir_all(&stage).with_context(|| format!("cannot remove {}", stage.display()))?;
    }
    fs::create_dir_all(&stage).with_context(|| format!("cannot make {}", stage.display()))?;
    let release = Release {
        version: version.unwrap_or(env!("CARGO_PKG_VERSION")).to_owned(),
        time: origin::time_of_commit()?,
        is_static: elf::is_static(&programs.perilune)?,
    };
    if speed == Speed::Release {
        ensure!(release.is_static, "{} loads libraries", programs.perilune.display());
        origin::refuse_paths_of_this_machine(&[&programs.perilune, &programs.agent])?;
    }
    if !release.is_static {
        output.line("these programs need the C library of the machine that they were built on");
    }
    let contents = Contents::gather(&programs, &release, &stage, stop)?;
    let packages = Packages {
        deb: deb::make(&contents, &release, &directory, speed, stop)?,
        rpm: rpm::make(&contents, &release, &directory, speed, stop)?,
        tarball: tarball::make(&contents, &release, &directory, speed, stop)?,
    };
    for package in [&packages.deb, &packages.rpm, &packages.tarball] {
        let size = fs::metadata(package)?.len();
        output.line(&format!("{} ({:.1} MB)", package.display(), size_in_megabytes(size)));
    }
    Ok(packages)
}

/// Makes them twice of the same programs, and refuses what is not the same, byte for byte.
pub(crate) fn make_twice(speed: Speed, version: Option<&str>, stop: &Stop) -> Result<()> {
    let first = contents(&make(speed, version, stop)?)?;
    let second = contents(&make(speed, version, stop)?)?;
    let differing = first.iter().zip(&second).filter(|(one, other)| one != other);
    let names: Vec<String> =
        differing.map(|((package, _), _)| package.display().to_string()).collect();
    ensure!(names.is_empty(), "the second time these are others: {}", names.join(", "));
    Output::new().line("the second time all three are the same, byte for byte");
    Ok(())
}

fn contents(packages: &Packages) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let all = [&packages.deb, &packages.rpm, &packages.tarball];
    let read = |package: &PathBuf| {
        let bytes = fs::read(package);
        let bytes = bytes.with_context(|| format!("cannot read {}", package.display()))?;
        Ok((package.clone(), bytes))
    };
    all.into_iter().map(read).collect()
}

#[expect(clippy::cast_precision_loss, reason = "sizes of files, for people")]
fn size_in_megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
