//! Any bytes at the TFTP port: no panic, and never more granted than was asked or than the protocol allows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perilune_boot::tftp::packet::{
    Answer, Request, error, parse_answer, parse_request, write_data,
};

fuzz_target!(|packet: &[u8]| {
    if let Some(request) = parse_request(packet) {
        match request {
            Ok(Request::Read(read)) => {
                assert!((8..=65464).contains(&read.block_size()));
                assert!((1..=64).contains(&read.window()));
                let granted = read.grant(packet.len());
                let asked = packet.iter().filter(|byte| **byte == 0).count();
                if let Some(granted) = granted {
                    assert_eq!(granted.get(..2), Some(&[0, 6][..]));
                    let texts = granted[2..].iter().filter(|byte| **byte == 0).count();
                    assert!(texts % 2 == 0 && texts <= 8 && texts < asked);
                }
            }
            Ok(Request::Write) => assert!(packet.starts_with(&[0, 2])),
            Err(malformed) => {
                // What the client reads ends where the packet does.
                let refusal = error(
                    perilune_boot::tftp::packet::ErrorCode::IllegalOperation,
                    &malformed.to_string(),
                );
                assert_eq!(
                    refusal.iter().skip(4).position(|byte| *byte == 0),
                    Some(refusal.len() - 5)
                );
            }
        }
    }
    if let Some(Answer::Acknowledged(number)) = parse_answer(packet) {
        let mut block = Vec::new();
        write_data(&mut block, number, packet);
        assert_eq!(block.get(2..4), packet.get(2..4));
    }
});
