//! Whom to believe that it is the BMC: BMCs come with certificates that they have signed themselves.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Error;

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
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
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
    let unreachable = |source| Error::Unreachable { address, source };
    let timed_out = |waited| Error::TimedOut { address, tries: 1, waited };
    let Ok(tcp) = tokio::time::timeout(CONNECT_TIME, TcpStream::connect(address)).await else {
        return Err(timed_out(CONNECT_TIME));
    };
    let tcp = tcp.map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    let (rule, name) = rule(address, trust, pinned, authorities)?;
    let algorithms = authorities.provider.signature_verification_algorithms;
    let verifier = Arc::new(Verifier { rule, algorithms, seen: Mutex::default() });
    let config = ClientConfig::builder_with_provider(Arc::clone(&authorities.provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(address, error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Verifier>::clone(&verifier))
        .with_no_client_auth();
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    let Ok(stream) = tokio::time::timeout(HANDSHAKE_TIME, handshake).await else {
        return Err(timed_out(HANDSHAKE_TIME));
    };
    let seen = *verifier.seen.lock().unwrap_or_else(PoisonError::into_inner);
    match (stream, seen) {
        (Ok(stream), Some(seen)) => Ok((stream, seen)),
        (Ok(_), None) => Err(refused(address, "it has shown no certificate".to_owned())),
        (Err(error), _) => Err(verifier.explain(address, error)),
    }
}

fn refused(address: SocketAddr, reason: String) -> Error {
    Error::CertificateRefused { address, reason }
}

#[derive(Debug)]
enum Rule {
    Only(Fingerprint),
    Any,
    Signed(Arc<WebPkiServerVerifier>),
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
        Trust::FirstUse => return Ok((pinned.map_or(Rule::Any, Rule::Only), by_address)),
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
    algorithms: WebPkiSupportedAlgorithms,
    seen: Mutex<Option<Fingerprint>>,
}

impl Verifier {
    fn explain(&self, address: SocketAddr, error: std::io::Error) -> Error {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Rule::Only(expected), Some(seen)) = (&self.rule, seen)
            && *expected != seen
        {
            let (expected, seen) = (expected.to_string(), seen.to_string());
            return Error::CertificateChanged { address, expected, seen };
        }
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::InvalidCertificate(reason)) => refused(address, reason.to_string()),
            _ => Error::Unreachable { address, source: error },
        }
    }
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
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        match &self.rule {
            Rule::Any => Ok(ServerCertVerified::assertion()),
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
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
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
