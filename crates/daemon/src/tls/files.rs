//! A certificate and its key as files: how they are read, and what can be odd about them.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, InconsistentKeys, RootCertStore};

use super::unusable;
use crate::clock;
use crate::config::{CertificateFiles, Error};

/// What of a key's mode lets others in: a group may read it, as on systems that have one for certificates.
const TOO_OPEN: u32 = 0o037;

/// What tells whether files have changed. Links are followed: some programs replace the link, not the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp([Option<(u64, u64, SystemTime)>; 2]);

impl Stamp {
    pub(super) fn of(files: &CertificateFiles) -> Self {
        Self([&files.certificate, &files.key].map(|file| {
            let metadata = std::fs::metadata(file).ok()?;
            Some((metadata.ino(), metadata.len(), metadata.modified().ok()?))
        }))
    }
}

/// Reads a certificate and the key that belongs to it.
pub(super) fn read(
    files: &CertificateFiles,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, Error> {
    let wrong = |path: &Path, reason: String| Error::Value { path: path.to_owned(), reason };
    let text = contents(&files.certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| unusable(&files.certificate, &error))?;
    if chain.is_empty() {
        let reason = "there is no certificate in it; it must be PEM, with a line '-----BEGIN CERTIFICATE-----'";
        return Err(wrong(&files.certificate, reason.to_owned()));
    }
    let text = contents(&files.key)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_source| {
        let is_encrypted = text.windows(9).any(|word| word == b"ENCRYPTED");
        let reason = if is_encrypted {
            "the key in it needs a password, which the daemon cannot ask for; write the key without one: openssl pkey -in FILE -out FILE2"
        } else {
            "there is no private key in it; it must be PEM, with a line such as '-----BEGIN PRIVATE KEY-----'"
        };
        wrong(&files.key, reason.to_owned())
    })?;
    let key = provider.key_provider.load_private_key(key);
    let pair = CertifiedKey::new(chain, key.map_err(|error| unusable(&files.key, &error))?);
    match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let certificate = files.certificate.display();
            Err(wrong(
                &files.key,
                format!(
                    "this is not the key of the certificate in {certificate}; name the two that belong together, the server's own certificate first"
                ),
            ))
        }
        Err(error) => Err(unusable(&files.certificate, &error)),
    }
}

/// When a certificate runs out, in seconds since 1970 (RFC 5280, section 4.1: `validity`).
pub(super) fn expiry(certificate: &[u8]) -> Option<i64> {
    let (tag, text) = yasna::parse_der(certificate, |reader| {
        reader.read_sequence(|reader| {
            let end = reader.next().read_sequence(|reader| {
                // Version, serial number, algorithm and issuer.
                for _ in 0..4 {
                    reader.next().read_der()?;
                }
                let end = reader.next().read_sequence(|reader| {
                    reader.next().read_der()?;
                    reader.next().read_tagged_der()
                })?;
                skip(reader)?;
                Ok(end)
            })?;
            skip(reader)?;
            Ok(end)
        })
    })
    .map(|end| (end.tag(), String::from_utf8_lossy(end.value()).into_owned()))
    .ok()?;
    // Of two digits of a year, those from 50 on are of the last century (section 4.1.2.5.1).
    let century = match (tag.tag_number, text.get(..2)?) {
        (23, year) if year < "50" => "20",
        (23, _) => "19",
        _ => "",
    };
    let text = format!("{century}{text}");
    let part = |from: usize, to: usize| text.get(from..to);
    let written = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?
    );
    let time =
        humantime::parse_rfc3339(&written).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(time.as_secs()).ok()
}

/// Reads what is left.
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method is for one lifetime alone"
)]
fn skip(reader: &mut yasna::BERReaderSeq<'_, '_>) -> yasna::ASN1Result<()> {
    while reader.read_optional(|field| field.read_der())?.is_some() {}
    Ok(())
}

fn contents(file: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(file).map_err(|source| Error::File {
        path: file.to_owned(),
        action: "read",
        source,
    })
}

/// What is odd about a certificate and its key and does not keep them from being used. The host is that which clients ask for.
pub(super) fn odd(
    files: &CertificateFiles,
    pair: &CertifiedKey,
    host: Option<&str>,
    provider: &Arc<CryptoProvider>,
) -> Vec<String> {
    let mut odd = Vec::new();
    let mode = std::fs::metadata(&files.key).map_or(0, |metadata| metadata.permissions().mode());
    if mode & TOO_OPEN != 0 {
        odd.push(format!(
            "{}: others than its owner may read or change this key (mode {:o}); chmod 600 it",
            files.key.display(),
            mode & 0o777
        ));
    }
    let certificate = files.certificate.display();
    let verdict = host.and_then(|host| verify(pair, host, provider).err());
    odd.extend(match verdict {
        Some(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            Some(format!("{certificate}: the certificate has expired; clients that verify it refuse it"))
        }
        Some(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            Some(format!("{certificate}: the certificate is not valid yet; look at the clock of this machine"))
        }
        Some(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Some(format!(
            "{certificate}: the certificate does not name {}, which [API] ENDPOINT tells clients; those that verify it refuse it",
            host.unwrap_or_default()
        )),
        Some(CertificateError::Other(reason)) if reason.to_string().contains("CaUsedAsEndEntity") => {
            Some(format!("{certificate}: the certificate is one of an authority (CA:TRUE), and some clients that verify it refuse it, the command line and the agent among them; make one with basicConstraints=CA:FALSE, or have one signed"))
        }
        // Who has signed it is for clients to judge.
        _ => None,
    });
    odd
}

/// Whether somebody who trusts the last certificate of the chain believes that it is the host's.
fn verify(
    pair: &CertifiedKey,
    host: &str,
    provider: &Arc<CryptoProvider>,
) -> Result<(), CertificateError> {
    let (Ok(name), [own, others @ ..]) = (ServerName::try_from(host), pair.cert.as_slice()) else {
        return Ok(());
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(pair.cert.last().cloned());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    let Ok(verifier) = verifier else { return Ok(()) };
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(clock::seconds()));
    match verifier.verify_server_cert(own, others, &name, &[], now) {
        Err(rustls::Error::InvalidCertificate(error)) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    struct Pair {
        directory: tempfile::TempDir,
        files: CertificateFiles,
    }

    fn pair(change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let directory = tempfile::tempdir().unwrap();
        let mut parameters = CertificateParams::new(vec!["controller".to_owned()]).unwrap();
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        let files = CertificateFiles {
            certificate: directory.path().join("a.crt"),
            key: directory.path().join("a.key"),
        };
        std::fs::write(&files.certificate, parameters.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        set_mode(&files.key, 0o600);
        Pair { directory, files }
    }

    fn set_mode(file: &Path, mode: u32) {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn provider() -> Arc<CryptoProvider> {
        Arc::new(rustls::crypto::aws_lc_rs::default_provider())
    }

    fn oddities(pair: &Pair, host: &str) -> Vec<String> {
        let read = read(&pair.files, &provider()).unwrap();
        odd(&pair.files, &read, Some(host), &provider())
    }

    fn refusal(files: &CertificateFiles) -> String {
        crate::causes::chain(&read(files, &provider()).unwrap_err())
    }

    #[test]
    fn it_is_known_when_a_certificate_runs_out() {
        let key = KeyPair::generate().unwrap();
        let of = |year| {
            let mut parameters = CertificateParams::new(vec!["a".to_owned()]).unwrap();
            parameters.not_after = date_time_ymd(year, 3, 4);
            let made = parameters.self_signed(&key).unwrap();
            expiry(made.der())
        };
        assert_eq!(of(2030), Some(1_898_812_800), "written with two digits of the year");
        assert_eq!(of(2060), Some(2_845_584_000), "written with four");
        assert_eq!(expiry(b"nonsense"), None);
    }

    #[test]
    fn a_certificate_and_its_key_are_read_and_nothing_is_odd() {
        assert_eq!(oddities(&pair(|_| ()), "controller"), Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_file_and_the_reason() {
        let (first, second) = (pair(|_| ()), pair(|_| ()));
        let swapped = CertificateFiles { key: second.files.key, ..first.files.clone() };
        let error = refusal(&swapped);
        assert!(
            error.contains("not the key of the certificate in") && error.contains("a.crt"),
            "{error}"
        );
        let other = |name: &str, text: &str| {
            let file = first.directory.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        let key = |text: &str| {
            refusal(&CertificateFiles { key: other("k", text), ..first.files.clone() })
        };
        assert!(key("").contains("no private key in it"));
        let encrypted =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(key(encrypted).contains("needs a password"));
        let nonsense = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(key(nonsense).contains("it cannot be used"), "{}", key(nonsense));
        let certificate = |text: &str| {
            refusal(&CertificateFiles { certificate: other("c", text), ..first.files.clone() })
        };
        assert!(certificate("text").contains("no certificate in it"));
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(certificate(nonsense).contains("it cannot be used"), "{}", certificate(nonsense));
        let missing = CertificateFiles { certificate: "/no/such.crt".into(), ..first.files };
        assert!(refusal(&missing).contains("/no/such.crt cannot be read: No such file"));
    }

    #[test]
    fn a_key_that_others_may_read_another_name_and_another_time_are_told() {
        let open = pair(|_| ());
        set_mode(&open.files.key, 0o644);
        assert!(oddities(&open, "controller")[0].contains("mode 644"));
        set_mode(&open.files.key, 0o640);
        assert!(oddities(&open, "controller").is_empty(), "a group of its own is customary");
        assert!(oddities(&open, "elsewhere")[0].contains("does not name elsewhere"));
        let old = pair(|parameters| parameters.not_after = date_time_ymd(2001, 1, 1));
        assert!(oddities(&old, "controller")[0].contains("has expired"));
        let ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = pair(|parameters| parameters.is_ca = ca);
        assert!(oddities(&authority, "controller")[0].contains("CA:TRUE"));
        let early = pair(|parameters| parameters.not_before = date_time_ymd(3000, 1, 1));
        assert!(oddities(&early, "controller")[0].contains("not valid yet"));
    }
}
