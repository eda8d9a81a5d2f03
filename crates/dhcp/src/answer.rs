//! The packets that go back.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use perilune_model::device::Switch;
use perilune_model::device::ztp::System;
use perilune_model::effective::Effective;
use perilune_model::interface::Interface;
use perilune_model::network::Network;
use perilune_model::node::Node;
use perilune_model::provisioning::IpxeKernel;
use perilune_model::{Cluster, Family, Name};

use crate::boot_program::{self, BootProgram};
use crate::domain_search;
use crate::packet::{Message, code};
use crate::reply::{Answer, Policy};
use crate::request::{Kind, Request};

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
const LUNA: &[u8] = b"lunaclient";
/// Of iPXE's option 175 the option 176 (no-pxedhcp), set: it does not wait for another boot server.
const NO_PROXY: &[u8] = &[176, 1, 1];

/// What an answer is about.
pub(crate) struct Subject<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) network: &'a Network,
    pub(crate) node: Option<(&'a Node, &'a Interface)>,
    /// The switch that it is.
    pub(crate) switch: Option<&'a Switch>,
    /// The name of the switch or other device that it is.
    pub(crate) device: Option<&'a Name>,
    pub(crate) policy: &'a Policy,
}

/// An OFFER or an ACK with an address for this many seconds, or without one for a machine that has its own.
pub(crate) fn give(
    subject: &Subject<'_>,
    request: &Request,
    kind: Kind,
    address: Option<(IpAddr, u32)>,
) -> Answer {
    let mut message = begin(request, kind, subject.policy);
    if let Some((IpAddr::V4(address), seconds)) = address {
        message.given = address;
        message.put(code::LEASE_TIME, &seconds.to_be_bytes());
        message.put(code::RENEWAL, &(seconds / 2).to_be_bytes());
        message.put(code::REBINDING, &(seconds / 8 * 7).to_be_bytes());
    }
    message.current = request.current().unwrap_or(Ipv4Addr::UNSPECIFIED);
    let missing_program = describe_boot(subject, request, &mut message);
    describe_network(subject, request, &mut message);
    finish(request, kind, &message, missing_program)
}

/// A refusal: the machine must begin anew.
pub(crate) fn refuse(policy: &Policy, request: &Request, reason: &str) -> Answer {
    let mut message = begin(request, Kind::Nak, policy);
    message.put(code::MESSAGE, reason.as_bytes());
    // RFC 2131, section 4.3.2: the relay must broadcast it.
    message.must_broadcast = request.relay().is_some();
    finish(request, Kind::Nak, &message, None)
}

fn finish(
    request: &Request,
    kind: Kind,
    message: &Message<'_>,
    missing_program: Option<String>,
) -> Answer {
    Answer {
        packet: message.bytes(),
        kind,
        address: message.given.into(),
        to: destination(request, kind),
        lease: None,
        missing_program,
    }
}

/// Where an answer goes (RFC 2131, section 4.1). A machine without an address is reached by broadcast: answering its hardware
/// address alone needs privileges over the neighbour table that this program does not ask for.
fn destination(request: &Request, kind: Kind) -> SocketAddrV4 {
    if let Some(relay) = request.relay() {
        return SocketAddrV4::new(relay, SERVER_PORT);
    }
    match request.current().filter(|_| kind != Kind::Nak) {
        Some(current) => SocketAddrV4::new(current, CLIENT_PORT),
        None => SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT),
    }
}

fn begin<'a>(request: &'a Request, kind: Kind, policy: &Policy) -> Message<'a> {
    let mut message = Message::reply_to(&request.packet);
    message.put(code::KIND, &[kind.number()]);
    message.put(code::SERVER, &policy.server.octets());
    // RFC 6842: the client's identifier goes back to it.
    message.put(
        code::CLIENT_IDENTIFIER,
        request.packet.option(code::CLIENT_IDENTIFIER).unwrap_or_default(),
    );
    message
}

fn describe_network(subject: &Subject<'_>, request: &Request, message: &mut Message<'_>) {
    let network = subject.network;
    let settings = subject.cluster.settings();
    let mut put = |code: u8, value: &[u8]| {
        if request.wants(code) {
            message.put(code, value);
        }
    };
    if let Some(range) = network.ipv4 {
        put(code::SUBNET_MASK, &range.netmask().octets());
        put(code::BROADCAST_ADDRESS, &range.broadcast().octets());
    }
    if let Some(gateway) = network.gateway {
        put(code::ROUTER, &gateway.octets());
    }
    let name_servers = subject.cluster.name_servers(Some(network), &[Family::V4]);
    put(code::NAME_SERVER, &of_ipv4(name_servers.into_iter()));
    if let Some(name) = subject.node.map(|(node, _)| &node.name).or(subject.device) {
        put(code::HOST_NAME, name.as_str().as_bytes());
    }
    put(code::DOMAIN_NAME, network.name.as_str().as_bytes());
    let own = of_ipv4(network.own_time_servers());
    let of_cluster = || of_ipv4(settings.ntp_server.iter().copied());
    put(code::TIME_SERVER, &if own.is_empty() { of_cluster() } else { own });
    message.put(code::LUNA, LUNA);
    if request.asks_for(code::INTERFACE_MTU)
        && let Some(mtu) = subject.node.and_then(|(_, interface)| interface.link.mtu)
    {
        message.put(code::INTERFACE_MTU, &mtu.to_be_bytes());
    }
    if request.asks_for(code::DOMAIN_SEARCH) {
        let node = subject.node.map(|(node, _)| node);
        let domains = search_domains(subject.cluster, subject.network, node);
        message.put(code::DOMAIN_SEARCH, &domain_search::encode(&domains));
    }
}

/// The search domains of a node, or those of an unknown client.
pub(crate) fn search_domains(
    cluster: &Cluster,
    network: &Network,
    node: Option<&Node>,
) -> Vec<String> {
    let settings = cluster.settings();
    match node {
        Some(node) => node.domain_search(cluster),
        None if settings.domain_search.is_empty() => vec![network.name.to_string()],
        None => settings.domain_search.clone(),
    }
}

/// The addresses of a list, as options hold them.
fn of_ipv4(all: impl Iterator<Item = IpAddr>) -> Vec<u8> {
    let ipv4 = all.filter_map(|address| match address {
        IpAddr::V4(address) => Some(address.octets()),
        IpAddr::V6(_) => None,
    });
    ipv4.flatten().collect()
}

/// Says what a switch sets itself up with. It is told whether it asks for these options or not: few list what they understand.
fn describe_switch(switch: &Switch, policy: &Policy, message: &mut Message<'_>) {
    let ztp = &switch.ztp;
    if !ztp.is_told() {
        return;
    }
    let url = |path: &str| ztp.url(path, &policy.url, &policy.api_url);
    let recipe = format!("boot/switch/{}", switch.name);
    let file = url(ztp.bootfile.as_deref().unwrap_or(&recipe));
    if let Some(image) = &ztp.default_url {
        message.put(code::DEFAULT_URL, url(image).as_bytes());
    }
    message.put(code::BOOT_FILE, file.as_bytes());
    message.file = file;
    message.next_server = policy.server;
    if ztp.has_tftp() {
        message.put(code::TFTP_SERVER, policy.server.to_string().as_bytes());
    }
    if ztp.ostype == Some(System::Cumulus) {
        message.put(code::CUMULUS_URL, url(&recipe).as_bytes());
    }
}

/// Says what the machine boots; answers what its firmware is called when there is no program for it.
fn describe_boot(
    subject: &Subject<'_>,
    request: &Request,
    message: &mut Message<'_>,
) -> Option<String> {
    let policy = subject.policy;
    if let Some(switch) = subject.switch {
        describe_switch(switch, policy, message);
        return None;
    }
    let kernel =
        subject.node.map(|(node, _)| Effective::of_node(subject.cluster, node).ipxe_kernel().value);
    let program = boot_program::of(&request.firmware(), kernel.unwrap_or(IpxeKernel::Default))?;
    let chosen = policy.peers.server_of(request.mac, subject.network, Family::V4);
    let chosen = chosen.and_then(|server| match server.address {
        IpAddr::V4(address) => Some((address, &server.url)),
        IpAddr::V6(_) => None,
    });
    let (address, url) = chosen.unwrap_or((policy.server, &policy.url));
    let file = match program {
        BootProgram::Tftp(file) => file.to_owned(),
        BootProgram::Http(file) => format!("{url}/files/{file}"),
        BootProgram::Script => format!("{url}/boot"),
        BootProgram::Missing(firmware) => return Some(firmware),
    };
    message.next_server = address;
    let mut name = file.clone().into_bytes();
    let mut server = address.to_string().into_bytes();
    // RFC 2132, section 2: text has no zero byte at its end. PXE firmware of old reads on until there is one, into the next option;
    // none of it minds one that is counted. iPXE and firmware that boots by HTTP go by the length.
    if request.is_class("PXEClient") && matches!(program, BootProgram::Tftp(_)) {
        name.push(0);
        server.push(0);
    }
    message.put(code::BOOT_FILE, &name);
    message.put(code::TFTP_SERVER, &server);
    message.file = file;
    match program {
        // No class for PXE: with it, UEFI firmware takes the answer for one of a separate boot server and asks that one next.
        BootProgram::Tftp(_) | BootProgram::Missing(_) => {}
        // UEFI 2.10, section 24.7.3: firmware that boots by HTTP takes answers of its own class only.
        BootProgram::Http(_) => message.put(code::VENDOR_CLASS, b"HTTPClient"),
        BootProgram::Script => message.put(code::IPXE, NO_PROXY),
    }
    None
}
