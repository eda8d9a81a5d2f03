//! Files of systemd-networkd (systemd.network(5), systemd.netdev(5)).

use std::fmt::Write as _;

use super::device::{Device, Kind, Match, Network};
use super::file::{File, naming_rule};

/// Before whatever the image has itself.
const PREFIX: &str = "etc/systemd/network/05-perilune-";

pub(super) fn files(network: &Network<'_>) -> Vec<File> {
    let mut files: Vec<File> = network.devices.iter().filter_map(naming_rule).collect();
    for device in &network.devices {
        let name = device.system_name();
        if let Some(text) = virtual_device(device) {
            files.push(file(&format!("{name}.netdev"), text));
        }
        files.push(file(&format!("{name}.network"), configuration(device, network)));
        for part in network.unlisted_parts(device) {
            let text = format!("[Match]\nName={part}\n\n[Network]\nBond={name}\n");
            files.push(file(&format!("{part}.network"), text));
        }
    }
    files
}

fn file(name: &str, text: String) -> File {
    File { path: PREFIX.to_owned() + name, text, mode: 0o644 }
}

fn virtual_device(device: &Device<'_>) -> Option<String> {
    let name = device.system_name();
    match &device.kind {
        Kind::Vlan { id, .. } => {
            Some(format!("[NetDev]\nName={name}\nKind=vlan\n\n[VLAN]\nId={id}\n"))
        }
        Kind::Bond { mode, .. } => Some(format!(
            "[NetDev]\nName={name}\nKind=bond\n\n[Bond]\nMode={mode}\nMIIMonitorSec=100ms\n"
        )),
        Kind::Ethernet | Kind::Infiniband => None,
    }
}

/// Writing to a string does not fail.
fn configuration(device: &Device<'_>, network: &Network<'_>) -> String {
    let mut text = match device.matched {
        // A bond gives its parts its own address.
        Match::Mac(mac) if device.bond.is_some() => format!("[Match]\nPermanentMACAddress={mac}\n"),
        // A VLAN or a bond has the address of the card below it.
        Match::Mac(mac) => format!("[Match]\nMACAddress={mac}\nType=ether\n"),
        Match::Name => format!("[Match]\nName={}\n", device.system_name()),
    };
    text.push_str("\n[Link]\n");
    if let Some(mtu) = device.interface.mtu {
        writeln!(text, "MTUBytes={mtu}").ok();
    }
    // A cable that is missing elsewhere must not keep the node from becoming ready.
    writeln!(text, "RequiredForOnline={}", if device.is_boot { "yes" } else { "no" }).ok();
    text.push_str("\n[Network]\n");
    if let Some(bond) = &device.bond {
        writeln!(text, "Bond={bond}").ok();
    } else {
        addresses(&mut text, device, network);
    }
    for vlan in &device.vlans {
        writeln!(text, "VLAN={vlan}").ok();
    }
    for gateway in [device.gateway(false), device.gateway(true)].into_iter().flatten() {
        write!(text, "\n[Route]\nGateway={gateway}\n").ok();
        if let Some(metric) = device.interface.gateway_metric {
            writeln!(text, "Metric={metric}").ok();
        }
    }
    for route in &device.routes {
        writeln!(text, "\n[Route]\nDestination={}", route.destination).ok();
        if let Some(gateway) = route.gateway {
            writeln!(text, "Gateway={gateway}").ok();
        }
        if let Some(metric) = route.metric {
            writeln!(text, "Metric={metric}").ok();
        }
        if route.on_link {
            text.push_str("GatewayOnLink=yes\n");
        }
    }
    if device.asks(false) {
        // Addresses are reserved by hardware address, and lent to it while the node installs itself.
        text.push_str("\n[DHCPv4]\nClientIdentifier=mac\n");
    }
    let options = device.options();
    if !options.is_empty() {
        text.push('\n');
        text.push_str(&options);
    }
    text
}

fn addresses(text: &mut String, device: &Device<'_>, network: &Network<'_>) {
    match (device.asks(false), device.asks(true)) {
        (true, true) => text.push_str("DHCP=yes\n"),
        (true, false) => text.push_str("DHCP=ipv4\n"),
        (false, true) => text.push_str("DHCP=ipv6\n"),
        (false, false) => {}
    }
    for address in &device.addresses {
        writeln!(text, "Address={address}").ok();
    }
    // A router's word gives addresses that the cluster does not know.
    if !device.asks(true) {
        text.push_str("IPv6AcceptRA=no\n");
    }
    if device.is_boot {
        for server in network.nameservers {
            writeln!(text, "DNS={server}").ok();
        }
        if !network.search.is_empty() {
            writeln!(text, "Domains={}", network.search.join(" ")).ok();
        }
    }
}
