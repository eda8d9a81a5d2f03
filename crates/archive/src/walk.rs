//! Walking a tree: which files, in which order. Directories are reached from one another and not by their paths, so that a path may be
//! longer than the kernel takes, and no link that appears meanwhile leads elsewhere.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, Dir, FileType, Mode, OFlags, openat},
    io::Errno,
};

use crate::{Error, mount::Mount, status::Status};

/// What of a tree goes into the archive.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whatever is mounted inside the tree is a failure that names it. Otherwise what is in it belongs to the tree. What is not mounted
    /// belongs to the tree always, on whatever device it says it is, as subvolumes do.
    pub one_file_system: bool,
    /// Directories that are packed without what is in them, relative to the tree. A mount there is none to speak of. A file of this name
    /// is left out.
    pub empty_directories: Vec<PathBuf>,
}

impl Default for Options {
    /// An operating system tree: what only a running system fills is left out.
    fn default() -> Self {
        let empty_directories = ["proc", "sys", "dev", "run", "tmp"].map(PathBuf::from).to_vec();
        Self { one_file_system: true, empty_directories }
    }
}

/// How much there is to do, found by a quick walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub members: u64,
    /// Bytes of file contents, holes left out, each hard-linked file once.
    pub bytes: u64,
}

/// Counts what [`crate::pack`] would write. What cannot be read is left for `pack` to report; what is mounted in the tree is a failure
/// here already.
pub fn measure(tree: &Path, options: &Options) -> Result<Totals, Error> {
    let mut totals = Totals::default();
    let mut linked = BTreeSet::new();
    walk(tree, options, &mut |found| {
        let status = &found.status;
        totals.members += 1;
        let seen = status.links > 1 && !linked.insert(status.identity);
        if status.kind == FileType::RegularFile && !seen {
            totals.bytes += status.size.min(status.allocated);
        }
        Ok(())
    })?;
    Ok(totals)
}

/// A file of the tree, reached by the directory that holds it.
pub(crate) struct Found<'a> {
    /// Within the tree; empty for the tree itself.
    pub(crate) path: &'a Path,
    pub(crate) parent: &'a OwnedFd,
    /// Its name in `parent`; a dot for the tree itself.
    pub(crate) name: &'a OsStr,
    pub(crate) status: Status,
}

/// Calls `visit` for every file below `tree`, itself first, parents before children, in the order of their names. The result are
/// sentences about files that vanished before they were read. A directory that vanishes is a failure: what was in it is not known.
pub(crate) fn walk(
    tree: &Path,
    options: &Options,
    visit: &mut dyn FnMut(&Found<'_>) -> Result<(), Error>,
) -> Result<Vec<String>, Error> {
    let root = openat(CWD, tree, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty())
        .map_err(|error| Error::read(tree, error))?;
    let dot = OsStr::new(".");
    let status = Status::of(&root, dot).map_err(|error| Error::read(tree, error))?;
    visit(&Found { path: Path::new(""), parent: &root, name: dot, status })?;
    let mut walker =
        Walker { tree, options, mount: status.mount, lost: Vec::new(), mounts: Vec::new() };
    let mut stack = vec![Directory::read(tree, PathBuf::new(), &root, &status)?];
    // Only the directory at hand is open: a deep tree would need more open files than a process may have.
    let mut open = root;
    while let Some(directory) = stack.last_mut() {
        let Some((name, is_directory)) = directory.names.next() else {
            directory.check(tree)?;
            stack.pop();
            if let Some(parent) = stack.last() {
                open = parent.reopen(tree, &open)?;
            }
            continue;
        };
        if let Some((next, opened)) =
            walker.step(directory, &open, (name.as_os_str(), is_directory), visit)?
        {
            stack.push(next);
            open = opened;
        }
    }
    if walker.mounts.is_empty() {
        Ok(walker.lost)
    } else {
        Err(Error::Mounted { tree: tree.to_owned(), mounts: walker.mounts })
    }
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The kernel takes no longer path, the zero at its end included.
const LONGEST_PATH: usize = 4096;

struct Walker<'a> {
    tree: &'a Path,
    options: &'a Options,
    /// The mount that the tree is on.
    mount: Option<u64>,
    lost: Vec<String>,
    mounts: Vec<Mount>,
}

impl Walker<'_> {
    /// Visits one name of a directory. What it returns is the directory of this name, when that is to be read.
    fn step(
        &mut self,
        directory: &Directory,
        open: &OwnedFd,
        (name, is_directory): (&OsStr, bool),
        visit: &mut dyn FnMut(&Found<'_>) -> Result<(), Error>,
    ) -> Result<Option<(Directory, OwnedFd)>, Error> {
        let path = directory.path.join(name);
        let full = self.tree.join(&path);
        let is_left_out = self.options.empty_directories.contains(&path);
        let seen = Status::of(open, name).map_err(|error| Error::read(&full, error));
        let visited = seen.and_then(|status| {
            let is_foreign = status.is_mounted_elsewhere(self.mount, directory.device);
            if self.options.one_file_system && !is_left_out && is_foreign {
                self.mounts.push(Mount::of(&path, status.mount));
                return Ok(None);
            }
            if is_left_out && status.kind != FileType::Directory {
                return Ok(None);
            }
            visit(&Found { path: &path, parent: open, name, status })?;
            Ok((status.kind == FileType::Directory && !is_left_out).then_some(status))
        });
        match visited {
            Ok(None) => Ok(None),
            Ok(Some(status)) => {
                let opened = openat(open, name, DIRECTORY, Mode::empty())
                    .map_err(|error| vanished(&full, error))?;
                // What is mounted when somebody looks, as by NFS or autofs, is there only now.
                let found = Status::of(&opened, OsStr::new("."))
                    .map_err(|error| Error::read(&full, error))?;
                let is_foreign = found.is_mounted_elsewhere(self.mount, directory.device);
                if found.identity != status.identity && is_foreign && self.options.one_file_system {
                    self.mounts.push(Mount::of(&path, found.mount));
                    return Ok(None);
                }
                Ok(Some((Directory::read(self.tree, path, &opened, &found)?, opened)))
            }
            Err(error) if is_gone(&error) && is_directory => Err(Error::Vanished { path: full }),
            Err(error) if is_gone(&error) => {
                directory.check(self.tree)?;
                self.lost.push(format!("{} vanished while the tree was read", full.display()));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

fn vanished(path: &Path, error: Errno) -> Error {
    match error {
        Errno::NOENT => Error::Vanished { path: path.to_owned() },
        other => Error::read(path, other),
    }
}

/// A directory whose files are visited.
struct Directory {
    /// Within the tree.
    path: PathBuf,
    /// Device and inode: another directory in its place, such as a bare mount point, is not it.
    identity: (u64, u64),
    device: u64,
    /// What is in it, and whether that is a directory.
    names: std::vec::IntoIter<(OsString, bool)>,
}

impl Directory {
    fn read(tree: &Path, path: PathBuf, opened: &OwnedFd, status: &Status) -> Result<Self, Error> {
        let full = tree.join(&path);
        let failed = |error| vanished(&full, error);
        let mut names = Vec::new();
        for entry in Dir::read_from(opened).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                let is_directory = entry.file_type() == FileType::Directory;
                names.push((OsStr::from_bytes(name).to_owned(), is_directory));
            }
        }
        names.sort();
        Ok(Self {
            path,
            identity: status.identity,
            device: status.identity.0,
            names: names.into_iter(),
        })
    }

    /// Whether it is still in its place: what was read of one that is not may be a part only. A path that is too long to be looked up
    /// is as good as the last one above it that is not.
    fn check(&self, tree: &Path) -> Result<(), Error> {
        let path = tree.join(&self.path);
        if path.as_os_str().len() >= LONGEST_PATH {
            return Ok(());
        }
        match Status::at(&path) {
            Ok(now) if now.identity == self.identity => Ok(()),
            _ => Err(Error::Vanished { path }),
        }
    }

    /// Opens it again, from a directory in it.
    fn reopen(&self, tree: &Path, child: &OwnedFd) -> Result<OwnedFd, Error> {
        let full = || tree.join(&self.path);
        let opened = openat(child, "..", DIRECTORY, Mode::empty())
            .map_err(|error| vanished(&full(), error))?;
        let status =
            Status::of(&opened, OsStr::new(".")).map_err(|error| Error::read(full(), error))?;
        if status.identity == self.identity {
            Ok(opened)
        } else {
            Err(Error::Vanished { path: full() })
        }
    }
}
