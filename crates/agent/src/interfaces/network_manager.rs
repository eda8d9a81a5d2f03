//! Connection profiles of NetworkManager (nm-settings-keyfile(5)).

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::device::{Device, Kind, Match, Network};
use super::file::{File, naming_rule};

pub(super) fn files(network: &Network<'_>) -> Vec<File> {
    let mut files: Vec<File> = network.devices.iter().filter_map(naming_rule).collect();
    // It would else connect by itself whatever no profile describes.
    files.push(File {
        path: "etc/NetworkManager/conf.d/90-perilune.conf".to_owned(),
        text: "[main]\nno-auto-default=*\n".to_owned(),
        mode: 0o644,
    });
    for device in &network.devices {
        files.push(file(device.system_name(), profile(device, network)));
        for part in network.unlisted_parts(device) {
            let bond = device.system_name();
            files.push(file(part, part_profile(part, bond)));
        }
    }
    files
}

fn file(name: &str, text: String) -> File {
    // NetworkManager ignores profiles that others can read.
    File {
        path: format!("etc/NetworkManager/system-connections/Connection_{name}.nmconnection"),
        text,
        mode: 0o600,
    }
}

fn part_profile(part: &str, bond: &str) -> String {
    format!(
        "[connection]\nid=Connection_{part}\ntype=ethernet\ninterface-name={part}\nautoconnect=true\n\
         controller={bond}\nmaster={bond}\nport-type=bond\nslave-type=bond\n"
    )
}

/// Writing to a string does not fail.
fn profile(device: &Device<'_>, network: &Network<'_>) -> String {
    let name = device.system_name();
    let kind = match &device.kind {
        Kind::Ethernet => "ethernet",
        Kind::Infiniband => "infiniband",
        Kind::Vlan { .. } => "vlan",
        Kind::Bond { .. } => "bond",
    };
    let mut text = format!("[connection]\nid=Connection_{name}\ntype={kind}\nautoconnect=true\n");
    if device.matched == Match::Name {
        writeln!(text, "interface-name={name}").ok();
    }
    if let Some(bond) = &device.bond {
        // The older words beside the newer ones: each release reads its own.
        write!(text, "controller={bond}\nmaster={bond}\nport-type=bond\nslave-type=bond\n").ok();
    }
    let mtu = device.interface.mtu.map(|mtu| format!("mtu={mtu}\n")).unwrap_or_default();
    match device.matched {
        Match::Mac(mac) => write!(text, "\n[ethernet]\nmac-address={mac}\n{mtu}").ok(),
        Match::Name if device.kind == Kind::Infiniband => {
            write!(text, "\n[infiniband]\ntransport-mode=datagram\n{mtu}").ok()
        }
        Match::Name if !mtu.is_empty() => write!(text, "\n[ethernet]\n{mtu}").ok(),
        Match::Name => None,
    };
    match &device.kind {
        Kind::Vlan { id, parent } => {
            write!(text, "\n[vlan]\nid={id}\nparent={}\n", network.system_name(parent)).ok();
        }
        Kind::Bond { mode, .. } => {
            write!(text, "\n[bond]\nmode={mode}\nmiimon=100\n").ok();
        }
        Kind::Ethernet | Kind::Infiniband => {}
    }
    if device.bond.is_none() {
        family(&mut text, device, network, false);
        family(&mut text, device, network, true);
    }
    let options = device.options();
    if !options.is_empty() {
        text.push('\n');
        text.push_str(&options);
    }
    text
}

/// It refuses a profile that names servers, domains or routes where the method has none.
fn family(text: &mut String, device: &Device<'_>, network: &Network<'_>, is_ipv6: bool) {
    let is_asked = device.asks(is_ipv6);
    let has_family = device.has_family(is_ipv6);
    let method = match (has_family, is_asked, is_ipv6) {
        (true, false, _) => "manual",
        (true, true, _) => "auto",
        (false, _, true) => "link-local",
        (false, _, false) => "disabled",
    };
    writeln!(text, "\n[{}]\nmethod={method}", if is_ipv6 { "ipv6" } else { "ipv4" }).ok();
    if !has_family {
        return;
    }
    for (number, address) in (1..).zip(device.addresses_of(is_ipv6)) {
        writeln!(text, "address{number}={address}").ok();
    }
    if is_asked && !is_ipv6 {
        // Addresses are reserved by hardware address, and lent to it while the node installs itself.
        text.push_str("dhcp-client-id=mac\n");
    }
    if let Some(gateway) = device.gateway(is_ipv6) {
        writeln!(text, "gateway={gateway}").ok();
    }
    if let Some(metric) = device.interface.gateway_metric {
        writeln!(text, "route-metric={metric}").ok();
    }
    for (number, route) in (1..).zip(device.routes_of(is_ipv6)) {
        // The place of the router must be filled where a metric follows.
        let none: IpAddr =
            if is_ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let metric = route.metric.map(|metric| format!(",{metric}")).unwrap_or_default();
        let gateway = route.gateway.unwrap_or(none);
        writeln!(text, "route{number}={},{gateway}{metric}", route.destination).ok();
        if route.on_link {
            writeln!(text, "route{number}_options=onlink=true").ok();
        }
    }
    if !device.is_boot {
        return;
    }
    let servers: Vec<String> = network
        .nameservers
        .iter()
        .filter(|server| server.is_ipv6() == is_ipv6)
        .map(ToString::to_string)
        .collect();
    if !servers.is_empty() {
        writeln!(text, "dns={};", servers.join(";")).ok();
    }
    if !network.search.is_empty() {
        writeln!(text, "dns-search={};", network.search.join(";")).ok();
    }
}
