//! What `[SERVICES]`, `[DHCP]` and `[DNS]` say of servers that the site runs itself, whose files the daemon writes.

use std::path::{Path, PathBuf};

use perilune_model::Family;
use perilune_render::{DHCPD, DHCPD6, DhcpKeys, KEA4, KEA6, Paths};

use super::ini::Ini;
use super::keys;

/// Where Kea takes commands, as distributions have it.
const KEA_SOCKETS: [&str; 2] = ["/run/kea/kea4-ctrl-socket", "/run/kea/kea6-ctrl-socket"];
/// Files that `named.conf` of distributions includes, where they are.
const INCLUDES: [&str; 4] = [
    "/etc/crypto-policies/back-ends/bind.config",
    "/etc/named.rfc1912.zones",
    "/etc/named.root.key",
    "/etc/bind/named.conf.default-zones",
];
const MANAGED_KEYS: [&str; 3] =
    ["/trinity/local/var/lib/named/dynamic", "/var/named/dynamic", "/var/cache/bind"];

/// The servers whose files are written, and how they are started.
#[derive(Debug, Clone)]
pub(crate) struct ServerSettings {
    /// `[SERVICES] COMMAND`: a program and its first arguments.
    pub command: Vec<String>,
    /// The site's DHCP server for IPv4.
    pub dhcp: Option<DhcpServer>,
    /// That for IPv6.
    pub dhcp6: Option<DhcpServer>,
    /// The site's BIND.
    pub dns: Option<NameServer>,
    /// Whether the site has a server for IPv6, whether its file is written or not.
    pub has_dhcp6: bool,
    /// Keys that templates have names for.
    pub keys: DhcpKeys,
    /// Whether every controller writes them; else the master alone does.
    pub at_each: bool,
}

/// A DHCP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DhcpServer {
    /// What the system calls it.
    pub unit: String,
    /// Which addresses it gives.
    pub family: Family,
    /// The template of its file.
    pub template: String,
    /// The program that checks a file, whose name is added.
    pub test: Vec<String>,
    /// Its file.
    pub file: PathBuf,
    /// Where it takes commands, if it is Kea.
    pub socket: String,
}

/// A BIND.
#[derive(Debug, Clone)]
pub(crate) struct NameServer {
    /// What the system calls it.
    pub unit: String,
    /// Its `named.conf`.
    pub file: PathBuf,
    /// Its other files.
    pub paths: Paths,
    /// The program that checks `named.conf`, whose name is added.
    pub test: Vec<String>,
    /// The program that checks a zone, whose name and file are added.
    pub test_zone: Vec<String>,
}

impl ServerSettings {
    /// Whether addresses come by DHCPv6 as the cluster describes: the daemon serves it, or writes the file of the site's server. A server that
    /// is configured elsewhere may serve other networks, and whoever configures it has a router that sends machines to it.
    pub(crate) fn is_dhcp6_ours(&self) -> bool {
        !self.has_dhcp6 || self.dhcp6.is_some()
    }

    /// Nothing where the daemon serves itself. For IPv6 it leaves a site's own server alone.
    pub(crate) fn beside(mut self, serves_dhcp: bool, serves_names: bool) -> Self {
        if serves_dhcp {
            self.dhcp = None;
        }
        if serves_names {
            self.dns = None;
        }
        self
    }
}

pub(super) fn read(ini: &Ini) -> Result<ServerSettings, String> {
    let command = words(ini, "SERVICES", "COMMAND", "/usr/bin/systemctl")?;
    let writes = keys::boolean(ini, "SERVICES", "WRITE_FILES")?.unwrap_or(true);
    let dhcp = unit(ini, "DHCP")?.map(|unit| dhcp_server(ini, unit, Family::V4)).transpose()?;
    let dhcp6 = unit(ini, "DHCP6")?.map(|unit| dhcp_server(ini, unit, Family::V6)).transpose()?;
    let dns = unit(ini, "DNS")?.map(|unit| name_server(ini, unit)).transpose()?;
    let given = |key: &str| ini.get("DHCP", key).map(str::to_owned);
    let tsig = given("TSIGKEY").zip(given("TSIGALGO"));
    let keys = DhcpKeys { omapi: given("OMAPIKEY"), tsig };
    let all = keys.omapi.iter().chain(keys.tsig.iter().map(|(key, _)| key));
    for key in all {
        if !key.chars().all(|letter| letter.is_ascii_alphanumeric() || "+/=".contains(letter)) {
            return Err("[DHCP] OMAPIKEY or TSIGKEY is no base64; write the secret alone, as dnssec-keygen or tsig-keygen shows it".to_owned());
        }
    }
    if let Some((_, algorithm)) = &keys.tsig
        && !algorithm.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
    {
        return Err(format!("[DHCP] TSIGALGO is '{algorithm}'; write a word such as hmac-sha256"));
    }
    let has_dhcp6 = dhcp6.is_some();
    let at_each = match ini.get("SERVICES", "CONTROLLERS").unwrap_or("master") {
        "master" => false,
        "all" => true,
        other => {
            return Err(format!("[SERVICES] CONTROLLERS is '{other}'; write master or all"));
        }
    };
    let all = ServerSettings { command, dhcp, dhcp6, dns, has_dhcp6, keys, at_each };
    Ok(if writes { all } else { ServerSettings { dhcp6: None, ..all.beside(true, true) } })
}

/// What the system calls a service; it becomes an argument of a program.
fn unit(ini: &Ini, key: &str) -> Result<Option<String>, String> {
    let Some(unit) = ini.get("SERVICES", key) else { return Ok(None) };
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-_.@:".contains(letter);
    if unit.starts_with('-') || !unit.chars().all(is_name) {
        return Err(format!(
            "[SERVICES] {key} is '{unit}'; write the name of a service, such as dhcpd, kea-dhcp4 or named"
        ));
    }
    Ok(Some(unit.to_owned()))
}

fn words(ini: &Ini, section: &str, key: &str, default: &str) -> Result<Vec<String>, String> {
    let text = ini.get(section, key).unwrap_or(default);
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        return Err(format!("[{section}] {key} is empty; write a program, such as {default}"));
    }
    Ok(words)
}

fn dhcp_server(ini: &Ini, unit: String, family: Family) -> Result<DhcpServer, String> {
    let is_kea = unit.contains("kea");
    let (is_v6, suffix) = (family == Family::V6, if family == Family::V6 { "6" } else { "" });
    let (template, test, file) = match (is_kea, is_v6) {
        (false, false) => (DHCPD, "dhcpd -t -cf", "/etc/dhcp/dhcpd.conf"),
        (false, true) => (DHCPD6, "dhcpd -6 -t -cf", "/etc/dhcp/dhcpd6.conf"),
        (true, false) => (KEA4, "kea-dhcp4 -t", "/etc/kea/kea-dhcp4.conf"),
        (true, true) => (KEA6, "kea-dhcp6 -t", "/etc/kea/kea-dhcp6.conf"),
    };
    let path = if is_v6 { "CONFIG6_PATH" } else { "CONFIG_PATH" };
    let [socket4, socket6] = KEA_SOCKETS;
    let socket = if is_v6 { socket6 } else { socket4 };
    let given = |key: &str, default: &str| ini.get("DHCP", key).unwrap_or(default).to_owned();
    let template = given(&format!("TEMPLATE{suffix}"), template);
    if template.contains('/') {
        return Err(format!(
            "[DHCP] TEMPLATE{suffix} is '{template}'; write the name of a file in [TEMPLATES] TEMPLATE_FILES"
        ));
    }
    Ok(DhcpServer {
        unit,
        family,
        template,
        test: words(ini, "DHCP", &format!("TEST{suffix}"), test)?,
        file: whole(&given(path, file), "DHCP", path)?,
        socket: given(&format!("KEA_SOCKET{suffix}"), socket),
    })
}

fn name_server(ini: &Ini, unit: String) -> Result<NameServer, String> {
    let has_debian = Path::new("/etc/bind").is_dir();
    let (file, list, directory) = if has_debian {
        ("/etc/bind/named.conf", "/etc/bind/named.luna.zones", "/var/cache/bind")
    } else {
        ("/etc/named.conf", "/etc/named.luna.zones", "/var/named")
    };
    let given =
        |key: &str, default: &str| whole(ini.get("DNS", key).unwrap_or(default), "DNS", key);
    let managed_keys = MANAGED_KEYS.iter().find(|path| Path::new(path).is_dir());
    let includes = INCLUDES.iter().filter(|path| Path::new(path).is_file());
    let directory = given("ZONE_DIRECTORY", directory)?;
    let text = |path: &Path| path.display().to_string();
    Ok(NameServer {
        unit,
        file: given("CONFIG_PATH", file)?,
        paths: Paths {
            directory: text(&directory),
            zones: text(&given("ZONES_PATH", list)?),
            includes: includes.map(|path| (*path).to_owned()).collect(),
            managed_keys: managed_keys.map(|path| (*path).to_owned()),
        },
        test: words(ini, "DNS", "TEST", "named-checkconf")?,
        test_zone: words(ini, "DNS", "TEST_ZONE", "named-checkzone")?,
    })
}

/// A path that means the same wherever the daemon stands, and that can be written into a file of another program.
fn whole(path: &str, section: &str, key: &str) -> Result<PathBuf, String> {
    let is_plain = !path.contains(['"', '\\', '\n', ';']);
    let path = Path::new(path);
    if path.is_absolute() && is_plain {
        return Ok(path.to_owned());
    }
    Err(format!("[{section}] {key} is '{}'; write a whole path", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<ServerSettings, String> {
        read(&Ini::parse(text).unwrap())
    }

    #[test]
    fn nothing_is_written_for_servers_that_nobody_names() {
        let settings = parsed("[DHCP]\nCONFIG_PATH = /etc/dhcp/dhcpd.conf\n").unwrap();
        assert!(settings.dhcp.is_none() && settings.dhcp6.is_none() && settings.dns.is_none());
        assert_eq!(settings.command, ["/usr/bin/systemctl"]);
    }

    #[test]
    fn defaults_are_those_of_the_program_that_is_named() {
        let text = "[SERVICES]\nDHCP = dhcpd\nDHCP6 = kea-dhcp6\nDNS = named\nCOMMAND = sudo systemctl\n[DHCP]\nTEST = /usr/sbin/dhcpd -t -cf\n";
        let settings = parsed(text).unwrap();
        let dhcp = settings.dhcp.clone().unwrap();
        assert_eq!((dhcp.template.as_str(), dhcp.unit.as_str()), (DHCPD, "dhcpd"));
        assert_eq!(dhcp.test, ["/usr/sbin/dhcpd", "-t", "-cf"]);
        let dhcp6 = settings.dhcp6.clone().unwrap();
        assert_eq!(
            (dhcp6.template.as_str(), dhcp6.test.concat()),
            (KEA6, "kea-dhcp6-t".to_owned())
        );
        assert_eq!(settings.command, ["sudo", "systemctl"]);
        assert_eq!(settings.dns.clone().unwrap().unit, "named");
        let ours = settings.beside(true, true);
        assert!(ours.dhcp.is_none() && ours.dhcp6.is_some() && ours.dns.is_none());
    }

    #[test]
    fn files_can_be_left_to_others() {
        let settings = parsed("[SERVICES]\nDHCP = dhcpd\nDNS = named\nWRITE_FILES = no\n").unwrap();
        assert!(settings.dhcp.is_none() && settings.dns.is_none());
        for (text, is_ours) in [
            ("", true),
            ("[SERVICES]\nDHCP6 = dhcpd6\n", true),
            ("[SERVICES]\nDHCP6 = dhcpd6\nWRITE_FILES = no\n", false),
        ] {
            assert_eq!(parsed(text).unwrap().is_dhcp6_ours(), is_ours, "{text}");
        }
    }

    #[test]
    fn what_would_do_harm_or_nothing_is_refused_with_its_place() {
        for (text, expected) in [
            ("[SERVICES]\nDHCP = --now\n", "[SERVICES] DHCP is '--now'"),
            ("[SERVICES]\nDNS = named; reboot\n", "[SERVICES] DNS"),
            (
                "[SERVICES]\nDHCP = dhcpd\n[DHCP]\nCONFIG_PATH = dhcpd.conf\n",
                "[DHCP] CONFIG_PATH is 'dhcpd.conf'",
            ),
            ("[SERVICES]\nDHCP = dhcpd\n[DHCP]\nTEMPLATE = ../../etc/shadow\n", "[DHCP] TEMPLATE"),
            (
                "[SERVICES]\nDNS = named\n[DNS]\nZONE_DIRECTORY = /var/\"named\n",
                "[DNS] ZONE_DIRECTORY",
            ),
            ("[DHCP]\nOMAPIKEY = a\"; }\n", "no base64"),
            ("[DHCP]\nTSIGKEY = aGVs\nTSIGALGO = a b\n", "[DHCP] TSIGALGO"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
