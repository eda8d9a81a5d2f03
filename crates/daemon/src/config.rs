//! What the daemon is configured with: `luna.ini` as sites have it, and its own data directory.

mod certificate;
mod control;
mod database;
mod directory;
pub(crate) mod error;
mod first_start;
mod ini;
mod keys;
mod listen;
mod names;
pub mod reference;
mod servers;
pub(crate) mod whole;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use crate::audit::Destination;
use crate::boots::Evidence;
pub use certificate::CertificateFiles;
pub use control::Control;
pub use database::is_controller_name;
pub use directory::DirectoryChoice;
pub use error::Error;
pub use first_start::{FirstStart, write_default};
pub use ini::{Ini, Section};
pub(crate) use keys::nearest;
pub use listen::Listen;
pub use names::{NameSettings, Secondaries, Serve};
use perilune_boot::Protocol;
use perilune_image::Readers;
use perilune_program::User;
pub use perilune_store::{Address, Program};
pub(crate) use servers::{DhcpServer, NameServer, ServerSettings};
pub(crate) use whole::{PRIVATE, write_whole};

/// What the command line says.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `luna.ini` to read.
    pub config: Option<PathBuf>,
    /// Where everything of the daemon's own lives.
    pub data_dir: PathBuf,
    /// Where it listens; empty means every address, port 7050.
    pub listen: Vec<Listen>,
    /// Interfaces on which DHCP and TFTP are served.
    pub dhcp_interfaces: Vec<String>,
    /// The controller's address in the cluster of the first start, with the prefix of its network; without it the machine is asked.
    pub address: Option<Ipv4Net>,
    /// The `bootstrap.ini` of the first start.
    pub bootstrap: Option<PathBuf>,
    /// The program that becomes `/init` of installers; looked for in the usual places without it.
    pub agent: Option<PathBuf>,
    /// Where the privileged worker listens that works on trees; without it, this process does.
    pub worker: Option<PathBuf>,
    /// The PostgreSQL database that several controllers share; without it, as the configuration says.
    pub database: Option<Address>,
    /// Proxies that are believed about whom they speak for, beside those that the configuration names.
    pub proxies: Vec<IpNet>,
    /// Which version this is, for controllers of others: [`Program::THIS`], but in tests of an upgrade.
    pub program: Program,
}

impl Options {
    /// The configuration that is read: the one that is named, else that of the data directory.
    pub fn configuration(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| self.data_dir.join("luna.ini"))
    }
}

/// The configuration in effect.
#[derive(Clone)]
pub struct Settings {
    /// The file that it was read from.
    pub file: PathBuf,
    /// Where everything of the daemon's own lives.
    pub data_dir: PathBuf,
    /// The administrator.
    pub username: String,
    /// The administrator's password.
    pub password: String,
    /// What tokens are signed with.
    pub secret_key: String,
    /// How long a login is good for.
    pub expiry: Duration,
    /// The host that the configuration advertises.
    pub host: Option<String>,
    /// The port that the configuration advertises.
    pub port: u16,
    /// How machines and peers speak to the API.
    pub protocol: Protocol,
    /// Where firmware and iPXE are answered by http, and nobody else.
    pub firmware_port: Option<u16>,
    /// What is shown where https is spoken; without it, what the data directory has.
    pub certificate: Option<CertificateFiles>,
    /// What nodes are told about certificates, word for word.
    pub verify_certificate: String,
    /// Another server of files, where there is one.
    pub web_server: Option<(Protocol, u16)>,
    /// What packing makes, and the daemon serves.
    pub image_files: PathBuf,
    /// Trees of images that do not say where theirs is.
    pub image_directory: PathBuf,
    /// What runs Python files of the site.
    pub python: PathBuf,
    /// Whom hooks run as; nobody else where the daemon is not root.
    pub(crate) plugins_user: Option<User>,
    /// Plugins that run as the daemon itself, by the beginnings of their paths.
    pub(crate) privileged_plugins: Vec<String>,
    /// Kinds whose Python files work in place of the daemon, likewise.
    pub(crate) working_classes: Vec<String>,
    /// Which program copies trees of images.
    pub(crate) image_file_system: Option<String>,
    /// Whether archives get torrents when they are packed.
    pub torrents: bool,
    /// Where archives are seeded, where they are.
    pub seed_port: Option<u16>,
    /// Bytes that the seeder sends in a second at most; without a limit otherwise.
    pub upload_limit: Option<u64>,
    /// Who may read archives on this machine, beside the daemon.
    pub archive_readers: Readers,
    /// The key of secrets at rest.
    pub key_file: PathBuf,
    /// The database that several controllers share.
    pub database: Option<Address>,
    /// The name of this controller.
    pub controller: String,
    /// The site's own templates.
    pub template_files: Option<PathBuf>,
    /// The site's own plugins.
    pub plugins: Option<PathBuf>,
    /// What `/export` tells, and `/import` takes.
    pub exporters: Vec<String>,
    /// See `exporters`.
    pub importers: Vec<String>,
    /// Who reads exports and metrics without a token.
    pub export_clients: Vec<IpNet>,
    /// The site's Prometheus.
    pub(crate) prometheus: crate::prometheus::Settings,
    /// Where users and groups of the operating systems are kept.
    pub directory: DirectoryChoice,
    /// Interfaces on which DHCP and TFTP are served, where the command line names none.
    pub dhcp_interfaces: Vec<String>,
    /// Interfaces on which TFTP is served beside those of DHCP.
    pub tftp_interfaces: Vec<String>,
    /// The DNS server.
    pub names: NameSettings,
    /// Servers of the site whose files are written.
    pub(crate) servers: ServerSettings,
    /// Whether IPv6 router solicitations of machines are answered. Where nothing is said: unless this machine may be a router itself.
    pub router_advertisements: Option<bool>,
    /// What is logged, and where.
    pub log: Log,
    /// Limits of control.
    pub control: Control,
    /// Proxies that are believed about whom they speak for.
    pub proxies: Vec<IpNet>,
    /// What shows that a boot is expected; `None` where the site does not say.
    pub evidence: Option<BTreeSet<Evidence>>,
    /// Where the audit goes for collectors; it is stored in any case.
    pub audit: Option<Destination>,
}

/// What is logged, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The least that counts: `debug`, `info`, `warning`, `error` or `critical`.
    pub level: String,
    /// The file that has the log, beside standard error.
    pub file: Option<PathBuf>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("file", &self.file)
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads a file; what is odd about it but does no harm is told, too.
    pub fn read(file: &Path, data_dir: &Path) -> Result<(Self, Vec<String>), Error> {
        let text = std::fs::read_to_string(file).map_err(|source| Error::File {
            path: file.to_owned(),
            action: "read",
            source,
        })?;
        let ini =
            Ini::parse(&text).map_err(|reason| Error::Value { path: file.to_owned(), reason })?;
        let settings = Self::from_ini(&ini, file, data_dir);
        let settings = settings.map_err(|reason| Error::Value { path: file.to_owned(), reason })?;
        let mut odd = keys::unknown(&ini);
        odd.extend(settings.directory.odd());
        let encrypts = keys::boolean(&ini, "SECRETS", "ENCRYPT_SECRETS");
        let encrypts = encrypts.map_err(|reason| Error::Value { path: file.to_owned(), reason })?;
        if encrypts == Some(false) {
            odd.push(
                "[SECRETS] ENCRYPT_SECRETS = no has no effect: passwords of BMCs and secrets are always encrypted, with the key of [FILES] KEYFILE"
                    .to_owned(),
            );
        }
        Ok((settings, odd))
    }

    fn from_ini(ini: &Ini, file: &Path, data_dir: &Path) -> Result<Self, String> {
        let path = |section: &str, key: &str, default: &str| {
            // Relative to the data directory, so that this can be moved as a whole.
            data_dir.join(ini.get(section, key).unwrap_or(default))
        };
        let given = |section: &str, key: &str| ini.get(section, key).map(str::to_owned);
        let required = |key: &str| {
            given("API", key).ok_or_else(|| {
                format!("[API] {key} is missing; set it: without it every login is refused")
            })
        };
        let protocol = keys::protocol(ini, "API")?.unwrap_or_default();
        let web_port = keys::number(ini, "WEBSERVER", "PORT")?;
        let web_protocol = keys::protocol(ini, "WEBSERVER")?.unwrap_or(protocol);
        Ok(Self {
            file: file.to_owned(),
            data_dir: data_dir.to_owned(),
            username: required("USERNAME")?,
            password: required("PASSWORD")?,
            secret_key: required("SECRET_KEY")?,
            expiry: keys::expiry(ini)?,
            host: keys::endpoint_host(ini),
            port: keys::endpoint_port(ini)?,
            protocol,
            firmware_port: keys::number(ini, "API", "FIRMWARE_PORT")?,
            certificate: certificate::read(ini)?.map(|files| CertificateFiles {
                certificate: data_dir.join(files.certificate),
                key: data_dir.join(files.key),
            }),
            verify_certificate: given("API", "VERIFY_CERTIFICATE")
                .unwrap_or_else(|| "no".to_owned()),
            web_server: web_port.map(|port| (web_protocol, port)),
            image_files: path("FILES", "IMAGE_FILES", "files"),
            image_directory: path("FILES", "IMAGE_DIRECTORY", "images"),
            archive_readers: keys::readers(ini)?,
            python: given("PLUGINS", "PYTHON")
                .map_or_else(|| PathBuf::from("/usr/bin/python3"), PathBuf::from),
            plugins_user: keys::plugins_user(ini)?,
            privileged_plugins: keys::words(ini, "PLUGINS", "PRIVILEGED"),
            working_classes: keys::words(ini, "PLUGINS", "PYTHON_WORK"),
            image_file_system: given("PLUGINS", "IMAGE_FILESYSTEM"),
            torrents: keys::boolean(ini, "TORRENT", "ENABLED")?.unwrap_or(false),
            seed_port: keys::seed_port(ini)?,
            upload_limit: keys::number(ini, "TORRENT", "UPLOAD_LIMIT")?
                .map(|mebibytes: u32| u64::from(mebibytes) << 20)
                .filter(|limit| *limit > 0),
            key_file: path("FILES", "KEYFILE", "luna.key"),
            database: database::read(ini, data_dir)?,
            controller: database::controller(ini)?,
            template_files: Some(path("TEMPLATES", "TEMPLATE_FILES", "templates")),
            plugins: Some(path("PLUGINS", "PLUGINS_DIRECTORY", "plugins")),
            exporters: keys::exporters(ini),
            importers: keys::importers(ini),
            export_clients: keys::networks(ini, "PLUGINS", "EXPORT_CLIENTS")?,
            prometheus: keys::prometheus(ini)?,
            directory: directory::read(ini)?,
            dhcp_interfaces: keys::words(ini, "DHCP", "INTERFACES"),
            tftp_interfaces: keys::words(ini, "DHCP", "TFTP_INTERFACES"),
            names: names::read(ini, data_dir)?,
            servers: servers::read(ini)?,
            router_advertisements: keys::boolean(ini, "DHCP", "ROUTER_ADVERTISEMENTS")?,
            log: Log {
                level: keys::log_level(ini)?,
                file: given("LOGGER", "LOGFILE").map(PathBuf::from),
            },
            control: keys::control(ini)?,
            proxies: keys::networks(ini, "API", "PROXIES")?,
            evidence: keys::evidence(ini)?,
            audit: keys::audit(ini)?,
        })
    }

    /// The database that several controllers share, where there is one.
    pub fn shared_database(&self, options: &Options) -> Option<Address> {
        options.database.as_ref().or(self.database.as_ref()).cloned()
    }

    /// The command line, with what the configuration says where it says nothing.
    pub(crate) fn completing(&self, options: Options) -> Options {
        let dhcp_interfaces = if options.dhcp_interfaces.is_empty() {
            self.dhcp_interfaces.clone()
        } else {
            options.dhcp_interfaces
        };
        Options { dhcp_interfaces, ..options }
    }

    /// What boot scripts tell machines about reaching a daemon that speaks so at these addresses.
    pub fn of_boot(&self, listen: &[(Protocol, SocketAddr)]) -> perilune_boot::Settings {
        perilune_boot::Settings {
            api_protocol: self.protocol,
            verify_certificate: self.verify_certificate.clone(),
            web_server: self.web_server,
            firmware_port: self.firmware_port,
            listen: listen.to_vec(),
        }
    }
}

#[cfg(test)]
mod older;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Settings, Vec<String>), Error> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("luna.ini");
        std::fs::write(&file, text).unwrap();
        Settings::read(&file, directory.path())
    }

    const LOGIN: &str = "[API]\nUSERNAME = luna\nPASSWORD: lu%na;x\nSECRET_KEY = 0123\n";

    #[test]
    fn a_sites_file_is_read() {
        let text = format!(
            "{LOGIN}expiry = 30m\nENDPOINT = controller.cluster:7051\nPROTOCOL = https\n; a remark\n[WEBSERVER]\nPORT = 7052\nPROTOCOL = http\n\
             [FILES]\nIMAGE_FILES = /srv/files\n[SECRETS]\nENCRYPT_SECRETS = yes\n[BMCCONTROL]\nBMC_BATCH_DELAY = 2s\n\
             [DHCP]\nROUTER_ADVERTISEMENTS = no\n"
        );
        let (settings, odd) = read(&text).unwrap();
        assert_eq!(settings.password, "lu%na;x");
        assert_eq!(settings.log, Log { level: "info".to_owned(), file: None });
        assert_eq!(settings.expiry, Duration::from_mins(30));
        assert_eq!((settings.port, settings.protocol), (7051, Protocol::Https));
        assert_eq!(settings.web_server, Some((Protocol::Http, 7052)));
        assert_eq!(settings.image_files, Path::new("/srv/files"));
        assert_eq!(settings.router_advertisements, Some(false));
        assert_eq!(settings.control.batch_delay, Duration::from_secs(2));
        assert!(odd.is_empty(), "{odd:?}");
    }

    #[test]
    fn unknown_keys_are_told_with_the_nearest_known_and_sites_own_sections_are_not() {
        let (_, odd) = read(&format!("{LOGIN}PROTOCOLL = http\n[EXTRA]\nVAR1 = x\n")).unwrap();
        assert_eq!(odd, ["[API] PROTOCOLL is not known and has no effect; did you mean PROTOCOL?"]);
    }

    #[test]
    fn secrets_are_encrypted_whatever_a_file_says() {
        let (_, odd) = read(&format!("{LOGIN}[SECRETS]\nENCRYPT_SECRETS = no\n")).unwrap();
        assert!(odd[0].starts_with("[SECRETS] ENCRYPT_SECRETS = no has no effect"), "{odd:?}");
        let (_, odd) = read(&format!("{LOGIN}[SECRETS]\nENCRYPT_SECRETS = yes\n")).unwrap();
        assert!(odd.is_empty(), "{odd:?}");
    }

    #[test]
    fn what_means_nothing_is_refused_with_its_place() {
        for (text, expected) in [
            (format!("{LOGIN}EXPIRY = soon\n"), "[API] EXPIRY"),
            (format!("{LOGIN}username = again\n"), "line 5"),
            (format!("{LOGIN}ENDPOINT = controller:port\n"), "[API] ENDPOINT"),
            ("[API]\nUSERNAME = luna\n".to_owned(), "PASSWORD is missing"),
            ("no section\n".to_owned(), "line 1"),
            (format!("{LOGIN}[LOGGER]\nLEVEL = loud\n"), "[LOGGER] LEVEL"),
            (format!("{LOGIN}PROXIES = here\n"), "[API] PROXIES has 'here'"),
            (format!("{LOGIN}[BOOT]\nEVIDENCE = dhcp, luck\n"), "[BOOT] EVIDENCE has 'luck'"),
            (format!("{LOGIN}[BOOT]\nEVIDENCE = ,\n"), "[BOOT] EVIDENCE has ''"),
            (
                format!("{LOGIN}[DHCP]\nROUTER_ADVERTISEMENTS = never\n"),
                "[DHCP] ROUTER_ADVERTISEMENTS is 'never'; write yes or no",
            ),
        ] {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
