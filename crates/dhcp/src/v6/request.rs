//! What a machine asks.

use std::net::{IpAddr, Ipv6Addr};

use perilune_model::MacAddress;

use super::identity;
use super::message::{Kind, Message};
use super::options::{self, code};
use crate::boot_program::Firmware;
use crate::leases::Source;
use crate::request::shown;

/// The longest name (RFC 1035, section 2.3.4).
const LONGEST_NAME: usize = 253;
/// Identity associations that are looked at. Machines ask with one.
const ASSOCIATIONS: usize = 8;

/// An identity association for an address (RFC 8415, section 21.4): what a machine calls one of its interfaces, and what it has there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Association {
    pub(crate) identifier: [u8; 4],
    pub(crate) addresses: Vec<Ipv6Addr>,
}

/// What a machine asks.
#[derive(Debug, Clone)]
pub struct Request {
    pub(crate) message: Message,
    /// What it asks for.
    pub kind: Kind,
    /// Where the message came from: the machine's link-local address, or the relay's.
    pub(crate) source: Ipv6Addr,
    /// The card that its frame came from, where that is known: of those who ask without a relay.
    pub(crate) card: Option<MacAddress>,
    /// Whether its frame would have told the card, and was missed.
    pub(crate) is_missed: bool,
    /// The hardware addresses that it may be of.
    pub(crate) candidates: Vec<MacAddress>,
    pub(crate) associations: Vec<Association>,
}

impl Request {
    /// Reads a message that came from an address, in a frame of this card; `None` for what is no request of a machine.
    pub fn read(bytes: &[u8], source: Ipv6Addr, card: Option<MacAddress>) -> Option<Self> {
        let message = Message::read(bytes)?;
        let kind = message.kind;
        if matches!(kind, Kind::Advertise | Kind::Reply) {
            return None;
        }
        let card = card.filter(|_| message.relays.is_empty());
        let candidates = identity::candidates(&message, source, card);
        let associations = associations(&message);
        Some(Self { message, kind, source, card, is_missed: false, candidates, associations })
    }

    /// The number of its machine, where it is known by nothing better.
    pub(crate) fn machine_number(&self) -> Option<[u8; 16]> {
        identity::machine_number(&self.message, self.card)
    }

    /// It may be of these cards, too: those of the machine with its number.
    pub fn may_be_of(&mut self, cards: impl IntoIterator<Item = MacAddress>) {
        for card in cards {
            if !self.candidates.contains(&card) {
                self.candidates.push(card);
            }
        }
    }

    /// What tells this exchange from others of the machine.
    pub(crate) fn transaction(&self) -> [u8; 3] {
        self.message.transaction
    }

    /// Whether it came through a relay.
    pub(crate) fn is_relayed(&self) -> bool {
        !self.message.relays.is_empty()
    }

    /// Addresses by which a network may name the relay through which it asks.
    pub(crate) fn relays(&self) -> impl Iterator<Item = IpAddr> {
        let own = self.message.relays.first().map(|_| self.source);
        let links = self.message.relays.iter().map(|relay| relay.link);
        own.into_iter().chain(links).map(IpAddr::V6)
    }

    /// An address of the link that it is on, as the nearest relay that says so has it (RFC 8415, section 13.1).
    pub(crate) fn link(&self) -> Option<IpAddr> {
        let is_said = |link: &Ipv6Addr| !link.is_unspecified() && !link.is_unicast_link_local();
        let links = self.message.relays.iter().rev().map(|relay| relay.link);
        links.filter(is_said).map(IpAddr::V6).next()
    }

    /// The first address that it names.
    pub(crate) fn wanted(&self) -> Option<Ipv6Addr> {
        self.associations.iter().find_map(|own| own.addresses.first()).copied()
    }

    /// From where a stranger asks. One whose card is known is one machine, whatever it says.
    pub(crate) fn source_of(&self) -> Source {
        if self.is_missed {
            return Source::Missed;
        }
        let Some(relay) = self.message.relays.last() else { return Source::Machine };
        let name = |code| shown(relay.option(code).unwrap_or_default());
        let (remote, interface) = (code::REMOTE_ID, code::INTERFACE_ID);
        if relay.option(remote).is_none() && relay.option(interface).is_none() {
            return Source::Relay(IpAddr::V6(relay.link));
        }
        let link = relay.link;
        Source::Port(format!("{} {} of {link}", name(remote), name(interface)))
    }

    /// Whether it names an option that it wants. One that has no such list gets what everybody needs.
    pub(crate) fn wants(&self, code: u16) -> bool {
        self.message.option(code::OPTION_REQUEST).is_none_or(|list| {
            list.as_chunks::<2>().0.iter().any(|bytes| u16::from_be_bytes(*bytes) == code)
        })
    }

    /// What its firmware is.
    pub(crate) fn firmware(&self) -> Firmware {
        let classes: Vec<&[u8]> = self.vendor_classes().collect();
        let is_class = |class: &[u8]| classes.iter().any(|said| said.starts_with(class));
        let users = self.message.option(code::USER_CLASS).unwrap_or_default();
        let types = self.message.option(code::ARCHITECTURE).unwrap_or_default();
        Firmware {
            is_ipxe: options::counted(users).any(|class| class == b"iPXE"),
            by_pxe: is_class(b"PXEClient"),
            by_http: is_class(b"HTTPClient"),
            types: types.as_chunks::<2>().0.iter().map(|own| u16::from_be_bytes(*own)).collect(),
        }
    }

    /// What its firmware or system calls itself, behind the number of whoever made it (RFC 8415, section 21.16).
    fn vendor_classes(&self) -> impl Iterator<Item = &[u8]> {
        let class = self.message.option(code::VENDOR_CLASS).unwrap_or_default();
        options::counted(class.get(4..).unwrap_or_default())
    }

    /// The same as text.
    pub(crate) fn vendor_class(&self) -> Option<String> {
        let class = self.vendor_classes().next()?;
        Some(String::from_utf8_lossy(class).chars().take(128).collect())
    }

    /// What the machine calls itself (RFC 4704): as DNS writes names, whole or the beginning of one.
    pub(crate) fn name(&self) -> Option<String> {
        let [_flags, labels @ ..] = self.message.option(code::CLIENT_NAME)? else { return None };
        let mut rest = labels;
        let mut name = Vec::new();
        while let [length, tail @ ..] = rest
            && *length > 0
        {
            let (label, next) = tail.split_at_checked(usize::from(*length))?;
            name.push(std::str::from_utf8(label).ok()?);
            rest = next;
        }
        let name = name.join(".");
        let is_name = (1..=LONGEST_NAME).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic());
        is_name.then_some(name)
    }
}

fn associations(message: &Message) -> Vec<Association> {
    let all = message.options().filter(|(own, _)| *own == code::IA_NA);
    let read = |(_, value): (u16, &[u8])| {
        // Behind the identifier stand two times, then options.
        let (identifier, rest) = value.split_first_chunk::<4>()?;
        let own = options::read(rest.get(8..)?).filter(|(own, _)| *own == code::IA_ADDRESS);
        let addresses = own.filter_map(|(_, value)| value.first_chunk::<16>());
        let addresses = addresses.take(ASSOCIATIONS).map(|bytes| Ipv6Addr::from(*bytes)).collect();
        Some(Association { identifier: *identifier, addresses })
    };
    all.filter_map(read).take(ASSOCIATIONS).collect()
}
