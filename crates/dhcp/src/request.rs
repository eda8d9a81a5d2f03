//! What a machine asks, read from a packet.

use std::fmt::Write;
use std::net::Ipv4Addr;

use perilune_model::MacAddress;

use crate::boot_program::Firmware;
use crate::hardware;
use crate::leases::Source;
use crate::packet::{Packet, code};
use crate::queue::Waits;

/// The longest name (RFC 1035, section 2.3.4).
const LONGEST_NAME: usize = 253;

/// What a packet is for (RFC 2132, section 9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A machine looks for a server.
    Discover,
    /// A server offers an address.
    Offer,
    /// A machine takes an offer, asks for its former address, or for more time.
    Request,
    /// A machine found its address in use by another.
    Decline,
    /// A server gives what was asked.
    Ack,
    /// A server refuses what was asked.
    Nak,
    /// A machine gives its address back.
    Release,
    /// A machine with an address asks for the rest.
    Inform,
    /// Something else.
    Other,
}

impl Kind {
    fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Discover,
            2 => Self::Offer,
            3 => Self::Request,
            4 => Self::Decline,
            5 => Self::Ack,
            6 => Self::Nak,
            7 => Self::Release,
            8 => Self::Inform,
            _ => Self::Other,
        }
    }

    /// The number of a kind that is sent here.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Discover => 1,
            Self::Offer => 2,
            Self::Request => 3,
            Self::Decline => 4,
            Self::Ack => 5,
            Self::Nak => 6,
            Self::Release => 7,
            Self::Inform => 8,
            Self::Other => 0,
        }
    }

    /// As RFC 2131 calls it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Discover => "discover",
            Self::Offer => "offer",
            Self::Request => "request",
            Self::Decline => "decline",
            Self::Ack => "ack",
            Self::Nak => "nak",
            Self::Release => "release",
            Self::Inform => "inform",
            Self::Other => "other",
        }
    }
}

/// What a machine asks.
#[derive(Debug, Clone)]
pub struct Request {
    pub(crate) packet: Packet,
    /// What it asks for.
    pub kind: Kind,
    /// The machine.
    pub mac: MacAddress,
    /// The card that its frame came from, where that is known: of those who ask without a relay.
    pub card: Option<MacAddress>,
    /// Whether its frame would have told the card, and was missed.
    pub is_missed: bool,
}

impl Request {
    /// Reads a packet; `None` for what is no request of a machine on Ethernet or InfiniBand.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let packet = Packet::read(bytes)?;
        let mac = hardware::machine(&packet)?.port();
        let kind = packet.option(code::KIND)?.first().copied().map(Kind::from_number)?;
        Some(Self { packet, kind, mac, card: None, is_missed: false })
    }

    /// Of a packet that cannot be read, what somebody must mend: a machine on InfiniBand that does not say which it is.
    pub(crate) fn fault(bytes: &[u8]) -> Option<String> {
        let packet = Packet::read(bytes)?;
        let identifier = packet.option(code::CLIENT_IDENTIFIER).map(shown);
        (hardware::is_infiniband(&packet) && hardware::machine(&packet).is_none()).then(|| {
            format!(
                "a machine on InfiniBand asks, and its client identifier ({}) does not name its port: RFC 4390 wants one that holds the \
                 port's address; with systemd-networkd set ClientIdentifier=mac, with NetworkManager dhcp-client-id=mac",
                identifier.unwrap_or_else(|| "none".to_owned())
            )
        })
    }

    /// The address that it wants.
    pub fn wanted(&self) -> Option<Ipv4Addr> {
        self.packet.address(code::REQUESTED_ADDRESS)
    }

    /// What the machine calls itself (RFC 4702; RFC 2132, section 3.14): its name in full where it has one. What is no text is none.
    pub fn name(&self) -> Option<String> {
        // Flags and two codes of old come first; with this flag, the name is in the form of the wire.
        const ENCODED: u8 = 4;
        let full = self.packet.option(code::CLIENT_NAME).and_then(|option| match option {
            [flags, _, _, name @ ..] if flags & ENCODED == 0 => Some(name.to_vec()),
            [_, _, _, length, name @ ..] => name.get(..usize::from(*length)).map(<[u8]>::to_vec),
            _ => None,
        });
        let full = full.filter(|name| !name.is_empty());
        let name = full.or_else(|| self.packet.option(code::HOST_NAME).map(<[u8]>::to_vec))?;
        let name = String::from_utf8(name).ok()?;
        let is_name = (1..=LONGEST_NAME).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic());
        is_name.then_some(name)
    }

    /// The server that it has chosen.
    pub fn server(&self) -> Option<Ipv4Addr> {
        self.packet.address(code::SERVER)
    }

    /// An address of the network that it is in, when a relay or the machine itself says (RFC 3527, RFC 3011, RFC 2131).
    pub fn place(&self) -> Option<Ipv4Addr> {
        self.link().or_else(|| self.relay())
    }

    /// The same, without the relay's own address.
    pub(crate) fn link(&self) -> Option<Ipv4Addr> {
        const LINK_SELECTION: u8 = 5;
        let link = self.relay_part(LINK_SELECTION).and_then(<[u8]>::first_chunk::<4>);
        let link = link.map(|bytes| Ipv4Addr::from(*bytes));
        let known = |address: &Ipv4Addr| !address.is_unspecified();
        let subnet = self.packet.address(code::SUBNET_SELECTION);
        link.filter(known).or(subnet.filter(known))
    }

    /// What tells this exchange from others of the machine.
    pub(crate) fn transaction(&self) -> u32 {
        self.packet.transaction()
    }

    /// The beginning of the client's address in the head, which on InfiniBand is no whole one.
    pub(crate) fn head_address(&self) -> [u8; 6] {
        self.packet.client_address().first_chunk().copied().unwrap_or_default()
    }

    /// The relay through which it asks.
    pub fn relay(&self) -> Option<Ipv4Addr> {
        Some(self.packet.relay_address()).filter(|address| !address.is_unspecified())
    }

    /// From where a stranger asks.
    pub(crate) fn source(&self) -> Source {
        const CIRCUIT: u8 = 1;
        const REMOTE: u8 = 2;
        if let Some(card) = self.card.filter(|card| *card != self.mac) {
            return Source::Ethernet(card);
        }
        if self.is_missed {
            return Source::Missed;
        }
        let named = self.relay_part(CIRCUIT).or(self.relay_part(REMOTE)).is_some();
        match self.relay() {
            relay if named => {
                let name = |part| shown(self.relay_part(part).unwrap_or_default());
                let relay = relay.map_or_else(|| "a switch".to_owned(), |relay| relay.to_string());
                Source::Port(format!("{} {} of {relay}", name(REMOTE), name(CIRCUIT)))
            }
            Some(relay) => Source::Relay(relay.into()),
            None => Source::Machine,
        }
    }

    /// A part of what the relay said (RFC 3046, section 2.0), as far as that can be read.
    fn relay_part(&self, wanted: u8) -> Option<&[u8]> {
        let mut rest = self.packet.option(code::RELAY)?;
        while let [code, length, tail @ ..] = rest {
            let (value, next) = tail.split_at_checked(usize::from(*length))?;
            if *code == wanted {
                return Some(value);
            }
            rest = next;
        }
        None
    }

    /// The address that it has and goes on using.
    pub fn current(&self) -> Option<Ipv4Addr> {
        Some(self.packet.current()).filter(|address| !address.is_unspecified())
    }

    /// What the client calls itself.
    pub fn vendor_class(&self) -> Option<String> {
        let class = self.packet.option(code::VENDOR_CLASS)?;
        Some(String::from_utf8_lossy(class).chars().take(128).collect())
    }

    /// The kinds of firmware that it can be, the one that runs now first (RFC 4578, section 2.1).
    pub fn architectures(&self) -> impl Iterator<Item = u16> {
        let list = self.packet.option(code::ARCHITECTURE).unwrap_or_default();
        list.as_chunks::<2>().0.iter().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// Whether its firmware says that it boots from the network by this way: `PXEClient` or `HTTPClient`.
    pub(crate) fn is_class(&self, class: &str) -> bool {
        let said = self.packet.option(code::VENDOR_CLASS);
        said.is_some_and(|said| said.starts_with(class.as_bytes()))
    }

    /// Whether iPXE asks.
    pub fn is_ipxe(&self) -> bool {
        let class = self.packet.option(code::USER_CLASS).unwrap_or_default();
        class.windows(4).any(|window| window == b"iPXE") || self.packet.option(code::IPXE).is_some()
    }

    /// Whether a machine's firmware asks, and no running system: by its class (PXE 2.1, section 2.2.1; UEFI 2.10, section 24.7.3), or as
    /// iPXE does.
    pub fn is_firmware(&self) -> bool {
        self.is_class("PXEClient")
            || self.is_class("HTTPClient")
            || self.packet.option(code::IPXE).is_some()
    }

    /// What its firmware says of itself.
    pub(crate) fn firmware(&self) -> Firmware {
        Firmware {
            is_ipxe: self.is_ipxe(),
            by_pxe: self.is_class("PXEClient"),
            by_http: self.is_class("HTTPClient"),
            types: self.architectures().collect(),
        }
    }

    /// Whether it wants an option. One that does not say gets what everybody needs.
    pub(crate) fn wants(&self, code: u8) -> bool {
        self.packet.option(code::PARAMETER_LIST).is_none_or(|list| list.contains(&code))
    }

    /// Whether it says that it wants an option.
    pub(crate) fn asks_for(&self, code: u8) -> bool {
        self.packet.option(code::PARAMETER_LIST).is_some_and(|list| list.contains(&code))
    }
}

impl Waits for Request {
    fn machine(&self) -> MacAddress {
        self.mac
    }

    fn number(&self) -> u8 {
        self.kind.number()
    }
}

/// Bytes as digits; of many, the first ones, since everybody could make them up.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const MANY: usize = 32;
    bytes.iter().take(MANY).fold(String::new(), |mut text, byte| {
        // Writing to a text does not fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}
