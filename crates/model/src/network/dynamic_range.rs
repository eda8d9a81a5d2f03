//! DHCP of a network: whether, and from which range.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::addresses::{self, from_number, to_number};
use crate::network::Network;
use crate::{Family, Patch, Violation};

/// What a client asks of a network's DHCP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RangeRequest {
    /// Whether it is served.
    pub dhcp: Option<bool>,
    /// The first address of the range.
    pub begin: Patch<IpAddr>,
    /// The last address of the range.
    pub end: Patch<IpAddr>,
    /// Nodes get addresses of the range, too.
    pub nodes_in_pool: Option<bool>,
    /// Only nodes are served.
    pub nodes_only: Option<bool>,
}

/// A range that is moved takes at most this part of the network: half of it …
const LARGEST_PART: u128 = 2;
/// … else a tenth.
const USUAL_PART: u128 = 10;
/// It begins this far below the middle of the network.
const BELOW_MIDDLE: u128 = 4;

/// Changes a network's DHCP; tells what cannot be.
pub(crate) fn apply(
    request: &RangeRequest,
    network: &mut Network,
    violations: &mut Vec<Violation>,
) {
    let mut refuse = |field: &str, reason: String| {
        violations.push(Violation { field: field.to_owned(), reason });
    };
    let before = network.clone();
    network.dhcp_nodes_in_pool = request.nodes_in_pool.unwrap_or(network.dhcp_nodes_in_pool);
    network.dhcp_nodes_only = request.nodes_only.unwrap_or(network.dhcp_nodes_only);
    let comes_on = request.nodes_in_pool == Some(true)
        || (before.dhcp_nodes_only && request.nodes_only == Some(false));
    network.dhcp = if comes_on { true } else { request.dhcp.unwrap_or(network.dhcp) };
    if network.dhcp_nodes_in_pool && network.dhcp_nodes_only {
        let reason =
            "nodes cannot be the only ones served and be in the pool; set one of the two to no";
        refuse("dhcp_nodes_only", reason.to_owned());
    }
    if network.dhcp_nodes_only {
        network.dhcp_range = None;
        network.dhcp_range_ipv6 = None;
        return;
    }
    let mut ends_are_right = true;
    for family in Family::BOTH {
        if let Err((field, reason)) = set_ends(network, family, &request.begin, &request.end) {
            ends_are_right = false;
            refuse(field, reason);
        }
    }
    let has_range = network.dhcp_range.is_some() || network.dhcp_range_ipv6.is_some();
    let is_asked = *request != RangeRequest::default();
    if network.dhcp && is_asked && !has_range && ends_are_right {
        let reason =
            "DHCP needs a range; give dhcp_range_begin and dhcp_range_end, or dhcp_nodes_only";
        refuse("dhcp_range_begin", reason.to_owned());
    }
}

fn set_ends(
    network: &mut Network,
    family: Family,
    begin: &Patch<IpAddr>,
    end: &Patch<IpAddr>,
) -> Result<(), (&'static str, String)> {
    let stored = network.dynamic_range(family);
    let of_family = |patch: &Patch<IpAddr>| {
        patch.value().copied().filter(|address| Family::of(*address) == family)
    };
    let cleared = *begin == Patch::Clear && *end == Patch::Clear;
    if cleared {
        store(network, family, None);
        return Ok(());
    }
    let (first, last) = (of_family(begin), of_family(end));
    if first.is_none() && last.is_none() {
        return Ok(());
    }
    let first = first.or(stored.map(|(first, _)| first));
    let last = last.or(stored.map(|(_, last)| last));
    let first =
        first.ok_or(("dhcp_range_begin", "the range has no beginning; give one".to_owned()))?;
    let last = last.ok_or(("dhcp_range_end", "the range has no end; give one".to_owned()))?;
    let range = network.range(family);
    for (field, address) in [("dhcp_range_begin", first), ("dhcp_range_end", last)] {
        if !range.is_some_and(|range| addresses::is_host(range, address)) {
            return Err((
                field,
                format!("{address} is not an address for a host in the network '{}'", network.name),
            ));
        }
    }
    if first > last {
        return Err((
            "dhcp_range_end",
            format!("the range ends at {last}, before it begins at {first}"),
        ));
    }
    store(network, family, Some((first, last)));
    Ok(())
}

fn store(network: &mut Network, family: Family, range: Option<(IpAddr, IpAddr)>) {
    match (family, range) {
        (Family::V4, Some((IpAddr::V4(first), IpAddr::V4(last)))) => {
            network.dhcp_range = Some((first, last));
        }
        (Family::V6, Some((IpAddr::V6(first), IpAddr::V6(last)))) => {
            network.dhcp_range_ipv6 = Some((first, last));
        }
        (Family::V4, _) => network.dhcp_range = None,
        (Family::V6, _) => network.dhcp_range_ipv6 = None,
    }
}

/// Moves the dynamic range into a new range of the network when it is outside; its size stays, but for half of the network at most.
pub(crate) fn move_into(network: &mut Network, range: IpNet) {
    let family = Family::of(range.addr());
    let Some((first, last)) = network.dynamic_range(family) else { return };
    if range.contains(&first) && range.contains(&last) {
        return;
    }
    let all = addresses::capacity(range);
    let size = (to_number(last) - to_number(first)).saturating_add(1);
    let size = if size > all / LARGEST_PART { all / USUAL_PART } else { size };
    let middle = to_number(range.network()) + all / 2;
    let first = middle.saturating_sub(BELOW_MIDDLE);
    let ends = from_number(family, first).zip(from_number(family, first + size.saturating_sub(1)));
    let fits = ends.filter(|(first, last)| {
        size > 0 && addresses::is_host(range, *first) && addresses::is_host(range, *last)
    });
    store(network, family, fits);
    if fits.is_none() {
        network.dhcp = false;
    }
}
