//! The initramfs: what a machine needs from power-on to the first byte of its image, all of it from the image.

mod apart;
mod contents;
mod cpio;
mod elf;
mod expand;
mod firmware;
mod index;
mod libraries;
mod module_index;
mod modules;
mod rules;
mod search_order;
mod tools;

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use flate2::write::GzEncoder;
use rustix::fs::FileType;
use zstd::zstd_safe::CParameter;

pub(crate) use contents::Contents;

use crate::{CancelFlag, Error, compress::processors, progress::Meter, tree::Tree};

/// An initramfs is packed once and fetched by every node at every boot: a seventh smaller than at level 6, for half a minute of a
/// processor, and unpacked as fast.
const LEVEL: i32 = 19;
/// As much is compressed by one processor at a time; smaller pieces find less that is the same.
const PIECE: u32 = 16 << 20;
/// Each takes about 100 MB at this level.
const MOST_PROCESSORS: usize = 8;

/// What an initramfs is made for and of.
pub(crate) struct Wanted<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) kernel_version: &'a str,
    pub(crate) kernel_modules: &'a [String],
    pub(crate) agent: &'a Path,
    /// Seconds since 1970.
    pub(crate) packed: u64,
}

/// Holds when the image was packed: it was never earlier than that on a machine whose clock has stopped.
const PACKED: &str = "etc/perilune-packed";

/// `/init` runs before any library is there.
pub(crate) fn check_agent(agent: &Path) -> Result<(), Error> {
    let refused = |reason| Error::AgentNotStatic { path: agent.to_owned(), reason };
    let data = fs::read(agent).map_err(|error| Error::read(agent, error))?;
    let linked =
        elf::Linked::parse(&data).map_err(|_not_elf| refused("it is not an ELF program"))?;
    if linked.interpreter.is_some() {
        return Err(refused("it names an interpreter"));
    }
    if !linked.needed.is_empty() {
        return Err(refused("it needs shared libraries"));
    }
    Ok(())
}

/// Decides what goes in.
pub(crate) fn collect<'a>(
    wanted: &Wanted<'a>,
    warnings: &mut Vec<String>,
    cancel: &CancelFlag,
) -> Result<Contents<'a>, Error> {
    let mut contents = Contents::new(wanted.tree);
    for directory in ["dev", "etc", "proc", "root", "run", "sys", "sysroot", "tmp", "var/tmp"] {
        contents.add_directory(Path::new(directory));
    }
    contents.add_device(Path::new("dev/console"), FileType::CharacterDevice, 5, 1);
    contents.add_device(Path::new("dev/null"), FileType::CharacterDevice, 1, 3);
    contents.add_device(Path::new("dev/kmsg"), FileType::CharacterDevice, 1, 11);
    contents.add_bytes(
        Path::new("etc/passwd"),
        b"root:x:0:0:root:/root:/bin/bash\n".to_vec(),
        0o644,
    );
    contents.add_bytes(Path::new("etc/group"), b"root:x:0:\n".to_vec(), 0o644);
    contents.add_bytes(
        Path::new("etc/nsswitch.conf"),
        b"passwd: files\ngroup: files\nhosts: files dns\n".to_vec(),
        0o644,
    );
    contents.add_bytes(Path::new(PACKED), format!("{}\n", wanted.packed).into_bytes(), 0o644);
    modules::add(&mut contents, wanted, warnings, cancel)?;
    tools::add(&mut contents, warnings)?;
    cancel.check()?;
    contents.add_outside_file(Path::new("init"), wanted.agent, 0o755)?;
    Ok(contents)
}

/// Writes the archive that the kernel unpacks, and returns how many bytes of files are in it.
pub(crate) fn write(
    contents: &Contents<'_>,
    file: File,
    place: &Path,
    zstd: bool,
    meter: &mut Meter<'_>,
) -> Result<u64, Error> {
    let failed = |error: io::Error| Error::write(place, error);
    let file = BufWriter::with_capacity(1 << 20, file);
    let (file, size) = if zstd {
        let mut encoder = zstd_encoder(file).map_err(failed)?;
        let size = cpio::write(contents, &mut encoder, place, meter)?;
        (encoder.finish().map_err(failed)?, size)
    } else {
        let mut encoder = GzEncoder::new(file, flate2::Compression::default());
        let size = cpio::write(contents, &mut encoder, place, meter)?;
        (encoder.finish().map_err(failed)?, size)
    };
    let mut file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.flush().and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(size)
}

/// The kernel sets the window aside in memory, so it is not made longer than usual.
fn zstd_encoder<W: Write>(output: W) -> io::Result<zstd::Encoder<'static, W>> {
    let mut encoder = zstd::Encoder::new(output, LEVEL)?;
    encoder.include_checksum(true)?;
    let processors = processors().min(MOST_PROCESSORS);
    if processors > 1 {
        encoder.multithread(u32::try_from(processors).unwrap_or(1))?;
        encoder.set_parameter(CParameter::JobSize(PIECE))?;
    }
    Ok(encoder)
}
