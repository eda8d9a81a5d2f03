//! `ifcfg` files of Red Hat's network scripts, which older releases of NetworkManager read, too.

use std::fmt::Write as _;

use super::device::{Device, Kind, Match, Network};
use super::file::{File, naming_rule};

pub(super) fn files(network: &Network<'_>) -> Vec<File> {
    let mut files: Vec<File> = network.devices.iter().filter_map(naming_rule).collect();
    for device in &network.devices {
        files.push(file(device.system_name(), text(device, network)));
        files.extend(routes(device, false));
        files.extend(routes(device, true));
        for part in network.unlisted_parts(device) {
            let text = format!(
                "DEVICE={part}\nONBOOT=yes\nBOOTPROTO=none\nMASTER={}\nSLAVE=yes\n",
                device.system_name()
            );
            files.push(file(part, text));
        }
    }
    files
}

fn file(name: &str, text: String) -> File {
    File { path: format!("etc/sysconfig/network-scripts/ifcfg-{name}"), text, mode: 0o644 }
}

/// The file of a device's routes of one family.
fn routes(device: &Device<'_>, is_ipv6: bool) -> Option<File> {
    let name = device.system_name();
    let lines: Vec<String> =
        device.routes_of(is_ipv6).map(|route| route.words(name) + "\n").collect();
    let kind = if is_ipv6 { "route6" } else { "route" };
    let path = format!("etc/sysconfig/network-scripts/{kind}-{name}");
    (!lines.is_empty()).then(|| File { path, text: lines.concat(), mode: 0o644 })
}

/// Writing to a string does not fail.
fn text(device: &Device<'_>, network: &Network<'_>) -> String {
    let name = device.system_name();
    let mut text = format!("NAME={name}\nONBOOT=yes\n");
    match device.matched {
        Match::Mac(mac) => writeln!(text, "HWADDR={mac}").ok(),
        Match::Name => writeln!(text, "DEVICE={name}").ok(),
    };
    match &device.kind {
        Kind::Ethernet => text.push_str("TYPE=Ethernet\n"),
        Kind::Infiniband => text.push_str("TYPE=InfiniBand\n"),
        Kind::Vlan { id, parent } => {
            writeln!(
                text,
                "TYPE=Vlan\nVLAN=yes\nVLAN_ID={id}\nPHYSDEV={}",
                network.system_name(parent)
            )
            .ok();
        }
        Kind::Bond { mode, .. } => {
            writeln!(
                text,
                "TYPE=Bond\nBONDING_MASTER=yes\nBONDING_OPTS=\"mode={mode} miimon=100\""
            )
            .ok();
        }
    }
    if let Some(mtu) = device.interface.mtu {
        writeln!(text, "MTU={mtu}").ok();
    }
    if let Some(bond) = &device.bond {
        writeln!(text, "BOOTPROTO=none\nMASTER={bond}\nSLAVE=yes").ok();
        return text;
    }
    writeln!(text, "BOOTPROTO={}", if device.asks(false) { "dhcp" } else { "none" }).ok();
    for (number, address) in device.addresses_of(false).enumerate() {
        let end = if number == 0 { String::new() } else { number.to_string() };
        writeln!(text, "IPADDR{end}={}\nPREFIX{end}={}", address.addr(), address.prefix_len()).ok();
    }
    if let Some(gateway) = device.gateway(false) {
        writeln!(text, "GATEWAY={gateway}").ok();
    }
    if let Some(address) = device.addresses_of(true).next() {
        writeln!(text, "IPV6INIT=yes\nIPV6_AUTOCONF=no\nIPV6ADDR={address}").ok();
    }
    if device.asks(true) {
        text.push_str("IPV6INIT=yes\nIPV6_AUTOCONF=yes\n");
    }
    if let Some(gateway) = device.gateway(true) {
        writeln!(text, "IPV6_DEFAULTGW={gateway}").ok();
    }
    if let Some(metric) = device.interface.gateway_metric {
        writeln!(text, "METRIC={metric}\nIPV4_ROUTE_METRIC={metric}").ok();
    }
    if device.is_boot {
        for (number, server) in (1..).zip(network.nameservers) {
            writeln!(text, "DNS{number}={server}").ok();
        }
        if !network.search.is_empty() {
            writeln!(text, "DOMAIN=\"{}\"", network.search.join(" ")).ok();
        }
    }
    text.push_str(&device.options());
    text
}
