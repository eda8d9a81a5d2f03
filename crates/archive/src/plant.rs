//! Making the members of a tree, from an archive or from another tree.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::File,
    io::{self, Read, Write},
    ops::ControlFlow,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Timespec, Timestamps, UTIME_OMIT, Uid,
        XattrFlags, chmodat, chownat, fchmod, fchown, fremovexattr, fsetxattr, ftruncate, futimens,
        ioctl_ficlone, linkat, lsetxattr, makedev, mkdirat, mknodat, openat, seek, symlinkat,
        utimensat,
    },
    io::Errno,
    process::geteuid,
};

use crate::{
    Error, Progress, Summary,
    decode::Decoder,
    directory::{Directories, clear, is_directory, open_directory},
    member::{Kind, Member, Metadata, Time},
    sparse::Extent,
};

const BUFFER: usize = 1 << 20;
/// As much is copied between two reports.
const PIECE: u64 = 16 << 20;
/// More of the same kind tell the operator nothing new.
const MOST_WARNINGS: usize = 50;

/// Makes the members of a tree below a directory, and nothing outside it.
pub(crate) struct Planter<'a> {
    directories: Directories,
    progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    summary: Summary,
    /// Directories get their mode, times and attributes last: writing into them would change or forbid them.
    pending: BTreeMap<Vec<u8>, Metadata>,
    owners: bool,
    buffer: Vec<u8>,
}

/// Where the data of a file comes from.
pub(crate) enum Data<'d, 'r> {
    Archive(&'d mut Decoder<&'r mut dyn Read>),
    File(Option<&'d File>),
}

impl<'a> Planter<'a> {
    pub(crate) fn new(
        target: &Path,
        progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Self, Error> {
        Ok(Self {
            directories: Directories::open(target)?,
            progress,
            summary: Summary::default(),
            pending: BTreeMap::new(),
            owners: geteuid().is_root(),
            buffer: vec![0; BUFFER],
        })
    }

    pub(crate) fn plant(&mut self, member: Member, data: &mut Data<'_, '_>) -> Result<(), Error> {
        self.add(member, data)?;
        self.summary.members += 1;
        self.report()
    }

    /// To be called when all members are there.
    pub(crate) fn finish(mut self) -> Result<Summary, Error> {
        self.finish_directories()?;
        Ok(self.summary)
    }

    fn add(&mut self, member: Member, data: &mut Data<'_, '_>) -> Result<(), Error> {
        let path = safe_path(&member.path)?;
        if matches!(member.kind, Kind::Directory) {
            return self.add_directory(path, member.metadata);
        }
        if path.is_empty() {
            return Err(Error::malformed("the root of the tree is not a directory"));
        }
        self.make_room(&path)?;
        let shown = self.directories.path_of(&path);
        match member.kind {
            Kind::File { size, extents } => {
                let file = self.create(&path, &shown)?;
                self.fill(&file, &shown, size, extents.as_deref(), data)?;
                self.set_metadata(&file.into(), &shown, &member.metadata)
            }
            Kind::HardLink { target } => self.add_link(&path, &shown, &target),
            kind => self.add_special(&path, &shown, &kind, &member.metadata),
        }
    }

    fn add_directory(&mut self, path: Vec<u8>, metadata: Metadata) -> Result<(), Error> {
        let shown = self.directories.path_of(&path);
        let failed = |error: Errno| Error::write(&shown, error);
        if path.is_empty() {
            stop_inheritance(self.directories.root());
        } else {
            let (parent, name) = self.directories.parent_of(&path)?;
            match mkdirat(parent, name, Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) if is_directory(parent, name) => {
                    stop_inheritance(&open_directory(parent, name).map_err(failed)?);
                }
                Err(Errno::EXIST) => {
                    clear(parent, name)
                        .and_then(|()| mkdirat(parent, name, Mode::RWXU))
                        .map_err(failed)?;
                }
                Err(error) => return Err(failed(error)),
            }
        }
        self.pending.insert(path, metadata);
        Ok(())
    }

    fn create(&mut self, path: &[u8], shown: &Path) -> Result<File, Error> {
        let (parent, name) = self.directories.parent_of(path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(parent, name, flags, Mode::RUSR | Mode::WUSR);
        Ok(File::from(file.map_err(|error| Error::write(shown, error))?))
    }

    fn fill(
        &mut self,
        file: &File,
        shown: &Path,
        size: u64,
        extents: Option<&[Extent]>,
        data: &mut Data<'_, '_>,
    ) -> Result<(), Error> {
        let failed = |error: Errno| Error::write(shown, error);
        // On file systems that can, a copy shares its data with the original until either is changed.
        if let Data::File(Some(source)) = data
            && ioctl_ficlone(file, source).is_ok()
        {
            self.summary.bytes += size;
            return Ok(());
        }
        let whole = [Extent { offset: 0, length: size }];
        for extent in extents.unwrap_or(&whole) {
            if extents.is_some() {
                seek(file, SeekFrom::Start(extent.offset)).map_err(failed)?;
            }
            match data {
                Data::Archive(decoder) => {
                    self.copy_from_archive(decoder, file, shown, extent.length)?;
                }
                Data::File(Some(source)) => self.copy_from_file(source, file, shown, *extent)?,
                Data::File(None) => {}
            }
        }
        if extents.is_some() {
            ftruncate(file, size).map_err(failed)?;
        }
        Ok(())
    }

    fn copy_from_archive(
        &mut self,
        decoder: &mut Decoder<&mut dyn Read>,
        mut file: &File,
        shown: &Path,
        length: u64,
    ) -> Result<(), Error> {
        let mut left = length;
        while left > 0 {
            let limit = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
            let count = decoder.read_data(self.buffer.get_mut(..limit).unwrap_or_default())?;
            let data = self.buffer.get(..count).filter(|data| !data.is_empty());
            let data =
                data.ok_or_else(|| Error::malformed("a sparse map does not fit its data"))?;
            file.write_all(data).map_err(|error| Error::write(shown, error))?;
            left -= count as u64;
            self.summary.bytes += count as u64;
            if left > 0 {
                self.report()?;
            }
        }
        Ok(())
    }

    fn copy_from_file(
        &mut self,
        mut source: &File,
        mut file: &File,
        shown: &Path,
        extent: Extent,
    ) -> Result<(), Error> {
        seek(source, SeekFrom::Start(extent.offset)).map_err(|error| Error::read(shown, error))?;
        let mut left = extent.length;
        while left > 0 {
            // Copied by the kernel, without a way through our memory.
            let step = left.min(PIECE);
            let count = io::copy(&mut (&mut source).take(step), &mut file);
            let count = count.map_err(|error| Error::write(shown, error))?;
            if count == 0 {
                self.warn(vec![format!("{} shrank while it was copied", shown.display())]);
                break;
            }
            left -= count;
            self.summary.bytes += count;
            self.report()?;
        }
        Ok(())
    }

    fn add_link(&mut self, path: &[u8], shown: &Path, target: &[u8]) -> Result<(), Error> {
        let target = safe_path(target)?;
        let (holder, target_name) = self.directories.parent_of(&target)?;
        let holder = holder.try_clone().map_err(|error| Error::write(shown, error))?;
        let (parent, name) = self.directories.parent_of(path)?;
        linkat(&holder, target_name, parent, name, AtFlags::empty()).map_err(|error| match error {
            Errno::NOENT => Error::malformed(format!(
                "{} is a hard link to {}, which does not exist",
                shown.display(),
                OsStr::from_bytes(&target).display()
            )),
            other => Error::write(shown, other),
        })
    }

    /// Symbolic links, devices and pipes: what cannot be opened to be given its metadata.
    fn add_special(
        &mut self,
        path: &[u8],
        shown: &Path,
        kind: &Kind,
        metadata: &Metadata,
    ) -> Result<(), Error> {
        let failed = |error: Errno| Error::write(shown, error);
        let owners = self.owners;
        let (parent, name) = self.directories.parent_of(path)?;
        let node = |kind: FileType, major: u32, minor: u32| {
            mknodat(parent, name, kind, Mode::RUSR | Mode::WUSR, makedev(major, minor))
        };
        match kind {
            Kind::Symlink { target } => symlinkat(OsStr::from_bytes(target), parent, name),
            Kind::Character { major, minor } => node(FileType::CharacterDevice, *major, *minor),
            Kind::Block { major, minor } => node(FileType::BlockDevice, *major, *minor),
            Kind::Fifo => node(FileType::Fifo, 0, 0),
            Kind::Directory | Kind::File { .. } | Kind::HardLink { .. } => Ok(()),
        }
        .map_err(failed)?;
        if owners {
            let (owner, group) = ids(metadata);
            chownat(parent, name, owner, group, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        }
        if !matches!(kind, Kind::Symlink { .. }) {
            chmodat(parent, name, Mode::from_raw_mode(metadata.mode), AtFlags::empty())
                .map_err(failed)?;
        }
        let reached = PathBuf::from(format!("/proc/self/fd/{}", parent.as_raw_fd())).join(name);
        let refused = set_attributes(metadata, shown, |name, value| {
            lsetxattr(&reached, name, value, XattrFlags::empty())
        })?;
        utimensat(parent, name, &times(metadata.modified), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(failed)?;
        self.warn(refused);
        Ok(())
    }

    /// A member replaces what has its name.
    fn make_room(&mut self, path: &[u8]) -> Result<(), Error> {
        let shown = self.directories.path_of(path);
        self.pending.remove(path);
        self.directories.forget(path);
        let (parent, name) = self.directories.parent_of(path)?;
        clear(parent, name).map_err(|error| Error::write(shown, error))
    }

    fn finish_directories(&mut self) -> Result<(), Error> {
        // Children stand behind their parents, and a parent may forbid to reach them.
        while let Some((path, metadata)) = self.pending.pop_last() {
            let shown = self.directories.path_of(&path);
            let directory = if path.is_empty() {
                self.directories.root().try_clone().map_err(|error| Error::write(&shown, error))?
            } else {
                let (parent, name) = self.directories.parent_of(&path)?;
                open_directory(parent, name).map_err(|error| Error::write(&shown, error))?
            };
            self.set_metadata(&directory, &shown, &metadata)?;
        }
        Ok(())
    }

    /// The order matters: a change of owner takes set-user-id bits and capabilities away.
    fn set_metadata(
        &mut self,
        file: &OwnedFd,
        shown: &Path,
        metadata: &Metadata,
    ) -> Result<(), Error> {
        let failed = |error: Errno| Error::write(shown, error);
        if self.owners {
            let (owner, group) = ids(metadata);
            fchown(file, owner, group).map_err(failed)?;
        }
        fchmod(file, Mode::from_raw_mode(metadata.mode)).map_err(failed)?;
        let refused = set_attributes(metadata, shown, |name, value| {
            fsetxattr(file, name, value, XattrFlags::empty())
        })?;
        futimens(file, &times(metadata.modified)).map_err(failed)?;
        self.warn(refused);
        Ok(())
    }

    fn warn(&mut self, warnings: Vec<String>) {
        let room = MOST_WARNINGS.saturating_sub(self.summary.warnings.len());
        self.summary.warnings.extend(warnings.into_iter().take(room));
    }

    fn report(&mut self) -> Result<(), Error> {
        match (self.progress)(Progress { members: self.summary.members, bytes: self.summary.bytes })
        {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }
}

/// Takes the default access list away, so that what is made in the directory gets no list that it did not bring.
fn stop_inheritance(directory: &OwnedFd) {
    // Nearly always there is nothing to remove.
    fremovexattr(directory, "system.posix_acl_default").ok();
}

/// The path without `.` and doubled slashes; empty for the root.
fn safe_path(path: &[u8]) -> Result<Vec<u8>, Error> {
    let refused = |reason| Error::Unsafe { path: PathBuf::from(OsStr::from_bytes(path)), reason };
    if path.starts_with(b"/") {
        return Err(refused("its name begins at the root of the machine"));
    }
    if path.is_empty() || path.contains(&0) {
        return Err(refused("its name is empty or holds a zero byte"));
    }
    let names: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    if names.contains(&&b".."[..]) {
        return Err(refused("its name leads out of the tree"));
    }
    Ok(names.join(&b'/'))
}

/// Sets what the file system takes; what it refuses is told, because the tree is of use without it.
fn set_attributes(
    metadata: &Metadata,
    shown: &Path,
    set: impl Fn(&[u8], &[u8]) -> Result<(), Errno>,
) -> Result<Vec<String>, Error> {
    let mut refused = Vec::new();
    for (name, value) in &metadata.attributes {
        match set(name, value) {
            Ok(()) => {}
            Err(
                error @ (Errno::NOTSUP | Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::NOENT),
            ) => {
                let name = String::from_utf8_lossy(name);
                refused.push(format!(
                    "{}: the attribute {name} was not kept: {error}",
                    shown.display()
                ));
            }
            Err(error) => return Err(Error::write(shown, error)),
        }
    }
    Ok(refused)
}

fn ids(metadata: &Metadata) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(metadata.owner)), Some(Gid::from_raw(metadata.group)))
}

fn times(modified: Time) -> Timestamps {
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    Timestamps {
        last_access,
        last_modification: Timespec {
            tv_sec: modified.seconds,
            tv_nsec: modified.nanoseconds.into(),
        },
    }
}
