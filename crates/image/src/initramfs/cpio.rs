//! The "newc" archive that the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use rustix::fs::FileType;

use super::contents::{Contents, Node};
use crate::{Error, progress::Meter};

const TRAILER: &[u8] = b"TRAILER!!!";

/// Writes all contents and returns how many bytes of files were written. `place` is named in errors.
pub(crate) fn write(
    contents: &Contents<'_>,
    output: &mut dyn Write,
    place: &Path,
    meter: &mut Meter<'_>,
) -> Result<u64, Error> {
    let mut writer = Writer { output, place, meter, inode: 0, position: 0, done: 0 };
    for (path, node) in contents.nodes() {
        writer.add(path, node)?;
    }
    writer.header(TRAILER, &Header::default())?;
    Ok(writer.done)
}

#[derive(Default)]
struct Header {
    mode: u32,
    links: u32,
    size: u32,
    device: (u32, u32),
}

struct Writer<'a, 'm> {
    output: &'a mut dyn Write,
    place: &'a Path,
    meter: &'a mut Meter<'m>,
    inode: u32,
    position: u64,
    done: u64,
}

impl Writer<'_, '_> {
    fn add(&mut self, path: &Path, node: &Node) -> Result<(), Error> {
        let name = path.as_os_str().as_bytes();
        let file = FileType::RegularFile.as_raw_mode();
        match node {
            Node::Directory => {
                let mode = FileType::Directory.as_raw_mode() | 0o755;
                self.header(name, &Header { mode, links: 2, ..Header::default() })
            }
            Node::Symlink(target) => {
                let target = target.as_os_str().as_bytes();
                let mode = FileType::Symlink.as_raw_mode() | 0o777;
                self.header(
                    name,
                    &Header {
                        mode,
                        links: 1,
                        size: size_of(path, target.len() as u64)?,
                        ..Header::default()
                    },
                )?;
                self.data(target)?;
                self.pad()
            }
            Node::Device { kind, major, minor } => {
                let mode = kind.as_raw_mode() | 0o600;
                self.header(
                    name,
                    &Header { mode, links: 1, device: (*major, *minor), ..Header::default() },
                )
            }
            Node::Bytes { data, mode } => {
                let size = size_of(path, data.len() as u64)?;
                self.header(
                    name,
                    &Header { mode: file | mode, links: 1, size, ..Header::default() },
                )?;
                self.data(data)?;
                self.count(data.len() as u64)?;
                self.pad()
            }
            Node::Copy { source, mode } => {
                self.copy(name, source, file | mode)?;
                self.pad()
            }
        }
    }

    fn copy(&mut self, name: &[u8], source: &Path, mode: u32) -> Result<(), Error> {
        let failed = |error: io::Error| Error::read(source, error);
        let mut file = File::open(source).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let size = size_of(source, length)?;
        self.header(name, &Header { mode, links: 1, size, ..Header::default() })?;
        let mut left = length;
        let mut buffer = vec![0; 1 << 18];
        while left > 0 {
            let limit = usize::try_from(left).unwrap_or(buffer.len()).min(buffer.len());
            let count = file.read(buffer.get_mut(..limit).unwrap_or_default()).map_err(failed)?;
            let Some(data) = buffer.get(..count).filter(|data| !data.is_empty()) else {
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            };
            self.data(data)?;
            self.count(count as u64)?;
            left -= count as u64;
        }
        Ok(())
    }

    fn header(&mut self, name: &[u8], header: &Header) -> Result<(), Error> {
        self.inode += 1;
        let Header { mode, links, size, device: (major, minor) } = header;
        let name_size = name.len() + 1;
        // Owner, group and time are always zero, so that the same contents give the same archive.
        let fields = format!(
            "070701{:08x}{mode:08x}{:08x}{:08x}{links:08x}{:08x}{size:08x}{:08x}{:08x}{major:08x}{minor:08x}{name_size:08x}{:08x}",
            self.inode, 0, 0, 0, 0, 0, 0
        );
        self.data(fields.as_bytes())?;
        self.data(name)?;
        self.data(&[0])?;
        self.pad()
    }

    fn pad(&mut self) -> Result<(), Error> {
        let over = usize::try_from(self.position % 4).unwrap_or(0);
        let zeros: &[u8] = if over == 0 { &[] } else { [0; 4].get(over..).unwrap_or_default() };
        self.data(zeros)
    }

    fn data(&mut self, data: &[u8]) -> Result<(), Error> {
        self.position += data.len() as u64;
        self.output.write_all(data).map_err(|error| Error::write(self.place, error))
    }

    fn count(&mut self, bytes: u64) -> Result<(), Error> {
        self.done += bytes;
        if self.meter.done(self.done).is_break() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

fn size_of(path: &Path, size: u64) -> Result<u32, Error> {
    u32::try_from(size)
        .map_err(|_beyond_4_gib| Error::malformed(path, &"too large for an initramfs"))
}
