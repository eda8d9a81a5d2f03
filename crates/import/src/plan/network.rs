//! Networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use perilune_model::network::{Network, Zone, check_range, check_relays, wrong_gateway};
use perilune_model::{Cluster, Family, Name, Servers, Taken, addresses};

use super::planner::Planner;
use crate::cell::shown;
use crate::reading::Reading;
use crate::report::{Finding, Report, Verdict};
use crate::source::Row;

impl Planner<'_> {
    pub(super) fn networks(&mut self) {
        for row in self.source.rows("network") {
            let mut reading = Reading::new("network", row, &mut self.report);
            match network(&mut reading) {
                Some(network) => {
                    let routes = self.coupled("network", row);
                    self.take("network", row, Network { routes, ..network });
                }
                None => self.names.refused("network", row.id),
            }
        }
        // A network may share the wire of one that comes later.
        for row in self.source.rows("network") {
            self.share(row);
        }
        self.overlaps();
    }

    fn share(&mut self, row: &Row) {
        let crate::names::Referent::Taken(name) = self.names.find("network", row.id) else {
            return;
        };
        let Some(network) = self.draft.networks().get(&name).cloned() else { return };
        let mut reading = Reading::of("network", row, &name, &mut self.report);
        let (relays, links) = relays(&mut reading);
        let Some(shared) = reading.text("shared") else {
            if !relays.is_empty() {
                reading.odd("dhcp_relay", "the network shares no other's wire; left out");
            }
            return;
        };
        let Some((shared, _)) = self.draft.networks().get_key_value(shared.as_str()) else {
            reading
                .odd("shared", format!("there is no network '{}'; read as unset", shown(&shared)));
            return;
        };
        if *shared == name {
            reading.odd("shared", "it names the network itself; read as unset");
            return;
        }
        let network = Network {
            shared: Some(shared.clone()),
            dhcp_relay: relays,
            dhcp_link_subnet: links,
            ..Network::clone(&network)
        };
        if let Some(violation) = check_relays(&network).first() {
            reading.odd(&violation.field, format!("{}; read as unset", violation.reason));
            let network =
                Network { dhcp_relay: Vec::new(), dhcp_link_subnet: Vec::new(), ..network };
            self.draft.put(network).ok();
            return;
        }
        if let Err(error) = self.draft.put(network) {
            reading.odd("shared", format!("{error}; read as unset"));
        }
    }

    /// Ranges that overlap are taken, for they worked; no new ones could be made so.
    fn overlaps(&mut self) {
        let networks: Vec<_> = self.draft.networks().values().cloned().collect();
        for (position, one) in networks.iter().enumerate() {
            for other in networks.iter().skip(position + 1) {
                let shares = one.shared.as_ref() == Some(&other.name)
                    || other.shared.as_ref() == Some(&one.name);
                let overlap = Family::BOTH.into_iter().any(|family| {
                    let ranges = one.range(family).zip(other.range(family));
                    ranges.is_some_and(|(one, other)| one.contains(&other) || other.contains(&one))
                });
                if overlap && !shares {
                    let message = format!(
                        "the ranges of '{}' and '{}' overlap; both are taken, but one address could mean two machines",
                        one.name, other.name
                    );
                    self.report.table(Verdict::Odd, "network", message);
                }
            }
        }
    }
}

/// Says which addresses two could answer at: gateways that nodes have, and what is in the ranges that are lent.
pub(super) fn report_taken(cluster: &Cluster, report: &mut Report) {
    for network in cluster.networks().values() {
        let mut odd = |column: &str, message: String| {
            report.add(Finding {
                verdict: Verdict::Odd,
                table: "network".to_owned(),
                row: None,
                name: Some(network.name.to_string()),
                column: Some(column.to_owned()),
                message,
            });
        };
        let gateways = [
            ("gateway", network.gateway.map(IpAddr::V4)),
            ("gateway_ipv6", network.gateway_ipv6.map(IpAddr::V6)),
        ];
        for (column, gateway) in gateways {
            let reason = gateway.and_then(|gateway| wrong_gateway(cluster, network, gateway));
            if let Some(reason) = reason {
                odd(
                    column,
                    format!("{reason}; both are taken, and one of them will not be reached"),
                );
            }
        }
        let columns = [("dhcp_range_begin", Family::V4), ("dhcp_range_begin_ipv6", Family::V6)];
        for (column, family) in columns {
            let Some((first, last)) = network.lent_range(family) else { continue };
            // Devices in the range are told where they are read.
            let described =
                cluster.taken_between(first, last).into_iter().filter_map(|(address, taken)| {
                    match taken {
                        Taken::Described(described) => Some((address, described)),
                        Taken::Held(_) | Taken::Own(_) => None,
                    }
                });
            for (address, described) in described {
                odd(
                    column,
                    format!(
                        "the range {first} to {last} holds {address}, {described}; it is never lent"
                    ),
                );
            }
        }
    }
}

/// DHCP relays, and the ranges that they name as links.
fn relays(reading: &mut Reading<'_>) -> (Vec<IpAddr>, Vec<IpNet>) {
    fn read<T: std::str::FromStr>(reading: &mut Reading<'_>, column: &str) -> Vec<T> {
        let words = reading.list(column);
        let parsed = words.into_iter().filter_map(|word| {
            let parsed = word.parse().ok();
            if parsed.is_none() {
                reading.odd(column, format!("'{}' is not an address; left out", shown(&word)));
            }
            parsed
        });
        parsed.collect()
    }
    (read(reading, "dhcp_relay"), read(reading, "dhcp_link_subnet"))
}

fn network(reading: &mut Reading<'_>) -> Option<Network> {
    let name = reading.own_name("name", Name::domain)?;
    let ipv4 = match range(reading, "network", "subnet") {
        Some(IpNet::V4(range)) => Some(range),
        Some(IpNet::V6(range)) => {
            reading.odd("network", format!("{range} is a range of the other family; left out"));
            None
        }
        None => None,
    };
    let ipv6 = match range(reading, "network_ipv6", "subnet_ipv6") {
        Some(IpNet::V6(range)) => Some(range),
        Some(IpNet::V4(range)) => {
            reading
                .odd("network_ipv6", format!("{range} is a range of the other family; left out"));
            None
        }
        None => None,
    };
    if ipv4.is_none() && ipv6.is_none() {
        reading.refuse("network", "it has no range of addresses");
        return None;
    }
    let mut network = Network {
        name,
        ipv4,
        ipv6,
        gateway_metric: reading.number("gateway_metric"),
        nameserver_ip: reading.servers("nameserver_ip", Servers::by_address),
        nameserver_ip_ipv6: reading.servers("nameserver_ip_ipv6", Servers::by_address),
        ntp_server: reading.servers("ntp_server", Servers::by_address_or_name),
        zone: zone(reading),
        r#type: reading.text("type"),
        non_authoritative: reading.boolean("non_authoritative").unwrap_or(false),
        comment: reading.text("comment"),
        ..Network::default()
    };
    network.gateway = inside(reading, "gateway", &network).and_then(v4);
    network.gateway_ipv6 = inside(reading, "gateway_ipv6", &network).and_then(v6);
    dhcp(reading, &mut network);
    Some(network)
}

/// A range: the address in one column and the length or the mask of its prefix in another, or both in the first.
fn range(reading: &mut Reading<'_>, column: &str, prefix: &str) -> Option<IpNet> {
    let address = reading.text(column)?;
    let length = reading.text(prefix);
    let text = match &length {
        Some(_) if address.contains('/') => address.clone(),
        Some(length) => format!("{address}/{length}"),
        None => address.clone(),
    };
    // An address with leading zeros is eight to some and ten to others, and read by neither.
    let is_strict =
        text.split_once('/').is_some_and(|(address, _)| address.parse::<IpAddr>().is_ok());
    let range = text.parse::<IpNet>().ok().filter(|_| is_strict);
    let range = range.or_else(|| with_mask(&address, length.as_deref()?));
    let Some(range) = range else {
        let message = format!("'{}' is not a range of addresses; read as unset", shown(&text));
        reading.odd(column, message);
        return None;
    };
    if let Err(reason) = check_range(range) {
        reading.odd(column, format!("{reason}; read as unset"));
        return None;
    }
    if range != range.trunc() {
        reading.odd(
            column,
            format!("{range} names an address within the range; read as {}", range.trunc()),
        );
    }
    Some(range.trunc())
}

fn with_mask(address: &str, mask: &str) -> Option<IpNet> {
    match (address.parse().ok()?, mask.parse().ok()?) {
        (IpAddr::V4(address), IpAddr::V4(mask)) => {
            Ipv4Net::with_netmask(address, mask).ok().map(IpNet::V4)
        }
        (IpAddr::V6(address), IpAddr::V6(mask)) => {
            Ipv6Net::with_netmask(address, mask).ok().map(IpNet::V6)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

fn zone(reading: &mut Reading<'_>) -> Zone {
    let zone = reading.word("zone", |word| match word {
        "internal" => Some(Zone::Internal),
        "external" => Some(Zone::External),
        _ => None,
    });
    zone.unwrap_or_default()
}

/// An address that must be in the network.
fn inside(reading: &mut Reading<'_>, column: &str, network: &Network) -> Option<IpAddr> {
    let address = reading.address(column)?;
    let range = network.range(Family::of(address));
    if range.is_some_and(|range| addresses::is_host(range, address)) {
        return Some(address);
    }
    let what = if network.contains(address) {
        "is the network's own or its broadcast address"
    } else {
        "lies outside of the network"
    };
    reading.odd(column, format!("{address} {what}; read as unset"));
    None
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    }
}

fn dhcp(reading: &mut Reading<'_>, network: &mut Network) {
    network.dhcp = reading.boolean("dhcp").unwrap_or(false);
    network.dhcp_nodes_in_pool = reading.boolean("dhcp_nodes_in_pool").unwrap_or(false);
    network.dhcp_nodes_only = reading.boolean("dhcp_nodes_only").unwrap_or(false);
    let ipv4 = ends(reading, ("dhcp_range_begin", "dhcp_range_end"), network);
    let ipv6 = ends(reading, ("dhcp_range_begin_ipv6", "dhcp_range_end_ipv6"), network);
    network.dhcp_range = ipv4.and_then(|(begin, end)| v4(begin).zip(v4(end)));
    network.dhcp_range_ipv6 = ipv6.and_then(|(begin, end)| v6(begin).zip(v6(end)));
    let has_range = network.dhcp_range.is_some() || network.dhcp_range_ipv6.is_some();
    if network.dhcp_nodes_only && network.dhcp_nodes_in_pool {
        reading.odd(
            "dhcp_nodes_only",
            "nodes cannot be the only ones served and be in the pool; they are in the pool",
        );
        network.dhcp_nodes_only = false;
    }
    if network.dhcp && !network.dhcp_nodes_only && !has_range {
        reading.odd("dhcp", "it is on and has no range; only nodes are served");
        network.dhcp_nodes_only = true;
        network.dhcp_nodes_in_pool = false;
    }
    if network.dhcp_nodes_only {
        network.dhcp_range = None;
        network.dhcp_range_ipv6 = None;
    }
}

/// The ends of a dynamic range, where both are right.
fn ends(
    reading: &mut Reading<'_>,
    (begin_column, end_column): (&str, &str),
    network: &Network,
) -> Option<(IpAddr, IpAddr)> {
    let begin = reading.address(begin_column);
    let end = reading.address(end_column);
    let (begin, end) = match (begin, end) {
        (None, None) => return None,
        (Some(begin), Some(end)) => (begin, end),
        (Some(_), None) | (None, Some(_)) => {
            reading.odd(begin_column, "the range has one end only; left out");
            return None;
        }
    };
    let range = network.range(Family::of(begin));
    let is_host = |address| range.is_some_and(|range| addresses::is_host(range, address));
    if begin <= end && is_host(begin) && is_host(end) {
        return Some((begin, end));
    }
    let message =
        format!("{begin} to {end} is not a range of addresses for hosts in this network; left out");
    reading.odd(begin_column, message);
    None
}
