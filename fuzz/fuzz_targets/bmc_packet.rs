//! Whatever bytes come as a packet of IPMI, and whatever a BMC that knows the keys puts into one: no panic; and what
//! was not sealed with the keys is never opened.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perilune_bmc::ipmi::packet::{self, encode_protected};
use perilune_bmc::ipmi::suite::{Keys, Suite};
use perilune_bmc::ipmi::{message, window::Window};

fuzz_target!(|data: &[u8]| {
    for suite in [Suite::Three, Suite::Seventeen] {
        let keys = Keys::new(suite, b"a key that the fuzzer cannot guess");
        packet::console_session(data);
        if let Ok(packet) = packet::decode(data) {
            assert!(packet.open(&keys).is_err());
        }
        // Past the seal, by a BMC that is right in everything but its message.
        let sealed = encode_protected(&keys, 1, 1, [7; 16], data);
        let opened = packet::decode(&sealed).and_then(|packet| packet.open(&keys));
        assert_eq!(opened.as_deref(), Ok(data));
        drop(message::decode_response(data));
        drop(message::decode_request(data));
        drop(keys.decrypt(data));
    }
    let mut window = Window::default();
    for number in data.chunks_exact(4) {
        let number = u32::from_le_bytes(number.try_into().unwrap());
        window.accept(number);
        assert!(!window.accept(number), "{number} was accepted twice");
    }
});
