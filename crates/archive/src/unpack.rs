//! A tar stream to a tree.

use std::{io::Read, ops::ControlFlow, path::Path};

use crate::{
    Error, HashingReader, Progress, Summary,
    compression::decompressor,
    decode::Decoder,
    plant::{Data, Planter},
    read_ahead::while_reading,
};

/// As much of the plain stream waits for the file system.
const AHEAD_MEBIBYTES: usize = 4;

/// Unpacks a compressed archive on two threads, one of which decompresses. What it is compressed with is seen from its first bytes.
pub fn unpack_compressed(
    input: &mut (dyn Read + Send),
    target: &Path,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Summary, Error> {
    let mut plain = decompressor(input)?;
    while_reading(&mut plain, AHEAD_MEBIBYTES, |mut plain| unpack(&mut plain, target, progress))
}

/// Unpacks a compressed archive, as [`unpack_compressed`] does, while its checksum (BLAKE3, hexadecimal) is computed. All of the input is read;
/// when its checksum is not the recorded one, that is the error, and what was unpacked must not be used.
pub fn unpack_verified(
    input: &mut (dyn Read + Send),
    recorded: &str,
    target: &Path,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Summary, Error> {
    let mut hashing = HashingReader::new(input);
    let unpacked = unpack_compressed(&mut hashing, target, progress);
    // The disk, the operator and the network are not the archive's fault.
    if hashing.has_failed()
        || matches!(unpacked, Err(Error::Write { .. } | Error::DiskFull { .. } | Error::Cancelled))
    {
        return unpacked;
    }
    // Damage shows in many ways; the checksum is the one that says what to do.
    std::io::copy(&mut hashing, &mut std::io::sink()).map_err(|source| Error::Input { source })?;
    let found = hashing.checksum();
    if found.eq_ignore_ascii_case(recorded) {
        unpacked
    } else {
        Err(Error::Mismatch { expected: recorded.to_owned(), found })
    }
}

/// Unpacks a plain tar stream below `target`, an existing directory, replacing what has the same names. Nothing is
/// ever written outside `target`. Owners are set when the caller is root.
pub fn unpack(
    input: &mut dyn Read,
    target: &Path,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Summary, Error> {
    let mut decoder = Decoder::new(input);
    let mut planter = Planter::new(target, progress)?;
    while let Some(member) = decoder.next()? {
        planter.plant(member, &mut Data::Archive(&mut decoder))?;
    }
    let summary = planter.finish()?;
    decoder.drain()?;
    Ok(summary)
}
