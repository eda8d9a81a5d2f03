use std::path::PathBuf;

use super::*;

/// A disk in sysfs, with these files below its own directory, or above it with `../` before them.
struct Machine {
    sys: tempfile::TempDir,
    place: PathBuf,
}

impl Machine {
    fn with(place: &str, files: &[(&str, &[u8])]) -> Self {
        let sys = tempfile::tempdir().unwrap();
        let place = sys.path().canonicalize().unwrap().join("devices").join(place);
        fs::create_dir_all(&place).unwrap();
        let machine = Self { sys, place };
        for (file, data) in files {
            machine.file(file, data);
        }
        machine
    }

    fn file(&self, file: &str, data: &[u8]) {
        let path = match file.strip_prefix("/") {
            Some(path) => self.sys.path().join("devices").join(path),
            None => self.place.join(file),
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }

    fn links(&self) -> Vec<String> {
        let name = self.place.file_name().unwrap().to_str().unwrap();
        of(&self.place, name, self.place.to_str().unwrap())
    }

    #[track_caller]
    fn has(&self, names: &[&str]) {
        let links = self.links();
        for name in names {
            assert!(links.contains(&comparable(name)), "{name}: {links:#?}");
        }
    }
}

/// The page with these designators: code set, kind with its association, value.
fn page(designators: &[(u8, u8, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (code, kind, value) in designators {
        body.extend([*code, *kind, 0, u8::try_from(value.len()).unwrap()]);
        body.extend(*value);
    }
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[0, 0x83], &length[..], &body].concat()
}

const NAA: &[u8] = &[0x50, 0, 0xc5, 0, 0xa1, 0xb2, 0xc3, 0xd4];
const SAS: &str = "pci0000:00/0000:00:03.0/0000:03:00.0/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0/block/sda";

#[test]
fn a_sas_disk_has_the_names_of_its_world_wide_name_and_its_serial_number() {
    let machine = Machine::with(
        SAS,
        &[
            ("device/vendor", b"SEAGATE \n"),
            ("device/model", b"ST1200MM0009    \n"),
            // The second is of the port, and names no disk.
            ("device/vpd_pg83", &page(&[(1, 3, NAA), (1, 0x13, &[0x50, 0, 0, 0, 0, 0, 0, 1])])),
            ("device/vpd_pg80", b"\0\x80\0\x08WFK0ABCD"),
        ],
    );
    machine.has(&[
        "by-id/scsi-35000c500a1b2c3d4",
        "by-id/wwn-0x5000c500a1b2c3d4",
        "by-id/scsi-SSEAGATE_ST1200MM0009_WFK0ABCD",
    ]);
    assert!(!machine.links().iter().any(|link| link.ends_with("5000000000000001")));
}

#[test]
fn a_volume_has_the_whole_of_a_long_world_wide_name() {
    let long = [&[0x60, 5, 0x07, 0x68][..], &[0x11; 12]].concat();
    let machine = Machine::with(SAS, &[("device/vpd_pg83", &page(&[(1, 3, &long)]))]);
    let text = "60050768111111111111111111111111";
    machine.has(&[&format!("by-id/scsi-3{text}"), &format!("by-id/wwn-0x{text}")]);
}

#[test]
fn without_pages_the_kernels_own_word_counts() {
    let machine = Machine::with(SAS, &[("device/wwid", b"naa.5000c500a1b2c3d4\n")]);
    machine.has(&["by-id/scsi-35000c500a1b2c3d4", "by-id/wwn-0x5000c500a1b2c3d4"]);
    let machine =
        Machine::with(SAS, &[("device/wwid", b"t10.ATA     QEMU HARDDISK       QM00001 \n")]);
    machine.has(&["by-id/ata-QEMU_HARDDISK_QM00001", "by-id/scsi-1ATA_QEMU_HARDDISK_QM00001"]);
    let machine = Machine::with(SAS, &[("device/wwid", b"eui.0025385b71b0e6d5\n")]);
    machine.has(&["by-id/scsi-20025385b71b0e6d5"]);
}

#[test]
fn an_ata_disk_has_its_whole_model() {
    let t10 = b"ATA     WDC WD4000FYYZ-01UL1B1                  WD-WCC130123456     ";
    let place = "pci0000:00/0000:00:1f.2/ata3/host2/target2:0:1/2:0:1:0/block/sdb";
    let machine = Machine::with(
        place,
        &[
            ("device/vendor", b"ATA     \n"),
            ("device/model", b"WDC WD4000FYYZ-0\n"),
            (
                "device/vpd_pg83",
                &page(&[(2, 0, b"     WD-WCC130123456"), (2, 1, t10), (1, 3, NAA)]),
            ),
            ("device/vpd_pg80", b"\0\x80\0\x14     WD-WCC130123456"),
            ("/pci0000:00/0000:00:1f.2/ata3/ata_port/ata3/port_no", b"3\n"),
        ],
    );
    machine.has(&[
        "by-id/ata-WDC_WD4000FYYZ-01UL1B1_WD-WCC130123456",
        "by-id/wwn-0x5000c500a1b2c3d4",
        "by-id/scsi-35000c500a1b2c3d4",
        "by-id/scsi-1ATA_WDC_WD4000FYYZ-01UL1B1_WD-WCC130123456",
        "by-id/scsi-0ATA_WDC_WD4000FYYZ-0_WD-WCC130123456",
        "by-id/scsi-SATA_WDC_WD4000FYYZ-0_WD-WCC130123456",
        "by-path/pci-0000:00:1f.2-ata-3",
        "by-path/pci-0000:00:1f.2-ata-3.1",
    ]);
}

#[test]
fn an_ata_disk_behind_a_sas_controller_tells_its_model_in_a_page_of_its_own() {
    let mut page = vec![0; 60 + 512];
    let mut put = |at: usize, text: &str, length: usize| {
        let text = format!("{text:length$}");
        for (index, pair) in text.as_bytes().chunks(2).enumerate() {
            page[60 + at + 2 * index] = pair[1];
            page[60 + at + 2 * index + 1] = pair[0];
        }
    };
    put(20, "S3Z8NB0K123456", 20);
    put(54, "Samsung SSD 860 EVO 500GB", 40);
    let machine = Machine::with(SAS, &[("device/vendor", b"ATA\n"), ("device/vpd_pg89", &page)]);
    machine.has(&["by-id/ata-Samsung_SSD_860_EVO_500GB_S3Z8NB0K123456"]);
}

#[test]
fn an_nvme_disk_has_its_identity_and_its_serial_number() {
    let machine = Machine::with(
        "pci0000:00/0000:00:1d.0/0000:02:00.0/nvme/nvme0/nvme0n1",
        &[
            ("wwid", b"eui.0025385b71b0e6d5\n"),
            ("nsid", b"1\n"),
            ("device/model", b"Samsung SSD 970 EVO Plus 1TB            \n"),
            ("device/serial", b"S4EWNX0N123456      \n"),
        ],
    );
    machine.has(&[
        "by-id/nvme-eui.0025385b71b0e6d5",
        "by-id/nvme-Samsung_SSD_970_EVO_Plus_1TB_S4EWNX0N123456",
        "by-id/nvme-Samsung_SSD_970_EVO_Plus_1TB_S4EWNX0N123456_1",
        "by-path/pci-0000:02:00.0-nvme-1",
    ]);
    let machine = Machine::with(
        "virtual/nvme-subsystem/nvme-subsys0/nvme0n1",
        &[("wwid", b"nvme.8086-50484b53-494e54454c-00000001\n")],
    );
    machine.has(&["by-id/nvme-nvme.8086-50484b53-494e54454c-00000001"]);
}

#[test]
fn disks_of_virtual_machines_cards_and_memory_have_theirs() {
    let place = "pci0000:00/0000:00:05.0/virtio2/block/vda";
    Machine::with(place, &[("serial", b"disk 1")]).has(&[
        "by-id/virtio-disk_1",
        "by-path/pci-0000:00:05.0",
        "by-path/virtio-pci-0000:00:05.0",
    ]);
    let scsi = Machine::with(
        "pci0000:00/0000:00:05.0/virtio2/host4/target4:0:3/4:0:3:1/block/sda",
        &[
            ("device/vendor", b"QEMU\n"),
            ("device/model", b"QEMU HARDDISK\n"),
            ("device/vpd_pg83", &page(&[(2, 0, b"drive-scsi0")])),
        ],
    );
    scsi.has(&[
        "by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi0",
        "by-path/pci-0000:00:05.0-scsi-0:0:3:1",
    ]);
    let card = [("device/name", &b"SD32G\n"[..]), ("device/serial", b"0x1a2b3c4d\n")];
    Machine::with("platform/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0", &card)
        .has(&["by-id/mmc-SD32G_0x1a2b3c4d"]);
    let memory = [("uuid", &b"0f4ac1cd-0000-4000-8000-00000000abcd\n"[..])];
    Machine::with("ndbus0/region0/namespace0.0/block/pmem0", &memory)
        .has(&["by-id/pmem-0f4ac1cd-0000-4000-8000-00000000abcd"]);
}

#[test]
fn a_usb_disk_has_the_serial_number_of_the_device_above_it() {
    let machine = Machine::with(
        "pci0000:00/0000:00:14.0/usb2/2-3/2-3:1.0/host6/target6:0:0/6:0:0:0/block/sdc",
        &[
            ("device/vendor", b"SanDisk \n"),
            ("device/model", b"Ultra Fit       \n"),
            ("/pci0000:00/0000:00:14.0/usb2/2-3/serial", b"4C530001234567890123\n"),
        ],
    );
    machine.has(&[
        "by-id/usb-SanDisk_Ultra_Fit_4C530001234567890123-0:0",
        "by-path/pci-0000:00:14.0-usb-0:3:1.0-scsi-0:0:0:0",
    ]);
}

#[test]
fn pages_that_lie_about_their_length_end_where_they_end() {
    for page in
        [&b"\0\x83\xff\xff\x01\x03\0\x08\x50"[..], b"\0\x83", b"", b"\0\x83\0\x04\x01\x03\0\0"]
    {
        assert_eq!(identities(page), []);
    }
    let machine = Machine::with(SAS, &[("device/vpd_pg89", b"short"), ("device/vpd_pg80", b"\0")]);
    assert_eq!(machine.links(), [""; 0]);
}
