//! What a switch that begins to boot is told, so that it sets itself up (zero-touch provisioning).

use serde::{Deserialize, Serialize};

use crate::{Patch, Violation};

/// What a switch is given when it asks for an address, and afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ztp {
    /// Whether it is told anything at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netboot: Option<bool>,
    /// The image of its operating system: a path at the controller, or a whole address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_url: Option<String>,
    /// The file that it begins with, likewise; without one, its recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootfile: Option<String>,
    /// Its configuration, as clients sent it (base64 by convention). Secret: it may have passwords in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ztpconfig: Option<String>,
    /// What that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ztpformat: Option<Format>,
    /// What runs on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ostype: Option<System>,
    /// By which protocol it fetches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_protocol: Option<Protocol>,
    /// From which host it fetches, where that is not the controller's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_server: Option<String>,
    /// Whether it is told of a TFTP server, as clients sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tftp_enable: Option<String>,
}

macro_rules! words {
    ($(#[doc = $doc:literal] $name:ident { $(#[doc = $variant_doc:literal] $variant:ident = $word:literal,)* })*) => { $(
        #[doc = $doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $(#[doc = $variant_doc] $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word of the API.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    )* };
}

words! {
    /// What the configuration of a switch is.
    Format {
        /// Commands, one on each line.
        Commands = "commands",
        /// A start-up file.
        Yaml = "yaml",
    }
    /// What runs on a switch.
    System {
        /// NVIDIA's NVOS.
        Nvos = "nvos",
        /// Cumulus Linux.
        Cumulus = "cumulus",
        /// Something else.
        Generic = "generic",
    }
    /// By which protocol a switch fetches.
    Protocol {
        /// https, at the port of the API.
        Secure = "secure",
        /// http, at the port for firmware.
        Plain = "plain",
    }
}

/// What a client asks.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Whether it is told anything.
    pub netboot: Patch<bool>,
    /// The image.
    pub default_url: Patch<String>,
    /// The file that it begins with.
    pub bootfile: Patch<String>,
    /// Its configuration.
    pub ztpconfig: Patch<String>,
    /// What that is.
    pub ztpformat: Patch<Format>,
    /// What runs on it.
    pub ostype: Patch<System>,
    /// By which protocol it fetches.
    pub url_protocol: Patch<Protocol>,
    /// From which host.
    pub url_server: Patch<String>,
    /// Whether it is told of a TFTP server.
    pub tftp_enable: Patch<String>,
}

impl Request {
    /// Changes it as asked.
    pub fn apply(&self, ztp: &mut Ztp) {
        self.netboot.apply(&mut ztp.netboot);
        self.default_url.apply(&mut ztp.default_url);
        self.bootfile.apply(&mut ztp.bootfile);
        self.ztpconfig.apply(&mut ztp.ztpconfig);
        self.ztpformat.apply(&mut ztp.ztpformat);
        self.ostype.apply(&mut ztp.ostype);
        self.url_protocol.apply(&mut ztp.url_protocol);
        self.url_server.apply(&mut ztp.url_server);
        self.tftp_enable.apply(&mut ztp.tftp_enable);
    }
}

/// As long as a path may be: it stands in an option of DHCP behind the controller's address.
const LONGEST_PATH: usize = 180;

impl Ztp {
    pub(super) fn is_unsaid(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the switch is told anything by DHCP.
    pub fn is_told(&self) -> bool {
        self.netboot == Some(true) && (self.default_url.is_some() || self.bootfile.is_some())
    }

    /// Why it is told nothing although somebody wants that; none where all is well.
    pub fn obstacle(&self) -> Option<&'static str> {
        let wants = self.netboot == Some(true) && !self.is_told();
        wants.then_some(
            "netboot is on, and neither default_url nor bootfile says what it is to fetch",
        )
    }

    /// Whether a TFTP server is named to it.
    pub fn has_tftp(&self) -> bool {
        matches!(self.tftp_enable.as_deref(), Some("y" | "yes"))
    }

    /// An address below the controller: `plain` and `secure` are where it is reached, such as `http://10.141.255.254:7051`. What is a whole
    /// address already stays.
    pub fn url(&self, path: &str, plain: &str, secure: &str) -> String {
        if path.contains("://") {
            return path.to_owned();
        }
        let base = match self.url_protocol {
            Some(Protocol::Secure) => secure,
            Some(Protocol::Plain) | None => plain,
        };
        let base = match &self.url_server {
            Some(server) => with_host(base, server),
            None => base.to_owned(),
        };
        format!("{base}/{}", path.trim_start_matches('/'))
    }

    /// What of it cannot be.
    pub fn violations(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut refuse = |field: &str, reason: &str| {
            violations.push(Violation { field: field.to_owned(), reason: reason.to_owned() });
        };
        for (field, path) in [("default_url", &self.default_url), ("bootfile", &self.bootfile)] {
            let Some(path) = path else { continue };
            if path.len() > LONGEST_PATH {
                refuse(
                    field,
                    "it is longer than 180 characters, which DHCP cannot carry beside the controller's address",
                );
            } else if !path.chars().all(|c| c.is_ascii_graphic()) {
                refuse(
                    field,
                    "it must be a path or an address of letters, digits and marks, without blanks",
                );
            }
        }
        if let Some(server) = &self.url_server {
            let is_host = |c: char| c.is_ascii_alphanumeric() || ".-:".contains(c);
            if server.len() > 63 || !server.chars().all(is_host) {
                refuse("url_server", "it must be a host name or an IP address");
            }
        }
        if let Some(word) = &self.tftp_enable
            && !["y", "yes", "n", "no"].contains(&word.as_str())
        {
            refuse("tftp_enable", "it must be one of y, yes, n, no, or empty");
        }
        violations
    }
}

/// The same protocol and port at another host.
fn with_host(base: &str, host: &str) -> String {
    let Some((protocol, rest)) = base.split_once("://") else { return base.to_owned() };
    let port = rest.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{protocol}://{host}{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_switch_fetches_is_below_the_controller_unless_it_is_a_whole_address() {
        let (plain, secure) = ("http://10.141.255.254:7051", "https://10.141.255.254:7050");
        for (protocol, server, path, url) in [
            (None, None, "files/a.bin", "http://10.141.255.254:7051/files/a.bin"),
            (Some(Protocol::Plain), None, "/files/a.bin", "http://10.141.255.254:7051/files/a.bin"),
            (Some(Protocol::Secure), None, "a", "https://10.141.255.254:7050/a"),
            (None, Some("mirror.cluster"), "a", "http://mirror.cluster:7051/a"),
            (None, Some("fd00::1"), "a", "http://[fd00::1]:7051/a"),
            (Some(Protocol::Secure), Some("x"), "http://192.0.2.1/a", "http://192.0.2.1/a"),
        ] {
            let ztp = Ztp {
                url_protocol: protocol,
                url_server: server.map(str::to_owned),
                ..Ztp::default()
            };
            assert_eq!(ztp.url(path, plain, secure), url);
        }
        assert_eq!(with_host("http://[fd00::1]:80", "a"), "http://a:80");
        assert_eq!(with_host("http://[fd00::1]", "a"), "http://a");
    }

    #[test]
    fn a_switch_is_told_something_only_where_somebody_wants_it_and_says_what() {
        let file = Some("a".to_owned());
        for (netboot, default_url, is_told, is_odd) in [
            (None, None, false, false),
            (None, file.clone(), false, false),
            (Some(false), file.clone(), false, false),
            (Some(true), None, false, true),
            (Some(true), file, true, false),
        ] {
            let ztp = Ztp { netboot, default_url, ..Ztp::default() };
            assert_eq!((ztp.is_told(), ztp.obstacle().is_some()), (is_told, is_odd), "{ztp:?}");
        }
    }
}
