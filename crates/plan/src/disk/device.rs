//! Names of disks as a layout may have them: those that can be told without udev, in an initramfs.

/// The buses that begin a name below `/dev/disk/by-id`, in udev's rules (60-persistent-storage.rules and those beside it).
const BY_ID: [&str; 10] = [
    "ata-",
    "ieee1394-",
    "memstick-",
    "mmc-",
    "nvme-",
    "pmem-",
    "scsi-",
    "usb-",
    "virtio-",
    "wwn-",
];
/// Devices that are made of others or are elsewhere, and nothing that an installer begins with.
const MADE_OF_OTHERS: [&str; 13] = [
    "bcache", "dm-", "drbd", "fd", "loop", "md", "mtdblock", "nbd", "ram", "rbd", "sr", "zd",
    "zram",
];
/// Directories of names that go with what is on a disk, which is replaced.
const OF_CONTENTS: [&str; 6] =
    ["by-label/", "by-partlabel/", "by-partuuid/", "by-uuid/", "by-designator/", "by-diskseq/"];

/// What is wrong with the name of a disk.
pub(super) fn fault(device: &str) -> Option<String> {
    let refused = |reason: &str| Some(format!("the device '{device}' {reason}"));
    let Some(name) = device.strip_prefix("/dev/") else {
        return refused("does not begin with /dev/");
    };
    if device.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return refused("has blanks or other characters that no device has");
    }
    if let Some(link) = name.strip_prefix("disk/") {
        return match fault_of_link(link) {
            Some(reason) => refused(&reason),
            None => None,
        };
    }
    if name.is_empty() || name.contains('/') {
        return refused(
            "is none that an installer finds; write a name such as /dev/sda or one below /dev/disk/by-id or /dev/disk/by-path",
        );
    }
    if MADE_OF_OTHERS.iter().any(|start| is_numbered(name, start)) {
        return refused("is no disk of its own; name a disk");
    }
    if is_numbered(name, "nvme") {
        return refused("is a controller; name its disk, such as /dev/nvme0n1");
    }
    is_partition(name).then(|| format!("the device '{device}' is a partition; name the disk"))
}

/// What is wrong with what stands behind `/dev/disk/`.
fn fault_of_link(link: &str) -> Option<String> {
    if OF_CONTENTS.iter().any(|directory| link.starts_with(directory)) {
        return Some(
            "goes by what is on a disk, and that is replaced; use /dev/disk/by-id".to_owned(),
        );
    }
    let (directory, name) = link.split_once('/')?;
    if name.is_empty() || name.contains('/') {
        return Some("names no disk".to_owned());
    }
    if let Some((_, number)) = name.rsplit_once("-part")
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && !number.is_empty()
    {
        return Some("is a partition; name the disk, without '-part' and the number".to_owned());
    }
    match directory {
        "by-path" if is_known_path(name) => None,
        "by-path" => Some(
            "cannot be found by an installer: names below /dev/disk/by-path are those of disks at PCI devices by nvme, ata, scsi, usb or virtio; use /dev/disk/by-id".to_owned(),
        ),
        "by-id"
            if BY_ID.iter().any(|start| name.len() > start.len() && name.starts_with(start)) =>
        {
            None
        }
        "by-id" if ["dm-", "md-", "lvm-"].iter().any(|start| name.starts_with(start)) => {
            Some("is made of disks that an installer finds only one by one; name a disk".to_owned())
        }
        "by-id" => Some(format!(
            "cannot be found by an installer; names below /dev/disk/by-id begin with {}",
            BY_ID.join(", ")
        )),
        _ => Some("is in no directory that an installer knows; use /dev/disk/by-id".to_owned()),
    }
}

/// Whether an installer makes names of this form: a PCI device, and what is behind it.
fn is_known_path(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("virtio-").unwrap_or(name).strip_prefix("pci-") else {
        return false;
    };
    let (address, rest) =
        rest.split_once('-').map_or((rest, None), |(address, rest)| (address, Some(rest)));
    let is_address = address.contains(':') && address.contains('.');
    let numbers = |text: &str, separator: char, counts: &[usize]| {
        let is_number =
            |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        counts.contains(&text.split(separator).count()) && text.split(separator).all(is_number)
    };
    let is_form = match rest.map(|rest| rest.split_once('-')) {
        None => true,
        Some(Some(("nvme", number))) => numbers(number, '.', &[1]),
        Some(Some(("ata", port))) => numbers(port, '.', &[1, 2, 3]),
        Some(Some(("scsi", unit))) => numbers(unit, ':', &[4]),
        Some(Some(("usb", port))) => {
            port.split_once("-scsi-").is_some_and(|(_, unit)| numbers(unit, ':', &[4]))
        }
        Some(_) => false,
    };
    is_address && is_form
}

fn is_numbered(name: &str, start: &str) -> bool {
    name.strip_prefix(start)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a kernel's name is that of a partition: a number behind a letter, or behind a `p` where the disk's own name ends with one.
fn is_partition(name: &str) -> bool {
    let disk = name.trim_end_matches(|character: char| character.is_ascii_digit());
    if disk == name {
        return false;
    }
    let is_lettered = ["sd", "hd", "vd", "xvd", "dasd", "ubd"].iter().any(|start| {
        disk.strip_prefix(start).is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_lowercase())
        })
    });
    let is_behind_number = disk
        .strip_suffix('p')
        .is_some_and(|disk| disk.ends_with(|character: char| character.is_ascii_digit()));
    is_lettered || is_behind_number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_taken_by_every_name_that_an_installer_can_resolve() {
        for device in [
            "/dev/sda",
            "/dev/sdab",
            "/dev/vdb",
            "/dev/xvda",
            "/dev/nvme0n1",
            "/dev/nvme10n12",
            "/dev/mmcblk0",
            "/dev/mmcblk0boot0",
            "/dev/pmem0",
            "/dev/dasda",
            "/dev/disk/by-id/ata-MAKER_MODEL_SERIAL",
            "/dev/disk/by-id/scsi-35000c500a1b2c3d4",
            "/dev/disk/by-id/wwn-0x5000c500a1b2c3d4",
            "/dev/disk/by-id/nvme-eui.0025385b71b0e6d5",
            "/dev/disk/by-id/virtio-disk-parts",
            "/dev/disk/by-id/usb-Maker_Stick_1-0:0",
            "/dev/disk/by-path/pci-0000:00:1f.2-ata-1",
            "/dev/disk/by-path/pci-0000:02:00.0-nvme-1",
            "/dev/disk/by-path/virtio-pci-0000:00:05.0",
            "/dev/disk/by-path/pci-0000:00:14.0-usb-0:3:1.0-scsi-0:0:0:0",
        ] {
            assert_eq!(fault(device), None);
        }
    }

    #[test]
    fn names_that_no_installer_can_resolve_are_refused_with_the_reason() {
        for (device, reason) in [
            ("sda", "does not begin with /dev/"),
            ("/dev/", "none that an installer finds"),
            ("/dev/mapper/root", "none that an installer finds"),
            ("/dev/../sda", "none that an installer finds"),
            ("/dev/sd a", "blanks"),
            ("/dev/sda1", "is a partition"),
            ("/dev/nvme0n1p2", "is a partition"),
            ("/dev/mmcblk0p1", "is a partition"),
            ("/dev/md126", "no disk of its own"),
            ("/dev/dm-0", "no disk of its own"),
            ("/dev/loop0", "no disk of its own"),
            ("/dev/nbd0", "no disk of its own"),
            ("/dev/zd16", "no disk of its own"),
            ("/dev/bcache0", "no disk of its own"),
            ("/dev/nvme0", "is a controller"),
            ("/dev/disk/by-uuid/0f4ac1cd", "goes by what is on a disk"),
            ("/dev/disk/by-partlabel/root", "goes by what is on a disk"),
            ("/dev/disk/by-id/", "names no disk"),
            ("/dev/disk/by-id/a/b", "names no disk"),
            ("/dev/disk/by-id/ata-MAKER_1-part2", "is a partition"),
            ("/dev/disk/by-id/md-uuid-1:2:3:4", "made of disks"),
            ("/dev/disk/by-id/lvm-pv-uuid-x", "made of disks"),
            ("/dev/disk/by-id/MAKER_MODEL", "begin with ata-"),
            ("/dev/disk/by-id/ata-", "begin with ata-"),
            ("/dev/disk/by-slot/3", "no directory that"),
            ("/dev/disk/by-path/pci-0000:03:00.0-sas-phy2-lun-0", "by nvme, ata, scsi"),
            ("/dev/disk/by-path/ip-10.0.0.1:3260-iscsi-x-lun-0", "by nvme, ata, scsi"),
            ("/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0", "by nvme, ata, scsi"),
        ] {
            let said = fault(device).unwrap_or_default();
            assert!(said.contains(reason), "{device}: {said}");
        }
    }
}
