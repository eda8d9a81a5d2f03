//! A tree to a tar stream, always in the same order.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Read, Write},
    ops::ControlFlow,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FileType, Mode, OFlags, major, minor, open};

use crate::{
    Error, Progress, Summary, attributes,
    encode::{BLOCK, header_of, padding},
    member::{Kind, Member, Metadata, Time},
    sparse::{Extent, extents_of},
};

const BUFFER: usize = 1 << 20;

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

/// Counts what [`pack`] would write. What cannot be read is left for `pack` to report.
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

/// Writes the tree as a tar stream. `progress` hears of every megabyte and every member.
pub fn pack(
    tree: &Path,
    output: &mut dyn Write,
    options: &Options,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Summary, Error> {
    let mut packer = Packer {
        tree,
        output,
        progress,
        done: Progress::default(),
        first_names: BTreeMap::new(),
        warnings: Vec::new(),
        buffer: vec![0; BUFFER],
    };
    walk(tree, options, &mut |path, metadata| packer.add(path, metadata))?;
    packer.write(&[0; 2 * BLOCK])?;
    let Packer { done, warnings, .. } = packer;
    output.flush().map_err(Error::output)?;
    Ok(Summary { members: done.members, bytes: done.bytes, warnings })
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

struct Packer<'a> {
    tree: &'a Path,
    output: &'a mut dyn Write,
    progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    done: Progress,
    /// The names under which files with several names were packed, by device and inode.
    first_names: BTreeMap<(u64, u64), Vec<u8>>,
    warnings: Vec<String>,
    buffer: Vec<u8>,
}

impl Packer<'_> {
    fn add(&mut self, path: &Path, metadata: &fs::Metadata) -> Result<(), Error> {
        let full = self.tree.join(path);
        let name = path.as_os_str().as_bytes().to_vec();
        if let Some(target) = self.first_name(metadata) {
            let kind = Kind::HardLink { target: target.clone() };
            return self.finish(&Member { path: name, kind, metadata: plain_metadata(metadata) });
        }
        let device = (major(metadata.rdev()), minor(metadata.rdev()));
        let kind = match FileType::from_raw_mode(metadata.mode()) {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => return self.add_file(&full, name, metadata),
            FileType::Symlink => {
                let target = fs::read_link(&full).map_err(|error| Error::read(&full, error))?;
                Kind::Symlink { target: OsStr::as_bytes(target.as_os_str()).to_vec() }
            }
            FileType::CharacterDevice => Kind::Character { major: device.0, minor: device.1 },
            FileType::BlockDevice => Kind::Block { major: device.0, minor: device.1 },
            FileType::Fifo => Kind::Fifo,
            // A socket means nothing without the process that made it.
            _ => return Ok(()),
        };
        self.remember(metadata, &name);
        let metadata = full_metadata(&full, metadata)?;
        self.finish(&Member { path: name, kind, metadata })
    }

    fn add_file(&mut self, full: &Path, name: Vec<u8>, seen: &fs::Metadata) -> Result<(), Error> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mut file = match open(full, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => {
                self.warnings
                    .push(format!("{} vanished while the tree was packed", full.display()));
                return Ok(());
            }
            Err(error) => return Err(Error::read(full, error)),
        };
        let metadata = file.metadata().map_err(|error| Error::read(full, error))?;
        let size = metadata.size();
        let may_have_holes = metadata.blocks() * 512 < size;
        let extents = if may_have_holes {
            extents_of(&file, size).map_err(|error| Error::read(full, error))?
        } else {
            None
        };
        self.remember(seen, &name);
        let whole = [Extent { offset: 0, length: size }];
        let kind = Kind::File { size, extents: extents.clone() };
        let member = Member { path: name, kind, metadata: full_metadata(full, &metadata)? };
        self.write(&header_of(&member))?;
        let mut complete = true;
        for extent in extents.as_deref().unwrap_or(&whole) {
            rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(extent.offset))
                .map_err(|error| Error::read(full, error))?;
            complete &= self.copy(&mut file, full, extent.length)?;
        }
        if !complete {
            self.warnings
                .push(format!("{} shrank while it was packed; its end is zeros", full.display()));
        }
        self.write([0; BLOCK].get(..padding(member.kind.stored_size())).unwrap_or_default())?;
        self.count_member()
    }

    /// Copies exactly `length` bytes, zeros in the place of what is no longer there; says whether all was there.
    fn copy(&mut self, file: &mut File, full: &Path, length: u64) -> Result<bool, Error> {
        let mut left = length;
        let mut complete = true;
        let mut buffer = std::mem::take(&mut self.buffer);
        while left > 0 {
            let limit = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
            let space = buffer.get_mut(..limit).unwrap_or_default();
            let count = match file.read(space) {
                Ok(0) => {
                    complete = false;
                    space.fill(0);
                    limit
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::read(full, error)),
            };
            self.write(space.get(..count).unwrap_or_default())?;
            left -= count as u64;
            self.done.bytes += count as u64;
            if left > 0 {
                self.report()?;
            }
        }
        self.buffer = buffer;
        Ok(complete)
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

    fn finish(&mut self, member: &Member) -> Result<(), Error> {
        self.write(&header_of(member))?;
        self.count_member()
    }

    fn count_member(&mut self) -> Result<(), Error> {
        self.done.members += 1;
        self.report()
    }

    fn report(&mut self) -> Result<(), Error> {
        match (self.progress)(self.done) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.output.write_all(bytes).map_err(Error::output)
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
