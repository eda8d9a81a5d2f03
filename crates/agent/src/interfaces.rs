//! The network configuration of the installed system, written in the form that the image itself reads.

mod device;
mod ifcfg;
mod ifupdown;
mod netplan;
mod network_manager;
mod networkd;
mod parked;
mod wicked;

use perilune_plan::Plan;

use crate::console::Console;
use crate::mac::MacAddress;
use crate::tree::{self, Tree};
use device::Network;

/// What configures the network of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    NetworkManager,
    Networkd,
    Netplan,
    Ifupdown,
    /// Red Hat's network scripts.
    Ifcfg,
    Wicked,
}

impl Kind {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::NetworkManager => "NetworkManager",
            Self::Networkd => "systemd-networkd",
            Self::Netplan => "netplan",
            Self::Ifupdown => "ifupdown",
            Self::Ifcfg => "network-scripts",
            Self::Wicked => "wicked",
        }
    }

    /// Whether it writes `/etc/resolv.conf` itself.
    pub fn resolves(self) -> bool {
        matches!(self, Self::NetworkManager)
    }

    /// What the image uses: of what is enabled the first, else of what is installed.
    pub fn of(tree: &Tree) -> Option<Self> {
        // It writes the configuration of the others.
        if tree.exists("usr/sbin/netplan") {
            return Some(Self::Netplan);
        }
        let all = [
            (
                Self::NetworkManager,
                "NetworkManager.service",
                ["usr/sbin/NetworkManager"].as_slice(),
            ),
            (Self::Networkd, "systemd-networkd.service", NETWORKD.as_slice()),
            (Self::Wicked, "wicked.service", ["usr/sbin/wicked"].as_slice()),
            (Self::Ifupdown, "networking.service", ["usr/sbin/ifup", "sbin/ifup"].as_slice()),
            (Self::Ifcfg, "network.service", ["etc/sysconfig/network-scripts/ifup"].as_slice()),
        ];
        let is_installed = |programs: &[&str]| programs.iter().any(|program| tree.exists(program));
        let is_enabled = |unit: &str| {
            ["multi-user.target.wants", "network-online.target.wants", "network.target.wants"]
                .iter()
                .any(|target| tree.is_link(format!("etc/systemd/system/{target}/{unit}")))
        };
        let mut installed =
            all.into_iter().filter(|(_, _, programs)| is_installed(programs)).peekable();
        let first = installed.peek().map(|(kind, _, _)| *kind);
        installed.find(|(_, unit, _)| is_enabled(unit)).map(|(kind, _, _)| kind).or(first)
    }
}

const NETWORKD: [&str; 2] = ["usr/lib/systemd/systemd-networkd", "lib/systemd/systemd-networkd"];

/// Writes the configuration of all interfaces of the plan. `boot` is the card that the machine booted from.
pub fn write(
    tree: &Tree,
    plan: &Plan,
    boot: MacAddress,
    console: &Console,
) -> Result<Option<Kind>, tree::Error> {
    let Some(kind) = Kind::of(tree) else {
        console.warning("the image has nothing that configures its network; install NetworkManager or systemd-networkd");
        return Ok(None);
    };
    let network = Network::of(plan, boot, console);
    let mut files = match kind {
        Kind::NetworkManager => network_manager::files(&network),
        Kind::Networkd => {
            enable_networkd(tree)?;
            networkd::files(&network)
        }
        Kind::Netplan => netplan::files(&network),
        Kind::Ifupdown => ifupdown::files(&network),
        Kind::Ifcfg => ifcfg::files(&network),
        Kind::Wicked => wicked::files(&network),
    };
    files.extend(network.devices.iter().filter_map(port_rule));
    parked::park(tree, kind, &files, console)?;
    for file in &files {
        tree.write(&file.path, &file.text, file.mode)?;
    }
    if kind == Kind::Wicked {
        wicked::set_name_servers(tree, &network)?;
    }
    console.line(&format!("{} interfaces for {}", network.devices.len(), kind.name()));
    Ok(Some(kind))
}

/// A file to be written.
struct File {
    path: String,
    text: String,
    mode: u32,
}

/// An image that has nothing else configures its network this way, so it must run.
fn enable_networkd(tree: &Tree) -> Result<(), tree::Error> {
    const UNIT: &str = "etc/systemd/system/multi-user.target.wants/systemd-networkd.service";
    if tree.is_link(UNIT) {
        return Ok(());
    }
    tree.link(UNIT, "/usr/lib/systemd/system/systemd-networkd.service")
}

/// A file that has udev give a card the name of its interface, so that a device is called the same whatever configures it.
fn naming_rule(device: &device::Device<'_>) -> Option<File> {
    let device::Match::Mac(mac) = device.matched else { return None };
    let name = device.system_name();
    Some(File {
        path: format!("etc/systemd/network/10-perilune-{name}.link"),
        // Releases before systemd 245 know only the first of these; a VLAN or a bond, which has the same address, they then try to
        // rename to a name that is taken, which changes nothing.
        text: format!(
            "[Match]\nMACAddress={mac}\nPermanentMACAddress={mac}\n\n[Link]\nName={name}\n"
        ),
        mode: 0o644,
    })
}

/// The same for a port of InfiniBand: by its GUID, since the rest of its address is another at each start. Only udev's own rules can
/// say that.
fn port_rule(device: &device::Device<'_>) -> Option<File> {
    let guid: Vec<String> = device.guid?.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = device.system_name();
    Some(File {
        path: format!("etc/udev/rules.d/70-perilune-{name}.rules"),
        text: format!(
            "ACTION==\"add\", SUBSYSTEM==\"net\", ATTR{{type}}==\"32\", ATTR{{address}}==\"?*{}\", NAME=\"{name}\"\n",
            guid.join(":")
        ),
        mode: 0o644,
    })
}

#[cfg(test)]
pub(crate) mod tests;
