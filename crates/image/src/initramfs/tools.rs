//! The programs that install scripts and people at the console call.

use std::path::{Path, PathBuf};

use super::{contents::Contents, libraries::Libraries};
use crate::Error;

const DIRECTORIES: [&str; 4] = ["usr/sbin", "usr/bin", "sbin", "bin"];

/// Install scripts count on these; what the image lacks is told.
const EXPECTED: [&str; 83] = [
    "awk",
    "base64",
    "basename",
    "bash",
    "blkid",
    "blockdev",
    "cat",
    "chmod",
    "chown",
    "chroot",
    "cp",
    "curl",
    "cut",
    "date",
    "dd",
    "df",
    "dirname",
    "dmesg",
    "du",
    "echo",
    "env",
    "expr",
    "false",
    "find",
    "findmnt",
    "flock",
    "grep",
    "gzip",
    "head",
    "id",
    "ip",
    "kmod",
    "ln",
    "losetup",
    "ls",
    "lsblk",
    "lsmod",
    "md5sum",
    "mkdir",
    "mkfs",
    "mkfs.ext4",
    "mkfs.vfat",
    "mkfs.xfs",
    "mknod",
    "mkswap",
    "mktemp",
    "modprobe",
    "mount",
    "mountpoint",
    "mv",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sfdisk",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "stty",
    "swapon",
    "sync",
    "tail",
    "tar",
    "tee",
    "test",
    "timeout",
    "touch",
    "tr",
    "true",
    "umount",
    "uname",
    "uniq",
    "wc",
    "wipefs",
    "xargs",
    "zstd",
];

/// Taken along when the image has them.
const WELCOME: [&str; 76] = [
    "[",
    "b2sum",
    "bzip2",
    "clear",
    "cmp",
    "cpio",
    "diff",
    "dmidecode",
    "dmsetup",
    "dosfslabel",
    "e2fsck",
    "e2label",
    "efibootmgr",
    "ethtool",
    "fatlabel",
    "fdisk",
    "free",
    "fsck",
    "fsck.ext4",
    "fsck.vfat",
    "fsck.xfs",
    "fuser",
    "gdisk",
    "hexdump",
    "hostname",
    "insmod",
    "ipmitool",
    "kill",
    "less",
    "logger",
    "lscpu",
    "lspci",
    "lvchange",
    "lvcreate",
    "lvm",
    "lvs",
    "mdadm",
    "mkfs.btrfs",
    "mkfs.ext2",
    "mkfs.ext3",
    "mkfs.fat",
    "modinfo",
    "more",
    "nl",
    "nproc",
    "nvme",
    "od",
    "parted",
    "partprobe",
    "partx",
    "ping",
    "pvcreate",
    "pvs",
    "rdma",
    "resize2fs",
    "rmmod",
    "rsync",
    "setfacl",
    "sgdisk",
    "split",
    "ss",
    "swapoff",
    "switch_root",
    "tac",
    "tpm2",
    "truncate",
    "tty",
    "tune2fs",
    "vgcreate",
    "vgs",
    "vi",
    "wget",
    "which",
    "xfs_admin",
    "xfs_repair",
    "xz",
];

/// Loaded by the C library at run time and therefore named by no program: name service and thread cancellation.
/// The last three convert the names on a FAT file system.
const LIBRARIES: [&str; 7] = [
    "libnss_files.so.2",
    "libnss_dns.so.2",
    "libresolv.so.2",
    "libgcc_s.so.1",
    "gconv/gconv-modules",
    "gconv/gconv-modules.cache",
    "gconv/IBM850.so",
];

/// What those programs read.
const FILES: [&str; 9] = [
    "etc/ld.so.cache",
    "etc/mke2fs.conf",
    "etc/os-release",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/protocols",
    "etc/ssl/certs/ca-certificates.crt",
    "etc/ssl/openssl.cnf",
    "usr/share/terminfo/l/linux",
    "usr/share/terminfo/v/vt220",
];

pub(crate) fn add(contents: &mut Contents<'_>, warnings: &mut Vec<String>) -> Result<(), Error> {
    let libraries = Libraries::of(contents.tree());
    let mut missing = Vec::new();
    for name in EXPECTED {
        if !add_tool(contents, &libraries, name, warnings)? {
            missing.push(name);
        }
    }
    for name in WELCOME {
        add_tool(contents, &libraries, name, warnings)?;
    }
    for name in LIBRARIES {
        libraries.add_by_name(contents, name, warnings)?;
    }
    for path in FILES {
        contents.add(Path::new(path))?;
    }
    if !missing.is_empty() {
        warnings.push(format!(
            "the image lacks programs that install scripts may call: {}",
            missing.join(", ")
        ));
    }
    Ok(())
}

fn add_tool(
    contents: &mut Contents<'_>,
    libraries: &Libraries,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<bool, Error> {
    let places = DIRECTORIES.iter().map(|directory| Path::new(directory).join(name));
    let found: Option<PathBuf> =
        places.into_iter().find(|place| contents.tree().file(place).is_some());
    match found {
        Some(path) => libraries.add_program(contents, &path, warnings),
        None => Ok(false),
    }
}
