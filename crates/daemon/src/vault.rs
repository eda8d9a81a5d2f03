//! Secrets at rest: Fernet tokens, so that those of an existing site can be taken over with its key.
//!
//! Fernet specification, version 0x80: version, 64-bit seconds since 1970, 16-byte IV, AES-128-CBC with PKCS #7 padding,
//! HMAC-SHA256 of all before it; all of that in URL-safe base64.

use std::path::Path;

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::clock;

const VERSION: u8 = 0x80;
const HALF: usize = 16;
const HEADER: usize = 1 + 8 + HALF;
const SIGNATURE: usize = 32;

/// Why secrets cannot be encrypted or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of the key cannot be read or made.
    #[error("the key of secrets, {path} ([FILES] KEYFILE), cannot be {action}")]
    File {
        /// The file.
        path: String,
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// The file holds no key.
    #[error(
        "{0} ([FILES] KEYFILE) holds no key: it must be one line, the URL-safe base64 of 32 bytes; restore it, or remove it so that a new one is made"
    )]
    NoKey(String),
    /// There is no randomness.
    #[error("the system's source of randomness cannot be read: {0}")]
    Random(String),
}

/// What encrypts secrets before they are stored, and reads them again.
pub struct Vault {
    key: Option<Key>,
    /// Whether new secrets are encrypted; stored ones are read in any case.
    seals: bool,
}

struct Key {
    signing: [u8; HALF],
    encryption: [u8; HALF],
}

impl Vault {
    /// The vault of this key. A key that is needed and not there is made; nobody but the daemon can read it.
    pub fn open(key_file: &Path, seals: bool) -> Result<Self, Error> {
        let path = || key_file.display().to_string();
        let text = match std::fs::read_to_string(key_file) {
            Ok(text) => text,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
                if !seals {
                    return Ok(Self { key: None, seals });
                }
                make(key_file)?
            }
            Err(source) => return Err(Error::File { path: path(), action: "read", source }),
        };
        match Key::parse(&text) {
            Some(key) => Ok(Self { key: Some(key), seals }),
            None if seals => Err(Error::NoKey(path())),
            None => Ok(Self { key: None, seals }),
        }
    }

    /// The form in which a content is stored.
    pub fn seal(&self, content: &str) -> Result<String, Error> {
        let Some(key) = self.key.as_ref().filter(|_| self.seals && !content.is_empty()) else {
            return Ok(content.to_owned());
        };
        let mut vector = [0; HALF];
        fill(&mut vector)?;
        Ok(key.seal(content, vector, clock::seconds()))
    }

    /// The form in which to store a content that may be in that form already.
    pub fn keep(&self, content: &str) -> Result<String, Error> {
        if looks_sealed(content) { Ok(content.to_owned()) } else { self.seal(content) }
    }

    /// The content as it was sent. What is no token of this key is shown as it is stored.
    pub fn reveal(&self, stored: &str) -> String {
        let opened = self.key.as_ref().and_then(|key| key.open(stored));
        opened.unwrap_or_else(|| stored.to_owned())
    }

    /// The content as a node needs it, in base64; `None` when it is a token of another key.
    pub fn content_for_node(&self, stored: &str) -> Option<String> {
        let content = self.reveal(stored);
        if content == stored && looks_sealed(stored) {
            return None;
        }
        let is_base64 = STANDARD.decode(&content).is_ok();
        Some(if is_base64 { content } else { STANDARD.encode(content) })
    }
}

impl Key {
    fn parse(text: &str) -> Option<Self> {
        let line: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
        let bytes = URL_SAFE.decode(line.trim()).ok()?;
        let (signing, encryption) = bytes.split_first_chunk::<HALF>()?;
        Some(Self { signing: *signing, encryption: encryption.try_into().ok()? })
    }

    fn seal(&self, content: &str, vector: [u8; HALF], now: u64) -> String {
        let encryptor = cbc::Encryptor::<Aes128>::new(&self.encryption.into(), &vector.into());
        let mut token = vec![VERSION];
        token.extend(now.to_be_bytes());
        token.extend(vector);
        token.extend(encryptor.encrypt_padded_vec_mut::<Pkcs7>(content.as_bytes()));
        if let Some(mac) = self.mac(&token) {
            token.extend(mac.finalize().into_bytes());
        }
        URL_SAFE.encode(token)
    }

    fn open(&self, token: &str) -> Option<String> {
        let bytes = URL_SAFE.decode(token).ok()?;
        let (signed, signature) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE)?)?;
        self.mac(signed)?.verify_slice(signature).ok()?;
        let (header, encrypted) = signed.split_at_checked(HEADER)?;
        let (&version, _) = header.split_first()?;
        let vector: &[u8; HALF] = header.last_chunk()?;
        let decryptor = cbc::Decryptor::<Aes128>::new(&self.encryption.into(), vector.into());
        let content = decryptor.decrypt_padded_vec_mut::<Pkcs7>(encrypted).ok()?;
        String::from_utf8(content).ok().filter(|_| version == VERSION)
    }

    fn mac(&self, signed: &[u8]) -> Option<Hmac<Sha256>> {
        // HMAC takes keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.signing).ok()?;
        mac.update(signed);
        Some(mac)
    }
}

fn looks_sealed(stored: &str) -> bool {
    URL_SAFE.decode(stored).is_ok_and(|bytes| {
        bytes.first() == Some(&VERSION)
            && bytes.len() >= HEADER + HALF + SIGNATURE
            && bytes.get(1..4) == Some(&[0, 0, 0])
    })
}

fn make(key_file: &Path) -> Result<String, Error> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let failed =
        |source| Error::File { path: key_file.display().to_string(), action: "made", source };
    let mut bytes = [0; 2 * HALF];
    fill(&mut bytes)?;
    let text = URL_SAFE.encode(bytes);
    let mut options = std::fs::OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).mode(0o600).open(key_file).map_err(failed)?;
    writeln!(file, "{text}").and_then(|()| file.sync_all()).map_err(failed)?;
    tracing::info!(file = %key_file.display(), "a key for secrets was made; keep a copy of it, for secrets cannot be read without it");
    Ok(text)
}

fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|error| Error::Random(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the Fernet specification's test vectors.
    const KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";

    fn key() -> Key {
        Key::parse(KEY).unwrap()
    }

    #[test]
    fn the_vectors_of_the_specification_hold() {
        let vector = std::array::from_fn(|position| u8::try_from(position).unwrap());
        let token = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
        assert_eq!(key().seal("hello", vector, 499_162_800), token);
        assert_eq!(key().open(token).as_deref(), Some("hello"));
    }

    #[test]
    fn a_changed_token_and_a_foreign_one_are_not_opened() {
        let token = key().seal("c2VjcmV0", [7; HALF], 1_700_000_000);
        let changed = token.replacen("gAAAAA", "gAAAAB", 1);
        assert_eq!(key().open(&changed), None);
        let other = Key { signing: [1; HALF], encryption: [2; HALF] };
        assert_eq!(other.open(&token), None);
        for garbage in ["", "gA==", "c2VjcmV0", "not base64!"] {
            assert_eq!(key().open(garbage), None);
        }
    }

    #[test]
    fn what_was_stored_in_the_clear_is_read_and_a_token_of_another_key_is_not_given_to_a_node() {
        let vault = Vault { key: Some(key()), seals: true };
        let sealed = vault.seal("c2VjcmV0").unwrap();
        assert_ne!(sealed, "c2VjcmV0");
        assert_eq!(vault.reveal(&sealed), "c2VjcmV0");
        assert_eq!(vault.content_for_node(&sealed).as_deref(), Some("c2VjcmV0"));
        assert_eq!(vault.content_for_node("c2VjcmV0").as_deref(), Some("c2VjcmV0"));
        assert_eq!(vault.content_for_node("plain text").as_deref(), Some("cGxhaW4gdGV4dA=="));
        let other = Key { signing: [1; HALF], encryption: [2; HALF] };
        let foreign = other.seal("c2VjcmV0", [3; HALF], 1_700_000_000);
        assert_eq!(vault.content_for_node(&foreign), None);
    }

    #[test]
    fn a_key_is_made_where_it_is_needed_and_a_broken_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("luna.key");
        assert!(Vault::open(&file, false).unwrap().key.is_none());
        let sealed = Vault::open(&file, true).unwrap().seal("c2VjcmV0").unwrap();
        assert_eq!(Vault::open(&file, true).unwrap().reveal(&sealed), "c2VjcmV0");
        std::fs::write(&file, "nonsense").unwrap();
        assert!(matches!(Vault::open(&file, true), Err(Error::NoKey(_))));
    }
}
