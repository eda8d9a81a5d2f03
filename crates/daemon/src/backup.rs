//! A backup: one file with all that a daemon needs to be itself again, elsewhere. It is a tar archive, compressed by zstd, whose last
//! member says what must be in it, so that a file that was cut off is told from a whole one.

mod contents;
mod database;
mod read;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

pub use contents::contents;
pub use database::Database;
pub use read::{restore, verify};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The form of backups; a newer one is not read.
pub const FORMAT: u32 = 1;
/// The member that is last.
const MANIFEST: &str = "manifest.json";
/// What only the daemon's user may read. So may all that is made anew.
const PRIVATE: [&str; 5] = ["luna.ini", "luna.key", "perilune.db", "tls.key", "ldap-password"];
/// Packed archives are compressed already; the rest is small.
const LEVEL: i32 = 3;

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the file.
    pub format: u32,
    /// The version of the program that made it.
    pub program: String,
    /// When, in milliseconds since 1970.
    pub made_at: u64,
    /// The revision of the cluster.
    pub revision: u64,
    /// Whether packed images are in it.
    pub with_images: bool,
    /// Every file with its size and its SHA-256.
    pub files: BTreeMap<String, Sum>,
}

/// What a file must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Bytes.
    pub size: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// Why a backup cannot be made, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{} cannot be {action}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// `read`, `written`, …
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Whoever takes the backup does so no more.
    #[error("the backup cannot be written")]
    Output(#[source] io::Error),
    /// The file is none, is cut off, or was changed.
    #[error("this is no whole backup: {0}; take another one")]
    Broken(String),
    /// Another program made it.
    #[error(
        "the backup has form {found}, and this program reads {FORMAT}; use the program that made it, or a newer one"
    )]
    Newer {
        /// Its form.
        found: u32,
    },
    /// There is something already.
    #[error("{} is not empty; restore into an empty directory, and move it to its place then", .0.display())]
    NotEmpty(PathBuf),
}

/// A member of a backup.
pub struct Part {
    pub(crate) name: String,
    pub(crate) source: Source,
}

/// Where a member comes from.
pub(crate) enum Source {
    Text(String),
    File(PathBuf),
}

/// Writes a backup of these parts; the manifest is completed meanwhile.
pub fn write(
    output: impl Write,
    parts: Vec<Part>,
    mut manifest: Manifest,
) -> Result<Manifest, Error> {
    let mut encoder = zstd::Encoder::new(output, LEVEL).map_err(Error::Output)?;
    encoder.include_checksum(true).map_err(Error::Output)?;
    let mut archive = tar::Builder::new(encoder);
    for Part { name, source } in parts {
        let sum = match source {
            Source::Text(text) => {
                add(&mut archive, &name, 0o600, text.len() as u64, text.as_bytes())
            }
            Source::File(path) => add_file(&mut archive, &name, &path),
        }?;
        manifest.files.insert(name, sum);
    }
    let text = serde_json::to_vec(&manifest).map_err(|error| Error::Output(error.into()))?;
    add(&mut archive, MANIFEST, 0o600, text.len() as u64, text.as_slice())?;
    let encoder = archive.into_inner().map_err(Error::Output)?;
    encoder.finish().and_then(|mut output| output.flush()).map_err(Error::Output)?;
    Ok(manifest)
}

fn add_file(archive: &mut tar::Builder<impl Write>, name: &str, path: &Path) -> Result<Sum, Error> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = |source| Error::File { path: path.to_owned(), action: "read", source };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let is_private = PRIVATE.contains(&name);
    let mode = if is_private { 0o600 } else { metadata.permissions().mode() & 0o777 };
    add(archive, name, mode, metadata.len(), file)
}

fn add(
    archive: &mut tar::Builder<impl Write>,
    name: &str,
    mode: u32,
    size: u64,
    content: impl Read,
) -> Result<Sum, Error> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    let mut reader = Exactly { inner: content.take(size), left: size, sum: Sha256::new() };
    archive.append_data(&mut header, name, &mut reader).map_err(Error::Output)?;
    Ok(Sum { size, sha256: hexadecimal(reader.sum) })
}

fn hexadecimal(sum: Sha256) -> String {
    sum.finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Reads as many bytes as were promised, or fails: a file that shrinks meanwhile must not look whole.
struct Exactly<R> {
    inner: R,
    left: u64,
    sum: Sha256,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let read = buffer.get(..count).unwrap_or_default();
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a file became shorter"));
        }
        self.left = self.left.saturating_sub(count as u64);
        self.sum.update(read);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
