//! Where the daemon listens, and what it speaks there.

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use perilune_boot::Protocol;

use super::Settings;

/// An address to listen on, such as `0.0.0.0:7050` or `https://0.0.0.0:7050`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// What is spoken there; unset, it is what the configuration says of the port.
    pub protocol: Option<Protocol>,
    /// The address.
    pub address: SocketAddr,
}

impl Listen {
    /// What is spoken there: on the port of `[WEBSERVER]` as that says, elsewhere as `[API]` says.
    pub(crate) fn protocol(&self, settings: &Settings) -> Protocol {
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
                "'{rest}' is no address with a port; write one such as 0.0.0.0:7050 or [::]:7050"
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
