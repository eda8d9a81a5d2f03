//! The servers that machines find before any HTTP: DHCP and TFTP, and answers to those that look for an IPv6 router.

mod peers;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::Ipv6Net;
use nix::ifaddrs::getifaddrs;
pub(crate) use peers::served;
use perilune_boot::{Environment, Protocol, tftp};
use perilune_dhcp::{Beginning, Observer, Policy, Server, Sighting, Site, v6};
use perilune_model::{Cluster, Family};
use perilune_ndp::{Prefixes, Responder, Rule};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::boots::Evidence;
use crate::clock;
use crate::config::Options;
use crate::error::Error;
use crate::leases::{LEASE_SECONDS, STRANGERS_LEASE_SECONDS};
use crate::own_addresses;
use crate::sightings::Sightings;
use crate::state::State;

/// As much as may wait to be noted: who is seen, and who begins to boot.
const WAITING: usize = 1024;
/// As many transfers by TFTP as may run at once on each interface.
const TRANSFERS: usize = 512;

/// Starts them on the interfaces that the command line names.
pub(crate) fn start(
    options: &Options,
    observers: Vec<Observer>,
    state: &State,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    observe(observers, state, tasks, stop);
    let mut listeners = Vec::new();
    if !options.dhcp_interfaces.is_empty() {
        serve_dhcp(options, state, &mut listeners, tasks, stop)?;
    }
    let others = state.settings.tftp_interfaces.iter();
    for interface in others.filter(|own| !options.dhcp_interfaces.contains(own)) {
        serve_files(interface, state, &mut listeners)?;
        answer_solicitations(interface, state, tasks, stop);
    }
    if listeners.is_empty() {
        return Ok(());
    }
    let root = state.settings.data_dir.join("tftp");
    std::fs::create_dir_all(&root).map_err(|source| crate::config::Error::File {
        path: root.clone(),
        action: "made",
        source,
    })?;
    let fallbacks = tftp::distribution_loaders();
    let settings =
        tftp::Settings { root, fallbacks, transfers: TRANSFERS, counters: state.metrics.tftp() };
    let server = tftp::Server::bind(&listeners, settings)?;
    tasks.spawn(server.run(stop.clone()));
    Ok(())
}

/// Adds where TFTP is to be served for machines that another DHCP server sends here. An interface may have addresses of one family alone.
fn serve_files(
    interface: &str,
    state: &State,
    listeners: &mut Vec<tftp::Listener>,
) -> Result<(), Error> {
    let has_ipv6 = has_ipv6_address(interface);
    match address_of(interface, &state.cluster.published()) {
        Ok(address) => {
            listeners.push(tftp_at(interface, address.into()));
            tracing::info!(interface, %address, "serving TFTP");
        }
        Err(_) if has_ipv6 => tracing::info!(interface, "serving TFTP by IPv6 alone"),
        Err(source) => {
            return Err(Error::Interface { interface: interface.to_owned(), source });
        }
    }
    if has_ipv6 {
        listeners.push(tftp_at(interface, Ipv6Addr::UNSPECIFIED.into()));
    }
    Ok(())
}

/// Serves DHCP, and answers those that look for an IPv6 router; adds where TFTP is to be served.
fn serve_dhcp(
    options: &Options,
    state: &State,
    listeners: &mut Vec<tftp::Listener>,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let (sightings, strangers) = mpsc::channel(WAITING);
    let peers = watch::Sender::new(Arc::default());
    let site = Site {
        cluster: state.cluster.subscribe(),
        leases: state.leases.table(),
        store: state.leases.storage(),
        peers: peers.subscribe(),
        sightings,
        clock: clock::steady_milliseconds,
        counters: state.metrics.dhcp(),
    };
    tasks.spawn(note(strangers, state.sightings.clone()));
    if state.controllers.is_shared() {
        tasks.spawn(peers::follow(state.clone(), peers, stop.clone()));
    }
    for interface in &options.dhcp_interfaces {
        let failed = |source| Error::Interface { interface: interface.clone(), source };
        let cluster = state.cluster.published();
        // An interface without an IPv4 address may have one of IPv6.
        let has_ipv6 = !state.settings.servers.has_dhcp6
            && serve_ipv6(interface, state, &site, tasks, stop)
                .map(|()| has_ipv6_address(interface))
                // Machines boot by IPv4 without it.
                .inspect_err(
                    |error| tracing::warn!(interface, %error, "DHCPv6 cannot be served here"),
                )
                .unwrap_or(false);
        listeners.push(tftp_at(interface, Ipv6Addr::UNSPECIFIED.into()));
        answer_solicitations(interface, state, tasks, stop);
        let address = match address_of(interface, &cluster) {
            Ok(address) => address,
            Err(error) if has_ipv6 => {
                tracing::info!(interface, %error, "DHCP is served there by IPv6 alone");
                continue;
            }
            Err(error) => return Err(failed(error)),
        };
        let environment = state.environment(&cluster);
        let policy = Policy {
            server: address,
            url: boot_url(&environment, address.into(), &state.listen),
            api_url: environment.api_url(),
            lease_seconds: LEASE_SECONDS,
            strangers_lease_seconds: STRANGERS_LEASE_SECONDS,
            peers: Arc::default(),
        };
        let server = Server::bind(interface, policy).map_err(failed)?;
        tasks.spawn(server.run(site.clone(), stop.clone()));
        listeners.push(tftp_at(interface, address.into()));
        tracing::info!(interface, %address, "serving DHCP and TFTP");
        if let Some(idle) = idle(interface, &state.cluster.published()) {
            tracing::warn!("{idle}");
        }
    }
    Ok(())
}

/// Serves DHCPv6 on an interface. It is silent there until we have an address of a network of the cluster.
fn serve_ipv6(
    interface: &str,
    state: &State,
    site: &Site,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> std::io::Result<()> {
    let (cluster, listen) = (state.cluster.clone(), state.listen.clone());
    let (boot, inventories) = (state.clone(), state.inventories.clone());
    let url = move |address: Ipv6Addr| {
        let environment = boot.environment(&cluster.published());
        boot_url(&environment, address.into(), &listen)
    };
    let settings = v6::Settings {
        url: Arc::new(url),
        node_of: Arc::new(move |number| inventories.node_of(number)),
        lease_seconds: LEASE_SECONDS,
        strangers_lease_seconds: STRANGERS_LEASE_SECONDS,
    };
    let server = v6::Server::bind(interface, settings)?;
    tasks.spawn(server.run(site.clone(), stop.clone()));
    Ok(())
}

fn tftp_at(interface: &str, address: IpAddr) -> tftp::Listener {
    let address = (address, tftp::PORT).into();
    tftp::Listener { address, interface: Some(interface.to_owned()) }
}

/// Where machines on an interface fetch their first script: at the address that answers them, unless only other addresses are listened on.
fn boot_url(
    environment: &Environment,
    address: IpAddr,
    listen: &[(Protocol, SocketAddr)],
) -> String {
    let at_port = || listen.iter().filter(|(_, own)| own.port() == environment.boot_port);
    let is_here = |own: &SocketAddr| {
        let any = own.ip().is_unspecified() && (own.is_ipv6() || address.is_ipv4());
        own.ip() == address || any
    };
    // Where nothing of ours is at the port, another program is, and may be at any address.
    if at_port().next().is_none() || at_port().any(|(_, own)| is_here(own)) {
        let place = SocketAddr::new(address, environment.boot_port);
        format!("{}://{place}", environment.boot_protocol)
    } else {
        environment.boot_url()
    }
}

/// What sees boots begin, also where another server answers the machines; none where that cannot be.
pub(crate) fn observers(options: &Options, cluster: &Cluster) -> Vec<Observer> {
    let interfaces = if options.dhcp_interfaces.is_empty() {
        interfaces_of(cluster).unwrap_or_default()
    } else {
        options.dhcp_interfaces.clone()
    };
    if interfaces.is_empty() {
        return Vec::new();
    }
    let opened = Family::BOTH.map(|family| Observer::open(&interfaces, family));
    let opened = opened.into_iter().filter_map(|opened| match opened {
        Ok(observer) => Some(observer),
        Err(error) => {
            tracing::warn!(
                %error,
                "the DHCP requests of firmware cannot be observed, so they are no evidence of a boot. Give this program CAP_NET_RAW"
            );
            None
        }
    });
    opened.collect()
}

/// Expects the boots that they see begin.
fn observe(
    observers: Vec<Observer>,
    state: &State,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) {
    if !state.boots.accepts(Evidence::Dhcp) || observers.is_empty() {
        return;
    }
    let (told, beginnings) = mpsc::channel(WAITING);
    for observer in observers {
        tasks.spawn(observer.run(state.cluster.subscribe(), told.clone(), stop.clone()));
    }
    tasks.spawn(expect(beginnings, state.clone()));
}

/// The interfaces on which this machine has an address of a network of the cluster.
pub(crate) fn interfaces_of(cluster: &Cluster) -> std::io::Result<Vec<String>> {
    let on_network = getifaddrs()?.filter(|known| {
        let address = own_addresses::address_of(known);
        address.is_some_and(|address| cluster.network_of(address).is_some())
    });
    let names: BTreeSet<String> = on_network.map(|known| known.interface_name).collect();
    Ok(names.into_iter().collect())
}

async fn expect(mut beginnings: mpsc::Receiver<Beginning>, state: State) {
    while let Some(Beginning { mac, chosen }) = beginnings.recv().await {
        let cluster = state.cluster.published();
        if let Some((node, _)) = cluster.node_by_mac(mac) {
            state.boots.expect(&node.name, Evidence::Dhcp, chosen);
        }
    }
}

/// Machines boot without this, too, but slowly: that it cannot be done stops nothing else.
fn answer_solicitations(
    interface: &str,
    state: &State,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) {
    let rule = match state.settings.router_advertisements {
        Some(false) => return,
        Some(true) => Rule::Always,
        None => Rule::UnlessRouter,
    };
    let (cluster, name) = (state.cluster.clone(), interface.to_owned());
    let is_ours = state.settings.servers.is_dhcp6_ours();
    let prefixes: Prefixes =
        Arc::new(move || if is_ours { by_dhcp(&cluster.published(), &name) } else { Vec::new() });
    match Responder::open(interface, rule, prefixes) {
        Ok(responder) => {
            tasks.spawn(responder.run(stop.clone()));
        }
        Err(error) => tracing::warn!(
            interface,
            %error,
            "IPv6 router solicitations cannot be answered: iPXE waits about 15 s for a router at each boot. Give this program \
             CAP_NET_RAW, or set ROUTER_ADVERTISEMENTS = no in [DHCP] of luna.ini"
        ),
    }
}

/// The IPv6 networks on the wire of an interface whose addresses come by DHCP: those in which we have an address there.
fn by_dhcp(cluster: &Cluster, interface: &str) -> Vec<Ipv6Net> {
    let own = cluster.own_addresses().iter().filter(|(_, known)| *known == interface);
    let networks = own.filter_map(|(address, _)| cluster.network_of(*address));
    let served = networks.filter(|network| network.dhcp).filter_map(|network| network.ipv6);
    let unique: BTreeSet<Ipv6Net> = served.collect();
    unique.into_iter().collect()
}

/// Why machines of a network on this interface get an address and no further: it has IPv6 alone, and the API is not reached by that.
pub(crate) fn unheard(
    interface: &str,
    cluster: &Cluster,
    listen: &[(Protocol, SocketAddr)],
) -> Option<String> {
    let is_heard = |(_, own): &(Protocol, SocketAddr)| own.is_ipv6() && !own.ip().is_loopback();
    if listen.iter().any(is_heard) {
        return None;
    }
    let own = cluster.own_addresses().iter().filter(|(_, known)| *known == interface);
    let mut networks = own.filter_map(|(address, _)| cluster.network_of(*address));
    let network = networks.find(|network| network.dhcp && network.ipv4.is_none())?;
    Some(format!(
        "machines of network {} on {interface} have IPv6 alone, and the daemon listens by IPv4 alone: they get an address and no further. \
         Start it with --listen '[::]:7050' (docs/dhcp.md)",
        network.name
    ))
}

/// Whether an interface has an address of IPv6 that others know.
fn has_ipv6_address(interface: &str) -> bool {
    let own = getifaddrs().into_iter().flatten().filter(|own| own.interface_name == interface);
    own.filter_map(|own| own_addresses::address_of(&own)).any(|address| address.is_ipv6())
}

/// Why nobody who asks on this interface is served, unless through a relay; none when it is as it should be.
pub(crate) fn idle(interface: &str, cluster: &Cluster) -> Option<String> {
    match address_of(interface, cluster) {
        Ok(address) => idle_at(interface, address, cluster),
        Err(_) if !by_dhcp(cluster, interface).is_empty() => None,
        Err(error) => Some(format!("DHCP is to be served on {interface}: {error}")),
    }
}

fn idle_at(interface: &str, address: Ipv4Addr, cluster: &Cluster) -> Option<String> {
    let Some(network) = cluster.network_of(IpAddr::V4(address)) else {
        return Some(format!(
            "DHCP is served on {interface}, and its address {address} is in no network of the cluster: no machine there is answered. \
             Give it an address of a network, or add its network with perilune network add"
        ));
    };
    let name = &network.name;
    (!network.dhcp).then(|| {
        format!(
            "DHCP is served on {interface} ({address}), and network {name} has DHCP off: no machine there is answered. \
             Do: perilune network change {name} --dhcp yes, or leave out --dhcp-interface {interface}"
        )
    })
}

/// Our address on an interface: a controller's where it has one, else its first.
fn address_of(interface: &str, cluster: &Cluster) -> std::io::Result<Ipv4Addr> {
    let mut found: Vec<Ipv4Addr> = Vec::new();
    let mut exists = false;
    for known in getifaddrs()?.filter(|known| known.interface_name == interface) {
        exists = true;
        let address = known.address.as_ref().and_then(|address| address.as_sockaddr_in());
        found.extend(address.map(nix::sys::socket::SockaddrIn::ip));
    }
    let is_controllers = |address: &&Ipv4Addr| {
        let mut controllers = cluster.controllers().values();
        controllers.any(|controller| controller.addresses.ipv4 == Some(**address))
    };
    let chosen = found.iter().find(is_controllers).or(found.first()).copied();
    chosen.ok_or_else(|| {
        let reason = if exists {
            format!("the interface {interface} has no IPv4 address; give it one")
        } else {
            format!("there is no interface {interface}; `ip link` lists those there are")
        };
        std::io::Error::other(reason)
    })
}

/// Notes strangers; all that wait together at once.
async fn note(mut strangers: mpsc::Receiver<Sighting>, sightings: Sightings) {
    let mut heard = Vec::with_capacity(WAITING);
    while strangers.recv_many(&mut heard, WAITING).await > 0 {
        sightings.heard(heard.drain(..), clock::milliseconds());
    }
}

#[cfg(test)]
mod tests {
    use perilune_model::network::Network;
    use perilune_model::{Draft, Name};

    use super::*;

    fn cluster(dhcp: bool) -> Cluster {
        let mut draft = Draft::new(&Cluster::default());
        let network = Network {
            name: Name::trusted("cluster"),
            ipv4: Some("10.141.0.0/16".parse().unwrap()),
            dhcp,
            ..Network::default()
        };
        draft.put(network).unwrap();
        draft.finish().0
    }

    #[test]
    fn machines_are_not_sent_to_an_address_that_is_not_listened_on() {
        let environment = Environment::single([10, 141, 255, 254].into(), 7050);
        for (listen, expected) in [
            (&[][..], "http://10.148.0.1:7050"),
            (&["0.0.0.0:7050"], "http://10.148.0.1:7050"),
            (&["[::]:7050"], "http://10.148.0.1:7050"),
            (&["10.141.255.254:7050", "10.148.0.1:7050"], "http://10.148.0.1:7050"),
            (&["10.141.255.254:7050"], "http://10.141.255.254:7050"),
            (&["127.0.0.1:7050", "10.148.0.1:7051"], "http://10.141.255.254:7050"),
            (&["127.0.0.1:9000"], "http://10.148.0.1:7050"),
        ] {
            let listen: Vec<(Protocol, SocketAddr)> =
                listen.iter().map(|own| (Protocol::Http, own.parse().unwrap())).collect();
            assert_eq!(
                boot_url(&environment, [10, 148, 0, 1].into(), &listen),
                expected,
                "{listen:?}"
            );
        }
        let by_ipv6 = |listen: &str| {
            let listen = [(Protocol::Http, listen.parse().unwrap())];
            boot_url(&environment, "fd00:141::fe".parse().unwrap(), &listen)
        };
        assert_eq!(by_ipv6("[::]:7050"), "http://[fd00:141::fe]:7050");
        assert_eq!(by_ipv6("0.0.0.0:7050"), "http://10.141.255.254:7050");
    }

    #[test]
    fn a_network_with_ipv6_alone_needs_a_daemon_that_is_reached_by_it() {
        let mut draft = Draft::new(&Cluster::default());
        let network = Network {
            name: Name::trusted("six"),
            ipv6: "fd00:6::/64".parse().ok(),
            dhcp: true,
            ..Network::default()
        };
        draft.put(network).unwrap();
        let mut cluster = draft.finish().0;
        let at = |cluster: &Cluster, listen: &str| {
            unheard("eth1", cluster, &[(Protocol::Http, listen.parse().unwrap())])
        };
        assert_eq!(at(&cluster, "0.0.0.0:7050"), None, "we are not in it");
        cluster.set_own_addresses([("fd00:6::fe".parse().unwrap(), "eth1".to_owned())]);
        let told = at(&cluster, "0.0.0.0:7050").unwrap();
        assert!(told.contains("network six on eth1") && told.contains("--listen"), "{told}");
        assert!(at(&cluster, "[::1]:7050").is_some(), "nobody else reaches that");
        assert_eq!(at(&cluster, "[::]:7050"), None);
        assert_eq!(at(&cluster, "[fd00:6::fe]:7050"), None);
    }

    #[test]
    fn an_interface_on_which_nobody_is_served_is_told() {
        let at = |address: [u8; 4], dhcp| idle_at("eth1", address.into(), &cluster(dhcp));
        assert_eq!(at([10, 141, 255, 254], true), None);
        let outside = at([172, 31, 0, 1], true).unwrap();
        assert!(outside.contains("172.31.0.1 is in no network"), "{outside}");
        let off = at([10, 141, 255, 254], false).unwrap();
        assert!(off.contains("perilune network change cluster --dhcp yes"), "{off}");
        let gone = idle("no-such-interface", &cluster(true)).unwrap();
        assert!(gone.contains("there is no interface no-such-interface"), "{gone}");
    }
}
