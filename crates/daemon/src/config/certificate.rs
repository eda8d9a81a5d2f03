//! `[API] CERTIFICATE` and `CERTIFICATE_KEY`: what clients are shown where https is spoken.

use std::path::PathBuf;

use super::ini::Ini;

/// A certificate and its key, in PEM. The certificate is followed by those of its authorities, where there are some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

pub(super) fn read(ini: &Ini) -> Result<Option<CertificateFiles>, String> {
    let given = |key: &str| ini.get("API", key).map(PathBuf::from);
    match (given("CERTIFICATE"), given("CERTIFICATE_KEY")) {
        (Some(certificate), Some(key)) => Ok(Some(CertificateFiles { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(lonely("CERTIFICATE", "CERTIFICATE_KEY")),
        (None, Some(_)) => Err(lonely("CERTIFICATE_KEY", "CERTIFICATE")),
    }
}

fn lonely(given: &str, missing: &str) -> String {
    format!(
        "[API] {given} is there without {missing}; name both files, or none, so that a certificate is made"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_named_or_none() {
        let files = |text: &str| read(&Ini::parse(&format!("[API]\n{text}")).unwrap());
        assert_eq!(files(""), Ok(None));
        let both = files("CERTIFICATE = /etc/a.crt\nCERTIFICATE_KEY = /etc/a.key\n").unwrap();
        assert_eq!(both.unwrap().key, PathBuf::from("/etc/a.key"));
        assert!(
            files("CERTIFICATE = /etc/a.crt\n").unwrap_err().contains("without CERTIFICATE_KEY")
        );
        assert!(files("CERTIFICATE_KEY = /a\n").unwrap_err().contains("without CERTIFICATE;"));
    }
}
