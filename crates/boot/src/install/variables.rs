//! The variables of the install script, from the cluster.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use perilune_model::interface::{BMC_INTERFACE, Interface};
use perilune_model::network::{Network, Zone};
use perilune_model::provisioning::ProvisionMethod;
use perilune_model::route::Placed;
use perilune_model::{Servers, Words};

use super::{BmcContext, InstallContext, InterfaceContext, Interfaces, RouteContext};
use crate::Error;
use crate::environment::Environment;
use crate::resolved::Resolved;
use crate::templates::decode_if_encoded;

/// What a distribution's initramfs assembles the root in.
fn system_root(distribution: &str) -> &'static str {
    match distribution {
        // Made by initramfs-tools, which says it in a variable. Templates of existing sites know this for Ubuntu alone.
        "ubuntu" => "$rootmnt",
        _ => "/sysroot",
    }
}

impl InstallContext {
    pub(crate) fn of(
        resolved: &Resolved<'_>,
        environment: &Environment,
        token: &str,
    ) -> Result<Self, Error> {
        let image = resolved.image()?;
        let file = resolved.file(|files| &files.imagefile)?;
        let effective = resolved.effective;
        let files = effective.files();
        let settings = resolved.cluster.settings();
        let distribution =
            image.distribution.as_deref().filter(|text| !text.is_empty()).unwrap_or("redhat");
        let distribution = distribution.to_lowercase();
        let release = image.osrelease.as_deref().filter(|text| !text.is_empty());
        let method = effective.provision_method().value;
        let fallback = effective.provision_fallback().value.or(method);
        let bmc = Bmc::of(resolved);
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let words = |value: Option<&Words>| value.map(Words::to_string).unwrap_or_default();
        let name_server = settings.nameserver_ip.first().copied().unwrap_or(environment.beacon);
        Ok(Self {
            controller: environment.into(),
            node_name: resolved.name().to_owned(),
            node_hostname: resolved.node.hostname(resolved.cluster),
            luna_group: resolved.node.group.to_string(),
            luna_osimage: image.name.to_string(),
            luna_osrelease: release.unwrap_or("default").to_owned(),
            luna_systemroot: system_root(&distribution).to_owned(),
            luna_distribution: distribution,
            luna_imagefile: file.to_owned(),
            luna_file: file.to_owned(),
            luna_checksum: text(files.and_then(|files| files.checksum.as_deref())),
            luna_size: files
                .and_then(|files| files.size)
                .map(|size| size.to_string())
                .unwrap_or_default(),
            luna_selinux_enabled: settings.security,
            luna_setupbmc: effective.setupbmc().value,
            luna_unmanaged_bmc_users: bmc.unmanaged.to_owned(),
            luna_bmc: bmc.context,
            luna_roles: words(effective.roles().value),
            luna_scripts: words(effective.scripts().value),
            luna_interfaces: Interfaces(interfaces(resolved, environment)),
            luna_prescript: encoded(effective.prescript().value),
            luna_partscript: encoded(effective.partscript().value),
            luna_postscript: encoded(effective.postscript().value),
            provision_method: text(method.map(ProvisionMethod::word)),
            provision_fallback: text(fallback.map(ProvisionMethod::word)),
            provision_interface: effective.provision_interface().value.to_owned(),
            name_server: name_server.to_string(),
            domain_search: resolved.domain_search(),
            luna_token: token.to_owned(),
        })
    }
}

/// A script is base64, whichever way its author sent it.
fn encoded(script: Option<&str>) -> String {
    script.map(|script| STANDARD.encode(decode_if_encoded(script))).unwrap_or_default()
}

struct Bmc {
    context: BmcContext,
    unmanaged: &'static str,
}

impl Bmc {
    fn of(resolved: &Resolved<'_>) -> Self {
        let setup = resolved.effective.bmcsetup().value;
        let setup = setup.and_then(|setup| resolved.cluster.bmc_setup(setup.as_str()).ok());
        let unmanaged = resolved.effective.unmanaged_bmc_users().value;
        let mut context = BmcContext::default();
        if let Some(setup) = setup {
            context.userid = Some(setup.userid);
            context.username = Some(setup.username.clone());
            context.password = Some(setup.password.clone());
            context.netchannel = Some(setup.netchannel);
            context.mgmtchannel = Some(setup.mgmtchannel);
        }
        if let Some(interface) = resolved.node.interface(BMC_INTERFACE)
            && let Ok(network) = resolved.network(interface)
        {
            context.addresses = bmc_addresses(interface, network);
        }
        Self { context, unmanaged: unmanaged.map_or("skip", |users| users.word()) }
    }
}

fn bmc_addresses(interface: &Interface, network: &Network) -> BTreeMap<&'static str, String> {
    let mut addresses = BTreeMap::new();
    let vlan = interface.link.vlanid.map(|vlan| vlan.to_string());
    addresses.insert("vlanid", vlan.unwrap_or_default());
    if let Some((address, range)) = interface.addresses.ipv4.zip(network.ipv4) {
        let gateway = network.gateway.map(|gateway| gateway.to_string());
        addresses.insert("ipaddress", address.to_string());
        addresses.insert("netmask", range.netmask().to_string());
        addresses.insert("gateway", gateway.unwrap_or_else(|| "0.0.0.0".to_owned()));
    }
    if let Some((address, range)) = interface.addresses.ipv6.zip(network.ipv6) {
        let gateway = network.gateway_ipv6.map(|gateway| gateway.to_string());
        addresses.insert("ipaddress_ipv6", address.to_string());
        addresses.insert("netmask_ipv6", range.netmask().to_string());
        addresses.insert("gateway_ipv6", gateway.unwrap_or_else(|| "::/0".to_owned()));
    }
    addresses
}

/// All interfaces but the BMC's. A bond that the node boots from becomes `bond0`, or the next that is free, and
/// what it is made of follows it.
fn interfaces(
    resolved: &Resolved<'_>,
    environment: &Environment,
) -> Vec<(String, InterfaceContext)> {
    let boot = resolved.effective.provision_interface().value;
    let bond = resolved.node.interface(boot).filter(|boot| boot.link.bond_mode.is_some());
    let bond = bond.map(|_| free_bond_name(resolved));
    let mut interfaces = Vec::new();
    let routes = resolved.node.placed_routes(resolved.cluster);
    for interface in resolved.node.interfaces.iter().filter(|other| other.name != BMC_INTERFACE) {
        let Ok(network) = resolved.network(interface) else { continue };
        let mut context = interface_context(interface, network);
        let is_boot = interface.name == *boot;
        if is_boot {
            add_boot_defaults(&mut context, environment);
        }
        leave_out_silent(&mut context, resolved);
        for (_, placed) in routes.iter().filter(|(name, _)| **name == interface.name) {
            let list = if placed.destination.addr().is_ipv6() {
                &mut context.routes_ipv6
            } else {
                &mut context.routes
            };
            list.push(RouteContext::of(placed));
        }
        if let Some(bond) = bond.as_ref().filter(|_| context.vlan_parent.as_deref() == Some(boot)) {
            context.vlan_parent = Some(bond.clone());
        }
        if interface.link.bond_mode.is_none() {
            interfaces.push((context.interface.clone(), context));
            continue;
        }
        if let Some(bond) = bond.as_ref().filter(|_| is_boot) {
            context.interface.clone_from(bond);
        }
        let parts = interface.link.bond_slaves.iter().map(|part| bond_part(part, &context));
        let parts: Vec<_> = parts.collect();
        interfaces.push((context.interface.clone(), context));
        interfaces.extend(parts);
    }
    interfaces
}

impl RouteContext {
    fn of(placed: &Placed) -> Self {
        Self {
            destination: placed.destination.to_string(),
            gateway: placed.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
            metric: placed.metric.map(|metric| metric.to_string()).unwrap_or_default(),
            on_link: placed.on_link,
        }
    }
}

fn free_bond_name(resolved: &Resolved<'_>) -> String {
    let is_free = |name: &String| resolved.node.interface(name).is_none();
    // There is one name more than the node has interfaces, so that one is free.
    let mut names = (0..=resolved.node.interfaces.len()).map(|number| format!("bond{number}"));
    names.find(is_free).unwrap_or_else(|| "bond0".to_owned())
}

fn bond_part(name: &str, bond: &InterfaceContext) -> (String, InterfaceContext) {
    let part = InterfaceContext {
        interface: name.to_owned(),
        kind: "slave".to_owned(),
        networktype: bond.networktype.clone(),
        mtu: bond.mtu,
        master: Some(bond.interface.clone()),
        ..InterfaceContext::default()
    };
    (name.to_owned(), part)
}

fn interface_context(interface: &Interface, network: &Network) -> InterfaceContext {
    let link = &interface.link;
    let wire = network.r#type.as_deref().filter(|kind| !kind.is_empty()).unwrap_or("ethernet");
    let kind = if link.bond_mode.is_some() {
        "bond"
    } else if link.vlanid.is_some() {
        "vlan"
    } else {
        wire
    };
    let mut context = InterfaceContext {
        interface: interface.name.to_string(),
        macaddress: interface.macaddress.map(|mac| mac.to_string()),
        mtu: link.mtu,
        kind: kind.to_owned(),
        networktype: wire.to_owned(),
        networkname: network.name.to_string(),
        gateway_metric: network.gateway_metric.unwrap_or(101).to_string(),
        zone: zone(network).to_owned(),
        options: encoded(link.options.as_deref()),
        dhcp: interface.dhcp && network.dhcp,
        vlanid: link.vlanid.map(|vlan| vlan.to_string()).unwrap_or_default(),
        vlan_parent: link.vlan_parent.clone().filter(|parent| *parent != *interface.name.as_str()),
        bond_mode: link.bond_mode.clone(),
        bond_slaves: link.bond_slaves.clone(),
        ..InterfaceContext::default()
    };
    if link.vlanid.is_none() {
        context.vlan_parent = None;
    }
    if let Some((address, range)) = interface.addresses.ipv4.zip(network.ipv4) {
        context.ipaddress = Some(address.to_string());
        context.prefix = Some(range.prefix_len());
        context.netmask = Some(range.netmask().to_string());
        context.network = Some(format!("{address}/{}", range.prefix_len()));
        context.gateway = Some(network.gateway.map(|it| it.to_string()).unwrap_or_default());
        context.nameserver_ip = Some(told(network.nameserver_ip.as_ref()));
    }
    if let Some((address, range)) = interface.addresses.ipv6.zip(network.ipv6) {
        context.ipaddress_ipv6 = Some(address.to_string());
        context.prefix_ipv6 = Some(range.prefix_len());
        context.netmask_ipv6 = Some(range.netmask().to_string());
        context.network_ipv6 = Some(format!("{address}/{}", range.prefix_len()));
        context.gateway_ipv6 =
            Some(network.gateway_ipv6.map(|it| it.to_string()).unwrap_or_default());
        context.nameserver_ip_ipv6 = Some(told(network.nameserver_ip_ipv6.as_ref()));
    }
    context
}

fn told(servers: Option<&Servers>) -> Vec<String> {
    servers.into_iter().flat_map(Servers::addresses).map(|address| address.to_string()).collect()
}

/// A node that asks a server in vain waits at each name.
fn leave_out_silent(context: &mut InterfaceContext, resolved: &Resolved<'_>) {
    let answers = |server: &String| {
        server.parse().map_or(true, |address| resolved.cluster.may_answer(address))
    };
    let lists = [&mut context.nameserver_ip, &mut context.nameserver_ip_ipv6];
    for names in lists.into_iter().flatten() {
        names.retain(answers);
    }
}

/// The interface that the node boots from reaches the controller: that serves where the network names nothing.
fn add_boot_defaults(context: &mut InterfaceContext, environment: &Environment) {
    let mut servers = vec![environment.controller, environment.beacon];
    servers.dedup();
    let of_family = |is_ipv6: bool| {
        let servers = servers.iter().filter(move |server| server.is_ipv6() == is_ipv6);
        servers.map(IpAddr::to_string).collect::<Vec<_>>()
    };
    let fill = |gateway: &mut Option<String>, names: &mut Option<Vec<String>>, ipv6, none: &str| {
        let servers = of_family(ipv6);
        if let Some(gateway) = gateway.as_mut().filter(|gateway| gateway.is_empty()) {
            *gateway = servers.first().cloned().unwrap_or_else(|| none.to_owned());
        }
        if let Some(names) = names.as_mut().filter(|names| names.is_empty()) {
            *names = servers;
        }
    };
    fill(&mut context.gateway, &mut context.nameserver_ip, false, "0.0.0.0");
    fill(&mut context.gateway_ipv6, &mut context.nameserver_ip_ipv6, true, "::/0");
}

fn zone(network: &Network) -> &'static str {
    match network.zone {
        Zone::External => "public",
        Zone::Internal => "trusted",
    }
}
