//! The names below `/dev/disk` that udev would give a disk (60-persistent-storage.rules and the programs that it calls), made from what the
//! kernel tells of the disk. There is no udev in the initramfs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The pages of a SCSI disk that say which one it is (SPC-4, 7.8; SAT-3, 12.4).
const SERIAL_PAGE: &str = "device/vpd_pg80";
const IDENTITY_PAGE: &str = "device/vpd_pg83";
const ATA_PAGE: &str = "device/vpd_pg89";
/// Where the answer to IDENTIFY DEVICE stands in the page about ATA, and in that: serial number and model.
const IDENTIFY_AT: usize = 60;
const ATA_SERIAL: (usize, usize) = (20, 20);
const ATA_MODEL: (usize, usize) = (54, 40);

/// All names of the disk at `entry` in sysfs, without `/dev/disk/`. `place` is where the entry leads.
pub(super) fn of(entry: &Path, name: &str, place: &str) -> Vec<String> {
    let facts = Facts { entry, place };
    let mut ids = Vec::new();
    if name.starts_with("nvme") {
        facts.nvme(&mut ids);
    } else if name.starts_with("vd") {
        ids.extend(facts.value("serial").map(|serial| format!("virtio-{serial}")));
    } else if let Some(bus) = [("mmcblk", "mmc"), ("msblk", "memstick"), ("mspblk", "memstick")]
        .into_iter()
        .find_map(|(start, bus)| name.starts_with(start).then_some(bus))
    {
        let both = facts.value("device/name").zip(facts.value("device/serial"));
        ids.extend(both.map(|(name, serial)| format!("{bus}-{name}_{serial}")));
    } else if name.starts_with("pmem") {
        let uuid = facts.value("uuid").or_else(|| facts.value("device/uuid"));
        ids.extend(uuid.map(|uuid| format!("pmem-{uuid}")));
    } else {
        facts.scsi(&mut ids);
    }
    let ids = ids.iter().map(|id| format!("by-id/{}", comparable(id)));
    let paths = facts.paths().into_iter().map(|path| format!("by-path/{}", comparable(&path)));
    ids.chain(paths).collect()
}

/// A name as it is compared. udev writes what cannot be in a name as underlines, in a row or as one, by the program that made it.
pub(super) fn comparable(name: &str) -> String {
    let mut text = String::new();
    for character in name.trim().chars() {
        let is_kept = character.is_ascii_alphanumeric() || "#+-.:=@/".contains(character);
        if is_kept {
            text.push(character.to_ascii_lowercase());
        } else if !text.ends_with('_') {
            text.push('_');
        }
    }
    text
}

struct Facts<'a> {
    entry: &'a Path,
    place: &'a str,
}

impl Facts<'_> {
    /// What a file of sysfs says; nothing is not said.
    fn value(&self, file: &str) -> Option<String> {
        let text = fs::read(self.entry.join(file)).ok()?;
        Some(clean(&text)).filter(|text| !text.is_empty())
    }

    fn nvme(&self, ids: &mut Vec<String>) {
        if let Some(wwid) = self.value("wwid").or_else(|| self.value("device/wwid")) {
            ids.push(format!("nvme-{wwid}"));
            ids.push(format!("wwn-{wwid}"));
        }
        let Some((model, serial)) = self.value("device/model").zip(self.value("device/serial"))
        else {
            return;
        };
        ids.push(format!("nvme-{model}_{serial}"));
        ids.extend(self.value("nsid").map(|number| format!("nvme-{model}_{serial}_{number}")));
    }

    fn scsi(&self, ids: &mut Vec<String>) {
        let (vendor, model) = (self.value("device/vendor"), self.value("device/model"));
        let (vendor, model) = (vendor.unwrap_or_default(), model.unwrap_or_default());
        let page = fs::read(self.entry.join(IDENTITY_PAGE)).unwrap_or_default();
        let mut found: Vec<Identity> = identities(&page);
        found.extend(
            self.value("device/wwid")
                .or_else(|| self.value("wwid"))
                .and_then(|wwid| Identity::of_text(&wwid)),
        );
        for identity in found {
            identity.names(&vendor, &model, ids);
        }
        let page = fs::read(self.entry.join(SERIAL_PAGE)).unwrap_or_default();
        let serial = clean(page.get(4..).unwrap_or_default());
        let serial = if serial.is_empty() { self.value("device/serial") } else { Some(serial) };
        if let Some(serial) = &serial {
            ids.push(format!("scsi-S{vendor}_{model}_{serial}"));
            if vendor == "ATA" {
                ids.push(format!("ata-{model}_{serial}"));
            }
        }
        let page = fs::read(self.entry.join(ATA_PAGE)).unwrap_or_default();
        if let Some((model, serial)) = ata_words(&page, ATA_MODEL).zip(ata_words(&page, ATA_SERIAL))
        {
            ids.push(format!("ata-{model}_{serial}"));
        }
        ids.extend(self.value("device/ieee1394_id").map(|id| format!("ieee1394-{id}")));
        self.usb(&vendor, &model, ids);
    }

    /// A disk behind USB has the serial number of the USB device above it.
    fn usb(&self, vendor: &str, model: &str, ids: &mut Vec<String>) {
        let Some((device, _interface)) = self.usb_device() else { return };
        let of_device = |file: &str| {
            let text = fs::read(Path::new(device).join(file)).ok()?;
            Some(clean(&text)).filter(|text| !text.is_empty())
        };
        let named = |own: &str, file: &str| {
            if own.is_empty() { of_device(file).unwrap_or_default() } else { own.to_owned() }
        };
        let name = [named(vendor, "manufacturer"), named(model, "product")];
        let mut words: Vec<String> = name.into_iter().filter(|word| !word.is_empty()).collect();
        words.extend(of_device("serial"));
        let [_, _, target, unit] = self.address().unwrap_or_default();
        ids.push(format!("usb-{}-{target}:{unit}", words.join("_")));
        ids.push(format!("usb-{}", words.join("_")));
    }

    /// The directory of the USB device that the disk hangs on, and the name of its interface.
    fn usb_device(&self) -> Option<(&str, &str)> {
        let interface = self.place.split('/').rev().find(|part| {
            part.split_once(':')
                .is_some_and(|(port, rest)| port.contains('-') && rest.contains('.'))
        })?;
        let end = self.place.find(&format!("/{interface}/"))?;
        Some((self.place.get(..end)?, interface))
    }

    /// Host, channel, target and unit of a SCSI disk.
    fn address(&self) -> Option<[u64; 4]> {
        self.place.split('/').rev().find_map(|part| {
            let numbers: Vec<u64> =
                part.split(':').map(|number| number.parse().ok()).collect::<Option<_>>()?;
            numbers.try_into().ok()
        })
    }

    /// The names by its place in the machine, as udev's `path_id` makes them.
    fn paths(&self) -> Vec<String> {
        let parts: Vec<&str> = self.place.split('/').collect();
        let Some(at) = parts.iter().rposition(|part| is_pci_address(part)) else {
            return Vec::new();
        };
        let base = format!("pci-{}", parts.get(at).unwrap_or(&""));
        let below = parts.get(at + 1..).unwrap_or_default();
        // These have names of their own kind, which a layout may not use.
        let is_other = |part: &&str| {
            ["end_device-", "rport-", "session"].iter().any(|start| part.starts_with(start))
        };
        if below.iter().any(is_other) {
            return Vec::new();
        }
        if below.contains(&"nvme") {
            let number = self.value("nsid");
            return number.map(|number| format!("{base}-nvme-{number}")).into_iter().collect();
        }
        let Some([_, channel, target, unit]) = self.address() else {
            return vec![base.clone(), format!("virtio-{base}")];
        };
        if let Some(port) = below.iter().find(|part| is_numbered(part, "ata")) {
            let above = parts.get(..at + 2).unwrap_or_default().join("/");
            let file = Path::new(&above).join("ata_port").join(port).join("port_no");
            let Some(number) = fs::read(file).ok().map(|text| clean(&text)) else {
                return Vec::new();
            };
            let exact = if channel == 0 {
                format!("{number}.{target}")
            } else {
                format!("{number}.{channel}.0")
            };
            return vec![format!("{base}-ata-{number}"), format!("{base}-ata-{exact}")];
        }
        let host = self.host_offset().unwrap_or_default();
        let scsi = format!("scsi-{host}:{channel}:{target}:{unit}");
        match self.usb_device().and_then(|(_, interface)| interface.split_once('-')) {
            Some((_, port)) => vec![format!("{base}-usb-0:{port}-{scsi}")],
            None => vec![format!("{base}-{scsi}"), format!("virtio-{base}-{scsi}")],
        }
    }

    /// Hosts are counted in the order in which they were found; those of one device from zero.
    fn host_offset(&self) -> Option<u64> {
        let at = self.place.find("/host")?;
        let number = |name: &str| name.strip_prefix("host")?.parse::<u64>().ok();
        let own = number(self.place.get(at + 1..)?.split('/').next()?)?;
        let beside = fs::read_dir(self.place.get(..at)?).ok()?.filter_map(Result::ok);
        let first = beside.filter_map(|entry| number(entry.file_name().to_str()?)).min()?;
        Some(own - first)
    }
}

/// One of the designators of a SCSI disk, of the disk itself and not of a port that it is reached by.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    /// Of the vendor's own making.
    Vendor(String),
    /// Vendor, model and serial number in one.
    T10(String),
    /// EUI-64, in hexadecimal.
    Eui(String),
    /// A world wide name, in hexadecimal.
    Naa(String),
    /// A name in text, of iSCSI for instance.
    Name(String),
}

impl Identity {
    /// As the kernel writes the one that it takes for the disk's.
    fn of_text(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once('.')?;
        match kind {
            "naa" => Some(Self::Naa(rest.to_lowercase())),
            "eui" => Some(Self::Eui(rest.to_lowercase())),
            "t10" => Some(Self::T10(rest.to_owned())),
            _ => None,
        }
    }

    fn names(&self, vendor: &str, model: &str, ids: &mut Vec<String>) {
        match self {
            Self::Vendor(text) => ids.push(format!("scsi-0{vendor}_{model}_{text}")),
            Self::T10(text) => {
                ids.push(format!("scsi-1{text}"));
                // libata has the whole model here, of which the SCSI model is a part.
                ids.extend(text.strip_prefix("ATA ").map(|text| format!("ata-{}", text.trim())));
            }
            Self::Eui(text) => {
                ids.push(format!("scsi-2{text}"));
                ids.push(format!("wwn-0x{text}"));
            }
            Self::Naa(text) => {
                ids.push(format!("scsi-3{text}"));
                ids.push(format!("wwn-0x{text}"));
            }
            Self::Name(text) => ids.push(format!("scsi-8{text}")),
        }
    }
}

/// The designators of the page, which tells its own length.
fn identities(page: &[u8]) -> Vec<Identity> {
    let mut found = Vec::new();
    let Some((header, rest)) = page.split_at_checked(4) else { return found };
    let length = header
        .get(2..4)
        .map_or(0, |bytes| bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)));
    let mut rest = rest.get(..length).unwrap_or(rest);
    while let [code, kind, _, length, tail @ ..] = rest {
        let Some((value, after)) = tail.split_at_checked(usize::from(*length)) else { break };
        rest = after;
        let is_of_the_disk = (kind >> 4) % 4 == 0;
        if !is_of_the_disk || value.is_empty() {
            continue;
        }
        let is_binary = code & 0xf == 1;
        let text = || if is_binary { hexadecimal(value) } else { clean(value) };
        found.extend(match kind & 0xf {
            0 => Some(Identity::Vendor(text())),
            1 => Some(Identity::T10(text())),
            2 => Some(Identity::Eui(text())),
            3 => Some(Identity::Naa(text())),
            8 => Some(Identity::Name(text())),
            _ => None,
        });
    }
    found
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").ok();
    }
    text
}

/// Text of IDENTIFY DEVICE: the bytes of each word are the wrong way round.
fn ata_words(page: &[u8], (at, length): (usize, usize)) -> Option<String> {
    let bytes = page.get(IDENTIFY_AT + at..IDENTIFY_AT + at + length)?;
    let turned: Vec<u8> = bytes.chunks(2).flat_map(|word| word.iter().rev().copied()).collect();
    Some(clean(&turned)).filter(|text| !text.is_empty())
}

fn clean(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.trim_matches(|character: char| character.is_whitespace() || character == '\0').to_owned()
}

fn is_numbered(name: &str, start: &str) -> bool {
    name.strip_prefix(start)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Domain, bus, device and function: `0000:00:1f.2`.
fn is_pci_address(text: &str) -> bool {
    let Some((rest, function)) = text.rsplit_once('.') else { return false };
    let pieces: Vec<&str> = rest.split(':').collect();
    let is_hexadecimal = |piece: &&str| piece.bytes().all(|byte| byte.is_ascii_hexdigit());
    matches!(pieces.as_slice(), [domain, bus, device] if domain.len() >= 4 && bus.len() == 2 && device.len() == 2)
        && pieces.iter().all(is_hexadecimal)
        && function.len() == 1
}

#[cfg(test)]
mod tests;
