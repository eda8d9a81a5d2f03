//! Adding, changing and removing DNS hosts.

use std::collections::{BTreeMap, BTreeSet};

use super::list::{DnsHost, DnsHosts};
use super::record::{DnsRecord, RecordData, RecordType};
use crate::{Draft, Error, Kind, Name};

/// What is asked for of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// It has this address, and no other.
    Address(DnsHost),
    /// It has this record; with the others of its type in the request it has no more of the type.
    Record(DnsRecord),
    /// It has no record of a type.
    None(Name, RecordType),
}

/// Gives names of a network their addresses and records; those that are not named stay.
pub fn save(draft: &mut Draft, network: &str, entries: &[Entry]) -> Result<(), Error> {
    let name = draft.network(network)?.name.clone();
    let mut list = of(draft, network).unwrap_or_else(|| DnsHosts { name, ..DnsHosts::default() });
    let names = list.hosts.iter().map(|known| known.host.clone());
    let mut places: BTreeMap<Name, usize> = names.zip(0..).collect();
    let replaced: BTreeSet<(&Name, RecordType)> = entries.iter().filter_map(Entry::set).collect();
    list.records.retain(|record| !replaced.contains(&(&record.host, record.data.of())));
    for entry in entries {
        match entry {
            Entry::Address(host) => {
                let place = *places.entry(host.host.clone()).or_insert(list.hosts.len());
                match list.hosts.get_mut(place) {
                    Some(known) => known.ipaddress = host.ipaddress,
                    None => list.hosts.push(host.clone()),
                }
            }
            Entry::Record(record) => list.records.push(record.clone()),
            Entry::None(..) => {}
        }
    }
    // The same in every order, so that what is given again is no change.
    list.records.sort_unstable();
    put(draft, list, network)
}

impl Entry {
    /// The records that it is about: those of a name and a type.
    fn set(&self) -> Option<(&Name, RecordType)> {
        match self {
            Self::Address(_) => None,
            Self::Record(DnsRecord { host, data }) => Some((host, RecordData::of(data))),
            Self::None(host, of) => Some((host, *of)),
        }
    }
}

/// Removes a name of a network, with all that it has. [`Error::NotFound`] without one.
pub fn remove(draft: &mut Draft, network: &str, host: &str) -> Result<(), Error> {
    draft.network(network)?;
    let mut list = of(draft, network).unwrap_or_default();
    let before = list.hosts.len() + list.records.len();
    list.hosts.retain(|known| known.host != host);
    list.records.retain(|known| known.host != host);
    if list.hosts.len() + list.records.len() == before {
        return Err(Error::NoPart {
            kind: Kind::Network,
            name: network.to_owned(),
            part: "DNS host",
            wanted: host.to_owned(),
        });
    }
    put(draft, list, network)
}

fn put(draft: &mut Draft, list: DnsHosts, network: &str) -> Result<(), Error> {
    if !list.hosts.is_empty() || !list.records.is_empty() {
        return draft.put(list);
    }
    match draft.dns_hosts().get(network) {
        Some(_) => draft.remove(Kind::DnsHosts, network),
        None => Ok(()),
    }
}

fn of(draft: &Draft, network: &str) -> Option<DnsHosts> {
    draft.dns_hosts().get(network).map(|hosts| DnsHosts::clone(hosts))
}
