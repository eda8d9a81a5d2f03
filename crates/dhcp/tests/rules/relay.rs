//! What a relay says goes back to it byte for byte, and options that are long or rare.

use std::net::Ipv4Addr;

use dhcproto::v4::{DhcpOption, MessageType, OptionCode};
use perilune_dhcp::{Decision, Request, reply};
use perilune_model::Edit;
use perilune_model::node::Node;
use perilune_model::settings::Settings;
use proptest::prelude::*;

use crate::machine::{Packet, Site, cluster, ip, mac, policy};

const RELAY: u8 = 82;
const END: u8 = 255;

/// A DISCOVER of node001 through a relay, with these options before those of its own.
fn relayed(options: &[u8]) -> Vec<u8> {
    let mut packet = Packet::new(mac(1), MessageType::Discover).through(ip("10.141.0.200")).bytes();
    packet.splice(240..240, options.iter().copied());
    packet
}

fn answer(packet: &[u8]) -> Vec<u8> {
    let mut site = Site::new(cluster());
    let request = Request::read(packet).expect("it is a request");
    match reply(&site.cluster, &mut site.leases, &policy(), &request, 0).0 {
        Decision::Answer(answer) => answer.packet,
        other => panic!("{other:?}"),
    }
}

/// Where the options of a packet lie: code and value each, and the bytes behind the end.
fn options(packet: &[u8]) -> (Vec<(u8, Vec<u8>)>, Vec<u8>) {
    let mut rest = &packet[240..];
    let mut all = Vec::new();
    loop {
        match rest {
            [END, tail @ ..] => return (all, tail.to_vec()),
            [code, length, tail @ ..] => {
                let (value, next) = tail.split_at(usize::from(*length));
                all.push((*code, value.to_vec()));
                rest = next;
            }
            _ => panic!("the options do not end"),
        }
    }
}

/// The bytes of all options 82, which must be the last.
fn echoed(packet: &[u8]) -> Vec<u8> {
    let (options, padding) = options(packet);
    assert!(padding.iter().all(|byte| *byte == 0));
    let first = options.iter().position(|(code, _)| *code == RELAY).unwrap_or(options.len());
    let (before, relay) = options.split_at(first);
    assert!(before.iter().all(|(code, _)| *code != RELAY));
    assert!(relay.iter().all(|(code, _)| *code == RELAY), "the relay's is last");
    relay
        .iter()
        .flat_map(|(code, value)| {
            [&[*code, u8::try_from(value.len()).unwrap()][..], value].concat()
        })
        .collect()
}

fn option(code: u8, value: &[u8]) -> Vec<u8> {
    [&[code, u8::try_from(value.len()).unwrap()][..], value].concat()
}

#[test]
fn what_a_relay_says_goes_back_byte_for_byte_and_last() {
    for said in [
        // Parts in another order than the numbers', twice the same, of an unknown kind, of no length.
        option(RELAY, &[2, 3, b'a', b'b', b'c', 1, 2, 0, 7]),
        option(RELAY, &[1, 1, 1, 1, 1, 1]),
        option(RELAY, &[200, 0, 1, 0]),
        option(RELAY, &[]),
        // Parts longer than the whole, or cut.
        option(RELAY, &[1]),
        option(RELAY, &[1, 200, 3]),
        option(RELAY, &[5, 2, 10, 141]),
        option(RELAY, &[0; 255]),
        option(RELAY, &[END, 82, 0, END]),
        // In several instances, as long ones come (RFC 3396).
        [option(RELAY, &[1, 3, b'x']), option(RELAY, b"yz")].concat(),
        [option(RELAY, &[]), option(RELAY, &[9; 255]), option(RELAY, &[])].concat(),
    ] {
        assert_eq!(echoed(&answer(&relayed(&said))), said);
    }
}

#[test]
fn parts_between_which_others_lie_go_back_together() {
    let (first, second) = (option(RELAY, &[1, 1, 7]), option(RELAY, &[2, 1, 8]));
    let packet = relayed(&[first.clone(), option(12, b"name"), second.clone()].concat());
    assert_eq!(echoed(&answer(&packet)), [first, second].concat());
}

#[test]
fn what_a_relay_says_is_not_cut_however_long_it_is() {
    let said = option(RELAY, &[77; 255]).repeat(8);
    let answer = answer(&relayed(&said));
    assert_eq!(echoed(&answer), said);
    let (options, _) = options(&answer);
    assert!(options.iter().any(|(code, _)| *code == 3), "nothing of the client's is lost");
}

#[test]
fn a_refusal_goes_through_the_relay_with_what_it_said() {
    let said = option(RELAY, &[2, 2, 1, 1, 1, 1, 9]);
    let mut packet = Packet::new(mac(1), MessageType::Request)
        .through(ip("10.141.0.200"))
        .wants(ip("10.141.0.77"))
        .bytes();
    packet.splice(240..240, said.iter().copied());
    let answer = answer(&packet);
    assert!(options(&answer).0.contains(&(53, vec![6])), "it is a refusal");
    assert_eq!(echoed(&answer), said);
    assert_eq!(answer[10] & 0x80, 0x80, "the relay must broadcast it");
}

#[test]
fn the_network_is_read_from_what_a_relay_says_in_whatever_parts() {
    let parts = [option(RELAY, &[1, 2, 0, 7, 5, 4, 10]), option(RELAY, &[150, 0, 0])].concat();
    let mut packet =
        Packet::new(mac(99), MessageType::Discover).through(ip("10.141.0.200")).bytes();
    packet.splice(240..240, parts);
    let given = Ipv4Addr::from(*answer(&packet)[16..].first_chunk::<4>().unwrap());
    assert!((ip("10.150.0.10")..=ip("10.150.0.11")).contains(&given), "{given}");
}

#[test]
fn options_in_the_fields_of_file_and_server_are_read() {
    let mut packet = relayed(&[52, 1, 3]);
    let in_file = [option(60, b"PXEClient"), vec![END]].concat();
    packet[108..108 + in_file.len()].copy_from_slice(&in_file);
    let in_server = option(93, &[0, 11]);
    packet[44..44 + in_server.len()].copy_from_slice(&in_server);
    let answered = answer(&packet);
    assert!(options(&answered).0.contains(&(67, b"luna_ipxe_arm64.efi\0".to_vec())));
    // Without the option that says so, they are a file's and a server's name.
    packet[242] = 0;
    assert!(options(&answer(&packet)).0.iter().all(|(code, _)| *code != 67));
}

/// The site with search domains and an MTU of node001.
fn described(domains: &[&str]) -> Site {
    let mut cluster = cluster();
    let domain_search = domains.iter().map(|domain| (*domain).to_owned()).collect();
    cluster.apply(&Edit::Put(Settings { domain_search, ..Settings::default() }.into()));
    let mut node = Node::clone(cluster.node("node001").unwrap());
    node.interfaces[0].link.mtu = Some(9000);
    cluster.apply(&Edit::Put(node.into()));
    Site::new(cluster)
}

fn asking(last: u8, codes: &[u8]) -> Packet {
    let list = codes.iter().map(|code| OptionCode::from(*code)).collect();
    Packet::new(mac(last), MessageType::Discover).with(DhcpOption::ParameterRequestList(list))
}

/// An option of the answer, as an independent reader sees it.
fn domains(site: &mut Site, packet: &Packet) -> Vec<String> {
    match site.answer(packet).unwrap().message.opts().get(OptionCode::DomainSearch) {
        Some(DhcpOption::DomainSearch(names)) => {
            names.iter().map(|name| name.to_string().trim_end_matches('.').to_owned()).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn search_domains_and_mtu_are_told_to_those_who_ask() {
    let names = ["cluster", "ib.cluster", "example.org"];
    let mut site = described(&names);
    assert_eq!(domains(&mut site, &asking(1, &[1, 119])), names);
    assert_eq!(domains(&mut site, &asking(99, &[119])), names, "strangers, too");
    let mtu = |site: &mut Site, packet: &Packet| {
        site.answer(packet).unwrap().message.opts().get(OptionCode::InterfaceMtu).cloned()
    };
    assert_eq!(mtu(&mut site, &asking(1, &[26])), Some(DhcpOption::InterfaceMtu(9000)));
    assert_eq!(mtu(&mut site, &asking(99, &[26])), None, "nothing is known of a stranger's");
    for packet in [asking(1, &[1, 3]), Packet::new(mac(1), MessageType::Discover)] {
        assert_eq!(domains(&mut site, &packet), Vec::<String>::new());
        assert_eq!(mtu(&mut site, &packet), None);
    }
    assert_eq!(domains(&mut described(&[]), &asking(1, &[119])), ["cluster"]);
}

#[test]
fn a_search_list_of_more_than_an_option_comes_in_parts_where_there_is_room() {
    let names: Vec<String> = (0..40).map(|number| format!("domain-{number}.example")).collect();
    let mut site = described(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let roomy = asking(1, &[119]).with(DhcpOption::MaxMessageSize(1500));
    assert_eq!(domains(&mut site, &roomy), names);
    let narrow = site.answer(&asking(1, &[119, 1, 3])).unwrap();
    assert!(narrow.packet.len() <= 548, "{} bytes", narrow.packet.len());
    assert!(narrow.message.opts().get(OptionCode::Router).is_some());
    assert!(narrow.message.opts().get(OptionCode::DomainSearch).is_none(), "no half of a list");
}

proptest! {
    #[test]
    fn whatever_a_relay_says_comes_back(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=255), 0..6)) {
        let said: Vec<u8> = parts.iter().flat_map(|part| option(RELAY, part)).collect();
        let packet = relayed(&said);
        let request = Request::read(&packet).unwrap();
        let mut site = Site::new(cluster());
        // It may name a network that is not ours, and is then not answered.
        if let Decision::Answer(answer) = reply(&site.cluster, &mut site.leases, &policy(), &request, 0).0 {
            prop_assert_eq!(echoed(&answer.packet), said);
        }
    }
}
