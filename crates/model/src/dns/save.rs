//! Adding, changing and removing DNS hosts.

use std::collections::BTreeMap;

use crate::dns::{DnsHost, DnsHosts};
use crate::{Draft, Error, Kind, Name};

/// Gives hosts of a network their addresses; those that are not named stay.
pub fn save(draft: &mut Draft, network: &str, hosts: &[DnsHost]) -> Result<(), Error> {
    let name = draft.network(network)?.name.clone();
    let mut list = of(draft, network).unwrap_or_else(|| DnsHosts { name, hosts: Vec::new() });
    let names = list.hosts.iter().map(|known| known.host.clone());
    let mut places: BTreeMap<Name, usize> = names.zip(0..).collect();
    for host in hosts {
        let place = *places.entry(host.host.clone()).or_insert(list.hosts.len());
        match list.hosts.get_mut(place) {
            Some(known) => known.ipaddress = host.ipaddress,
            None => list.hosts.push(host.clone()),
        }
    }
    if list.hosts.is_empty() { Ok(()) } else { draft.put(list) }
}

/// Removes a host of a network. [`Error::NotFound`] without one.
pub fn remove(draft: &mut Draft, network: &str, host: &str) -> Result<(), Error> {
    draft.network(network)?;
    let mut list = of(draft, network).unwrap_or_default();
    let before = list.hosts.len();
    list.hosts.retain(|known| known.host != host);
    if list.hosts.len() == before {
        return Err(Error::NoPart {
            kind: Kind::Network,
            name: network.to_owned(),
            part: "DNS host",
            wanted: host.to_owned(),
        });
    }
    if list.hosts.is_empty() { draft.remove(Kind::DnsHosts, network) } else { draft.put(list) }
}

fn of(draft: &Draft, network: &str) -> Option<DnsHosts> {
    draft.dns_hosts().get(network).map(|hosts| DnsHosts::clone(hosts))
}
