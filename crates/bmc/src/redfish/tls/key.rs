//! The key in a certificate, and whether it has signed a handshake. BMCs have certificates that no library for the web takes:
//! of version 1, expired, for nobody, with short keys. Of a certificate that is known by its bytes none of that matters;
//! that its key is there, does.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rustls::SignatureScheme;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OBJECT: u8 = 0x06;
const VERSION: u8 = 0xa0;
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
const ELLIPTIC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const ED448: &[u8] = &[0x2b, 0x65, 0x71];
const DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
const SHORTEST_RSA: usize = 1024;
const LONGEST_RSA: usize = 8192;
/// Shorter keys are only verified with the older padding.
const SHORTEST_PSS: usize = 2048;

/// Every kind of signature that is understood, the best first, and one more: so that its certificate is shown and can be
/// spoken of.
pub(super) const SCHEMES: &[SignatureScheme] = &[
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::ECDSA_SHA1_Legacy,
    SignatureScheme::RSA_PKCS1_SHA1,
    SignatureScheme::ED448,
];
/// Those that a short RSA key can make and that are verified here.
pub(super) const SCHEMES_OF_SHORT_KEYS: &[SignatureScheme] = &[
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::RSA_PKCS1_SHA1,
];

/// Why a signature is not that of a certificate's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not, whoever has made it.
    Forged,
    /// It may be, when it is asked for with the older padding.
    NeedsOldPadding,
    /// Nobody can tell here, and why.
    Unsupported(String),
}

/// Whether the key of a certificate has signed a message.
pub(super) fn verify(
    certificate: &[u8],
    message: &[u8],
    scheme: SignatureScheme,
    signature: &[u8],
) -> Result<(), Fault> {
    let key = key(certificate)?;
    let algorithm = key.algorithm(scheme)?;
    UnparsedPublicKey::new(algorithm, key.bytes).verify(message, signature).or(Err(Fault::Forged))
}

struct Key<'a> {
    kind: Kind,
    bytes: &'a [u8],
}

#[derive(Clone, Copy)]
enum Kind {
    Rsa { bits: usize },
    P256,
    P384,
    P521,
    Ed25519,
}

impl Key<'_> {
    fn algorithm(
        &self,
        scheme: SignatureScheme,
    ) -> Result<&'static dyn VerificationAlgorithm, Fault> {
        use SignatureScheme as S;
        if let Kind::Rsa { bits } = self.kind {
            return rsa(scheme, bits);
        }
        // TLS 1.2 names the hash only, and leaves the curve to the certificate.
        Ok(match (self.kind, scheme) {
            (Kind::P256, S::ECDSA_NISTP256_SHA256) => &signature::ECDSA_P256_SHA256_ASN1,
            (Kind::P256, S::ECDSA_NISTP384_SHA384) => &signature::ECDSA_P256_SHA384_ASN1,
            (Kind::P256, S::ECDSA_NISTP521_SHA512) => &signature::ECDSA_P256_SHA512_ASN1,
            (Kind::P256, S::ECDSA_SHA1_Legacy) => &signature::ECDSA_P256_SHA1_ASN1,
            (Kind::P384, S::ECDSA_NISTP256_SHA256) => &signature::ECDSA_P384_SHA256_ASN1,
            (Kind::P384, S::ECDSA_NISTP384_SHA384) => &signature::ECDSA_P384_SHA384_ASN1,
            (Kind::P384, S::ECDSA_NISTP521_SHA512) => &signature::ECDSA_P384_SHA512_ASN1,
            (Kind::P521, S::ECDSA_NISTP256_SHA256) => &signature::ECDSA_P521_SHA256_ASN1,
            (Kind::P521, S::ECDSA_NISTP384_SHA384) => &signature::ECDSA_P521_SHA384_ASN1,
            (Kind::P521, S::ECDSA_NISTP521_SHA512) => &signature::ECDSA_P521_SHA512_ASN1,
            (Kind::P521, S::ECDSA_SHA1_Legacy) => &signature::ECDSA_P521_SHA1_ASN1,
            (Kind::Ed25519, S::ED25519) => &signature::ED25519,
            _ => return Err(Fault::Forged),
        })
    }
}

fn rsa(scheme: SignatureScheme, bits: usize) -> Result<&'static dyn VerificationAlgorithm, Fault> {
    use SignatureScheme as S;
    if !(SHORTEST_RSA..=LONGEST_RSA).contains(&bits) {
        return Err(Fault::Unsupported(format!("its RSA key has {bits} bits")));
    }
    let needs_long = matches!(
        scheme,
        S::RSA_PSS_SHA256 | S::RSA_PSS_SHA384 | S::RSA_PSS_SHA512 | S::RSA_PKCS1_SHA384
    );
    if needs_long && bits < SHORTEST_PSS {
        return Err(Fault::NeedsOldPadding);
    }
    Ok(match scheme {
        S::RSA_PSS_SHA256 => &signature::RSA_PSS_2048_8192_SHA256,
        S::RSA_PSS_SHA384 => &signature::RSA_PSS_2048_8192_SHA384,
        S::RSA_PSS_SHA512 => &signature::RSA_PSS_2048_8192_SHA512,
        S::RSA_PKCS1_SHA256 => &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        S::RSA_PKCS1_SHA384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        S::RSA_PKCS1_SHA512 => &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        S::RSA_PKCS1_SHA1 => &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        _ => return Err(Fault::Forged),
    })
}

fn key(certificate: &[u8]) -> Result<Key<'_>, Fault> {
    let Some(Parts { kind, curve, bytes }) = parts(certificate) else {
        return Err(Fault::Unsupported("it is no certificate of X.509".to_owned()));
    };
    let unsupported = |what: &str| Err(Fault::Unsupported(format!("its key is one of {what}")));
    let kind = match (kind, curve) {
        (RSA | RSA_PSS, _) => Kind::Rsa { bits: modulus_bits(bytes).unwrap_or_default() },
        (ELLIPTIC, Some(P256)) => Kind::P256,
        (ELLIPTIC, Some(P384)) => Kind::P384,
        (ELLIPTIC, Some(P521)) => Kind::P521,
        (ELLIPTIC, _) => return unsupported("an elliptic curve that is not P-256, P-384 or P-521"),
        (ED25519, _) => Kind::Ed25519,
        (ED448, _) => return unsupported("Ed448"),
        (DSA, _) => return unsupported("DSA"),
        _ => return unsupported("an unknown kind"),
    };
    Ok(Key { kind, bytes })
}

/// Of a certificate's key.
struct Parts<'a> {
    kind: &'a [u8],
    curve: Option<&'a [u8]>,
    bytes: &'a [u8],
}

/// Where they are in a certificate (RFC 5280, 4.1).
fn parts(certificate: &[u8]) -> Option<Parts<'_>> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    // Version 1 has no version.
    if let Some((_, after)) = element(rest, VERSION) {
        rest = after;
    }
    (_, rest) = element(rest, INTEGER)?;
    // Signature, issuer, validity, subject.
    for _ in 0..4 {
        (_, rest) = element(rest, SEQUENCE)?;
    }
    let (key, _) = element(rest, SEQUENCE)?;
    let (kind, bits) = element(key, SEQUENCE)?;
    let (bits, _) = element(bits, BITS)?;
    let (kind, parameters) = element(kind, OBJECT)?;
    let curve = element(parameters, OBJECT).map(|(curve, _)| curve);
    Some(Parts { kind, curve, bytes: bits.strip_prefix(&[0])? })
}

fn modulus_bits(key: &[u8]) -> Option<usize> {
    let (numbers, _) = element(key, SEQUENCE)?;
    let (modulus, _) = element(numbers, INTEGER)?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let modulus = modulus.get(zeros..)?;
    let first = modulus.first()?;
    Some(modulus.len() * 8 - first.leading_zeros() as usize)
}

/// The content of the first element, if it is of this kind, and what follows it (X.690, 8.1).
fn element(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *first != kind {
        return None;
    }
    let Some(more) = length.checked_sub(0x80) else {
        return rest.split_at_checked(usize::from(*length));
    };
    let (digits, rest) = rest.split_at_checked(usize::from(more))?;
    if digits.is_empty() || digits.len() > 4 {
        return None;
    }
    let length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_key_of_a_certificate_is_found() {
        let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let Parts { kind, curve, bytes } = parts(signed.cert.der()).unwrap();
        assert_eq!((kind, curve, bytes.len()), (ELLIPTIC, Some(P256), 65));
        let (message, nonsense) = (b"message", [0; 70]);
        let scheme = SignatureScheme::ECDSA_NISTP256_SHA256;
        assert_eq!(verify(signed.cert.der(), message, scheme, &nonsense), Err(Fault::Forged));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(place: prop::sample::Index, change: u8, end: prop::sample::Index) {
            let signed = rcgen::generate_simple_self_signed(["bmc".to_owned()]).unwrap();
            let mut bytes = signed.cert.der().to_vec();
            let place = place.index(bytes.len());
            bytes[place] ^= change;
            bytes.truncate(end.index(bytes.len()) + 1);
            drop(verify(&bytes, b"", SignatureScheme::RSA_PKCS1_SHA1, b""));
        }
    }
}
