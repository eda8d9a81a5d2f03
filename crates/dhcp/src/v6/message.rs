//! Messages of DHCPv6, and the relays that they came through (RFC 8415, sections 8 and 9).

use std::net::Ipv6Addr;

use super::options::{self, code};

/// The most relays that a message may pass (RFC 8415, section 7.6: `HOP_COUNT_LIMIT`).
const MOST_RELAYS: usize = 8;

/// What a message is for (RFC 8415, section 7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A machine looks for a server.
    Solicit,
    /// A server offers an address.
    Advertise,
    /// A machine takes an offer.
    Request,
    /// A machine that may have moved asks whether its addresses are still of its network.
    Confirm,
    /// A machine asks its server for more time.
    Renew,
    /// A machine asks any server for more time.
    Rebind,
    /// A server gives what was asked.
    Reply,
    /// A machine gives its address back.
    Release,
    /// A machine found its address in use by another.
    Decline,
    /// A machine with an address asks for the rest.
    InformationRequest,
}

const KINDS: [(u8, Kind, &str); 10] = [
    (1, Kind::Solicit, "solicit"),
    (2, Kind::Advertise, "advertise"),
    (3, Kind::Request, "request"),
    (4, Kind::Confirm, "confirm"),
    (5, Kind::Renew, "renew"),
    (6, Kind::Rebind, "rebind"),
    (7, Kind::Reply, "reply"),
    (8, Kind::Release, "release"),
    (9, Kind::Decline, "decline"),
    (11, Kind::InformationRequest, "information-request"),
];

const RELAY_FORWARD: u8 = 12;
const RELAY_REPLY: u8 = 13;

impl Kind {
    fn row(self) -> (u8, &'static str) {
        let row = KINDS.iter().find(|(_, known, _)| *known == self);
        row.map_or((0, ""), |(number, _, word)| (*number, word))
    }

    fn from_number(number: u8) -> Option<Self> {
        KINDS.iter().find(|(known, ..)| *known == number).map(|(_, kind, _)| *kind)
    }

    /// Its number in a message.
    pub(crate) fn number(self) -> u8 {
        self.row().0
    }

    /// As RFC 8415 calls it.
    pub(crate) fn word(self) -> &'static str {
        self.row().1
    }
}

/// A relay that a message came through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relay {
    hops: u8,
    /// An address of the link that the machine is on; unspecified where it says that in another way.
    pub(crate) link: Ipv6Addr,
    /// Who sent it the message: the machine, or the relay before.
    pub(crate) peer: Ipv6Addr,
    options: Vec<u8>,
}

impl Relay {
    /// An option of this relay's.
    pub(crate) fn option(&self, code: u16) -> Option<&[u8]> {
        options::find(&self.options, code)
    }
}

/// A message of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) transaction: [u8; 3],
    options: Vec<u8>,
    /// The relays, the one that sent it to us first.
    pub(crate) relays: Vec<Relay>,
}

impl Message {
    /// Reads a message; `None` for bytes that are not one.
    pub(crate) fn read(mut bytes: &[u8]) -> Option<Self> {
        let mut relays = Vec::new();
        while let [RELAY_FORWARD, hops, rest @ ..] = bytes {
            let (link, rest) = rest.split_first_chunk::<16>()?;
            let (peer, rest) = rest.split_first_chunk::<16>()?;
            if relays.len() >= MOST_RELAYS {
                return None;
            }
            let others = options::read(rest).filter(|(own, _)| *own != code::RELAY_MESSAGE);
            let mut options = Vec::new();
            others.for_each(|(own, value)| options::put(&mut options, own, value));
            relays.push(Relay {
                hops: *hops,
                link: Ipv6Addr::from(*link),
                peer: Ipv6Addr::from(*peer),
                options,
            });
            bytes = options::find(rest, code::RELAY_MESSAGE)?;
        }
        let [number, a, b, c, options @ ..] = bytes else { return None };
        let kind = Kind::from_number(*number)?;
        Some(Self { kind, transaction: [*a, *b, *c], options: options.to_vec(), relays })
    }

    /// The first option of a kind.
    pub(crate) fn option(&self, code: u16) -> Option<&[u8]> {
        options::find(&self.options, code)
    }

    /// All options.
    pub(crate) fn options(&self) -> impl Iterator<Item = (u16, &[u8])> {
        options::read(&self.options)
    }

    /// An answer with these options, wrapped for the relays that the message came through (RFC 8415, section 19.3).
    pub(crate) fn answer(&self, kind: Kind, options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind.number()];
        bytes.extend(self.transaction);
        bytes.extend(options);
        for relay in self.relays.iter().rev() {
            let mut wrapped = vec![RELAY_REPLY, relay.hops];
            wrapped.extend(relay.link.octets());
            wrapped.extend(relay.peer.octets());
            if let Some(interface) = relay.option(code::INTERFACE_ID) {
                options::put(&mut wrapped, code::INTERFACE_ID, interface);
            }
            options::put(&mut wrapped, code::RELAY_MESSAGE, &bytes);
            bytes = wrapped;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn relayed(times: usize) -> Vec<u8> {
        (0..times).fold(vec![1, 0, 0, 7, 0, 14, 0, 0], |message, hops| {
            let mut bytes = vec![RELAY_FORWARD, u8::try_from(hops).unwrap()];
            bytes.extend([0; 32]);
            options::put(&mut bytes, code::RELAY_MESSAGE, &message);
            options::put(&mut bytes, code::INTERFACE_ID, b"eth1");
            bytes
        })
    }

    #[test]
    fn an_answer_goes_back_through_the_relays_of_its_question() {
        let message = Message::read(&relayed(2)).unwrap();
        assert_eq!(
            (message.kind, message.transaction, message.relays.len()),
            (Kind::Solicit, [0, 0, 7], 2)
        );
        let answer = message.answer(Kind::Reply, &[]);
        assert_eq!(answer.get(..2), Some(&[RELAY_REPLY, 1][..]));
        let inner = options::find(&answer[34..], code::RELAY_MESSAGE).unwrap();
        assert_eq!(inner.get(..2), Some(&[RELAY_REPLY, 0][..]));
        assert_eq!(options::find(&inner[34..], code::INTERFACE_ID), Some(&b"eth1"[..]));
        assert_eq!(options::find(&inner[34..], code::RELAY_MESSAGE), Some(&[7, 0, 0, 7][..]));
        assert!(Message::read(&relayed(MOST_RELAYS)).is_some());
        assert!(Message::read(&relayed(MOST_RELAYS + 1)).is_none());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_not(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0..14_u8) {
            let message = Message::read(&[&[kind][..], &bytes].concat());
            if let Some(message) = message {
                message.answer(Kind::Reply, &[]);
            }
        }
    }
}
