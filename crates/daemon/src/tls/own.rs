//! The certificate of a site that has none: made at the first start, signed by itself, and kept in the data directory.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use nix::ifaddrs::getifaddrs;
use perilune_model::Cluster;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};

use super::unusable;
use crate::config::{CertificateFiles, Error, PRIVATE, Settings, write_whole};

/// Whoever verifies it may read the certificate.
const READABLE: u32 = 0o644;

/// Where it is. The command line on the same machine looks for it there.
pub(super) fn files(data_dir: &Path) -> CertificateFiles {
    CertificateFiles { certificate: data_dir.join("tls.crt"), key: data_dir.join("tls.key") }
}

/// Every name and address by which clients may ask for this controller.
pub(super) fn names(settings: &Settings, cluster: &Cluster) -> Vec<String> {
    let mut names: BTreeSet<String> =
        ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into_iter().collect();
    names.extend(settings.host.clone());
    names.extend(nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()));
    for controller in cluster.controllers().values() {
        names.insert(controller.name.to_string());
        names.extend(controller.addresses.iter().map(|address: IpAddr| address.to_string()));
    }
    for interface in getifaddrs().into_iter().flatten() {
        let Some(address) = interface.address else { continue };
        names.extend(address.as_sockaddr_in().map(|address| address.ip().to_string()));
        let ipv6 = address.as_sockaddr_in6().map(nix::sys::socket::SockaddrIn6::ip);
        names.extend(ipv6.filter(|ip| !ip.is_unicast_link_local()).map(|ip| ip.to_string()));
    }
    // What no certificate can name does not keep it from being made.
    names.retain(|name| CertificateParams::new(vec![name.clone()]).is_ok());
    names.into_iter().collect()
}

/// Makes the two files unless both are there; whether they were made. One of the two alone is somebody's mistake.
pub(super) fn make_if_missing(files: &CertificateFiles, names: &[String]) -> Result<bool, Error> {
    if files.certificate.exists() {
        if files.key.exists() {
            return Ok(false);
        }
        let reason = format!(
            "its key {} is not there; bring it back, or remove this file, and another certificate is made",
            files.key.display()
        );
        return Err(Error::Value { path: files.certificate.clone(), reason });
    }
    let failed = |error: rcgen::Error| unusable(&files.certificate, &error);
    let key = KeyPair::generate().map_err(failed)?;
    // It is valid for ever: nodes whose clocks have stopped must not refuse it, and nobody looks after it.
    let mut parameters = CertificateParams::new(names).map_err(failed)?;
    let name = names.iter().find(|name| name.parse::<IpAddr>().is_err());
    parameters.distinguished_name.push(DnType::CommonName, name.map_or("perilune", String::as_str));
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = parameters.self_signed(&key).map_err(failed)?;
    // The key first: a start that is killed between the two makes both again.
    write_whole(&files.key, &key.serialize_pem(), PRIVATE)?;
    write_whole(&files.certificate, &certificate.pem(), READABLE)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_made_once_and_its_key_is_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(directory.path());
        let names = ["10.141.255.254".to_owned(), "controller".to_owned()];
        assert!(make_if_missing(&files, &names).unwrap());
        let first = fs::read(&files.certificate).unwrap();
        let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&files.key), mode(&files.certificate)), (0o600, 0o644));
        assert!(!make_if_missing(&files, &names).unwrap());
        assert_eq!(fs::read(&files.certificate).unwrap(), first);
    }

    #[test]
    fn a_start_that_was_killed_in_the_middle_is_gone_on_with_and_a_lost_key_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(directory.path());
        let names = ["controller".to_owned()];
        make_if_missing(&files, &names).unwrap();
        fs::remove_file(&files.certificate).unwrap();
        assert!(make_if_missing(&files, &names).unwrap());
        fs::remove_file(&files.key).unwrap();
        let error = make_if_missing(&files, &names).unwrap_err().to_string();
        assert!(error.contains("tls.key is not there"), "{error}");
    }
}
