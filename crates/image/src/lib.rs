//! Boot files out of an operating system tree: its kernel, an initramfs of our own, and the archive that nodes
//! unpack. Everything blocks, knows paths and not clusters, and tells how far it is.
//!
//! The initramfs is made from the tree alone, so that a tree of any distribution boots the same way: the tree's
//! kernel modules, firmware and tools, and the agent as `/init`.

mod check;
mod compress;
mod copy;
mod credentials;
mod distribution;
mod error;
mod gzip;
mod identity;
mod initramfs;
mod kernel;
mod mounts;
mod pack;
mod part;
mod progress;
mod tree;

pub use check::{CheckRequest, Finding, Level, check};
pub use compress::ArchiveFormat;
pub use copy::copy_tree;
pub use distribution::distribution;
pub use error::Error;
pub use identity::identity_patterns;
pub use kernel::{has_kernel, kernel_versions, newest_kernel_version};
pub use mounts::Mounts;
pub use pack::{Archive, BootFiles, Packed, Parts, Request, archive_sum, file_sum, pack};
pub use part::{Readers, clean_litter};
pub use progress::{CancelFlag, Progress, Stage};
