//! What is mounted inside a tree, in words.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// A file system, or a part of one, that is mounted inside a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Within the tree.
    pub path: PathBuf,
    /// What is mounted: the kernel's name of the file system, and its source.
    pub what: Option<String>,
}

impl Mount {
    pub(crate) fn of(path: &Path, id: Option<u64>) -> Self {
        Self { path: path.to_owned(), what: id.and_then(what_is) }
    }
}

impl fmt::Display for Mount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "/{}", self.path.display())?;
        match &self.what {
            Some(what) => write!(formatter, " ({what})"),
            None => Ok(()),
        }
    }
}

/// The mount of this number, as proc(5) lists it: number, parent, device, root, place, options, more options up to a dash, kind, source.
fn what_is(id: u64) -> Option<String> {
    let mounts = fs::read("/proc/self/mountinfo").ok()?;
    let mounts = String::from_utf8_lossy(&mounts);
    let id = id.to_string();
    let line = mounts.lines().find(|line| line.split(' ').next() == Some(&id))?;
    let root = line.split(' ').nth(3)?;
    let mut rest = line.split_once(" - ")?.1.split(' ');
    let (kind, source) = (rest.next()?, rest.next().unwrap_or_default());
    let part = if root == "/" { String::new() } else { format!(", {root} of it") };
    let source = if source.is_empty() || source == "none" || source == kind {
        String::new()
    } else {
        format!(" of {source}")
    };
    Some(format!("{kind}{source}{part}"))
}
