//! Compressing archives while their checksum is taken. Every format uses all processors.

use std::{
    fs::File,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use perilune_archive::HashingWriter;

use crate::gzip::ParallelGzip;

/// The form of the image's archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// What our agent unpacks.
    #[default]
    TarZstd,
    /// For older installers.
    TarGzip,
    /// For older installers.
    TarBzip2,
}

impl ArchiveFormat {
    /// The end of the archive's file name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::TarZstd => "tar.zst",
            Self::TarGzip => "tar.gz",
            Self::TarBzip2 => "tar.bz2",
        }
    }
}

/// A file that remembers that the disk was full, because not every compressor passes the reason of a failure on.
pub(crate) struct Output {
    file: File,
    full: Arc<AtomicBool>,
}

impl Write for Output {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.write(buffer).inspect_err(|error| {
            if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                self.full.store(true, Ordering::Relaxed);
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// What was written.
pub(crate) struct Written {
    pub(crate) checksum: String,
    pub(crate) size: u64,
}

/// Runs `fill` with a writer whose bytes end compressed in `file`.
pub(crate) fn compress<E: From<io::Error>>(
    file: File,
    format: ArchiveFormat,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<Written, E> {
    let full = Arc::new(AtomicBool::new(false));
    let output = HashingWriter::new(Output { file, full: Arc::clone(&full) });
    let done = match format {
        ArchiveFormat::TarZstd => zstd(output, fill),
        ArchiveFormat::TarGzip => gzip(output, fill),
        ArchiveFormat::TarBzip2 => bzip2(output, fill),
    };
    if full.load(Ordering::Relaxed) {
        return Err(io::Error::from(io::ErrorKind::StorageFull).into());
    }
    let (output, checksum, size) = done?.finish();
    output.file.sync_all()?;
    Ok(Written { checksum, size })
}

type Sink = HashingWriter<Output>;

fn zstd<E: From<io::Error>>(
    output: Sink,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<Sink, E> {
    let mut encoder = perilune_archive::compressor(output).map_err(io::Error::other)?;
    fill(&mut encoder)?;
    Ok(encoder.finish()?)
}

fn gzip<E: From<io::Error>>(
    output: Sink,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<Sink, E> {
    let mut encoder = ParallelGzip::new(output, processors());
    fill(&mut encoder)?;
    Ok(encoder.finish()?)
}

fn bzip2<E: From<io::Error>>(
    output: Sink,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<Sink, E> {
    let mut encoder = pbz2::ParallelEncoder::with_threads(output, pbz2::Level::BEST, processors());
    fill(&mut encoder)?;
    Ok(encoder.finish()?)
}

pub(crate) fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
