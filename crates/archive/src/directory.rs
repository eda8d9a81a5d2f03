//! Directories of the target, reached name by name and never through a symbolic link, so that no archive and no
//! process beside us can lead a write out of the target.

use std::{
    ffi::OsStr,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, mkdirat, openat, statat, unlinkat},
    io::Errno,
};

use crate::Error;

/// The open directory of the member at hand. Members come directory by directory, so the last one is kept.
pub(crate) struct Directories {
    target: PathBuf,
    root: OwnedFd,
    last: Option<(Vec<u8>, OwnedFd)>,
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Directories {
    pub(crate) fn open(target: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, target, flags, Mode::empty())
            .map_err(|error| Error::write(target, error))?;
        Ok(Self { target: target.to_owned(), root, last: None })
    }

    pub(crate) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// The directory that holds `path`, and the last name of `path`. Directories that are missing are made.
    pub(crate) fn parent_of<'p>(&mut self, path: &'p [u8]) -> Result<(&OwnedFd, &'p OsStr), Error> {
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = match slash {
            Some(slash) => {
                (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default())
            }
            None => (&[][..], path),
        };
        let name = OsStr::from_bytes(name);
        if parent.is_empty() {
            return Ok((&self.root, name));
        }
        if self.last.as_ref().is_none_or(|(known, _)| known != parent) {
            self.last = None;
            let directory = self.descend(parent)?;
            self.last = Some((parent.to_vec(), directory));
        }
        Ok((self.last.as_ref().map_or(&self.root, |(_, directory)| directory), name))
    }

    /// Forgets the open directory if it is the one at `path`, whose place a member takes.
    pub(crate) fn forget(&mut self, path: &[u8]) {
        self.last.take_if(|(known, _)| known == path);
    }

    pub(crate) fn path_of(&self, path: &[u8]) -> PathBuf {
        self.target.join(OsStr::from_bytes(path))
    }

    fn descend(&self, path: &[u8]) -> Result<OwnedFd, Error> {
        let failed = |error: Errno| match error {
            Errno::LOOP | Errno::NOTDIR => Error::Unsafe {
                path: PathBuf::from(OsStr::from_bytes(path)),
                reason: "it would be written through a symbolic link or a file",
            },
            other => Error::write(self.path_of(path), other),
        };
        let mut directory =
            self.root.try_clone().map_err(|error| Error::write(&self.target, error))?;
        for name in path.split(|byte| *byte == b'/') {
            let name = OsStr::from_bytes(name);
            directory = match openat(&directory, name, DIRECTORY, Mode::empty()) {
                Ok(next) => next,
                Err(Errno::NOENT) => {
                    mkdirat(&directory, name, Mode::from_raw_mode(0o755)).map_err(failed)?;
                    openat(&directory, name, DIRECTORY, Mode::empty()).map_err(failed)?
                }
                Err(error) => return Err(failed(error)),
            };
        }
        Ok(directory)
    }
}

/// Opens the directory `name` itself.
pub(crate) fn open_directory(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    openat(parent, name, DIRECTORY, Mode::empty())
}

/// Takes what is at `name` away. A directory with something in it stays, and is an error.
pub(crate) fn clear(parent: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => unlinkat(parent, name, AtFlags::REMOVEDIR),
        Err(error) => Err(error),
    }
}

pub(crate) fn is_directory(parent: &OwnedFd, name: &OsStr) -> bool {
    let found = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
    found.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}
