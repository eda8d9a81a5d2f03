//! Reading extended attributes.

use std::{io, path::Path};

use rustix::{
    fs::{lgetxattr, llistxattr},
    io::Errno,
};

/// All extended attributes of `path` itself (a symbolic link is not followed), in name order.
pub(crate) fn of_path(path: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let names = match grown(|buffer| llistxattr(path, buffer)) {
        Ok(names) => names,
        Err(Errno::NOTSUP | Errno::PERM | Errno::ACCESS) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut attributes = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        match grown(|buffer| lgetxattr(path, name, buffer)) {
            Ok(value) => attributes.push((name.to_vec(), value)),
            // Gone since it was listed, or not for our eyes (trusted.* of another user namespace).
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    attributes.sort();
    Ok(attributes)
}

/// Calls `fill` with a buffer that grows until the answer fits. Most files have no attributes: that is one call.
fn grown(mut fill: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut small = [0; 512];
    match fill(&mut small) {
        Ok(length) => return Ok(small.iter().take(length).copied().collect()),
        Err(Errno::RANGE) => {}
        Err(error) => return Err(error),
    }
    let mut buffer = vec![0; 65536];
    let length = fill(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}
