//! The first cluster of a site: what `bootstrap.ini` describes, or a small one to begin with.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::bmc_setup::BmcSetup;
use crate::controller::Controller;
use crate::device::Switch;
use crate::interface::{BMC_INTERFACE, BOOT_INTERFACE, of_group};
use crate::network::{self, Network, RangeRequest};
use crate::provisioning::ProvisionMethod;
use crate::settings::Settings;
use crate::{Addresses, Draft, Error, Name, Patch, group, image, node};

/// What a site says about its first cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// DNS search domains.
    pub domain_search: Vec<String>,
    /// Name servers that the cluster's own ask.
    pub forwardserver_ip: Vec<IpAddr>,
    /// Name servers are of an old kind.
    pub bind_legacy: bool,
    /// The controllers; the first is the one that the cluster talks to.
    pub controllers: Vec<FirstController>,
    /// The port of the API.
    pub serverport: u16,
    /// The nodes' names.
    pub nodes: Vec<Name>,
    /// The networks.
    pub networks: Vec<FirstNetwork>,
    /// The group of all nodes.
    pub group: Option<Name>,
    /// The image and its tree.
    pub image: Option<FirstImage>,
    /// The BMC setup.
    pub bmc_setup: Option<BmcSetup>,
}

/// A controller of the first cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstController {
    /// Its host name.
    pub name: Name,
    /// Its address.
    pub address: IpAddr,
    /// Its network, where it is not the default one.
    pub network: Option<Name>,
    /// It only keeps a copy.
    pub shadow: bool,
}

/// What a network of the first cluster is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Controllers are in it, and nodes boot in it.
    Default,
    /// BMCs are in it.
    Bmc,
    /// Something else.
    Other,
}

/// A network of the first cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstNetwork {
    /// Its name.
    pub name: Name,
    /// What it is for.
    pub function: Function,
    /// The kind of wire.
    pub r#type: String,
    /// Its range.
    pub range: Ipv4Net,
    /// The dynamic range.
    pub dhcp: Option<(Ipv4Addr, Ipv4Addr)>,
    /// The network whose wire it shares.
    pub shared: Option<Name>,
}

/// The image of the first cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstImage {
    /// Its name.
    pub name: Name,
    /// Its tree.
    pub path: Option<String>,
    /// The newest kernel of the tree.
    pub kernelversion: Option<String>,
    /// The distribution that the tree has.
    pub distribution: Option<String>,
}

/// Makes the cluster that a site describes.
pub fn first_cluster(draft: &mut Draft, request: &Request) -> Result<(), Error> {
    let beacon = request.controllers.first();
    let own_address: Vec<IpAddr> = beacon.map(|beacon| beacon.address).into_iter().collect();
    draft.put(Settings {
        domain_search: request.domain_search.clone(),
        forwardserver_ip: request.forwardserver_ip.clone(),
        bind_legacy: request.bind_legacy,
        nameserver_ip: own_address.clone(),
        ntp_server: own_address,
        ..Settings::default()
    })?;
    for network in &request.networks {
        let gateway = beacon
            .map(|beacon| beacon.address)
            .filter(|address| IpNet::V4(network.range).contains(address));
        put_network(draft, network, gateway)?;
    }
    let of = |function| {
        request
            .networks
            .iter()
            .find(|network| network.function == function)
            .map(|network| &network.name)
    };
    put_controllers(draft, request, of(Function::Default))?;
    if let Some(first) = &request.image {
        let wanted = image::Request {
            path: first.path.clone().map_or(Patch::Keep, Patch::Set),
            kernelversion: first.kernelversion.clone().map_or(Patch::Keep, Patch::Set),
            distribution: first.distribution.clone().map_or(Patch::Keep, Patch::Set),
            ..image::Request::default()
        };
        let wanted = wanted.with_kernel_arguments("_net.ifnames=0 _biosdevname=0");
        image::save(draft, &first.name, &wanted)?;
    }
    if let Some(setup) = &request.bmc_setup {
        draft.put(setup.clone())?;
    }
    draft.put(Switch { name: Name::trusted("switch01"), ..Switch::default() })?;
    if let Some(group) = &request.group {
        put_group(draft, request, group, of(Function::Default), of(Function::Bmc))?;
        let wanted = node::Request { group: Some(group.clone()), ..node::Request::default() };
        for name in &request.nodes {
            node::save(draft, name, &wanted)?;
        }
    }
    Ok(())
}

/// Makes a small cluster to begin with: one network, and a controller in it.
pub fn small_cluster(
    draft: &mut Draft,
    network: &Name,
    range: Ipv4Net,
    controller: FirstController,
    port: u16,
) -> Result<(), Error> {
    let request = Request {
        domain_search: vec![network.to_string()],
        controllers: vec![controller],
        serverport: port,
        networks: vec![FirstNetwork {
            name: network.clone(),
            function: Function::Default,
            r#type: "ethernet".to_owned(),
            range,
            dhcp: None,
            shared: None,
        }],
        ..Request::default()
    };
    first_cluster(draft, &request)?;
    let settings = Settings {
        provision_method: Some(ProvisionMethod::Http),
        ..Settings::clone(draft.settings())
    };
    draft.put(settings)?;
    // A controller routes nothing unless somebody says so.
    let network = Network {
        gateway: None,
        gateway_metric: None,
        ..Network::clone(draft.network(network.as_str())?)
    };
    draft.put(network)?;
    draft.remove(crate::Kind::Switch, "switch01")
}

/// Makes a cluster of a controller that nobody reaches yet.
pub fn bare_cluster(draft: &mut Draft, controller: Name, port: u16) -> Result<(), Error> {
    let provision_method = Some(ProvisionMethod::Http);
    draft.put(Settings { provision_method, ..Settings::default() })?;
    draft.put(Controller {
        name: controller,
        beacon: true,
        serverport: port,
        ..Controller::default()
    })
}

fn put_network(
    draft: &mut Draft,
    first: &FirstNetwork,
    gateway: Option<IpAddr>,
) -> Result<(), Error> {
    let dhcp = first.dhcp.map_or_else(RangeRequest::default, |(begin, end)| RangeRequest {
        dhcp: Some(true),
        begin: Patch::Set(IpAddr::V4(begin)),
        end: Patch::Set(IpAddr::V4(end)),
        ..RangeRequest::default()
    });
    let wanted = network::Request {
        range: Some(IpNet::V4(first.range)),
        gateway: gateway.map_or(Patch::Keep, Patch::Set),
        dhcp,
        shared: first.shared.clone().map_or(Patch::Keep, Patch::Set),
        r#type: Patch::Set(first.r#type.clone()),
        ..network::Request::default()
    };
    network::save(draft, &first.name, &wanted).map(drop)
}

fn put_controllers(
    draft: &mut Draft,
    request: &Request,
    default: Option<&Name>,
) -> Result<(), Error> {
    for (position, first) in request.controllers.iter().enumerate() {
        let network = first.network.as_ref().or(default);
        // One that is outside of its network is outside of all.
        let fits = |name: &&Name| {
            draft.networks().get(*name).is_some_and(|network| network.contains(first.address))
        };
        let mut addresses = Addresses::default();
        addresses.set(first.address);
        draft.put(Controller {
            name: first.name.clone(),
            beacon: position == 0,
            shadow: first.shadow,
            addresses,
            network: network.filter(fits).cloned(),
            serverport: request.serverport,
            ..Controller::default()
        })?;
    }
    Ok(())
}

fn put_group(
    draft: &mut Draft,
    request: &Request,
    name: &Name,
    boot: Option<&Name>,
    bmc: Option<&Name>,
) -> Result<(), Error> {
    let interface = |interface: &str, network: Option<&Name>| {
        network.map(|network| of_group::Request {
            interface: Name::trusted(interface),
            network: Some(network.clone()),
            ..of_group::Request::default()
        })
    };
    let mut wanted = group::Request {
        domain: boot.map_or(Patch::Keep, |network| Patch::Set(network.to_string())),
        interfaces: interface(BOOT_INTERFACE, boot)
            .into_iter()
            .chain(interface(BMC_INTERFACE, bmc))
            .collect(),
        ..group::Request::default()
    };
    if let Some(image) = &request.image {
        wanted.provisioning.osimage = Patch::Set(image.name.clone());
    }
    if let Some(setup) = request.bmc_setup.as_ref().filter(|_| bmc.is_some()) {
        wanted.provisioning.bmcsetup = Patch::Set(setup.name.clone());
    }
    group::save(draft, name, &wanted).map(drop)
}
