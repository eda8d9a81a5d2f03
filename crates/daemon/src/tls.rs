//! TLS: the certificate that clients are shown. It is read anew when its files change and when the daemon is told so; connections that
//! are open go on with the one that they were shown.

mod files;
mod own;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use perilune_model::Cluster;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use tokio::signal::unix::Signal;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::causes::chain;
use crate::config::{CertificateFiles, Error, Settings};
use files::Stamp;

/// How often it is looked whether the files have changed.
const LOOK: Duration = Duration::from_secs(5);
/// What is spoken above TLS.
const PROTOCOL: &[u8] = b"http/1.1";

/// What https is spoken with.
#[derive(Debug)]
pub(crate) struct Tls {
    files: CertificateFiles,
    host: Option<String>,
    provider: Arc<CryptoProvider>,
    shown: Arc<Shown>,
    config: Arc<ServerConfig>,
}

/// The certificate that the next client is shown.
#[derive(Debug)]
struct Shown(RwLock<Arc<Pair>>);

/// A certificate with its key, and what tells it from others; every boot script asks for that.
#[derive(Debug)]
struct Pair {
    key: Arc<CertifiedKey>,
    /// The SHA-256 of the certificate.
    certificate: Option<[u8; 32]>,
    /// The SHA-256 of its public key.
    public_key: Option<[u8; 32]>,
    /// When it runs out, in seconds since 1970.
    expiry: Option<i64>,
}

impl Pair {
    fn new(key: CertifiedKey) -> Self {
        let certificate = key.cert.first().map(|certificate| Sha256::digest(certificate).into());
        let public_key = key.key.public_key().map(|public| Sha256::digest(public.as_ref()).into());
        let expiry = key.cert.first().and_then(|certificate| files::expiry(certificate));
        Self { key: Arc::new(key), certificate, public_key, expiry }
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current().key))
    }
}

impl Shown {
    fn current(&self) -> Arc<Pair> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tls {
    /// The certificate of the configuration, or else that of the data directory, which is made where there is none.
    pub(crate) fn open(settings: &Settings, cluster: &Cluster) -> Result<Arc<Self>, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let is_own = settings.certificate.is_none();
        let files = settings.certificate.clone().unwrap_or_else(|| own::files(&settings.data_dir));
        if is_own && own::make_if_missing(&files, &own::names(settings, cluster))? {
            tracing::info!(certificate = %files.certificate.display(), "a certificate was made; name another with [API] CERTIFICATE and CERTIFICATE_KEY");
        }
        let pair = files::read(&files, &provider)?;
        let shown = Arc::new(Shown(RwLock::new(Arc::new(Pair::new(pair)))));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&files.certificate, &error))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Shown>::clone(&shown));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        let tls =
            Self { files, host: settings.host.clone(), provider, shown, config: Arc::new(config) };
        tls.tell();
        Ok(Arc::new(tls))
    }

    /// What opens a connection to a client.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Reads the files anew; what cannot be used is told once, and clients go on being shown the former certificate.
    fn reload(&self, last_failure: &mut Option<String>) {
        match files::read(&self.files, &self.provider) {
            Ok(pair) => {
                *last_failure = None;
                let same = pair.cert == self.current().key.cert;
                *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) =
                    Arc::new(Pair::new(pair));
                if !same {
                    self.tell();
                }
            }
            Err(error) => {
                let failure = chain(&error);
                if last_failure.as_ref() != Some(&failure) {
                    tracing::error!(
                        error = failure,
                        "the new certificate cannot be used; clients are shown the former one"
                    );
                }
                *last_failure = Some(failure);
            }
        }
    }

    fn current(&self) -> Arc<Pair> {
        self.shown.current()
    }

    /// Says which certificate is shown, and what is odd about it.
    fn tell(&self) {
        let pair = self.current();
        let fingerprint = pair.certificate.map(fingerprint);
        tracing::info!(certificate = %self.files.certificate.display(), sha256 = fingerprint, "https is spoken with this certificate");
        for odd in files::odd(&self.files, &pair.key, self.host.as_deref(), &self.provider) {
            tracing::warn!("{odd}");
        }
    }
}

/// Reads the certificate anew when the daemon is told so by a signal and when the files have changed.
pub(crate) async fn follow(tls: Option<Arc<Tls>>, mut told: Signal, stop: CancellationToken) {
    let mut look = tokio::time::interval(LOOK);
    let mut stamp = tls.as_ref().map(|tls| Stamp::of(&tls.files));
    let mut failure = None;
    loop {
        let is_told = tokio::select! {
            () = stop.cancelled() => return,
            _ = told.recv() => true,
            _ = look.tick(), if tls.is_some() => false,
        };
        let Some(tls) = &tls else {
            tracing::debug!("no https is spoken, so there is no certificate to read anew");
            continue;
        };
        let now = Stamp::of(&tls.files);
        let has_changed = stamp.as_ref() != Some(&now);
        // A pair that was read in the middle of its replacement is tried again.
        if is_told || has_changed || failure.is_some() {
            tls.reload(&mut failure);
            stamp = Some(now);
        }
    }
}

/// The certificate that clients of this daemon are shown, if any is.
#[derive(Debug, Default)]
pub struct ShownCertificate(pub(crate) Option<Arc<Tls>>);

impl ShownCertificate {
    /// Its SHA-256 in hexadecimal digits, as of now.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        let digits = self.0.as_ref()?.current().certificate?;
        Some(fingerprint(digits).replace(':', "").to_ascii_lowercase())
    }

    /// When it runs out, in seconds since 1970.
    pub(crate) fn expiry(&self) -> Option<i64> {
        self.0.as_ref()?.current().expiry
    }

    /// The SHA-256 of its public key in base64, as `curl --pinnedpubkey` takes it, as of now.
    pub(crate) fn public_key(&self) -> Option<String> {
        Some(STANDARD.encode(self.0.as_ref()?.current().public_key?))
    }
}

/// As `openssl x509 -fingerprint -sha256` writes it.
fn fingerprint(bytes: [u8; 32]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

fn unusable(file: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::Value { path: file.to_owned(), reason: format!("it cannot be used: {reason}") }
}
