//! The messages that go back.

use std::net::{IpAddr, Ipv6Addr};

use perilune_model::effective::Effective;
use perilune_model::network::Network;
use perilune_model::node::Node;
use perilune_model::provisioning::IpxeKernel;
use perilune_model::{Cluster, Family, MacAddress, Name, Server, Servers};

use super::message::Kind;
use super::options::{code, put};
use super::reply::Policy;
use super::request::{Association, Request};
use crate::answer::search_domains;
use crate::boot_program::{self, BootProgram};
use crate::domain_search::encode_whole;

/// A machine that hears this preference waits for no other server (RFC 8415, section 18.2.1).
const ABOVE_ALL: u8 = 255;
/// Intel, in whose name PXE and HTTP boot have their classes (UEFI 2.10, section 24.7.3).
const INTEL: [u8; 4] = [0, 0, 0x01, 0x57];
/// How soon one who asked for no address asks again (RFC 8415, section 21.23), in seconds.
const REFRESH: u32 = 3600;

/// Status codes (RFC 8415, section 21.13).
mod status {
    pub(super) const SUCCESS: u16 = 0;
    pub(super) const NO_ADDRESS: u16 = 2;
    pub(super) const NO_BINDING: u16 = 3;
    pub(super) const NOT_ON_LINK: u16 = 4;
    pub(super) const NO_PREFIX: u16 = 6;
}

/// What an answer is about.
pub(crate) struct Subject<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) network: &'a Network,
    pub(crate) node: Option<&'a Node>,
    /// The name of the switch or other device that it is.
    pub(crate) device: Option<&'a Name>,
    pub(crate) policy: &'a Policy,
    pub(crate) mac: Option<MacAddress>,
    /// How long an address is given.
    pub(crate) seconds: u32,
}

/// What a machine gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    /// This address.
    Address(IpAddr),
    /// What it asks beside an address.
    Nothing,
    /// What it wanted was done, or is right.
    Done,
    /// Its address is not one of ours.
    NoBinding,
    /// Its address is of another network.
    NotOnLink,
}

/// The message, and what the machine's firmware is called when there is no program for it.
pub(crate) fn make(
    subject: &Subject<'_>,
    request: &Request,
    kind: Kind,
    given: Given,
) -> (Vec<u8>, Option<String>) {
    let mut options = Vec::new();
    if let Some(client) = request.message.option(code::CLIENT_ID) {
        put(&mut options, code::CLIENT_ID, client);
    }
    put(&mut options, code::SERVER_ID, &subject.policy.duid);
    let mut missing = None;
    match given {
        Given::Address(address) => {
            if kind == Kind::Advertise && (subject.node.is_some() || subject.device.is_some()) {
                put(&mut options, code::PREFERENCE, &[ABOVE_ALL]);
            }
            if kind == Kind::Reply && request.kind == Kind::Solicit {
                put(&mut options, code::RAPID_COMMIT, &[]);
            }
            associate(&mut options, request, Some(address), subject.seconds);
            describe_network(subject, request, &mut options);
            missing = describe_boot(subject, request, &mut options);
        }
        Given::Nothing => {
            put(&mut options, code::INFORMATION_REFRESH, &REFRESH.to_be_bytes());
            describe_network(subject, request, &mut options);
            missing = describe_boot(subject, request, &mut options);
        }
        Given::NoBinding => associate(&mut options, request, None, 0),
        Given::Done => put(&mut options, code::STATUS, &status::SUCCESS.to_be_bytes()),
        Given::NotOnLink => put(&mut options, code::STATUS, &status::NOT_ON_LINK.to_be_bytes()),
    }
    (request.message.answer(kind, &options), missing)
}

/// Answers each identity association. The first has the machine's one address; what it had beside that ends.
fn associate(options: &mut Vec<u8>, request: &Request, address: Option<IpAddr>, seconds: u32) {
    let extends = matches!(request.kind, Kind::Renew | Kind::Rebind);
    for (place, Association { identifier, addresses }) in request.associations.iter().enumerate() {
        let own = match address {
            Some(IpAddr::V6(address)) if place == 0 => Some(address),
            _ => None,
        };
        let mut value = identifier.to_vec();
        // When to ask for more time: us, then anybody (RFC 8415, section 14.2).
        let seconds = if own.is_some() { seconds } else { 0 };
        value.extend((seconds / 2).to_be_bytes());
        value.extend((seconds / 5 * 4).to_be_bytes());
        if let Some(address) = own {
            lives(&mut value, address, seconds);
        }
        if extends && address.is_some() {
            let others = addresses.iter().filter(|other| Some(**other) != own);
            others.for_each(|other| lives(&mut value, *other, 0));
        } else if own.is_none() {
            let reason = if extends { status::NO_BINDING } else { status::NO_ADDRESS };
            put(&mut value, code::STATUS, &reason.to_be_bytes());
        }
        put(options, code::IA_NA, &value);
    }
    // The client is told what we do not give, so that it does not wait for it.
    for (code, value) in request.message.options() {
        let (times, reason) = match code {
            code::IA_TA => (0, status::NO_ADDRESS),
            code::IA_PD => (8, status::NO_PREFIX),
            _ => continue,
        };
        let Some(identifier) = value.first_chunk::<4>() else { continue };
        let mut value = identifier.to_vec();
        value.resize(4 + times, 0);
        put(&mut value, code::STATUS, &reason.to_be_bytes());
        put(options, code, &value);
    }
}

/// An address, and how long it is preferred and valid.
fn lives(value: &mut Vec<u8>, address: Ipv6Addr, seconds: u32) {
    let mut lived = address.octets().to_vec();
    lived.extend(seconds.to_be_bytes());
    lived.extend(seconds.to_be_bytes());
    put(value, code::IA_ADDRESS, &lived);
}

fn describe_network(subject: &Subject<'_>, request: &Request, options: &mut Vec<u8>) {
    let Subject { cluster, network, .. } = *subject;
    let mut tell = |code: u16, value: &[u8]| {
        if !value.is_empty() && request.wants(code) {
            put(options, code, value);
        }
    };
    let name_servers = cluster.name_servers(Some(network), &[Family::V6]);
    let octets = |address: &IpAddr| match address {
        IpAddr::V6(address) => Some(address.octets()),
        IpAddr::V4(_) => None,
    };
    let servers: Vec<u8> = name_servers.iter().filter_map(octets).flatten().collect();
    tell(code::NAME_SERVERS, &servers);
    let domains = search_domains(cluster, network, subject.node);
    tell(code::DOMAINS, &encode_whole(domains.iter().map(String::as_str)));
    tell(code::TIME_SERVERS, &time_servers(cluster, network));
    let name = subject.node.map(|node| &node.name).or(subject.device);
    if let Some(name) = name
        && let Some([flags, ..]) = request.message.option(code::CLIENT_NAME)
    {
        // RFC 4704, section 6: the name is ours to give, whatever the machine wanted.
        const WE_NAME: u8 = 1;
        const NOT_AS_ASKED: u8 = 2;
        let overridden = if flags & WE_NAME == 0 { NOT_AS_ASKED } else { 0 };
        let whole = format!("{name}.{}", network.name);
        let name = encode_whole([whole.as_str()]);
        put(options, code::CLIENT_NAME, &[&[WE_NAME | overridden][..], &name].concat());
    }
}

/// RFC 5908: the network's own servers, else the cluster's.
fn time_servers(cluster: &Cluster, network: &Network) -> Vec<u8> {
    const ADDRESS: u16 = 1;
    const NAME: u16 = 3;
    let mut value = Vec::new();
    for server in network.ntp_server.iter().flat_map(Servers::iter) {
        match server {
            Server::Address(IpAddr::V6(address)) => put(&mut value, ADDRESS, &address.octets()),
            Server::Host(name) => put(&mut value, NAME, &encode_whole([name.as_str()])),
            Server::Address(IpAddr::V4(_)) | Server::Unread(_) => {}
        }
    }
    if value.is_empty() {
        for server in &cluster.settings().ntp_server {
            if let IpAddr::V6(address) = server {
                put(&mut value, ADDRESS, &address.octets());
            }
        }
    }
    value
}

/// Says what the machine boots (RFC 5970); answers what its firmware is called when there is no program for it.
fn describe_boot(
    subject: &Subject<'_>,
    request: &Request,
    options: &mut Vec<u8>,
) -> Option<String> {
    let policy = subject.policy;
    let kernel = subject.node.map(|node| Effective::of_node(subject.cluster, node).ipxe_kernel());
    let kernel = kernel.map_or(IpxeKernel::Default, |own| own.value);
    let chosen =
        subject.mac.and_then(|mac| policy.peers.server_of(mac, subject.network, Family::V6));
    let chosen = chosen.map(|server| (server.address, server.url.as_str()));
    let (server, http) = chosen.unwrap_or((policy.server.into(), &policy.url));
    let url = match boot_program::of(&request.firmware(), kernel)? {
        BootProgram::Tftp(file) => format!("tftp://[{server}]/{file}"),
        BootProgram::Http(file) => {
            let class = b"HTTPClient";
            let mut value = INTEL.to_vec();
            value.extend([0, u8::try_from(class.len()).unwrap_or_default()]);
            value.extend(class);
            // Firmware that boots by HTTP takes answers of its own class only.
            put(options, code::VENDOR_CLASS, &value);
            format!("{http}/files/{file}")
        }
        BootProgram::Script => format!("{http}/boot"),
        BootProgram::Missing(firmware) => return Some(firmware),
    };
    put(options, code::BOOT_FILE_URL, url.as_bytes());
    None
}
