//! Where a request comes from. A proxy is believed about whom it speaks for where the configuration names it, and nowhere else: any user
//! of a machine can send any header.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

const FORWARDED: &str = "x-forwarded-for";
/// Only the machine's own root can send from a port below.
const UNPRIVILEGED: u16 = 1024;
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    /// The machine that asks: the other end of the connection, or whom a named proxy speaks for.
    pub(crate) address: IpAddr,
    /// The port that it asks from; `None` when the proxy does not tell.
    port: Option<u16>,
    /// The other end of the connection.
    connected: SocketAddr,
    /// Whether a proxy speaks for somebody.
    is_forwarded: bool,
}

impl Source {
    /// Whether nobody but the root of the asking machine can have asked.
    pub(crate) fn is_privileged(&self) -> bool {
        self.port.is_some_and(|port| (1..UNPRIVILEGED).contains(&port))
    }

    /// Whether this may be anybody: a proxy on this machine that says nothing, and a program of this machine, look alike.
    pub(crate) fn is_anybody(&self) -> bool {
        self.address.is_loopback()
    }

    /// The other end of the connection, where that is a program of this machine that speaks for itself.
    pub(crate) fn neighbour(&self) -> Option<SocketAddr> {
        (self.connected.ip().is_loopback() && !self.is_forwarded).then_some(self.connected)
    }

    /// Whether a proxy that is believed says who asks.
    pub(crate) fn is_told(&self) -> bool {
        self.address != self.connected.ip()
    }

    /// One through a believed proxy of this machine, or one that is not forwarded.
    #[cfg(test)]
    pub(crate) fn for_test(connected: &str, client: Option<&str>) -> Self {
        let mut headers = HeaderMap::new();
        if let Some(client) = client.and_then(|client| client.parse().ok()) {
            headers.insert(FORWARDED, client);
        }
        let proxies = [IpNet::from(LOOPBACK.ip())];
        Self::of(connected.parse().expect("an address"), &headers, &proxies)
    }

    fn of(connected: SocketAddr, headers: &HeaderMap, proxies: &[IpNet]) -> Self {
        let connected = SocketAddr::new(connected.ip().to_canonical(), connected.port());
        let own = Self {
            address: connected.ip(),
            port: Some(connected.port()),
            connected,
            is_forwarded: headers.contains_key(FORWARDED),
        };
        if !proxies.iter().any(|proxy| proxy.contains(&connected.ip())) {
            return own;
        }
        // The proxy writes last, below or behind what its client wrote.
        let last = headers.get_all(FORWARDED).iter().next_back();
        let last = last.and_then(|line| line.to_str().ok()?.rsplit(',').next());
        match last.and_then(|last| client(last.trim())) {
            Some((address, port)) => Self { address: address.to_canonical(), port, ..own },
            // A proxy that does not say for whom it speaks: for anybody, and never for the root of its own machine.
            None => Self { port: None, ..own },
        }
    }
}

/// An address, alone or with a port as proxies write it.
fn client(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse() {
        return Some((address, None));
    }
    text.parse::<SocketAddr>().ok().map(|both| (both.ip(), Some(both.port())))
}

/// Notes the source of a request, once for all that ask for it.
pub(super) fn note(request: &mut Request, proxies: &[IpNet]) {
    let connected = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let connected = connected.map_or(LOOPBACK, |ConnectInfo(connected)| *connected);
    let source = Source::of(connected, request.headers(), proxies);
    request.extensions_mut().insert(source);
}

/// The source that was noted.
pub(super) fn of(parts: &Parts) -> Source {
    noted(&parts.extensions)
}

/// The source that was noted of a request.
pub(super) fn of_request(request: &Request) -> Source {
    noted(request.extensions())
}

fn noted(extensions: &Extensions) -> Source {
    let noted = extensions.get::<Source>().copied();
    noted.unwrap_or_else(|| Source::of(LOOPBACK, &HeaderMap::new(), &[]))
}

impl<S: Sync> FromRequestParts<S> for Source {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(of(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(connected: &str, lines: &[&str], proxies: &[&str]) -> Source {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED, line.parse().unwrap());
        }
        let proxies: Vec<IpNet> = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
        Source::of(connected.parse().unwrap(), &headers, &proxies)
    }

    fn address(connected: &str, lines: &[&str], proxies: &[&str]) -> String {
        source(connected, lines, proxies).address.to_string()
    }

    #[test]
    fn a_header_counts_from_a_named_proxy_alone() {
        let header = ["10.141.0.1"];
        assert_eq!(address("127.0.0.1:40000", &header, &[]), "127.0.0.1");
        assert_eq!(address("[::ffff:127.0.0.1]:40000", &header, &[]), "127.0.0.1");
        assert_eq!(address("10.141.0.9:40000", &header, &["127.0.0.0/8"]), "10.141.0.9");
        assert_eq!(address("127.0.0.1:40000", &header, &["127.0.0.1/32"]), "10.141.0.1");
        assert_eq!(address("[::ffff:127.0.0.1]:40000", &header, &["127.0.0.1/32"]), "10.141.0.1");
        assert_eq!(address("10.9.9.9:40000", &header, &["10.9.9.0/24"]), "10.141.0.1");
    }

    #[test]
    fn the_last_address_of_the_last_line_counts() {
        let proxies = ["127.0.0.1/32"];
        let of = |lines: &[&str]| address("127.0.0.1:40000", lines, &proxies);
        assert_eq!(of(&["10.141.0.1", "10.9.9.9"]), "10.9.9.9");
        assert_eq!(of(&["10.141.0.1, 10.9.9.9"]), "10.9.9.9");
        assert_eq!(of(&["10.141.0.1", "forged, 10.9.9.9 "]), "10.9.9.9");
        for nobody in ["", "unknown", "10.141.0.1,", "10.141.0.1, _hidden"] {
            let source = source("127.0.0.1:700", &["10.141.0.1", nobody], &proxies);
            assert!(source.is_anybody() && !source.is_privileged(), "{nobody}: {source:?}");
        }
    }

    #[test]
    fn only_ports_of_root_are_privileged() {
        assert!(source("10.141.0.1:1023", &[], &[]).is_privileged());
        assert!(!source("10.141.0.1:1024", &[], &[]).is_privileged());
        let through = |client: &str| source("127.0.0.1:700", &[client], &["127.0.0.1/32"]);
        assert!(!through("10.141.0.1").is_privileged(), "the port is the proxy's own");
        assert!(through("10.141.0.1:600").is_privileged());
        assert!(through("[fd00::1]:600").is_privileged());
        assert_eq!(through("[fd00::1]").address.to_string(), "fd00::1");
    }

    #[test]
    fn a_program_of_this_machine_speaks_for_itself_when_it_names_nobody() {
        assert!(source("127.0.0.1:40000", &[], &[]).neighbour().is_some());
        assert!(source("127.0.0.1:40000", &["10.141.0.1"], &[]).neighbour().is_none());
        assert!(source("10.141.0.1:40000", &[], &[]).neighbour().is_none());
    }
}
