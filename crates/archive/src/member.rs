//! One member of an archive, free of any encoding.

use crate::sparse::Extent;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Relative to the root of the tree, no leading `./`; empty for the root itself.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) metadata: Metadata,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    /// `extents` lists where the data lies when the file has holes.
    File {
        size: u64,
        extents: Option<Vec<Extent>>,
    },
    HardLink {
        target: Vec<u8>,
    },
    Symlink {
        target: Vec<u8>,
    },
    Character {
        major: u32,
        minor: u32,
    },
    Block {
        major: u32,
        minor: u32,
    },
    Fifo,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    pub(crate) group: u32,
    pub(crate) modified: Time,
    /// Extended attributes: name and value.
    pub(crate) attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A time stamp as the kernel keeps it: nanoseconds count upwards, before 1970 too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
}

impl Kind {
    /// Bytes of data that follow the header in the archive.
    pub(crate) fn stored_size(&self) -> u64 {
        match self {
            Self::File { extents: Some(extents), .. } => {
                extents.iter().map(|extent| extent.length).sum()
            }
            Self::File { size, extents: None } => *size,
            _ => 0,
        }
    }
}
