//! A tree to a tar stream, always in the same order.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    ops::ControlFlow,
    path::Path,
};

use crate::{
    Error, Options, Progress, Summary,
    encode::{BLOCK, header_of, padding},
    member::{Kind, Member},
    members::Members,
    sparse::Extent,
    walk::walk,
};

const BUFFER: usize = 1 << 20;

/// Writes the tree as a tar stream. `progress` hears of every megabyte and every member.
pub fn pack(
    tree: &Path,
    output: &mut dyn Write,
    options: &Options,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Summary, Error> {
    let mut packer =
        Packer { output, progress, done: Progress::default(), buffer: vec![0; BUFFER] };
    let mut members = Members::new(tree);
    let mut warnings = Vec::new();
    let lost = walk(tree, options, &mut |found| {
        let path = found.path;
        let Some((member, file)) = members.read(found)? else { return Ok(()) };
        packer.write(&header_of(&member))?;
        if let Some(file) = file
            && !packer.add_data(&member, file, &tree.join(path))?
        {
            warnings.push(format!(
                "{} shrank while it was packed; its end is zeros",
                tree.join(path).display()
            ));
        }
        packer.done.members += 1;
        packer.report()
    })?;
    packer.write(&[0; 2 * BLOCK])?;
    packer.output.flush().map_err(Error::output)?;
    warnings.extend(lost);
    Ok(Summary { members: packer.done.members, bytes: packer.done.bytes, warnings })
}

struct Packer<'a> {
    output: &'a mut dyn Write,
    progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    done: Progress,
    buffer: Vec<u8>,
}

impl Packer<'_> {
    /// Writes the data behind the header; says whether all that the header promises was there.
    fn add_data(&mut self, member: &Member, mut file: File, full: &Path) -> Result<bool, Error> {
        let Kind::File { size, extents } = &member.kind else { return Ok(true) };
        let whole = [Extent { offset: 0, length: *size }];
        let mut complete = true;
        for extent in extents.as_deref().unwrap_or(&whole) {
            file.seek(SeekFrom::Start(extent.offset)).map_err(|error| Error::read(full, error))?;
            complete &= self.copy(&mut file, full, extent.length)?;
        }
        let padding = padding(member.kind.stored_size());
        self.write([0; BLOCK].get(..padding).unwrap_or_default())?;
        Ok(complete)
    }

    /// Copies exactly `length` bytes, zeros in the place of what is no longer there; says whether all was there.
    fn copy(&mut self, file: &mut File, full: &Path, length: u64) -> Result<bool, Error> {
        let mut left = length;
        let mut complete = true;
        let mut buffer = std::mem::take(&mut self.buffer);
        while left > 0 {
            let limit = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
            let space = buffer.get_mut(..limit).unwrap_or_default();
            let count = match file.read(space) {
                Ok(0) => {
                    complete = false;
                    space.fill(0);
                    limit
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::read(full, error)),
            };
            self.write(space.get(..count).unwrap_or_default())?;
            left -= count as u64;
            self.done.bytes += count as u64;
            if left > 0 {
                self.report()?;
            }
        }
        self.buffer = buffer;
        Ok(complete)
    }

    fn report(&mut self) -> Result<(), Error> {
        match (self.progress)(self.done) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.output.write_all(bytes).map_err(Error::output)
    }
}
