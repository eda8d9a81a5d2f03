//! What is wrong with a layout. Whatever the programs that carry it out on the node would refuse is refused here, because there the disk
//! has been wiped by then.

use super::device;
use super::{Disk, DiskLayout, FileSystem, Partition, Size};

/// A GPT as all programs make it has room for so many.
const MOST_PARTITIONS: usize = 128;
/// FAT with 32 bits has at least 65,525 clusters, of 512 bytes at the least.
const SMALLEST_ESP: Size = Size(33 << 20);
/// mkfs.xfs makes none that is smaller.
const SMALLEST_XFS: Size = Size(300 << 20);
/// mkfs.ext4 and mkswap make none that is much smaller, and GRUB's core does not fit into less; partitions begin at whole mebibytes anyway.
const SMALLEST: Size = Size(1 << 20);
/// A name in a directory is not longer, a path neither.
const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 4095;
/// mkfs.vfat refuses these in a label.
const NOT_IN_FAT: &str = "*?.,;:/\\|+=<>[]\"";
/// What a root must have on it to be started.
const OF_THE_ROOT: [&str; 12] = [
    "/bin",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/sbin",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/sbin",
];
/// What the kernel and the init of every system mount themselves.
const OF_THE_SYSTEM: [&str; 4] = ["/dev", "/proc", "/run", "/sys"];

impl DiskLayout {
    /// What is wrong with a layout, in a sentence; `None` when nothing is.
    pub fn fault(&self) -> Option<String> {
        let disks = || (1..).zip(&self.disks);
        let mut seen = Seen::default();
        for (number, disk) in disks() {
            let before = disks().take_while(|(other, _)| *other < number);
            if let Some((other, _)) = before.into_iter().find(|(_, other)| other.is_chosen_as(disk))
            {
                return Some(format!(
                    "disk {number} and disk {other} are the same; name the device of each"
                ));
            }
            if let Some(fault) = disk.fault(&mut seen) {
                return Some(format!("disk {number}{fault}"));
            }
        }
        let lacks_root = !self.disks.is_empty() && !seen.mounts.contains(&"/");
        lacks_root.then(|| "no partition is mounted at '/'".to_owned())
    }
}

/// What must be there only once.
#[derive(Default)]
struct Seen<'a> {
    mounts: Vec<&'a str>,
    labels: Vec<&'a str>,
}

impl Disk {
    /// What is wrong with it, to be read behind its number.
    fn fault<'a>(&'a self, seen: &mut Seen<'a>) -> Option<String> {
        if let Some(fault) = self.device.as_deref().and_then(device::fault) {
            return Some(format!(": {fault}"));
        }
        if let Some(fault) = self.fault_of_choice() {
            return Some(fault);
        }
        if self.partitions.is_empty() {
            return Some(" has no partitions".to_owned());
        }
        if self.partitions.len() > MOST_PARTITIONS {
            return Some(format!(
                " has {} partitions; a table has room for {MOST_PARTITIONS}",
                self.partitions.len()
            ));
        }
        let mut sum: u64 = 0;
        for (number, partition) in (1..).zip(&self.partitions) {
            let size = partition.size.map_or(0, |size| size.0);
            let fault = if partition.size.is_none() && number < self.partitions.len() {
                Some("only the last partition of a disk may go without a size".to_owned())
            } else if let Some(larger) = sum.checked_add(size) {
                sum = larger;
                partition.fault(seen)
            } else {
                Some("every disk is too small for all sizes up to this one".to_owned())
            };
            if let Some(fault) = fault {
                return Some(format!(", partition {number}: {fault}"));
            }
        }
        None
    }
}

impl FileSystem {
    /// The word for it in a layout.
    pub fn word(self) -> &'static str {
        match self {
            Self::Esp => "esp",
            Self::Bios => "bios",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Swap => "swap",
        }
    }

    /// The least that the program makes that makes it.
    pub fn smallest(self) -> Size {
        match self {
            Self::Esp => SMALLEST_ESP,
            Self::Xfs => SMALLEST_XFS,
            Self::Bios | Self::Ext4 | Self::Swap => SMALLEST,
        }
    }

    /// How many bytes a label has at most; `None` where there is none.
    fn longest_label(self) -> Option<usize> {
        match self {
            Self::Bios => None,
            Self::Esp => Some(11),
            Self::Xfs => Some(12),
            // The field has 16 bytes, and mkswap ends it with a zero byte.
            Self::Swap => Some(15),
            Self::Ext4 => Some(16),
        }
    }
}

impl Partition {
    fn fault<'a>(&'a self, seen: &mut Seen<'a>) -> Option<String> {
        let smallest = self.filesystem.smallest();
        if let Some(size) = self.size.filter(|size| *size < smallest) {
            return Some(format!(
                "{} is too small for {}, which needs {}",
                String::from(size),
                self.filesystem.word(),
                String::from(smallest)
            ));
        }
        if let Some(fault) = self.label.as_deref().and_then(|label| self.fault_of_label(label)) {
            return Some(fault);
        }
        let label = self.label.as_deref().filter(|label| !label.is_empty());
        // That of an EFI system partition means nothing, and whoever has two disks has two of them.
        if let Some(label) = label.filter(|_| self.filesystem != FileSystem::Esp) {
            if seen.labels.contains(&label) {
                return Some(format!("more than one file system has the label '{label}'"));
            }
            seen.labels.push(label);
        }
        if let Some(fault) = self.options.as_deref().and_then(fault_of_options) {
            return Some(fault);
        }
        let mount = self.mount.as_deref()?;
        if let Some(fault) = self.fault_of_mount(mount) {
            return Some(fault);
        }
        if seen.mounts.contains(&mount) {
            return Some(format!("more than one partition is mounted at '{mount}'"));
        }
        seen.mounts.push(mount);
        None
    }

    fn fault_of_label(&self, label: &str) -> Option<String> {
        if label.is_empty() {
            return None;
        }
        let word = self.filesystem.word();
        let Some(longest) = self.filesystem.longest_label() else {
            return Some(format!("{word} is not a file system, so it has no label"));
        };
        if label.chars().any(char::is_control) {
            return Some(format!("the label {label:?} has characters that cannot be printed"));
        }
        if label.len() > longest {
            return Some(format!(
                "the label '{label}' has {} bytes; one of {word} has {longest} at most",
                label.len()
            ));
        }
        if self.filesystem != FileSystem::Esp {
            return None;
        }
        if !label.is_ascii() || label.contains(|character| NOT_IN_FAT.contains(character)) {
            return Some(format!(
                "the label '{label}' of {word} may have ASCII characters only, and none of {NOT_IN_FAT}"
            ));
        }
        label
            .starts_with(' ')
            .then(|| format!("the label '{label}' of {word} cannot begin with a blank"))
    }

    fn fault_of_mount(&self, mount: &str) -> Option<String> {
        if matches!(self.filesystem, FileSystem::Swap | FileSystem::Bios) {
            return Some(format!("swap and bios cannot be mounted, at '{mount}' or elsewhere"));
        }
        let refused = |reason: &str| Some(format!("the mount point '{mount}' {reason}"));
        let Some(rest) = mount.strip_prefix('/') else {
            return refused("does not begin with '/'");
        };
        if mount.contains(is_no_field) {
            return refused(
                "has blanks or other characters that a table of file systems cannot have",
            );
        }
        let mut names = rest.split('/');
        if !rest.is_empty() && names.any(|name| ["", ".", ".."].contains(&name)) {
            return refused("must be written without '//', '/./', '/../' and a '/' at its end");
        }
        if mount.len() > LONGEST_PATH || rest.split('/').any(|name| name.len() > LONGEST_NAME) {
            return refused("is too long");
        }
        if self.filesystem == FileSystem::Esp && mount == "/" {
            return refused("is the root, which cannot be on FAT; use ext4 or xfs");
        }
        if OF_THE_ROOT.contains(&mount) {
            return refused("must be on the root, or the system does not start");
        }
        let is_in = |directory: &str| {
            mount
                .strip_prefix(directory)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if OF_THE_SYSTEM.into_iter().any(is_in) {
            return refused("is where every system mounts something of its own");
        }
        None
    }
}

fn fault_of_options(options: &str) -> Option<String> {
    if options.contains(is_no_field) {
        return Some(format!(
            "the mount options {options:?} have blanks or other characters that a table of file systems cannot have; separate them by commas alone"
        ));
    }
    let is_empty = !options.is_empty() && options.split(',').any(str::is_empty);
    is_empty.then(|| format!("one of the mount options '{options}' is empty"))
}

/// What ends or changes a field of `/etc/fstab` (fstab(5)).
fn is_no_field(character: char) -> bool {
    character.is_whitespace() || character.is_control() || "\\#\"'".contains(character)
}
