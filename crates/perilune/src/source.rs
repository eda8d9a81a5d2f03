//! What a command reads: files and standard input, up to a size. A device or a pipe that never ends would take all memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of a secret, a script or a comment; the daemon takes no more.
pub(crate) const CONTENT: u64 = 1 << 20;
/// Bytes of a list of names.
pub(crate) const NAMES: u64 = 16 << 20;
/// Bytes of a table or a document; the daemon takes no more.
pub(crate) const DOCUMENT: u64 = 128 << 20;

/// All of a file, or of standard input for `-`.
pub(crate) fn bytes(file: &Path, most: u64) -> io::Result<Vec<u8>> {
    if file == Path::new("-") {
        return up_to(io::stdin().lock(), most);
    }
    up_to(File::open(file)?, most)
}

/// The same as a text.
pub(crate) fn text(file: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(bytes(file, most)?)
        .map_err(|_error| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

fn up_to(source: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(most + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        let reason = format!("it has more than {} MiB, the most that is taken", most >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{CONTENT, text, up_to};

    #[test]
    fn what_never_ends_is_refused_and_what_just_fits_is_taken() {
        let error = text(Path::new("/dev/zero"), CONTENT).unwrap_err();
        assert!(error.to_string().contains("more than 1 MiB"), "{error}");
        let most = vec![0; usize::try_from(CONTENT).unwrap()];
        assert_eq!(up_to(most.as_slice(), CONTENT).unwrap().len(), most.len());
        assert!(up_to([most, vec![0]].concat().as_slice(), CONTENT).is_err());
    }
}
