//! Identifiers of requests: opaque, safe in a URL, and not to be guessed, because polling needs no token.

use sha2::{Digest as _, Sha256};

use super::message::Time;

/// As many digits tell which controller a request is at.
const TAG: usize = 8;
/// Where they stand among those behind the dot: after those of the time.
const TIME: usize = 3;
/// The digits of the random number.
const RANDOM: usize = 20;

/// Makes identifiers of requests that are at one controller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestIds {
    tag: u64,
}

impl RequestIds {
    /// Of the controller with this name.
    pub(crate) fn at(controller: &str) -> Self {
        let digest = Sha256::digest(controller);
        let number = digest.first_chunk().copied().map(u64::from_be_bytes).unwrap_or_default();
        Self { tag: number % 10_u64.pow(8) }
    }

    /// Digits with one dot: the seconds since 1970, then the rest of the time, the controller, and a random number.
    pub(crate) fn next(self, now: Time) -> String {
        let mut random = [0; 8];
        if getrandom::fill(&mut random).is_err() {
            // Without randomness the address of a local variable and the time have to do.
            random = (std::ptr::from_ref(&random).addr() as u64 ^ now).to_le_bytes();
        }
        let (random, tag) = (u64::from_le_bytes(random), self.tag);
        format!("{}.{:0TIME$}{tag:0TAG$}{random:0RANDOM$}", now / 1000, now % 1000)
    }

    /// Whether a request is at this controller, as far as its identifier tells.
    pub(crate) fn made(self, request: &str) -> bool {
        let rest = request.split_once('.').map(|(_, rest)| rest);
        let rest = rest.filter(|rest| rest.len() == TIME + TAG + RANDOM);
        let tag = rest.and_then(|rest| rest.get(TIME..TIME + TAG)?.parse().ok());
        tag == Some(self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_the_same_and_all_are_digits_with_one_dot() {
        let ids = RequestIds::at("controller1");
        let (one, other) = (ids.next(1_767_348_000_123), ids.next(1_767_348_000_123));
        assert_ne!(one, other);
        assert!(one.starts_with("1767348000.123"));
        assert!(
            one.split('.').all(|part| part.chars().all(|character| character.is_ascii_digit()))
        );
    }

    #[test]
    fn they_tell_which_controller_they_are_at() {
        let (one, other) = (RequestIds::at("controller1"), RequestIds::at("controller2"));
        let request = one.next(1_767_348_000_001);
        assert!(one.made(&request) && !other.made(&request));
        for odd in ["", ".", "1767348000.12300000000000000000001", "1.2", "täglich.ää"] {
            assert!(!one.made(odd), "{odd}");
        }
    }
}
