use std::sync::Arc;

use perilune_model::network::Network;
use perilune_model::{Cluster, Draft};

use super::*;
use crate::answer::{Client, Decision, Transport, answer};
use crate::leases::LentNames;
use crate::view::View;
use crate::writer::{Writer, flag};

const NOW: u64 = 1_790_000_000;

fn key(secret: &str) -> Key {
    Key::new("Transfer.Cluster.", "HMAC-SHA256", secret).unwrap()
}

fn signed(key: &Key, now: u64) -> Vec<u8> {
    let mut writer = Writer::new(77, flag::RECURSION_DESIRED);
    writer.question(b"\x07cluster\0\0\x06\0\x01", "cluster".to_owned());
    writer.edns(0, false);
    let mut bytes = writer.into_bytes();
    Signer::of_request(key, 77).sign(&mut bytes, now);
    bytes
}

fn check_now(bytes: &[u8], keys: &Keys) -> Checked {
    let message = Message::from_vec(bytes).unwrap();
    check(bytes, &message, keys, NOW)
}

#[test]
fn a_right_signature_is_taken_and_any_other_is_not() {
    let keys: Keys = [key("c2VjcmV0")].into_iter().collect();
    let right = signed(&key("c2VjcmV0"), NOW);
    assert!(matches!(check_now(&right, &keys), Checked::Right(_)));
    let refused = |bytes: &[u8], keys: &Keys| match check_now(bytes, keys) {
        Checked::Wrong(refusal) => Some(refusal.error),
        Checked::Right(_) | Checked::Unsigned => None,
    };
    assert_eq!(refused(&signed(&key("b3RoZXI="), NOW), &keys), Some(BADSIG));
    assert_eq!(refused(&right, &Keys::default()), Some(BADKEY));
    for apart in [NOW - 301, NOW + 301] {
        assert_eq!(refused(&signed(&key("c2VjcmV0"), apart), &keys), Some(BADTIME));
    }
    let mut bent = right;
    bent[3] ^= 0x10;
    assert_eq!(refused(&bent, &keys), Some(BADSIG));
}

#[test]
fn a_cut_code_is_not_taken() {
    let keys: Keys = [key("c2VjcmV0")].into_iter().collect();
    let bytes = signed(&key("c2VjcmV0"), NOW);
    let mut message = Message::from_vec(&bytes).unwrap();
    let RData::TSIG(tsig) = &mut message.additionals.last_mut().unwrap().data else { panic!() };
    tsig.mac.truncate(16);
    assert!(matches!(check(&bytes, &message, &keys, NOW), Checked::Wrong(_)));
}

#[test]
fn keys_are_refused_with_the_reason() {
    let new = |name, algorithm, secret| Key::new(name, algorithm, secret).map(|_| ()).unwrap_err();
    assert_eq!(new("", "hmac-sha256", "c2VjcmV0"), KeyError::Name);
    assert_eq!(new("a..b", "hmac-sha256", "c2VjcmV0"), KeyError::Name);
    assert_eq!(new("key", "hmac-md5", "c2VjcmV0"), KeyError::Algorithm);
    assert_eq!(new("key", "hmac-sha256", "no base64"), KeyError::Secret);
    assert_eq!(new("key", "hmac-sha256", ""), KeyError::Secret);
}

/// A request for the whole zone, signed with the key where there is one.
fn transfer(key: Option<&Key>) -> Vec<u8> {
    let mut writer = Writer::new(77, 0);
    writer.question(b"\x07cluster\0\0\xfc\0\x01", "cluster".to_owned());
    let mut bytes = writer.into_bytes();
    if let Some(key) = key {
        Signer::of_request(key, 77).sign(&mut bytes, NOW);
    }
    bytes
}

#[test]
fn where_there_is_a_key_zones_go_to_those_who_have_it_and_stand_at_the_right_address() {
    let mut draft = Draft::new(&Cluster::default());
    let name = perilune_model::Name::trusted("cluster");
    draft.put(Network { name, ..Network::default() }).unwrap();
    let view = View::new(Arc::new(draft.finish().0), LentNames::default(), None);
    let keys: Keys = [key("c2VjcmV0")].into_iter().collect();
    let decide = |bytes: &[u8], is_secondary| {
        let client = Client { is_served: true, is_secondary, is_secondary_by_key: false };
        answer(&view, &keys, (client, Transport::Tcp), bytes, NOW * 1000)
    };
    let right = transfer(Some(&key("c2VjcmV0")));
    let Decision::Transfer(mut zone) = decide(&right, true) else { panic!() };
    let first = Message::from_vec(&zone.next_message(NOW).unwrap()).unwrap();
    assert!(signature(&first).is_some(), "{first:?}");
    assert!(matches!(decide(&right, false), Decision::Refuse(_)));
    assert!(matches!(decide(&transfer(None), true), Decision::Refuse(_)));
    let Decision::Refuse(refused) = decide(&transfer(Some(&key("b3RoZXI="))), true) else {
        panic!()
    };
    let refused = Message::from_vec(&refused).unwrap();
    let (_, tsig) = signature(&refused).unwrap();
    assert_eq!(tsig.error.map(u16::from), Some(BADSIG));
}
