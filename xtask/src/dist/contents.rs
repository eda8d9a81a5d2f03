//! What is in every package, laid out as on the machine that it is installed on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use perilune_testkit::process::{command, run};
use perilune_testkit::{Limit, Stop};

use super::{NAME, Release, bill, licences};
use crate::book;
use crate::build::{Programs, root};
use crate::dependencies;

const LIMIT_SECONDS: u64 = 120;
const DOCUMENTS: &str = "usr/share/doc/perilune";
/// Files that a site changes: a new version keeps the site's own.
pub(super) const CONFIGURATION: [&str; 3] =
    ["etc/perilune/perilune.env", "etc/logrotate.d/perilune", "etc/perilune/worker.env"];
/// Where each file of `xtask/dist` goes.
const PLACES: [(&str, &str); 10] = [
    ("perilune.service", "usr/lib/systemd/system/perilune.service"),
    ("perilune-worker.socket", "usr/lib/systemd/system/perilune-worker.socket"),
    ("perilune-worker.service", "usr/lib/systemd/system/perilune-worker.service"),
    ("perilune.env", CONFIGURATION[0]),
    ("worker.env", CONFIGURATION[2]),
    ("logrotate.conf", CONFIGURATION[1]),
    ("sysusers.conf", "usr/lib/sysusers.d/perilune.conf"),
    ("tmpfiles.conf", "usr/lib/tmpfiles.d/perilune.conf"),
    ("firewalld.xml", "usr/lib/firewalld/services/perilune.xml"),
    ("prometheus.rules", "usr/share/perilune/prometheus.rules"),
];
/// Where each shell looks for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/perilune"),
    ("zsh", "usr/share/zsh/site-functions/_perilune"),
    ("fish", "usr/share/fish/vendor_completions.d/perilune.fish"),
];

/// The files, below a directory.
pub(super) struct Contents {
    pub(super) stage: PathBuf,
    /// Every file, relative to the stage, sorted.
    pub(super) files: Vec<PathBuf>,
}

impl Contents {
    pub(super) fn gather(
        programs: &Programs,
        release: &Release,
        stage: &Path,
        stop: &Stop,
    ) -> Result<Self> {
        let put = |path: &str, content: &[u8]| write(&stage.join(path), content, 0o644);
        copy_program(&programs.perilune, &stage.join("usr/bin/perilune"))?;
        copy_program(&programs.agent, &stage.join("usr/libexec/perilune/perilune-agent"))?;
        for (file, place) in PLACES {
            put(place, &read(&root().join("xtask/dist").join(file))?)?;
        }
        let limit = Limit::seconds(LIMIT_SECONDS).unless(stop);
        made_by_the_program(stage, &limit)?;
        for file in ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            put(&format!("{DOCUMENTS}/{file}"), &read(&root().join(file))?)?;
        }
        book::make(&root().join("docs"), &stage.join(DOCUMENTS).join("book"))?;
        let crates = dependencies::built_into(&[NAME, "perilune-agent"])?;
        put(
            &format!("{DOCUMENTS}/perilune.cdx.json"),
            bill::document(&crates, release)?.as_bytes(),
        )?;
        let licences = licences::collected(&crates)?;
        put(&format!("{DOCUMENTS}/copyright"), licences.as_bytes())?;
        run(
            command("gzip")
                .args(["-9", "--no-name"])
                .arg(stage.join(DOCUMENTS).join("CHANGELOG.md")),
            &limit,
        )?;
        set_times(stage, release.time, &limit)?;
        let files = files(stage)?;
        ensure!(files.len() > 100, "{} files are too few", files.len());
        Ok(Self { stage: stage.to_owned(), files })
    }

    /// How many bytes all files have.
    pub(super) fn size(&self) -> Result<u64> {
        let sizes = self.files.iter().map(|file| Ok(fs::metadata(self.stage.join(file))?.len()));
        sizes.sum()
    }
}

/// Manual pages and completions come from the program's own definition of its command line.
fn made_by_the_program(stage: &Path, limit: &Limit) -> Result<()> {
    let program = stage.join("usr/bin/perilune");
    let pages = stage.join("usr/share/man/man1");
    make_directory(&pages)?;
    run(command(&program).arg("manual").arg(&pages), limit)?;
    let pages = files(&pages)?.into_iter().map(|page| pages.join(page));
    run(command("gzip").args(["-9", "--no-name"]).args(pages), limit)?;
    for (shell, place) in COMPLETIONS {
        let script = run(command(&program).args(["completion", shell]), limit)?;
        // The program writes where it is found by itself, which must not be the stage.
        let script = script.replace(&*program.to_string_lossy(), NAME);
        write(&stage.join(place), script.as_bytes(), 0o644)?;
    }
    Ok(())
}

fn copy_program(from: &Path, to: &Path) -> Result<()> {
    write(to, &read(from)?, 0o755)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

pub(super) fn write(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    make_directory(path.parent().unwrap_or(path))?;
    fs::write(path, content).with_context(|| path.display().to_string())?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// A directory that everybody may read, whatever the umask is.
fn make_directory(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    fs::create_dir(path).with_context(|| path.display().to_string())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Every file and directory is as old as the commit.
pub(super) fn set_times(stage: &Path, time: u64, limit: &Limit) -> Result<()> {
    let date = format!("--date=@{time}");
    let touch = ["-exec", "touch", "--no-dereference", date.as_str(), "{}", "+"];
    run(command("find").arg(stage).args(touch), limit)?;
    Ok(())
}

/// Every file below a directory, relative to it, sorted.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(inner) = directories.pop() {
        for entry in fs::read_dir(&inner).with_context(|| inner.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else {
                found.push(path.strip_prefix(directory)?.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}
