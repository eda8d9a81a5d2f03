//! Files that distributions compress one by one: kernel modules.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use crate::Error;

/// Far more than any module has; what expands to more is not one.
const LARGEST: u64 = 1 << 30;
const XZ_MEMORY_KIB: u32 = 512 * 1024;

/// The plain contents of a file, whatever it is compressed with.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let data = fs::read(path).map_err(|error| Error::read(path, error))?;
    let expanded = match data.as_slice() {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::Decoder::new(data.as_slice()).and_then(all),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            all(lzma_rust2::XzReader::new_mem_limit(data.as_slice(), true, XZ_MEMORY_KIB))
        }
        [0x1f, 0x8b, ..] => all(flate2::read::MultiGzDecoder::new(data.as_slice())),
        _ => return Ok(data),
    };
    expanded.map_err(|error| Error::malformed(path, &error))
}

fn all(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    reader.take(LARGEST).read_to_end(&mut data)?;
    Ok(data)
}
