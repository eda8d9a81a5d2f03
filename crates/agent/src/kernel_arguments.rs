//! The kernel's command line. It comes from a boot script that anybody on the network may have answered with, so
//! every value is checked before it is used.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use perilune_plan::OtherController;

use crate::mac::{MacAddress, NotAMac};
use crate::pinned::{Fingerprint, NotAFingerprint};

/// What the controller's certificate is told by.
const CERTIFICATE: &str = "perilune.certificate";

/// Controllers that do the same.
const OTHERS: &str = "perilune.others";

/// The words of a kernel command line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KernelArguments {
    words: Vec<(String, Option<String>)>,
}

/// What the command line says about an installation.
#[derive(Clone, PartialEq, Eq)]
pub struct Boot {
    pub node: String,
    pub hostname: String,
    /// Where the controller answers, without a slash at the end.
    pub url: String,
    /// Whether the controller has to prove who it is, where it speaks https.
    pub verify: bool,
    /// The certificate that the controller shows, where the boot script named it.
    pub certificate: Option<Fingerprint>,
    /// Controllers to go on with when that one is gone.
    pub others: Vec<OtherController>,
    /// The card that the machine boots from; any card with a link when unset.
    pub mac: Option<MacAddress>,
    pub addressing: Addressing,
    /// A node that shall wait for a person and install nothing.
    pub service: bool,
    pub ticket: Option<String>,
    /// What time it was on the controller when it made the boot script, in seconds since 1970.
    pub time: Option<u64>,
}

/// How the boot interface gets its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressing {
    Static { address: IpNet, gateway: Option<IpAddr> },
    Dhcp,
}

/// Why a command line cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "the kernel command line has no {0}; boot this machine through the controller's boot script"
    )]
    Missing(&'static str),
    #[error("the kernel argument {key} is '{value}', which is not {expected}")]
    Invalid { key: &'static str, value: String, expected: &'static str },
}

const LONGEST_NAME: usize = 253;

impl KernelArguments {
    /// Splits at blanks; double quotes keep a value together, as the kernel does it.
    pub fn parse(text: &str) -> Self {
        let mut words = Vec::new();
        let mut word = String::new();
        let mut is_quoted = false;
        for character in text.chars().chain([' ']) {
            match character {
                '"' => is_quoted = !is_quoted,
                blank if blank.is_whitespace() && !is_quoted => {
                    if !word.is_empty() {
                        words.push(split(&std::mem::take(&mut word)));
                    }
                }
                other => word.push(other),
            }
        }
        if !word.is_empty() {
            words.push(split(&word));
        }
        Self { words }
    }

    /// The value of the last argument of this name; empty when it has none.
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.words.iter().rev().find(|(name, _)| name == key)?;
        Some(found.1.as_deref().unwrap_or_default())
    }

    /// The UUID of the root, on a node that boots from its own disk.
    pub fn disk_root(&self) -> Result<Option<String>, Error> {
        const KEY: &str = "perilune.root";
        let Some(value) = self.get(KEY) else { return Ok(None) };
        let uuid = value.strip_prefix("UUID=").unwrap_or_default();
        let is_uuid = uuid.len() == 36 && uuid.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        if is_uuid {
            return Ok(Some(uuid.to_ascii_lowercase()));
        }
        Err(invalid(KEY, value, "UUID= and the UUID of a file system"))
    }

    /// What to install, from where.
    pub fn boot(&self) -> Result<Boot, Error> {
        let needed = |key: &'static str| self.filled(key).ok_or(Error::Missing(key));
        let node = needed("luna.node")?;
        if !is_name(node) {
            return Err(invalid("luna.node", node, "a name of letters, digits, '.', '-' and '_'"));
        }
        let hostname = self.filled("luna.hostname").unwrap_or(node);
        if !is_name(hostname) {
            return Err(invalid(
                "luna.hostname",
                hostname,
                "a name of letters, digits, '.', '-' and '_'",
            ));
        }
        let mac = self.filled("luna.mac").map(|text| {
            text.parse().map_err(|NotAMac| {
                invalid("luna.mac", text, "a hardware address such as 52:54:00:00:00:01")
            })
        });
        let word = |key: &str| perilune_plan::boolean(self.get(key)?);
        let certificate = self.filled(CERTIFICATE).map(|text| {
            let wrong = |NotAFingerprint| {
                invalid(CERTIFICATE, text, "the 64 hexadecimal digits of a SHA-256 fingerprint")
            };
            text.parse().map_err(wrong)
        });
        Ok(Boot {
            node: node.to_owned(),
            hostname: hostname.to_owned(),
            url: url(needed("luna.url")?)?,
            // Any other word counts as yes, as in the install script.
            verify: self.filled("luna.verifycert").is_some()
                && word("luna.verifycert") != Some(false),
            certificate: certificate.transpose()?,
            // What this program cannot read it can do without.
            others: self
                .filled(OTHERS)
                .into_iter()
                .flat_map(|text| text.split(','))
                .filter_map(other)
                .collect(),
            mac: mac.transpose()?,
            addressing: self.addressing()?,
            service: word("luna.service") == Some(true),
            ticket: self.filled("perilune.ticket").map(str::to_owned),
            time: self.filled("perilune.time").and_then(|text| text.parse().ok()),
        })
    }

    fn addressing(&self) -> Result<Addressing, Error> {
        let address = self.filled("luna.ip").unwrap_or("dhcp");
        if address == "dhcp" || self.get("luna.bootproto") == Some("dhcp") {
            return Ok(Addressing::Dhcp);
        }
        let parsed: Option<IpNet> = address.parse().ok().filter(|net: &IpNet| net.prefix_len() > 0);
        let parsed = parsed.ok_or_else(|| {
            invalid(
                "luna.ip",
                address,
                "'dhcp' or an address with its prefix length, such as 10.141.0.1/16",
            )
        })?;
        let gateway = self.filled("luna.gw").map(|text| {
            text.parse().map_err(|_not_an_address| invalid("luna.gw", text, "an IP address"))
        });
        Ok(Addressing::Static { address: parsed, gateway: gateway.transpose()? })
    }

    fn filled(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.is_empty())
    }
}

fn split(word: &str) -> (String, Option<String>) {
    match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (word.to_owned(), None),
    }
}

fn invalid(key: &'static str, value: &str, expected: &'static str) -> Error {
    Error::Invalid { key, value: value.chars().take(100).collect(), expected }
}

fn is_name(text: &str) -> bool {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    !text.starts_with('.')
        && !text.starts_with('-')
        && text.len() <= LONGEST_NAME
        && text.chars().all(is_plain)
}

fn other(word: &str) -> Option<OtherController> {
    let read = OtherController::read(word)?;
    Some(OtherController { url: url(&read.url).ok()?, ..read })
}

/// Names cannot be resolved in the initramfs of every distribution, so the controller is named by address.
fn url(text: &str) -> Result<String, Error> {
    const EXPECTED: &str = "http://ADDRESS:PORT or https://ADDRESS:PORT";
    let refused = || invalid("luna.url", text, EXPECTED);
    let (scheme, rest) = text.split_once("://").ok_or_else(refused)?;
    let authority = rest.trim_end_matches('/');
    let is_socket = authority.parse::<std::net::SocketAddr>().is_ok();
    let is_address = authority.parse::<std::net::Ipv4Addr>().is_ok()
        || authority
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
    let is_spoken = matches!(scheme, "http" | "https");
    if is_spoken && (is_socket || is_address) {
        Ok(format!("{scheme}://{authority}"))
    } else {
        Err(refused())
    }
}

impl fmt::Debug for Boot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Boot")
            .field("node", &self.node)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USUAL: &str = "root=luna luna.mac=52:54:00:00:00:01 luna.ip=10.141.0.1/16 luna.gw= \
                         luna.url=http://10.141.255.254:7050 luna.verifycert=no luna.node=node001 \
                         luna.hostname=node001.cluster luna.loghost=10.141.255.254 luna.service=0 \
                         perilune.ticket=abc.def console=ttyS0,115200 initrd=initrd.img boot=ramdisk\n";

    fn boot(text: &str) -> Result<Boot, Error> {
        KernelArguments::parse(text).boot()
    }

    #[test]
    fn the_boot_scripts_command_line_is_understood() {
        let boot = boot(USUAL).unwrap();
        assert_eq!((boot.node.as_str(), boot.hostname.as_str()), ("node001", "node001.cluster"));
        assert_eq!(boot.url, "http://10.141.255.254:7050");
        assert_eq!(boot.mac.unwrap().to_string(), "52:54:00:00:00:01");
        let address = "10.141.0.1/16".parse().unwrap();
        assert_eq!(boot.addressing, Addressing::Static { address, gateway: None });
        assert_eq!((boot.service, boot.ticket.as_deref()), (false, Some("abc.def")));
    }

    #[test]
    fn other_controllers_are_read_and_what_is_none_is_left_out() {
        let fingerprint = "ab".repeat(32);
        let word = format!(
            "http://10.141.255.253:7050,https://10.141.255.252:7050/{fingerprint},ftp://a,http://name:1"
        );
        let others = boot(&format!("{USUAL} perilune.others={word}")).unwrap().others;
        let read: Vec<_> = others.iter().map(OtherController::word).collect();
        assert_eq!(read, word.split(',').take(2).collect::<Vec<_>>());
        assert_eq!(boot(USUAL).unwrap().others, []);
    }

    #[test]
    fn a_controller_with_https_has_to_prove_itself_when_the_site_says_so() {
        let https = |verify: &str| {
            boot(&format!("{USUAL} luna.url=https://10.141.255.254:7050 luna.verifycert={verify}"))
        };
        assert_eq!(https("no").unwrap().url, "https://10.141.255.254:7050");
        let verified = ["no", "False", "0", "Off", ""].map(|word| https(word).unwrap().verify);
        assert_eq!(verified, [false; 5]);
        assert_eq!(
            ["yes", "True", "1", "ON", "else"].map(|word| https(word).unwrap().verify),
            [true; 5]
        );
    }

    #[test]
    fn the_certificate_that_the_boot_script_names_is_read_and_no_other_text_is_taken_for_one() {
        let digits = "0f".repeat(32);
        let named = boot(&format!("{USUAL} perilune.certificate={digits}")).unwrap();
        assert_eq!(named.certificate, digits.parse().ok());
        assert_eq!(boot(USUAL).unwrap().certificate, None);
        assert!(boot(&format!("{USUAL} perilune.certificate=0f0f")).is_err());
    }

    #[test]
    fn dhcp_ipv6_and_service_mode_are_understood() {
        let url = "luna.node=n luna.url=http://[fd00::1]:7050/";
        assert_eq!(boot(&format!("{url} luna.ip=dhcp")).unwrap().addressing, Addressing::Dhcp);
        let dhcp = boot(&format!("{url} luna.ip=10.0.0.1/8 luna.bootproto=dhcp")).unwrap();
        assert_eq!(dhcp.addressing, Addressing::Dhcp);
        let six =
            boot(&format!("{url} luna.ip=fd00::5/64 luna.gw=fd00::1 luna.service=1")).unwrap();
        assert_eq!(six.url, "http://[fd00::1]:7050");
        assert!(six.service);
        let gateway = Some("fd00::1".parse().unwrap());
        assert_eq!(
            six.addressing,
            Addressing::Static { address: "fd00::5/64".parse().unwrap(), gateway }
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = boot("quiet").unwrap_err().to_string();
        assert!(error.contains("no luna.node"), "{error}");
        for (word, part) in [
            ("luna.node=../../etc", "luna.node"),
            ("luna.url=ftp://10.0.0.1:7050", "https://ADDRESS:PORT"),
            ("luna.url=10.0.0.1:7050", "http://ADDRESS:PORT"),
            ("luna.url=http://controller:7050", "http://ADDRESS:PORT"),
            ("luna.mac=zz:54:00:00:00:01", "hardware address"),
            ("luna.ip=10.141.0.1", "prefix length"),
            ("luna.gw=router", "IP address"),
        ] {
            let error = boot(&format!("{USUAL} {word}")).unwrap_err().to_string();
            assert!(error.contains(part), "{word}: {error}");
        }
    }

    #[test]
    fn a_node_that_boots_from_its_disk_is_told_its_root() {
        let root = |text: &str| KernelArguments::parse(text).disk_root();
        let uuid = "0F4ac1cd-0000-4000-8000-000000000001";
        assert_eq!(root(&format!("rw perilune.root=UUID={uuid}")), Ok(Some(uuid.to_lowercase())));
        assert_eq!(root(USUAL), Ok(None));
        assert!(root("perilune.root=/dev/sda1").is_err());
    }

    #[test]
    fn quotes_keep_words_together() {
        let arguments = KernelArguments::parse("a=\"b c\" \"d=e f\" g  h=\"open i");
        assert_eq!(arguments.get("a"), Some("b c"));
        assert_eq!(arguments.get("d"), Some("e f"));
        assert_eq!(arguments.get("g"), Some(""));
        assert_eq!(arguments.get("h"), Some("open i "));
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,200}", key in "luna\\.[a-z]{1,8}", value in "\\PC{0,40}") {
            let arguments = KernelArguments::parse(&format!("{USUAL} {text} {key}={value}"));
            if let Ok(boot) = arguments.boot() {
                prop_assert!(!boot.node.contains('/') && boot.url.starts_with("http"));
            }
            arguments.disk_root().ok();
        }
    }
}
