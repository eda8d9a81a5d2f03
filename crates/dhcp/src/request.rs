//! What a machine asks, read from a packet.

use std::net::Ipv4Addr;

use dhcproto::v4::relay::{RelayCode, RelayInfo};
use dhcproto::v4::{Architecture, DhcpOption, HType, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Decoder};
use perilune_model::MacAddress;

/// iPXE's own encapsulated options.
const IPXE: u8 = 175;

/// What a machine asks.
#[derive(Debug, Clone)]
pub struct Request {
    /// The packet.
    pub message: Message,
    /// What it asks for.
    pub kind: MessageType,
    /// The machine.
    pub mac: MacAddress,
}

impl Request {
    /// Reads a packet; `None` for what is no request of a machine on Ethernet.
    pub fn read(packet: &[u8]) -> Option<Self> {
        if !is_sound(packet) {
            return None;
        }
        let message = Message::decode(&mut Decoder::new(packet)).ok()?;
        if message.opcode() != Opcode::BootRequest
            || message.htype() != HType::Eth
            || message.hlen() != 6
        {
            return None;
        }
        let mac = MacAddress(message.chaddr().get(..6)?.try_into().ok()?);
        let kind = message.opts().msg_type()?;
        Some(Self { message, kind, mac })
    }

    /// The address that it wants.
    pub fn wanted(&self) -> Option<Ipv4Addr> {
        match self.message.opts().get(OptionCode::RequestedIpAddress) {
            Some(DhcpOption::RequestedIpAddress(address)) => Some(*address),
            _ => None,
        }
    }

    /// The server that it has chosen.
    pub fn server(&self) -> Option<Ipv4Addr> {
        match self.message.opts().get(OptionCode::ServerIdentifier) {
            Some(DhcpOption::ServerIdentifier(address)) => Some(*address),
            _ => None,
        }
    }

    /// An address of the network that it is in, when a relay or the machine itself says (RFC 3527, RFC 3011, RFC 2131).
    pub fn place(&self) -> Option<Ipv4Addr> {
        let known = |address: Ipv4Addr| (!address.is_unspecified()).then_some(address);
        let link = match self.message.opts().get(OptionCode::RelayAgentInformation) {
            Some(DhcpOption::RelayAgentInformation(information)) => {
                match information.get(RelayCode::LinkSelection) {
                    Some(RelayInfo::LinkSelection(address)) => known(*address),
                    _ => None,
                }
            }
            _ => None,
        };
        let subnet = match self.message.opts().get(OptionCode::SubnetSelection) {
            Some(DhcpOption::SubnetSelection(address)) => known(*address),
            _ => None,
        };
        link.or(subnet).or_else(|| known(self.message.giaddr()))
    }

    /// The address that it has and goes on using.
    pub fn current(&self) -> Option<Ipv4Addr> {
        Some(self.message.ciaddr()).filter(|address| !address.is_unspecified())
    }

    /// What the client calls itself.
    pub fn vendor_class(&self) -> Option<String> {
        match self.message.opts().get(OptionCode::ClassIdentifier) {
            Some(DhcpOption::ClassIdentifier(class)) => {
                Some(String::from_utf8_lossy(class).chars().take(128).collect())
            }
            _ => None,
        }
    }

    /// The kind of firmware (RFC 4578, section 2.1; numbers of the IANA registry).
    pub fn architecture(&self) -> Option<u16> {
        match self.message.opts().get(OptionCode::ClientSystemArchitecture) {
            Some(DhcpOption::ClientSystemArchitecture(architecture)) => Some(number(*architecture)),
            _ => None,
        }
    }

    /// Whether iPXE asks.
    pub fn is_ipxe(&self) -> bool {
        let class = match self.message.opts().get(OptionCode::UserClass) {
            Some(DhcpOption::UserClass(class)) => class.windows(4).any(|window| window == b"iPXE"),
            _ => false,
        };
        class || self.message.opts().contains(OptionCode::from(IPXE))
    }

    /// Whether it wants an option. One that does not say gets what everybody needs.
    pub fn wants(&self, option: OptionCode) -> bool {
        match self.message.opts().get(OptionCode::ParameterRequestList) {
            Some(DhcpOption::ParameterRequestList(list)) => list.contains(&option),
            _ => true,
        }
    }
}

/// Whether the options of a packet have lengths that its decoder takes: it would not return from others.
fn is_sound(packet: &[u8]) -> bool {
    const OPTIONS: usize = 240;
    const PAD: u8 = 0;
    const END: u8 = 255;
    /// RFC 4039: nothing.
    const RAPID_COMMIT: u8 = 80;
    /// RFC 4702, section 2: flags and two codes, then the name.
    const CLIENT_FQDN: u8 = 81;
    /// RFC 4578, section 2.2: three octets. Below, 152 to 155 are times of RFC 6926, four octets each.
    const NETWORK_INTERFACE: u8 = 94;
    let mut rest = packet.get(OPTIONS..).unwrap_or_default();
    while let Some((code, tail)) = rest.split_first() {
        match *code {
            PAD => rest = tail,
            END => return true,
            code => {
                let Some((length, tail)) = tail.split_first() else { return false };
                let right = match code {
                    NETWORK_INTERFACE => *length == 3,
                    RAPID_COMMIT => *length == 0,
                    CLIENT_FQDN => *length >= 3,
                    152..=155 => *length == 4,
                    _ => true,
                };
                if !right {
                    return false;
                }
                let Some(next) = tail.get(usize::from(*length)..) else { return false };
                rest = next;
            }
        }
    }
    true
}

fn number(architecture: Architecture) -> u16 {
    u16::from(architecture)
}
