//! Which network a machine asks in, and which address it may have there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use perilune_model::network::Network;
use perilune_model::{Addresses, Cluster, Family, Kind, MacAddress, Name};

use crate::leases::{Leases, Source, numbered};
use crate::peers::Peers;
use crate::reply::Policy;
use crate::request::Request;

/// Who asks for an address, as far as that decides which one it may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    pub(crate) mac: MacAddress,
    /// The address that it would like.
    pub(crate) wanted: Option<IpAddr>,
    /// The relay through which it asks.
    pub(crate) relay: Option<IpAddr>,
    /// Our own address where it asks. Its family is that of the address that is asked for.
    pub(crate) server: IpAddr,
}

impl Asker {
    /// Of a request by IPv4.
    pub(crate) fn new(policy: &Policy, request: &Request) -> Self {
        Self {
            mac: request.mac,
            wanted: request.wanted().map(IpAddr::V4),
            relay: request.relay().map(IpAddr::V4),
            server: policy.server.into(),
        }
    }

    fn family(&self) -> Family {
        Family::of(self.server)
    }
}

/// The network that a machine asks in.
pub(crate) fn of<'a>(
    cluster: &'a Cluster,
    policy: &Policy,
    request: &Request,
) -> Option<&'a Arc<Network>> {
    let link = request.link().map(IpAddr::V4);
    let behind = request.relay().and_then(|relay| cluster.network_behind(relay.into(), link));
    let place = || request.place().or_else(|| request.current()).unwrap_or(policy.server);
    behind.or_else(|| cluster.network_of(IpAddr::V4(place())))
}

/// A machine that is described, and the address that is reserved for it in this network or one on the same wire.
pub(crate) struct Reservation<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: &'a Name,
    pub(crate) network: &'a Arc<Network>,
    pub(crate) address: IpAddr,
}

/// The address of a family that is reserved for the machine here.
pub(crate) fn reservation<'a>(
    cluster: &'a Cluster,
    network: &'a Arc<Network>,
    mac: MacAddress,
    family: Family,
) -> Option<Reservation<'a>> {
    let Some((node, interface)) = cluster.node_by_mac(mac) else {
        return of_device(cluster, network, mac, family);
    };
    let own = cluster.networks().get(interface.network.as_ref()?).filter(|own| own.dhcp)?;
    let address = interface.addresses.get(family).filter(|_| same_wire(network, own))?;
    Some(Reservation { kind: Kind::Node, name: &node.name, network: own, address })
}

/// The same for a switch or another device.
fn of_device<'a>(
    cluster: &'a Cluster,
    network: &'a Arc<Network>,
    mac: MacAddress,
    family: Family,
) -> Option<Reservation<'a>> {
    let (kind, name) = cluster.device_by_mac(mac)?;
    let is_its = |text: &str| text.parse().is_ok_and(|own: MacAddress| own.port() == mac);
    let reserve = |own: Option<&Name>, addresses: Addresses| {
        let own = cluster.networks().get(own?).filter(|own| own.dhcp && same_wire(network, own))?;
        Some(Reservation { kind, name, network: own, address: addresses.get(family)? })
    };
    if let Some(switch) = cluster.switches().get(name).filter(|_| kind == Kind::Switch) {
        let mut own = switch.hardware().filter(|(mac, ..)| is_its(mac));
        return own.find_map(|(_, network, addresses)| reserve(network, addresses));
    }
    let device = cluster.other_devices().get(name)?;
    reserve(device.network.as_ref(), device.addresses)
}

pub(crate) fn same_wire(a: &Network, b: &Network) -> bool {
    let wire = |network: &Network| network.shared.clone().unwrap_or_else(|| network.name.clone());
    a.name == b.name || wire(a) == wire(b)
}

/// Where an address is asked for, and who lends there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) network: &'a Network,
    pub(crate) peers: &'a Peers,
}

/// The address that a machine without a reservation may have: the one it had, the one it wants, one that nobody ever had, else the one
/// that was given back longest ago. None where the range is used up, or the share of its source.
pub(crate) fn choose(
    Place { cluster, network, peers }: Place<'_>,
    leases: &mut Leases,
    asker: &Asker,
    source: &Source,
    now: u64,
) -> Option<IpAddr> {
    let range = range(network, asker.family())?;
    let is_nobodys = |address: IpAddr| may_be_lent(cluster, network, asker, address);
    let may_have = |leases: &Leases, address: IpAddr| {
        range.contains(&address) && leases.is_free(address, asker.mac, now) && is_nobodys(address)
    };
    let former = leases.of(asker.mac, asker.family());
    let former = former.filter(|address| may_have(leases, *address));
    if let Some(address) = former.filter(|own| leases.is_held_by(*own, asker.mac, now)) {
        return Some(address);
    }
    if !leases.has_room(cluster, &network.name, &range, source) {
        return None;
    }
    let wanted = asker.wanted.filter(|address| may_have(leases, *address));
    if let Some(address) = former.or(wanted) {
        return Some(address);
    }
    // Two controllers that answer one machine each, at the same moment, do not offer the same address: one of them would have to begin anew.
    let is_own = |address: &IpAddr| peers.lends(network, *address);
    if leases.unknown_within(&range) > 0 {
        // Each machine begins at a place of its own, so that many that ask at once do not walk over each other.
        let first = numbered(*range.start());
        let count = numbered(*range.end()).checked_sub(first)?.saturating_add(1);
        let begin = place_of(asker.mac) % count;
        let address = |step: u128| address_of(asker.family(), first + (begin + step) % count);
        let unknown = (0..count).map(address);
        let unknown = unknown.take(MOST_TRIED);
        let mut unknown = unknown.filter(|own| leases.is_unknown(*own) && is_nobodys(*own));
        // What is of another's share comes last: it is lent by a conditional write, so that no harm is done.
        let first = unknown.next();
        let own = first.filter(is_own).or_else(|| unknown.find(is_own));
        if let Some(own) = own {
            return Some(own);
        }
        let ended = leases.ended_within(range).find(|own| is_nobodys(*own) && is_own(own));
        return ended.or(first);
    }
    let mut ended = leases.ended_within(range).filter(|address| is_nobodys(*address));
    let first = ended.next();
    first.filter(is_own).or_else(|| ended.find(is_own)).or(first)
}

/// As many addresses are looked at for one machine: all of the largest IPv4 range. Those of IPv6 have no end.
const MOST_TRIED: usize = 1 << 24;

fn address_of(family: Family, number: u128) -> IpAddr {
    match family {
        // What was counted from one IPv4 address to another is one.
        Family::V4 => Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        Family::V6 => Ipv6Addr::from(number).into(),
    }
}

/// A number that is a machine's own, for as long as it is asked for.
fn place_of(mac: MacAddress) -> u128 {
    let last = mac.as_bytes().last_chunk::<4>().copied().unwrap_or_default();
    u32::from_be_bytes(last).wrapping_mul(2_654_435_761).into()
}

/// Whether the address is nobody's: neither of anything that is described, nor ours, nor that of the relay that asks.
pub(crate) fn may_be_lent(
    cluster: &Cluster,
    network: &Network,
    asker: &Asker,
    address: IpAddr,
) -> bool {
    address != asker.server && Some(address) != asker.relay && cluster.may_be_lent(network, address)
}

/// Whether the address is in the network's dynamic range.
pub(crate) fn is_dynamic(network: &Network, address: IpAddr) -> bool {
    range(network, Family::of(address)).is_some_and(|range| range.contains(&address))
}

/// The network's dynamic range of a family, while it lends.
pub(crate) fn range(network: &Network, family: Family) -> Option<RangeInclusive<IpAddr>> {
    let (first, last) = network.lent_range(family)?;
    Some(first..=last)
}

/// Why a machine gets no address of a family, and what to do. Where nothing is lent, strangers are somebody else's business; a machine of
/// ours that gets no address never is.
pub(crate) fn unserved(
    cluster: &Cluster,
    network: &Network,
    (mac, source): (MacAddress, &Source),
    family: Family,
) -> Option<String> {
    let name = &network.name;
    match (cluster.node_by_mac(mac), network.lent_range(family)) {
        (None, None) => None,
        (node, Some((first, last))) => {
            let whom = node.map_or_else(
                || "this unknown machine".to_owned(),
                |(node, _)| format!("node {}", node.name),
            );
            Some(format!(
                "no address of {first} to {last} in network {name} is free for {whom}{}; make the range larger",
                source.of_share()
            ))
        }
        (Some((node, interface)), None) => Some(format!(
            "node {} asks by its interface {} in network {name}, where it has no address and nothing is lent; \
             give the interface an address there",
            node.name, interface.name
        )),
    }
}
