//! DHCP messages, as far as a client needs them. They are read by hand: what comes from the network may be anything.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use super::Lease;
use crate::mac::MacAddress;

/// Kinds of hardware, as ARP numbers them.
const ETHERNET: u8 = 1;
const INFINIBAND: u8 = 32;
/// Where the fields of RFC 2131 lie.
const TRANSACTION: usize = 4;
const YOUR_ADDRESS: usize = 16;
const HARDWARE_ADDRESS: usize = 28;
/// Behind the fixed fields and the names of server and file.
const COOKIE_AT: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// The options that are sent or read (RFC 2132).
const MASK: u8 = 1;
const ROUTER: u8 = 3;
const NAME_SERVER: u8 = 6;
const DOMAIN: u8 = 15;
const REQUESTED_ADDRESS: u8 = 50;
const KIND: u8 = 53;
const SERVER: u8 = 54;
const WANTED: u8 = 55;
const CLASS: u8 = 60;
const CLIENT_IDENTIFIER: u8 = 61;
const PAD: u8 = 0;
const END: u8 = 255;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Discover,
    Offer,
    Request,
    Ack,
    Nak,
}

const KINDS: [(u8, Kind); 5] =
    [(1, Kind::Discover), (2, Kind::Offer), (3, Kind::Request), (5, Kind::Ack), (6, Kind::Nak)];

/// A message to all servers, whose answer is asked for as a broadcast.
pub(super) fn question(
    mac: MacAddress,
    transaction: u32,
    kind: Kind,
    offer: Option<&Lease>,
) -> Vec<u8> {
    // RFC 4390: on InfiniBand the address has no room, and the client identifier tells the machine.
    let mut bytes = match mac.guid() {
        Some(_) => vec![1, INFINIBAND, 0, 0],
        None => vec![1, ETHERNET, 6, 0],
    };
    bytes.extend(transaction.to_be_bytes());
    bytes.extend([0, 0, 0x80, 0]);
    bytes.resize(HARDWARE_ADDRESS, 0);
    if mac.guid().is_none() {
        bytes.extend(mac.as_bytes());
    }
    bytes.resize(COOKIE_AT, 0);
    bytes.extend(COOKIE);
    let code = KINDS.iter().find(|(_, known)| *known == kind).map_or(0, |(code, _)| *code);
    bytes.extend([KIND, 1, code]);
    bytes.extend([WANTED, 4, MASK, ROUTER, NAME_SERVER, DOMAIN]);
    bytes.extend([CLASS, 8]);
    bytes.extend(b"perilune");
    if let Some(guid) = mac.guid() {
        bytes.extend([CLIENT_IDENTIFIER, 9, INFINIBAND]);
        bytes.extend(guid);
    }
    if let Some(offer) = offer {
        bytes.extend([REQUESTED_ADDRESS, 4]);
        bytes.extend(offer.address.addr().octets());
        bytes.extend([SERVER, 4]);
        bytes.extend(offer.server.octets());
    }
    bytes.push(END);
    bytes
}

/// What an answer to us says; `None` for everything else.
pub(super) fn answer(bytes: &[u8], mac: MacAddress, transaction: u32) -> Option<(Lease, Kind)> {
    let is_for_us = match mac.guid() {
        Some(_) => bytes.starts_with(&[2, INFINIBAND]),
        None => {
            bytes.starts_with(&[2, ETHERNET, 6])
                && bytes.get(HARDWARE_ADDRESS..)?.starts_with(mac.as_bytes())
        }
    };
    let is_ours = is_for_us
        && bytes.get(TRANSACTION..)?.starts_with(&transaction.to_be_bytes())
        && bytes.get(COOKIE_AT..)?.starts_with(&COOKIE);
    if !is_ours {
        return None;
    }
    let options = options(bytes.get(COOKIE_AT + COOKIE.len()..)?);
    let find = |code| options.iter().find(|(found, _)| *found == code).map(|(_, value)| *value);
    // Others on this wire may have chosen the same number; servers send back who they answer (RFC 6842).
    if let Some((guid, named)) = mac.guid().zip(find(CLIENT_IDENTIFIER))
        && !named.ends_with(&guid)
    {
        return None;
    }
    let addresses = |code| -> Vec<Ipv4Addr> {
        let (groups, _rest) = find(code).unwrap_or_default().as_chunks::<4>();
        groups.iter().map(|octets| Ipv4Addr::from(*octets)).collect()
    };
    let code = find(KIND)?.first()?;
    let kind = KINDS.iter().find(|(known, _)| known == code)?.1;
    let server = *addresses(SERVER).first()?;
    let yours = Ipv4Addr::from(*bytes.get(YOUR_ADDRESS..)?.first_chunk::<4>()?);
    if yours.is_unspecified() && kind != Kind::Nak {
        return None;
    }
    let mask = addresses(MASK).first().copied().unwrap_or(Ipv4Addr::new(255, 255, 255, 0));
    let domain = find(DOMAIN).and_then(|name| std::str::from_utf8(name).ok());
    let is_plain = |name: &&str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
    };
    let lease = Lease {
        address: Ipv4Net::with_netmask(yours, mask).ok()?,
        gateway: addresses(ROUTER).first().copied(),
        nameservers: addresses(NAME_SERVER).into_iter().map(IpAddr::V4).collect(),
        domain: domain
            .map(|name| name.trim_end_matches(['\0', '.']))
            .filter(is_plain)
            .map(str::to_owned),
        server,
    };
    Some((lease, kind))
}

/// Codes and values, up to the end or to where they make no sense any more.
fn options(mut rest: &[u8]) -> Vec<(u8, &[u8])> {
    let mut options = Vec::new();
    loop {
        match rest {
            [] | [END, ..] => return options,
            [PAD, tail @ ..] => rest = tail,
            [code, length, tail @ ..] => {
                let Some((value, tail)) = tail.split_at_checked(usize::from(*length)) else {
                    return options;
                };
                options.push((*code, value));
                rest = tail;
            }
            [_] => return options,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mac() -> MacAddress {
        "52:54:00:00:00:01".parse().unwrap()
    }

    fn reply(kind: Kind) -> Vec<u8> {
        reply_to(mac(), kind)
    }

    fn reply_to(mac: MacAddress, kind: Kind) -> Vec<u8> {
        let mut bytes = question(mac, 7, kind, None);
        bytes[0] = 2;
        bytes[YOUR_ADDRESS..YOUR_ADDRESS + 4].copy_from_slice(&[10, 141, 0, 1]);
        bytes.pop();
        bytes.extend([PAD, SERVER, 4, 10, 141, 255, 254, MASK, 4, 255, 255, 0, 0]);
        bytes.extend([
            ROUTER,
            4,
            10,
            141,
            255,
            253,
            NAME_SERVER,
            8,
            10,
            141,
            255,
            254,
            10,
            141,
            255,
            252,
        ]);
        bytes.extend([DOMAIN, 7]);
        bytes.extend(b"cluster");
        bytes.push(END);
        bytes
    }

    #[test]
    fn an_offer_says_all_that_is_needed() {
        let (lease, kind) = answer(&reply(Kind::Offer), mac(), 7).unwrap();
        assert_eq!(kind, Kind::Offer);
        assert_eq!(lease.address.to_string(), "10.141.0.1/16");
        assert_eq!(lease.gateway, Some([10, 141, 255, 253].into()));
        assert_eq!((lease.nameservers.len(), lease.domain.as_deref()), (2, Some("cluster")));
        let request = question(mac(), 7, Kind::Request, Some(&lease));
        let wanted = [REQUESTED_ADDRESS, 4, 10, 141, 0, 1, SERVER, 4, 10, 141, 255, 254, END];
        assert!(request.ends_with(&wanted));
    }

    #[test]
    fn answers_to_others_are_not_ours() {
        let offer = reply(Kind::Offer);
        assert!(answer(&offer, mac(), 8).is_none());
        assert!(answer(&offer, "02:02:02:02:02:02".parse().unwrap(), 7).is_none());
        assert!(answer(&question(mac(), 7, Kind::Discover, None), mac(), 7).is_none());
    }

    #[test]
    fn on_infiniband_the_client_identifier_tells_the_machine() {
        let link = "80:00:02:08:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:11:22:33".parse().unwrap();
        let question = question(link, 7, Kind::Discover, None);
        assert_eq!(question[..4], [1, 32, 0, 0]);
        assert_eq!(question[10] & 0x80, 0x80, "the answer must be a broadcast");
        assert_eq!(question[HARDWARE_ADDRESS..HARDWARE_ADDRESS + 16], [0; 16]);
        let identifier = [61, 9, 32, 0xe4, 0x1d, 0x2d, 3, 0, 0x11, 0x22, 0x33];
        assert!(question.windows(identifier.len()).any(|option| option == identifier));
        let offer = reply_to(link, Kind::Offer);
        assert!(answer(&offer, link, 7).is_some());
        let other = "80:00:02:08:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:11:22:34".parse().unwrap();
        assert!(answer(&offer, other, 7).is_none());
        assert!(answer(&offer, mac(), 7).is_none());
    }

    proptest! {
        #[test]
        fn garbage_is_no_answer(garbage in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(answer(&garbage, mac(), 7).is_none());
        }

        #[test]
        fn damaged_options_are_read_or_ignored(at in 240usize..300, byte: u8, cut in 0usize..70) {
            let mut packet = reply(Kind::Ack);
            packet.truncate(packet.len() - cut.min(packet.len()));
            if let Some(place) = packet.get_mut(at) {
                *place = byte;
            }
            answer(&packet, mac(), 7);
        }
    }
}
