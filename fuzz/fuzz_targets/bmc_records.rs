//! Whatever a BMC holds as its event log, sensor records and inventory: no panic, no endless loop, and no text that
//! would change the look of a terminal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perilune_bmc::ipmi::{fru, sdr, sel};

fuzz_target!(|data: &[u8]| {
    if let Ok(event) = sel::decode(data) {
        is_clean(&event.to_string());
    }
    if let Some(record) = sdr::decode(data) {
        is_clean(&record.name);
        if let Some(formula) = record.formula {
            for raw in 0..=u8::MAX {
                assert!(formula.value(raw).is_none_or(f64::is_finite));
            }
        }
    }
    for item in fru::decode(data).into_iter().chain(fru::decode_device(data)) {
        is_clean(&item.to_string());
    }
});

fn is_clean(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
