//! Licences of everything that is in the programs: those who wrote it ask that their text comes along.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::dependencies::Crate;

const BEGINNINGS: [&str; 5] = ["license", "licence", "copying", "notice", "unlicense"];

/// One text with all of them, by the crates' names.
pub(super) fn collected(crates: &[Crate]) -> Result<String> {
    let mut text = String::from(
        "Perilune is under MIT or Apache-2.0, at your choice. Its programs contain what follows, each under its own licence.\n",
    );
    for one in crates.iter().filter(|one| !one.is_ours) {
        let licence = one.licence.as_deref().unwrap_or("unknown");
        write!(text, "\n{}\n{} {}: {licence}\n", "=".repeat(72), one.name, one.version)?;
        for file in files(&one.directory)? {
            let content = fs::read(&file).with_context(|| file.display().to_string())?;
            let name = file.strip_prefix(&one.directory).unwrap_or(&file);
            write!(
                text,
                "\n--- {}\n\n{}\n",
                name.display(),
                String::from_utf8_lossy(&content).trim_end()
            )?;
        }
    }
    Ok(text)
}

/// Files of licences of a crate: beside its manifest, and one level below, where crates have libraries written in C.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in sorted(directory)? {
        if is_licence(&entry) {
            found.push(entry);
        } else if entry.is_dir() {
            found.extend(sorted(&entry)?.into_iter().filter(|path| is_licence(path)));
        }
    }
    Ok(found)
}

fn sorted(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut paths =
        entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    paths.sort();
    Ok(paths)
}

fn is_licence(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    path.is_file() && BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_of_a_crate_is_there_and_its_code_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("LICENSE-MIT", "the short one");
        write("src/lib.rs", "fn code() {}");
        write("library/COPYING", "the one of C");
        let one = Crate {
            name: "parser".to_owned(),
            version: "1.2.3".to_owned(),
            licence: Some("MIT".to_owned()),
            is_ours: false,
            directory: directory.path().to_owned(),
        };
        let text =
            collected(&[Crate { is_ours: true, name: "ours".to_owned(), ..one.clone() }, one])
                .unwrap();
        for expected in ["parser 1.2.3: MIT", "--- LICENSE-MIT\n\nthe short one", "the one of C"] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert!(!text.contains("code()") && !text.contains("ours 1.2.3"), "{text}");
    }
}
