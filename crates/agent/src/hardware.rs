//! Drivers: what the kernel says is in the machine, by its module aliases. Nothing here depends on udev.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::console::Console;
use crate::{tool, wait};

const DEVICES: &str = "/sys/devices";
/// A driver finds a bus, and only then the devices on it. No machine has more layers of buses than this.
const MOST_ROUNDS: usize = 8;
/// As many aliases are handed to one modprobe.
const BATCH: usize = 500;
const LOAD_EVERY: Duration = Duration::from_secs(1);
/// sysfs is not deeper than this, so that a loop in it ends.
const DEEPEST: usize = 40;

/// Loads the drivers of all devices, of those that appear meanwhile, too. What has no driver is no failure.
#[derive(Debug, Default)]
pub struct Drivers {
    asked: BTreeSet<String>,
    has_ports: bool,
}

impl Drivers {
    /// Returns whether anything new was found.
    pub fn load(&mut self, console: &Console) -> bool {
        let is_new = self.load_some(console, is_network) | self.load_some(console, |_| true);
        self.load_ip_over_infiniband();
        is_new
    }

    /// Loads the drivers of new devices, of those that are wanted.
    fn load_some(&mut self, console: &Console, is_wanted: impl Fn(&str) -> bool) -> bool {
        let mut found = aliases(Path::new(DEVICES));
        found.retain(|alias| is_wanted(alias));
        let new: Vec<String> = found.difference(&self.asked).cloned().collect();
        for batch in new.chunks(BATCH) {
            // modprobe fails when one of many devices has no driver here, as one always has.
            let words = ["-a", "-b", "-q"].into_iter().chain(batch.iter().map(String::as_str));
            let loaded = tool::run("modprobe", words);
            if let Err(error @ tool::Error::Missing { .. }) = loaded {
                console.warning(&error.to_string());
            }
        }
        self.asked.extend(found);
        !new.is_empty()
    }

    /// Loads until nothing new appears, and beyond that while devices appear and `is_over` is not set. Sets `is_settled` in between.
    pub fn keep_loading(
        &mut self,
        console: &Console,
        is_settled: &AtomicBool,
        is_over: &AtomicBool,
    ) {
        // The network's first, those of its buses too: what is fetched there takes longest.
        for _round in 0..MOST_ROUNDS {
            if !self.load_some(console, is_network) {
                break;
            }
        }
        self.settle(console);
        is_settled.store(true, Ordering::Release);
        while !is_over.load(Ordering::Acquire) {
            let over = || is_over.load(Ordering::Acquire).then_some(());
            if wait::until(LOAD_EVERY, over).is_none() {
                self.load(console);
            }
        }
    }

    /// A port of InfiniBand is no network card by itself, and no device asks for the module that makes it one.
    fn load_ip_over_infiniband(&mut self) {
        const PORTS: &str = "/sys/class/infiniband";
        let has_ports = fs::read_dir(PORTS).is_ok_and(|mut ports| ports.next().is_some());
        if has_ports && !self.has_ports {
            self.has_ports = true;
            // Without it the card is not found, which is told with those that are there.
            drop(tool::run("modprobe", ["-b", "-q", "ib_ipoib"]));
        }
    }

    /// Loads until nothing new appears.
    pub fn settle(&mut self, console: &Console) {
        for _round in 0..MOST_ROUNDS {
            if !self.load(console) {
                return;
            }
        }
    }

    /// Waits until `look` finds what is waited for, and loads drivers while new devices appear.
    pub fn until<T>(
        &mut self,
        console: &Console,
        limit: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        self.settle(console);
        let mut loaded = Instant::now();
        wait::until(limit, || {
            // A large machine has thousands of devices to look at.
            if loaded.elapsed() > LOAD_EVERY {
                self.load(console);
                loaded = Instant::now();
            }
            look()
        })
    }
}

/// Whether a device is a network card, or what one is behind: network controllers of PCI, and virtio.
fn is_network(alias: &str) -> bool {
    const NETWORK_CLASS: &str = "bc02";
    const NETWORK_OF_VIRTIO: &str = "virtio:d00000001v";
    (alias.starts_with("pci:") && alias.contains(NETWORK_CLASS))
        || alias.starts_with(NETWORK_OF_VIRTIO)
}

/// Tells the kernel where modprobe is, for modules that it asks for itself; the usual place need not exist here.
pub fn provide_modprobe() {
    if let Some(place) = tool::find("modprobe") {
        fs::write("/proc/sys/kernel/modprobe", place.as_os_str().as_encoded_bytes()).ok();
    }
}

/// A module by its name; that the kernel has it built in, or not at all, shows when it is used.
pub fn load_module(name: &str) {
    drop(tool::run("modprobe", ["-q", "-b", name]));
}

fn aliases(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut pending: Vec<(PathBuf, usize)> = vec![(directory.to_owned(), 0)];
    while let Some((directory, depth)) = pending.pop() {
        let entries = fs::read_dir(&directory).into_iter().flatten().filter_map(Result::ok);
        for entry in entries {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_directory && depth < DEEPEST {
                pending.push((entry.path(), depth + 1));
            } else if entry.file_name() == "modalias" {
                let text = fs::read_to_string(entry.path()).unwrap_or_default();
                found
                    .extend(Some(text.trim()).filter(|alias| !alias.is_empty()).map(str::to_owned));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_of_all_devices_are_found() {
        let devices = tempfile::tempdir().unwrap();
        let card = devices.path().join("pci0000:00/0000:00:02.0/virtio0");
        fs::create_dir_all(&card).unwrap();
        fs::write(card.join("modalias"), "virtio:d00000001v00001AF4\n").unwrap();
        fs::write(card.parent().unwrap().join("modalias"), "pci:v00001AF4d00001041\n").unwrap();
        fs::write(devices.path().join("modalias"), "\n").unwrap();
        std::os::unix::fs::symlink(devices.path(), card.join("subsystem")).unwrap();
        let found: Vec<String> = aliases(devices.path()).into_iter().collect();
        assert_eq!(found, ["pci:v00001AF4d00001041", "virtio:d00000001v00001AF4"]);
    }
}
