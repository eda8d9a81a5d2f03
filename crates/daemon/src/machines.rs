//! The servers that machines find before any HTTP: DHCP and TFTP, and answers to those that look for an IPv6 router.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use nix::ifaddrs::getifaddrs;
use perilune_boot::tftp;
use perilune_dhcp::{
    Beginning, Lease, Leases, Observer, Policy, Server, Sighting, Site, StoreLeases,
};
use perilune_model::Cluster;
use perilune_ndp::{Responder, Rule};
use perilune_store::{Store, Table, Write};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::problem::chain;
use crate::boots::Evidence;
use crate::clock;
use crate::config::Options;
use crate::serve::Error;
use crate::sightings::Sightings;
use crate::state::State;

/// How long addresses of a dynamic range are lent to nodes.
const LEASE_SECONDS: u32 = 8 * 60 * 60;
/// How long they are lent to strangers. They keep the address until somebody else needs it; one who takes many does not have them for long.
const STRANGERS_LEASE_SECONDS: u32 = 15 * 60;
/// As many leases as wait for the store.
const WAITING: usize = 1024;
/// As many transfers by TFTP as may run at once on each interface.
const TRANSFERS: usize = 512;

/// Starts them on the interfaces that the command line names.
pub(crate) fn start(
    options: &Options,
    observer: Option<Observer>,
    state: &State,
    store: &Store,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    observe(observer, state, tasks, stop);
    if options.dhcp_interfaces.is_empty() {
        return Ok(());
    }
    let (store_leases, leases_to_store) = mpsc::channel(WAITING);
    let (sightings, strangers) = mpsc::channel(WAITING);
    let site = Site {
        cluster: state.cluster.subscribe(),
        leases: Arc::clone(&state.leases),
        store: store_leases,
        sightings,
        clock: clock::steady_milliseconds,
    };
    tasks.spawn(store_leases_of(leases_to_store, store.clone()));
    tasks.spawn(note(strangers, state.sightings.clone()));
    let mut listeners = Vec::new();
    for interface in &options.dhcp_interfaces {
        let failed = |source| Error::Interface { interface: interface.clone(), source };
        let address = address_of(interface, &state.cluster.published()).map_err(failed)?;
        let environment = state.environment();
        let policy = Policy {
            server: address,
            url: format!("{}://{address}:{}", environment.boot_protocol, environment.boot_port),
            lease_seconds: LEASE_SECONDS,
            strangers_lease_seconds: STRANGERS_LEASE_SECONDS,
        };
        let server = Server::bind(interface, policy).map_err(failed)?;
        tasks.spawn(server.run(site.clone(), stop.clone()));
        answer_solicitations(interface, state.settings.router_advertisements, tasks, stop);
        let listener = (IpAddr::V4(address), tftp::PORT).into();
        listeners.push(tftp::Listener { address: listener, interface: Some(interface.clone()) });
        tracing::info!(interface, %address, "serving DHCP and TFTP");
        if let Some(idle) = idle(interface, &state.cluster.published()) {
            tracing::warn!("{idle}");
        }
    }
    let root = state.settings.data_dir.join("tftp");
    std::fs::create_dir_all(&root).map_err(|source| crate::config::Error::File {
        path: root.clone(),
        action: "made",
        source,
    })?;
    let fallbacks = tftp::distribution_loaders();
    let settings = tftp::Settings { root, fallbacks, transfers: TRANSFERS };
    let server = tftp::Server::bind(&listeners, settings)?;
    tasks.spawn(server.run(stop.clone()));
    Ok(())
}

/// What sees boots begin, also where another server answers the machines; `None` where that cannot be.
pub(crate) fn observer(options: &Options, cluster: &Cluster) -> Option<Observer> {
    let interfaces = if options.dhcp_interfaces.is_empty() {
        interfaces_of(cluster).unwrap_or_default()
    } else {
        options.dhcp_interfaces.clone()
    };
    if interfaces.is_empty() {
        return None;
    }
    match Observer::open(&interfaces) {
        Ok(observer) => Some(observer),
        Err(error) => {
            tracing::warn!(
                %error,
                "the DHCP requests of firmware cannot be observed, so they are no evidence of a boot. Give this program CAP_NET_RAW"
            );
            None
        }
    }
}

/// Expects the boots that it sees begin.
fn observe(
    observer: Option<Observer>,
    state: &State,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) {
    let Some(observer) = observer.filter(|_| state.boots.accepts(Evidence::Dhcp)) else { return };
    let (told, beginnings) = mpsc::channel(WAITING);
    tasks.spawn(observer.run(state.cluster.subscribe(), told, stop.clone()));
    tasks.spawn(expect(beginnings, state.clone()));
}

/// The interfaces on which this machine has an address of a network of the cluster.
fn interfaces_of(cluster: &Cluster) -> std::io::Result<Vec<String>> {
    let on_network = getifaddrs()?.filter(|known| {
        let address = known.address.as_ref().and_then(|address| address.as_sockaddr_in());
        address.is_some_and(|address| cluster.network_of(IpAddr::V4(address.ip())).is_some())
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
    wanted: Option<bool>,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) {
    let rule = match wanted {
        Some(false) => return,
        Some(true) => Rule::Always,
        None => Rule::UnlessRouter,
    };
    match Responder::open(interface, rule) {
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

/// The leases that are stored.
pub(crate) async fn leases(store: &Store) -> Result<Leases, Error> {
    let mut leases = Vec::new();
    for record in store.records(Table::Leases).await? {
        match serde_json::from_str::<Lease>(record.body.as_deref().unwrap_or_default()) {
            Ok(lease) => {
                leases.push(restored(lease, clock::milliseconds(), clock::steady_milliseconds()));
            }
            Err(error) => {
                tracing::warn!(address = record.key, %error, "a stored lease cannot be read; it is left out");
            }
        }
    }
    Ok(Leases::restore(leases))
}

/// A stored lease as it is on the clock of leases. The other clock may have been set back since it was stored: it does not last longer for that.
fn restored(lease: Lease, now: u64, steady: u64) -> Lease {
    let left = lease.until.saturating_sub(now).min(u64::from(LEASE_SECONDS) * 1000);
    Lease { until: steady.saturating_add(left), ..lease }
}

/// A lease as it is stored: its end as a time of day, for the next start.
fn to_be_stored(lease: Lease, now: u64, steady: u64) -> Lease {
    let left = lease.until.saturating_sub(steady);
    Lease { until: now.saturating_add(left), ..lease }
}

/// Why nobody who asks on this interface is served, unless through a relay; none when it is as it should be.
pub(crate) fn idle(interface: &str, cluster: &Cluster) -> Option<String> {
    match address_of(interface, cluster) {
        Ok(address) => idle_at(interface, address, cluster),
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

/// Stores leases; all that wait together at once.
async fn store_leases_of(mut waiting: mpsc::Receiver<StoreLeases>, store: Store) {
    let mut batch = Vec::with_capacity(WAITING);
    while waiting.recv_many(&mut batch, WAITING).await > 0 {
        // The last word on an address counts: it may be over and lent again within one batch.
        let mut last = BTreeMap::new();
        let mut told = Vec::new();
        for StoreLeases { edits, stored } in batch.drain(..) {
            last.extend(edits);
            told.push(stored);
        }
        let (now, steady) = (clock::milliseconds(), clock::steady_milliseconds());
        let mut writes = Vec::with_capacity(last.len());
        for (address, lease) in last {
            let key = address.to_string();
            let lease = lease.map(|lease| to_be_stored(lease, now, steady));
            match lease.map(|lease| serde_json::to_string(&lease)) {
                Some(Ok(body)) => writes.push(Write::put(key, body)),
                Some(Err(error)) => {
                    tracing::error!(address = key, %error, "a lease cannot be written");
                }
                None => writes.push(Write::remove(key)),
            }
        }
        let stored = store.put_if(Table::Leases, writes).await;
        if let Err(error) = &stored {
            tracing::error!(
                error = chain(error),
                "leases are not stored; machines go without until they are"
            );
        }
        for tell in told {
            // A server that stops does not want to know any more.
            tell.send(stored.is_ok()).ok();
        }
    }
}

async fn note(mut strangers: mpsc::Receiver<Sighting>, sightings: Sightings) {
    while let Some(stranger) = strangers.recv().await {
        let Sighting { mac, address, vendor_class, is_confirmed } = stranger;
        sightings.seen(mac, address, vendor_class, clock::milliseconds());
        if is_confirmed {
            sightings.confirm(mac);
        }
    }
}

#[cfg(test)]
mod tests {
    use perilune_model::network::Network;
    use perilune_model::{Draft, MacAddress, Name};

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
    fn a_clock_that_is_set_changes_nothing_of_what_a_lease_lasts() {
        const HOUR: u64 = 3_600_000;
        const DAY: u64 = 24 * HOUR;
        let lease = |until| Lease {
            address: [10, 141, 0, 1].into(),
            mac: MacAddress::ethernet([2, 0, 0, 0, 0, 1]),
            until,
            source: perilune_dhcp::Source::Machine,
        };
        // Two hours are left, and the other clock is a day and more behind or before.
        for now in [3 * DAY, 30 * DAY] {
            assert_eq!(
                to_be_stored(lease(100 * DAY + 2 * HOUR), now, 100 * DAY).until,
                now + 2 * HOUR
            );
        }
        assert_eq!(restored(lease(7 * DAY), 7 * DAY - HOUR, 50).until, 50 + HOUR);
        assert_eq!(restored(lease(7 * DAY), 6 * DAY, 50).until, 50 + 8 * HOUR, "a day back");
        assert_eq!(restored(lease(7 * DAY), 8 * DAY, 50).until, 50, "it has ended");
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
