//! `ifcfg` files of SUSE's wicked, with its routes and its `netconfig`. It knows devices by name only, so that udev is
//! told the names.

use std::fmt::Write as _;

use ipnet::IpNet;

use super::device::{Device, Kind, Network};
use super::file::{File, naming_rule};
use crate::tree::{self, Tree};

/// Where the system keeps what its `netconfig` writes into `resolv.conf`.
const CONFIGURATION: &str = "etc/sysconfig/network/config";

/// Gives `netconfig` the name servers and domains; all else of its configuration stays the image's.
pub(super) fn set_name_servers(tree: &Tree, network: &Network<'_>) -> Result<(), tree::Error> {
    let servers: Vec<String> = network.nameservers.iter().map(ToString::to_string).collect();
    let values = [
        ("NETCONFIG_DNS_STATIC_SERVERS", servers.join(" ")),
        ("NETCONFIG_DNS_STATIC_SEARCHLIST", network.search.join(" ")),
    ];
    let text = tree.read(CONFIGURATION)?;
    let is_ours = |line: &&str| {
        values.iter().any(|(key, _)| {
            line.trim_start().strip_prefix(key).is_some_and(|rest| rest.starts_with('='))
        })
    };
    let kept = text.lines().filter(|line| !is_ours(line)).map(str::to_owned);
    let ours = values.iter().map(|(key, value)| format!("{key}=\"{value}\""));
    let lines: Vec<String> = kept.chain(ours).collect();
    tree.write(CONFIGURATION, lines.join("\n") + "\n", 0o644)
}

pub(super) fn files(network: &Network<'_>) -> Vec<File> {
    let mut files: Vec<File> = network.devices.iter().filter_map(naming_rule).collect();
    for device in &network.devices {
        let name = device.system_name();
        files.push(file(&format!("ifcfg-{name}"), text(device, network)));
        let routes = routes(device);
        if !routes.is_empty() {
            files.push(file(&format!("ifroute-{name}"), routes));
        }
        for part in network.unlisted_parts(device) {
            files.push(file(
                &format!("ifcfg-{part}"),
                "STARTMODE='hotplug'\nBOOTPROTO='none'\n".to_owned(),
            ));
        }
    }
    files
}

fn file(name: &str, text: String) -> File {
    File { path: format!("etc/sysconfig/network/{name}"), text, mode: 0o644 }
}

/// Writing to a string does not fail.
fn text(device: &Device<'_>, network: &Network<'_>) -> String {
    let startmode = if device.bond.is_some() { "hotplug" } else { "auto" };
    let bootproto = match (device.asks(false), device.asks(true)) {
        _ if device.bond.is_some() => "none",
        (true, true) => "dhcp",
        (true, false) => "dhcp4",
        (false, true) => "dhcp6",
        (false, false) => "static",
    };
    let mut text = format!("STARTMODE='{startmode}'\nBOOTPROTO='{bootproto}'\n");
    if let Some(mtu) = device.interface.mtu {
        writeln!(text, "MTU='{mtu}'").ok();
    }
    for (number, address) in device.addresses.iter().enumerate() {
        let end = if number == 0 { String::new() } else { format!("_{number}") };
        writeln!(text, "IPADDR{end}='{address}'").ok();
    }
    match &device.kind {
        Kind::Vlan { id, parent } => {
            writeln!(text, "VLAN_ID='{id}'\nETHERDEVICE='{}'", network.system_name(parent)).ok();
        }
        Kind::Bond { mode, parts } => {
            writeln!(text, "BONDING_MASTER='yes'\nBONDING_MODULE_OPTS='mode={mode} miimon=100'")
                .ok();
            for (number, part) in parts.iter().enumerate() {
                writeln!(text, "BONDING_SLAVE_{number}='{}'", network.system_name(part)).ok();
            }
        }
        Kind::Ethernet | Kind::Infiniband => {}
    }
    text.push_str(&device.options());
    text
}

fn routes(device: &Device<'_>) -> String {
    let gateways = [device.gateway(false), device.gateway(true)].into_iter().flatten();
    let metric = device
        .interface
        .gateway_metric
        .map(|metric| format!(" metric {metric}"))
        .unwrap_or_default();
    let name = device.system_name();
    let mut text = String::new();
    for gateway in gateways {
        writeln!(text, "default {gateway} - {name}{metric}").ok();
    }
    for route in &device.routes {
        if let Some(gateway) = route.gateway.filter(|_| route.on_link) {
            // Its files have no word for a router that is on the wire all the same.
            writeln!(text, "{} - - {name}", IpNet::from(gateway)).ok();
        }
        let gateway = route.gateway.map_or_else(|| "-".to_owned(), |gateway| gateway.to_string());
        let metric = route.metric.map(|metric| format!(" metric {metric}")).unwrap_or_default();
        writeln!(text, "{} {gateway} - {name}{metric}", route.destination).ok();
    }
    text
}
