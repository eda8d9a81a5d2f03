//! Archives of operating system trees: a tree becomes a tar stream and becomes the same tree again.
//!
//! Everything that makes a tree bootable survives: numeric owners, modes, times, extended attributes (and with
//! them capabilities, access lists and security labels), hard links, holes in files, device nodes, and names
//! of any bytes. GNU tar reads what [`pack`] writes, and [`unpack`] reads what GNU tar writes. The node's agent
//! is built from this crate, so it blocks, and depends on little.

mod access_list;
mod attributes;
mod checksum;
mod compression;
mod copy;
mod decode;
mod directory;
mod encode;
mod error;
mod member;
mod members;
mod mount;
mod pack;
mod plant;
mod read_ahead;
mod sparse;
mod status;
mod unpack;
mod walk;

pub use checksum::{HashingReader, HashingWriter, checksum_of_file};
pub use compression::{Compression, compressor, decompressor};
pub use copy::copy;
pub use error::Error;
pub use mount::Mount;
pub use pack::pack;
pub use read_ahead::while_reading;
pub use unpack::{unpack, unpack_compressed, unpack_verified};
pub use walk::{Options, Totals, measure};

/// How far a walk or an unpacking has come. Given to the caller about once a megabyte and once a file; the caller
/// answers `ControlFlow::Break` to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files, directories and other members done.
    pub members: u64,
    /// Bytes of file contents done, holes left out.
    pub bytes: u64,
}

/// What was packed or unpacked, and what could not be kept without that being a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub members: u64,
    pub bytes: u64,
    /// Sentences for the operator: a file that vanished while it was read, an attribute the file system refused.
    pub warnings: Vec<String>,
}
