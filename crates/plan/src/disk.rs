//! A declarative disk layout.

mod check;
mod device;
mod sets;

use std::fmt;
use std::str::FromStr;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{decode_if_encoded, whole_number};

/// Where whoever gave a wrong one reads on.
const FORMAT: &str = "docs/disk-layout.md tells how one is written";

/// How disks are laid out. Without a disk: the first one, with an EFI system partition and a root over the rest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanDiskLayout))]
#[serde(deny_unknown_fields)]
pub struct DiskLayout {
    /// The disks; all others are left alone.
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// What the existing command line adds to any layout; it says nothing.
    #[serde(default, skip_serializing)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    version: Option<Value>,
}

/// What is on top of a layout.
#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    sets: Option<IgnoredAny>,
    #[serde(default)]
    disks: Option<IgnoredAny>,
}

/// Whether a layout and all its parts are objects. A list in the place of one would be read as its fields in their order here.
fn is_of_objects(value: &Value) -> bool {
    const PARTS: [&str; 4] = ["disks", "partitions", "sets", "volumes"];
    let Value::Object(object) = value else { return false };
    let parts = object.iter().filter(|(key, _)| PARTS.contains(&key.as_str()));
    parts.filter_map(|(_, parts)| parts.as_array()).flatten().all(is_of_objects)
}

/// Whether this is the version that the existing command line writes on its own.
fn is_filled_in(version: &Value) -> bool {
    *version == 2 || *version == "2" || version.is_null()
}

/// One disk and its GPT partitions. All that was on it is lost.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanDisk))]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// The device, such as `/dev/nvme0n1` or `/dev/disk/by-id/…`; unset means the first disk that is not removable.
    #[serde(default)]
    pub device: Option<String>,
    /// Instead of the device: its serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Instead of the device: its world wide name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwn: Option<String>,
    /// Instead of the device: a part of its model's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Instead of the device: what it is connected by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus: Option<Bus>,
    /// Instead of the device: how large it is at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Size>,
    /// Of those that are left, the smallest or the largest; unset means the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pick: Option<Pick>,
    /// Its partitions, in order.
    pub partitions: Vec<Partition>,
}

/// What a disk is connected by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanBus))]
#[serde(rename_all = "lowercase")]
pub enum Bus {
    /// Non-volatile memory express.
    Nvme,
    /// Serial ATA.
    Sata,
    /// Serial attached SCSI.
    Sas,
    /// Other SCSI, such as a RAID controller's volumes.
    Scsi,
    /// A virtual machine's disk.
    Virtio,
    /// USB.
    Usb,
    /// Memory cards and soldered flash.
    Mmc,
}

/// Which of several disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanPick))]
#[serde(rename_all = "lowercase")]
pub enum Pick {
    /// The smallest.
    Smallest,
    /// The largest.
    Largest,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanPartition))]
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
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanFileSystem))]
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
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanSize, value_type = String, example = "512M"))]
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
            Some((letter, factor)) => (upper.strip_suffix(letter).unwrap_or_default(), factor),
            None => (upper.as_str(), 1),
        };
        let number = whole_number(digits).ok_or_else(refuse)?;
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
    /// A layout as clients give it: JSON, or that in base64. The failure is a sentence on what is wrong, and where. The newest clients
    /// of existing sites have another schema under the same name; the key on top tells them apart.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = decode_if_encoded(text);
        let no_layout =
            |error: &dyn fmt::Display| format!("it is no disk layout: {error}; {FORMAT}");
        let value: Value = serde_json::from_str(&text).map_err(|error| no_layout(&error))?;
        if !is_of_objects(&value) {
            return Err(no_layout(
                &"it, its disks and sets, and their partitions and volumes must be objects",
            ));
        }
        let kind: Kind = serde_json::from_str(&text).map_err(|error| no_layout(&error))?;
        let layout = match (kind.sets, kind.disks) {
            (Some(_), Some(_)) => {
                Err("it has both disks and sets, which are two kinds of layout; keep one"
                    .to_owned())
            }
            (Some(_), None) => sets::read(&text),
            (None, _) => Self::of_disks(&text),
        };
        layout.map_err(|fault| format!("{fault}; {FORMAT}"))
    }

    fn of_disks(text: &str) -> Result<Self, String> {
        let mut layout: Self =
            serde_json::from_str(text).map_err(|error| format!("it is no disk layout: {error}"))?;
        if let Some(version) = layout.version.take().filter(|version| !is_filled_in(version)) {
            return Err(format!("its version is {version}; a layout with disks has none"));
        }
        layout.fault().map_or(Ok(layout), Err)
    }
}

impl Disk {
    /// Whether it means one disk and no other.
    pub fn is_named(&self) -> bool {
        self.device.is_some() || self.serial.is_some() || self.wwn.is_some()
    }

    pub(crate) fn is_chosen_as(&self, other: &Self) -> bool {
        let choice = |disk: &Self| Self { partitions: Vec::new(), ..disk.clone() };
        choice(self) == choice(other)
    }

    /// What is wrong with how it is chosen, to be read behind its number.
    pub(crate) fn fault_of_choice(&self) -> Option<String> {
        let is_described = self.serial.is_some()
            || self.wwn.is_some()
            || self.model.is_some()
            || self.bus.is_some()
            || self.at_least.is_some()
            || self.pick.is_some();
        if self.device.is_some() && is_described {
            return Some(": it has a device, so serial, wwn, model, bus, at_least and pick mean nothing; leave either out".to_owned());
        }
        let words = [("serial", &self.serial), ("wwn", &self.wwn), ("model", &self.model)];
        let is_blank =
            |word: &Option<String>| word.as_deref().is_some_and(|word| word.trim().is_empty());
        let blank = words.into_iter().find(|(_, word)| is_blank(word));
        blank.map(|(field, _)| format!(": {field} is empty; leave it out"))
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
        for text in [
            "",
            "G",
            "-1G",
            "0",
            "1.5G",
            "99999999999T",
            "1KK",
            "512MG",
            "+5G",
            "010G",
            "0",
            "5 G",
            "10GB",
        ] {
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
            (
                r#"{"disks": [{"device": "/dev/sda", "pick": "largest", "partitions": []}]}"#
                    .to_owned(),
                "disk 1: it has a device, so",
            ),
            (
                r#"{"disks": [{"serial": " ", "partitions": []}]}"#.to_owned(),
                "disk 1: serial is empty",
            ),
            (
                r#"{"disks": [{"bus": "floppy", "partitions": []}]}"#.to_owned(),
                "it is no disk layout: unknown variant `floppy`",
            ),
            (r#"{"disc": []}"#.to_owned(), "it is no disk layout: unknown field `disc`"),
            ("[]".to_owned(), "it is no disk layout: it, its disks"),
            ("null".to_owned(), "it is no disk layout: it, its disks"),
            (r#"[[{"partitions": []}]]"#.to_owned(), "it is no disk layout: it, its disks"),
            (
                r#"{"disks": [["/dev/sda", null, null, null, null, null, null, []]]}"#.to_owned(),
                "it is no disk layout: it, its disks",
            ),
            (one(r#"[null, "ext4", "/"]"#), "it is no disk layout: it, its disks"),
            (
                r#"{"sets": [{"role": "os", "volumes": [["root", "/"]]}]}"#.to_owned(),
                "it is no disk layout: it, its disks",
            ),
            ("hello world".to_owned(), "it is no disk layout: expected value at line 1 column 1"),
        ] {
            let said = DiskLayout::read(&layout).unwrap_err();
            assert!(said.starts_with(fault) && said.ends_with(FORMAT), "{layout}: {said}");
        }
        for layout in [r#"{"disks": []}"#, &one(root), "eyJkaXNrcyI6IFtdfQ=="] {
            assert!(DiskLayout::read(layout).is_ok(), "{layout}");
        }
    }

    /// A layout with one more partition before the root.
    fn beside_a_root(partition: &str) -> String {
        format!(
            r#"{{"disks": [{{"partitions": [{{"size": "9G", {partition}}}, {{"filesystem": "ext4", "mount": "/"}}]}}]}}"#
        )
    }

    #[test]
    fn what_the_programs_on_the_node_would_refuse_is_refused_when_it_is_given() {
        for (partition, fault) in [
            (r#""filesystem": "xfs", "label": "1234567890123""#, "has 13 bytes; one of xfs has 12"),
            (r#""filesystem": "ext4", "label": "12345678901234567""#, "one of ext4 has 16"),
            // mkswap cuts the sixteenth off without a word.
            (r#""filesystem": "swap", "label": "1234567890123456""#, "one of swap has 15"),
            (r#""filesystem": "esp", "label": "123456789012""#, "one of esp has 11"),
            (r#""filesystem": "xfs", "label": "äöüäöüß""#, "has 14 bytes"),
            (r#""filesystem": "esp", "label": "Ä""#, "ASCII"),
            (r#""filesystem": "esp", "label": "A.B""#, "none of *?.,"),
            (r#""filesystem": "esp", "label": " A""#, "cannot begin with a blank"),
            (r#""filesystem": "ext4", "label": "a\u0000b""#, "cannot be printed"),
            (r#""filesystem": "swap", "label": "a\n""#, "cannot be printed"),
            (r#""filesystem": "bios", "label": "grub""#, "has no label"),
            (r#""filesystem": "ext4", "mount": "/a b""#, "has blanks"),
            (r#""filesystem": "ext4", "mount": "/a\t""#, "has blanks"),
            (r#""filesystem": "ext4", "mount": "/data/""#, "must be written without"),
            (r#""filesystem": "ext4", "mount": "/a//b""#, "must be written without"),
            (r#""filesystem": "ext4", "mount": "/a/../b""#, "must be written without"),
            (r#""filesystem": "esp", "mount": "/""#, "cannot be on FAT"),
            (r#""filesystem": "ext4", "mount": "/usr""#, "must be on the root"),
            (r#""filesystem": "xfs", "mount": "/etc""#, "must be on the root"),
            (r#""filesystem": "xfs", "mount": "/run/x""#, "something of its own"),
            (r#""filesystem": "xfs", "mount": "/proc""#, "something of its own"),
            (r#""filesystem": "ext4", "options": "noatime, nofail""#, "have blanks"),
            (r#""filesystem": "ext4", "options": "noatime,,nofail""#, "is empty"),
            (r#""filesystem": "ext4", "options": "a\nUUID=1""#, "have blanks"),
        ] {
            let said = DiskLayout::read(&beside_a_root(partition)).unwrap_err();
            assert!(said.starts_with("disk 1, partition 1: ") && said.contains(fault), "{said}");
        }
        for partition in [
            r#""filesystem": "xfs", "label": "123456789012""#,
            r#""filesystem": "ext4", "label": "äöüäöüäö", "mount": "/srv/data""#,
            r#""filesystem": "esp", "label": "EFI SYSTEM", "mount": "/boot/efi""#,
            r#""filesystem": "ext4", "label": "", "mount": "/usr/local", "options": """#,
            r#""filesystem": "swap", "label": "swap space 1 15", "options": "discard,pri=10""#,
            r#""filesystem": "xfs", "mount": "/running", "options": "x-systemd.device-timeout=9""#,
        ] {
            assert_eq!(DiskLayout::read(&beside_a_root(partition)).err(), None, "{partition}");
        }
    }

    #[test]
    fn sizes_and_numbers_that_no_disk_has_are_refused() {
        let sized = |filesystem: &str, size: &str| {
            beside_a_root(&format!(r#""filesystem": "{filesystem}""#)).replace("9G", size)
        };
        for (layout, fault) in [
            (sized("xfs", "299M"), "299M is too small for xfs, which needs 300M"),
            (sized("esp", "32M"), "32M is too small for esp, which needs 33M"),
            (sized("esp", "100"), "100 is too small for esp"),
            (sized("swap", "1023K"), "1023K is too small for swap, which needs 1M"),
            (sized("bios", "31K"), "31K is too small for bios, which needs 1M"),
            (sized("ext4", "100"), "100 is too small for ext4, which needs 1M"),
        ] {
            let said = DiskLayout::read(&layout).unwrap_err();
            assert!(said.contains(fault), "{said}");
        }
        for layout in [
            sized("xfs", "300M"),
            sized("esp", "33M"),
            sized("swap", "1M"),
            sized("bios", "1M"),
            sized("ext4", "1M"),
        ] {
            assert_eq!(DiskLayout::read(&layout).err(), None, "{layout}");
        }
        let swap = r#"{"filesystem": "swap", "size": "1M"}"#;
        let root = r#"{"filesystem": "ext4", "mount": "/", "label": "twin"}"#;
        let many = |swap: &str, count: usize| {
            let all = [vec![swap; count], vec![root]].concat().join(", ");
            DiskLayout::read(&format!(r#"{{"disks": [{{"partitions": [{all}]}}]}}"#))
        };
        assert_eq!(many(swap, 127).err(), None);
        assert!(many(swap, 128).unwrap_err().contains("129 partitions"));
        let huge = swap.replace("1M", "16000000T");
        assert!(many(&huge, 2).unwrap_err().contains("partition 2: every disk is too small"));
        let twin = swap.replace("swap\"", "swap\", \"label\": \"twin\"");
        assert!(many(&twin, 1).unwrap_err().contains("has the label 'twin'"));
    }

    #[test]
    fn the_key_on_top_tells_which_kind_of_layout_it_is() {
        let root = r#"[{"partitions":[{"filesystem":"ext4","mount":"/"}]}]"#;
        let sets =
            r#"[{"role":"os","volumes":[{"mountpoint":"/","fs":"ext4","provider":"partition"}]}]"#;
        for (text, disks) in [
            (format!(r#"{{"disks":{root}}}"#), 1),
            (format!(r#"{{"disks":{root},"version":2}}"#), 1),
            (format!(r#"{{"sets":{sets}}}"#), 1),
            (format!(r#"{{"sets":{sets},"version":2}}"#), 1),
            (r#"{"version":2}"#.to_owned(), 0),
            ("{}".to_owned(), 0),
        ] {
            use base64::Engine as _;
            let encoded = base64::engine::general_purpose::STANDARD.encode(&text);
            for text in [text, encoded] {
                let layout = DiskLayout::read(&text).unwrap();
                assert_eq!(layout.disks.len(), disks, "{text}");
                // A node is told of disks alone.
                assert!(!serde_json::to_string(&layout).unwrap().contains("version"));
            }
        }
        for (text, fault) in [
            (format!(r#"{{"disks":{root},"sets":{sets}}}"#), "it has both disks and sets"),
            (r#"{"disks":[],"sets":[],"version":2}"#.to_owned(), "it has both disks and sets"),
            (format!(r#"{{"disks":{root},"version":3}}"#), "its version is 3"),
            (
                format!(r#"{{"sets":{sets},"sets":{sets}}}"#),
                "it is no disk layout: duplicate field",
            ),
            (
                r#"{"version":2,"role":"os"}"#.to_owned(),
                "it is no disk layout: unknown field `role`",
            ),
        ] {
            let said = DiskLayout::read(&text).unwrap_err();
            assert!(said.starts_with(fault) && said.ends_with(FORMAT), "{text}: {said}");
        }
    }

    #[test]
    fn the_examples_of_the_document_are_layouts() {
        let document = include_str!("../../../docs/disk-layout.md");
        let mut blocks = document.split("```json\n").skip(1);
        let examples: Vec<&str> =
            blocks.by_ref().filter_map(|text| text.split("```").next()).collect();
        assert_eq!(examples.len(), 3);
        for example in examples {
            assert!(!DiskLayout::read(example).unwrap().disks.is_empty(), "{example}");
        }
    }
}
