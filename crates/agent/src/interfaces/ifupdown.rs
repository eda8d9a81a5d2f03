//! `/etc/network/interfaces` of ifupdown. It knows devices by name only, so that udev is told the names. Bonds and VLANs are made by
//! `ip`, so that the image needs no packages for them, and no names that those would understand.

use std::fmt::Write as _;

use super::device::{Device, Kind, Network};
use super::file::{File, naming_rule};

/// What brings up nothing but the machine itself.
pub(super) const LOOPBACK: &str = "auto lo\niface lo inet loopback\n";

pub(super) fn files(network: &Network<'_>) -> Vec<File> {
    let mut text = LOOPBACK.to_owned();
    // They come up in this order: what carries another comes before it.
    let mut devices: Vec<&Device<'_>> = network.devices.iter().collect();
    devices.sort_by_key(|device| match device.kind {
        Kind::Ethernet | Kind::Infiniband => 0,
        Kind::Bond { .. } => 1,
        Kind::Vlan { .. } => 2,
    });
    for device in devices {
        stanzas(&mut text, device, network);
    }
    text.push_str("\nsource /etc/network/interfaces.d/*\n");
    let mut files: Vec<File> = network.devices.iter().filter_map(naming_rule).collect();
    files.push(File { path: "etc/network/interfaces".to_owned(), text, mode: 0o644 });
    files
}

/// Writing to a string does not fail.
fn stanzas(text: &mut String, device: &Device<'_>, network: &Network<'_>) {
    let name = device.system_name();
    writeln!(text, "\nauto {name}").ok();
    if device.bond.is_some() {
        // The bond brings it up.
        writeln!(text, "iface {name} inet manual").ok();
        return;
    }
    // What belongs to the device is said once, in its first stanza.
    let mut once = link(device, network);
    if device.asks(false) {
        write!(text, "iface {name} inet dhcp\n{}", std::mem::take(&mut once)).ok();
        routes(text, device, false);
    }
    for address in &device.addresses {
        let is_ipv6 = address.addr().is_ipv6();
        let family = if is_ipv6 { "inet6" } else { "inet" };
        writeln!(text, "iface {name} {family} static\n    address {address}").ok();
        if is_ipv6 {
            // A router's word gives addresses that the cluster does not know.
            text.push_str("    accept_ra 0\n");
        }
        if let Some(gateway) = device.gateway(is_ipv6) {
            writeln!(text, "    gateway {gateway}").ok();
            if let Some(metric) = device.interface.gateway_metric {
                writeln!(text, "    metric {metric}").ok();
            }
        }
        text.push_str(&std::mem::take(&mut once));
        routes(text, device, is_ipv6);
    }
    if device.asks(true) {
        write!(text, "iface {name} inet6 auto\n{}", std::mem::take(&mut once)).ok();
        routes(text, device, true);
    }
    if device.addresses.is_empty() && !device.interface.dhcp {
        write!(text, "iface {name} inet manual\n{once}").ok();
    }
}

/// A router that is away must not keep the interface down.
fn routes(text: &mut String, device: &Device<'_>, is_ipv6: bool) {
    let family = if is_ipv6 { "-6" } else { "-4" };
    for route in device.routes_of(is_ipv6) {
        let words = route.words(device.system_name());
        writeln!(text, "    up ip {family} route replace {words} || true").ok();
    }
}

fn link(device: &Device<'_>, network: &Network<'_>) -> String {
    let name = device.system_name();
    let mut text = String::new();
    match &device.kind {
        Kind::Vlan { id, parent } => {
            let parent = network.system_name(parent);
            writeln!(text, "    pre-up ip link set dev {parent} up").ok();
            make(&mut text, name, &format!("link {parent} name {name} type vlan id {id}"));
        }
        Kind::Bond { mode, parts } => {
            make(&mut text, name, &format!("name {name} type bond mode {mode} miimon 100"));
            for part in parts.iter().map(|part| network.system_name(part)) {
                // A bond takes only what is down, and brings it up.
                writeln!(
                    text,
                    "    pre-up ip link set dev {part} down && ip link set dev {part} master {name}"
                )
                .ok();
            }
        }
        Kind::Ethernet | Kind::Infiniband => {}
    }
    if let Some(mtu) = device.interface.mtu {
        writeln!(text, "    pre-up ip link set dev {name} mtu {mtu}").ok();
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
    text
}

/// A device that is made here; one that is there already stays.
fn make(text: &mut String, name: &str, words: &str) {
    writeln!(text, "    pre-up ip link show dev {name} >/dev/null 2>&1 || ip link add {words}")
        .ok();
    writeln!(text, "    post-down ip link delete dev {name} || true").ok();
}
