//! What is on a disk before it is laid out, and whether that may be lost. A disk that the layout names may be wiped; one that was chosen
//! must be empty, ours, or allowed by the cluster.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use perilune_plan::Wipe;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::devices::Disk;
use super::layout::{MARK, Target};
use crate::hardware::load_module;
use crate::{superblock, tool};

const BLOCK: &str = "/sys/block";
/// Where a partition is looked into.
const LOOK: &str = "/run/look";
/// What only says that there are partitions.
const TABLES: [&str; 3] = ["gpt", "PMBR", "dos"];
/// How a table is called whose partitions are not seen.
const UNREADABLE: &str = "a GPT that cannot be read";
/// What a provisioner leaves on the disks of nodes.
const PLAIN: [&str; 8] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "swap", "f2fs"];

/// A thing on a disk, such as a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    /// Its device, below `/dev`.
    device: String,
    /// As `wipefs` calls it; nothing when a partition has nothing that is known.
    kind: Option<String>,
    label: Option<String>,
}

/// Refuses to go on when a disk that the layout does not name has contents which the node may not wipe.
pub fn check(targets: &[Target<'_>], wipe: Wipe, node: &str) -> Result<()> {
    for target in targets.iter().filter(|target| !target.is_named) {
        let found = on(target.disk)?;
        if let Some(hint) = objection(&found, wipe, node).filter(|_| !is_ours(target.disk)) {
            bail!(
                "the disk {} was chosen, not named, and has something on it: {}; nothing was changed. Name it in the disk layout \
                 by its device, serial or wwn, {hint} (docs/disk-layout.md)",
                target.disk.title(),
                list(&found)
            );
        }
    }
    Ok(())
}

/// What is against wiping this: what to do beside naming the disk.
fn objection(found: &[Found], wipe: Wipe, node: &str) -> Option<String> {
    let is_plain = |found: &Found| {
        found.kind.as_deref().is_none_or(|kind| PLAIN.contains(&kind) || TABLES.contains(&kind))
    };
    let word = match wipe {
        Wipe::All => return None,
        _ if found.is_empty() => return None,
        Wipe::Provisioned if found.iter().all(is_plain) => return None,
        Wipe::No if found.iter().all(is_plain) => "provisioned",
        Wipe::No | Wipe::Provisioned => "all",
    };
    Some(format!("or allow it: perilune node change {node} --wipe {word}"))
}

fn list(found: &[Found]) -> String {
    let texts = found.iter().map(|found| {
        let label = found.label.as_ref().map(|label| format!(" '{label}'")).unwrap_or_default();
        match &found.kind {
            Some(kind) => format!("{} {kind}{label}", found.device),
            None => format!("{} a partition", found.device),
        }
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// Everything on a disk and its partitions. A table without partitions is nothing.
fn on(disk: &Disk) -> Result<Vec<Found>> {
    let partitions = disk.partitions();
    let mut found = signatures(&disk.device())?;
    if partitions.is_empty() {
        found = without_tables(found);
    }
    for partition in partitions {
        let here = signatures(&partition)?;
        if here.is_empty() {
            found.push(Found { device: name(&partition), kind: None, label: None });
        }
        // A boot sector looks like a table.
        found.extend(here.into_iter().filter(|found| !is_table(found)));
    }
    Ok(found)
}

/// What is on a disk of which the kernel shows no partitions. Where a table for old programs says that there is a GPT, and none is found, the
/// GPT was written for sectors of another size, and the partitions are all there for whoever reads it so.
fn without_tables(mut found: Vec<Found>) -> Vec<Found> {
    let has = |kind: &str| found.iter().find(|found| found.kind.as_deref() == Some(kind));
    let unreadable = has("PMBR").filter(|_| has("gpt").is_none()).cloned();
    found.retain(|found| !is_table(found));
    found.extend(unreadable.map(|found| Found { kind: Some(UNREADABLE.to_owned()), ..found }));
    found
}

fn is_table(found: &Found) -> bool {
    found.kind.as_deref().is_some_and(|kind| TABLES.contains(&kind))
}

fn name(device: &Path) -> String {
    device.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn signatures(device: &Path) -> Result<Vec<Found>> {
    let words = ["--no-act", "--noheadings", "--parsable", "--output", "TYPE,LABEL"];
    let words = words.iter().map(AsRef::as_ref).chain([device.as_os_str()]);
    let text = tool::run("wipefs", words)?;
    let mut found: Vec<Found> = Vec::new();
    for line in
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (kind, label) = line.split_once(',').unwrap_or((line, ""));
        let label = Some(label.trim().to_owned()).filter(|label| !label.is_empty());
        let next = Found { device: name(device), kind: Some(kind.to_owned()), label };
        // Some have their mark in several places.
        if !found.contains(&next) {
            found.push(next);
        }
    }
    Ok(found)
}

/// Whether Perilune has laid it out: every partition bears its mark, or, from before there was one, a partition has its kernel.
fn is_ours(disk: &Disk) -> bool {
    let partitions = disk.partitions();
    let is_marked = |partition: &PathBuf| {
        let place = Path::new(BLOCK).join(&disk.name).join(name(partition)).join("uevent");
        let text = fs::read_to_string(place).unwrap_or_default();
        text.lines().any(|line| line.strip_prefix("PARTNAME=") == Some(MARK))
    };
    !partitions.is_empty()
        && (partitions.iter().all(is_marked)
            || partitions.iter().any(|partition| has_kernel(partition)))
}

/// Looks into a partition without changing anything on it.
fn has_kernel(partition: &Path) -> bool {
    let known = superblock::read(partition).map(|(kind, _)| kind);
    let (kind, options) = match known {
        // Without their journals, which would be written.
        Some("ext4") => ("ext4", Some(c"noload")),
        Some("xfs") => ("xfs", Some(c"norecovery")),
        Some(_) => return false,
        None => ("vfat", None),
    };
    load_module(kind);
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let mounted =
        fs::create_dir_all(LOOK).and_then(|()| Ok(mount(partition, LOOK, kind, flags, options)?));
    if mounted.is_err() {
        return false;
    }
    let places = ["perilune/vmlinuz", "boot/perilune/vmlinuz"];
    let has = places.iter().any(|place| Path::new(LOOK).join(place).is_file());
    unmount(LOOK, UnmountFlags::DETACH).ok();
    has
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    fn found(device: &str, kind: &str) -> Found {
        let kind = Some(kind.to_owned()).filter(|kind| !kind.is_empty());
        Found { device: device.to_owned(), kind, label: None }
    }

    #[test]
    fn only_what_is_allowed_may_be_lost() {
        let system =
            [found("sda", "gpt"), found("sda1", "vfat"), found("sda2", "ext4"), found("sda3", "")];
        let data = [found("sda", "zfs_member")];
        let windows = [found("sda", "dos"), found("sda1", "ntfs")];
        for (on_it, wipe, hint) in [
            ([].as_slice(), Wipe::No, None),
            (&system, Wipe::No, Some("--wipe provisioned")),
            (&system, Wipe::Provisioned, None),
            (&data, Wipe::No, Some("node001 --wipe all")),
            (&data, Wipe::Provisioned, Some("--wipe all")),
            (&windows, Wipe::Provisioned, Some("--wipe all")),
            (&data, Wipe::All, None),
        ] {
            let objection = objection(on_it, wipe, "node001");
            let is_expected = match (&objection, hint) {
                (Some(text), Some(hint)) => text.ends_with(hint),
                (None, None) => true,
                _ => false,
            };
            assert!(is_expected, "{on_it:?} {wipe:?}: {objection:?}");
        }
        assert_eq!(list(&system), "sda gpt, sda1 vfat, sda2 ext4, sda3 a partition");
    }

    #[test]
    fn a_table_for_sectors_of_another_size_is_not_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(64 << 20).unwrap();
        let words = ["--quiet".as_ref(), file.path().as_os_str()];
        tool::feed("sfdisk", words, "label: gpt\nsize=1M\n").unwrap();
        assert_eq!(without_tables(signatures(file.path()).unwrap()), []);
        // Both headers where sectors of 512 bytes have them.
        for place in [512, (64 << 20) - 512] {
            file.as_file().write_all_at(&[0; 512], place).unwrap();
        }
        let found = without_tables(signatures(file.path()).unwrap());
        assert_eq!(found.len(), 1, "{found:?}");
        let objection = objection(&found, Wipe::Provisioned, "node001").unwrap();
        assert!(objection.ends_with("--wipe all"), "{objection}");
    }

    /// A place of a device, and what is there.
    type Mark = (u64, Vec<u8>);

    /// By what `wipefs` knows each kind.
    fn marks() -> Vec<(&'static str, Vec<Mark>)> {
        let raid = [0xa92b_4efc_u32, 1, 0, 0].map(u32::to_le_bytes).concat();
        // The checksum of a label whose identity is 32 times the letter A.
        let label = [&b"LABELONE\x01\0\0\0\0\0\0\0"[..], &0x0018_ab8b_u32.to_le_bytes()].concat();
        let label = [&label[..], b"\x20\0\0\0LVM2 001", &[b'A'; 32]].concat();
        let bcache = 0xc685_73f6_4e1a_45ca_8265_f57f_48ba_6d81_u128.to_be_bytes();
        let uberblock = 0x00ba_b10c_u64.to_le_bytes().to_vec();
        let ring = (128..256).map(|block| (block << 10, uberblock.clone())).collect();
        vec![
            ("crypto_LUKS", vec![(0, b"LUKS\xba\xbe\0\x01".to_vec())]),
            ("linux_raid_member", vec![(4096, raid), (4240, 8_u64.to_le_bytes().to_vec())]),
            ("LVM2_member", vec![(512, label)]),
            ("bcache", vec![(4104, 8_u64.to_le_bytes().to_vec()), (4120, bcache.to_vec())]),
            ("zfs_member", ring),
            ("ceph_bluestore", vec![(0, b"bluestore block device\n".to_vec())]),
        ]
    }

    #[test]
    fn what_is_made_of_several_disks_is_lost_by_order_alone() {
        for (kind, marks) in marks() {
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().set_len(64 << 20).unwrap();
            for (place, bytes) in marks {
                file.as_file().write_all_at(&bytes, place).unwrap();
            }
            let found = signatures(file.path()).unwrap();
            let kinds: Vec<&str> = found.iter().filter_map(|found| found.kind.as_deref()).collect();
            assert_eq!(kinds, [kind]);
            for (wipe, is_refused) in
                [(Wipe::No, true), (Wipe::Provisioned, true), (Wipe::All, false)]
            {
                let objection = objection(&found, wipe, "node001");
                assert_eq!(objection.is_some(), is_refused, "{kind} {wipe:?}");
                assert!(objection.is_none_or(|text| text.ends_with("--wipe all")), "{kind}");
            }
        }
    }

    #[test]
    fn what_is_on_a_device_is_read_and_left() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(64 << 20).unwrap();
        assert_eq!(signatures(file.path()).unwrap(), []);
        let words = ["-q", "-F", "-L", "root"].map(AsRef::as_ref);
        tool::run("mkfs.ext4", words.into_iter().chain([file.path().as_os_str()])).unwrap();
        let before = fs::read(file.path()).unwrap();
        let read = signatures(file.path()).unwrap();
        assert_eq!(list(&read), format!("{} ext4 'root'", name(file.path())));
        assert!(before == fs::read(file.path()).unwrap());
        tool::feed(
            "sfdisk",
            ["--quiet".as_ref(), "--wipe".as_ref(), "always".as_ref(), file.path().as_os_str()],
            "label: gpt\nsize=1M\n",
        )
        .unwrap();
        let kinds: Vec<String> =
            signatures(file.path()).unwrap().into_iter().filter_map(|found| found.kind).collect();
        assert_eq!(kinds, ["gpt", "PMBR"]);
    }
}
