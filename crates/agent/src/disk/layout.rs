//! What will be on the disks: the plan's layout with all that it leaves open decided. Pure, so that everything that
//! is wrong shows before a disk is touched.

use std::fmt::Write as _;
use std::io;

use anyhow::{Context, Result, bail};
use perilune_plan::{self as plan, DiskLayout, FileSystem, Size};

use super::Firmware;
use super::devices::{Disk, choose};
use super::uuid;
use crate::console::bytes;

const MEBIBYTE: u64 = 1 << 20;
const DEFAULT_ESP: Size = Size(512 << 20);
const DEFAULT_BIOS: Size = Size(1 << 20);
/// The name of every partition in its table: whose it is.
pub(super) const MARK: &str = "perilune";
/// Both partition tables and what alignment wastes.
const TABLES: u64 = 4 * MEBIBYTE;
/// The last partition is not worth making below this.
const LEAST: u64 = 64 * MEBIBYTE;
/// What a file system takes of its partition: a tenth, and its journal.
const JOURNAL: u64 = 64 * MEBIBYTE;

/// One disk as it will be.
#[derive(Debug, PartialEq, Eq)]
pub struct Target<'a> {
    pub disk: &'a Disk,
    /// Whether the layout means this disk and no other.
    pub is_named: bool,
    pub partitions: Vec<Partition>,
}

/// One partition as it will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Bytes; unset for the rest of the disk.
    size: Option<u64>,
    /// The partition's own UUID.
    uuid: String,
    /// The UUID of what is on it.
    pub identity: String,
    pub filesystem: FileSystem,
    pub mount: Option<String>,
    pub label: Option<String>,
    pub options: Option<String>,
}

/// Decides. `unpacked` is the size of the tree that the root must hold.
pub fn decide<'a>(
    layout: &DiskLayout,
    disks: &'a [Disk],
    firmware: Firmware,
    unpacked: Option<u64>,
) -> Result<Vec<Target<'a>>> {
    if let Some(fault) = layout.fault() {
        bail!("the disk layout is wrong: {fault}");
    }
    let wanted =
        if layout.disks.is_empty() { vec![default(firmware)] } else { layout.disks.clone() };
    let mut targets: Vec<Target<'a>> = Vec::new();
    // What is named further down is not left to be chosen.
    let named = wanted.iter().filter(|wanted| wanted.is_named());
    let named: Vec<&Disk> =
        named.map(|wanted| choose(disks, wanted, &[])).collect::<Result<_>>()?;
    for wanted in &wanted {
        let taken = targets.iter().map(|target| target.disk).chain(named.iter().copied());
        let disk = choose(disks, wanted, &taken.collect::<Vec<_>>())?;
        if targets.iter().any(|target| target.disk == disk) {
            bail!("the disk layout means /dev/{} twice; name the device of each disk", disk.name);
        }
        let partitions: io::Result<Vec<Partition>> =
            wanted.partitions.iter().map(Partition::of).collect();
        let partitions = partitions.context("no random numbers for UUIDs")?;
        targets.push(Target { disk, is_named: wanted.is_named(), partitions });
    }
    for target in &targets {
        target.check_size(unpacked)?;
    }
    check_loader(&targets, firmware)?;
    Ok(targets)
}

fn default(firmware: Firmware) -> plan::Disk {
    let partition = |filesystem, size, mount: Option<&str>, label: Option<&str>| plan::Partition {
        size,
        filesystem,
        mount: mount.map(str::to_owned),
        label: label.map(str::to_owned),
        options: None,
    };
    let loader = match firmware {
        Firmware::Uefi => {
            partition(FileSystem::Esp, Some(DEFAULT_ESP), Some("/boot/efi"), Some("ESP"))
        }
        Firmware::Bios => partition(FileSystem::Bios, Some(DEFAULT_BIOS), None, None),
    };
    let root = partition(FileSystem::Ext4, None, Some("/"), Some("root"));
    plan::Disk { partitions: vec![loader, root], ..plan::Disk::default() }
}

fn check_loader(targets: &[Target<'_>], firmware: Firmware) -> Result<()> {
    let has = |filesystem| {
        targets
            .iter()
            .flat_map(|target| &target.partitions)
            .any(|partition| partition.filesystem == filesystem)
    };
    match firmware {
        Firmware::Uefi if !has(FileSystem::Esp) => bail!(
            "this machine boots by UEFI, and the disk layout has no partition with the file system 'esp'; add one of 512M"
        ),
        Firmware::Bios if !has(FileSystem::Bios) => bail!(
            "this machine boots by BIOS, and the disk layout has no partition with the file system 'bios'; add one of 1M"
        ),
        Firmware::Uefi | Firmware::Bios => Ok(()),
    }
}

impl Partition {
    fn of(wanted: &plan::Partition) -> io::Result<Self> {
        let identity = match wanted.filesystem {
            FileSystem::Esp => uuid::random_fat_number()?,
            _ => uuid::random()?,
        };
        Ok(Self {
            size: wanted.size.map(|size| size.0.div_ceil(MEBIBYTE).saturating_mul(MEBIBYTE)),
            uuid: uuid::random()?,
            identity,
            filesystem: wanted.filesystem,
            mount: wanted.mount.clone().filter(|mount| !mount.is_empty()),
            label: wanted.label.clone().filter(|label| !label.is_empty()),
            options: wanted.options.clone().filter(|options| !options.is_empty()),
        })
    }

    fn type_code(&self) -> &'static str {
        match self.filesystem {
            FileSystem::Esp => "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
            FileSystem::Bios => "21686148-6449-6E6F-744E-656564454649",
            FileSystem::Swap => "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
            FileSystem::Ext4 | FileSystem::Xfs => "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
        }
    }

    fn is_root(&self) -> bool {
        self.mount.as_deref() == Some("/")
    }

    /// The identity as a table of file systems names it.
    pub fn table_identity(&self) -> String {
        match (self.filesystem, self.identity.split_at_checked(4)) {
            (FileSystem::Esp, Some((high, low))) => format!("{high}-{low}"),
            _ => self.identity.clone(),
        }
    }
}

impl Target<'_> {
    fn check_size(&self, unpacked: Option<u64>) -> Result<()> {
        let (name, size) = (&self.disk.name, self.disk.size);
        let fixed = self
            .partitions
            .iter()
            .filter_map(|partition| partition.size)
            .fold(TABLES, u64::saturating_add);
        let open = self.partitions.iter().find(|partition| partition.size.is_none());
        let least = open.map_or(0, |partition| partition.filesystem.smallest().0.max(LEAST));
        let needed = fixed.saturating_add(least);
        if needed > size {
            bail!(
                "the disk /dev/{name} is too small: it has {}, and the layout needs {}",
                bytes(size),
                bytes(needed)
            );
        }
        let Some(root) = self.partitions.iter().find(|partition| partition.is_root()) else {
            return Ok(());
        };
        let room = root.size.unwrap_or(size.saturating_sub(fixed));
        let tree = unpacked
            .map_or(0, |unpacked| unpacked.saturating_add(unpacked / 10).saturating_add(JOURNAL));
        if tree > room {
            bail!(
                "the root on /dev/{name} is too small: it would have {}, and the image needs {}",
                bytes(room),
                bytes(tree)
            );
        }
        Ok(())
    }

    /// What sfdisk is told.
    pub fn script(&self) -> String {
        let mut text = "label: gpt\n".to_owned();
        for partition in &self.partitions {
            if let Some(size) = partition.size {
                write!(text, "size={}KiB, ", size >> 10).ok();
            }
            writeln!(
                text,
                "type={}, name={MARK}, uuid={}",
                partition.type_code(),
                partition.uuid.to_uppercase()
            )
            .ok();
        }
        text
    }
}
