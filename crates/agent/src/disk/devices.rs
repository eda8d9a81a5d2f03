//! The disks of the machine, in an order that does not change from one boot to the next: that of their places in the
//! machine, and not that in which the kernel happened to find them. There is no udev that would name them.

use std::cmp::{Ordering, Reverse};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use perilune_plan::{self as plan, Bus, Pick};

use super::links;
use crate::console::bytes;

const BLOCK: &str = "/sys/block";
/// sysfs counts in these, whatever the disk's sectors are.
const SECTOR: u64 = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Its name below `/dev`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// A stick or a card, which is never chosen by itself.
    pub is_removable: bool,
    /// Where it is in the machine.
    place: PathBuf,
    /// What tells it from all others: serial number, world wide name.
    identities: Vec<String>,
    /// Its names below `/dev/disk`, as udev would make them.
    links: Vec<String>,
    model: String,
    bus: Option<Bus>,
}

/// All disks that can be written to.
pub fn all() -> Vec<Disk> {
    all_in(Path::new(BLOCK))
}

fn all_in(directory: &Path) -> Vec<Disk> {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let mut disks: Vec<Disk> = entries.filter_map(|entry| read(&entry.path())).collect();
    disks.sort_by(|one, other| {
        by_place(&one.place.to_string_lossy(), &other.place.to_string_lossy())
            .then_with(|| one.name.cmp(&other.name))
    });
    disks
}

fn read(entry: &Path) -> Option<Disk> {
    let value = |name: &str| {
        let text = fs::read_to_string(entry.join(name)).unwrap_or_default();
        text.trim_matches(|character: char| character.is_whitespace() || character == '\0')
            .to_owned()
    };
    let place = fs::canonicalize(entry).ok()?;
    let size = value("size").parse::<u64>().ok()?.checked_mul(SECTOR)?;
    // What is no hardware (loop devices, memory) has no device; optical drives are no disks.
    let name = entry.file_name()?.to_str()?.to_owned();
    let is_disk = entry.join("device").exists()
        && size > 0
        && value("ro") != "1"
        && value("hidden") != "1"
        && !name.starts_with("sr")
        && !name.starts_with("fd");
    if !is_disk {
        return None;
    }
    let page = fs::read(entry.join("device/vpd_pg80")).unwrap_or_default();
    let scsi_serial = String::from_utf8_lossy(page.get(4..).unwrap_or_default()).trim().to_owned();
    let mut identities = vec![
        value("serial"),
        value("device/serial"),
        value("wwid"),
        value("device/wwid"),
        scsi_serial,
    ];
    identities.retain(|identity| !identity.is_empty());
    let vendor_and_model = [value("device/vendor"), value("device/model")];
    let model = vendor_and_model.join(" ").trim().to_owned();
    let bus = bus(&name, &place.to_string_lossy());
    let is_removable = value("removable") == "1" || place.to_string_lossy().contains("/usb");
    let links = links::of(entry, &name, &place.to_string_lossy());
    Some(Disk { name, size, is_removable, place, identities, links, model, bus })
}

/// What a disk is connected by, from its name and place.
fn bus(name: &str, place: &str) -> Option<Bus> {
    let by_place = [
        ("/usb", Bus::Usb),
        ("/nvme", Bus::Nvme),
        ("/mmc_host", Bus::Mmc),
        ("/ata", Bus::Sata),
        ("/end_device-", Bus::Sas),
    ];
    if name.starts_with("nvme") {
        return Some(Bus::Nvme);
    }
    if name.starts_with("vd") {
        return Some(Bus::Virtio);
    }
    let found = by_place.into_iter().find(|(part, _)| place.contains(part)).map(|(_, bus)| bus);
    found.or_else(|| name.starts_with("sd").then_some(Bus::Scsi))
}

impl Disk {
    /// A disk that is told by its name alone.
    pub fn new(name: &str, size: u64) -> Self {
        let place = Path::new(BLOCK).join(name);
        let (bus, model) = (bus(name, ""), String::new());
        Self {
            name: name.to_owned(),
            size,
            is_removable: false,
            place,
            identities: Vec::new(),
            links: Vec::new(),
            model,
            bus,
        }
    }

    pub fn device(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// The device of its partition of this number.
    pub fn partition(&self, number: usize) -> PathBuf {
        let ends_in_digit = self.name.ends_with(|character: char| character.is_ascii_digit());
        let between = if ends_in_digit { "p" } else { "" };
        Path::new("/dev").join(format!("{}{between}{number}", self.name))
    }

    /// The partitions that are on it now.
    pub fn partitions(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(Path::new(BLOCK).join(&self.name))
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        let partitions = entries.filter(|entry| entry.path().join("partition").exists());
        partitions.map(|entry| Path::new("/dev").join(entry.file_name())).collect()
    }

    /// Whether it is as a layout describes it.
    fn is_as(&self, wanted: &plan::Disk) -> bool {
        let is_own = |identity: &Option<String>| {
            identity
                .as_deref()
                .is_none_or(|wanted| self.identities.iter().any(|own| plain(own) == plain(wanted)))
        };
        let is_model =
            wanted.model.as_deref().is_none_or(|model| plain(&self.model).contains(&plain(model)));
        is_own(&wanted.serial)
            && is_own(&wanted.wwn)
            && is_model
            && (wanted.bus.is_none() || wanted.bus == self.bus)
            && wanted.at_least.is_none_or(|size| self.size >= size.0)
    }

    /// What a person knows it by.
    pub fn title(&self) -> String {
        let model = [self.model.as_str(), self.identities.first().map_or("", String::as_str)];
        let model: Vec<&str> = model.into_iter().filter(|word| !word.is_empty()).collect();
        let about =
            if model.is_empty() { String::new() } else { format!(" ({})", model.join(", ")) };
        format!("/dev/{} of {}{about}", self.name, bytes(self.size))
    }

    /// Whether a name below `/dev/disk/by-id` may mean it, of which only the end is known: what identifies the disk. It is of the bus
    /// that the name says, and an identity of one or two characters is the end of too many names.
    fn is_identified_by(&self, name: &str) -> bool {
        const SHORTEST: usize = 3;
        let name = name.to_lowercase();
        let buses = [
            ("nvme-", Bus::Nvme),
            ("virtio-", Bus::Virtio),
            ("usb-", Bus::Usb),
            ("mmc-", Bus::Mmc),
        ];
        let bus = buses.into_iter().find(|(start, _)| name.starts_with(start)).map(|(_, bus)| bus);
        let is_of_bus = match bus {
            Some(bus) => self.bus == Some(bus),
            // These are names of disks that speak SCSI or ATA.
            None => name.starts_with("wwn-") || self.bus != Some(Bus::Nvme),
        };
        is_of_bus
            && self.identities.iter().any(|identity| {
                let identity = identity.trim_start_matches("naa.").to_lowercase().replace(' ', "_");
                let is_known = identity.len() >= SHORTEST;
                name.strip_suffix(&identity)
                    .is_some_and(|start| start.ends_with(['-', '_', 'x']) && is_known)
            })
    }
}

/// The disk that a layout means. Those that are `taken` by the layout already are not chosen unless they are named.
pub fn choose<'a>(disks: &'a [Disk], wanted: &plan::Disk, taken: &[&Disk]) -> Result<&'a Disk> {
    if wanted.is_named() {
        return named(disks, wanted);
    }
    // Whoever wants a stick says so.
    let is_wanted = |disk: &&Disk| {
        let is_usual = !disk.is_removable || matches!(wanted.bus, Some(Bus::Usb | Bus::Mmc));
        let is_free = !taken.contains(disk);
        is_usual && is_free && disk.is_as(wanted)
    };
    let mut fitting: Vec<&Disk> = disks.iter().filter(is_wanted).collect();
    match wanted.pick {
        None => {}
        Some(Pick::Smallest) => fitting.sort_by_key(|disk| disk.size),
        Some(Pick::Largest) => fitting.sort_by_key(|disk| Reverse(disk.size)),
    }
    match fitting.first() {
        Some(disk) => Ok(disk),
        None if is_described(wanted) => {
            bail!("this machine has no disk {} ({})", description(wanted), list(disks))
        }
        None => bail!("this machine has no disk that is not removable ({})", list(disks)),
    }
}

/// The one disk with this device, serial number or world wide name.
fn named<'a>(disks: &'a [Disk], wanted: &plan::Disk) -> Result<&'a Disk> {
    let mut matching: Vec<&Disk> = match wanted.device.as_deref() {
        Some(device) => match device.strip_prefix("/dev/disk/") {
            Some(link) => linked(disks, link),
            None => disks
                .iter()
                .filter(|disk| Some(disk.name.as_str()) == device.strip_prefix("/dev/"))
                .collect(),
        },
        None => disks.iter().filter(|disk| disk.is_as(wanted)).collect(),
    };
    let what = description(wanted);
    match (matching.pop(), matching.is_empty()) {
        (Some(disk), true) => Ok(disk),
        (None, _) => bail!("this machine has no disk {what} ({})", list(disks)),
        (Some(_), false) => bail!("{what} means more than one disk ({})", list(disks)),
    }
}

fn is_described(wanted: &plan::Disk) -> bool {
    wanted.model.is_some() || wanted.bus.is_some() || wanted.at_least.is_some()
}

/// What a layout says about a disk, for an error.
fn description(wanted: &plan::Disk) -> String {
    if let Some(device) = &wanted.device {
        return device.clone();
    }
    let text = |word: &str, value: &Option<String>| {
        value.as_ref().map(|value| format!("{word} '{value}'"))
    };
    let bus = wanted.bus.map(|bus| format!("bus {bus:?}").to_lowercase());
    let least = wanted.at_least.map(|size| format!("at least {}", String::from(size)));
    let words = [
        text("serial", &wanted.serial),
        text("wwn", &wanted.wwn),
        text("model", &wanted.model),
        bus,
        least,
    ];
    format!("of {}", words.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// An identity without what only tells its kind, and without the blanks and cases that programs show differently.
fn plain(text: &str) -> String {
    let lower = text.to_lowercase();
    // Fields of fixed length are filled up with blanks, of which programs show one.
    let words: Vec<&str> = lower.split([' ', '_', '-']).filter(|word| !word.is_empty()).collect();
    let lower = words.join("_");
    let starts = ["naa.", "eui.", "t10.", "uuid.", "0x", "wwn_0x", "wwn_"];
    let found = starts.into_iter().find_map(|start| lower.strip_prefix(start).map(str::to_owned));
    found.map_or(lower, |rest| rest.trim_start_matches("0x").to_owned())
}

/// The disks that a name below `/dev/disk` means. Where none has just this name, the kernel may not have told all that it is made of.
fn linked<'a>(disks: &'a [Disk], link: &str) -> Vec<&'a Disk> {
    let exact = links::comparable(link);
    let matching: Vec<&Disk> = disks.iter().filter(|disk| disk.links.contains(&exact)).collect();
    match link.strip_prefix("by-id/") {
        Some(name) if matching.is_empty() => {
            disks.iter().filter(|disk| disk.is_identified_by(name)).collect()
        }
        _ => matching,
    }
}

/// The disks, for an error.
fn list(disks: &[Disk]) -> String {
    if disks.is_empty() {
        return "the kernel found none: does the image have the driver of their controller?"
            .to_owned();
    }
    let texts: Vec<String> = disks
        .iter()
        .map(|disk| {
            let removable = if disk.is_removable { ", removable" } else { "" };
            format!("{}{removable}", disk.title())
        })
        .collect();
    format!("there are: {}", texts.join("; "))
}

/// Numbers compare as numbers: ata2 is before ata10. All others are text.
fn by_place(one: &str, other: &str) -> Ordering {
    pieces(one).cmp(&pieces(other))
}

/// Text and number, in turns.
fn pieces(text: &str) -> Vec<(String, u64)> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let start = rest.find(|character: char| character.is_ascii_digit()).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(start);
        let end = tail.find(|character: char| !character.is_ascii_digit()).unwrap_or(tail.len());
        let (number, tail) = tail.split_at(end);
        pieces.push((word.to_owned(), number.parse().unwrap_or(u64::MAX)));
        rest = tail;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A machine with these disks: name, place, sectors, removable, serial number.
    fn machine(disks: &[(&str, &str, u64, &str, &str)]) -> (tempfile::TempDir, Vec<Disk>) {
        let sys = tempfile::tempdir().unwrap();
        let block = sys.path().join("block");
        fs::create_dir(&block).unwrap();
        for (name, place, sectors, removable, serial) in disks {
            let device = sys.path().join(place).join(name);
            fs::create_dir_all(device.join("device")).unwrap();
            fs::write(device.join("size"), format!("{sectors}\n")).unwrap();
            fs::write(device.join("removable"), format!("{removable}\n")).unwrap();
            fs::write(device.join("device/serial"), format!("{serial} \n")).unwrap();
            symlink(&device, block.join(name)).unwrap();
        }
        let loops = sys.path().join("virtual/loop0");
        fs::create_dir_all(&loops).unwrap();
        fs::write(loops.join("size"), "100\n").unwrap();
        symlink(&loops, block.join("loop0")).unwrap();
        let found = all_in(&block);
        (sys, found)
    }

    /// A disk of a layout, without its partitions.
    fn wanted(choice: &str) -> plan::Disk {
        let mut fields: serde_json::Value = serde_json::from_str(choice).unwrap();
        fields["partitions"] = serde_json::json!([]);
        serde_json::from_value(fields).unwrap()
    }

    fn device(device: &str) -> plan::Disk {
        wanted(&format!(r#"{{"device": "{device}"}}"#))
    }

    const MACHINE: [(&str, &str, u64, &str, &str); 5] = [
        ("sda", "pci0/usb1/1-1", 1000, "0", "STICK"),
        ("sdb", "pci0/ata10", 2000, "0", "TEN"),
        ("sdc", "pci0/ata2", 3000, "0", "TWO"),
        ("sr0", "pci0/ata3", 10, "1", ""),
        ("nvme0n1", "pci1/nvme0", 4000, "0", "S4 NVME"),
    ];

    #[test]
    fn disks_come_in_the_order_of_their_places() {
        let (_sys, disks) = machine(&MACHINE);
        let names: Vec<&str> = disks.iter().map(|disk| disk.name.as_str()).collect();
        assert_eq!(names, ["sdc", "sdb", "sda", "nvme0n1"]);
        assert_eq!(choose(&disks, &wanted("{}"), &[]).unwrap().name, "sdc");
    }

    #[test]
    fn a_disk_is_chosen_by_name_or_identity() {
        let (_sys, disks) = machine(&MACHINE);
        assert_eq!(choose(&disks, &device("/dev/nvme0n1"), &[]).unwrap().name, "nvme0n1");
        assert_eq!(
            choose(&disks, &device("/dev/disk/by-id/ata-Maker_Model_TEN"), &[]).unwrap().name,
            "sdb"
        );
        assert_eq!(
            choose(&disks, &device("/dev/disk/by-id/nvme-Model_S4_NVME"), &[]).unwrap().name,
            "nvme0n1"
        );
        let error = choose(&disks, &device("/dev/vda"), &[]).unwrap_err().to_string();
        assert!(
            error.contains("no disk /dev/vda") && error.contains("/dev/sdc of 1.4 MiB (TWO)"),
            "{error}"
        );
        assert!(choose(&disks, &device("/dev/disk/by-id/x-EN"), &[]).is_err());
    }

    #[test]
    fn a_name_of_a_disk_that_is_gone_means_no_other_one() {
        let (_sys, disks) = machine(&[
            ("sda", "pci0/ata1", 1000, "0", "1"),
            ("sdb", "pci0/ata2", 1000, "0", "DISK"),
            ("nvme0n1", "pci1/nvme0", 1000, "0", "DRIVE"),
        ]);
        for name in [
            // Of the first disk the serial number is the number of a name space here.
            "nvme-Maker_Model_S4EWNX0R_1",
            "ata-Maker_Model-1",
            "nvme-Maker_DISK",
            "virtio-vol-DISK",
            "usb-Maker_DISK",
            "mmc-card_DRIVE",
            "ata-Maker_DRIVE",
            "scsi-SMaker_DRIVE",
        ] {
            let chosen = choose(&disks, &device(&format!("/dev/disk/by-id/{name}")), &[]);
            let error = chosen.map(|disk| disk.name.clone()).unwrap_err().to_string();
            assert!(error.contains("this machine has no disk"), "{name}: {error}");
        }
        let chosen = choose(&disks, &device("/dev/disk/by-id/nvme-Model_DRIVE"), &[]);
        assert_eq!(chosen.unwrap().name, "nvme0n1");
    }

    #[test]
    fn a_machine_with_sticks_only_has_no_disk() {
        let (_sys, disks) = machine(&MACHINE[..1]);
        assert!(choose(&disks, &wanted("{}"), &[]).unwrap_err().to_string().contains("removable"));
        assert!(choose(&[], &wanted("{}"), &[]).unwrap_err().to_string().contains("driver"));
    }

    #[test]
    fn partitions_are_named_as_the_kernel_does() {
        let (_sys, disks) = machine(&MACHINE);
        assert_eq!(
            choose(&disks, &wanted("{}"), &[]).unwrap().partition(2),
            Path::new("/dev/sdc2")
        );
        assert_eq!(
            choose(&disks, &device("/dev/nvme0n1"), &[]).unwrap().partition(1),
            Path::new("/dev/nvme0n1p1")
        );
    }

    #[test]
    fn a_disk_is_chosen_by_what_it_is() {
        let (_sys, disks) = machine(&MACHINE);
        let chosen = |choice: &str| {
            choose(&disks, &wanted(choice), &[])
                .map(|disk| disk.name.clone())
                .map_err(|e| e.to_string())
        };
        for (choice, name) in [
            (r#"{"pick": "largest"}"#, "nvme0n1"),
            (r#"{"pick": "smallest"}"#, "sdb"),
            (r#"{"bus": "nvme"}"#, "nvme0n1"),
            (r#"{"bus": "sata"}"#, "sdc"),
            (r#"{"bus": "sata", "pick": "smallest"}"#, "sdb"),
            (r#"{"bus": "usb"}"#, "sda"),
            (r#"{"serial": "ten"}"#, "sdb"),
            (r#"{"serial": "S4 NVME"}"#, "nvme0n1"),
            (r#"{"serial": " S4_  NVME "}"#, "nvme0n1"),
            (r#"{"serial": "STICK"}"#, "sda"),
            (r#"{"at_least": "1M"}"#, "sdc"),
            (r#"{"at_least": "1500000"}"#, "sdc"),
            (r#"{"at_least": "1500000", "pick": "largest"}"#, "nvme0n1"),
        ] {
            assert_eq!(chosen(choice), Ok(name.to_owned()), "{choice}");
        }
        let error = chosen(r#"{"at_least": "1G", "bus": "nvme"}"#).unwrap_err();
        assert!(
            error.starts_with("this machine has no disk of bus nvme, at least 1G (there are: "),
            "{error}"
        );
        assert!(chosen(r#"{"wwn": "0x5000"}"#).unwrap_err().contains("no disk of wwn '0x5000'"));
        let taken: Vec<&Disk> = disks.iter().filter(|disk| disk.name == "sdc").collect();
        assert_eq!(choose(&disks, &wanted(r#"{"bus": "sata"}"#), &taken).unwrap().name, "sdb");
    }

    #[test]
    fn of_equal_disks_the_first_is_chosen_at_each_boot() {
        let (_sys, disks) = machine(&[
            ("sda", "pci0/ata10", 1000, "0", "TEN"),
            ("sdb", "pci0/ata2", 1000, "0", "TWO"),
        ]);
        for pick in ["smallest", "largest"] {
            let choice = wanted(&format!(r#"{{"pick": "{pick}"}}"#));
            assert_eq!(choose(&disks, &choice, &[]).unwrap().name, "sdb", "{pick}");
        }
    }

    #[test]
    fn one_disk_by_two_names_is_laid_out_once() {
        let (_sys, disks) = machine(&MACHINE);
        let layout = r#"{"disks": [
            {"device": "/dev/sdb", "partitions": [{"filesystem": "ext4", "mount": "/"}]},
            {"serial": "TEN", "partitions": [{"filesystem": "ext4", "mount": "/a"}]}]}"#;
        let layout = plan::DiskLayout::read(layout).unwrap();
        let decided =
            super::super::layout::decide(&layout, &disks, super::super::Firmware::Bios, None);
        let error = decided.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("means /dev/sdb twice"), "{error}");
    }

    #[test]
    fn world_wide_names_are_the_same_however_they_are_written() {
        for text in ["naa.5000C500A1B2C3D4", "0x5000c500a1b2c3d4", "wwn-0x5000c500a1b2c3d4"] {
            assert_eq!(plain(text), "5000c500a1b2c3d4", "{text}");
        }
    }
}
