//! What a machine asks, read from a packet.

use std::collections::BTreeSet;
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
        let packet = with_known_options(packet)?;
        let message = Message::decode(&mut Decoder::new(&packet)).ok()?;
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

/// The packet with those options alone that this server reads, each of a right length.
///
/// Machines may send anything. The decoder gives up at the first option that it cannot read, and with it all behind; options of a kind it
/// joins before it looks at their length (RFC 3396), and of some it asserts it. So it sees no others than these, and one of a fixed
/// length once: the first.
fn with_known_options(packet: &[u8]) -> Option<Vec<u8>> {
    const OPTIONS: usize = 240;
    const MAGIC: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
    const PAD: u8 = 0;
    const END: u8 = 255;
    let (head, mut rest) = packet.split_at_checked(OPTIONS)?;
    if !head.ends_with(&MAGIC) {
        return None;
    }
    let mut kept = head.to_vec();
    let mut single = BTreeSet::new();
    while let Some((code, tail)) = rest.split_first() {
        match *code {
            PAD => rest = tail,
            END => break,
            code => {
                let (length, tail) = tail.split_first()?;
                let (value, next) = tail.split_at_checked(usize::from(*length))?;
                let value = known(code, value);
                if let Some(value) = value.filter(|_| is_text(code) || single.insert(code)) {
                    kept.extend([code, u8::try_from(value.len()).ok()?]);
                    kept.extend(value);
                }
                rest = next;
            }
        }
    }
    kept.push(END);
    Some(kept)
}

/// What of an option's value is read here; `None` for an option that is not.
fn known(code: u8, value: &[u8]) -> Option<&[u8]> {
    let right = match OptionCode::from(code) {
        // RFC 4578, section 2.1: a list. The first is what the machine runs now.
        OptionCode::ClientSystemArchitecture => return value.get(..2),
        OptionCode::MessageType => value.len() == 1,
        OptionCode::RequestedIpAddress
        | OptionCode::ServerIdentifier
        | OptionCode::SubnetSelection => value.len() == 4,
        _ => is_text(code),
    };
    right.then_some(value)
}

/// Whether an option that is read here may have any length.
fn is_text(code: u8) -> bool {
    matches!(
        OptionCode::from(code),
        OptionCode::ParameterRequestList
            | OptionCode::ClassIdentifier
            | OptionCode::ClientIdentifier
            | OptionCode::UserClass
            | OptionCode::RelayAgentInformation
            | OptionCode::Unknown(IPXE)
    )
}

fn number(architecture: Architecture) -> u16 {
    u16::from(architecture)
}
