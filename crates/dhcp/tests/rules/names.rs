//! What machines call themselves, and whom they are told to ask for names.

use std::net::{IpAddr, Ipv4Addr};

use dhcproto::v4::{DhcpOption, MessageType, OptionCode};
use imbl::OrdSet;
use perilune_dhcp::Request;

use crate::machine::{Packet, SERVER, Site, cluster, mac};

/// The name of a machine that sends these options.
fn named(options: &[(u8, &[u8])]) -> Option<String> {
    let mut packet = vec![0; 240];
    packet[..3].copy_from_slice(&[1, 1, 6]);
    packet[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    packet[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    packet.extend([53, 1, 3]);
    for (code, value) in options {
        packet.extend([*code, u8::try_from(value.len()).unwrap()]);
        packet.extend(*value);
    }
    packet.push(255);
    Request::read(&packet).unwrap().name()
}

#[test]
fn a_machine_is_called_what_it_says_and_by_its_name_in_full_first() {
    for (options, expected) in [
        (&[(12, b"laptop".as_slice())][..], Some("laptop")),
        (&[(81, b"\0\0\0laptop.cluster"), (12, b"other")], Some("laptop.cluster")),
        (&[(81, b"\x05\0\0\x06laptop\x07cluster\0")], Some("laptop")),
        (&[(81, b"\x05\0\0\xffshort"), (12, b"other")], Some("other")),
        (&[(81, b"\x04\0"), (12, b"other")], Some("other")),
        (&[(81, b"\0\0\0"), (12, b"other")], Some("other")),
        (&[(12, b"")], None),
        (&[(12, b"\xff\xfe")], None),
        (&[(12, b"a\nb")], None),
        (&[], None),
    ] {
        assert_eq!(named(options).as_deref(), expected, "{options:?}");
    }
}

#[test]
fn this_server_is_named_as_name_server_while_it_answers() {
    let mut site = Site::new(cluster());
    let told = |site: &mut Site| {
        let answer = site.answer(&Packet::new(mac(1), MessageType::Discover)).unwrap();
        match answer.message.opts().get(OptionCode::DomainNameServer) {
            Some(DhcpOption::DomainNameServer(servers)) => servers.clone(),
            _ => Vec::new(),
        }
    };
    let named: [Ipv4Addr; 2] = [[10, 141, 0, 252].into(), [10, 141, 0, 251].into()];
    assert_eq!(told(&mut site), named);
    // The first of them is ours now, and silent; then it answers.
    site.cluster.set_own_addresses([(named[0].into(), "eth1".to_owned())]);
    site.cluster.set_answering(Some(OrdSet::new()));
    assert_eq!(told(&mut site), named[1..]);
    site.cluster.set_answering(Some(OrdSet::unit(IpAddr::V4(named[0]))));
    assert_eq!(told(&mut site), named);
    // None is named: the one that answers in the network.
    let mut draft = perilune_model::Draft::new(&site.cluster);
    let mut network = perilune_model::network::Network::clone(draft.network("cluster").unwrap());
    network.nameserver_ip = None;
    draft.put(network).unwrap();
    site.cluster = draft.finish().0;
    site.cluster.set_own_addresses([(SERVER.into(), "eth1".to_owned())]);
    site.cluster.set_answering(Some(OrdSet::unit(SERVER.into())));
    assert_eq!(told(&mut site), [SERVER]);
    site.cluster.set_answering(None);
    assert_eq!(told(&mut site), Vec::<Ipv4Addr>::new());
}
