//! Which network a machine asks in, and which address it may have there.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use perilune_model::network::Network;
use perilune_model::{Addresses, Cluster, Family, Kind, MacAddress, Name};

use crate::leases::{Leases, Source};
use crate::reply::Policy;
use crate::request::Request;

/// The network that a machine asks in.
pub(crate) fn of<'a>(
    cluster: &'a Cluster,
    policy: &Policy,
    request: &Request,
) -> Option<&'a Arc<Network>> {
    let behind =
        request.relay().and_then(|relay| cluster.network_behind(relay.into(), request.link()));
    let place = || request.place().or_else(|| request.current()).unwrap_or(policy.server);
    behind.or_else(|| cluster.network_of(IpAddr::V4(place())))
}

/// A machine that is described, and the address that is reserved for it in this network or one on the same wire.
pub(crate) struct Reservation<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: &'a Name,
    pub(crate) network: &'a Arc<Network>,
    pub(crate) address: Ipv4Addr,
}

/// The address that is reserved for the machine here.
pub(crate) fn reservation<'a>(
    cluster: &'a Cluster,
    network: &'a Arc<Network>,
    request: &Request,
) -> Option<Reservation<'a>> {
    let Some((node, interface)) = cluster.node_by_mac(request.mac) else {
        return of_device(cluster, network, request);
    };
    let own = cluster.networks().get(interface.network.as_ref()?).filter(|own| own.dhcp)?;
    let address = interface.addresses.ipv4.filter(|_| same_wire(network, own))?;
    Some(Reservation { kind: Kind::Node, name: &node.name, network: own, address })
}

/// The same for a switch or another device.
fn of_device<'a>(
    cluster: &'a Cluster,
    network: &'a Arc<Network>,
    request: &Request,
) -> Option<Reservation<'a>> {
    let (kind, name) = cluster.device_by_mac(request.mac)?;
    let is_its = |text: &str| text.parse().is_ok_and(|mac: MacAddress| mac.port() == request.mac);
    let reserve = |own: Option<&Name>, addresses: Addresses| {
        let own = cluster.networks().get(own?).filter(|own| own.dhcp && same_wire(network, own))?;
        Some(Reservation { kind, name, network: own, address: addresses.ipv4? })
    };
    if let Some(switch) = cluster.switches().get(name).filter(|_| kind == Kind::Switch) {
        let mut own = switch.hardware().filter(|(mac, ..)| is_its(mac));
        return own.find_map(|(_, network, addresses)| reserve(network, addresses));
    }
    let device = cluster.other_devices().get(name)?;
    reserve(device.network.as_ref(), device.addresses)
}

fn same_wire(a: &Network, b: &Network) -> bool {
    let wire = |network: &Network| network.shared.clone().unwrap_or_else(|| network.name.clone());
    a.name == b.name || wire(a) == wire(b)
}

/// The address that a machine without a reservation may have: the one it had, the one it wants, one that nobody ever had, else the one
/// that was given back longest ago. None where the range is used up, or the share of its source.
pub(crate) fn choose(
    cluster: &Cluster,
    leases: &mut Leases,
    (network, policy): (&Network, &Policy),
    request: &Request,
    source: &Source,
    now: u64,
) -> Option<Ipv4Addr> {
    let range = range(network)?;
    let is_nobodys = |address: Ipv4Addr| may_be_lent(cluster, network, policy, request, address);
    let may_have = |leases: &Leases, address: Ipv4Addr| {
        range.contains(&address) && leases.is_free(address, request.mac, now) && is_nobodys(address)
    };
    let former = leases.of(request.mac).filter(|address| may_have(leases, *address));
    if let Some(address) = former.filter(|own| leases.is_held_by(*own, request.mac, now)) {
        return Some(address);
    }
    if !leases.has_room(cluster, &network.name, &range, source) {
        return None;
    }
    let wanted = request.wanted().filter(|address| may_have(leases, *address));
    if let Some(address) = former.or(wanted) {
        return Some(address);
    }
    if leases.unknown_within(&range) > 0 {
        // Each machine begins at a place of its own, so that many that ask at once do not walk over each other.
        let (first, last) = (u32::from(*range.start()), u32::from(*range.end()));
        let count = last.checked_sub(first)?.saturating_add(1);
        let begin = place_of(request) % count;
        let mut all = (0..count).map(|step| Ipv4Addr::from(first + (begin + step) % count));
        let unknown = all.find(|address| leases.is_unknown(*address) && is_nobodys(*address));
        if unknown.is_some() {
            return unknown;
        }
    }
    leases.ended_within(range).find(|address| is_nobodys(*address))
}

/// A number that is a machine's own, for as long as it is asked for.
fn place_of(request: &Request) -> u32 {
    let last = request.mac.as_bytes().last_chunk::<4>().copied().unwrap_or_default();
    u32::from_be_bytes(last).wrapping_mul(2_654_435_761)
}

/// Whether the address is nobody's: neither of anything that is described, nor ours, nor that of the relay that asks.
pub(crate) fn may_be_lent(
    cluster: &Cluster,
    network: &Network,
    policy: &Policy,
    request: &Request,
    address: Ipv4Addr,
) -> bool {
    address != policy.server
        && Some(address) != request.relay()
        && cluster.may_be_lent(network, IpAddr::V4(address))
}

/// Whether the address is in the network's dynamic range.
pub(crate) fn is_dynamic(network: &Network, address: Ipv4Addr) -> bool {
    range(network).is_some_and(|range| range.contains(&address))
}

/// The network's dynamic range, while it lends.
pub(crate) fn range(network: &Network) -> Option<RangeInclusive<Ipv4Addr>> {
    match network.lent_range(Family::V4) {
        Some((IpAddr::V4(first), IpAddr::V4(last))) => Some(first..=last),
        _ => None,
    }
}
