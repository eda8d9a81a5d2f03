//! Drivers that were built apart from the kernel, as by DKMS, `ELRepo` or `MLNX_OFED`. Where they lie says nothing about what they are for;
//! what they answer to and what they call in the kernel does.

use super::elf::ModuleFacts;

/// Functions of the kernel by which a driver offers a network card.
const NETWORK: [&str; 11] = [
    "__mdiobus_register",
    "alloc_etherdev_mqs",
    "alloc_netdev_mqs",
    "devm_alloc_etherdev_mqs",
    "ib_register_device",
    "mdio_driver_register",
    "phy_driver_register",
    "phy_drivers_register",
    "register_netdev",
    "register_netdevice",
    "usbnet_probe",
];

/// Functions of the kernel by which a driver offers disks; those that end with a `*` begin so.
const STORAGE: [&str; 24] = [
    "__alloc_disk_node",
    "__blk_alloc_disk",
    "__blk_mq_alloc_disk",
    "add_disk",
    "ahci_*",
    "ata_host_*",
    "ata_pci_*",
    "ata_sff_*",
    "blk_mq_init_queue",
    "device_add_disk",
    "fc_attach_transport",
    "iscsi_host_alloc",
    "libfc_*",
    "mmc_alloc_host",
    "nvdimm_bus_register",
    "nvme_init_ctrl",
    "raid_class_attach",
    "sas_attach_transport",
    "sas_domain_attach_transport",
    "scsi_host_alloc",
    "scsi_register_driver",
    "sdhci_*",
    "ufshcd_*",
    "usb_stor_probe1",
];

/// Who calls these drives a radio, which no machine is installed by.
const RADIO: [&str; 3] = ["cfg80211_*", "ieee80211_*", "wiphy_*"];

/// The buses whose devices a machine finds by itself.
const BUSES: [&str; 28] = [
    "acpi",
    "amba",
    "ap",
    "auxiliary",
    "bcma",
    "ccw",
    "css",
    "dmi",
    "fsl-mc",
    "ishtp",
    "isapnp",
    "mdio",
    "mhi",
    "mmc",
    "nd",
    "of",
    "pci",
    "platform",
    "pnp",
    "rapidio",
    "scsi",
    "sdio",
    "ssb",
    "usb",
    "vio",
    "virtio",
    "vmbus",
    "xen",
];

/// Whether a module that was built apart drives what a machine is installed over or onto. `is_known` tells of an alias whether a driver
/// that goes in by the kernel's own rules answers to it.
pub(crate) fn wants(
    facts: &ModuleFacts,
    aliases: &[String],
    is_known: impl Fn(&str) -> bool,
) -> bool {
    let own = facts.values("alias").chain(aliases.iter().map(String::as_str));
    let devices: Vec<&str> = own.filter(|alias| is_device(alias)).collect();
    if devices.is_empty() || calls(facts, &RADIO) {
        return false;
    }
    if devices.iter().any(|alias| is_known(alias)) {
        return true;
    }
    if let Some(reaches) = devices.iter().filter_map(|alias| class_reaches(alias)).max() {
        return reaches;
    }
    // Where nothing tells, a module too many costs some bytes, and one too few the node.
    facts.undefined.is_empty() || calls(facts, &NETWORK) || calls(facts, &STORAGE)
}

/// The device that an alias is for, whatever card it sits on; `None` for aliases of whole classes.
pub(crate) fn device_of(alias: &str) -> Option<&str> {
    let end = match alias.split_once(':')?.0 {
        "pci" => alias.find("sv").unwrap_or(alias.len()),
        "usb" => alias.find('p').and_then(|at| Some(at + alias.get(at..)?.find('d')?))?,
        _ => alias.len(),
    };
    alias.get(..end).filter(|device| !device.contains('*') || end == alias.len())
}

/// Whether devices of the class that an alias names reach network or disks; `None` when it names none.
fn class_reaches(alias: &str) -> Option<bool> {
    let field = |name: &str, length: usize| {
        let rest = alias.rsplit_once(name)?.1;
        rest.get(..length).filter(|text| !text.contains('*'))
    };
    match alias.split_once(':')?.0 {
        "pci" => Some(match (field("bc", 2)?, field("sc", 2)) {
            ("01" | "02", _) | ("08", Some("05")) | ("0C", Some("03" | "06")) => true,
            ("08" | "0C", None) => return None,
            _ => false,
        }),
        "usb" => match (field("ic", 2)?, field("isc", 2)) {
            ("08", _) | ("02", Some("06" | "0D")) => Some(true),
            ("FF", _) => None,
            _ => Some(false),
        },
        _ => None,
    }
}

fn is_device(alias: &str) -> bool {
    alias.split_once(':').is_some_and(|(bus, _)| BUSES.contains(&bus))
}

fn calls(facts: &ModuleFacts, functions: &[&str]) -> bool {
    facts.undefined.iter().any(|called| {
        functions.iter().any(|function| match function.strip_suffix('*') {
            Some(start) => called.starts_with(start),
            None => called == function,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_tells_what_a_device_is_for() {
        for (alias, reaches) in [
            ("pci:v00008086d00001572sv*sd*bc02sc00i*", Some(true)),
            ("pci:v*d*sv*sd*bc01sc08i02*", Some(true)),
            ("pci:v000015B3d*sv*sd*bc0Csc06i*", Some(true)),
            ("pci:v000010DEd*sv*sd*bc03sc00i00*", Some(false)),
            ("pci:v000010ECd00008125sv*sd*bc*sc*i*", None),
            ("usb:v0BDAp8156d*dc*dsc*dp*icFFiscFFip00in*", None),
            ("usb:v*p*d*dc*dsc*dp*ic08isc06ip50in*", Some(true)),
            ("usb:v*p*d*dc*dsc*dp*ic03isc01ip01in*", Some(false)),
            ("virtio:d00000001v*", None),
        ] {
            assert_eq!(class_reaches(alias), reaches, "{alias}");
        }
    }

    #[test]
    fn the_device_of_an_alias_is_known_whatever_card_it_sits_on() {
        let one = device_of("pci:v000010ECd00008168sv*sd*bc*sc*i*");
        assert_eq!(one, Some("pci:v000010ECd00008168"));
        assert_eq!(one, device_of("pci:v000010ECd00008168sv00001043sd*bc*sc*i*"));
        assert_eq!(device_of("usb:v0BDAp8153d*dc*dsc*dp*"), Some("usb:v0BDAp8153"));
        assert_eq!(device_of("pci:v*d*sv*sd*bc01sc06i01*"), None);
        assert_eq!(device_of("virtio:d00000001v*"), Some("virtio:d00000001v*"));
        assert_eq!(device_of("fs-ext4"), None);
    }
}
