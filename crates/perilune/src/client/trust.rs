//! Whom to believe that it is the daemon, where https is spoken.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Whom to believe that it is the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Whoever answers: the site's configuration says so.
    Anybody,
    /// Who has a certificate of an authority that this machine knows, or one of these files.
    Certificates(Vec<CertificateFile>),
}

/// A file with certificates in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFile {
    /// The file.
    pub path: PathBuf,
    /// Whether the user has named it: then it must be there.
    pub is_named: bool,
}

/// A file of certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the certificate {}: {reason}", path.display())]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub reason: String,
}

impl Default for Trust {
    fn default() -> Self {
        Self::Certificates(Vec::new())
    }
}

impl Trust {
    /// As the library needs it. Nothing is read for addresses without TLS.
    pub(super) fn configuration(&self, url: &str) -> Result<TlsConfig, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
        let files = match self {
            _ if !url.starts_with("https://") => return Ok(builder.build()),
            Self::Anybody => return Ok(builder.disable_verification(true).build()),
            Self::Certificates(files) => files,
        };
        let system = rustls_native_certs::load_native_certs().certs;
        let mut certificates: Vec<_> = system
            .iter()
            .map(|certificate| Certificate::from_der(certificate).to_owned())
            .collect();
        for file in files {
            certificates.extend(file.read()?);
        }
        Ok(builder.root_certs(RootCerts::Specific(Arc::new(certificates))).build())
    }
}

impl CertificateFile {
    fn read(&self) -> Result<Vec<Certificate<'static>>, Error> {
        let failed = |reason: String| Error { path: self.path.clone(), reason };
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(_) if !self.is_named => return Ok(Vec::new()),
            Err(error) => return Err(failed(error.to_string())),
        };
        let items = parse_pem(&text).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        let certificates: Vec<_> = items.collect();
        if certificates.is_empty() && self.is_named {
            return Err(failed("there is no certificate in it; it must be PEM".to_owned()));
        }
        Ok(certificates)
    }
}
