//! The list of what UEFI firmware starts, in its variables (UEFI specification, sections 3.1 and 10.3): one entry that is ours, found
//! again by its name, and the order that the site wants. Nothing here keeps a node from being installed.

mod entry;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use perilune_plan::BootOrder;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::console::Console;
use crate::disk::Made;
use crate::hardware::load_module;
use entry::{Partition, is_network, label};

const VARIABLES: &str = "/sys/firmware/efi/efivars";
/// The vendor of variables that the specification names.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Kept without power, and read by firmware and system.
const ATTRIBUTES: u32 = 1 | 2 | 4;
/// By this the entry is known.
const LABEL: &str = "Perilune";

/// What firmware has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct List {
    entries: BTreeMap<u16, Vec<u8>>,
    order: Vec<u16>,
    /// What this start came from.
    current: Option<u16>,
}

/// What is to be written.
#[derive(Debug, PartialEq, Eq, Default)]
struct Changes {
    entry: Option<(u16, Vec<u8>)>,
    order: Option<Vec<u16>>,
    removed: Vec<u16>,
}

/// Brings the list to the order that the site wants, with `file` of the EFI system partition as our entry.
pub(super) fn set_order(esp: &Made, file: &str, order: BootOrder, console: &Console) {
    match try_set_order(esp, file, order) {
        Ok(false) => console.line("the firmware's boot order is as it shall be"),
        Ok(true) => console.line(match order {
            BootOrder::Network => "the firmware starts from the network first, then from this disk",
            BootOrder::Disk => "the firmware starts from this disk first",
        }),
        Err(error) => console.warning(&format!(
            "the firmware's boot order stays as it is: {error:#}; set it in the firmware's setup"
        )),
    }
}

/// Answers whether anything was written.
fn try_set_order(esp: &Made, file: &str, order: BootOrder) -> Result<bool> {
    let place = Path::new(VARIABLES);
    load_module("efivarfs");
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("efivarfs", place, "efivarfs", flags, None)
        .with_context(|| format!("cannot mount efivarfs at {VARIABLES}"))?;
    let set = || {
        let wanted = entry::render(LABEL, &partition(&esp.disk, &esp.device)?, file);
        let list = read(place)?;
        let changes =
            decide(&list, wanted, order).ok_or_else(|| anyhow!("it has no free entry"))?;
        write(place, &changes)?;
        Ok(changes != Changes::default())
    };
    let written = set();
    unmount(place, UnmountFlags::empty()).ok();
    written
}

/// What has to change. Nothing when all numbers are taken.
fn decide(list: &List, wanted: Vec<u8>, order: BootOrder) -> Option<Changes> {
    let is_ours = |entry: &Vec<u8>| label(entry).as_deref() == Some(LABEL);
    let ours: Vec<u16> = list
        .entries
        .iter()
        .filter(|(_, entry)| is_ours(entry))
        .map(|(&number, _)| number)
        .collect();
    // That which firmware would start is kept.
    let kept = list.order.iter().copied().find(|number| ours.contains(number));
    let kept = kept.or_else(|| ours.first().copied());
    let number = kept.or_else(|| (0..=u16::MAX).find(|free| !list.entries.contains_key(free)))?;
    let others =
        list.order.iter().copied().filter(|other| *other != number && !ours.contains(other));
    let from_network = |number: &u16| {
        let entry = list.entries.get(number);
        entry.is_some_and(|entry| is_network(entry, list.current == Some(*number)))
    };
    let new_order: Vec<u16> = match order {
        BootOrder::Disk => [number].into_iter().chain(others).collect(),
        BootOrder::Network => {
            let (network, rest): (Vec<u16>, Vec<u16>) = others.partition(from_network);
            network.into_iter().chain([number]).chain(rest).collect()
        }
    };
    Some(Changes {
        entry: (list.entries.get(&number) != Some(&wanted)).then_some((number, wanted)),
        order: (new_order != list.order).then_some(new_order),
        removed: ours.into_iter().filter(|other| *other != number).collect(),
    })
}

fn variable(place: &Path, name: &str) -> PathBuf {
    place.join(format!("{name}-{GLOBAL}"))
}

fn boot_name(number: u16) -> String {
    format!("Boot{number:04X}")
}

/// The content of a variable without its attributes; nothing when the variable does not exist.
fn value(place: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    match fs::read(variable(place, name)) {
        Ok(bytes) => Ok(bytes.get(4..).map(<[u8]>::to_vec)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {name}")),
    }
}

fn read(place: &Path) -> Result<List> {
    let mut list = List::default();
    let entries = fs::read_dir(place).with_context(|| format!("cannot read {VARIABLES}"))?;
    for file in entries.filter_map(Result::ok) {
        let name = file.file_name().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(&format!("-{GLOBAL}")) else { continue };
        let Some(digits) = name.strip_prefix("Boot").filter(|digits| digits.len() == 4) else {
            continue;
        };
        let Ok(number) = u16::from_str_radix(digits, 16) else { continue };
        if let Some(entry) = value(place, name)? {
            list.entries.insert(number, entry);
        }
    }
    list.order = numbers(&value(place, "BootOrder")?.unwrap_or_default());
    list.current = numbers(&value(place, "BootCurrent")?.unwrap_or_default()).first().copied();
    Ok(list)
}

fn numbers(bytes: &[u8]) -> Vec<u16> {
    let (pairs, _) = bytes.as_chunks::<2>();
    pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect()
}

/// The entry first: an order never names what is not there.
fn write(place: &Path, changes: &Changes) -> Result<()> {
    let put = |name: &str, content: &[u8]| {
        let bytes = [&ATTRIBUTES.to_le_bytes(), content].concat();
        // As one call of the system: a variable is written as a whole.
        fs::write(variable(place, name), bytes).with_context(|| format!("cannot write {name}"))
    };
    if let Some((number, entry)) = &changes.entry {
        put(&boot_name(*number), entry)?;
    }
    if let Some(order) = &changes.order {
        let bytes: Vec<u8> = order.iter().flat_map(|number| number.to_le_bytes()).collect();
        put("BootOrder", &bytes)?;
    }
    for number in &changes.removed {
        let name = boot_name(*number);
        fs::remove_file(variable(place, &name))
            .with_context(|| format!("cannot remove {name}, which is ours as well"))?;
    }
    Ok(())
}

/// A partition as firmware names it, from the kernel and the table on the disk.
fn partition(disk: &Path, device: &Path) -> Result<Partition> {
    let number = |device: &Path, file: &str| -> Result<u64> {
        let name = device.file_name().unwrap_or_default();
        let path = Path::new("/sys/class/block").join(name).join(file);
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        text.trim().parse().with_context(|| format!("{} is not a number", path.display()))
    };
    let sector = number(disk, "queue/logical_block_size")?;
    let table = fs::File::open(disk).with_context(|| format!("cannot open {}", disk.display()))?;
    let of_disk = |bytes: u64| bytes.saturating_mul(512).checked_div(sector).unwrap_or_default();
    let index = u32::try_from(number(device, "partition")?)?;
    Ok(Partition {
        number: index,
        start: of_disk(number(device, "start")?),
        size: of_disk(number(device, "size")?),
        identity: identity(&table, sector, index)
            .with_context(|| format!("the partition table of {} cannot be read", disk.display()))?,
    })
}

/// The identity of a partition in a GPT (UEFI specification, section 5.3): the second half of the first 32 bytes of its entry.
fn identity(disk: &fs::File, sector: u64, number: u32) -> Result<[u8; 16]> {
    let mut header = [0; 92];
    disk.read_exact_at(&mut header, sector)?;
    if !header.starts_with(b"EFI PART") {
        return Err(anyhow!("it has no GPT"));
    }
    let long = |at: usize| {
        let bytes = header.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_le_bytes).unwrap_or_default()
    };
    let size = long(84) & u64::from(u32::MAX);
    let before = u64::from(number.saturating_sub(1)).saturating_mul(size);
    let at = long(72).saturating_mul(sector).saturating_add(before).saturating_add(16);
    let mut identity = [0; 16];
    disk.read_exact_at(&mut identity, at)?;
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use super::entry::tests::{NETWORK, OTHER};
    use super::*;
    use crate::tool;

    fn wanted(number: u32) -> Vec<u8> {
        let partition = Partition { number, start: 2048, size: 4096, identity: [7; 16] };
        entry::render(LABEL, &partition, "/EFI/BOOT/BOOTX64.EFI")
    }

    fn list(order: &[u16]) -> List {
        let entries = [(0, OTHER.to_vec()), (1, NETWORK.to_vec()), (2, OTHER.to_vec())];
        List { entries: entries.into(), order: order.to_vec(), current: None }
    }

    #[test]
    fn the_network_or_the_disk_comes_first_as_the_site_wants_it() {
        let changes = decide(&list(&[0, 1, 2]), wanted(1), BootOrder::Network).unwrap();
        assert_eq!(changes.order, Some(vec![1, 3, 0, 2]));
        assert_eq!(changes.entry, Some((3, wanted(1))));
        let changes = decide(&list(&[0, 1, 2]), wanted(1), BootOrder::Disk).unwrap();
        assert_eq!(changes.order, Some(vec![3, 0, 1, 2]));
        // What the machine was started by now, and is no disk, is the network.
        let mut booted = List { current: Some(2), ..list(&[0, 2, 1]) };
        booted.entries.insert(2, entry::tests::nameless());
        let changes = decide(&booted, wanted(1), BootOrder::Network).unwrap();
        assert_eq!(changes.order, Some(vec![2, 1, 3, 0]));
    }

    #[test]
    fn an_entry_of_ours_is_used_again_and_doubles_go() {
        let mut list = list(&[1, 5, 0, 4]);
        list.entries.insert(4, wanted(1));
        list.entries.insert(5, wanted(2));
        let changes = decide(&list, wanted(3), BootOrder::Network).unwrap();
        assert_eq!(changes.entry, Some((5, wanted(3))));
        assert_eq!(changes.order, Some(vec![1, 5, 0]));
        assert_eq!(changes.removed, [4]);
        // Installed anew to the same place: nothing is written.
        list.entries.remove(&4);
        list.order = vec![1, 5, 0];
        let changes = decide(&list, wanted(2), BootOrder::Network).unwrap();
        assert_eq!(changes, Changes::default());
    }

    #[test]
    fn full_firmware_is_told() {
        let entries = (0..=u16::MAX).map(|number| (number, OTHER.to_vec())).collect();
        assert_eq!(decide(&List { entries, ..List::default() }, wanted(1), BootOrder::Disk), None);
    }

    #[test]
    fn variables_are_written_and_read_again() {
        let place = tempfile::tempdir().unwrap();
        let changes = Changes {
            entry: Some((0xab, wanted(1))),
            order: Some(vec![0xab, 1]),
            removed: Vec::new(),
        };
        write(place.path(), &changes).unwrap();
        fs::write(variable(place.path(), "BootCurrent"), [6, 0, 0, 0, 1, 0]).unwrap();
        fs::write(place.path().join("Boot0001-another-vendor"), [0; 9]).unwrap();
        let bytes = fs::read(variable(place.path(), "Boot00AB")).unwrap();
        assert_eq!(bytes.get(..4), Some([7, 0, 0, 0].as_slice()));
        let expected =
            List { entries: [(0xab, wanted(1))].into(), order: vec![0xab, 1], current: Some(1) };
        assert_eq!(read(place.path()).unwrap(), expected);
        let changes = Changes { removed: vec![0xab], ..Changes::default() };
        write(place.path(), &changes).unwrap();
        assert!(read(place.path()).unwrap().entries.is_empty());
    }

    #[test]
    fn the_identity_of_a_partition_is_read_from_its_table() {
        if !tool::exists("sfdisk") {
            return;
        }
        let disk = tempfile::NamedTempFile::new().unwrap();
        disk.as_file().set_len(16 << 20).unwrap();
        let script = "label: gpt\nsize=1M\nsize=2M,uuid=00112233-4455-6677-8899-AABBCCDDEEFF\n";
        tool::feed("sfdisk", ["--quiet".as_ref(), disk.path().as_os_str()], script).unwrap();
        let found = identity(disk.as_file(), 512, 2).unwrap();
        let expected = [
            0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee,
            0xff,
        ];
        assert_eq!(found, expected);
        let empty = tempfile::NamedTempFile::new().unwrap();
        empty.as_file().set_len(1 << 20).unwrap();
        assert!(identity(empty.as_file(), 512, 2).is_err());
    }
}
