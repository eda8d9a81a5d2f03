//! Identifiers of requests: opaque, safe in a URL, and not to be guessed, because polling needs no token.

use super::message::Time;

/// Digits with one dot: the seconds since 1970, then the rest of the time and a random number.
pub(crate) fn new(now: Time) -> String {
    let mut random = [0; 8];
    if getrandom::fill(&mut random).is_err() {
        // Without randomness the address of a local variable and the time have to do.
        random = (std::ptr::from_ref(&random).addr() as u64 ^ now).to_le_bytes();
    }
    format!("{}.{:03}{:020}", now / 1000, now % 1000, u64::from_le_bytes(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_the_same_and_all_are_digits_with_one_dot() {
        let (one, other) = (new(1_767_348_000_123), new(1_767_348_000_123));
        assert_ne!(one, other);
        assert!(one.starts_with("1767348000.123"));
        assert!(
            one.split('.').all(|part| part.chars().all(|character| character.is_ascii_digit()))
        );
    }
}
