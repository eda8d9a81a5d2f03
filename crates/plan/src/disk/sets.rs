//! The disk layout of the existing command line, version 2: sets of disks with volumes. Here it is read, checked, and turned into a
//! layout of ours; what ours cannot say is refused with the reason, since a node would be installed otherwise than somebody wrote.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::Value;

use super::{Disk, DiskLayout, FileSystem, Partition, Size};
use crate::{boolean, whole_number};

const VERSION: u64 = 2;
/// What a volume takes that takes all that is left.
const ALL: &str = "100%";
const PETA: u64 = 1 << 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Layout {
    #[serde(default)]
    version: Option<Whole>,
    sets: Vec<Set>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    role: Word,
    #[serde(default)]
    name: Option<Word>,
    #[serde(default)]
    selection: Option<Word>,
    #[serde(default)]
    devices: Option<Vec<String>>,
    #[serde(default, rename = "match")]
    wanted: Option<serde_json::Map<String, Value>>,
    #[serde(default)]
    count: Option<Whole>,
    #[serde(default)]
    spares: Option<Whole>,
    #[serde(default)]
    raid: Option<Word>,
    #[serde(default)]
    save: Option<Flag>,
    #[serde(default)]
    persistent: Option<Flag>,
    #[serde(default)]
    volumes: Option<Vec<Volume>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Volume {
    #[serde(default)]
    name: Option<Word>,
    #[serde(default)]
    mountpoint: Option<Word>,
    #[serde(default)]
    fs: Option<Word>,
    #[serde(default)]
    provider: Option<Word>,
    #[serde(default)]
    size: Option<Word>,
    #[serde(default)]
    options: Option<Word>,
    #[serde(default)]
    clear_uefi_nvram: Option<Flag>,
}

/// A word, which programs may write as a number.
struct Word(String);
/// A whole number, which programs may write as a text.
struct Whole(u64);
/// A boolean in any of its spellings.
struct Flag(bool);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            other => Err(D::Error::custom(format!("{other} is not a word"))),
        }
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Word(text) = Word::deserialize(deserializer)?;
        let number = whole_number(text.trim());
        number.map(Self).ok_or_else(|| D::Error::custom(format!("'{text}' is not a whole number")))
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        boolean(&text)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("{value} is neither true nor false")))
    }
}

/// The layout of ours that says the same; the failure is a sentence on what is wrong, or cannot be done yet, and where.
pub(super) fn read(text: &str) -> Result<DiskLayout, String> {
    let layout: Layout =
        serde_json::from_str(text).map_err(|error| format!("it is no disk layout: {error}"))?;
    if let Some(Whole(version)) = layout.version.filter(|version| version.0 != VERSION) {
        return Err(format!("its version is {version}, and only version {VERSION} is known"));
    }
    if layout.sets.is_empty() {
        return Err("it has no set".to_owned());
    }
    let numbered = || (1..).zip(&layout.sets);
    for (number, set) in numbered() {
        let name = set.name();
        if let Some((other, _)) =
            numbered().take_while(|(other, _)| *other < number).find(|(_, set)| set.name() == name)
        {
            return Err(format!("set {number} and set {other} have one name, '{name}'"));
        }
    }
    let disks = numbered().map(|(number, set)| {
        set.disk().map_err(|fault| format!("set {number} ({}){fault}", set.name()))
    });
    let layout = DiskLayout { disks: disks.collect::<Result<_, _>>()?, ..DiskLayout::default() };
    match layout.fault() {
        Some(fault) => Err(in_words_of_sets(&fault)),
        None => Ok(layout),
    }
}

/// Disks and sets are the same here, partitions and volumes, too: where a fault is, that is, and not in the names that it quotes.
fn in_words_of_sets(fault: &str) -> String {
    let place = fault.find([':', '\'']).unwrap_or(fault.len());
    let (place, rest) = fault.split_at_checked(place).unwrap_or((fault, ""));
    format!("{}{rest}", place.replace("partition", "volume").replace("disk", "set"))
}

impl Set {
    fn name(&self) -> &str {
        self.name.as_ref().map_or(&self.role.0, |name| &name.0)
    }

    /// The disk of the set. The failure is read behind the set's number.
    fn disk(&self) -> Result<Disk, String> {
        let refuse = |text: String| Err(format!(": {text}"));
        let not_yet = |what: &str| refuse(format!("{what} cannot be installed yet"));
        if !matches!(self.role.0.as_str(), "os" | "data") {
            return refuse(format!("the role '{}' is neither os nor data", self.role.0));
        }
        let devices = self.devices.as_deref().unwrap_or_default();
        let selection = self.selection.as_ref().map(|word| word.0.as_str());
        match (selection, devices) {
            (None | Some("manual"), [_]) | (None | Some("discover"), []) => {}
            (Some("manual"), []) => return refuse("it is manual, and names no device".to_owned()),
            (Some("discover"), _) => {
                return refuse(
                    "it is to be discovered, and names devices; leave out one".to_owned(),
                );
            }
            (None | Some("manual"), _) => return not_yet("a set of several devices"),
            (Some(other), _) => {
                return refuse(format!("the selection '{other}' is neither manual nor discover"));
            }
        }
        if self.wanted.as_ref().is_some_and(|wanted| !wanted.is_empty()) {
            return not_yet("a choice of disks by 'match'");
        }
        if self.count.as_ref().is_some_and(|count| count.0 > 1) {
            return not_yet("a set of several disks");
        }
        if self.spares.as_ref().is_some_and(|spares| spares.0 > 0) {
            return not_yet("spare disks");
        }
        if let Some(Word(raid)) = self.raid.as_ref().filter(|raid| raid.0 != "none") {
            return not_yet(&format!("RAID ({raid})"));
        }
        if [&self.save, &self.persistent].into_iter().flatten().any(|flag| flag.0) {
            return not_yet("a set whose content is kept (save, persistent)");
        }
        let volumes = self.volumes.as_deref().unwrap_or_default();
        let mut partitions = Vec::new();
        for (number, volume) in (1..).zip(volumes) {
            let same = |other: &Volume| {
                other.name.as_ref().map(|name| &name.0) == volume.name.as_ref().map(|name| &name.0)
            };
            if volume.name.is_some() && volumes.iter().take(number - 1).any(same) {
                return Err(format!(", volume {number}: another volume has its name"));
            }
            let is_last = number == volumes.len();
            let partition = volume.partition(is_last);
            partitions.push(partition.map_err(|fault| format!(", volume {number}: {fault}"))?);
        }
        Ok(Disk { device: devices.first().cloned(), partitions, ..Disk::default() })
    }
}

impl Volume {
    fn partition(&self, is_last: bool) -> Result<Partition, String> {
        let word = |word: &Option<Word>| word.as_ref().map(|word| word.0.clone());
        let mount = word(&self.mountpoint).ok_or("it says no mountpoint; write a path, or swap")?;
        match word(&self.provider).as_deref() {
            None if matches!(mount.as_str(), "/boot/efi" | "/boot" | "swap") => {}
            Some("partition") => {}
            // The command line fills it in; where nothing is said it is a logical volume.
            None | Some("lvm") => {
                return Err("logical volumes (provider lvm) cannot be installed yet; write provider partition".to_owned());
            }
            Some("memory") => {
                return Err("a root in memory is what a node without a disk layout has; leave the layout out".to_owned());
            }
            Some("zpool") => return Err("ZFS (provider zpool) cannot be installed yet".to_owned()),
            Some(other) => {
                return Err(format!(
                    "the provider '{other}' is none of partition, lvm, memory and zpool"
                ));
            }
        }
        if self.clear_uefi_nvram.as_ref().is_some_and(|flag| flag.0) {
            return Err(
                "the firmware's boot entries cannot be cleared yet (clear_uefi_nvram)".to_owned()
            );
        }
        let usual = match mount.as_str() {
            "/boot/efi" => "vfat",
            "swap" => "swap",
            _ => "xfs",
        };
        let filesystem = match (word(&self.fs).as_deref().unwrap_or(usual), mount.as_str()) {
            ("vfat", "/boot/efi") => FileSystem::Esp,
            ("vfat", _) => return Err("vfat is installed at /boot/efi alone".to_owned()),
            ("swap", "swap") => FileSystem::Swap,
            (fs @ ("xfs" | "ext4"), "swap") | (fs @ "swap", _) => {
                return Err(format!("the file system {fs} cannot be mounted at '{mount}'"));
            }
            ("xfs", _) => FileSystem::Xfs,
            ("ext4", _) => FileSystem::Ext4,
            (other, _) => return Err(format!("the file system '{other}' cannot be installed yet")),
        };
        let usual = match mount.as_str() {
            "/boot/efi" => Some("600M"),
            "/boot" => Some("1G"),
            "/" => Some(ALL),
            _ => None,
        };
        let size = word(&self.size).or_else(|| usual.map(str::to_owned));
        let size = size.map(|size| bytes(&size, is_last)).transpose()?.flatten();
        if mount == "swap" && size.is_none() {
            return Err("swap needs a size".to_owned());
        }
        Ok(Partition {
            size,
            filesystem,
            mount: (mount != "swap").then_some(mount),
            label: None,
            options: word(&self.options).filter(|options| !options.is_empty()),
        })
    }
}

/// A size: a number, which may have a fraction, and a unit; `None` is all that is left.
fn bytes(text: &str, is_last: bool) -> Result<Option<Size>, String> {
    let text = text.trim();
    if text.ends_with('%') {
        return if text == ALL && is_last {
            Ok(None)
        } else {
            Err(format!(
                "the size {text} cannot be installed yet: only the last volume can take {ALL}, of what is left"
            ))
        };
    }
    let wrong =
        || format!("'{text}' is not a size; write a number and K, M, G, T or P, such as 1.5G");
    let upper = text.to_ascii_uppercase();
    let units = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30), ('T', 1 << 40), ('P', PETA)];
    let unit = units.into_iter().find(|(letter, _)| upper.ends_with(*letter));
    let (digits, factor) = match unit {
        Some((letter, factor)) => (upper.strip_suffix(letter).unwrap_or_default(), factor),
        None => (upper.as_str(), 1_u64),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    // A fraction of so many digits is exact enough for any disk.
    let fraction: String = fraction.chars().take(9).collect();
    let parse = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<u64>().ok()).flatten().ok_or_else(wrong)
    };
    let whole = whole_number(whole).and_then(|whole| whole.checked_mul(factor));
    let whole = whole.ok_or_else(wrong)?;
    let part = u128::from(parse(&fraction)?) * u128::from(factor);
    let scale = u32::try_from(fraction.len()).map_or(1, |digits| 10_u128.pow(digits));
    let part = u64::try_from(part / scale).map_err(|_error| wrong())?;
    let bytes = whole.checked_add(part).filter(|bytes| *bytes > 0).ok_or_else(wrong)?;
    Ok(Some(Size(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the command line sends it: keys sorted, defaults filled in.
    const SENT: &str = r#"{"sets":[{"devices":["/dev/nvme0n1"],"name":"os","raid":"none","role":"os","selection":"manual","volumes":[
        {"fs":"vfat","mountpoint":"/boot/efi","name":"uefi","provider":"partition","size":"600M"},
        {"fs":"swap","mountpoint":"swap","name":"swap","provider":"partition","size":"1.5G"},
        {"fs":"ext4","mountpoint":"/","name":"root","options":"noatime","provider":"partition","size":"100%"}]}],"version":2}"#;

    #[test]
    fn partitions_of_one_disk_are_installed_as_they_are_written() {
        let layout = read(SENT).unwrap();
        let [disk] = layout.disks.as_slice() else { panic!("{layout:?}") };
        assert_eq!(disk.device.as_deref(), Some("/dev/nvme0n1"));
        let parts: Vec<_> = disk
            .partitions
            .iter()
            .map(|part| {
                (part.filesystem, part.mount.as_deref(), part.size, part.options.as_deref())
            })
            .collect();
        assert_eq!(
            parts,
            [
                (FileSystem::Esp, Some("/boot/efi"), Some(Size(600 << 20)), None),
                (FileSystem::Swap, None, Some(Size(3 << 29)), None),
                (FileSystem::Ext4, Some("/"), None, Some("noatime")),
            ]
        );
        // The first disk that is not removable, and what the command line would fill in.
        let discovered = r#"{"sets":[{"role":"os","selection":"discover","raid":null,"volumes":[{"mountpoint":"/boot/efi"},
            {"mountpoint":"/","provider":"partition"}]},{"role":"data","devices":["/dev/sdb"],"volumes":[
            {"mountpoint":"/data","provider":"partition","size":"1P"}]}]}"#;
        let layout = read(discovered).unwrap();
        assert_eq!(layout.disks[0].device, None);
        assert_eq!(layout.disks[0].partitions[1].filesystem, FileSystem::Xfs);
        assert_eq!(layout.disks[1].partitions[0].size, Some(Size(PETA)));
    }

    #[test]
    fn what_is_wrong_or_cannot_be_installed_yet_is_told_with_its_place() {
        let root = r#""mountpoint":"/","name":"root","options":"noatime""#;
        for (from, to, expected) in [
            (r#""raid":"none""#, r#""raid":"1""#, "set 1 (os): RAID (1) cannot be installed yet"),
            (r#""raid":"none""#, r#""raid":5"#, "set 1 (os): RAID (5)"),
            (r#""raid":"none""#, r#""spares":1"#, "set 1 (os): spare disks"),
            (r#""raid":"none""#, r#""count":2"#, "set 1 (os): a set of several disks"),
            (r#""raid":"none""#, r#""persistent":"on""#, "set 1 (os): a set whose content is kept"),
            (r#""raid":"none""#, r#""match":{"min_size":"1T"}"#, "set 1 (os): a choice of disks"),
            (
                r#"["/dev/nvme0n1"]"#,
                r#"["/dev/sda","/dev/sdb"]"#,
                "set 1 (os): a set of several devices",
            ),
            (r#"["/dev/nvme0n1"]"#, r#"["nvme0n1"]"#, "set 1: the device 'nvme0n1' does not begin"),
            (r#"["/dev/nvme0n1"]"#, "[]", "set 1 (os): it is manual, and names no device"),
            (
                r#""manual""#,
                r#""discover""#,
                "set 1 (os): it is to be discovered, and names devices",
            ),
            (r#""manual""#, r#""any""#, "set 1 (os): the selection 'any'"),
            (r#""role":"os""#, r#""role":"swap""#, "set 1 (os): the role 'swap'"),
            (r#""role":"os","#, "", "it is no disk layout: missing field `role`"),
            ("\"version\":2", "\"version\":3", "its version is 3"),
            ("\"raid\"", "\"riad\"", "it is no disk layout: unknown field `riad`"),
            (root, r#""mountpoint":"/","provider2":1"#, "it is no disk layout: unknown field"),
            ("100%", "50%", "set 1 (os), volume 3: the size 50% cannot be installed yet"),
            ("100%", "lots", "set 1 (os), volume 3: 'lots' is not a size"),
            ("1.5G", "1.5.5G", "set 1 (os), volume 2: '1.5.5G' is not a size"),
            ("1.5G", "100%", "set 1 (os), volume 2: the size 100%"),
            ("\"ext4\"", "\"zfs\"", "set 1 (os), volume 3: the file system 'zfs'"),
            ("\"ext4\"", "\"vfat\"", "set 1 (os), volume 3: vfat is installed at /boot/efi alone"),
            (
                "\"swap\",\"mountpoint\":\"swap\"",
                "\"xfs\",\"mountpoint\":\"swap\"",
                "set 1 (os), volume 2: the file system xfs",
            ),
            (
                "\"mountpoint\":\"/\",",
                "\"mountpoint\":\"data\",",
                "set 1, volume 3: the mount point 'data'",
            ),
            ("\"mountpoint\":\"/\",", "\"mountpoint\":\"/x\",", "no volume is mounted at '/'"),
            ("\"mountpoint\":\"/\",", "", "set 1 (os), volume 3: it says no mountpoint"),
            (
                "\"name\":\"root\"",
                "\"name\":\"swap\"",
                "set 1 (os), volume 3: another volume has its name",
            ),
            (
                "\"600M\"",
                "\"600M\",\"clear_uefi_nvram\":true",
                "set 1 (os), volume 1: the firmware's boot entries",
            ),
        ] {
            let text = SENT.replacen(from, to, 1);
            assert_ne!(text, SENT, "{from}");
            let fault = read(&text).unwrap_err();
            assert!(fault.starts_with(expected), "{expected}: {fault}");
        }
    }

    #[test]
    fn names_in_a_fault_are_those_that_were_given() {
        for (device, expected) in [
            ("/dev/disk/by-id/foo-1", "set 1: the device '/dev/disk/by-id/foo-1' cannot be found"),
            ("/dev/disk/by-partuuid/1", "set 1: the device '/dev/disk/by-partuuid/1' goes by"),
            ("disk:partition", "set 1: the device 'disk:partition' does not begin with /dev/"),
        ] {
            let fault = read(&SENT.replace("/dev/nvme0n1", device)).unwrap_err();
            assert!(fault.starts_with(expected), "{fault}");
        }
        let fault = read(&SENT.replace("\"/\"", "\"/disk//partition\"")).unwrap_err();
        assert!(
            fault.starts_with("set 1, volume 3: the mount point '/disk//partition' must be"),
            "{fault}"
        );
    }

    #[test]
    fn providers_and_sets_that_cannot_be_installed_are_told_apart() {
        for (provider, expected) in [
            ("lvm", "logical volumes"),
            ("zpool", "ZFS"),
            ("memory", "a root in memory"),
            ("disk", "the provider 'disk' is none of"),
        ] {
            let provider = format!("noatime\",\"provider\":\"{provider}\"");
            let text = SENT.replace("noatime\",\"provider\":\"partition\"", &provider);
            let fault = read(&text).unwrap_err();
            assert!(fault.starts_with(&format!("set 1 (os), volume 3: {expected}")), "{fault}");
        }
        for (text, expected) in [
            (r#"{"sets":[]}"#, "it has no set"),
            (r#"{"sets":{}}"#, "it is no disk layout"),
            (r#"{"sets":[{"role":"os"}]}"#, "set 1 has no volumes"),
            (r#"{"sets":[{"role":"os"},{"role":"os"}]}"#, "set 2 and set 1 have one name, 'os'"),
            (
                r#"{"sets":[{"role":"os","role":"data"}]}"#,
                "it is no disk layout: duplicate field `role`",
            ),
        ] {
            let fault = read(text).unwrap_err();
            assert!(fault.starts_with(expected), "{text}: {fault}");
        }
    }
}
