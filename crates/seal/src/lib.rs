//! Answers that one booting machine alone can read, also where the network is not encrypted: hybrid public key encryption (RFC 9180)
//! in its base mode, as rustls provides it over AWS-LC.
//!
//! The agent makes a key pair for each boot and sends the public half with its ticket. The daemon seals to it what holds a secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_CHACHA20_POLY1305 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke as _, HpkePrivateKey, HpkePublicKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Bytes of an X25519 public key (RFC 7748, section 5).
const KEY_LENGTH: usize = 32;

/// Why something cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not base64 of 32 bytes, or names a point that no honest machine has.
    #[error("not a public key: base64 of 32 bytes is expected")]
    PublicKey,
    /// No randomness, or no memory.
    #[error("the cryptography of this machine fails")]
    Unavailable,
    /// It was sealed to another key, for another purpose, or changed on its way.
    #[error(
        "the sealed answer cannot be opened: it is for another machine, or was changed on its way"
    )]
    Unopened,
}

/// The public half of a boot's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; KEY_LENGTH]);

/// Both halves. `Debug` shows the public one alone.
pub struct KeyPair {
    public: PublicKey,
    private: HpkePrivateKey,
}

/// What a machine is sent that it alone can open. Both parts are base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The encapsulated secret.
    pub enc: String,
    /// The ciphertext.
    pub sealed: String,
}

impl KeyPair {
    /// A new pair, of this machine's randomness.
    pub fn generate() -> Result<Self, Error> {
        let (public, private) = SUITE.generate_key_pair().map_err(|_source| Error::Unavailable)?;
        let public = public.0.try_into().map_err(|_length| Error::Unavailable)?;
        Ok(Self { public: PublicKey(public), private })
    }

    /// The half that others may know.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Opens what was sealed to this pair for this purpose. The result is wiped from memory when it is dropped.
    pub fn open(&self, sealed: &Sealed, purpose: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|_source| Error::Unopened);
        let enc = EncapsulatedSecret(decode(&sealed.enc)?);
        let text = decode(&sealed.sealed)?;
        let opened = SUITE.open(&enc, purpose.as_bytes(), b"", &text, &self.private);
        opened.map(Zeroizing::new).map_err(|_source| Error::Unopened)
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("KeyPair").field("public", &self.public).finish_non_exhaustive()
    }
}

impl PublicKey {
    /// Seals a text to this key. `purpose` keeps an answer from being taken for another one: who opens it must name the same.
    pub fn seal(&self, text: &[u8], purpose: &str) -> Result<Sealed, Error> {
        let key = HpkePublicKey(self.0.to_vec());
        // The one way in which this fails for a key of the right length: its point would make the shared secret all zeros.
        let sealed = SUITE.seal(purpose.as_bytes(), b"", text, &key);
        let (enc, sealed) = sealed.map_err(|_source| Error::PublicKey)?;
        Ok(Sealed { enc: STANDARD.encode(enc.0), sealed: STANDARD.encode(sealed) })
    }
}

impl TryFrom<String> for PublicKey {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let bytes = STANDARD.decode(text).map_err(|_source| Error::PublicKey)?;
        bytes.try_into().map(Self).map_err(|_length| Error::PublicKey)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        STANDARD.encode(key.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_machine_that_it_is_for_opens_an_answer() {
        let (own, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let sealed = own.public().seal(b"token", "ticket").unwrap();
        assert_eq!(own.open(&sealed, "ticket").unwrap().as_slice(), b"token");
        assert_eq!(other.open(&sealed, "ticket"), Err(Error::Unopened));
        assert_eq!(own.open(&sealed, "plan"), Err(Error::Unopened), "it was for another purpose");
        assert!(!serde_json::to_string(&sealed).unwrap().contains("token"));
    }

    #[test]
    fn the_same_text_is_never_sealed_to_the_same_bytes() {
        let own = KeyPair::generate().unwrap();
        let seal = || own.public().seal(b"token", "ticket").unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn keys_that_no_honest_machine_has_are_refused() {
        let key = |text: &str| PublicKey::try_from(text.to_owned());
        for text in ["", "x", "AAAA", &STANDARD.encode([1; 31]), &STANDARD.encode([1; 33])] {
            assert_eq!(key(text), Err(Error::PublicKey), "{text}");
        }
        let zero = key(&STANDARD.encode([0; KEY_LENGTH])).unwrap();
        assert_eq!(zero.seal(b"token", "ticket"), Err(Error::PublicKey));
        let good = KeyPair::generate().unwrap().public().clone();
        assert_eq!(key(&String::from(good.clone())), Ok(good));
    }

    proptest! {
        #[test]
        fn an_answer_that_was_changed_on_its_way_is_not_opened(text: Vec<u8>, place: prop::sample::Index, bit in 0..8_u8) {
            let own = KeyPair::generate().unwrap();
            let sealed = own.public().seal(&text, "plan").unwrap();
            prop_assert_eq!(own.open(&sealed, "plan").unwrap().to_vec(), text);
            let mut bytes = STANDARD.decode(&sealed.sealed).unwrap();
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            let changed = Sealed { sealed: STANDARD.encode(bytes), ..sealed };
            prop_assert_eq!(own.open(&changed, "plan"), Err(Error::Unopened));
        }
    }
}
