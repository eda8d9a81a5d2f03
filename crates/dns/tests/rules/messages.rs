//! Odd messages, strangers, and sizes.

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};
use perilune_dns::{Client, Decision, Keys, Transport, answer};
use proptest::prelude::*;

use crate::site::{NOW, SERVED, cluster, decide, hosts, query, told, view_of};

const STRANGER: Client =
    Client { is_served: false, is_secondary: false, is_secondary_by_key: false };

#[test]
fn strangers_are_refused_in_fewer_bytes_than_they_sent() {
    let view = view_of(cluster());
    for (name, kind) in [
        ("node001.cluster.", RecordType::A),
        ("cluster.", RecordType::ANY),
        ("example.org.", RecordType::A),
        ("cluster.", RecordType::AXFR),
    ] {
        let message = query(name, kind);
        let Decision::Refuse(bytes) = decide(&view, STRANGER, &message) else { panic!("{name}") };
        assert!(bytes.len() <= message.to_vec().unwrap().len(), "{name}");
        let refused = Message::from_vec(&bytes).unwrap();
        assert_eq!((refused.id, refused.response_code), (4711, ResponseCode::Refused));
    }
    let broken = &query("cluster.", RecordType::A).to_vec().unwrap()[..20];
    let decision = answer(&view, &Keys::default(), (STRANGER, Transport::Udp), broken, NOW);
    assert!(matches!(decision, Decision::Ignore));
}

#[test]
fn a_question_whose_name_points_into_the_header_is_no_question() {
    let view = view_of(cluster());
    let mut pointing = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'1', 0xc0, 2];
    pointing.extend([0, 1, 0, 1]);
    match answer(&view, &Keys::default(), (SERVED, Transport::Udp), &pointing, NOW) {
        Decision::Answer(bytes) => {
            assert_eq!(Message::from_vec(&bytes).unwrap().response_code, ResponseCode::FormErr);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_asks_for_everything_gets_records_of_one_type() {
    let view = view_of(cluster());
    let (code, answers) = told(&view, "node001.cluster.", RecordType::ANY);
    assert_eq!(
        (code, answers),
        (ResponseCode::NoError, vec!["10.141.0.1".into(), "10.141.1.1".into()])
    );
    assert_eq!(told(&view, "cluster.", RecordType::ANY).1.len(), 1);
}

#[test]
fn odd_questions_are_answered_by_what_is_odd() {
    let view = view_of(cluster());
    let code = |message: &Message| match decide(&view, SERVED, message) {
        Decision::Answer(bytes) | Decision::Refuse(bytes) => {
            Some(Message::from_vec(&bytes).unwrap().response_code)
        }
        _ => None,
    };
    let usual = || query("node001.cluster.", RecordType::A);
    let mut update = usual();
    update.metadata.op_code = OpCode::Notify;
    assert_eq!(code(&update), Some(ResponseCode::NotImp));
    let mut version = usual();
    version.edns.as_mut().unwrap().set_version(1);
    // By its number, which the code of wrong signatures has, too.
    assert_eq!(code(&version).map(u16::from), Some(16));
    let mut none = usual();
    none.queries.clear();
    assert_eq!(code(&none), Some(ResponseCode::FormErr));
    let mut two = usual();
    two.add_query(two.queries[0].clone());
    assert_eq!(code(&two), Some(ResponseCode::FormErr));
    let mut chaos = usual();
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(code(&chaos), Some(ResponseCode::Refused));
    let mut answered = usual();
    answered.metadata.message_type = MessageType::Response;
    assert_eq!(code(&answered), None);
    assert_eq!(code(&query("cluster.", RecordType::AXFR)), Some(ResponseCode::Refused));
    let bytes = usual().to_vec().unwrap();
    let Decision::Answer(broken) =
        answer(&view, &Keys::default(), (SERVED, Transport::Udp), &bytes[..bytes.len() - 3], NOW)
    else {
        panic!("a broken message of a client is answered")
    };
    assert_eq!(Message::from_vec(&broken).unwrap().response_code, ResponseCode::FormErr);
}

#[test]
fn other_names_are_asked_of_others_for_those_who_want_it() {
    let view = view_of(cluster());
    let mut message = query("example.org.", RecordType::A);
    assert!(
        matches!(decide(&view, SERVED, &message), Decision::Forward(servers) if servers == ["192.0.2.53".parse::<std::net::IpAddr>().unwrap()])
    );
    message.metadata.recursion_desired = false;
    assert!(matches!(decide(&view, SERVED, &message), Decision::Refuse(_)));
    let only = Client { is_served: false, is_secondary: true, is_secondary_by_key: false };
    let message = query("example.org.", RecordType::A);
    assert!(matches!(decide(&view, only, &message), Decision::Refuse(_)));
    let own = decide(&view, SERVED, &query("node001.cluster.", RecordType::A));
    let Decision::Answer(bytes) = own else { panic!() };
    assert!(Message::from_vec(&bytes).unwrap().recursion_available);
}

#[test]
fn what_does_not_fit_a_datagram_is_cut_whole() {
    let mut draft = cluster();
    let addresses: Vec<String> = (1..=200).map(|last| format!("10.141.3.{last}")).collect();
    let list: Vec<(&str, &str)> = addresses.iter().map(|at| ("many", at.as_str())).collect();
    draft.put(hosts("cluster", &list)).unwrap();
    let view = view_of(draft);
    let mut message = query("many.cluster.", RecordType::A);
    for (edns, limit) in [(Some(65_535), 1232), (Some(1), 512), (None, 512)] {
        match edns {
            Some(payload) => message.edns.as_mut().unwrap().set_max_payload(payload),
            None => {
                message.edns = None;
                continue;
            }
        };
        let Decision::Answer(bytes) = decide(&view, SERVED, &message) else { panic!() };
        let cut = Message::from_vec(&bytes).unwrap();
        assert!(cut.truncation && cut.answers.is_empty() && bytes.len() <= limit);
    }
    let Decision::Answer(bytes) = decide(&view, SERVED, &message) else { panic!() };
    let cut = Message::from_vec(&bytes).unwrap();
    assert!(cut.truncation && cut.edns.is_none() && bytes.len() <= 512);
    let whole = message.to_vec().unwrap();
    let by_tcp = answer(&view, &Keys::default(), (SERVED, Transport::Tcp), &whole, NOW);
    let Decision::Answer(bytes) = by_tcp else { panic!() };
    let whole = Message::from_vec(&bytes).unwrap();
    assert_eq!((whole.answers.len(), whole.truncation), (200, false));
}

proptest! {
    #[test]
    fn nothing_that_is_sent_breaks_anything(bytes in prop::collection::vec(any::<u8>(), 0..200), is_served: bool) {
        let view = view_of(cluster());
        let client = Client { is_served, is_secondary: true, is_secondary_by_key: false };
        for transport in [Transport::Udp, Transport::Tcp] {
            answer(&view, &Keys::default(), (client, transport), &bytes, NOW);
        }
    }

    #[test]
    fn a_bent_question_is_answered_by_something_readable(
        place in 0_usize..60, byte: u8, kind in 0_u16..300,
    ) {
        let view = view_of(cluster());
        let mut bytes = query("node001.cluster.", RecordType::from(kind)).to_vec().unwrap();
        if let Some(bent) = bytes.get_mut(place) {
            *bent = byte;
        }
        if let Decision::Answer(answer) | Decision::Refuse(answer) =
            answer(&view, &Keys::default(), (SERVED, Transport::Udp), &bytes, NOW)
        {
            let message = Message::from_vec(&answer).unwrap();
            prop_assert_eq!(message.id.to_be_bytes(), [bytes[0], bytes[1]]);
            prop_assert!(answer.len() <= 1232);
        }
    }
}
