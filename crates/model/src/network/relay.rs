//! DHCP relays: which network those ask for whose requests come through a relay.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::network::Network;
use crate::{Cluster, Family, Violation};

/// The most relays, and the most ranges that they name, of one network.
const MOST: usize = 64;

/// What of a network's relays cannot be.
pub fn check_relays(network: &Network) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut refuse = |field: &str, reason: String| {
        violations.push(Violation { field: field.to_owned(), reason });
    };
    if !network.dhcp_relay.is_empty() && network.shared.is_none() {
        let reason = "relays are named where a network shares another's wire; give shared, too, or leave it empty";
        refuse("dhcp_relay", reason.to_owned());
    }
    if !network.dhcp_link_subnet.is_empty() && network.dhcp_relay.is_empty() {
        let reason =
            "it needs a relay that names these ranges; give dhcp_relay, too, or leave it empty";
        refuse("dhcp_link_subnet", reason.to_owned());
    }
    let counts = [
        ("dhcp_relay", network.dhcp_relay.len()),
        ("dhcp_link_subnet", network.dhcp_link_subnet.len()),
    ];
    for (field, count) in counts {
        if count > MOST {
            refuse(field, format!("{count} are too many; there may be {MOST}"));
        }
    }
    violations
}

impl Cluster {
    /// The network that a relay asks for, of those that name it: the one with the nearest range for the machine's link, which is the relay's own
    /// address where it names no other; else, where it does not, the first by name. None where no network names the relay, or this link.
    pub fn network_behind(&self, relay: IpAddr, link: Option<IpAddr>) -> Option<&Arc<Network>> {
        let named = || {
            let all = self.networks().values();
            all.filter(|network| network.dhcp_relay.contains(&relay))
        };
        let near = link.unwrap_or(relay);
        let nearest = named().filter_map(|network| Some((link_length(network, near)?, network)));
        let nearest = nearest.max_by_key(|(length, _)| *length).map(|(_, network)| network);
        nearest.or_else(|| named().next().filter(|_| link.is_none()))
    }
}

/// The prefix of the nearest range of links that has this address. Without such ranges, a network's own range is that of its link.
fn link_length(network: &Network, link: IpAddr) -> Option<u8> {
    let has = |range: &&IpNet| range.contains(&link);
    if network.dhcp_link_subnet.is_empty() {
        let own = network.range(Family::of(link));
        return own.filter(|range| range.contains(&link)).map(|range| range.prefix_len());
    }
    network.dhcp_link_subnet.iter().filter(has).map(IpNet::prefix_len).max()
}
