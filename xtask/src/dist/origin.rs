//! Where and when: the time of the commit, which every file has, and paths of this machine, which none may have.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use perilune_testkit::Limit;
use perilune_testkit::process::{command, run};

use crate::build::root;

/// `SOURCE_DATE_EPOCH` where it is set, as for every reproducible build; else the time of the commit that is checked out.
pub(super) fn time_of_commit() -> Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_not_set) => run(
            command("git").args(["log", "-1", "--format=%ct"]).current_dir(root()),
            &Limit::seconds(30),
        )
        .context("without git, set SOURCE_DATE_EPOCH")?,
    };
    text.trim().parse().with_context(|| format!("'{}' is no time in seconds", text.trim()))
}

pub(super) fn cargo_home() -> Result<PathBuf> {
    home("CARGO_HOME", ".cargo")
}

fn home(variable: &str, below_home: &str) -> Result<PathBuf> {
    let set = std::env::var_os(variable).map(PathBuf::from);
    set.or_else(|| std::env::home_dir().map(|home| home.join(below_home)))
        .with_context(|| format!("neither {variable} nor HOME is set"))
}

/// What is in these files for everybody to read, and says where they were made.
pub(super) fn refuse_paths_of_this_machine(files: &[&Path]) -> Result<()> {
    let paths = [root().to_owned(), cargo_home()?, home("RUSTUP_HOME", ".rustup")?];
    let needles: Vec<OsString> = paths.map(PathBuf::into_os_string).into();
    for file in files {
        let content = fs::read(file).with_context(|| file.display().to_string())?;
        let found = paths_in(&content, &needles);
        ensure!(
            found.is_empty(),
            "{} tells where it was made, such as: {}",
            file.display(),
            found.join(", ")
        );
    }
    Ok(())
}

/// The first place of each needle, with what follows.
fn paths_in(content: &[u8], needles: &[OsString]) -> Vec<String> {
    const SHOWN: usize = 100;
    let first = |needle: &OsString| {
        let needle = needle.as_bytes();
        let place = content.windows(needle.len()).position(|window| window == needle)?;
        let rest = content.get(place..)?;
        let end = rest.iter().take(SHOWN).position(|byte| !byte.is_ascii_graphic());
        rest.get(..end.unwrap_or(needle.len()))
            .map(|text| String::from_utf8_lossy(text).into_owned())
    };
    needles.iter().filter(|needle| !needle.is_empty()).filter_map(first).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_this_machine_is_found_wherever_it_stands() {
        let needles = ["/home/me/src".into(), "/home/me/.cargo".into()];
        let content = b"\0\x01/crates/a.rs\0x/home/me/.cargo/registry/b.rs\0";
        assert_eq!(paths_in(content, &needles), ["/home/me/.cargo/registry/b.rs"]);
        assert_eq!(paths_in(b"/home/me", &needles), Vec::<String>::new());
        assert_eq!(paths_in(b"", &needles), Vec::<String>::new());
    }

    #[test]
    fn this_very_program_tells_where_it_was_made_and_would_be_refused() {
        let this = std::env::current_exe().unwrap();
        let error = refuse_paths_of_this_machine(&[&this]).unwrap_err().to_string();
        assert!(error.contains("tells where it was made"), "{error}");
    }
}
