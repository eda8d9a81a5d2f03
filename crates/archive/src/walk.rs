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

/// Calls `visit` for every file below `tree`, itself first, parents before children, in the order of their names.
pub(crate) fn walk(
    tree: &Path,
    options: &Options,
    visit: &mut dyn FnMut(&Path, &fs::Metadata) -> Result<(), Error>,
) -> Result<(), Error> {
    let root = fs::metadata(tree).map_err(|error| Error::read(tree, error))?;
    let device = root.dev();
    visit(Path::new(""), &root)?;
    let mut pending = vec![(PathBuf::new(), sorted_names(tree)?.into_iter())];
    while let Some((directory, names)) = pending.last_mut() {
        let Some(name) = names.next() else {
            pending.pop();
            continue;
        };
        let path = directory.join(name);
        let full = tree.join(&path);
        let metadata = match fs::symlink_metadata(&full) {
            Ok(metadata) => metadata,
            // Gone since its directory was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::read(full, error)),
        };
        visit(&path, &metadata)?;
        let elsewhere = options.one_file_system && metadata.dev() != device;
        if metadata.is_dir() && !elsewhere && !options.empty_directories.contains(&path) {
            let names = sorted_names(&full)?;
            pending.push((path, names.into_iter()));
        }
    }
    Ok(())
}

fn sorted_names(directory: &Path) -> Result<Vec<OsString>, Error> {
    let failed = |error| Error::read(directory, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name());
    }
    names.sort();
    Ok(names)
}

/// Reads the members of a tree; knows which files it has met before under another name.
pub(crate) struct Members<'a> {
    tree: &'a Path,
    /// The names under which files with several names were met first, by device and inode.
    first_names: BTreeMap<(u64, u64), Vec<u8>>,
    pub(crate) warnings: Vec<String>,
}

impl<'a> Members<'a> {
    pub(crate) fn new(tree: &'a Path) -> Self {
        Self { tree, first_names: BTreeMap::new(), warnings: Vec::new() }
    }

    /// The member and, when it is a regular file met for the first time, the open file. `None` for what cannot
    /// be packed: sockets, and files that have just vanished.
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
        self.remember(metadata, &name);
        let metadata = full_metadata(&full, metadata)?;
        Ok(Some((Member { path: name, kind, metadata }, None)))
    }

    fn read_file(
        &mut self,
        full: &Path,
        name: Vec<u8>,
        seen: &fs::Metadata,
    ) -> Result<Option<(Member, Option<File>)>, Error> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match open(full, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => {
                self.warnings.push(format!("{} vanished while the tree was read", full.display()));
                return Ok(None);
            }
            Err(error) => return Err(Error::read(full, error)),
        };
        let failed = |error| Error::read(full, error);
        let metadata = file.metadata().map_err(failed)?;
        let size = metadata.size();
        let may_have_holes = metadata.blocks() * 512 < size;
        let extents = if may_have_holes { extents_of(&file, size).map_err(failed)? } else { None };
        self.remember(seen, &name);
        let metadata = full_metadata(full, &metadata)?;
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
