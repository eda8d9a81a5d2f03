//! Whom to believe that it is the BMC: BMCs come with certificates that they have signed themselves.

mod group;
mod key;
mod old;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Error;
use key::Fault;
use old::Seen;

const CONNECT_TIME: Duration = Duration::from_secs(3);
const HANDSHAKE_TIME: Duration = Duration::from_secs(8);

/// The SHA-256 of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&crate::bytes::hex(&self.0, ""))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fingerprint({self})")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is the 64 hexadecimal digits of a SHA-256, with or without colons")]
pub struct InvalidFingerprint;

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let digits: Vec<u32> = text
            .chars()
            .filter(|character| *character != ':')
            .map(|character| character.to_digit(16).ok_or(InvalidFingerprint))
            .collect::<Result<_, _>>()?;
        let (pairs, rest) = digits.as_chunks::<2>();
        let bytes: Vec<u8> =
            pairs.iter().filter_map(|[high, low]| u8::try_from(high * 16 + low).ok()).collect();
        let bytes = bytes.try_into().or(Err(InvalidFingerprint))?;
        if rest.is_empty() { Ok(Self(bytes)) } else { Err(InvalidFingerprint) }
    }
}

/// Which certificate of a BMC is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Whichever comes first; later, that one only. The outcome has its fingerprint, for keeping.
    #[default]
    FirstUse,
    Pinned(Fingerprint),
    /// One that an authority of the engine has signed, for the BMC's address or this name.
    Verified {
        name: Option<String>,
    },
    /// Any: whoever is on the network between can read the password.
    Unverified,
}

/// What the engine trusts, and its cryptography.
#[derive(Debug)]
pub(crate) struct Authorities {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
}

impl Authorities {
    pub(crate) fn new(certificates: Vec<CertificateDer<'static>>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates);
        // A key share after quantum computers makes a first message of two packets, at which old firmware falls silent.
        let kx_groups =
            vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1, &group::P521];
        let provider =
            CryptoProvider { kx_groups, ..rustls::crypto::aws_lc_rs::default_provider() };
        let provider = Arc::new(provider);
        Self { provider, roots: Arc::new(roots) }
    }
}

/// Speaks TLS to an address; the certificate that was accepted comes with the stream.
pub(super) async fn connect(
    address: SocketAddr,
    trust: &Trust,
    pinned: Option<Fingerprint>,
    authorities: &Authorities,
) -> Result<(TlsStream<TcpStream>, Fingerprint), Error> {
    let (rule, name) = rule(address, trust, pinned, authorities)?;
    let algorithms = Algorithms::All;
    match attempt(address, rule.clone(), name.clone(), algorithms, authorities).await? {
        Ok(connected) => Ok(connected),
        Err(Failure { fault: Some(Fault::NeedsOldPadding), .. }) => {
            let algorithms = Algorithms::OfShortKeys;
            match attempt(address, rule, name, algorithms, authorities).await? {
                Ok(connected) => Ok(connected),
                Err(failure) => Err(failure.explain(address).await),
            }
        }
        Err(failure) => Err(failure.explain(address).await),
    }
}

/// Which signatures of handshakes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithms {
    All,
    /// Keys of RSA below 2,048 bits sign with the padding that only TLS 1.2 has.
    OfShortKeys,
}

/// A handshake that came to nothing, and what is known of why.
struct Failure {
    error: std::io::Error,
    rule: Rule,
    seen: Option<Fingerprint>,
    fault: Option<Fault>,
}

async fn attempt(
    address: SocketAddr,
    rule: Rule,
    name: ServerName<'static>,
    algorithms: Algorithms,
    authorities: &Authorities,
) -> Result<Result<(TlsStream<TcpStream>, Fingerprint), Failure>, Error> {
    let unreachable = |source| Error::Unreachable { address, source };
    let timed_out = |waited| Error::TimedOut { address, tries: 1, waited, has_answered: true };
    let Ok(tcp) = tokio::time::timeout(CONNECT_TIME, TcpStream::connect(address)).await else {
        return Err(timed_out(CONNECT_TIME));
    };
    let tcp = tcp.map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    let provider = Arc::clone(&authorities.provider);
    let verifier = Arc::new(Verifier {
        rule: rule.clone(),
        provider: Arc::clone(&provider),
        algorithms,
        seen: Mutex::default(),
        fault: Mutex::default(),
    });
    let versions: &[_] = match algorithms {
        Algorithms::All => &[&rustls::version::TLS13, &rustls::version::TLS12],
        Algorithms::OfShortKeys => &[&rustls::version::TLS12],
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| refused(address, error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Verifier>::clone(&verifier))
        .with_no_client_auth();
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    let Ok(stream) = tokio::time::timeout(HANDSHAKE_TIME, handshake).await else {
        return Err(timed_out(HANDSHAKE_TIME));
    };
    let seen = *locked(&verifier.seen);
    let fault = locked(&verifier.fault).clone();
    match (stream, seen) {
        (Ok(stream), Some(seen)) => Ok(Ok((stream, seen))),
        (Ok(_), None) => Err(refused(address, "it has shown no certificate".to_owned())),
        (Err(error), seen) => Ok(Err(Failure { error, rule, seen, fault })),
    }
}

impl Failure {
    async fn explain(self, address: SocketAddr) -> Error {
        if let (Rule::Only(expected), Some(seen)) = (&self.rule, self.seen)
            && *expected != seen
        {
            let (expected, seen) = (expected.to_string(), seen.to_string());
            return Error::CertificateChanged { address, expected, seen };
        }
        match self.fault {
            Some(Fault::Forged) => {
                let reason = "whoever shows it does not have its key".to_owned();
                return refused(address, reason);
            }
            Some(Fault::NeedsOldPadding) => return unsupported(address, "its RSA key is short"),
            Some(Fault::Unsupported(reason)) => return unsupported(address, &reason),
            None => {}
        }
        let inner = self.error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(reason)) = inner {
            return refused(address, reason.to_string());
        }
        let garbled = |reason| Error::Garbled { address, reason };
        match old::look(address).await {
            Seen::Old(seen) => Error::OldTls { address, seen },
            Seen::NotTls => garbled("it does not speak TLS on this port"),
            Seen::Alert => garbled("it breaks off the TLS handshake"),
            Seen::Silence => garbled("it closes the connection during the TLS handshake"),
        }
    }
}

/// For a certificate that is known by its bytes, and whose key nobody here can ask for a proof.
fn unsupported(address: SocketAddr, reason: &str) -> Error {
    let reason = format!(
        "{reason}, with which no proof can be verified here; give the BMC a certificate with another key, or set the certificate of its BMC setup to any"
    );
    refused(address, reason)
}

fn refused(address: SocketAddr, reason: String) -> Error {
    Error::CertificateRefused { address, reason }
}

/// Of which certificate a proof is wanted that the BMC has its key.
#[derive(Clone, Debug)]
enum Rule {
    Only(Fingerprint),
    First,
    Signed(Arc<WebPkiServerVerifier>),
    /// None: whoever stands between could show one of his own.
    Any,
}

fn rule(
    address: SocketAddr,
    trust: &Trust,
    pinned: Option<Fingerprint>,
    authorities: &Authorities,
) -> Result<(Rule, ServerName<'static>), Error> {
    let by_address = ServerName::from(address.ip());
    let name = match trust {
        Trust::Pinned(fingerprint) => return Ok((Rule::Only(*fingerprint), by_address)),
        Trust::FirstUse => return Ok((pinned.map_or(Rule::First, Rule::Only), by_address)),
        Trust::Unverified => return Ok((Rule::Any, by_address)),
        Trust::Verified { name } => name,
    };
    let (roots, provider) = (Arc::clone(&authorities.roots), Arc::clone(&authorities.provider));
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build().or(Err(
        refused(address, "there is no authority to verify it with; configure one".to_owned()),
    ))?;
    let name = match name {
        Some(name) => ServerName::try_from(name.clone()).or(Err(refused(
            address,
            format!("\"{name}\" is not a name that a certificate can have"),
        )))?,
        None => by_address,
    };
    Ok((Rule::Signed(verifier), name))
}

#[derive(Debug)]
struct Verifier {
    rule: Rule,
    provider: Arc<CryptoProvider>,
    algorithms: Algorithms,
    seen: Mutex<Option<Fingerprint>>,
    fault: Mutex<Option<Fault>>,
}

impl Verifier {
    /// The proof for a certificate that is known by its bytes.
    fn proof(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let verified = key::verify(certificate, message, signature.scheme, signature.signature());
        verified.map(|()| HandshakeSignatureValid::assertion()).map_err(|fault| {
            *locked(&self.fault) = Some(fault);
            CertificateError::BadSignature.into()
        })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = Fingerprint::of(end_entity);
        *locked(&self.seen) = Some(seen);
        match &self.rule {
            Rule::Any | Rule::First => Ok(ServerCertVerified::assertion()),
            Rule::Only(expected) if *expected == seen => Ok(ServerCertVerified::assertion()),
            Rule::Only(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
            Rule::Signed(verifier) => verifier.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match &self.rule {
            Rule::Any => Ok(HandshakeSignatureValid::assertion()),
            Rule::First | Rule::Only(_) => self.proof(message, certificate, signature),
            Rule::Signed(_) => {
                let algorithms = &self.provider.signature_verification_algorithms;
                verify_tls12_signature(message, certificate, signature, algorithms)
            }
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // Only what a short key needs is of TLS 1.2, and that is never asked for here.
        match &self.rule {
            Rule::Any => Ok(HandshakeSignatureValid::assertion()),
            Rule::First | Rule::Only(_) => self.proof(message, certificate, signature),
            Rule::Signed(_) => {
                let algorithms = &self.provider.signature_verification_algorithms;
                verify_tls13_signature(message, certificate, signature, algorithms)
            }
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        match (&self.rule, self.algorithms) {
            (Rule::Signed(_), _) => {
                self.provider.signature_verification_algorithms.supported_schemes()
            }
            (_, Algorithms::All) => key::SCHEMES.to_vec(),
            (_, Algorithms::OfShortKeys) => key::SCHEMES_OF_SHORT_KEYS.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_written_and_with_colons() {
        let fingerprint = Fingerprint::of(b"certificate");
        let text = fingerprint.to_string();
        assert_eq!(text.len(), 64);
        assert_eq!(text.parse(), Ok(fingerprint));
        let with_colons = crate::bytes::hex(&fingerprint.0, ":").to_uppercase();
        assert_eq!(with_colons.parse(), Ok(fingerprint));
        for wrong in ["", "12", &format!("{text}0"), "zz"] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(InvalidFingerprint));
        }
    }
}
