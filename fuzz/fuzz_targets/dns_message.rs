//! Any bytes at the DNS port: what is answered can be read, has the question's number, and by UDP is no longer than it may be. A stranger
//! gets no more bytes than it sent.
#![no_main]

use std::sync::{Arc, LazyLock};

use hickory_proto::op::Message;
use libfuzzer_sys::fuzz_target;
use perilune_dns::{Client, Decision, Key, Keys, LentNames, Question, Transport, View, answer};
use perilune_model::dns::{DnsHost, DnsHosts};
use perilune_model::network::Network;
use perilune_model::{Cluster, Draft, Name};

static VIEW: LazyLock<View> = LazyLock::new(|| {
    let mut draft = Draft::new(&Cluster::default());
    let name = Name::trusted("cluster");
    let (ipv4, ipv6) = ("10.141.0.0/25".parse().ok(), "fd00:141::/61".parse().ok());
    draft.put(Network { name: name.clone(), ipv4, ipv6, ..Network::default() }).unwrap();
    let host = |host, address: &str| DnsHost {
        host: Name::trusted(host),
        ipaddress: address.parse().unwrap(),
    };
    let hosts = vec![host("www", "10.141.0.1"), host("a.b", "fd00:141::1")];
    draft.put(DnsHosts { name, hosts }).unwrap();
    View::new(Arc::new(draft.finish().0), LentNames::default(), None)
});

fuzz_target!(|bytes: &[u8]| {
    let keys: Keys = Key::new("transfer", "hmac-sha256", "c2VjcmV0").into_iter().collect();
    for is_served in [true, false] {
        let client = Client { is_served, is_secondary: is_served, is_secondary_by_key: !is_served };
        for transport in [Transport::Udp, Transport::Tcp] {
            match answer(&VIEW, &keys, (client, transport), bytes, 1_790_000_000_000_u64) {
                Decision::Answer(told) | Decision::Refuse(told) => {
                    let message = Message::from_vec(&told).expect("an answer can be read");
                    assert_eq!(message.id.to_be_bytes(), bytes[..2]);
                    assert!(transport == Transport::Tcp || told.len() <= 1232);
                }
                Decision::Forward(_) => {
                    let question = Question::read(bytes).expect("it was read before");
                    Message::from_vec(&question.to_server(7)).expect("a question can be read");
                    question.is_answered_by(bytes, 7);
                    question.to_client(bytes, true);
                }
                Decision::Transfer(_) | Decision::Follow { .. } | Decision::Ignore => {}
            }
        }
    }
});
