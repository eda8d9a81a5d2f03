//! The configuration of a daemon that was given none.

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};

use perilune_boot::Protocol;
use perilune_model::controller::DEFAULT_PORT;

use super::error::Error;
use super::listen::Listen;
use super::whole::{PRIVATE, write_whole};

/// What a first start made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstStart {
    /// The configuration, with the administrator's password.
    pub file: PathBuf,
}

/// Writes a configuration with a new key and a new password into the data directory, unless one is there. The files of the key and
/// of the configuration are for their owner alone. Clients are told what is spoken at the first address.
pub fn write_default(data_dir: &Path, listen: &[Listen]) -> Result<Option<FirstStart>, Error> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o755);
    for directory in [data_dir.to_owned(), data_dir.join("files"), data_dir.join("images")] {
        builder.create(&directory).map_err(|source| Error::File {
            path: directory,
            action: "made",
            source,
        })?;
    }
    let file = data_dir.join("luna.ini");
    if file.exists() {
        return Ok(None);
    }
    let key_file = data_dir.join("luna.key");
    if !key_file.exists() {
        write_whole(&key_file, &format!("{}\n", URL_SAFE.encode(random::<32>()?)), PRIVATE)?;
    }
    let endpoint = listen
        .first()
        .map_or_else(|| SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT)), Listen::endpoint);
    let protocol = listen.first().and_then(|listen| listen.protocol).unwrap_or_default();
    let text = format!(
        "; Made by Perilune at its first start. Clients on this machine find their login here.\n\
         [LOGGER]\nLEVEL = info\n\n\
         [API]\nUSERNAME = admin\nPASSWORD = {password}\nEXPIRY = 1h\nSECRET_KEY = {secret}\n\
         ENDPOINT = {endpoint}\nPROTOCOL = {protocol}\nVERIFY_CERTIFICATE = yes\n{firmware_port}\n\
         ; These are relative to the data directory.\n\
         [FILES]\nKEYFILE = luna.key\nIMAGE_FILES = files\nIMAGE_DIRECTORY = images\n\
         ; Who may read archives beside the daemon: the group of a web server that serves them.\n\
         GROUP = {group}\n\n\
         [SECRETS]\nENCRYPT_SECRETS = yes\n",
        password = URL_SAFE_NO_PAD.encode(random::<15>()?),
        secret = URL_SAFE_NO_PAD.encode(random::<32>()?),
        group = rustix::process::getegid().as_raw(),
        firmware_port = firmware_port(listen),
    );
    write_whole(&file, &text, PRIVATE)?;
    Ok(Some(FirstStart { file }))
}

/// Firmware is sent to the address without TLS, where there is one beside the API's; nothing else is answered there.
fn firmware_port(listen: &[Listen]) -> String {
    let spoken = |listen: &Listen| listen.protocol.unwrap_or_default();
    let is_needed = listen.first().is_some_and(|api| spoken(api) == Protocol::Https);
    let plain = listen.iter().find(|other| spoken(other) == Protocol::Http && is_needed);
    plain.map_or_else(String::new, |plain| {
        format!(
            "; Firmware knows no certificate of a site: it alone is answered there, by http.\nFIRMWARE_PORT = {}\n",
            plain.address.port()
        )
    })
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], Error> {
    let mut bytes = [0; LENGTH];
    let unreadable = |error: getrandom::Error| Error::File {
        path: PathBuf::from("the system's source of randomness"),
        action: "read",
        source: std::io::Error::other(error.to_string()),
    };
    getrandom::fill(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::Settings;

    fn listen(addresses: &[&str]) -> Vec<Listen> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn a_first_start_makes_a_configuration_for_its_owner_alone_and_a_second_keeps_it() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let made = write_default(&data, &listen(&["0.0.0.0:7050"])).unwrap().unwrap();
        let (settings, odd) = Settings::read(&made.file, &data).unwrap();
        assert!(odd.is_empty(), "{odd:?}");
        assert!(settings.password.len() >= 20 && settings.secret_key.len() >= 40);
        for file in ["luna.ini", "luna.key"] {
            let mode = std::fs::metadata(data.join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        assert_eq!(write_default(&data, &listen(&["0.0.0.0:7050"])).unwrap(), None);
        assert_eq!(Settings::read(&made.file, &data).unwrap().0.password, settings.password);
    }

    #[test]
    fn what_is_listened_on_is_what_clients_and_firmware_are_told() {
        let told = |addresses: &[&str]| {
            let directory = tempfile::tempdir().unwrap();
            let made = write_default(directory.path(), &listen(addresses)).unwrap().unwrap();
            let (settings, _) = Settings::read(&made.file, directory.path()).unwrap();
            (settings.protocol, settings.port, settings.firmware_port)
        };
        assert_eq!(told(&["http://0.0.0.0:80", "https://0.0.0.0:443"]), (Protocol::Http, 80, None));
        assert_eq!(told(&["https://0.0.0.0:443"]), (Protocol::Https, 443, None));
        let both = told(&["https://0.0.0.0:443", "http://0.0.0.0:80"]);
        assert_eq!(both, (Protocol::Https, 443, Some(80)));
    }
}
