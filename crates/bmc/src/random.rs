//! Random bytes from the operating system, for keys, session numbers and jitter.

pub(crate) fn bytes<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes)
        .expect("the operating system always has random bytes after its start");
    bytes
}

pub(crate) fn number() -> u32 {
    u32::from_ne_bytes(bytes())
}
