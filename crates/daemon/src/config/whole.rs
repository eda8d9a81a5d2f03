//! Files that are written whole or not at all.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::error::Error;

/// The mode of files that only their owner may read.
pub(crate) const PRIVATE: u32 = 0o600;

/// Writes a new file with this mode, whole or not at all.
pub(crate) fn write_whole(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let unfinished = path.with_extension("new");
    let write = || {
        let mut file =
            File::options().create(true).truncate(true).write(true).mode(mode).open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)
    };
    write().map_err(|source| Error::File { path: path.to_owned(), action: "written", source })
}
