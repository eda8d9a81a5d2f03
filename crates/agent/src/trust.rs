//! Whom a node believes that it is the controller, where that speaks https. The kernel's command line says whether a certificate of an
//! authority is asked for, or which one the controller has: without either, whoever answers is believed.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::pinned::Fingerprint;

/// Where images keep the certificates of authorities; packing takes them along.
const AUTHORITIES: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Whom a node believes that it is the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    Anybody,
    /// Who has one of these very certificates.
    Pinned(Vec<Fingerprint>),
    /// Who has a certificate that one of the certificates in these files has signed, or one of these itself.
    Authorities(Vec<PathBuf>),
}

impl Trust {
    /// That of a node whose controller has to prove itself, or has the certificate that the boot script named.
    pub fn new(verify: bool, certificate: Option<Fingerprint>) -> Self {
        match certificate {
            _ if verify => Self::Authorities(AUTHORITIES.map(PathBuf::from).to_vec()),
            Some(certificate) => Self::Pinned(vec![certificate]),
            None => Self::Anybody,
        }
    }

    /// The same, with another controller that shows this certificate. Where authorities are asked, they are asked about that one, too.
    pub(crate) fn and(self, certificate: Option<Fingerprint>) -> Self {
        match (self, certificate) {
            (Self::Pinned(mut all), Some(certificate)) => {
                all.push(certificate);
                Self::Pinned(all)
            }
            (trust, _) => trust,
        }
    }

    pub(crate) fn configuration(&self) -> TlsConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
        let files = match self {
            // What is pinned is looked at by a connector of its own.
            Self::Anybody | Self::Pinned(_) => return builder.disable_verification(true).build(),
            Self::Authorities(files) => files,
        };
        // Without any certificate nobody is believed, and the refusal says what to do.
        let texts = files.iter().filter_map(|file| fs::read(file).ok());
        let certificates: Vec<Certificate<'static>> =
            texts.flat_map(|text| certificates(&text)).collect();
        builder.root_certs(RootCerts::Specific(Arc::new(certificates))).build()
    }
}

fn certificates(text: &[u8]) -> Vec<Certificate<'static>> {
    let items = parse_pem(text).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    items.collect()
}
