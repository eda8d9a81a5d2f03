//! DHCP requests as an attacker writes them (RFC 2131), to be sent from whatever port.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use dhcproto::v4::{DhcpOption, Flags, Message, MessageType};
use dhcproto::{Encodable, Encoder};

/// What firmware says to be (option 60).
const CLASS: &[u8] = b"PXEClient:Arch:00007:UNDI:003016";

/// A DISCOVER of the machine with this MAC address, which begins a boot.
pub(super) fn discover(mac: &str) -> Result<Vec<u8>> {
    encode(&message(mac, MessageType::Discover)?)
}

/// The same, as a relay at this address sends it on.
pub(super) fn relayed(mac: &str, relay: Ipv4Addr) -> Result<Vec<u8>> {
    let mut message = message(mac, MessageType::Discover)?;
    message.set_giaddr(relay).set_hops(1);
    encode(&message)
}

/// Chooses an address, as firmware does that was offered it.
pub(super) fn choose(mac: &str, address: Ipv4Addr, server: Ipv4Addr) -> Result<Vec<u8>> {
    let mut message = message(mac, MessageType::Request)?;
    message.opts_mut().insert(DhcpOption::RequestedIpAddress(address));
    message.opts_mut().insert(DhcpOption::ServerIdentifier(server));
    encode(&message)
}

fn message(mac: &str, kind: MessageType) -> Result<Message> {
    let bytes: Vec<u8> = mac
        .split(':')
        .map(|part| u8::from_str_radix(part, 16))
        .collect::<Result<_, _>>()
        .context("not a MAC address")?;
    let none = Ipv4Addr::UNSPECIFIED;
    let mut message = Message::new(none, none, none, none, &bytes);
    message.set_flags(Flags::default().set_broadcast());
    message.opts_mut().insert(DhcpOption::MessageType(kind));
    message.opts_mut().insert(DhcpOption::ClassIdentifier(CLASS.to_vec()));
    Ok(message)
}

fn encode(message: &Message) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    message.encode(&mut Encoder::new(&mut bytes))?;
    Ok(bytes)
}
