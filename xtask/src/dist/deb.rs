//! The package for Debian and its kin, made by the distribution's own `dpkg-deb`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use perilune_testkit::process::{command, run};
use perilune_testkit::{Limit, Stop};

use super::build::Speed;
use super::contents::{CONFIGURATION, Contents, set_times, write};
use super::{DESCRIPTION, LIMIT_SECONDS, NAME, Release, SUMMARY};
use crate::build::root;

const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

pub(super) fn make(
    contents: &Contents,
    release: &Release,
    directory: &Path,
    speed: Speed,
    stop: &Stop,
) -> Result<PathBuf> {
    let limit = Limit::seconds(LIMIT_SECONDS).unless(stop);
    let control = contents.stage.join("DEBIAN");
    let kibibytes = contents.size()?.div_ceil(1024);
    write(&control.join("control"), description(release, kibibytes).as_bytes(), 0o644)?;
    let configuration = CONFIGURATION.map(|file| format!("/{file}\n")).concat();
    write(&control.join("conffiles"), configuration.as_bytes(), 0o644)?;
    for script in SCRIPTS {
        let text = fs::read(root().join("xtask/dist").join(script)).context(script)?;
        write(&control.join(script), &text, 0o755)?;
    }
    let checksums =
        run(command("md5sum").args(&contents.files).current_dir(&contents.stage), &limit)?;
    write(&control.join("md5sums"), checksums.as_bytes(), 0o644)?;
    set_times(&contents.stage, release.time, &limit)?;
    let package = directory.join(format!("{NAME}_{}_{}.deb", release.version, architecture()));
    // Several threads would cut the archive by how many cores there are.
    let level = if speed == Speed::Release { "-z6" } else { "-z0" };
    let words = ["--root-owner-group", "--threads-max=1", "-Zxz", level, "--build"];
    run(
        command("dpkg-deb")
            .args(words)
            .arg(&contents.stage)
            .arg(&package)
            .env("SOURCE_DATE_EPOCH", release.time.to_string()),
        &limit,
    )?;
    fs::remove_dir_all(&control).with_context(|| control.display().to_string())?;
    Ok(package)
}

/// Debian's word for the processor.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn description(release: &Release, kibibytes: u64) -> String {
    let depends = if release.is_static { "" } else { "Depends: libc6, libgcc-s1\n" };
    let mut text = format!(
        "Package: {NAME}\nVersion: {}\nArchitecture: {}\nMaintainer: Perilune developers <perilune@localhost>\nInstalled-Size: {kibibytes}\n\
         {depends}Recommends: systemd, grub-common, grub-efi-amd64-bin, grub-pc-bin, ipxe\nSuggests: rsync, openssh-client, zstd\n\
         Section: admin\nPriority: optional\nDescription: {SUMMARY}\n",
        release.version,
        architecture(),
    );
    for line in wrapped(DESCRIPTION) {
        writeln!(text, " {line}").expect("a string takes every text");
    }
    text
}

/// Lines of at most 78 characters.
fn wrapped(text: &str) -> Vec<String> {
    const WIDEST: usize = 78;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < WIDEST => {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_has_what_dpkg_wants_to_know() {
        let release = Release { version: "1.2.3".to_owned(), time: 0, is_static: true };
        let text = description(&release, 42);
        for line in ["Package: perilune", "Version: 1.2.3", "Installed-Size: 42"] {
            assert!(text.lines().any(|known| known == line), "{line} in {text}");
        }
        assert!(!text.contains("Depends:"), "{text}");
        let text = description(&Release { is_static: false, ..release }, 42);
        assert!(text.contains("\nDepends: libc6, libgcc-s1\nRecommends: "), "{text}");
        assert!(text.lines().all(|line| line.len() < 200 && !line.is_empty()), "{text}");
        assert!(text.ends_with('\n'));
    }
}
