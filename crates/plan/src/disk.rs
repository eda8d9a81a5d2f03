//! A declarative disk layout.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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
    /// What is wrong with a layout, in a sentence; `None` when nothing is.
    pub fn fault(&self) -> Option<String> {
        let partitions = || self.disks.iter().flat_map(|disk| &disk.partitions);
        for disk in &self.disks {
            let open =
                disk.partitions.iter().rev().skip(1).any(|partition| partition.size.is_none());
            if open {
                return Some("only the last partition of a disk may go without a size".to_owned());
            }
        }
        if let Some(bad) = partitions()
            .filter_map(|partition| partition.mount.as_deref())
            .find(|mount| !mount.starts_with('/'))
        {
            return Some(format!("the mount point '{bad}' does not begin with '/'"));
        }
        let roots =
            partitions().filter(|partition| partition.mount.as_deref() == Some("/")).count();
        match (self.disks.is_empty(), roots) {
            (true, _) | (false, 1) => None,
            (false, 0) => Some("no partition is mounted at '/'".to_owned()),
            (false, _) => Some("more than one partition is mounted at '/'".to_owned()),
        }
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
    fn a_layout_says_what_is_wrong_with_it() {
        let layout = |json: &str| serde_json::from_str::<DiskLayout>(json).unwrap();
        assert_eq!(layout(r#"{"disks": []}"#).fault(), None);
        let root = r#"{"filesystem": "ext4", "mount": "/"}"#;
        assert_eq!(layout(&format!(r#"{{"disks": [{{"partitions": [{root}]}}]}}"#)).fault(), None);
        let two = format!(r#"{{"disks": [{{"partitions": [{root}, {root}]}}]}}"#);
        assert!(layout(&two).fault().unwrap().contains("last partition"));
        let none = r#"{"disks": [{"partitions": [{"filesystem": "swap"}]}]}"#;
        assert!(layout(none).fault().unwrap().contains("no partition"));
        assert!(serde_json::from_str::<DiskLayout>(r#"{"disc": []}"#).is_err());
    }
}
