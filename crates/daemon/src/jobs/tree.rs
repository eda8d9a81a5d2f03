//! Removing a tree of the images' directory that no other image uses, and nothing that is only mounted in it.

use std::fs;
use std::io::{Error as IoError, ErrorKind};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use perilune_image::{CancelFlag, Progress};
use perilune_model::Cluster;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::error::Error;
use super::work::Mounted;

/// Directories of the machine itself, which are no images whatever somebody wrote.
const OF_THE_SYSTEM: [&str; 21] = [
    "/", "/bin", "/boot", "/data", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt",
    "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var",
];

const MACHINE_ID: &str = "etc/machine-id";

/// Why the tree of the image `owner` cannot be removed; the owner may be gone already. Links are followed, because what they lead to
/// would go.
pub(super) fn obstacle(
    cluster: &Cluster,
    (files, images): (&Path, &Path),
    (owner, tree): (Option<&str>, &Path),
) -> Option<String> {
    let (place, all) = (resolved(tree), resolved(images));
    if place == all || !place.starts_with(&all) {
        return Some(format!(
            "{} is outside of the images' directory {}; keep it, or remove it by hand",
            tree.display(),
            images.display()
        ));
    }
    let overlaps = |other: &Path| {
        let other = resolved(other);
        other.starts_with(&place) || place.starts_with(&other)
    };
    if resolved(files).starts_with(&place) {
        return Some(format!("the files that nodes boot from are in {}", tree.display()));
    }
    let mut others =
        cluster.images().values().filter(|image| owner.is_none_or(|owner| image.name != owner));
    let user = others.find(|image| overlaps(&image.tree(images)))?;
    Some(format!("the image {} uses {}, too", user.name, tree.display()))
}

/// Where a path leads. What is not there is where its nearest directory leads.
fn resolved(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|above| Some((above, fs::canonicalize(above).ok()?)));
    match there {
        Some((above, real)) => match path.strip_prefix(above) {
            Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
            _ => real,
        },
        None => path.to_owned(),
    }
}

/// Where it is written down which directory the tree of a removed image was. Beside the tree: whatever is in it is packed.
fn mark(tree: &Path) -> Option<PathBuf> {
    let name = tree.file_name()?.to_str()?;
    Some(tree.with_file_name(format!(".perilune-left-{name}")))
}

/// What tells a directory from another that is made in its place later.
fn identity(tree: &Path) -> Option<String> {
    let metadata = tree.symlink_metadata().ok().filter(fs::Metadata::is_dir)?;
    let made = metadata.created().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    Some(format!("{} {} {made}", metadata.dev(), metadata.ino()))
}

/// Writes down that a tree is nothing but what a removed image has left.
pub(super) fn leave(tree: &Path) -> Result<(), Error> {
    let Some((mark, identity)) = mark(tree).zip(identity(tree)) else { return Ok(()) };
    fs::write(&mark, identity).map_err(|error| Error::files("write", &mark, error))
}

/// Whether a tree is what a removed image has left, and nobody has made another in its place since.
pub(super) fn is_left(tree: &Path) -> bool {
    let written = mark(tree).and_then(|mark| fs::read_to_string(mark).ok());
    written.is_some() && written == identity(tree)
}

/// Gives the place of a tree that was left to another. Answers where it is now, to be removed.
pub(super) fn put_aside(tree: &Path, request: &str) -> Result<PathBuf, Error> {
    let aside = tree.with_file_name(format!(".perilune-removed-{request}"));
    if let Some(mounted) = mounted_in(tree) {
        let reason = format!("something is mounted at {}; unmount it", mounted.display());
        return Err(Error::files("replace", tree, IoError::other(reason)));
    }
    fs::rename(tree, &aside).map_err(|error| Error::files("replace", tree, error))?;
    mark(tree).map_or(Ok(()), |mark| gone(&mark, fs::remove_file(&mark)))?;
    Ok(aside)
}

/// What a tree is called while it is copied.
pub(super) fn unfinished(tree: &Path, request: &str) -> PathBuf {
    tree.with_file_name(format!(".perilune-copy-{request}"))
}

/// Removes a tree. It loses its name first, so that another can be made in its place at once.
pub(super) fn remove(tree: &Path, request: &str) -> Result<(), Error> {
    let refused = |reason: String| Error::files("remove", tree, IoError::other(reason));
    let real = fs::canonicalize(tree).unwrap_or_else(|_absent| tree.to_owned());
    let is_of_the_system = |path: &Path| OF_THE_SYSTEM.iter().any(|name| path == Path::new(name));
    if !tree.is_absolute() || is_of_the_system(tree) || is_of_the_system(&real) {
        return Err(refused("it is a directory of the system".to_owned()));
    }
    if tree.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()) {
        return gone(tree, fs::remove_file(tree));
    }
    if let Some(mounted) = mounted_in(tree) {
        return Err(refused(format!(
            "something is mounted at {}; unmount it and remove the rest",
            mounted.display()
        )));
    }
    if let Some(mark) = mark(tree) {
        gone(&mark, fs::remove_file(&mark))?;
    }
    let aside = tree.with_file_name(format!(".perilune-removed-{request}"));
    match fs::rename(tree, &aside) {
        // A run before this one may have come as far as this.
        Ok(()) => gone(&aside, fs::remove_dir_all(&aside)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            gone(&aside, fs::remove_dir_all(&aside))
        }
        Err(_) => gone(tree, fs::remove_dir_all(tree)),
    }
}

/// A system without the file takes its first start for the first of all, and enables services anew; with an empty one it only makes
/// itself an identity (machine-id(5)).
pub(super) fn keep_machine_id_open(tree: &Path) -> Result<(), Error> {
    let failed = |error: Errno| Error::files("make", &tree.join(MACHINE_ID), error.into());
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, tree, directory, Mode::empty()).map_err(failed)?;
    let new = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    // A link in the tree leads where it would on the node, and not to a directory of this machine.
    let mode = Mode::from_raw_mode(0o644);
    match openat2(&root, MACHINE_ID, new, mode, ResolveFlags::IN_ROOT) {
        Ok(_) | Err(Errno::EXIST | Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Moves a tree to where nothing is.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    let failed = |error| Error::files("move", from, error);
    if to.symlink_metadata().is_ok() {
        return Err(failed(ErrorKind::AlreadyExists.into()));
    }
    fs::rename(from, to).map_err(failed)
}

fn gone(path: &Path, removed: std::io::Result<()>) -> Result<(), Error> {
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::files("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// A place in the tree, or the tree itself, where another file system is mounted: `/proc`, or the machine's own `/dev`.
fn mounted_in(tree: &Path) -> Option<PathBuf> {
    let resolved = fs::canonicalize(tree).ok()?;
    mount_points().into_iter().find(|point| point.starts_with(&resolved))
}

/// The places in the tree where something is mounted, relative to it and without the tree itself.
pub(super) fn mounts_in(tree: &Path) -> Vec<PathBuf> {
    let Ok(resolved) = fs::canonicalize(tree) else { return Vec::new() };
    let points = mount_points();
    let inside = points.iter().filter_map(|point| point.strip_prefix(&resolved).ok());
    inside.filter(|point| !point.as_os_str().is_empty()).map(Path::to_owned).collect()
}

fn mount_points() -> Vec<PathBuf> {
    mount_points_of(&fs::read("/proc/self/mountinfo").unwrap_or_default())
}

/// Where something is mounted on a machine whose mountinfo (proc(5)) this is.
pub(super) fn mount_points_of(mountinfo: &[u8]) -> Vec<PathBuf> {
    mountinfo.split(|byte| *byte == b'\n').filter_map(mount_point).collect()
}

/// The fifth field of a line of proc(5)'s mountinfo, in which blanks and backslashes are octal.
fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let mut rest = line.split(|byte| *byte == b' ').nth(4)?;
    let mut path = Vec::with_capacity(rest.len());
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal
            .and_then(|digits| u8::from_str_radix(digits, 8).ok())
            .filter(|_| *first == b'\\')
        {
            Some(byte) => {
                path.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                path.push(*first);
                rest = tail;
            }
        }
    }
    Some(PathBuf::from(std::ffi::OsString::from_vec(path)))
}

/// A tree is under its name only when it is whole. What a removed image has left there goes then, and not before.
pub(super) fn copy_aside(
    (from, to): (&Path, &Path),
    (request, mounts, may_replace): (&str, Mounted, bool),
    report: &mut dyn FnMut(Progress),
    cancel: &CancelFlag,
) -> Result<Vec<String>, Error> {
    let is_left = |place: &Path| may_replace && is_left(place);
    if to.symlink_metadata().is_ok() && !is_left(to) {
        return Err(Error::Image(perilune_image::Error::AlreadyThere { path: to.to_owned() }));
    }
    let parent = to.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(|error| Error::files("make", parent, error))?;
    let aside = unfinished(to, request);
    match fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(Error::files("remove", &aside, error));
        }
        _ => {}
    }
    let notes = perilune_image::copy_tree(from, &aside, mounts.into(), report, cancel)?;
    let left = is_left(to).then(|| put_aside(to, request)).transpose()?;
    let renamed = fs::rename(&aside, to);
    if let Some(left) = left {
        remove(&left, request)?;
    }
    renamed.map_err(|error| Error::files("rename the finished copy to", to, error))?;
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_tree_goes_and_what_its_links_point_to_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (tree, outside) = (directory.path().join("tree"), directory.path().join("outside"));
        fs::create_dir_all(tree.join("usr/bin")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "kept").unwrap();
        symlink(&outside, tree.join("link")).unwrap();
        remove(&tree, "1.2").unwrap();
        let left: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["outside"]);
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"kept");
        remove(&tree, "1.2").unwrap();
    }

    #[test]
    fn a_machine_id_is_kept_open_in_the_tree_and_nowhere_else() {
        let directory = tempfile::tempdir().unwrap();
        let (tree, outside) = (directory.path().join("tree"), directory.path().join("outside"));
        fs::create_dir(&tree).unwrap();
        fs::create_dir(&outside).unwrap();
        keep_machine_id_open(&tree).unwrap();
        symlink(&outside, tree.join("etc")).unwrap();
        keep_machine_id_open(&tree).unwrap();
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        fs::remove_file(tree.join("etc")).unwrap();
        fs::create_dir(tree.join("etc")).unwrap();
        keep_machine_id_open(&tree).unwrap();
        assert_eq!(fs::read(tree.join(MACHINE_ID)).unwrap(), b"");
        fs::write(tree.join(MACHINE_ID), "kept").unwrap();
        keep_machine_id_open(&tree).unwrap();
        assert_eq!(fs::read(tree.join(MACHINE_ID)).unwrap(), b"kept");
    }

    #[test]
    fn a_link_to_a_tree_goes_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (tree, link) = (directory.path().join("tree"), directory.path().join("link"));
        fs::create_dir(&tree).unwrap();
        symlink(&tree, &link).unwrap();
        remove(&link, "1.2").unwrap();
        assert!(tree.is_dir());
        assert!(link.symlink_metadata().is_err());
    }

    #[test]
    fn what_an_earlier_run_put_aside_is_removed_by_the_next() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join(".perilune-removed-1.2/usr")).unwrap();
        remove(&directory.path().join("tree"), "1.2").unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn directories_of_the_system_and_mounted_file_systems_are_left_alone() {
        for tree in ["/", "/usr", "/etc", "usr", "/usr/../etc", "/usr/."] {
            assert!(remove(Path::new(tree), "1.2").unwrap_err().to_string().contains(tree));
        }
        assert_eq!(mounted_in(Path::new("/proc")), Some(PathBuf::from("/proc")));
        assert_eq!(
            mount_point(br"36 35 98:0 / /srv/a\040b\134c rw - ext4"),
            Some(PathBuf::from(r"/srv/a b\c"))
        );
    }
}
