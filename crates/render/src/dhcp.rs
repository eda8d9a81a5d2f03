//! The variables of the templates for DHCP servers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use perilune_boot::{Error, Templates};
use perilune_model::effective::Effective;
use perilune_model::interface::BMC_INTERFACE;
use perilune_model::network::Network;
use perilune_model::node::Node;
use perilune_model::provisioning::IpxeKernel;
use perilune_model::{Addresses, Cluster, Family, MacAddress, Name, Server, Servers};
use serde::Serialize;

/// Keys of `[DHCP]` that templates have names for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DhcpKeys {
    /// `OMAPIKEY`, base64.
    pub omapi: Option<String>,
    /// `TSIGKEY`, base64, and `TSIGALGO`; one without the other is none.
    pub tsig: Option<(String, String)>,
}

/// Where machines find what they boot, and the server its own socket.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The port at which firmware gets its script by http.
    pub boot_port: u16,
    /// Where Kea takes commands.
    pub kea_socket: String,
    /// Addresses of this host, with the interfaces that have them.
    pub own: Vec<(IpAddr, String)>,
    /// The numbers that makers have given the machines of nodes, in each order of bytes in which firmware may show them.
    pub numbers: BTreeMap<Name, Vec<[u8; 16]>>,
}

/// What templates for a DHCP server are told of a cluster, for one family.
#[derive(Debug, Serialize)]
pub struct Dhcp {
    #[serde(rename = "SUBNETS")]
    subnets: BTreeMap<String, Subnet>,
    #[serde(rename = "SHARED")]
    shared: BTreeMap<String, BTreeMap<String, Subnet>>,
    #[serde(rename = "POOLS")]
    pools: BTreeMap<String, Pool>,
    #[serde(rename = "CLASSES")]
    classes: BTreeMap<String, Class>,
    #[serde(rename = "ZONES")]
    zones: BTreeMap<String, DynamicZone>,
    #[serde(rename = "EMPTY")]
    empty: BTreeMap<String, Subnet>,
    #[serde(rename = "RESERVATIONS")]
    reservations: BTreeMap<String, Vec<Host>>,
    #[serde(rename = "DOMAINNAME")]
    domain_name: String,
    #[serde(rename = "NAMESERVERS")]
    name_servers: String,
    #[serde(rename = "NAMESERVERS_IPV6")]
    name_servers_ipv6: String,
    #[serde(rename = "NTPSERVERS")]
    time_servers: String,
    #[serde(rename = "OMAPIKEY")]
    omapi_key: Option<String>,
    #[serde(rename = "TSIGKEY")]
    tsig_key: Option<String>,
    #[serde(rename = "TSIGALGO")]
    tsig_algorithm: Option<String>,
    #[serde(rename = "INTERFACES")]
    interfaces: BTreeMap<String, String>,
    /// Time servers that are addresses: the only ones that DHCP can tell.
    time_server_addresses: Vec<IpAddr>,
    name_server_addresses: Vec<IpAddr>,
    search_domains: Vec<String>,
    kea_socket: String,
}

/// A network.
#[derive(Debug, Clone, Default, Serialize)]
struct Subnet {
    network: String,
    /// Dotted for IPv4, the length of the prefix for IPv6.
    netmask: String,
    prefix: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    range_begin: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range_end: Option<IpAddr>,
    domain: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    nameserver_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nameserver_ip_ipv6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ntp_server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nextserver: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nextport: Option<u16>,
    /// The same number for a network, whatever comes or goes beside it: Kea's leases refer to it.
    id: u32,
    /// What machines of this network are told, as addresses.
    name_server_addresses: Vec<IpAddr>,
    time_server_addresses: Vec<IpAddr>,
    /// Only nodes are served.
    nodes_only: bool,
}

/// Who may have addresses of a range of networks that share a wire.
#[derive(Debug, Clone, Serialize)]
struct Pool {
    policy: &'static str,
    members: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range_begin: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range_end: Option<IpAddr>,
    /// The network whose range it is.
    network: String,
}

/// Which machines belong to a network that shares another's wire: BMCs, by how their vendor class begins.
#[derive(Debug, Clone, Serialize)]
struct Class {
    network: String,
    r#match: &'static str,
}

/// A zone that the DHCP server itself changes.
#[derive(Debug, Clone, Serialize)]
struct DynamicZone {
    domain: String,
    primary: String,
    forward: String,
    reverse: String,
}

/// A machine with an address of its own.
#[derive(Debug, Clone, Serialize)]
struct Host {
    name: String,
    domain: String,
    ipaddress: IpAddr,
    macaddress: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipxe_kernel_class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipxe_bootfile: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipxe_bootfile_arm64: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nextserver: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nextport: Option<u16>,
    /// A name that no other host has: a node can have several interfaces in a network.
    unique_name: String,
    /// For IPv6, the DUIDs by which its firmware may name it, as bytes with colons: dhcpd does not see the card that a request came from.
    duids: Vec<String>,
}

impl Dhcp {
    /// The variables of a cluster for one family; none when nothing is to be served.
    pub fn new(cluster: &Cluster, family: Family, keys: &DhcpKeys, place: &Place) -> Option<Self> {
        let beacon = cluster.beacon();
        let home = beacon.and_then(|beacon| beacon.network.as_ref());
        let served: Vec<&Network> = cluster
            .networks()
            .values()
            .map(AsRef::as_ref)
            .filter(|network| is_active(network, family))
            .collect();
        let carriers: BTreeMap<&Name, Vec<&Network>> = carriers(&served);
        let subnet = |network: &Network| subnet(cluster, network, family, place);
        let is_shared = |network: &Network| {
            carriers.contains_key(&network.name)
                || network.shared.as_ref().is_some_and(|own| carriers.contains_key(own))
        };
        let mut all = Self {
            subnets: served
                .iter()
                .filter(|network| !is_shared(network))
                .map(|network| (network.name.to_string(), subnet(network)))
                .collect(),
            shared: BTreeMap::new(),
            pools: BTreeMap::new(),
            classes: BTreeMap::new(),
            zones: BTreeMap::new(),
            empty: BTreeMap::new(),
            reservations: reservations(cluster, family, &served, place),
            domain_name: home.map(Name::to_string).unwrap_or_default(),
            name_servers: String::new(),
            name_servers_ipv6: String::new(),
            time_servers: String::new(),
            omapi_key: keys.omapi.clone(),
            tsig_key: keys.tsig.as_ref().map(|(key, _)| key.clone()),
            tsig_algorithm: keys.tsig.as_ref().map(|(_, algorithm)| algorithm.clone()),
            interfaces: interfaces(&served, family, place),
            time_server_addresses: Vec::new(),
            name_server_addresses: Vec::new(),
            search_domains: domains(&cluster.settings().domain_search),
            kea_socket: place.kea_socket.clone(),
        };
        for (carrier, members) in &carriers {
            let Some(carrier) = served.iter().find(|network| network.name == **carrier) else {
                continue;
            };
            all.share(carrier, members, family, subnet);
        }
        // The server refuses to start without a declaration of the network that it stands in.
        let own = home.and_then(|home| cluster.networks().get(home));
        let own = own.filter(|own| !is_active(own, family) && own.range(family).is_some());
        all.empty.extend(own.map(|own| (own.name.to_string(), subnet(own))));
        if all.subnets.is_empty() && all.shared.is_empty() && all.empty.is_empty() {
            return None;
        }
        all.servers(cluster, family);
        let primary = beacon.and_then(|beacon| address_of(&beacon.addresses, family));
        all.zones = served
            .iter()
            .filter(|network| network.dhcp_nodes_in_pool)
            .filter_map(|network| dynamic_zone(network, family, primary?))
            .map(|zone| (zone.domain.clone(), zone))
            .collect();
        Some(all)
    }

    /// Renders a template with them.
    pub fn render(&self, templates: &Templates, template: &str) -> Result<String, Error> {
        templates.render_file(template, self)
    }

    /// Puts networks of one wire together.
    fn share(
        &mut self,
        carrier: &Network,
        members: &[&Network],
        family: Family,
        subnet: impl Fn(&Network) -> Subnet,
    ) {
        let names: Vec<String> = members.iter().map(|member| member.name.to_string()).collect();
        let share = format!("{}-{}", carrier.name, names.join("-"));
        let all = [carrier].into_iter().chain(members.iter().copied());
        let bare =
            |network: &Network| Subnet { range_begin: None, range_end: None, ..subnet(network) };
        let all = all.map(|network| (network.name.to_string(), bare(network)));
        self.shared.insert(share.clone(), all.collect());
        let pool = |network: &Network, policy, members| {
            let range = network.lent_range(family);
            let (range_begin, range_end) = (range.map(|range| range.0), range.map(|range| range.1));
            Pool { policy, members, range_begin, range_end, network: network.name.to_string() }
        };
        self.pools.insert(share, pool(carrier, "deny", names));
        for member in members {
            let name = member.name.to_string();
            self.pools.insert(name.clone(), pool(member, "allow", vec![name.clone()]));
            self.classes.insert(name.clone(), Class { network: name, r#match: "udhcp" });
        }
    }

    fn servers(&mut self, cluster: &Cluster, family: Family) {
        let settings = cluster.settings();
        let beacon = cluster.beacon();
        let beacon_of = |family| beacon.and_then(|beacon| address_of(&beacon.addresses, family));
        let listed = |addresses: &[IpAddr], family: Family| {
            let all = addresses.iter().filter(|address| Family::of(**address) == family);
            let mut all: Vec<IpAddr> = all.copied().collect();
            if all.is_empty() {
                all.extend(beacon_of(family));
            }
            all
        };
        let text = |all: &[IpAddr]| all.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",");
        self.name_server_addresses = listed(&settings.nameserver_ip, family);
        self.time_server_addresses = listed(&settings.ntp_server, family);
        self.name_servers = text(&listed(&settings.nameserver_ip, Family::V4));
        self.name_servers_ipv6 = text(&listed(&settings.nameserver_ip, Family::V6));
        self.time_servers = text(&listed(&settings.ntp_server, family));
    }
}

/// Whether a network has something to serve.
fn is_active(network: &Network, family: Family) -> bool {
    let serves = network.dhcp_nodes_only || network.dynamic_range(family).is_some();
    network.dhcp && network.range(family).is_some() && serves
}

/// Networks whose wire others share, with these.
fn carriers<'a>(served: &[&'a Network]) -> BTreeMap<&'a Name, Vec<&'a Network>> {
    let mut carriers: BTreeMap<&Name, Vec<&Network>> = BTreeMap::new();
    for network in served {
        let Some(shared) = &network.shared else { continue };
        if let Some(carrier) = served.iter().find(|carrier| carrier.name == *shared) {
            carriers.entry(&carrier.name).or_default().push(network);
        }
    }
    // One that is carried carries nobody: its members would stand in two places.
    let carried: Vec<Name> =
        carriers.values().flatten().map(|network| network.name.clone()).collect();
    carriers.retain(|carrier, _| !carried.contains(carrier));
    carriers
}

fn subnet(cluster: &Cluster, network: &Network, family: Family, place: &Place) -> Subnet {
    let range = network.range(family);
    let lent = network.lent_range(family);
    let netmask = match range {
        Some(IpNet::V4(range)) => range.netmask().to_string(),
        Some(IpNet::V6(range)) => range.prefix_len().to_string(),
        None => String::new(),
    };
    let gateway = match family {
        Family::V4 => network.gateway.map(IpAddr::V4),
        Family::V6 => network.gateway_ipv6.map(IpAddr::V6),
    };
    let nextserver = next_server(cluster, network, family);
    let time = network.own_time_servers().filter(|address| Family::of(*address) == family);
    Subnet {
        network: range.map(|range| range.network().to_string()).unwrap_or_default(),
        netmask,
        prefix: range.map(|range| range.prefix_len()).unwrap_or_default(),
        range_begin: lent.map(|(first, _)| first),
        range_end: lent.map(|(_, last)| last),
        domain: network.name.to_string(),
        nameserver_ip: told(network.nameserver_ip.as_ref()),
        nameserver_ip_ipv6: told(network.nameserver_ip_ipv6.as_ref()),
        ntp_server: told(network.ntp_server.as_ref()),
        gateway,
        nextserver,
        nextport: nextserver.map(|_| place.boot_port),
        id: range.map_or(1, number),
        name_server_addresses: cluster.name_servers(Some(network), &[family]),
        time_server_addresses: time.collect(),
        nodes_only: network.dhcp_nodes_only,
    }
}

/// Words of a list that are domains. Whoever may describe the cluster may not write what else a file of another program can have, such as
/// programs that dhcpd executes.
fn domains(all: &[String]) -> Vec<String> {
    all.iter().filter(|domain| Name::domain(domain).is_ok()).cloned().collect()
}

/// A list without what no machine can be told. Whoever may describe the cluster may not write what else a file of another program can have.
fn told(servers: Option<&Servers>) -> Option<String> {
    let usable = servers.into_iter().flat_map(Servers::iter);
    let usable = usable.filter(|server| !matches!(server, Server::Unread(_)));
    Servers::of(usable.cloned()).map(|servers| servers.to_string())
}

/// A name that no other host has, of letters that every file may have: names of interfaces may have others.
fn unique(name: &Name, network: &Name, mac: MacAddress) -> String {
    format!("{name}.{network}-{}", mac.to_string().replace(':', ""))
}

/// The DUID of a machine that names itself by its number (RFC 6355).
fn duid(number: &[u8; 16]) -> String {
    let bytes = [0, 4].iter().chain(number).map(|byte| format!("{byte:02x}"));
    bytes.collect::<Vec<_>>().join(":")
}

/// A number of a range of addresses, from 1 to 4,294,967,294, by FNV-1a.
fn number(range: IpNet) -> u32 {
    const FIRST: u32 = 0x811c_9dc5;
    const PRIME: u32 = 0x0100_0193;
    let text = range.trunc().to_string();
    let sum = text.bytes().fold(FIRST, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(PRIME));
    sum.clamp(1, u32::MAX - 1)
}

/// Where machines of a network go on: the controller, when they can reach it.
fn next_server(cluster: &Cluster, network: &Network, family: Family) -> Option<IpAddr> {
    let addresses = &cluster.beacon()?.addresses;
    let own = address_of(addresses, family);
    let is_there = own.is_some_and(|own| network.contains(own));
    let has_router = match family {
        Family::V4 => network.gateway.is_some(),
        Family::V6 => network.gateway_ipv6.is_some(),
    };
    own.filter(|_| is_there || has_router)
}

fn address_of(addresses: &Addresses, family: Family) -> Option<IpAddr> {
    addresses.get(family)
}

/// The interfaces of this host that networks are on.
fn interfaces(served: &[&Network], family: Family, place: &Place) -> BTreeMap<String, String> {
    let on = |network: &Network| {
        let range = network.range(family)?;
        let own = place.own.iter().find(|(address, _)| range.contains(address))?;
        Some((network.name.to_string(), own.1.clone()))
    };
    served.iter().filter_map(|network| on(network)).collect()
}

fn dynamic_zone(network: &Network, family: Family, primary: IpAddr) -> Option<DynamicZone> {
    let reverse = match network.range(family)? {
        IpNet::V4(range) => {
            let [a, b, ..] = Ipv4Addr::octets(&range.network());
            format!("{b}.{a}.in-addr.arpa")
        }
        IpNet::V6(range) => {
            let [first, second, third, fourth, ..] = Ipv6Addr::segments(&range.network());
            let digits = format!("{first:04x}{second:04x}{third:04x}{fourth:04x}");
            let labels: Vec<String> = digits.chars().rev().map(String::from).collect();
            format!("{}.ip6.arpa", labels.join("."))
        }
    };
    Some(DynamicZone {
        domain: network.name.to_string(),
        primary: primary.to_string(),
        forward: network.name.to_string(),
        reverse,
    })
}

/// All that has an address and a hardware address in a network that is served.
fn reservations(
    cluster: &Cluster,
    family: Family,
    served: &[&Network],
    place: &Place,
) -> BTreeMap<String, Vec<Host>> {
    let mut all: BTreeMap<String, Vec<Host>> = BTreeMap::new();
    let served: BTreeMap<&Name, &Network> =
        served.iter().map(|network| (&network.name, *network)).collect();
    let next: BTreeMap<&Name, Option<IpAddr>> = served
        .iter()
        .map(|(name, network)| (*name, next_server(cluster, network, family)))
        .collect();
    for node in cluster.nodes().values() {
        let kernel = kernel_of(cluster, node);
        let numbers = place.numbers.get(&node.name).filter(|_| family == Family::V6);
        for interface in &node.interfaces {
            let Some((own, mac)) = interface.network.as_ref().zip(interface.macaddress) else {
                continue;
            };
            let Some(network) = served.get(own) else { continue };
            let Some(address) = interface.addresses.get(family) else { continue };
            if interface.dhcp && network.dhcp_nodes_in_pool {
                continue;
            }
            let next = next.get(own).copied().flatten();
            let hosts = all.entry(own.to_string()).or_default();
            // A machine has one number for all its interfaces, and a BMC does not know it.
            let is_first = hosts.last().is_none_or(|last| last.name != node.name.as_str());
            let numbers = numbers.filter(|_| is_first && interface.name != BMC_INTERFACE);
            hosts.push(Host {
                name: node.name.to_string(),
                domain: own.to_string(),
                ipaddress: address,
                macaddress: mac.to_string(),
                ipxe_kernel_class: Some(kernel.class),
                ipxe_bootfile: Some(kernel.x86),
                ipxe_bootfile_arm64: Some(kernel.arm64),
                nextserver: next,
                nextport: next.map(|_| place.boot_port),
                unique_name: unique(&node.name, own, mac),
                duids: numbers.into_iter().flatten().map(duid).collect(),
            });
        }
    }
    let switches = cluster
        .switches()
        .values()
        .map(|own| (&own.name, own.network.as_ref(), own.macaddress.as_deref(), &own.addresses));
    let others = cluster
        .other_devices()
        .values()
        .map(|own| (&own.name, own.network.as_ref(), own.macaddress.as_deref(), &own.addresses));
    for (name, network, mac, addresses) in others.chain(switches) {
        let Some((network, mac)) = network.zip(mac.and_then(|mac| mac.parse().ok())) else {
            continue;
        };
        let mac: MacAddress = mac;
        let Some(address) = addresses.get(family).filter(|_| served.contains_key(network)) else {
            continue;
        };
        all.entry(network.to_string()).or_default().push(Host {
            name: name.to_string(),
            domain: network.to_string(),
            ipaddress: address,
            macaddress: mac.to_string(),
            ipxe_kernel_class: None,
            ipxe_bootfile: None,
            ipxe_bootfile_arm64: None,
            nextserver: None,
            nextport: None,
            unique_name: unique(name, network, mac),
            duids: Vec::new(),
        });
    }
    all
}

/// The boot programs of a node.
struct Kernel {
    class: &'static str,
    x86: &'static str,
    arm64: &'static str,
}

fn kernel_of(cluster: &Cluster, node: &Node) -> Kernel {
    match Effective::of_node(cluster, node).ipxe_kernel().value {
        IpxeKernel::Default => Kernel {
            class: "ipxe-kernel-default",
            x86: "luna_ipxe.efi",
            arm64: "luna_ipxe_arm64.efi",
        },
        IpxeKernel::Alternative => Kernel {
            class: "ipxe-kernel-alternative",
            x86: "luna_snponly.efi",
            arm64: "luna_snponly_arm64.efi",
        },
    }
}

#[cfg(test)]
mod tests;
