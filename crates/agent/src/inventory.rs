//! What this machine is made of, from what the kernel shows of it. What is missing is left out. One program is run, where the image has it:
//! the kernel tells of the firmware of Ethernet cards by a system call alone, which `ethtool` does.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use perilune_plan::inventory::{Disk, Gpu, Inventory, Nic, PciDevice};

use crate::tool;

/// Makers of graphics whose processors only show a console: those of BMCs and of virtual machines.
const CONSOLES: [&str; 7] = ["0x1a03", "0x102b", "0x1234", "0x1b36", "0x1af4", "0x15ad", "0x1013"];
/// Devices that are no disks of the machine.
const NO_DISKS: [&str; 9] = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "drbd"];
const SECTOR: u64 = 512;
const GB: u64 = 1_000_000_000;
/// As much of a file of the kernel is read; `/proc/cpuinfo` of a thousand processors is as long.
const LONGEST_FILE: usize = 4 << 20;

/// The inventory of this machine.
pub fn of_this_machine() -> Inventory {
    let machine = Machine {
        root: PathBuf::from("/"),
        driver: |card| tool::run("ethtool", ["-i", card]).unwrap_or_default(),
    };
    machine.inventory().within_bounds()
}

/// The machine whose kernel shows itself below this directory.
struct Machine {
    root: PathBuf,
    /// What `ethtool -i` says of a card.
    driver: fn(&str) -> String,
}

impl Machine {
    fn inventory(&self) -> Inventory {
        let dmi = |file: &str| self.line(&format!("sys/class/dmi/id/{file}"));
        let mut inventory = Inventory {
            vendor: dmi("sys_vendor"),
            product: dmi("product_name"),
            serial: dmi("product_serial"),
            uuid: dmi("product_uuid"),
            board: dmi("board_name"),
            bios_version: dmi("bios_version"),
            bios_date: dmi("bios_date"),
            memory_mb: self.memory(),
            disks: self.disks(),
            gpus: self.gpus(),
            nics: self.nics(),
            pci: self.pci(),
            ..Inventory::default()
        };
        self.count_processors(&mut inventory);
        inventory
    }

    fn read(&self, path: &str) -> String {
        let mut bytes = fs::read(self.root.join(path)).unwrap_or_default();
        bytes.truncate(LONGEST_FILE);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn line(&self, path: &str) -> String {
        self.read(path).trim().to_owned()
    }

    fn number(&self, path: &str) -> u64 {
        // A card without a link says -1.
        self.line(path).parse().unwrap_or(0)
    }

    /// The names in a directory, in order.
    fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(path)).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// The last part of what a link points at.
    fn target(&self, path: &str) -> String {
        let target = fs::read_link(self.root.join(path)).unwrap_or_default();
        target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn count_processors(&self, inventory: &mut Inventory) {
        let (mut sockets, mut cores) = (BTreeSet::new(), BTreeSet::new());
        let (mut count, mut socket) = (0_u32, String::new());
        let text = self.read("proc/cpuinfo");
        for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match key.trim() {
                "processor" => count = count.saturating_add(1),
                "model name" | "Model" if inventory.cpu_model.is_empty() => {
                    value.clone_into(&mut inventory.cpu_model);
                }
                "physical id" => {
                    value.clone_into(&mut socket);
                    sockets.insert(value.to_owned());
                }
                "core id" => {
                    cores.insert((socket.clone(), value.to_owned()));
                }
                _ => {}
            }
        }
        // Some processors, and those of virtual machines, do not say which socket they are in.
        let length = |set: usize, otherwise| {
            if set == 0 { otherwise } else { u32::try_from(set).unwrap_or(u32::MAX) }
        };
        inventory.cpu_count = count;
        inventory.cpu_cores = length(cores.len(), count);
        inventory.cpu_sockets = length(sockets.len(), count.min(1));
    }

    fn memory(&self) -> u64 {
        let text = self.read("proc/meminfo");
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kibibytes = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kibibytes.unwrap_or(0) / 1024
    }

    fn disks(&self) -> Vec<Disk> {
        let is_disk = |name: &String| !NO_DISKS.iter().any(|other| name.starts_with(other));
        let names = self.names("sys/block").into_iter().filter(is_disk);
        let disks = names.map(|name| {
            let at = |file: &str| format!("sys/block/{name}/{file}");
            let first = |files: [&str; 2]| {
                let found = files.iter().map(|file| self.line(&at(file)));
                found.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
            };
            let kind = match (name.starts_with("nvme"), self.line(&at("queue/rotational")).as_str())
            {
                (true, _) => "nvme",
                (false, "1") => "hdd",
                (false, _) => "ssd",
            };
            Disk {
                size_gb: self.number(&at("size")).saturating_mul(SECTOR) / GB,
                r#type: kind.to_owned(),
                model: self.line(&at("device/model")),
                serial: first(["device/serial", "serial"]),
                name,
            }
        });
        // A drive without a medium is not listed.
        disks.filter(|disk| disk.size_gb > 0).collect()
    }

    fn nics(&self) -> Vec<Nic> {
        let names = self.names("sys/class/net");
        let cards = names.into_iter().filter(|name| {
            // What is made of software has no device behind it.
            self.root.join(format!("sys/class/net/{name}/device")).exists()
        });
        let nics = cards.map(|name| {
            let at = |file: &str| format!("sys/class/net/{name}/{file}");
            let kind = match self.line(&at("type")).as_str() {
                "1" => "ethernet",
                "32" => "infiniband",
                _ => "other",
            };
            let functions = self.number(&at("device/sriov_totalvfs"));
            let sriov = if functions > 0 { ",sriov" } else { "" };
            let ports = self.names(&at("device/infiniband"));
            let rdma = if ports.is_empty() { "" } else { ",rdma" };
            let firmware = ports
                .first()
                .map(|port| self.line(&at(&format!("device/infiniband/{port}/fw_ver"))));
            Nic {
                mac: self.line(&at("address")),
                speed_mbps: self.number(&at("speed")),
                capabilities: format!("{kind}{rdma}{sriov}"),
                firmware: firmware.unwrap_or_else(|| firmware_in(&(self.driver)(&name))),
                driver: self.target(&at("device/driver")),
                busid: self.target(&at("device")),
                name,
            }
        });
        nics.collect()
    }

    fn pci(&self) -> Vec<PciDevice> {
        const BRIDGE: &str = "06";
        let devices = self.names("sys/bus/pci/devices").into_iter().map(|busid| {
            let at = |file: &str| format!("sys/bus/pci/devices/{busid}/{file}");
            let number = |file: &str| self.line(&at(file)).trim_start_matches("0x").to_owned();
            PciDevice {
                class: number("class"),
                id: format!("{}:{}", number("vendor"), number("device")),
                driver: self.target(&at("driver")),
                busid,
            }
        });
        devices.filter(|device| !device.class.starts_with(BRIDGE)).collect()
    }

    fn gpus(&self) -> Vec<Gpu> {
        let devices = self.names("sys/bus/pci/devices").into_iter().filter(|busid| {
            let at = |file: &str| self.line(&format!("sys/bus/pci/devices/{busid}/{file}"));
            let class = at("class");
            // Displays, and accelerators.
            (class.starts_with("0x03") || class.starts_with("0x12"))
                && !CONSOLES.contains(&at("vendor").as_str())
        });
        devices.map(|busid| self.gpu(busid)).collect()
    }

    fn gpu(&self, busid: String) -> Gpu {
        let at = |file: &str| format!("sys/bus/pci/devices/{busid}/{file}");
        let (maker, number) = (self.line(&at("vendor")), self.line(&at("device")));
        let vendor = match maker.as_str() {
            "0x10de" => "NVIDIA",
            "0x1002" => "AMD",
            "0x8086" => "Intel",
            other => other,
        };
        // Where NVIDIA's driver runs, it says more than the bus.
        let told = self.read(&format!("proc/driver/nvidia/gpus/{busid}/information"));
        let word = |key: &str| {
            let mut lines = told.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(own, _)| own.trim() == key).map(|(_, value)| value.trim().to_owned())
        };
        let numbers =
            format!("{}:{}", maker.trim_start_matches("0x"), number.trim_start_matches("0x"));
        Gpu {
            vendor: vendor.to_owned(),
            model: word("Model").unwrap_or(numbers),
            memory_mb: self.number(&at("mem_info_vram_total")) >> 20,
            uuid: word("GPU UUID").unwrap_or_default(),
            busid,
        }
    }
}

/// The firmware that `ethtool -i` tells of. Cards of virtual machines have none.
fn firmware_in(said: &str) -> String {
    let mut lines = said.lines().filter_map(|line| line.strip_prefix("firmware-version:"));
    let version = lines.next().map(str::trim).filter(|version| *version != "N/A");
    version.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A machine as its kernel shows it: two sockets, an `NVMe` disk and an old one, cards of both kinds, a GPU and a BMC's console.
    fn machine() -> (tempfile::TempDir, Inventory) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let link = |path: &str, target: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(target, path).unwrap();
        };
        for (file, text) in [
            ("sys_vendor", "Acme\n"),
            ("product_name", "R760\n"),
            ("product_serial", "CZ1\n"),
            ("bios_version", "1.2\n"),
        ] {
            write(&format!("sys/class/dmi/id/{file}"), text);
        }
        let thread = |number: u8, socket: u8, core: u8| {
            format!(
                "processor : {number}\nmodel name\t: Xeon\nphysical id : {socket}\ncore id : {core}\n\n"
            )
        };
        write(
            "proc/cpuinfo",
            &[thread(0, 0, 0), thread(1, 0, 1), thread(2, 1, 0), thread(3, 1, 1), thread(4, 0, 0)]
                .concat(),
        );
        write("proc/meminfo", "MemTotal:       32768000 kB\nMemFree: 1 kB\n");
        for (name, size, rotational, serial) in [
            ("nvme0n1", "1953525168", "0", "device/serial"),
            ("sda", "7814037168", "1", "device/serial"),
            ("loop0", "9953525168", "0", "serial"),
            ("sdb", "0", "1", "serial"),
        ] {
            write(&format!("sys/block/{name}/size"), size);
            write(&format!("sys/block/{name}/queue/rotational"), rotational);
            write(&format!("sys/block/{name}/{serial}"), &format!("S{name} \n"));
            write(&format!("sys/block/{name}/device/model"), "Disk 1\n");
        }
        for (busid, class, vendor) in [
            ("0000:01:00.0", "0x020000", "0x15b3"),
            ("0000:41:00.0", "0x030200", "0x10de"),
            ("0000:42:00.0", "0x120000", "0x1002"),
            ("0000:05:00.0", "0x030000", "0x1a03"),
            ("0000:00:01.0", "0x060400", "0x8086"),
        ] {
            write(&format!("sys/bus/pci/devices/{busid}/class"), class);
            write(&format!("sys/bus/pci/devices/{busid}/vendor"), vendor);
            write(&format!("sys/bus/pci/devices/{busid}/device"), "0x20b0\n");
        }
        write("sys/bus/pci/devices/0000:42:00.0/mem_info_vram_total", "68702699520\n");
        write(
            "proc/driver/nvidia/gpus/0000:41:00.0/information",
            "Model: \t NVIDIA A100\nGPU UUID: \t GPU-1\n",
        );
        link("sys/bus/pci/devices/0000:01:00.0/driver", "../drivers/mlx5_core");
        write("sys/bus/pci/devices/0000:01:00.0/infiniband/mlx5_0/fw_ver", "20.31.1014\n");
        write("sys/bus/pci/devices/0000:01:00.0/sriov_totalvfs", "8\n");
        link("sys/class/net/ens1/device", "../../../bus/pci/devices/0000:01:00.0");
        for (file, text) in
            [("address", "52:54:00:00:00:01\n"), ("speed", "100000\n"), ("type", "1\n")]
        {
            write(&format!("sys/class/net/ens1/{file}"), text);
        }
        write("sys/class/net/lo/address", "00:00:00:00:00:00\n");
        link("sys/class/net/eno1/device", "../../../bus/pci/devices/0000:05:00.0");
        write("sys/class/net/eno1/type", "1\n");
        let machine = Machine { root: root.to_owned(), driver: |card| said_of(card) };
        let inventory = machine.inventory().within_bounds();
        (directory, inventory)
    }

    /// As ethtool 6.1 says it of cards of servers and of virtual machines.
    fn said_of(card: &str) -> String {
        let version = match card {
            "eno1" => "0x800009fa, 1.2.3",
            "virtual" => "",
            _ => "N/A",
        };
        format!(
            "driver: igb\nversion: 6.1.0\nfirmware-version: {version}\nexpansion-rom-version: \nbus-info: 0000:05:00.0\n"
        )
    }

    #[test]
    fn firmware_is_what_ethtool_says_where_it_says_any() {
        for (card, firmware) in [("eno1", "0x800009fa, 1.2.3"), ("virtual", ""), ("dummy", "")] {
            assert_eq!(firmware_in(&said_of(card)), firmware, "{card}");
        }
        assert_eq!(firmware_in(""), "", "without ethtool");
    }

    #[test]
    fn a_machine_is_read_from_what_its_kernel_shows() {
        let (_directory, inventory) = machine();
        assert_eq!(
            (inventory.vendor.as_str(), inventory.product.as_str(), inventory.serial.as_str()),
            ("Acme", "R760", "CZ1")
        );
        assert_eq!((inventory.cpu_count, inventory.cpu_cores, inventory.cpu_sockets), (5, 4, 2));
        assert_eq!((inventory.cpu_model.as_str(), inventory.memory_mb), ("Xeon", 32_000));
        let disks: Vec<_> = inventory
            .disks
            .iter()
            .map(|disk| {
                (disk.name.as_str(), disk.size_gb, disk.r#type.as_str(), disk.serial.as_str())
            })
            .collect();
        assert_eq!(disks, [("nvme0n1", 1000, "nvme", "Snvme0n1"), ("sda", 4000, "hdd", "Ssda")]);
        let [other, nic] = &inventory.nics[..] else { panic!("{:?}", inventory.nics) };
        let expected = Nic {
            name: "ens1".into(),
            mac: "52:54:00:00:00:01".into(),
            speed_mbps: 100_000,
            capabilities: "ethernet,rdma,sriov".into(),
            firmware: "20.31.1014".into(),
            driver: "mlx5_core".into(),
            busid: "0000:01:00.0".into(),
        };
        assert_eq!(*nic, expected);
        assert_eq!((other.name.as_str(), other.firmware.as_str()), ("eno1", "0x800009fa, 1.2.3"));
        let gpus: Vec<_> = inventory
            .gpus
            .iter()
            .map(|gpu| (gpu.vendor.as_str(), gpu.model.as_str(), gpu.memory_mb, gpu.uuid.as_str()))
            .collect();
        assert_eq!(gpus, [("NVIDIA", "NVIDIA A100", 0, "GPU-1"), ("AMD", "1002:20b0", 65_520, "")]);
        assert_eq!(inventory.pci.len(), 4, "bridges are left out");
        assert_eq!(inventory.pci[0].id, "15b3:20b0");
    }

    #[test]
    fn a_machine_that_shows_nothing_has_an_empty_inventory_and_this_one_has_processors() {
        let directory = tempfile::tempdir().unwrap();
        let machine = Machine { root: directory.path().to_owned(), driver: |_| String::new() };
        let nothing = machine.inventory();
        assert_eq!(nothing, Inventory::default());
        let own = of_this_machine();
        assert!(own.cpu_count > 0 && own.memory_mb > 0, "{own:?}");
    }
}
