//! What can go wrong with an archive, in words for the person at the console.

use std::{io, path::PathBuf};

use crate::Mount;

/// Why a tree could not be packed or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "the directory {} vanished while it was read, with what was in it; bring it back (is its file system mounted?) and start again",
        path.display()
    )]
    Vanished { path: PathBuf },
    #[error("file systems are mounted inside {}: {}; unmount them", tree.display(), listed(mounts))]
    Mounted { tree: PathBuf, mounts: Vec<Mount> },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the disk is full: no room for {}; free space or use a larger disk", path.display())]
    DiskFull { path: PathBuf },
    #[error("cannot write the archive")]
    Output { source: io::Error },
    #[error("the disk that takes the archive is full; free space on it")]
    OutputFull,
    #[error("cannot read the archive")]
    Input { source: io::Error },
    #[error("the archive ends in the middle of {what}; fetch it again or pack the image again")]
    Truncated { what: String },
    #[error("the archive is damaged: {reason}; pack the image again")]
    Malformed { reason: String },
    #[error(
        "the archive is compressed with {format}, which cannot be unpacked here; pack the image as tar.zst"
    )]
    Compression { format: &'static str },
    #[error("the archive is unsafe: {}: {reason}; it was not made by packing an image", path.display())]
    Unsafe { path: PathBuf, reason: &'static str },
    #[error(
        "the checksum of the archive is {found}, but {expected} was recorded; fetch it again or pack the image again"
    )]
    Mismatch { expected: String, found: String },
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    pub(crate) fn write(path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.into(), source.into());
        if is_full(&source) { Self::DiskFull { path } } else { Self::Write { path, source } }
    }

    pub(crate) fn read(path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Read { path: path.into(), source: source.into() }
    }

    pub(crate) fn output(source: io::Error) -> Self {
        if is_full(&source) { Self::OutputFull } else { Self::Output { source } }
    }

    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed { reason: reason.into() }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// So many are named; a tree that is a running system has dozens.
const NAMED: usize = 10;

fn listed(mounts: &[Mount]) -> String {
    let named: Vec<String> = mounts.iter().take(NAMED).map(ToString::to_string).collect();
    match mounts.len().checked_sub(NAMED) {
        Some(more @ 1..) => format!("{} and {more} more", named.join(", ")),
        _ => named.join(", "),
    }
}
