//! What a simulated BMC holds beside its chassis: a sensor, and the inventory of its machine.

/// Instructions for the simulator that give it both.
pub(super) fn instructions() -> String {
    let (record, inventory) = (words(&temperature_record()), inventory());
    format!(
        "sensor_add 0x20 0 0x30 0x01 0x01\n\
         sensor_set_event_support 0x20 0 0x30 enable scanning per-state \
         000000000000000 000000000000000 000000000000000 000000000000000\n\
         sensor_set_value 0x20 0 0x30 42 0\n\
         main_sdr_add 0x20 {record}\n\
         mc_add_fru_data 0x20 0 {} data {}\n",
        inventory.len(),
        words(&inventory)
    )
}

fn words(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:#04x}")).collect::<Vec<_>>().join(" ")
}

/// IPMI 2.0, section 43.1: a sensor that reads degrees, one for each step, called "CPU Temp".
fn temperature_record() -> Vec<u8> {
    let mut record = vec![0, 0, 0x51, 0x01, 51];
    record.extend([0x20, 0, 0x30, 3, 1, 0x7f, 0x68, 0x01, 0x01]);
    record.extend([0; 6]);
    record.extend([0, 1, 0]);
    record.extend([0, 1, 0, 0, 0, 0, 0]);
    record.extend([0; 17]);
    record.push(0xc8);
    record.extend(b"CPU Temp");
    record
}

/// IPMI FRU information storage: a board and a product, with the checksums that other tools insist on.
fn inventory() -> Vec<u8> {
    let board = area(&[0, 0, 0, 0], &["ACME Boards", "X11", "BS-77", "BP-1"]);
    let product = area(&[0], &["ACME", "Node 3000", "P-9", "1.0", "S/N 42", "tag"]);
    let mut bytes = with_checksum(vec![1, 0, 0, 1, 1 + byte(board.len() / 8), 0, 0]);
    bytes.extend(board);
    bytes.extend(product);
    bytes
}

fn area(head: &[u8], texts: &[&str]) -> Vec<u8> {
    let mut rest = head.to_vec();
    for text in texts {
        rest.push(0xc0 | byte(text.len()));
        rest.extend(text.as_bytes());
    }
    rest.push(0xc1);
    // Before it come its version and its length, behind it its checksum.
    let length = (rest.len() + 3).next_multiple_of(8);
    rest.resize(length - 3, 0);
    let mut area = vec![1, byte(length / 8)];
    area.extend(rest);
    with_checksum(area)
}

/// What is written here fits; a number that did not would show as one that no checksum matches.
fn byte(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    bytes.push(sum.wrapping_neg());
    bytes
}
