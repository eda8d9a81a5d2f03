//! The cipher suites in use, and the keys that a session derives from its password (IPMI 2.0, 13.28 to 13.32).

use aes::Aes128;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockDecryptMut, BlockEncryptMut, KeyInit, KeyIvInit};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;

use super::garbled::Garbled;
use crate::bytes::Reader;

const BLOCK: usize = 16;

/// Both encrypt with AES-CBC-128 and check the integrity of every packet. Suites without are not offered at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// HMAC-SHA1, HMAC-SHA1-96.
    Three,
    /// HMAC-SHA256, HMAC-SHA256-128.
    Seventeen,
}

impl Suite {
    /// The numbers of its algorithms: authentication, integrity, confidentiality.
    pub fn algorithms(self) -> [u8; 3] {
        match self {
            Self::Three => [1, 1, 1],
            Self::Seventeen => [3, 4, 1],
        }
    }

    pub fn from_algorithms(algorithms: [u8; 3]) -> Option<Self> {
        [Self::Three, Self::Seventeen].into_iter().find(|suite| suite.algorithms() == algorithms)
    }

    /// How long the codes are that RAKP messages 2 and 3 end with.
    pub fn code_length(self) -> usize {
        match self {
            Self::Three => 20,
            Self::Seventeen => 32,
        }
    }

    /// How long the codes are that RAKP message 4 and every later packet end with.
    pub fn check_length(self) -> usize {
        match self {
            Self::Three => 12,
            Self::Seventeen => 16,
        }
    }

    pub fn code(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Three => fed::<Hmac<Sha1>>(key, parts).finalize().into_bytes().to_vec(),
            Self::Seventeen => fed::<Hmac<Sha256>>(key, parts).finalize().into_bytes().to_vec(),
        }
    }

    /// Compares in constant time. A code may be cut short, but not below what the suite sends.
    pub fn is_code(self, key: &[u8], parts: &[&[u8]], code: &[u8]) -> bool {
        if code.len() < self.check_length() {
            return false;
        }
        match self {
            Self::Three => fed::<Hmac<Sha1>>(key, parts).verify_truncated_left(code).is_ok(),
            Self::Seventeen => fed::<Hmac<Sha256>>(key, parts).verify_truncated_left(code).is_ok(),
        }
    }
}

fn fed<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> M {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

/// What both ends of a session share.
#[derive(Clone)]
pub struct Keys {
    pub suite: Suite,
    integrity: Vec<u8>,
    confidentiality: [u8; BLOCK],
}

impl Keys {
    pub fn new(suite: Suite, session_key: &[u8]) -> Self {
        let integrity = suite.code(session_key, &[&[1; 20]]);
        let derived = suite.code(session_key, &[&[2; 20]]);
        let confidentiality = derived.first_chunk().copied().unwrap_or_default();
        Self { suite, integrity, confidentiality }
    }

    pub fn check(&self, bytes: &[u8]) -> Vec<u8> {
        let mut code = self.suite.code(&self.integrity, &[bytes]);
        code.truncate(self.suite.check_length());
        code
    }

    pub fn is_check(&self, bytes: &[u8], code: &[u8]) -> bool {
        code.len() == self.suite.check_length()
            && self.suite.is_code(&self.integrity, &[bytes], code)
    }

    /// Initialisation vector, then the payload, padded with 1, 2, 3 … and the length of that.
    pub fn encrypt(&self, vector: [u8; BLOCK], payload: &[u8]) -> Vec<u8> {
        let mut text = payload.to_vec();
        let padding = (BLOCK - (payload.len() + 1) % BLOCK) % BLOCK;
        text.extend((1..).take(padding));
        text.push(u8::try_from(padding).unwrap_or_default());
        let cipher = cbc::Encryptor::<Aes128>::new(&self.confidentiality.into(), &vector.into());
        let mut bytes = vector.to_vec();
        bytes.extend(cipher.encrypt_padded_vec_mut::<NoPadding>(&text));
        bytes
    }

    pub fn decrypt(&self, bytes: &[u8]) -> Result<Vec<u8>, Garbled> {
        let mut reader = Reader::new(bytes);
        let vector = reader.array::<BLOCK>().ok_or(Garbled("encrypted payload too short"))?;
        let cipher = cbc::Decryptor::<Aes128>::new(&self.confidentiality.into(), &vector.into());
        let mut text = cipher
            .decrypt_padded_vec_mut::<NoPadding>(reader.rest())
            .or(Err(Garbled("encrypted payload is not made of whole blocks")))?;
        let padding = usize::from(text.pop().ok_or(Garbled("encrypted payload is empty"))?);
        let end = text.len().checked_sub(padding).ok_or(Garbled("padding longer than payload"))?;
        // Some firmware pads with zeros. The packet's check has been verified before, so that this is no oracle.
        text.truncate(end);
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encrypted_is_decrypted(payload in proptest::collection::vec(any::<u8>(), 0..100), vector: [u8; 16]) {
            for suite in [Suite::Three, Suite::Seventeen] {
                let keys = Keys::new(suite, b"session key");
                let bytes = keys.encrypt(vector, &payload);
                prop_assert_eq!(bytes.len() % BLOCK, 0);
                prop_assert_eq!(keys.decrypt(&bytes), Ok(payload.clone()));
            }
        }
    }

    #[test]
    fn a_code_that_was_changed_or_cut_is_none() {
        let keys = Keys::new(Suite::Seventeen, b"session key");
        let mut code = keys.check(b"packet");
        assert!(keys.is_check(b"packet", &code));
        assert!(!keys.is_check(b"packet", &[]) && !keys.is_check(b"packet", &code[..12]));
        code[0] ^= 1;
        assert!(!keys.is_check(b"packet", &code));
    }
}
