//! The members of a tree, and everything about each of them.

use std::{
    collections::BTreeMap,
    fs::File,
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FileType, Mode, OFlags, openat, readlinkat};

use crate::{
    Error, attributes,
    member::{Kind, Member, Metadata},
    sparse::extents_of,
    status::Status,
    walk::Found,
};

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
        found: &Found<'_>,
    ) -> Result<Option<(Member, Option<File>)>, Error> {
        let status = &found.status;
        let path = found.path.as_os_str().as_bytes().to_vec();
        if let Some(target) = self.first_name(status) {
            let kind = Kind::HardLink { target: target.clone() };
            return Ok(Some((Member { path, kind, metadata: status.metadata() }, None)));
        }
        let (major, minor) = status.node;
        let kind = match status.kind {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => return self.read_file(found, path),
            FileType::Symlink => {
                let target = readlinkat(found.parent, found.name, Vec::new())
                    .map_err(|error| Error::read(self.tree.join(found.path), error))?;
                Kind::Symlink { target: target.into_bytes() }
            }
            FileType::CharacterDevice => Kind::Character { major, minor },
            FileType::BlockDevice => Kind::Block { major, minor },
            FileType::Fifo => Kind::Fifo,
            // A socket means nothing without the process that made it.
            _ => return Ok(None),
        };
        let metadata = self.full_metadata(found, status)?;
        self.remember(status, &path);
        Ok(Some((Member { path, kind, metadata }, None)))
    }

    fn read_file(
        &mut self,
        found: &Found<'_>,
        path: Vec<u8>,
    ) -> Result<Option<(Member, Option<File>)>, Error> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let full = self.tree.join(found.path);
        let file = openat(found.parent, found.name, flags, Mode::empty())
            .map_err(|error| Error::read(&full, error))?;
        let file = File::from(file);
        let status = Status::of_open(&file).map_err(|error| Error::read(&full, error))?;
        let size = status.size;
        let may_have_holes = status.allocated < size;
        let extents = if may_have_holes {
            extents_of(&file, size).map_err(|error| Error::read(&full, error))?
        } else {
            None
        };
        let metadata = self.full_metadata(found, &status)?;
        // Only what is in the archive can be linked to.
        self.remember(&found.status, &path);
        Ok(Some((Member { path, kind: Kind::File { size, extents }, metadata }, Some(file))))
    }

    fn first_name(&self, status: &Status) -> Option<&Vec<u8>> {
        if status.kind == FileType::Directory || status.links < 2 {
            return None;
        }
        self.first_names.get(&status.identity)
    }

    fn remember(&mut self, status: &Status, path: &[u8]) {
        if status.kind != FileType::Directory && status.links > 1 {
            self.first_names.insert(status.identity, path.to_vec());
        }
    }

    fn full_metadata(&self, found: &Found<'_>, status: &Status) -> Result<Metadata, Error> {
        // There is no call for the attributes of a name in a directory; its short path by /proc is one.
        let place = PathBuf::from(format!("/proc/self/fd/{}", found.parent.as_raw_fd()));
        let attributes = attributes::of_path(&place.join(found.name))
            .map_err(|error| Error::read(self.tree.join(found.path), error))?;
        Ok(Metadata { attributes, ..status.metadata() })
    }
}
