//! What a machine is made of, as its installer sees it.

use serde::{Deserialize, Serialize};

/// The most entries of one list of an inventory: machines with more of one kind are told of so many.
pub const MOST: usize = 256;
/// The longest text of an inventory, in characters.
pub const LONGEST: usize = 128;

/// What a machine is made of. What is not known is unset or empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Inventory {
    /// Who made the machine.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vendor: String,
    /// What its maker calls it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub product: String,
    /// Its serial number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub serial: String,
    /// Its UUID.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uuid: String,
    /// Its main board.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub board: String,
    /// The version of its firmware.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bios_version: String,
    /// The date of its firmware.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bios_date: String,
    /// What its processors are called.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cpu_model: String,
    /// How many processors the system has, each thread counted.
    pub cpu_count: u32,
    /// Cores.
    pub cpu_cores: u32,
    /// Sockets with a processor.
    pub cpu_sockets: u32,
    /// Memory that the system has, in MiB.
    pub memory_mb: u64,
    /// Disks, the installer's own memory disks not among them.
    pub disks: Vec<Disk>,
    /// Graphics processors and accelerators; not what only shows a console.
    pub gpus: Vec<Gpu>,
    /// Network cards.
    pub nics: Vec<Nic>,
    /// Devices of the PCI bus, bridges not among them.
    pub pci: Vec<PciDevice>,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = InventoryDisk))]
#[serde(default)]
pub struct Disk {
    /// The name of the device, such as `nvme0n1`.
    pub name: String,
    /// Its size in GB: 1,000,000,000 bytes.
    pub size_gb: u64,
    /// `nvme`, `ssd` or `hdd`.
    pub r#type: String,
    /// What its maker calls it.
    pub model: String,
    /// Its serial number.
    pub serial: String,
}

/// A graphics processor or accelerator.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = InventoryGpu))]
#[serde(default)]
pub struct Gpu {
    /// Its place on the PCI bus.
    pub busid: String,
    /// Who made it.
    pub vendor: String,
    /// What it is: its driver's word, else its numbers on the bus.
    pub model: String,
    /// Its own memory in MiB; 0 when that is not known.
    pub memory_mb: u64,
    /// What its driver knows it by.
    pub uuid: String,
}

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = InventoryNic))]
#[serde(default)]
pub struct Nic {
    /// The name of the device.
    pub name: String,
    /// Its hardware address.
    pub mac: String,
    /// Its speed in Mbit/s; 0 while it has no link.
    pub speed_mbps: u64,
    /// What it can do, separated by commas, such as `ethernet,sriov`.
    pub capabilities: String,
    /// The version of its firmware.
    pub firmware: String,
    /// Its driver.
    pub driver: String,
    /// Its place on the PCI bus.
    pub busid: String,
}

/// A device of the PCI bus.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = InventoryPciDevice))]
#[serde(default)]
pub struct PciDevice {
    /// Its place.
    pub busid: String,
    /// Its class, six hexadecimal digits.
    pub class: String,
    /// Its maker's number and its own: `10de:20b0`.
    pub id: String,
    /// Its driver.
    pub driver: String,
}

impl Inventory {
    /// The inventory without what is too long or too much, and without control characters: it comes from a machine.
    #[must_use]
    pub fn within_bounds(mut self) -> Self {
        let texts = [
            &mut self.vendor,
            &mut self.product,
            &mut self.serial,
            &mut self.uuid,
            &mut self.board,
            &mut self.bios_version,
            &mut self.bios_date,
            &mut self.cpu_model,
        ];
        texts.into_iter().for_each(bound);
        self.disks.truncate(MOST);
        self.gpus.truncate(MOST);
        self.nics.truncate(MOST);
        self.pci.truncate(MOST);
        for disk in &mut self.disks {
            [&mut disk.name, &mut disk.r#type, &mut disk.model, &mut disk.serial]
                .into_iter()
                .for_each(bound);
        }
        for gpu in &mut self.gpus {
            [&mut gpu.busid, &mut gpu.vendor, &mut gpu.model, &mut gpu.uuid]
                .into_iter()
                .for_each(bound);
        }
        for nic in &mut self.nics {
            let texts = [&mut nic.name, &mut nic.mac, &mut nic.capabilities];
            let more = [&mut nic.firmware, &mut nic.driver, &mut nic.busid];
            texts.into_iter().chain(more).for_each(bound);
        }
        for device in &mut self.pci {
            [&mut device.busid, &mut device.class, &mut device.id, &mut device.driver]
                .into_iter()
                .for_each(bound);
        }
        self
    }

    /// The sizes of all disks together, in GB.
    pub fn disk_total_gb(&self) -> u64 {
        self.disks.iter().fold(0, |total: u64, disk| total.saturating_add(disk.size_gb))
    }
}

fn bound(text: &mut String) {
    let is_right = text.chars().take(LONGEST + 1).count() <= LONGEST
        && !text.chars().any(char::is_control)
        && text.trim() == text;
    if !is_right {
        *text = text.trim().chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_says_is_bounded() {
        let disk = || Disk { name: "x".repeat(1000), size_gb: u64::MAX, ..Disk::default() };
        let inventory = Inventory {
            product: " a\nb\u{0}".to_owned(),
            serial: "ü".repeat(200),
            disks: (0..300).map(|_| disk()).collect(),
            ..Inventory::default()
        };
        let bounded = inventory.within_bounds();
        assert_eq!((bounded.product.as_str(), bounded.serial.chars().count()), ("ab", LONGEST));
        assert_eq!((bounded.disks.len(), bounded.disks[299 - 44].name.len()), (MOST, LONGEST));
        assert_eq!(bounded.disk_total_gb(), u64::MAX);
        assert_eq!(bounded.clone().within_bounds(), bounded);
    }
}
