//! The network configuration of the installed system, written in the form that the image itself reads.

mod device;
mod file;
mod ifcfg;
mod ifupdown;
mod kind;
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
use file::port_rule;
pub use kind::Kind;

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

/// An image that has nothing else configures its network this way, so it must run.
fn enable_networkd(tree: &Tree) -> Result<(), tree::Error> {
    const UNIT: &str = "etc/systemd/system/multi-user.target.wants/systemd-networkd.service";
    if tree.is_link(UNIT) {
        return Ok(());
    }
    tree.link(UNIT, "/usr/lib/systemd/system/systemd-networkd.service")
}

#[cfg(test)]
pub(crate) mod tests;
