//! Compression of archives: zstd on all processors, told by its first bytes when read.

use std::{
    io::{self, BufReader, Read, Write},
    path::Path,
    thread,
};

use crate::Error;

/// With the long window, smaller than bzip2 makes the same image, in a tenth of its time.
const LEVEL: i32 = 3;
/// 32 MiB: an image holds the same file more than once, far apart. A node spares that much memory.
const WINDOW_LOG: u32 = 25;
/// What one processor takes at a time; it bounds the memory, four times as much for each processor.
const JOB: u32 = 16 << 20;
const MOST_WORKERS: usize = 32;
/// The largest window that a reader accepts: 128 MiB, as the zstd program does.
const LARGEST_WINDOW_LOG: u32 = 27;
const BUFFER: usize = 256 * 1024;

/// How an archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Zstd,
    Gzip,
    Bzip2,
    Xz,
}

impl Compression {
    /// What the first bytes of a stream say; four are enough.
    pub fn of_magic(start: &[u8]) -> Self {
        match start {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', ..] => Self::Xz,
            _ => Self::None,
        }
    }

    /// What the end of a file's name says.
    pub fn of_name(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("zst") => Self::Zstd,
            Some("gz" | "tgz") => Self::Gzip,
            Some("bz2" | "tbz2") => Self::Bzip2,
            Some("xz" | "txz") => Self::Xz,
            _ => Self::None,
        }
    }
}

/// A zstd compressor for archives that uses every processor. `finish` must be called.
pub fn compressor<W: Write>(output: W) -> Result<zstd::Encoder<'static, W>, Error> {
    let make = || -> io::Result<_> {
        let mut encoder = zstd::Encoder::new(output, LEVEL)?;
        encoder.include_checksum(true)?;
        encoder.long_distance_matching(true)?;
        encoder.window_log(WINDOW_LOG)?;
        let workers = thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS);
        if workers > 1 {
            encoder.multithread(u32::try_from(workers).unwrap_or(1))?;
            encoder.set_parameter(zstd::zstd_safe::CParameter::JobSize(JOB))?;
        }
        Ok(encoder)
    };
    make().map_err(Error::output)
}

/// A reader of the plain stream. What it is compressed with is seen from its first bytes, whatever its name says.
pub fn decompressor<'a, R: Read + Send + 'a>(input: R) -> Result<Box<dyn Read + Send + 'a>, Error> {
    let failed = |source| Error::Input { source };
    let mut input = BufReader::with_capacity(BUFFER, input);
    let mut start = [0; 4];
    let mut filled = 0;
    while let Some(space) = start.get_mut(filled..).filter(|space| !space.is_empty()) {
        match input.read(space) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(failed(source)),
        }
    }
    let compression = Compression::of_magic(&start);
    let whole = io::Cursor::new(start).take(filled as u64).chain(input);
    match compression {
        Compression::None => Ok(Box::new(BufReader::with_capacity(BUFFER, whole))),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(BufReader::with_capacity(BUFFER, whole))
                .map_err(failed)?;
            decoder.window_log_max(LARGEST_WINDOW_LOG).map_err(failed)?;
            Ok(Box::new(BufReader::with_capacity(BUFFER, decoder)))
        }
        Compression::Gzip => Err(Error::Compression { format: "gzip" }),
        Compression::Bzip2 => Err(Error::Compression { format: "bzip2" }),
        Compression::Xz => Err(Error::Compression { format: "xz" }),
    }
}
