//! The packets that go back.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use dhcproto::v4::{DhcpOption, Flags, Message, MessageType, Opcode, OptionCode, UnknownOption};
use perilune_model::effective::Effective;
use perilune_model::network::Network;
use perilune_model::node::Node;
use perilune_model::provisioning::IpxeKernel;
use perilune_model::{Cluster, Family};

use crate::boot_program::{self, BootProgram};
use crate::reply::Policy;
use crate::request::Request;

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// The site's own option by which existing tools tell our answers.
const LUNA: (u8, &[u8]) = (129, b"lunaclient");
/// iPXE's option 175 with its option 176 (no-pxedhcp) set: it does not wait for another boot server.
const NO_PROXY: (u8, &[u8]) = (175, &[176, 1, 1]);

/// What an answer is about.
pub(crate) struct Subject<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) network: &'a Network,
    pub(crate) node: Option<&'a Node>,
    pub(crate) policy: &'a Policy,
}

/// An OFFER or an ACK with an address, or without one for a machine that has its own.
pub(crate) fn give(
    subject: &Subject<'_>,
    request: &Request,
    kind: MessageType,
    address: Option<Ipv4Addr>,
) -> Message {
    let mut message = begin(request, kind, subject.policy);
    if let Some(address) = address {
        message.set_yiaddr(address);
        let seconds = subject.policy.lease_seconds;
        let options = message.opts_mut();
        options.insert(DhcpOption::AddressLeaseTime(seconds));
        options.insert(DhcpOption::Renewal(seconds / 2));
        options.insert(DhcpOption::Rebinding(seconds / 8 * 7));
    }
    if let Some(current) = request.current() {
        message.set_ciaddr(current);
    }
    describe_network(subject, request, &mut message);
    describe_boot(subject, request, &mut message);
    message
}

/// A refusal: the machine must begin anew.
pub(crate) fn refuse(policy: &Policy, request: &Request, reason: &str) -> Message {
    let mut message = begin(request, MessageType::Nak, policy);
    message.opts_mut().insert(DhcpOption::Message(reason.to_owned()));
    if !request.message.giaddr().is_unspecified() {
        // RFC 2131, section 4.3.2: the relay must broadcast it.
        message.set_flags(Flags::default().set_broadcast());
    }
    message
}

/// Where an answer goes (RFC 2131, section 4.1). A machine without an address is reached by broadcast: answering its hardware
/// address alone needs privileges over the neighbour table that this program does not ask for.
pub(crate) fn destination(request: &Request, message: &Message) -> SocketAddrV4 {
    let relay = request.message.giaddr();
    if !relay.is_unspecified() {
        return SocketAddrV4::new(relay, SERVER_PORT);
    }
    let is_refusal = message.opts().has_msg_type(MessageType::Nak);
    match request.current().filter(|_| !is_refusal) {
        Some(current) => SocketAddrV4::new(current, CLIENT_PORT),
        None => SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT),
    }
}

fn begin(request: &Request, kind: MessageType, policy: &Policy) -> Message {
    let asked = &request.message;
    let mut message = Message::default();
    message
        .set_opcode(Opcode::BootReply)
        .set_htype(asked.htype())
        .set_xid(asked.xid())
        .set_flags(asked.flags())
        .set_giaddr(asked.giaddr())
        .set_chaddr(&request.mac.0);
    let options = message.opts_mut();
    options.insert(DhcpOption::MessageType(kind));
    options.insert(DhcpOption::ServerIdentifier(policy.server));
    // RFC 3046, section 2.2: what the relay said goes back to it.
    if let Some(relay) = asked.opts().get(OptionCode::RelayAgentInformation) {
        options.insert(relay.clone());
    }
    // RFC 6842: likewise the client's identifier.
    if let Some(client) = asked.opts().get(OptionCode::ClientIdentifier) {
        options.insert(client.clone());
    }
    message
}

fn describe_network(subject: &Subject<'_>, request: &Request, message: &mut Message) {
    let network = subject.network;
    let settings = subject.cluster.settings();
    let options = message.opts_mut();
    let mut add = |code: OptionCode, option: Option<DhcpOption>| {
        if let Some(option) = option.filter(|_| request.wants(code)) {
            options.insert(option);
        }
    };
    add(OptionCode::SubnetMask, network.ipv4.map(|range| DhcpOption::SubnetMask(range.netmask())));
    add(
        OptionCode::BroadcastAddr,
        network.ipv4.map(|range| DhcpOption::BroadcastAddr(range.broadcast())),
    );
    add(OptionCode::Router, network.gateway.map(|gateway| DhcpOption::Router(vec![gateway])));
    add(OptionCode::DomainName, Some(DhcpOption::DomainName(network.name.to_string())));
    let own = network.nameserver_ip.as_deref().map(addresses).filter(|own| !own.is_empty());
    let name_servers = own.unwrap_or_else(|| of_ipv4(&settings.nameserver_ip));
    add(
        OptionCode::DomainNameServer,
        (!name_servers.is_empty()).then_some(DhcpOption::DomainNameServer(name_servers)),
    );
    let own = network.ntp_server.as_deref().map(addresses).filter(|own| !own.is_empty());
    let time_servers = own.unwrap_or_else(|| of_ipv4(&settings.ntp_server));
    add(
        OptionCode::NtpServers,
        (!time_servers.is_empty()).then_some(DhcpOption::NtpServers(time_servers)),
    );
    add(OptionCode::Hostname, subject.node.map(|node| DhcpOption::Hostname(node.name.to_string())));
    let (code, text) = LUNA;
    options.insert(DhcpOption::Unknown(UnknownOption::new(OptionCode::from(code), text.to_vec())));
}

fn addresses(list: &str) -> Vec<Ipv4Addr> {
    list.split(',').filter_map(|word| word.trim().parse().ok()).collect()
}

fn of_ipv4(all: &[IpAddr]) -> Vec<Ipv4Addr> {
    let ipv4 = all.iter().filter(|address| Family::of(**address) == Family::V4);
    ipv4.filter_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    })
    .collect()
}

fn describe_boot(subject: &Subject<'_>, request: &Request, message: &mut Message) {
    let policy = subject.policy;
    let kernel =
        subject.node.map(|node| Effective::of_node(subject.cluster, node).ipxe_kernel().value);
    let Some(program) = boot_program::of(request, kernel.unwrap_or(IpxeKernel::Default)) else {
        return;
    };
    let file = match program {
        BootProgram::Tftp(file) => file.to_owned(),
        BootProgram::Http(file) => format!("{}/files/{file}", policy.url),
        BootProgram::Script => format!("{}/boot", policy.url),
    };
    message.set_siaddr(policy.server).set_fname_str(&file);
    let options = message.opts_mut();
    options.insert(DhcpOption::TFTPServerName(policy.server.to_string().into_bytes()));
    options.insert(DhcpOption::BootfileName(file.into_bytes()));
    match program {
        // No class for PXE: with it, UEFI firmware takes the answer for one of a separate boot server and asks that one next.
        BootProgram::Tftp(_) => {}
        // UEFI 2.10, section 24.7.3: firmware that boots by HTTP takes answers of its own class only.
        BootProgram::Http(_) => {
            options.insert(DhcpOption::ClassIdentifier(b"HTTPClient".to_vec()));
        }
        BootProgram::Script => {
            let (code, bytes) = NO_PROXY;
            let option = UnknownOption::new(OptionCode::from(code), bytes.to_vec());
            options.insert(DhcpOption::Unknown(option));
        }
    }
}
