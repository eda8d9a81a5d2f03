//! Reading a tree: which files, in which order, and everything about each of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FileType, Mode, OFlags, major, minor, open};

use crate::{
    Error, attributes,
    member::{Kind, Member, Metadata, Time},
    sparse::extents_of,
};

/// What of a tree goes into the archive.
#[derive(Clone, Debug)]
pub struct Options {
    /// Do not go into file systems that are mounted inside the tree.
    pub one_file_system: bool,
    /// Directories that are packed without what is in them, relative to the tree.
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

/// Counts what [`crate::pack`] would write. What cannot be read is left for `pack` to report.
pub fn measure(tree: &Path, options: &Options) -> Result<Totals, Error> {
    let mut totals = Totals::default();
    let mut linked = BTreeSet::new();
    walk(tree, options, &mut |_, metadata| {
        totals.members += 1;
        let seen = metadata.nlink() > 1 && !linked.insert((metadata.dev(), metadata.ino()));
        if metadata.is_file() && !seen {
            totals.bytes += metadata.size().min(metadata.blocks() * 512);
        }
        Ok(())
    })?;
    Ok(totals)
}

/// Calls `visit` for every file below `tree`, itself first, parents before children, in the order of their names. The result are
/// sentences about files that vanished before they were read. A directory that vanishes is a failure: what was in it is not known.
pub(crate) fn walk(
    tree: &Path,
    options: &Options,
    visit: &mut dyn FnMut(&Path, &fs::Metadata) -> Result<(), Error>,
) -> Result<Vec<String>, Error> {
    let root = fs::metadata(tree).map_err(|error| Error::read(tree, error))?;
    visit(Path::new(""), &root)?;
    let mut lost = Vec::new();
    let mut pending = vec![Directory::read(tree, PathBuf::new(), &root)?];
    while let Some(directory) = pending.last_mut() {
        let Some((name, is_directory)) = directory.names.next() else {
            if directory.has_losses {
                directory.check(tree)?;
            }
            pending.pop();
            continue;
        };
        let path = directory.path.join(name);
        let full = tree.join(&path);
        let seen = fs::symlink_metadata(&full).map_err(|error| Error::read(&full, error));
        match seen.and_then(|metadata| visit(&path, &metadata).map(|()| metadata)) {
            Ok(metadata) => {
                let elsewhere = options.one_file_system && metadata.dev() != root.dev();
                let goes_in = metadata.is_dir() && !elsewhere;
                if goes_in && !options.empty_directories.contains(&path) {
                    pending.push(Directory::read(tree, path, &metadata)?);
                }
            }
            Err(error) if is_gone(&error) && is_directory => {
                return Err(Error::Vanished { path: full });
            }
            Err(error) if is_gone(&error) => {
                directory.has_losses = true;
                directory.check(tree)?;
                lost.push(format!("{} vanished while the tree was read", full.display()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(lost)
}

fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// A directory whose files are visited.
struct Directory {
    /// Within the tree.
    path: PathBuf,
    /// Device and inode: another directory in its place, such as a bare mount point, is not it.
    identity: (u64, u64),
    /// What is in it, and whether that is a directory.
    names: std::vec::IntoIter<(OsString, bool)>,
    has_losses: bool,
}

impl Directory {
    fn read(tree: &Path, path: PathBuf, metadata: &fs::Metadata) -> Result<Self, Error> {
        let full = tree.join(&path);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Error::Vanished { path: full.clone() },
            _ => Error::read(&full, error),
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(&full).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            names.push((entry.file_name(), is_directory));
        }
        names.sort();
        let identity = (metadata.dev(), metadata.ino());
        Ok(Self { path, identity, names: names.into_iter(), has_losses: false })
    }

    /// Whether files can be missed in it only because they alone are gone.
    fn check(&self, tree: &Path) -> Result<(), Error> {
        let path = tree.join(&self.path);
        match fs::metadata(&path) {
            Ok(now) if (now.dev(), now.ino()) == self.identity => Ok(()),
            _ => Err(Error::Vanished { path }),
        }
    }
}

/// Reads the members of a tree; knows which files it has met before under another name.
pub(crate) struct Members<'a> {
    tree: &'a Path,
    /// The names under which files with several names were met first, by device and inode.
    first_names: BTreeMap<(u64, u64), Vec<u8>>,
}

impl<'a> Members<'a> {
    pub(crate) fn new(tree: &'a Path) -> Self {
        Self { tree, first_names: BTreeMap::new() }
    }

    /// The member and, when it is a regular file met for the first time, the open file. `None` for what cannot
    /// be packed: sockets.
    pub(crate) fn read(
        &mut self,
        path: &Path,
        metadata: &fs::Metadata,
    ) -> Result<Option<(Member, Option<File>)>, Error> {
        let full = self.tree.join(path);
        let name = path.as_os_str().as_bytes().to_vec();
        if let Some(target) = self.first_name(metadata) {
            let kind = Kind::HardLink { target: target.clone() };
            return Ok(Some((
                Member { path: name, kind, metadata: plain_metadata(metadata) },
                None,
            )));
        }
        let (major, minor) = (major(metadata.rdev()), minor(metadata.rdev()));
        let kind = match FileType::from_raw_mode(metadata.mode()) {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => return self.read_file(&full, name, metadata),
            FileType::Symlink => {
                let target = fs::read_link(&full).map_err(|error| Error::read(&full, error))?;
                Kind::Symlink { target: OsStr::as_bytes(target.as_os_str()).to_vec() }
            }
            FileType::CharacterDevice => Kind::Character { major, minor },
            FileType::BlockDevice => Kind::Block { major, minor },
            FileType::Fifo => Kind::Fifo,
            // A socket means nothing without the process that made it.
            _ => return Ok(None),
        };
        let full_metadata = full_metadata(&full, metadata)?;
        self.remember(metadata, &name);
        Ok(Some((Member { path: name, kind, metadata: full_metadata }, None)))
    }

    fn read_file(
        &mut self,
        full: &Path,
        name: Vec<u8>,
        seen: &fs::Metadata,
    ) -> Result<Option<(Member, Option<File>)>, Error> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file =
            File::from(open(full, flags, Mode::empty()).map_err(|error| Error::read(full, error))?);
        let failed = |error| Error::read(full, error);
        let metadata = file.metadata().map_err(failed)?;
        let size = metadata.size();
        let may_have_holes = metadata.blocks() * 512 < size;
        let extents = if may_have_holes { extents_of(&file, size).map_err(failed)? } else { None };
        let metadata = full_metadata(full, &metadata)?;
        // Only what is in the archive can be linked to.
        self.remember(seen, &name);
        Ok(Some((Member { path: name, kind: Kind::File { size, extents }, metadata }, Some(file))))
    }

    fn first_name(&self, metadata: &fs::Metadata) -> Option<&Vec<u8>> {
        if metadata.is_dir() || metadata.nlink() < 2 {
            return None;
        }
        self.first_names.get(&(metadata.dev(), metadata.ino()))
    }

    fn remember(&mut self, metadata: &fs::Metadata, name: &[u8]) {
        if !metadata.is_dir() && metadata.nlink() > 1 {
            self.first_names.insert((metadata.dev(), metadata.ino()), name.to_vec());
        }
    }
}

fn full_metadata(path: &Path, metadata: &fs::Metadata) -> Result<Metadata, Error> {
    let attributes = attributes::of_path(path).map_err(|error| Error::read(path, error))?;
    Ok(Metadata { attributes, ..plain_metadata(metadata) })
}

fn plain_metadata(metadata: &fs::Metadata) -> Metadata {
    Metadata {
        mode: metadata.mode() & 0o7777,
        owner: metadata.uid(),
        group: metadata.gid(),
        modified: Time {
            seconds: metadata.mtime(),
            nanoseconds: u32::try_from(metadata.mtime_nsec()).unwrap_or_default(),
        },
        attributes: Vec::new(),
    }
}
