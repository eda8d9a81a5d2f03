//! Programs with all shared libraries they load, found as the image's own loader would find them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{contents::Contents, elf::Linked};
use crate::{Error, tree::Tree};

/// Where loaders look when nothing else is said.
const USUAL: [&str; 4] = ["lib64", "usr/lib64", "lib", "usr/lib"];
/// As deep as configuration files may include each other.
const DEEPEST: usize = 8;

/// The directories in which the image's loader looks for libraries.
pub(crate) struct Libraries {
    directories: Vec<PathBuf>,
}

impl Libraries {
    pub(crate) fn of(tree: &Tree) -> Self {
        let mut directories = Vec::new();
        read_configuration(tree, Path::new("etc/ld.so.conf"), &mut directories, 0);
        for base in ["lib", "usr/lib"] {
            // Debian's loader knows its multiarch directories without being told.
            for machine in ["x86_64-linux-gnu", "aarch64-linux-gnu"] {
                directories.push(Path::new(base).join(machine));
            }
        }
        directories.extend(USUAL.iter().map(PathBuf::from));
        Self { directories }
    }

    /// Adds a program or library with everything that it loads; what is missing is a warning. Scripts get their
    /// interpreter. Returns whether the image has the file.
    pub(crate) fn add_program(
        &self,
        contents: &mut Contents<'_>,
        path: &Path,
        warnings: &mut Vec<String>,
    ) -> Result<bool, Error> {
        if contents.tree().file(path).is_none() {
            return Ok(false);
        }
        let mut pending = vec![path.to_owned()];
        while let Some(path) = pending.pop() {
            let Some(added) = contents.add(&path)? else { continue };
            let full = contents.tree().full(&added);
            let data = fs::read(&full).map_err(|error| Error::read(&full, error))?;
            if let Some(interpreter) = script_interpreter(&data) {
                pending.push(interpreter);
                continue;
            }
            // Whatever is neither a script nor ELF loads nothing.
            let Ok(linked) = Linked::parse(&data) else { continue };
            pending.extend(linked.interpreter.as_ref().map(PathBuf::from));
            for name in &linked.needed {
                match self.find(contents.tree(), name, &linked, &added) {
                    Some(found) => pending.push(found),
                    None => warnings.push(format!(
                        "the library {name}, which /{} needs, is not in the image",
                        added.display()
                    )),
                }
            }
        }
        Ok(true)
    }

    /// Adds a library that is loaded by name at run time, where there is one.
    pub(crate) fn add_by_name(
        &self,
        contents: &mut Contents<'_>,
        name: &str,
        warnings: &mut Vec<String>,
    ) -> Result<(), Error> {
        let found = self.directories.iter().map(|directory| directory.join(name));
        let found: Option<PathBuf> =
            found.into_iter().find(|path| contents.tree().file(path).is_some());
        if let Some(path) = found {
            self.add_program(contents, &path, warnings)?;
        }
        Ok(())
    }

    fn find(&self, tree: &Tree, name: &str, user: &Linked, user_path: &Path) -> Option<PathBuf> {
        if name.contains('/') {
            return Some(PathBuf::from(name)).filter(|path| tree.file(path).is_some());
        }
        let origin = user_path.parent().unwrap_or(Path::new("")).to_string_lossy();
        let own = user.search.iter().map(|directory| {
            PathBuf::from(directory.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin))
        });
        let mut places =
            own.chain(self.directories.iter().cloned()).map(|directory| directory.join(name));
        places.find(|place| {
            let Some(file) = tree.file(place) else { return false };
            let library = fs::read(file).ok().and_then(|data| Linked::parse(&data).ok());
            library.is_some_and(|library| library.fits(user))
        })
    }
}

/// Reads `ld.so.conf` and what it includes.
fn read_configuration(tree: &Tree, path: &Path, directories: &mut Vec<PathBuf>, depth: usize) {
    let text = tree.file(path).and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(pattern) = line.strip_prefix("include ") else {
            if line.starts_with('/') {
                directories.push(PathBuf::from(line));
            }
            continue;
        };
        if depth < DEEPEST {
            for file in included(tree, path, pattern.trim()) {
                read_configuration(tree, &file, directories, depth + 1);
            }
        }
    }
}

/// The files of an include line, whose last name may hold one `*`.
fn included(tree: &Tree, from: &Path, pattern: &str) -> Vec<PathBuf> {
    let pattern = from.parent().unwrap_or(Path::new("")).join(pattern);
    let (Some(directory), Some(name)) =
        (pattern.parent(), pattern.file_name().and_then(|name| name.to_str()))
    else {
        return Vec::new();
    };
    let Some((start, end)) = name.split_once('*') else { return vec![pattern] };
    let names =
        tree.directory(directory).and_then(|found| fs::read_dir(found).ok()).into_iter().flatten();
    let mut files: Vec<PathBuf> = names
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|found| found.starts_with(start) && found.ends_with(end))
        .map(|found| directory.join(found))
        .collect();
    files.sort();
    files
}

fn script_interpreter(data: &[u8]) -> Option<PathBuf> {
    let line = data.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    Some(PathBuf::from(line.split_whitespace().next()?))
}
