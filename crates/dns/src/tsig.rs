//! Signatures of messages with a key that both sides have (TSIG, RFC 8945).

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::op::Message;
use hickory_proto::rr::rdata::TSIG;
use hickory_proto::rr::{Name, RData};
use hickory_proto::serialize::binary::BinEncoder;

use crate::keys;
use crate::walk;
use crate::writer::add;

/// How far the clocks of both sides may be apart, in seconds.
const FUDGE: u16 = 300;
const TYPE: u16 = 250;
const CLASS_ANY: u16 = 255;
const ADDITIONAL_COUNT: usize = 10;
const BADSIG: u16 = 16;
const BADKEY: u16 = 17;
const BADTIME: u16 = 18;

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name is no DNS name.
    #[error("the key's name is no DNS name")]
    Name,
    /// The algorithm is not known, or not safe.
    #[error("the algorithm is none of hmac-sha256, hmac-sha384, hmac-sha512 and hmac-sha1")]
    Algorithm,
    /// The secret is no base64, or empty.
    #[error("the secret is not written in base64")]
    Secret,
}

/// A key that both sides have.
#[derive(Debug, Clone)]
pub struct Key {
    name: String,
    algorithm: &'static str,
    secret: hmac::Key,
}

impl Key {
    /// By its name, its algorithm such as `hmac-sha256`, and its secret in base64.
    pub fn new(name: &str, algorithm: &str, secret: &str) -> Result<Self, KeyError> {
        let (algorithm, hash) = match algorithm.to_ascii_lowercase().as_str() {
            "hmac-sha256" => ("hmac-sha256", hmac::HMAC_SHA256),
            "hmac-sha384" => ("hmac-sha384", hmac::HMAC_SHA384),
            "hmac-sha512" => ("hmac-sha512", hmac::HMAC_SHA512),
            "hmac-sha1" => ("hmac-sha1", hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            _ => return Err(KeyError::Algorithm),
        };
        let name = Name::from_ascii(name).map(|name| keys::key(&name)).unwrap_or_default();
        if name.is_empty() {
            return Err(KeyError::Name);
        }
        let secret = STANDARD.decode(secret.trim()).ok().filter(|secret| !secret.is_empty());
        let secret = hmac::Key::new(hash, &secret.ok_or(KeyError::Secret)?);
        Ok(Self { name, algorithm, secret })
    }

    /// Its name: lower case, without the dot of the root.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The keys that are known, by name.
#[derive(Debug, Clone, Default)]
pub struct Keys(BTreeMap<String, Key>);

impl FromIterator<Key> for Keys {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        Self(keys.into_iter().map(|key| (key.name.clone(), key)).collect())
    }
}

impl Keys {
    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a signature of a message comes to.
#[derive(Debug, Clone)]
pub(crate) enum Checked {
    /// There is none.
    Unsigned,
    /// It is right.
    Right(Signer),
    /// It is not; the answer says so.
    Wrong(Refusal),
}

/// Signs the messages of one answer.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    key: Key,
    id: u16,
    /// Of the request, then of the message before.
    mac: Vec<u8>,
    is_first: bool,
}

/// A signature that is not taken.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    name: String,
    algorithm: String,
    id: u16,
    time: u64,
    error: u16,
    /// With a right signature and a wrong time, the answer is signed.
    signer: Option<Signer>,
}

/// Checks the signature of a message at this time, in seconds since 1970.
pub(crate) fn check(bytes: &[u8], message: &Message, keys: &Keys, now: u64) -> Checked {
    let Some((owner, tsig)) = signature(message) else { return Checked::Unsigned };
    let name = keys::key(owner);
    let algorithm = tsig.algorithm.to_string().trim_end_matches('.').to_ascii_lowercase();
    let refuse = |error, signer| {
        let (name, algorithm) = (name.clone(), algorithm.clone());
        Checked::Wrong(Refusal { name, algorithm, id: tsig.oid, time: tsig.time, error, signer })
    };
    let Some(key) = keys.0.get(&name).filter(|key| key.algorithm == algorithm) else {
        return refuse(BADKEY, None);
    };
    // A short signature is easier to guess, and nobody needs one.
    let is_right = signed_bytes(bytes, owner, tsig)
        .is_some_and(|signed| hmac::verify(&key.secret, &signed, &tsig.mac).is_ok());
    if !is_right {
        return refuse(BADSIG, None);
    }
    let signer = Signer { key: key.clone(), id: tsig.oid, mac: tsig.mac.clone(), is_first: true };
    if now.abs_diff(tsig.time) > u64::from(tsig.fudge) {
        return refuse(BADTIME, Some(signer));
    }
    Checked::Right(signer)
}

/// The signature of a message with its key's name. It is the last record, or the bytes that it covers are others.
fn signature(message: &Message) -> Option<(&Name, &TSIG)> {
    let mut signatures = message.additionals.iter().rev().filter_map(|record| match &record.data {
        RData::TSIG(tsig) => Some((&record.name, tsig)),
        _ => None,
    });
    signatures.next()
}

/// What is signed of a request: the message without its signature, then the signature's own words (RFC 8945, section 4.3.3).
fn signed_bytes(message: &[u8], owner: &Name, tsig: &TSIG) -> Option<Vec<u8>> {
    let end = walk::last_record(message)?;
    let mut signed = message.get(..end)?.to_vec();
    signed.get_mut(..2)?.copy_from_slice(&tsig.oid.to_be_bytes());
    add(&mut signed, ADDITIONAL_COUNT, u16::MAX);
    let mut words = Vec::new();
    let mut encoder = BinEncoder::new(&mut words);
    tsig.emit_tsig_for_mac(&mut encoder, owner).ok()?;
    signed.extend(words);
    Some(signed)
}

impl Signer {
    /// Signs of our own accord: there is no request.
    pub(crate) fn of_request(key: &Key, id: u16) -> Self {
        Self { key: key.clone(), id, mac: Vec::new(), is_first: true }
    }

    /// Whether it is this key.
    pub(crate) fn has(&self, keys: &Keys) -> bool {
        keys.0.contains_key(&self.key.name)
    }

    /// Signs the next message of the answer at this time, in seconds since 1970.
    pub(crate) fn sign(&mut self, message: &mut Vec<u8>, now: u64) {
        self.sign_with(message, now, 0, &[]);
    }

    fn sign_with(&mut self, message: &mut Vec<u8>, now: u64, error: u16, other: &[u8]) {
        let words =
            Words { name: &self.key.name, algorithm: self.key.algorithm, time: now, error, other };
        let mut signed = Vec::with_capacity(message.len() + 128);
        if !self.mac.is_empty() {
            signed.extend(u16::try_from(self.mac.len()).unwrap_or_default().to_be_bytes());
            signed.extend(&self.mac);
        }
        signed.extend(message.iter());
        // Of later messages only the times are signed (section 5.3.1).
        if self.is_first {
            words.write_signed(&mut signed);
        } else {
            words.write_times(&mut signed);
        }
        self.mac = hmac::sign(&self.key.secret, &signed).as_ref().to_vec();
        self.is_first = false;
        words.append(message, &self.mac, self.id);
    }
}

impl Refusal {
    /// Appends to the answer why the request is refused.
    pub(crate) fn append(&self, message: &mut Vec<u8>, now: u64) {
        match self.signer.clone() {
            // The client learns our time (section 5.2.3).
            Some(mut signer) => {
                let other = now.to_be_bytes();
                let other = other.get(2..).unwrap_or_default();
                signer.sign_with(message, self.time, self.error, other);
            }
            None => {
                let (name, algorithm) = (&self.name, &self.algorithm);
                Words { name, algorithm, time: self.time, error: self.error, other: &[] }.append(
                    message,
                    &[],
                    self.id,
                );
            }
        }
    }
}

/// What a signature says beside the code itself.
struct Words<'a> {
    name: &'a str,
    algorithm: &'a str,
    time: u64,
    error: u16,
    other: &'a [u8],
}

impl Words<'_> {
    fn write_signed(&self, bytes: &mut Vec<u8>) {
        write_name(bytes, self.name);
        bytes.extend(CLASS_ANY.to_be_bytes());
        bytes.extend(0_u32.to_be_bytes());
        write_name(bytes, self.algorithm);
        self.write_times(bytes);
        bytes.extend(self.error.to_be_bytes());
        self.write_other(bytes);
    }

    fn write_times(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.time.to_be_bytes().get(2..).unwrap_or_default());
        bytes.extend(FUDGE.to_be_bytes());
    }

    fn write_other(&self, bytes: &mut Vec<u8>) {
        bytes.extend(u16::try_from(self.other.len()).unwrap_or_default().to_be_bytes());
        bytes.extend(self.other);
    }

    /// The record (section 4.2).
    fn append(&self, message: &mut Vec<u8>, mac: &[u8], id: u16) {
        let mut data = Vec::new();
        write_name(&mut data, self.algorithm);
        self.write_times(&mut data);
        data.extend(u16::try_from(mac.len()).unwrap_or_default().to_be_bytes());
        data.extend(mac);
        data.extend(id.to_be_bytes());
        data.extend(self.error.to_be_bytes());
        self.write_other(&mut data);
        write_name(message, self.name);
        message.extend(TYPE.to_be_bytes());
        message.extend(CLASS_ANY.to_be_bytes());
        message.extend(0_u32.to_be_bytes());
        message.extend(u16::try_from(data.len()).unwrap_or_default().to_be_bytes());
        message.extend(data);
        add(message, ADDITIONAL_COUNT, 1);
    }
}

/// A key as a name on the wire.
fn write_name(bytes: &mut Vec<u8>, key: &str) {
    for label in key.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap_or_default());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
}

#[cfg(test)]
mod tests;
