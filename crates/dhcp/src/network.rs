//! Which network a machine asks in, and which address it may have there.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use perilune_model::network::Network;
use perilune_model::node::Node;
use perilune_model::{Cluster, Family};

use crate::leases::Leases;
use crate::reply::Policy;
use crate::request::Request;

/// The network that a machine asks in.
pub(crate) fn of<'a>(
    cluster: &'a Cluster,
    policy: &Policy,
    request: &Request,
) -> Option<&'a Arc<Network>> {
    let place = request.place().or_else(|| request.current()).unwrap_or(policy.server);
    cluster.network_of(IpAddr::V4(place))
}

/// A machine that is a node's, and the address that is reserved for it in this network or one on the same wire.
pub(crate) struct Reservation<'a> {
    pub(crate) node: &'a Arc<Node>,
    pub(crate) network: &'a Arc<Network>,
    pub(crate) address: Ipv4Addr,
}

/// The address that is reserved for the machine here.
pub(crate) fn reservation<'a>(
    cluster: &'a Cluster,
    network: &'a Arc<Network>,
    request: &Request,
) -> Option<Reservation<'a>> {
    let (node, interface) = cluster.node_by_mac(request.mac)?;
    let own = cluster.networks().get(interface.network.as_ref()?).filter(|own| own.dhcp)?;
    let address = interface.addresses.ipv4.filter(|_| same_wire(network, own))?;
    Some(Reservation { node, network: own, address })
}

fn same_wire(a: &Network, b: &Network) -> bool {
    let wire = |network: &Network| network.shared.clone().unwrap_or_else(|| network.name.clone());
    a.name == b.name || wire(a) == wire(b)
}

/// The address that a machine without a reservation may have: the one it had, the one it wants, else any free one.
pub(crate) fn choose(
    cluster: &Cluster,
    leases: &Leases,
    network: &Network,
    request: &Request,
    now: u64,
) -> Option<Ipv4Addr> {
    let (first, last) = range(network)?;
    let (first, last) = (u32::from(first), u32::from(last));
    let may_have = |address: Ipv4Addr| {
        let inside = (first..=last).contains(&u32::from(address));
        inside
            && leases.is_free(address, request.mac, now)
            && cluster.holder(IpAddr::V4(address)).is_none()
    };
    if let Some(address) = leases.of(request.mac).filter(|address| may_have(*address)) {
        return Some(address);
    }
    if let Some(address) = request.wanted().filter(|address| may_have(*address)) {
        return Some(address);
    }
    // Each machine begins at a place of its own, so that many that ask at once do not walk over each other.
    let count = last.checked_sub(first)?.saturating_add(1);
    let [.., c, d, e, f] = request.mac.0;
    let begin = u32::from_be_bytes([c, d, e, f]).wrapping_mul(2_654_435_761) % count;
    (0..count)
        .map(|step| Ipv4Addr::from(first + (begin + step) % count))
        .find(|address| may_have(*address))
}

/// Whether the address is in the network's dynamic range.
pub(crate) fn is_dynamic(network: &Network, address: Ipv4Addr) -> bool {
    range(network).is_some_and(|(first, last)| (first..=last).contains(&address))
}

fn range(network: &Network) -> Option<(Ipv4Addr, Ipv4Addr)> {
    match network.lent_range(Family::V4) {
        Some((IpAddr::V4(first), IpAddr::V4(last))) => Some((first, last)),
        _ => None,
    }
}
