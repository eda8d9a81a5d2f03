//! Where the data of a file with holes lies.

use std::{fs::File, io};

use rustix::fs::{SeekFrom, seek};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// The data extents of `file`, or `None` when it has no holes. The file's position is at its start afterwards.
pub(crate) fn extents_of(file: &File, size: u64) -> io::Result<Option<Vec<Extent>>> {
    let mut extents = Vec::new();
    let mut position = 0;
    while position < size {
        let start = match seek(file, SeekFrom::Data(position)) {
            Ok(start) => start.min(size),
            Err(rustix::io::Errno::NXIO) => break,
            // A file system that cannot tell has no holes to keep.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => {
                return rewound(file, None);
            }
            Err(error) => return Err(error.into()),
        };
        let end = seek(file, SeekFrom::Hole(start))?.min(size);
        if end > start {
            extents.push(Extent { offset: start, length: end - start });
        }
        position = end.max(position + 1);
    }
    // The old GNU format wants every extent but the last on a block of 512 bytes.
    let aligned = extents.iter().all(|extent| extent.offset.is_multiple_of(512))
        && extents.iter().rev().skip(1).all(|extent| extent.length.is_multiple_of(512));
    let whole = matches!(extents.as_slice(), [only] if only.length == size);
    let with_holes = size > 0 && !whole && aligned;
    rewound(file, with_holes.then_some(extents))
}

fn rewound(file: &File, extents: Option<Vec<Extent>>) -> io::Result<Option<Vec<Extent>>> {
    seek(file, SeekFrom::Start(0))?;
    Ok(extents)
}
