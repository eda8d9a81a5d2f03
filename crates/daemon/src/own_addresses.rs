//! The addresses of this host's interfaces, told to the cluster: nobody else is given them.

use std::net::IpAddr;
use std::time::Duration;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use tokio_util::sync::CancellationToken;

use crate::cluster::ClusterService;

/// An interface that is set up while the daemon runs is known this much later at most.
const EVERY: Duration = Duration::from_secs(10);

/// Keeps the cluster informed until `stop` is cancelled.
pub(crate) async fn follow(service: ClusterService, stop: CancellationToken) {
    loop {
        tell(&service).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Tells the cluster the addresses as of now, if they are others than it knows.
pub(crate) async fn tell(service: &ClusterService) {
    let own = now();
    let published = service.published();
    let known = published.own_addresses();
    let is_known = known.len() == own.len()
        && own.iter().all(|(address, interface)| known.get(address) == Some(interface));
    if !is_known {
        service.set_own_addresses(own).await;
    }
}

/// Each address with its interface, but for those that are nobody's to others: loopback and link-local ones.
fn now() -> Vec<(IpAddr, String)> {
    let mut own = Vec::new();
    let interfaces = match getifaddrs() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            tracing::debug!(%error, "the addresses of this host cannot be read");
            return own;
        }
    };
    for known in interfaces {
        let address = address_of(&known).filter(|address| !address.is_loopback());
        own.extend(address.map(|address| (address, known.interface_name)));
    }
    own.sort();
    own.dedup_by(|(one, _), (other, _)| one == other);
    own
}

/// The address of an interface, unless it is one that others cannot know: a link-local one, or none.
pub(crate) fn address_of(known: &InterfaceAddress) -> Option<IpAddr> {
    let address = known.address?;
    let ipv4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    let ipv6 = address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip()));
    let is_link_local = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    ipv4.or(ipv6).filter(|address| !address.is_unspecified() && !is_link_local(address))
}
