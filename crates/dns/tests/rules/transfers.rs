//! Zones on their way to secondary servers.

use std::collections::BTreeSet;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name as DnsName, RData, Record, RecordType};
use perilune_dns::{Decision, Keys, Transport, View, Zone, answer, is_transfer};

use crate::site::{NOW, SECONDARY, SERVED, ask, cluster, interface, node, query, text, view_of};

fn transfer(view: &View, zone: &str) -> Vec<Message> {
    let bytes = query(zone, RecordType::AXFR).to_vec().unwrap();
    let decision = answer(view, &Keys::default(), (SECONDARY, Transport::Tcp), &bytes, NOW);
    let Decision::Transfer(mut transfer) = decision else { panic!("{zone}: {decision:?}") };
    let mut messages = Vec::new();
    while let Some(bytes) = transfer.next_message(NOW / 1000) {
        assert!(bytes.len() <= 16 << 10);
        messages.push(Message::from_vec(&bytes).unwrap());
    }
    messages
}

fn records(messages: &[Message]) -> Vec<Record> {
    messages.iter().flat_map(|message| message.answers.clone()).collect()
}

#[test]
fn a_zone_begins_and_ends_with_its_beginning_and_has_all_that_is_answered() {
    let view = view_of(cluster());
    for zone in view.zones() {
        let name = format!("{}.", zone.name());
        let records = records(&transfer(&view, &name));
        let (first, last) = (records.first().unwrap(), records.last().unwrap());
        assert_eq!((first.record_type(), first), (RecordType::SOA, last));
        assert_eq!(
            records
                .iter()
                .filter(|own| own.record_type() == RecordType::NS && own.name.to_ascii() == name)
                .count(),
            1
        );
        for record in &records[1..records.len() - 1] {
            assert!(DnsName::from_ascii(&name).unwrap().zone_of(&record.name), "{record}");
            let answer = ask(&view, &record.name.to_ascii(), record.record_type());
            assert!(answer.answers.iter().map(text).any(|own| own == text(record)), "{record}");
        }
    }
}

#[test]
fn the_names_of_a_zone_are_all_there_and_those_of_domains_below_are_not() {
    let view = view_of(cluster());
    let names = |zone: &str| -> BTreeSet<String> {
        records(&transfer(&view, zone)).iter().map(|record| record.name.to_ascii()).collect()
    };
    let expected = [
        "cluster.",
        "controller.cluster.",
        // The domain below, and the address of its server.
        "ib.cluster.",
        "controller.ib.cluster.",
        "node001.cluster.",
        "node002.rack7.cluster.",
        "outside.cluster.",
        "pdu01.cluster.",
        "printer.cluster.",
        "switch01.cluster.",
        "www.cluster.",
    ];
    assert_eq!(names("cluster."), expected.map(str::to_owned).into());
    let expected = ["ib.cluster.", "controller.ib.cluster.", "node001.ib.cluster."];
    assert_eq!(names("ib.cluster."), expected.map(str::to_owned).into());
}

#[test]
fn a_host_whose_name_reaches_into_the_domain_below_is_in_that() {
    let mut draft = cluster();
    draft.put(node("node009.ib", vec![interface("BOOTIF", "cluster", &["10.141.0.9"])])).unwrap();
    let view = view_of(draft);
    assert_eq!(text(&ask(&view, "node009.ib.cluster.", RecordType::A).answers[0]), "10.141.0.9");
    let names =
        |zone: &str| records(&transfer(&view, zone)).into_iter().map(|own| own.name.to_ascii());
    assert!(names("ib.cluster.").any(|name| name == "node009.ib.cluster."));
    assert!(!names("cluster.").any(|name| name == "node009.ib.cluster."));
}

#[test]
fn large_zones_come_in_several_messages() {
    let mut draft = cluster();
    for number in 0..3000_u16 {
        let address = format!("10.141.{}.{}", 20 + number / 250, 1 + number % 250);
        let own = interface("BOOTIF", "cluster", &[&address]);
        draft.put(node(&format!("n{number:04}"), vec![own])).unwrap();
    }
    let view = view_of(draft);
    let messages = transfer(&view, "cluster.");
    assert!(messages.len() > 3, "{}", messages.len());
    assert!(records(&messages).len() > 3000);
    assert!(messages.iter().all(|message| message.id == 4711 && message.authoritative));
}

#[test]
fn only_secondaries_get_zones_and_only_zones() {
    let view = view_of(cluster());
    let code = |name: &str, client| {
        let bytes = query(name, RecordType::AXFR).to_vec().unwrap();
        match answer(&view, &Keys::default(), (client, Transport::Tcp), &bytes, NOW) {
            Decision::Answer(bytes) | Decision::Refuse(bytes) => {
                Message::from_vec(&bytes).unwrap().response_code
            }
            other => panic!("{name}: {other:?}"),
        }
    };
    assert_eq!(code("cluster.", SERVED), ResponseCode::Refused);
    assert_eq!(code("node001.cluster.", SECONDARY), ResponseCode::NotAuth);
    assert_eq!(code("example.org.", SECONDARY), ResponseCode::NotAuth);
}

#[test]
fn a_secondary_that_is_current_is_told_so() {
    let view = view_of(cluster());
    let since = |serial: u32, transport| {
        let mut message = query("cluster.", RecordType::IXFR);
        let root = DnsName::root();
        let soa = SOA::new(root.clone(), root, serial, 0, 0, 0, 0);
        let name = DnsName::from_ascii("cluster.").unwrap();
        message.add_authority(Record::from_rdata(name, 0, RData::SOA(soa)));
        let bytes = message.to_vec().unwrap();
        answer(&view, &Keys::default(), (SECONDARY, transport), &bytes, NOW)
    };
    for (serial, transport) in [(42, Transport::Tcp), (42, Transport::Udp), (41, Transport::Udp)] {
        let Decision::Answer(bytes) = since(serial, transport) else { panic!("{serial}") };
        let answer = Message::from_vec(&bytes).unwrap();
        assert_eq!(answer.answers.len(), 1, "{serial}");
        assert_eq!(answer.answers[0].record_type(), RecordType::SOA);
    }
    assert!(matches!(since(41, Transport::Tcp), Decision::Transfer(_)));
}

#[test]
fn who_asks_for_a_zone_is_known_before_it_is_gathered() {
    let asks = |kind| is_transfer(&query("cluster.", kind).to_vec().unwrap());
    assert!(asks(RecordType::AXFR) && asks(RecordType::IXFR));
    assert!(!asks(RecordType::A) && !asks(RecordType::ANY));
    assert!(!is_transfer(&[0; 12]) && !is_transfer(&[]));
}

#[test]
fn the_order_of_zones_has_domains_first() {
    let view = view_of(cluster());
    assert!(matches!(view.zones().first(), Some(Zone::Forward(_))));
}
