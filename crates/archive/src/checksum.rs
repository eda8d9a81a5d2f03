//! BLAKE3 over a stream while it passes.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use crate::Error;

/// Passes everything on and remembers its checksum and length.
pub struct HashingWriter<W> {
    inner: W,
    hasher: blake3::Hasher,
    written: u64,
}

impl<W: Write> HashingWriter<W> {
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: blake3::Hasher::new(), written: 0 }
    }

    /// The writer, the checksum in hexadecimal, and how many bytes passed.
    pub fn finish(self) -> (W, String, u64) {
        (self.inner, self.hasher.finalize().to_hex().to_string(), self.written)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or(buffer));
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Passes everything on and remembers its checksum and length.
pub struct HashingReader<R> {
    inner: R,
    hasher: blake3::Hasher,
    read: u64,
    failed: bool,
}

impl<R: Read> HashingReader<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, hasher: blake3::Hasher::new(), read: 0, failed: false }
    }

    /// The checksum of what has passed so far, in hexadecimal.
    pub fn checksum(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }

    /// Whether the inner reader ever failed, so that the checksum says nothing.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    pub fn bytes(&self) -> u64 {
        self.read
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer);
        self.failed |= read.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        let count = read?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        self.read += count as u64;
        Ok(count)
    }
}

/// The checksum of a whole file, in hexadecimal.
pub fn checksum_of_file(path: &Path) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    let file = File::open(path).map_err(|error| Error::read(path, error))?;
    hasher.update_reader(file).map_err(|error| Error::read(path, error))?;
    Ok(hasher.finalize().to_hex().to_string())
}
