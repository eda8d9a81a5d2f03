//! One file of netplan, in its YAML. All names are plain words, so that none needs quoting; quoted are values that
//! YAML would take for something else.

use std::fmt::Write as _;

use super::device::{Device, Kind, Match, Network};
use super::file::File;

pub(super) fn files(network: &Network<'_>) -> Vec<File> {
    let mut text = "network:\n  version: 2\n".to_owned();
    for section in ["ethernets", "bonds", "vlans"] {
        let devices: Vec<&Device<'_>> =
            network.devices.iter().filter(|device| section_of(&device.kind) == section).collect();
        let parts: Vec<&str> = if section == "ethernets" {
            network.devices.iter().flat_map(|device| network.unlisted_parts(device)).collect()
        } else {
            Vec::new()
        };
        if devices.is_empty() && parts.is_empty() {
            continue;
        }
        writeln!(text, "  {section}:").ok();
        for device in devices {
            entry(&mut text, device, network);
        }
        for part in parts {
            writeln!(text, "    {part}: {{dhcp4: false, dhcp6: false, optional: true}}").ok();
        }
    }
    vec![File { path: "etc/netplan/90-perilune.yaml".to_owned(), text, mode: 0o600 }]
}

fn section_of(kind: &Kind<'_>) -> &'static str {
    match kind {
        Kind::Ethernet | Kind::Infiniband => "ethernets",
        Kind::Bond { .. } => "bonds",
        Kind::Vlan { .. } => "vlans",
    }
}

/// Writing to a string does not fail.
fn entry(text: &mut String, device: &Device<'_>, network: &Network<'_>) {
    writeln!(text, "    {}:", device.system_name()).ok();
    match &device.kind {
        Kind::Vlan { id, parent } => {
            writeln!(text, "      id: {id}\n      link: {}", network.system_name(parent)).ok();
        }
        Kind::Bond { mode, parts } => {
            let parts: Vec<&str> = parts.iter().map(|part| network.system_name(part)).collect();
            writeln!(text, "      interfaces: [{}]", parts.join(", ")).ok();
            writeln!(text, "      parameters: {{mode: {mode}, mii-monitor-interval: 100}}").ok();
        }
        Kind::Ethernet | Kind::Infiniband => {
            if let Match::Mac(mac) = device.matched {
                let name = device.system_name();
                writeln!(
                    text,
                    "      match: {{macaddress: \"{mac}\"}}\n      set-name: \"{name}\""
                )
                .ok();
            }
        }
    }
    if let Some(mtu) = device.interface.mtu {
        writeln!(text, "      mtu: {mtu}").ok();
    }
    if !device.is_boot {
        text.push_str("      optional: true\n");
    }
    let (ipv4, ipv6) = (device.asks(false), device.asks(true));
    // A router's word gives addresses that the cluster does not know.
    writeln!(text, "      dhcp4: {ipv4}\n      dhcp6: {ipv6}\n      accept-ra: {ipv6}").ok();
    if ipv4 {
        // Addresses are reserved by hardware address, and lent to it while the node installs itself.
        text.push_str("      dhcp-identifier: mac\n");
    }
    if !device.addresses.is_empty() {
        let addresses: Vec<String> =
            device.addresses.iter().map(|address| format!("\"{address}\"")).collect();
        writeln!(text, "      addresses: [{}]", addresses.join(", ")).ok();
    }
    let gateways: Vec<_> =
        [device.gateway(false), device.gateway(true)].into_iter().flatten().collect();
    if !gateways.is_empty() || !device.routes.is_empty() {
        text.push_str("      routes:\n");
    }
    for gateway in gateways {
        let all = if gateway.is_ipv6() { "::/0" } else { "0.0.0.0/0" };
        let metric = device.interface.gateway_metric.map(|metric| format!(", metric: {metric}"));
        writeln!(
            text,
            "        - {{to: \"{all}\", via: \"{gateway}\"{}}}",
            metric.unwrap_or_default()
        )
        .ok();
    }
    for route in &device.routes {
        let via = match route.gateway {
            Some(gateway) => format!("via: \"{gateway}\""),
            None => "scope: link".to_owned(),
        };
        let metric = route.metric.map(|metric| format!(", metric: {metric}")).unwrap_or_default();
        let on_link = if route.on_link { ", on-link: true" } else { "" };
        writeln!(text, "        - {{to: \"{}\", {via}{metric}{on_link}}}", route.destination).ok();
    }
    if device.is_boot {
        name_servers(text, network);
    }
    // Lines of the cluster belong below the interface.
    for line in device.options().lines() {
        writeln!(text, "      {line}").ok();
    }
}

fn name_servers(text: &mut String, network: &Network<'_>) {
    if network.nameservers.is_empty() && network.search.is_empty() {
        return;
    }
    let servers: Vec<String> =
        network.nameservers.iter().map(|server| format!("\"{server}\"")).collect();
    let search: Vec<String> = network.search.iter().map(|domain| format!("\"{domain}\"")).collect();
    writeln!(text, "      nameservers:\n        addresses: [{}]", servers.join(", ")).ok();
    if !search.is_empty() {
        writeln!(text, "        search: [{}]", search.join(", ")).ok();
    }
}
