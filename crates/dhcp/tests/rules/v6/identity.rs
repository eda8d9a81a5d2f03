//! Whoever asks by whatever name is the machine whose card asks.

use dhcproto::v6::{DhcpOption, MessageType, OptionCode};

use super::*;

fn uuid(last: u8) -> DhcpOption {
    DhcpOption::ClientId([&[0, 4][..], &[last; 16]].concat())
}

/// A message as a relay sends it on (RFC 8415, section 9), with the client's address (RFC 6939) or without.
fn relayed(asker: &Asker, link: &str, address: Option<u8>) -> Vec<u8> {
    let mut bytes = vec![12, 0];
    bytes.extend(ip(link).octets());
    bytes.extend(asker.source.octets());
    let mut put = |code: u16, value: &[u8]| {
        bytes.extend(code.to_be_bytes());
        bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        bytes.extend(value);
    };
    if let Some(last) = address {
        put(79, &[&[0, 1][..], mac(last).as_bytes()].concat());
    }
    put(9, &asker.bytes());
    bytes
}

#[test]
fn firmware_and_system_with_other_names_have_the_same_address() {
    let mut site = Site::new();
    let firmware = Asker::new(1, MessageType::Solicit).without(OptionCode::ClientId).with(uuid(1));
    let expected = ip("fd00:141::1");
    assert_eq!(site.outcome(&firmware).unwrap().1[0].0, expected);
    // A system with an invented link-local address: its card tells.
    let private = Asker { source: ip("fe80::1234"), ..firmware };
    assert_eq!(site.outcome(&private).unwrap().1[0].0, expected);
    // The DUID is of another card of the machine than the one that asks: in this network, the described one counts.
    let other = DhcpOption::ClientId([&[0, 3, 0, 1][..], mac(3).as_bytes()].concat());
    let two_cards = Asker::new(1, MessageType::Solicit).without(OptionCode::ClientId).with(other);
    assert_eq!(site.outcome(&two_cards).unwrap().1[0].0, expected);
    // Who says that he is a node is the machine whose card he has.
    let own = DhcpOption::ClientId([&[0, 3, 0, 1][..], mac(1).as_bytes()].concat());
    let liar = Asker::new(9, MessageType::Solicit).without(OptionCode::ClientId).with(own);
    let liar = Asker { source: ip("fe80::5054:ff:fe00:1"), ..liar };
    assert_ne!(site.outcome(&liar).unwrap().1[0].0, expected);
    // Strangers, too, have one address whatever they call themselves.
    let rapid = |last, name| {
        Asker::new(last, MessageType::Solicit)
            .without(OptionCode::ClientId)
            .with(uuid(name))
            .with(DhcpOption::RapidCommit)
    };
    let first = site.outcome(&rapid(10, 1)).unwrap();
    assert_eq!(site.outcome(&rapid(10, 2)).unwrap(), first);
}

#[test]
fn who_is_nobody_is_told_to_those_who_can_mend_it() {
    let mut site = Site::new();
    let nobody = Asker::new(1, MessageType::Solicit).without(OptionCode::ClientId).with(uuid(1));
    let nobody = Asker { source: ip("fe80::1234"), card: None, ..nobody };
    let Decision::Unserved(reason) = site.ask(&nobody) else { panic!("it is served") };
    assert!(reason.contains("DUID-LL"), "{reason}");
    let bytes = relayed(&nobody, "fd00:150::1", None);
    let Decision::Unserved(reason) = site.decide(&bytes, ip("fd00:150::1"), None) else {
        panic!("it is served");
    };
    assert!(reason.contains("option 79"), "{reason}");
}

#[test]
fn a_relay_asks_for_the_network_of_its_link() {
    let mut site = Site::new();
    let asker = Asker::new(3, MessageType::Solicit);
    let bytes = relayed(&asker, "fd00:150::1", None);
    let Decision::Answer(answer) = site.decide(&bytes, ip("fd00:150::1"), None) else {
        panic!("it is not served");
    };
    assert_eq!(answer.address, Some(ip("fd00:150::3")));
    assert_eq!(answer.message[..2], [13, 0]);
    assert_eq!(answer.message[18..34], asker.source.octets());
    assert_eq!(answer.message[34..36], [0, 9], "the answer is within");
    // The relay knows the card of a machine that says nothing of it.
    let nameless = asker.clone().without(OptionCode::ClientId).with(uuid(1));
    let nameless = Asker { source: ip("fe80::1234"), ..nameless };
    let bytes = relayed(&nameless, "fd00:150::1", Some(3));
    let Decision::Answer(answer) = site.decide(&bytes, ip("fd00:150::1"), None) else {
        panic!("it is not served");
    };
    assert_eq!(answer.address, Some(ip("fd00:150::3")));
    // In a network that is not described nobody is served.
    let bytes = relayed(&asker, "fd00:199::1", None);
    assert!(matches!(site.decide(&bytes, ip("fd00:199::1"), None), Decision::Ignore(_)));
}
