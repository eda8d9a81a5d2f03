//! `/etc/network/interfaces` of ifupdown. It knows devices by name only, so that udev is told the names.

use std::fmt::Write as _;

use super::device::{Device, Kind, Network};
use super::{File, naming_rule};

pub(super) fn files(network: &Network<'_>) -> Vec<File> {
    let mut text = "auto lo\niface lo inet loopback\n".to_owned();
    for device in &network.devices {
        stanza(&mut text, device, network);
    }
    text.push_str("\nsource /etc/network/interfaces.d/*\n");
    let mut files: Vec<File> = network.devices.iter().filter_map(naming_rule).collect();
    files.push(File { path: "etc/network/interfaces".to_owned(), text, mode: 0o644 });
    files
}

/// Writing to a string does not fail.
fn stanza(text: &mut String, device: &Device<'_>, network: &Network<'_>) {
    let name = device.system_name();
    writeln!(text, "\nauto {name}").ok();
    if let Some(bond) = &device.bond {
        writeln!(text, "iface {name} inet manual\n    bond-master {bond}").ok();
        return;
    }
    let mut is_first = true;
    for address in &device.addresses {
        let family = if address.addr().is_ipv6() { "inet6" } else { "inet" };
        writeln!(text, "iface {name} {family} static\n    address {address}").ok();
        if let Some(gateway) = device.gateway(address.addr().is_ipv6()) {
            writeln!(text, "    gateway {gateway}").ok();
            if let Some(metric) = device.interface.gateway_metric {
                writeln!(text, "    metric {metric}").ok();
            }
        }
        if is_first {
            link(text, device, network);
        }
        is_first = false;
    }
    if is_first {
        let method = if device.interface.dhcp { "dhcp" } else { "manual" };
        writeln!(text, "iface {name} inet {method}").ok();
        link(text, device, network);
    }
}

/// What is said once for a device.
fn link(text: &mut String, device: &Device<'_>, network: &Network<'_>) {
    match &device.kind {
        Kind::Vlan { id, parent } => {
            writeln!(text, "    vlan-raw-device {}\n    vlan-id {id}", network.system_name(parent))
                .ok();
        }
        Kind::Bond { mode, parts } => {
            let parts: Vec<&str> = parts.iter().map(|part| network.system_name(part)).collect();
            writeln!(
                text,
                "    bond-slaves {}\n    bond-mode {mode}\n    bond-miimon 100",
                parts.join(" ")
            )
            .ok();
        }
        Kind::Ethernet | Kind::Infiniband => {}
    }
    if let Some(mtu) = device.interface.mtu {
        writeln!(text, "    mtu {mtu}").ok();
    }
    if device.is_boot && !network.nameservers.is_empty() {
        let servers: Vec<String> = network.nameservers.iter().map(ToString::to_string).collect();
        writeln!(text, "    dns-nameservers {}", servers.join(" ")).ok();
    }
    if device.is_boot && !network.search.is_empty() {
        writeln!(text, "    dns-search {}", network.search.join(" ")).ok();
    }
    for line in device.options().lines() {
        writeln!(text, "    {line}").ok();
    }
}
