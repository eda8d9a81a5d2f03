//! Where machines find the controller: what every script tells them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use perilune_model::controller::{Controller, DEFAULT_PORT};
use perilune_model::{Addresses, Cluster};
use perilune_plan::OtherController;

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
    /// `[WEBSERVER] PROTOCOL`; where boot scripts are when nothing else serves files.
    pub web_protocol: Protocol,
    /// `[WEBSERVER] PORT`; where boot scripts are when nothing else serves files.
    pub web_port: u16,
    /// How firmware and iPXE ask for boot scripts. They know no certificate of a site, so it is http wherever the daemon speaks it.
    pub boot_protocol: Protocol,
    /// Where they do: a port of the daemon's own if any will do, since a proxy hides who asks.
    pub boot_port: u16,
    /// Where firmware and iPXE fetch kernels and programs: where nodes fetch files, unless that is https and scripts are not.
    pub firmware_files: (Protocol, u16),
    /// `[API] VERIFY_CERTIFICATE`, word for word.
    pub verify_certificate: String,
    /// The SHA-256 of the certificate that machines are shown at the API's port, in hexadecimal digits; none where another program speaks
    /// TLS there, or nothing does.
    pub certificate: Option<String>,
    /// The SHA-256 of that certificate's public key, in base64: what `curl --pinnedpubkey` takes.
    pub public_key: Option<String>,
    /// What time it is here, in seconds since 1970; 0 where nobody says.
    pub time: u64,
    /// Controllers that do the same, where machines go on when this one is gone.
    pub others: Vec<OtherController>,
    /// Where firmware and iPXE find the scripts of those: what [`Self::boot_url`] is of this one.
    pub other_boots: Vec<String>,
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
    /// `[API] FIRMWARE_PORT`: where the daemon answers firmware and iPXE by http, and nobody else.
    pub firmware_port: Option<u16>,
    /// What the daemon speaks at which of its addresses. Where nothing is said, it is at the port that the cluster says.
    pub listen: Vec<(Protocol, SocketAddr)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_protocol: Protocol::Http,
            verify_certificate: "no".to_owned(),
            web_server: None,
            firmware_port: None,
            listen: Vec::new(),
        }
    }
}

impl Settings {
    /// What is spoken at which port of the controller's address. What is listened on at other addresses, such as the loopback's, no
    /// machine reaches; where nothing else is, another program passes on what comes from machines.
    fn reached_at(&self, controller: IpAddr) -> Vec<(Protocol, u16)> {
        let is_reached = |address: &SocketAddr| {
            let own = address.ip();
            own == controller || own.is_unspecified() && (own.is_ipv6() || controller.is_ipv4())
        };
        let all = || self.listen.iter();
        let any = all().any(|(_, address)| is_reached(address));
        let reached = all().filter(|(_, address)| !any || is_reached(address));
        reached.map(|(protocol, address)| (*protocol, address.port())).collect()
    }

    /// The port of the API: the one that the cluster says, if it is listened on, else one that is.
    fn api_port(&self, listen: &[(Protocol, u16)], stored: u16) -> u16 {
        let spoken = || listen.iter().filter(|(protocol, _)| *protocol == self.api_protocol);
        if listen.is_empty() || spoken().any(|(_, port)| *port == stored) {
            return stored;
        }
        // The port of files is the last choice: another server may be meant to be there.
        let of_files = |port: u16| self.web_server.is_some_and(|(_, files)| files == port);
        let found = spoken().find(|(_, port)| !of_files(*port)).or_else(|| spoken().next());
        found.map_or(stored, |(_, port)| *port)
    }

    /// Where boot scripts are fetched from.
    fn boot_server(&self, listen: &[(Protocol, u16)], api_port: u16) -> (Protocol, u16) {
        let api = (self.api_protocol, api_port);
        if self.api_protocol == Protocol::Http {
            return api;
        }
        let own = || listen.iter().filter(|(protocol, _)| *protocol == Protocol::Http);
        let of_files = self.web_server;
        let for_firmware = self.firmware_port.map(|port| (Protocol::Http, port));
        let found = own().find(|own| Some(**own) == for_firmware);
        let found = found.or_else(|| own().find(|own| Some(**own) == of_files));
        let found = found.or_else(|| own().next());
        found.copied().or(for_firmware).or(of_files).unwrap_or(api)
    }
}

impl Environment {
    /// As the cluster's controllers are: machines are sent to the beacon, to its IPv6 address where it has one.
    pub fn of(cluster: &Cluster, settings: &Settings) -> Self {
        Self::for_machine(cluster, settings, None)
    }

    /// The same for a machine at this address. In a network without IPv6 it is sent to the IPv4 address: it would never reach the other.
    pub fn for_machine(cluster: &Cluster, settings: &Settings, at: Option<IpAddr>) -> Self {
        let beacon = cluster.beacon();
        let own = at.filter(IpAddr::is_ipv4).and_then(|at| cluster.network_of(at));
        let lacks_ipv6 = own.is_some_and(|network| network.ipv6.is_none());
        let advertised = |addresses: &Addresses| {
            let (ipv4, ipv6) = (addresses.ipv4.map(IpAddr::V4), addresses.ipv6.map(IpAddr::V6));
            if lacks_ipv6 { ipv4.or(ipv6) } else { ipv6.or(ipv4) }
        };
        let address = beacon.and_then(|beacon| advertised(&beacon.addresses)).unwrap_or(FALLBACK);
        let stored = beacon.map_or(DEFAULT_PORT, |beacon| beacon.serverport);
        Self::at(cluster, settings, (address, stored))
    }

    /// The same for the controller at this address, whose API is at this port unless something else is listened on.
    pub fn at(cluster: &Cluster, settings: &Settings, (address, stored): (IpAddr, u16)) -> Self {
        let listen = settings.reached_at(address);
        let port = settings.api_port(&listen, stored);
        let boot = settings.boot_server(&listen, port);
        // Archives need a token, which is shown to nobody where only firmware is answered.
        let is_for_firmware =
            boot.0 == Protocol::Http && settings.firmware_port == Some(boot.1) && boot.1 != port;
        let usual = if is_for_firmware { (settings.api_protocol, port) } else { boot };
        let (web_protocol, web_port) = settings.web_server.unwrap_or(usual);
        let firmware_files = match (web_protocol, boot.0) {
            (Protocol::Https, Protocol::Http) if is_for_firmware => boot,
            _ => (web_protocol, web_port),
        };
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
            boot_protocol: boot.0,
            boot_port: boot.1,
            firmware_files,
            verify_certificate: settings.verify_certificate.clone(),
            certificate: None,
            public_key: None,
            time: 0,
            others: Vec::new(),
            other_boots: Vec::new(),
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
            boot_protocol: Protocol::Http,
            boot_port: port,
            firmware_files: (Protocol::Http, port),
            verify_certificate: "no".to_owned(),
            certificate: None,
            public_key: None,
            time: 0,
            others: Vec::new(),
            other_boots: Vec::new(),
        }
    }

    /// What `luna.url` is: where the API answers, without a slash at the end.
    pub fn api_url(&self) -> String {
        url(self.api_protocol, self.controller, self.api_port)
    }

    /// Where files are fetched from, without a slash at the end.
    pub fn web_url(&self) -> String {
        url(self.web_protocol, self.controller, self.web_port)
    }

    /// Where firmware and iPXE fetch files from, without a slash at the end.
    pub fn firmware_files_url(&self) -> String {
        url(self.firmware_files.0, self.controller, self.firmware_files.1)
    }

    /// Where boot scripts are fetched from, without a slash at the end.
    pub fn boot_url(&self) -> String {
        url(self.boot_protocol, self.controller, self.boot_port)
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

    /// `http:7051` is a port and what is spoken there.
    fn place(text: &str) -> (Protocol, u16) {
        let (protocol, port) = text.split_once(':').unwrap();
        let protocol = if protocol == "https" { Protocol::Https } else { Protocol::Http };
        (protocol, port.parse().unwrap())
    }

    /// What is spoken at an address; one without an address is at all of them.
    fn listened(text: &str) -> (Protocol, SocketAddr) {
        let (protocol, address) = text.split_once(':').unwrap();
        let protocol = if protocol == "https" { Protocol::Https } else { Protocol::Http };
        let address = match address.parse() {
            Ok(port) => (Ipv4Addr::UNSPECIFIED, port).into(),
            Err(_) => address.parse().unwrap(),
        };
        (protocol, address)
    }

    #[test]
    fn machines_are_sent_to_the_port_that_is_listened_on_and_for_scripts_to_one_that_speaks_http() {
        // What [API] PROTOCOL and [WEBSERVER] say, what is listened on; where the API, the scripts and the files are then. The cluster
        // says 7050.
        for (api, files, listen, expected) in [
            ("http", "", "", "http:7050 http:7050 http:7050"),
            ("http", "", "http:7050", "http:7050 http:7050 http:7050"),
            ("http", "", "http:9000", "http:9000 http:9000 http:9000"),
            ("http", "", "http:9000 http:7050", "http:7050 http:7050 http:7050"),
            // A proxy in front: the daemon's own port, where that speaks http.
            ("http", "http:7051", "http:7050", "http:7050 http:7050 http:7051"),
            ("http", "http:7051", "http:7051 http:9000", "http:9000 http:9000 http:7051"),
            ("http", "http:7051", "http:7051", "http:7051 http:7051 http:7051"),
            ("https", "http:7051", "https:7050", "https:7050 http:7051 http:7051"),
            ("https", "http:7051", "https:7050 http:8080", "https:7050 http:8080 http:7051"),
            (
                "https",
                "http:7051",
                "http:8080 http:7051 https:7050",
                "https:7050 http:7051 http:7051",
            ),
            ("https", "https:7051", "https:7050 http:8080", "https:7050 http:8080 https:7051"),
            ("https", "", "https:7050 http:7051", "https:7050 http:7051 http:7051"),
            ("https", "", "http:7051 https:7443", "https:7443 http:7051 http:7051"),
            ("https", "", "https:7443", "https:7443 https:7443 https:7443"),
            // Another program speaks https in front of the daemon.
            ("https", "", "http:8080", "https:7050 http:8080 http:8080"),
            // What is listened on at the loopback or in another network, no machine at the controller's address (10.141.255.254) reaches.
            ("https", "", "https:7050 http:127.0.0.1:8080", "https:7050 https:7050 https:7050"),
            (
                "https",
                "http:7051",
                "https:7050 http:127.0.0.1:8080",
                "https:7050 http:7051 http:7051",
            ),
            (
                "https",
                "",
                "https:7050 http:127.0.0.1:8080 http:10.141.255.254:8081",
                "https:7050 http:8081 http:8081",
            ),
            (
                "http",
                "",
                "http:127.0.0.1:7050 http:10.141.255.254:7060",
                "http:7060 http:7060 http:7060",
            ),
            ("http", "", "http:192.168.1.1:7050 http:[::]:7060", "http:7060 http:7060 http:7060"),
            // Everything comes through another program.
            ("http", "http:7051", "http:127.0.0.1:7050", "http:7050 http:7050 http:7051"),
        ] {
            let listen = listen.split_whitespace().map(listened).collect();
            let settings = Settings {
                api_protocol: place(&format!("{api}:0")).0,
                web_server: (!files.is_empty()).then(|| place(files)),
                listen,
                ..Settings::default()
            };
            let found = Environment::of(&Cluster::default(), &settings);
            let found = format!(
                "{}:{} {}:{} {}:{}",
                found.api_protocol,
                found.api_port,
                found.boot_protocol,
                found.boot_port,
                found.web_protocol,
                found.web_port
            );
            assert_eq!(found, expected, "{api} {files} {:?}", settings.listen);
        }
    }
}
