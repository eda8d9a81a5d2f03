//! The package for Enterprise Linux and its kin, made by `rpmbuild`, which also finds out what the programs need.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use perilune_testkit::process::{command, run};
use perilune_testkit::{Limit, Stop};

use super::build::Speed;
use super::contents::{CONFIGURATION, Contents};
use super::{DESCRIPTION, LIMIT_SECONDS, NAME, Release, SUMMARY};
use crate::build::root;

/// Scripts that all packages share, by the names that rpm has for them.
const SCRIPTS: [(&str, &str); 3] = [("post", "postinst"), ("preun", "prerm"), ("postun", "postrm")];

pub(super) fn make(
    contents: &Contents,
    release: &Release,
    directory: &Path,
    speed: Speed,
    stop: &Stop,
) -> Result<PathBuf> {
    let top = directory.join("rpm");
    if top.exists() {
        fs::remove_dir_all(&top).with_context(|| top.display().to_string())?;
    }
    fs::create_dir_all(&top).with_context(|| top.display().to_string())?;
    let description = top.join("perilune.spec");
    fs::write(&description, specification(contents, release)?)?;
    let level = if speed == Speed::Release { "w19.zstdio" } else { "w1.zstdio" };
    let defined = [
        format!("_topdir {}", top.display()),
        format!("_rpmdir {}", top.display()),
        format!("_binary_payload {level}"),
        // What differs from machine to machine, and from day to day.
        "_buildhost localhost".to_owned(),
        "use_source_date_epoch_as_buildtime 1".to_owned(),
        "clamp_mtime_to_source_date_epoch 1".to_owned(),
        // The programs are as they should be: nothing is stripped, compressed or split off.
        "__os_install_post %{nil}".to_owned(),
        "debug_package %{nil}".to_owned(),
        "_build_id_links none".to_owned(),
    ];
    let mut rpmbuild = command("rpmbuild");
    rpmbuild.args(["-bb", "--quiet", "--nodeps", "--target", std::env::consts::ARCH]);
    for definition in defined {
        rpmbuild.arg("--define").arg(definition);
    }
    rpmbuild.arg(&description).env("SOURCE_DATE_EPOCH", release.time.to_string());
    run(&mut rpmbuild, &Limit::seconds(LIMIT_SECONDS).unless(stop))?;
    let architecture = std::env::consts::ARCH;
    let file = format!("{NAME}-{}-1.{architecture}.rpm", release.version);
    let package = directory.join(&file);
    fs::rename(top.join(architecture).join(&file), &package)
        .with_context(|| format!("rpmbuild made no {file}"))?;
    fs::remove_dir_all(&top).with_context(|| top.display().to_string())?;
    Ok(package)
}

fn specification(contents: &Contents, release: &Release) -> Result<String> {
    let mut text = format!(
        "Name: {NAME}\nVersion: {}\nRelease: 1\nSummary: {SUMMARY}\nLicense: (MIT OR Apache-2.0) AND MPL-2.0 AND BSD-3-Clause AND ISC AND Unicode-3.0 AND Zlib\n\
         Recommends: grub2-tools, grub2-efi-x64-modules, grub2-pc-modules, ipxe-bootimgs-x86\nSuggests: rsync, openssh-clients, zstd\n\n\
         %description\n{DESCRIPTION}\n\n%install\ncp -a '{}/.' '%{{buildroot}}/'\n\n",
        release.version,
        contents.stage.display()
    );
    for (name, file) in SCRIPTS {
        let script = fs::read_to_string(root().join("xtask/dist").join(file)).context(file)?;
        // A percent sign begins a macro.
        writeln!(text, "%{name}\n{}", script.replace('%', "%%"))?;
    }
    text.push_str(
        "%files\n%defattr(-,root,root)\n%dir /usr/libexec/perilune\n%dir /usr/share/perilune\n%dir /etc/perilune\n",
    );
    for file in &contents.files {
        let path = file.display().to_string();
        let kind = if CONFIGURATION.contains(&path.as_str()) {
            "%config(noreplace) "
        } else if path.starts_with("usr/share/doc/") || path.starts_with("usr/share/man/") {
            "%doc "
        } else {
            ""
        };
        writeln!(text, "{kind}\"/{path}\"")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed_and_scripts_have_no_macros() {
        let files =
            ["etc/perilune/perilune.env", "usr/bin/perilune", "usr/share/doc/perilune/README.md"];
        let contents = Contents { stage: "/stage".into(), files: files.map(PathBuf::from).into() };
        let release = Release { version: "1.2.3".to_owned(), time: 0, is_static: true };
        let text = specification(&contents, &release).unwrap();
        for line in [
            "%config(noreplace) \"/etc/perilune/perilune.env\"",
            "\"/usr/bin/perilune\"",
            "%doc \"/usr/share/doc/perilune/README.md\"",
            "Version: 1.2.3",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in {text}");
        }
        for (name, _) in SCRIPTS {
            assert!(text.contains(&format!("\n%{name}\n#!/bin/sh\n")), "{name} in {text}");
        }
    }
}
