//! Whatever a BMC answers while a session begins: no panic, and no proof that was not made with the password.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perilune_bmc::ipmi::rakp::{self, Answer, Exchange};
use perilune_bmc::ipmi::suite::Suite;

fuzz_target!(|data: &[u8]| {
    drop(rakp::decode_open_response(data));
    let mut exchange = Exchange {
        suite: Suite::Seventeen,
        console_session: 1,
        managed_session: 2,
        console_random: [3; 16],
        managed_random: [0; 16],
        managed_guid: [0; 16],
        privilege: 4,
        user: b"admin".to_vec(),
    };
    let password = b"a password that the fuzzer cannot guess";
    for suite in [Suite::Three, Suite::Seventeen] {
        exchange.suite = suite;
        if let Ok((_, Answer::Success(message))) = rakp::decode_message_2(data) {
            exchange.managed_random = message.managed_random;
            exchange.managed_guid = message.managed_guid;
            assert!(!exchange.is_managed_code(password, &message.code));
        }
        if let Ok((_, Answer::Success(check))) = rakp::decode_message_4(data) {
            assert!(!exchange.is_final_check(&exchange.session_key(password), &check));
        }
    }
});
