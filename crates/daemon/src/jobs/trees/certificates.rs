//! The authorities of a subscription to Red Hat's systems: an image has those that it was made with, and the controller newer ones.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, renameat, unlinkat,
};
use rustix::io::Errno;

use crate::jobs::error::Error;

/// Where a system keeps them, the controller and an image alike.
pub(super) const PLACE: &str = "/etc/rhsm/ca";
const STEPS: [&str; 3] = ["etc", "rhsm", "ca"];
/// A certificate is some kilobytes long, and there are a few.
const LONGEST: u64 = 1 << 20;
const MOST: usize = 64;

/// Copies the certificates of this machine into a tree, each whole or not at all; tells their names. No link of the tree is followed: it may lead
/// out of it.
pub(super) fn update(tree: &Path, own: &Path) -> Result<Vec<String>, Error> {
    let found = certificates(own)?;
    let place = tree.join(PLACE.trim_start_matches('/'));
    let failed = |error: Errno| Error::files("write", &place, error.into());
    let directory = directory_in(tree).map_err(failed)?;
    for (name, bytes) in &found {
        write(&directory, name, bytes)
            .map_err(|error| Error::files("write", &place.join(name), error))?;
    }
    Ok(found.into_iter().map(|(name, _)| name).collect())
}

fn certificates(own: &Path) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let failed = |path: &Path, error| Error::files("read", path, error);
    let entries = fs::read_dir(own).map_err(|error| failed(own, error))?;
    let mut found = Vec::new();
    for entry in entries.filter_map(Result::ok) {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_file || !is_name(&name) || found.len() >= MOST {
            continue;
        }
        let mut bytes = Vec::new();
        let path = entry.path();
        let read = File::open(&path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
        read.map_err(|error| failed(&path, error))?;
        found.push((name, bytes));
    }
    if found.is_empty() {
        let nothing = io::Error::new(io::ErrorKind::NotFound, "there is no certificate in it");
        return Err(failed(own, nothing));
    }
    found.sort();
    Ok(found)
}

fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_certificate = Path::new(name).extension().is_some_and(|ending| ending == "pem");
    is_certificate && !name.starts_with('.') && name.chars().all(is_plain)
}

/// The directory in the tree, which is made where it is not there.
fn directory_in(tree: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let mut at = openat(CWD, tree, flags, Mode::empty())?;
    for step in STEPS {
        match mkdirat(&at, step, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        at = openat2(&at, step, flags, Mode::empty(), beneath)?;
    }
    Ok(at)
}

fn write(directory: &OwnedFd, name: &str, bytes: &[u8]) -> io::Result<()> {
    let hidden = PathBuf::from(format!(".perilune-{name}"));
    match unlinkat(directory, &hidden, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let new = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory, &hidden, new, Mode::from_raw_mode(0o644))?;
    let mut file = File::from(file);
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let done = written.and_then(|()| Ok(renameat(directory, &hidden, directory, name)?));
    if done.is_err() {
        unlinkat(directory, &hidden, AtFlags::empty()).ok();
    }
    done
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn certificates_are_copied_into_the_tree_and_nowhere_else() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        fs::create_dir_all(at("own")).unwrap();
        assert!(update(&at("tree"), &at("own")).is_err(), "no certificate");
        fs::write(at("own/a.pem"), "new").unwrap();
        fs::write(at("own/b.txt"), "other").unwrap();
        symlink("/etc/passwd", at("own/c.pem")).unwrap();
        assert!(update(&at("tree"), &at("own")).is_err(), "no tree");
        fs::create_dir_all(at("tree/etc/rhsm/ca")).unwrap();
        fs::write(at("tree/etc/rhsm/ca/a.pem"), "old").unwrap();
        assert_eq!(update(&at("tree"), &at("own")).unwrap(), ["a.pem"]);
        assert_eq!(fs::read_to_string(at("tree/etc/rhsm/ca/a.pem")).unwrap(), "new");
        // A link that leads out of the tree is not followed.
        fs::create_dir_all(at("outside/ca")).unwrap();
        fs::remove_dir_all(at("tree/etc/rhsm")).unwrap();
        symlink(at("outside"), at("tree/etc/rhsm")).unwrap();
        assert!(update(&at("tree"), &at("own")).is_err());
        assert_eq!(fs::read_dir(at("outside/ca")).unwrap().count(), 0);
        fs::create_dir_all(at("empty")).unwrap();
        assert_eq!(update(&at("empty"), &at("own")).unwrap(), ["a.pem"], "the directory is made");
    }
}
