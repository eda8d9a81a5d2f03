//! The keys of what is secret in the store: Fernet tokens, so that those of an existing site can be taken over with its key.
//!
//! Fernet specification, version 0x80: version, 64-bit seconds since 1970, 16-byte IV, AES-128-CBC with PKCS #7 padding,
//! HMAC-SHA256 of all before it; all of that in URL-safe base64. Nobody here asks for the time of a token: it is zero.

use std::fmt;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::Error;

const VERSION: u8 = 0x80;
const HALF: usize = 16;
const HEADER: usize = 1 + 8 + HALF;
const SIGNATURE: usize = 32;

/// Tells one key from another, and nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId(u64);

impl KeyId {
    pub(crate) fn from_number(number: i64) -> Self {
        Self(number.cast_unsigned())
    }

    pub(crate) fn number(self) -> i64 {
        self.0.cast_signed()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// The key that seals, and after a rotation the one before it, which still opens what is in use.
pub struct Keys {
    file: PathBuf,
    ring: RwLock<Vec<Arc<Key>>>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").field("file", &self.file).finish_non_exhaustive()
    }
}

pub(crate) struct Key {
    signing: [u8; HALF],
    encryption: [u8; HALF],
}

impl Keys {
    /// The keys of this file. `needed` is the one that the store is sealed with, where it says so. A key that is needed and not
    /// there is made only where nothing is sealed yet.
    pub(crate) fn load(file: &Path, needed: Option<KeyId>, may_make: bool) -> Result<Self, Error> {
        let next = next(file);
        let ring = match (read(file)?, needed) {
            (Some(ring), None) => ring,
            (Some(ring), Some(needed)) if first(&ring) == Some(needed) => {
                remove_if_there(&next)?;
                ring
            }
            (found, Some(needed)) => {
                // A rotation that was cut off: the store has the new key, the file does not yet.
                let new = read(&next)?.filter(|ring| first(ring) == Some(needed));
                let Some(new) = new else {
                    let found = found.as_deref().and_then(first);
                    return Err(Error::WrongKey { file: file.to_owned(), needed, found });
                };
                take_over(file)?;
                new
            }
            (None, None) if may_make => {
                let key = Key::random()?;
                write(file, &key)?;
                sync_directory(file)?;
                vec![Arc::new(key)]
            }
            (None, None) => return Err(Error::NoKeyFile { file: file.to_owned() }),
        };
        Ok(Self { file: file.to_owned(), ring: RwLock::new(ring) })
    }

    /// Which key seals.
    pub fn id(&self) -> KeyId {
        self.key().map_or(KeyId(0), |key| key.id())
    }

    /// Where it is kept.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A token of this content.
    pub fn seal(&self, content: &str) -> Result<String, Error> {
        let mut vector = [0; HALF];
        fill(&mut vector)?;
        let key = self.key().ok_or_else(|| Error::Random("there is no key".to_owned()))?;
        Ok(key.seal(content, vector, 0))
    }

    /// A token that is the same for the same content: for exports that are compared.
    pub fn seal_alike(&self, content: &str) -> Result<String, Error> {
        let key = self.key().ok_or_else(|| Error::Random("there is no key".to_owned()))?;
        let vector = key.mac(content.as_bytes()).map(|mac| mac.finalize().into_bytes());
        let vector = vector.and_then(|bytes| bytes.first_chunk().copied()).unwrap_or_default();
        Ok(key.seal(content, vector, 0))
    }

    /// The content of a token; `None` when none of these keys opens it.
    pub fn open(&self, token: &str) -> Option<String> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        ring.iter().find_map(|key| key.open(token))
    }

    fn key(&self) -> Option<Arc<Key>> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        ring.first().map(Arc::clone)
    }

    /// Makes a new key, kept beside the file, that seals nothing yet but what is sealed with the answer.
    pub(crate) fn prepare(&self) -> Result<Self, Error> {
        let key = Key::random()?;
        let next = next(&self.file);
        remove_if_there(&next)?;
        write(&next, &key)?;
        sync_directory(&next)?;
        Ok(Self { file: next, ring: RwLock::new(vec![Arc::new(key)]) })
    }

    /// Once the store is sealed with the new key: it is the key from now on, and its file takes the place of the former one,
    /// which is kept with `.old` behind its name for backups of before.
    pub(crate) fn promote(&self, new: &Self) -> Result<(), Error> {
        if let Some(key) = new.key() {
            let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
            ring.insert(0, key);
            ring.truncate(2);
        }
        take_over(&self.file)
    }
}

impl Key {
    fn random() -> Result<Self, Error> {
        let (mut signing, mut encryption) = ([0; HALF], [0; HALF]);
        fill(&mut signing)?;
        fill(&mut encryption)?;
        Ok(Self { signing, encryption })
    }

    fn parse(line: &str) -> Option<Self> {
        let bytes = URL_SAFE.decode(line.trim()).ok()?;
        let (signing, encryption) = bytes.split_first_chunk::<HALF>()?;
        Some(Self { signing: *signing, encryption: encryption.try_into().ok()? })
    }

    fn text(&self) -> String {
        URL_SAFE.encode([self.signing, self.encryption].concat())
    }

    fn id(&self) -> KeyId {
        let hash = Sha256::new()
            .chain_update("perilune key")
            .chain_update(self.signing)
            .chain_update(self.encryption)
            .finalize();
        KeyId(u64::from_be_bytes(hash.first_chunk().copied().unwrap_or_default()))
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

/// Whether a text has the form of a token, of whatever key.
pub fn looks_sealed(text: &str) -> bool {
    URL_SAFE.decode(text).is_ok_and(|bytes| {
        bytes.first() == Some(&VERSION)
            && bytes.len() >= HEADER + HALF + SIGNATURE
            && bytes.get(1..4) == Some(&[0, 0, 0])
    })
}

fn next(file: &Path) -> PathBuf {
    beside(file, ".next")
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn first(ring: &[Arc<Key>]) -> Option<KeyId> {
    ring.first().map(|key| key.id())
}

/// The key of the first line; those of the lines below only open, such as that of a site which is taken over.
fn read(file: &Path) -> Result<Option<Vec<Arc<Key>>>, Error> {
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            let ring: Option<Vec<_>> = lines.map(|line| Key::parse(line).map(Arc::new)).collect();
            let ring = ring.filter(|ring| !ring.is_empty());
            ring.map(Some).ok_or_else(|| Error::NoKey { file: file.to_owned() })
        }
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        // A file that is no text is no key.
        Err(source) if source.kind() == std::io::ErrorKind::InvalidData => {
            Err(Error::NoKey { file: file.to_owned() })
        }
        Err(source) => Err(failed(file, "read", source)),
    }
}

/// Nobody but the daemon can read it.
fn write(file: &Path, key: &Key) -> Result<(), Error> {
    let written = |source| failed(file, "made", source);
    let mut options = std::fs::OpenOptions::new();
    let mut opened =
        options.write(true).create_new(true).mode(0o600).open(file).map_err(written)?;
    writeln!(opened, "{}", key.text()).and_then(|()| opened.sync_all()).map_err(written)
}

/// Puts the next key in the place of the present one. Killed at any moment, one of both is there under its name.
fn take_over(file: &Path) -> Result<(), Error> {
    let old = beside(file, ".old");
    if file.exists() {
        remove_if_there(&old)?;
        std::fs::hard_link(file, &old).map_err(|source| failed(&old, "made", source))?;
    }
    std::fs::rename(next(file), file).map_err(|source| failed(file, "made", source))?;
    sync_directory(file)
}

fn remove_if_there(file: &Path) -> Result<(), Error> {
    match std::fs::remove_file(file) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(failed(file, "removed", source))
        }
        _ => Ok(()),
    }
}

fn sync_directory(file: &Path) -> Result<(), Error> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new("."));
    let synced = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|source| failed(directory, "written to", source))
}

fn failed(path: &Path, action: &'static str, source: std::io::Error) -> Error {
    Error::KeyFile { path: path.to_owned(), action, source: Arc::new(source) }
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
        assert_eq!(key().text(), KEY);
    }

    #[test]
    fn a_changed_token_and_a_foreign_one_are_not_opened() {
        let token = key().seal("c2VjcmV0", [7; HALF], 1_700_000_000);
        let changed = token.replacen("gAAAAA", "gAAAAB", 1);
        assert_eq!(key().open(&changed), None);
        let other = Key { signing: [1; HALF], encryption: [2; HALF] };
        assert_eq!(other.open(&token), None);
        assert_ne!(other.id(), key().id());
        for garbage in ["", "gA==", "c2VjcmV0", "not base64!"] {
            assert_eq!(key().open(garbage), None);
            assert!(!looks_sealed(garbage));
        }
        assert!(looks_sealed(&token) && looks_sealed(&key().seal("", [0; HALF], 0)));
    }

    #[test]
    fn the_keys_below_the_first_only_open() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("luna.key");
        let own = Keys::load(&file, None, true).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{text}{KEY}\n")).unwrap();
        let keys = Keys::load(&file, Some(own.id()), false).unwrap();
        let token = key().seal("of the old site", [7; HALF], 1_700_000_000);
        assert_eq!(keys.open(&token).as_deref(), Some("of the old site"));
        assert_eq!(own.open(&keys.seal("new").unwrap()).as_deref(), Some("new"));
    }

    #[test]
    fn a_key_is_made_only_where_nothing_is_sealed_and_a_broken_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("luna.key");
        assert!(matches!(Keys::load(&file, None, false), Err(Error::NoKeyFile { .. })));
        let keys = Keys::load(&file, None, true).unwrap();
        let token = keys.seal("secret").unwrap();
        let again = Keys::load(&file, Some(keys.id()), false).unwrap();
        assert_eq!(again.open(&token).as_deref(), Some("secret"));
        let other = KeyId(7);
        let error = Keys::load(&file, Some(other), true).unwrap_err();
        assert!(matches!(error, Error::WrongKey { needed, .. } if needed == other), "{error}");
        for broken in [
            &b"nonsense"[..],
            b"\xff\xfe",
            b"",
            b"\n",
            b"cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=\nnonsense\n",
        ] {
            std::fs::write(&file, broken).unwrap();
            assert!(matches!(Keys::load(&file, None, true), Err(Error::NoKey { .. })));
        }
    }
}
