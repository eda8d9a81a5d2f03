//! What the kernel says of a file.

use std::{ffi::OsStr, os::fd::AsFd, path::Path};

use rustix::{
    fs::{AtFlags, CWD, FileType, Statx, StatxFlags, makedev, statx},
    io::Errno,
};

use crate::member::{Metadata, Time};

/// What is to be known of a file before it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status {
    pub(crate) kind: FileType,
    mode: u32,
    owner: u32,
    group: u32,
    modified: Time,
    /// How many names it has.
    pub(crate) links: u64,
    /// Device and inode.
    pub(crate) identity: (u64, u64),
    pub(crate) size: u64,
    /// Bytes that are really stored.
    pub(crate) allocated: u64,
    /// The device that a device node stands for.
    pub(crate) node: (u32, u32),
    /// The mount that it is reached by; kernels before 5.8 do not tell.
    pub(crate) mount: Option<u64>,
}

impl Status {
    /// Of a name in an open directory; a symbolic link is not followed.
    pub(crate) fn of(directory: impl AsFd, name: &OsStr) -> Result<Self, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        Ok(Self::from(statx(directory, name, flags, WANTED)?))
    }

    /// Of what a path leads to.
    pub(crate) fn at(path: &Path) -> Result<Self, Errno> {
        Ok(Self::from(statx(CWD, path, AtFlags::empty(), WANTED)?))
    }

    /// Of an open file.
    pub(crate) fn of_open(file: impl AsFd) -> Result<Self, Errno> {
        Ok(Self::from(statx(file, "", AtFlags::EMPTY_PATH, WANTED)?))
    }

    /// Whether it is reached by another mount than `mount`, that of the tree. A subvolume has a device number of its own, but is not
    /// mounted: only a kernel that does not tell mounts is asked for the device.
    pub(crate) fn is_mounted_elsewhere(&self, mount: Option<u64>, device: u64) -> bool {
        match (self.mount, mount) {
            (Some(own), Some(mount)) => own != mount,
            _ => self.identity.0 != device,
        }
    }

    /// All that an archive keeps but the extended attributes.
    pub(crate) fn metadata(&self) -> Metadata {
        Metadata {
            mode: self.mode & 0o7777,
            owner: self.owner,
            group: self.group,
            modified: self.modified,
            attributes: Vec::new(),
        }
    }
}

const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::MNT_ID);

impl From<Statx> for Status {
    fn from(status: Statx) -> Self {
        let mode = u32::from(status.stx_mode);
        let tells_mount = status.stx_mask & StatxFlags::MNT_ID.bits() != 0;
        Self {
            kind: FileType::from_raw_mode(mode),
            mode,
            owner: status.stx_uid,
            group: status.stx_gid,
            modified: Time {
                seconds: status.stx_mtime.tv_sec,
                nanoseconds: status.stx_mtime.tv_nsec,
            },
            links: status.stx_nlink.into(),
            identity: (makedev(status.stx_dev_major, status.stx_dev_minor), status.stx_ino),
            size: status.stx_size,
            allocated: status.stx_blocks.saturating_mul(512),
            node: (status.stx_rdev_major, status.stx_rdev_minor),
            mount: tells_mount.then_some(status.stx_mnt_id),
        }
    }
}
