//! A root on disks: chosen, laid out, made and mounted as the plan says. Whatever can be known to fail is found out
//! before anything is wiped.

mod contents;
pub mod devices;
pub mod layout;
mod links;
mod make;
pub mod uuid;

use std::path::PathBuf;

use perilune_plan::FileSystem;

pub use contents::check;
pub use make::make;
pub(crate) use make::mount_at;

/// What the machine's firmware boots from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    Uefi,
    Bios,
}

impl Firmware {
    pub fn of_this_machine() -> Self {
        if std::path::Path::new("/sys/firmware/efi").exists() { Self::Uefi } else { Self::Bios }
    }
}

/// A partition that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The whole disk.
    pub disk: PathBuf,
    /// The partition.
    pub device: PathBuf,
    pub filesystem: FileSystem,
    /// The UUID of what is made on it, as a table of file systems names it.
    pub uuid: String,
    pub mount: Option<String>,
    pub options: Option<String>,
}
