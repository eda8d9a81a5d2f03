//! A declarative disk layout.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::decode_if_encoded;

/// Where whoever gave a wrong one reads on.
const FORMAT: &str = "docs/disk-layout.md tells how one is written";

/// How disks are laid out. Without a disk: the first one, with an EFI system partition and a root over the rest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskLayout {
    /// The disks; all others are left alone.
    #[serde(default)]
    pub disks: Vec<Disk>,
}

/// One disk and its GPT partitions. All that was on it is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// The device, such as `/dev/nvme0n1` or `/dev/disk/by-id/…`; unset means the first disk that is not removable.
    #[serde(default)]
    pub device: Option<String>,
    /// Its partitions, in order.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// How large it is; unset means all that is left (one partition of a disk at most, the last).
    #[serde(default)]
    pub size: Option<Size>,
    /// What is made on it.
    pub filesystem: FileSystem,
    /// Where it is mounted; `/` is the root. Unset for swap.
    #[serde(default)]
    pub mount: Option<String>,
    /// The file system's label.
    #[serde(default)]
    pub label: Option<String>,
    /// Options in the table of file systems; unset means `defaults`.
    #[serde(default)]
    pub options: Option<String>,
}

/// What is made on a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileSystem {
    /// FAT on an EFI system partition.
    Esp,
    /// Space for the boot loader of BIOS machines; no file system.
    Bios,
    /// ext4.
    Ext4,
    /// XFS.
    Xfs,
    /// Swap space.
    Swap,
}

/// A size in bytes, written as a number with `K`, `M`, `G` or `T` (powers of 1024).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub u64);

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotASize(String);

impl fmt::Display for NotASize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "'{}' is not a size; write a number and K, M, G or T, such as 512M",
            self.0
        )
    }
}

impl std::error::Error for NotASize {}

const UNITS: [(char, u64); 4] = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30), ('T', 1 << 40)];

impl FromStr for Size {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let refuse = || NotASize(text.to_owned());
        let upper = text.trim().to_ascii_uppercase();
        let unit = UNITS.into_iter().find(|(letter, _)| upper.ends_with(*letter));
        let (digits, factor) = match unit {
            Some((letter, factor)) => (upper.trim_end_matches(letter), factor),
            None => (upper.as_str(), 1),
        };
        let number: u64 = digits.parse().map_err(|_source| refuse())?;
        number.checked_mul(factor).filter(|bytes| *bytes > 0).map(Self).ok_or_else(refuse)
    }
}

impl TryFrom<String> for Size {
    type Error = NotASize;

    fn try_from(text: String) -> Result<Self, NotASize> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        let fits = UNITS.into_iter().rev().find(|(_, factor)| size.0.is_multiple_of(*factor));
        fits.map_or_else(
            || size.0.to_string(),
            |(letter, factor)| format!("{}{letter}", size.0 / factor),
        )
    }
}

impl DiskLayout {
    /// A layout as clients give it: JSON, or that in base64. The failure is a sentence on what is wrong, and where.
    pub fn read(text: &str) -> Result<Self, String> {
        let layout: Self = serde_json::from_str(&decode_if_encoded(text))
            .map_err(|error| format!("it is no disk layout: {error}; {FORMAT}"))?;
        match layout.fault() {
            Some(fault) => Err(format!("{fault}; {FORMAT}")),
            None => Ok(layout),
        }
    }

    /// What is wrong with a layout, in a sentence; `None` when nothing is.
    pub fn fault(&self) -> Option<String> {
        let disks = || (1..).zip(&self.disks);
        let mut mounts: Vec<&str> = Vec::new();
        for (number, disk) in disks() {
            let before = disks().take_while(|(other, _)| *other < number);
            if let Some((other, _)) =
                before.into_iter().find(|(_, other)| other.device == disk.device)
            {
                return Some(format!(
                    "disk {number} and disk {other} are the same; name the device of each"
                ));
            }
            if let Some(fault) = disk.fault(&mut mounts) {
                return Some(format!("disk {number}{fault}"));
            }
        }
        let lacks_root = !self.disks.is_empty() && !mounts.contains(&"/");
        lacks_root.then(|| "no partition is mounted at '/'".to_owned())
    }
}

impl Disk {
    /// What is wrong with it, to be read behind its number. `mounts` gathers where partitions are mounted.
    fn fault<'a>(&'a self, mounts: &mut Vec<&'a str>) -> Option<String> {
        if let Some(device) = self.device.as_deref().filter(|device| !device.starts_with("/dev/")) {
            return Some(format!(": the device '{device}' does not begin with /dev/"));
        }
        if self.partitions.is_empty() {
            return Some(" has no partitions".to_owned());
        }
        for (number, partition) in (1..).zip(&self.partitions) {
            let fault = if partition.size.is_none() && number < self.partitions.len() {
                Some("only the last partition of a disk may go without a size".to_owned())
            } else {
                partition.fault(mounts)
            };
            if let Some(fault) = fault {
                return Some(format!(", partition {number}: {fault}"));
            }
        }
        None
    }
}

impl Partition {
    fn fault<'a>(&'a self, mounts: &mut Vec<&'a str>) -> Option<String> {
        let mount = self.mount.as_deref()?;
        if matches!(self.filesystem, FileSystem::Swap | FileSystem::Bios) {
            return Some(format!("swap and bios cannot be mounted, at '{mount}' or elsewhere"));
        }
        if !mount.starts_with('/') {
            return Some(format!("the mount point '{mount}' does not begin with '/'"));
        }
        if mounts.contains(&mount) {
            return Some(format!("more than one partition is mounted at '{mount}'"));
        }
        mounts.push(mount);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [("512M", 512 << 20), ("1g", 1 << 30), ("2T", 2 << 40), ("100", 100)] {
            assert_eq!(text.parse::<Size>().unwrap(), Size(bytes));
        }
        assert_eq!(String::from(Size(512 << 20)), "512M");
        for text in ["", "G", "-1G", "0", "1.5G", "99999999999T"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_layout_says_what_is_wrong_with_it_and_where() {
        let root = r#"{"filesystem": "ext4", "mount": "/"}"#;
        let sized = r#"{"filesystem": "ext4", "mount": "/", "size": "9G"}"#;
        let swap = r#"{"filesystem": "swap", "mount": "/swap"}"#;
        let one = |partitions: &str| format!(r#"{{"disks": [{{"partitions": [{partitions}]}}]}}"#);
        let two =
            format!(r#"{{"disks": [{{"partitions": [{sized}]}}, {{"partitions": [{root}]}}]}}"#);
        for (layout, fault) in [
            (one(&format!("{root}, {root}")), "disk 1, partition 1: only the last partition"),
            (one(&format!("{sized}, {root}")), "disk 1, partition 2: more than one partition"),
            (one(&format!("{sized}, {swap}")), "disk 1, partition 2: swap and bios cannot"),
            (one(r#"{"filesystem": "xfs", "mount": "data"}"#), "disk 1, partition 1: the mount"),
            (one(r#"{"filesystem": "swap"}"#), "no partition is mounted at '/'"),
            (one(""), "disk 1 has no partitions"),
            (one(&root.replace("ext4", "zfs")), "it is no disk layout: unknown variant `zfs`"),
            (one(&sized.replace("9G", "lots")), "it is no disk layout: 'lots' is not a size"),
            (two, "disk 2 and disk 1 are the same"),
            (
                r#"{"disks": [{"device": "sda", "partitions": []}]}"#.to_owned(),
                "disk 1: the device",
            ),
            (r#"{"disc": []}"#.to_owned(), "it is no disk layout: unknown field `disc`"),
            ("hello world".to_owned(), "it is no disk layout: expected value at line 1 column 1"),
        ] {
            let said = DiskLayout::read(&layout).unwrap_err();
            assert!(said.starts_with(fault) && said.ends_with(FORMAT), "{layout}: {said}");
        }
        for layout in [r#"{"disks": []}"#, &one(root), "eyJkaXNrcyI6IFtdfQ=="] {
            assert!(DiskLayout::read(layout).is_ok(), "{layout}");
        }
    }

    #[test]
    fn the_examples_of_the_document_are_layouts() {
        let document = include_str!("../../../docs/disk-layout.md");
        let mut blocks = document.split("```json\n").skip(1);
        let examples: Vec<&str> =
            blocks.by_ref().filter_map(|text| text.split("```").next()).collect();
        assert_eq!(examples.len(), 2);
        for example in examples {
            assert!(!DiskLayout::read(example).unwrap().disks.is_empty(), "{example}");
        }
    }
}
