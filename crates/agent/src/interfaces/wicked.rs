//! `ifcfg` files of SUSE's wicked, with its routes and its `netconfig`. It knows devices by name only, so that udev is
//! told the names.

use std::fmt::Write as _;

use super::device::{Device, Kind, Network};
use super::{File, naming_rule};

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
    let bootproto = match (&device.bond, device.interface.dhcp) {
        (Some(_), _) => "none",
        (None, true) => "dhcp",
        (None, false) => "static",
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
    let routes: Vec<String> = gateways
        .map(|gateway| format!("default {gateway} - {}{metric}\n", device.system_name()))
        .collect();
    routes.concat()
}
