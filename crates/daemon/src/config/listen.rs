//! Where the daemon listens, what it speaks there, and to whom.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use perilune_boot::Protocol;
use perilune_model::controller::DEFAULT_PORT;

use super::Settings;

/// Where a daemon without a configuration answers firmware.
const FIRMWARE_PORT: u16 = 7051;

/// An address to listen on, such as `0.0.0.0:7050` or `https://0.0.0.0:7050`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// What is spoken there; unset, it is what the configuration says of the port.
    pub protocol: Option<Protocol>,
    /// The address.
    pub address: SocketAddr,
}

impl Listen {
    fn new(protocol: Option<Protocol>, address: IpAddr, port: u16) -> Self {
        Self { protocol, address: SocketAddr::new(address, port) }
    }

    /// Everywhere: the API by https, and firmware by http.
    pub fn first_start() -> Vec<Self> {
        let everywhere = Ipv4Addr::UNSPECIFIED.into();
        vec![
            Self::new(Some(Protocol::Https), everywhere, DEFAULT_PORT),
            Self::new(Some(Protocol::Http), everywhere, FIRMWARE_PORT),
        ]
    }

    /// Where it is listened: as the command line says, or at the usual port. Firmware finds its port wherever https is spoken, unless
    /// the command line has a place for it already. Without a configuration (`None`), one is made that fits.
    pub(crate) fn wanted(given: &[Self], settings: Option<&Settings>) -> Vec<Self> {
        let Some(settings) = settings else {
            return if given.is_empty() { Self::first_start() } else { given.to_vec() };
        };
        let everywhere = [Self::new(None, Ipv4Addr::UNSPECIFIED.into(), DEFAULT_PORT)];
        let mut wanted = if given.is_empty() { everywhere.to_vec() } else { given.to_vec() };
        let Some(port) = settings.firmware_port else { return wanted };
        if wanted.iter().all(|listen| listen.address.port() != port) {
            let is_closed = |listen: &&Self| listen.protocol(settings) == Protocol::Https;
            let closed = wanted.iter().filter(is_closed);
            let mut places: Vec<IpAddr> = closed.map(|listen| listen.address.ip()).collect();
            places.sort_unstable();
            places.dedup();
            wanted.extend(places.into_iter().map(|place| Self::new(None, place, port)));
        }
        wanted
    }

    /// Whether firmware and iPXE alone are answered there.
    pub fn is_for_firmware(&self, settings: &Settings) -> bool {
        let is_told = settings.firmware_port == Some(self.address.port());
        is_told && self.protocol(settings) == Protocol::Http
    }

    /// What is spoken there: on the port of `[WEBSERVER]` as that says, http on that for firmware, elsewhere as `[API]` says.
    pub(crate) fn protocol(&self, settings: &Settings) -> Protocol {
        if self.protocol.is_none() && settings.firmware_port == Some(self.address.port()) {
            return Protocol::Http;
        }
        let of_files = settings.web_server.filter(|(_, port)| *port == self.address.port());
        let usual = of_files.map_or(settings.protocol, |(protocol, _)| protocol);
        self.protocol.unwrap_or(usual)
    }
}

impl Listen {
    /// Whether who goes to this address comes here.
    pub(crate) fn covers(&self, address: SocketAddr) -> bool {
        let own = self.address.ip();
        let is_both = own.is_unspecified() && (own.is_ipv6() || address.is_ipv4());
        self.address.port() == address.port() && (is_both || own == address.ip())
    }

    /// The address by which clients on this machine come here.
    pub(crate) fn endpoint(&self) -> SocketAddr {
        let own = self.address.ip();
        let ip = if own.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { own };
        SocketAddr::new(ip, self.address.port())
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self { protocol: None, address }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (protocol, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some(Protocol::Http), rest),
            Some(("https", rest)) => (Some(Protocol::Https), rest),
            Some((other, _)) => {
                return Err(format!("'{other}' is not spoken; write http or https"));
            }
            None => (None, text),
        };
        let address = rest.trim_end_matches('/').parse().ok();
        let address = address.ok_or_else(|| {
            format!(
                "'{rest}' is not an address with a port; write one such as 0.0.0.0:7050 or [::]:7050"
            )
        })?;
        Ok(Self { protocol, address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> Listen {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_may_say_what_is_spoken() {
        assert_eq!(listen("0.0.0.0:7050").protocol, None);
        assert_eq!(listen("http://0.0.0.0:7051").protocol, Some(Protocol::Http));
        let six = listen("https://[::]:7050/");
        assert_eq!(
            (six.protocol, six.address),
            (Some(Protocol::Https), "[::]:7050".parse().unwrap())
        );
    }

    #[test]
    fn a_bare_address_speaks_what_the_configuration_says_of_its_port() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("luna.ini");
        let text = "[API]\nUSERNAME = luna\nPASSWORD = luna\nSECRET_KEY = 0123\nPROTOCOL = https\n[WEBSERVER]\nPORT = 7051\nPROTOCOL = http\n";
        std::fs::write(&file, text).unwrap();
        let (settings, _) = Settings::read(&file, directory.path()).unwrap();
        let spoken = |text: &str| listen(text).protocol(&settings);
        assert_eq!(
            (spoken("0.0.0.0:7050"), spoken("0.0.0.0:7051")),
            (Protocol::Https, Protocol::Http)
        );
        assert_eq!(spoken("https://0.0.0.0:7051"), Protocol::Https, "what is said counts");
        assert_eq!(spoken("http://0.0.0.0:7050"), Protocol::Http);
    }

    #[test]
    fn firmware_finds_its_port_wherever_https_is_spoken() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("luna.ini");
        let of = |more: &str| {
            let text =
                format!("[API]\nUSERNAME = luna\nPASSWORD = luna\nSECRET_KEY = 0123\n{more}");
            std::fs::write(&file, text).unwrap();
            Settings::read(&file, directory.path()).unwrap().0
        };
        let made = of("PROTOCOL = https\nFIRMWARE_PORT = 7051\n");
        let wanted = |given: &[&str], settings: Option<&Settings>| {
            let given: Vec<Listen> = given.iter().map(|text| listen(text)).collect();
            let wanted = Listen::wanted(&given, settings);
            wanted.iter().map(|listen| listen.address.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(wanted(&[], None), ["0.0.0.0:7050", "0.0.0.0:7051"]);
        assert_eq!(wanted(&["10.0.0.1:80"], None), ["10.0.0.1:80"]);
        assert_eq!(wanted(&[], Some(&made)), ["0.0.0.0:7050", "0.0.0.0:7051"]);
        assert_eq!(
            wanted(&["10.0.0.1:7050", "127.0.0.1:7050", "http://127.0.0.1:80"], Some(&made)),
            ["10.0.0.1:7050", "127.0.0.1:7050", "127.0.0.1:80", "10.0.0.1:7051", "127.0.0.1:7051"]
        );
        assert_eq!(wanted(&["[::]:7050", "10.0.0.1:7051"], Some(&made)).len(), 2);
        assert_eq!(wanted(&["http://127.0.0.1:80"], Some(&made)), ["127.0.0.1:80"]);
        let plain = of("");
        assert_eq!(wanted(&[], Some(&plain)), ["0.0.0.0:7050"]);

        let is_for_firmware = |text: &str| listen(text).is_for_firmware(&made);
        assert!(is_for_firmware("0.0.0.0:7051") && is_for_firmware("http://[::]:7051"));
        assert!(!is_for_firmware("0.0.0.0:7050") && !is_for_firmware("https://0.0.0.0:7051"));
        assert!(!listen("0.0.0.0:7051").is_for_firmware(&plain));
    }

    #[test]
    fn clients_on_this_machine_come_where_it_is_listened() {
        for (text, endpoint) in [
            ("0.0.0.0:7050", "127.0.0.1:7050"),
            ("[::]:7050", "127.0.0.1:7050"),
            ("10.141.255.254:80", "10.141.255.254:80"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(listen(text).endpoint().to_string(), endpoint);
            assert!(listen(text).covers(listen(text).endpoint()), "{text}");
        }
        assert!(!listen("0.0.0.0:7051").covers(listen("127.0.0.1:7050").address));
        assert!(!listen("10.141.255.254:80").covers(listen("127.0.0.1:80").address));
    }

    #[test]
    fn what_is_no_address_is_refused_with_an_example() {
        for (text, part) in [
            ("ftp://0.0.0.0:21", "http or https"),
            ("controller:7050", "0.0.0.0:7050"),
            ("", "such as"),
        ] {
            let error = text.parse::<Listen>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
