//! Where machines find the controller: what every script tells them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use perilune_model::controller::{Controller, DEFAULT_PORT};
use perilune_model::{Addresses, Cluster};

/// The controller of a cluster that names none.
const FALLBACK: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 141, 255, 254));

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    Http,
    Https,
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// Where machines find the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The controller that machines are sent to.
    pub controller: IpAddr,
    /// The beacon controller: where nodes log to.
    pub beacon: IpAddr,
    /// The addresses of all controllers.
    pub controllers: Vec<IpAddr>,
    /// `[API] PROTOCOL`.
    pub api_protocol: Protocol,
    /// The port of the API.
    pub api_port: u16,
    /// `[WEBSERVER] PROTOCOL`; the API's when nothing else serves files.
    pub web_protocol: Protocol,
    /// `[WEBSERVER] PORT`; the API's when nothing else serves files.
    pub web_port: u16,
    /// `[API] VERIFY_CERTIFICATE`, word for word.
    pub verify_certificate: String,
}

/// What the configuration says about reaching the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `[API] PROTOCOL`.
    pub api_protocol: Protocol,
    /// `[API] VERIFY_CERTIFICATE`, word for word.
    pub verify_certificate: String,
    /// `[WEBSERVER] PROTOCOL` and `PORT`, where another server serves files.
    pub web_server: Option<(Protocol, u16)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { api_protocol: Protocol::Http, verify_certificate: "no".to_owned(), web_server: None }
    }
}

impl Environment {
    /// As the cluster's controllers are: machines are sent to the beacon, to its IPv6 address where it has one.
    pub fn of(cluster: &Cluster, settings: &Settings) -> Self {
        let beacon = cluster.beacon();
        let advertised = |addresses: &Addresses| {
            let ipv4 = addresses.ipv4.map(IpAddr::V4);
            addresses.ipv6.map(IpAddr::V6).or(ipv4)
        };
        let address = beacon.and_then(|beacon| advertised(&beacon.addresses)).unwrap_or(FALLBACK);
        let port = beacon.map_or(DEFAULT_PORT, |beacon| beacon.serverport);
        let (web_protocol, web_port) = settings.web_server.unwrap_or((settings.api_protocol, port));
        let all = |controller: &Controller| {
            let Addresses { ipv4, ipv6 } = controller.addresses;
            ipv6.map(IpAddr::V6).into_iter().chain(ipv4.map(IpAddr::V4))
        };
        Self {
            controller: address,
            beacon: address,
            controllers: cluster
                .controllers()
                .values()
                .flat_map(|controller| all(controller))
                .collect(),
            api_protocol: settings.api_protocol,
            api_port: port,
            web_protocol,
            web_port,
            verify_certificate: settings.verify_certificate.clone(),
        }
    }

    /// One controller that does everything on one port by HTTP.
    pub fn single(controller: IpAddr, port: u16) -> Self {
        Self {
            controller,
            beacon: controller,
            controllers: vec![controller],
            api_protocol: Protocol::Http,
            api_port: port,
            web_protocol: Protocol::Http,
            web_port: port,
            verify_certificate: "no".to_owned(),
        }
    }

    /// What `luna.url` is: where the API answers, without a slash at the end.
    pub fn api_url(&self) -> String {
        url(self.api_protocol, self.controller, self.api_port)
    }

    /// Where files and boot scripts are fetched from, without a slash at the end.
    pub fn web_url(&self) -> String {
        url(self.web_protocol, self.controller, self.web_port)
    }
}

fn url(protocol: Protocol, address: IpAddr, port: u16) -> String {
    match address {
        IpAddr::V4(address) => format!("{protocol}://{address}:{port}"),
        IpAddr::V6(address) => format!("{protocol}://[{address}]:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_controller_is_bracketed_in_addresses() {
        let environment = Environment::single("fd00:141::1".parse().unwrap(), 7050);
        assert_eq!(environment.api_url(), "http://[fd00:141::1]:7050");
    }
}
