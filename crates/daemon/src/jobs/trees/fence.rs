//! Where a privileged worker may work. What is there must be out of reach of everybody but root, so that nobody can lead the worker
//! elsewhere while it works: then the path that was checked is the path that is worked on.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::AtFlags;
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;

use super::task::{Grab, Pack, Push, Task};
use crate::jobs::error::Error;

/// The bits by which others than the owner may change a directory, and the one by which they may only change what is theirs.
const WRITABLE_BY_GROUP: u32 = 0o020;
const WRITABLE_BY_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// The directory of images, and whose files the packed ones become.
#[derive(Debug, Clone)]
pub struct Fence {
    /// Trees are below it.
    pub images: PathBuf,
    /// The user whom the worker works for.
    pub user: u32,
}

impl Fence {
    /// Whether a task stays inside.
    pub(super) fn admits(&self, task: &Task) -> Result<(), Error> {
        match task {
            Task::Pack(Pack { tree, .. })
            | Task::Check { tree, .. }
            | Task::Certificates { tree }
            | Task::Leave { tree }
            | Task::Grab(Grab { tree, .. })
            | Task::Push(Push { tree, .. }) => self.check(tree),
            Task::PutAside { tree, request } | Task::Remove { tree, request } => {
                plain(request)?;
                self.check(tree)
            }
            Task::Copy { from, to, request, .. } => {
                plain(request)?;
                self.check(from)?;
                self.check(to)
            }
            Task::Move { from, to } => {
                self.check(from)?;
                self.check(to)
            }
            // A plugin has nothing to do with trees; what runs it looks whose it is.
            Task::Mounts { .. } | Task::Plugin(_) => Ok(()),
        }
    }

    /// Whether a path is below the directory of images, and every directory on the way to it, itself included where it is there, is one
    /// that root alone can put something else in place of.
    fn check(&self, path: &Path) -> Result<(), Error> {
        let refused = |reason: String| Error::Refused { path: path.to_owned(), reason };
        let below = path.strip_prefix(&self.images).ok().filter(|below| {
            let mut parts = below.components().peekable();
            parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
        });
        if below.is_none() {
            return Err(refused(format!("it is not below {}", self.images.display())));
        }
        let root = openat(CWD, "/", DIRECTORY, Mode::empty())
            .map_err(|error| refused(error.to_string()))?;
        let mut parent = (root, PathBuf::from("/"));
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            let full = parent.1.join(name);
            match step(&parent.0, name) {
                Ok(Some(next)) => parent = (next, full),
                // It is still to be made.
                Ok(None) => return Ok(()),
                Err(reason) if full == path => return Err(refused(format!("it {reason}"))),
                Err(reason) => return Err(refused(format!("{} {reason}", full.display()))),
            }
        }
        Ok(())
    }
}

const DIRECTORY: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a directory in a directory; `None` where nothing is.
fn step(parent: &OwnedFd, name: &OsStr) -> Result<Option<OwnedFd>, String> {
    let holder = fstat(parent.as_fd()).map_err(|error| error.to_string())?;
    let found = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => None,
        Err(error) => return Err(format!("cannot be looked at: {error}")),
        Ok(found) => Some(found),
    };
    let is_open = others_write(&holder);
    let is_sticky = holder.st_mode & STICKY != 0;
    if is_open && !(is_sticky && found.is_some()) {
        return Err(
            "is in a directory that others than root can write to; chmod go-w that".to_owned()
        );
    }
    let Some(found) = found else { return Ok(None) };
    if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
        return Err("is no directory; a link is not followed".to_owned());
    }
    if found.st_uid != 0 {
        return Err(format!("belongs to the user {}; chown it to root", found.st_uid));
    }
    let opened = openat(parent, name, DIRECTORY, Mode::empty());
    let opened = opened.map_err(|error| format!("cannot be opened: {error}"))?;
    let now = fstat(&opened).map_err(|error| error.to_string())?;
    if (now.st_dev, now.st_ino) == (found.st_dev, found.st_ino) {
        Ok(Some(opened))
    } else {
        Err("changes while it is looked at".to_owned())
    }
}

fn others_write(directory: &Stat) -> bool {
    let by_group = directory.st_mode & WRITABLE_BY_GROUP != 0 && directory.st_gid != 0;
    by_group || directory.st_mode & WRITABLE_BY_OTHERS != 0
}

/// What becomes part of a file's name.
fn plain(request: &str) -> Result<(), Error> {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
    if !request.is_empty() && request.len() <= 64 && request.chars().all(is_plain) {
        return Ok(());
    }
    let reason = "the number of its request is none".to_owned();
    Err(Error::Refused { path: PathBuf::from(request), reason })
}

#[cfg(test)]
mod tests;
