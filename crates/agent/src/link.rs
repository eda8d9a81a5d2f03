//! Network interfaces, as the kernel shows them, and what `ip` does to them.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use crate::mac::MacAddress;
use crate::{tool, wait};

const NETWORK: &str = "/sys/class/net";

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub name: String,
    pub mac: MacAddress,
}

/// All interfaces that are hardware, in the order of their names.
pub fn all() -> Vec<Link> {
    all_in(Path::new(NETWORK))
}

fn all_in(directory: &Path) -> Vec<Link> {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let mut links: Vec<Link> = entries
        .filter(|entry| entry.path().join("device").exists())
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let address = fs::read_to_string(entry.path().join("address")).ok()?;
            Some(Link { name, mac: address.trim().parse().ok()? })
        })
        .collect();
    links.sort_by(|one, other| one.name.cmp(&other.name));
    links
}

impl Link {
    fn file(&self, name: &str) -> PathBuf {
        Path::new(NETWORK).join(&self.name).join(name)
    }

    pub fn has_carrier(&self) -> bool {
        fs::read_to_string(self.file("carrier")).is_ok_and(|text| text.trim() == "1")
    }

    pub fn up(&self) -> Result<(), tool::Error> {
        ip(&["link", "set", "dev", &self.name, "up"])
    }

    pub fn down(&self) -> Result<(), tool::Error> {
        ip(&["address", "flush", "dev", &self.name])?;
        ip(&["link", "set", "dev", &self.name, "down"])
    }

    /// Waits until the other end of the cable answers.
    pub fn wait_for_carrier(&self, limit: Duration) -> bool {
        wait::until(limit, || self.has_carrier().then_some(())).is_some()
    }

    /// Gives it an address; one that it has already stays.
    pub fn add_address(&self, address: IpNet) -> Result<(), tool::Error> {
        let address_text = address.to_string();
        let mut words = vec!["address", "replace", &address_text, "dev", &self.name];
        match address {
            IpNet::V4(_) => words.extend(["broadcast", "+"]),
            // The controller has given this address out: there is no need to wait until it is known to be unique.
            IpNet::V6(_) => words.push("nodad"),
        }
        ip(&words)
    }

    pub fn add_default_route(&self, gateway: IpAddr) -> Result<(), tool::Error> {
        let family = if gateway.is_ipv6() { "-6" } else { "-4" };
        let gateway = gateway.to_string();
        ip(&[family, "route", "replace", "default", "via", &gateway, "dev", &self.name])
    }
}

fn ip(words: &[&str]) -> Result<(), tool::Error> {
    tool::run("ip", words).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hardware_counts() {
        let network = tempfile::tempdir().unwrap();
        for (name, address, is_hardware) in [
            ("lo", "00:00:00:00:00:00", false),
            ("eth1", "52:54:00:00:00:02", true),
            ("eth0", "52:54:00:00:00:01", true),
            ("ib0", "80:00:02:08:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:11:22:33", true),
            ("sit0", "0.0.0.0", true),
        ] {
            let directory = network.path().join(name);
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join("address"), format!("{address}\n")).unwrap();
            if is_hardware {
                fs::create_dir(directory.join("device")).unwrap();
            }
        }
        let found: Vec<String> = all_in(network.path())
            .iter()
            .map(|link| format!("{} {}", link.name, link.mac))
            .collect();
        assert_eq!(
            found,
            [
                "eth0 52:54:00:00:00:01",
                "eth1 52:54:00:00:00:02",
                "ib0 80:00:02:08:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:11:22:33"
            ]
        );
    }
}
