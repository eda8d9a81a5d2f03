//! The records of names.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use perilune_model::dns::APEX;
use perilune_model::network::Network;
use perilune_model::{Family, Holder, Name};

use crate::hosts;
use crate::keys::splits;
use crate::reverse::{self, Reverse};
use crate::view::View;
use crate::zone::{Place, Zone};

/// How long others may keep what is described, in seconds. A change is known to them that much later at most.
const DESCRIBED: u32 = 300;
/// How long they may keep what is lent.
const LENT: u32 = 60;
/// How long they may keep that a name is not there (RFC 2308): a machine that was looked for before it was described is found soon after.
const NEGATIVE: u32 = 60;

/// A record. Names in it are lower case, without the dot of the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// Whose it is.
    pub name: String,
    /// How long others may keep it, in seconds.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Data {
    /// The zone begins here.
    Soa(Soa),
    /// A server of the zone.
    Ns(String),
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The name of an address.
    Ptr(String),
    /// What this is another name of.
    Cname(String),
    /// A server that takes mail.
    Mx {
        /// Servers with lower numbers are tried first.
        preference: u16,
        /// The server.
        server: String,
    },
    /// A server of a service (RFC 2782).
    Srv {
        /// Servers with lower numbers are tried first.
        priority: u16,
        /// How often it is chosen among those of its priority.
        weight: u16,
        /// Its port.
        port: u16,
        /// The server.
        server: String,
    },
    /// A text; on the wire, pieces of 255 bytes.
    Txt(String),
}

impl Record {
    fn is_address(&self) -> bool {
        matches!(self.data, Data::A(_) | Data::Aaaa(_))
    }
}

/// The beginning of a zone (RFC 1035, section 3.3.13). Times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Soa {
    /// The server that others are copies of.
    pub primary: String,
    /// Whom to write to, as a name.
    pub mailbox: String,
    /// The revision of the cluster (RFC 1982): the same on every controller.
    pub serial: u32,
    /// How often secondary servers look whether there is something new, should they not have been told.
    pub refresh: u32,
    /// How soon they try again.
    pub retry: u32,
    /// How long they answer without hearing from the primary.
    pub expire: u32,
    /// How long others may keep that a name is not there.
    pub minimum: u32,
}

/// What there is at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, and nothing below it.
    Absent,
    /// The name is there, with these records; perhaps none.
    There(Vec<Record>),
}

/// A host of a network.
#[derive(Default)]
struct Host {
    is_described: bool,
    addresses: Vec<IpAddr>,
}

impl View {
    /// The records of a name in a zone at this time, in milliseconds since 1970.
    pub(crate) fn find(&self, zone: &Zone, key: &str, now: u64) -> Found {
        let mut records = Vec::new();
        let is_apex = key == zone.name();
        if is_apex {
            records.extend([self.soa(zone), self.name_server(zone, key)]);
            if let Zone::Forward(network) = zone {
                records.extend(self.said(network.as_str(), APEX, key));
            }
        }
        let exists = match zone {
            Zone::Forward(_) => self.find_host(key, now, &mut records),
            Zone::V4(_) | Zone::Classless { .. } | Zone::V6(_) => {
                self.find_address(zone, key, now, &mut records)
            }
        };
        // Whoever is another name is nothing else (RFC 1034, section 3.6.2): what was described of it since, counts.
        let is_other_name = |record: &Record| matches!(record.data, Data::Cname(_));
        if records.iter().any(|record| !is_other_name(record)) {
            records.retain(|record| !is_other_name(record));
        }
        records.dedup();
        if exists || is_apex { Found::There(records) } else { Found::Absent }
    }

    /// Where a zone begins.
    pub(crate) fn soa(&self, zone: &Zone) -> Record {
        let primary = self.primary(zone);
        let soa = Soa {
            mailbox: format!("root.{primary}"),
            primary,
            serial: self.serial(),
            refresh: 900,
            retry: 300,
            expire: 3_628_800,
            minimum: NEGATIVE,
        };
        Record { name: zone.name(), ttl: NEGATIVE, data: Data::Soa(soa) }
    }

    /// The serial number of all zones: the revision of the cluster, on a circle (RFC 1982).
    pub fn serial(&self) -> u32 {
        u32::try_from(self.cluster().revision() & u64::from(u32::MAX)).unwrap_or_default()
    }

    fn name_server(&self, zone: &Zone, key: &str) -> Record {
        Record { name: key.to_owned(), ttl: DESCRIBED, data: Data::Ns(self.primary(zone)) }
    }

    /// Our own name in the network of a zone.
    fn primary(&self, zone: &Zone) -> String {
        let network = match zone {
            Zone::Forward(name) => Some(name),
            Zone::V4(block) => self.of_block(*block).map(|network| &network.name),
            Zone::Classless { range, .. } => self.network_at(range.network().into()),
            Zone::V6(prefix) => self.network_at(prefix.network().into()).or_else(|| {
                let mut networks = self.cluster().networks().values();
                let within =
                    |network: &Network| network.ipv6.is_some_and(|range| prefix.contains(&range));
                networks.find(|network| within(network)).map(|network| &network.name)
            }),
        };
        let name = self.cluster().beacon().map_or("controller", |beacon| beacon.name.as_str());
        network.map_or_else(|| name.to_owned(), |network| format!("{name}.{network}"))
    }

    fn network_at(&self, address: IpAddr) -> Option<&Name> {
        self.cluster().network_of(address).map(|network| &network.name)
    }

    /// The addresses of a name, and whether it exists: what is described, else what is lent.
    fn find_host(&self, key: &str, now: u64, records: &mut Vec<Record>) -> bool {
        if let Some(described) = self.described_host(key, now) {
            records.extend(described);
            return true;
        }
        let lent = self.lent_host(key, now);
        records.extend(lent.iter().map(|at| of_host(key, LENT, *at)));
        !lent.is_empty()
    }

    /// The addresses and other records that are described of a name, in every way to read it as a host and a domain; `None` for one that is
    /// not described.
    fn described_host(&self, key: &str, now: u64) -> Option<Vec<Record>> {
        let mut exists = self.is_empty_name(key);
        let (mut records, mut others) = (Vec::new(), Vec::new());
        for (host, domain) in splits(key).filter(|(host, _)| !host.is_empty()) {
            let network = self.cluster().networks().get(domain);
            let Some(network) = network.filter(|own| !own.non_authoritative) else { continue };
            let found = self.host(network, host, now);
            exists |= found.is_described;
            records.extend(found.addresses.iter().map(|at| of_host(key, DESCRIBED, *at)));
            others.extend(self.said(domain, host, key));
        }
        exists |= !others.is_empty();
        records.extend(others);
        exists.then_some(records)
    }

    /// What is said of a name in the domain of a network beside addresses.
    fn said(&self, network: &str, host: &str, key: &str) -> impl Iterator<Item = Record> {
        let record =
            |data: &Data| Record { name: key.to_owned(), ttl: DESCRIBED, data: data.clone() };
        self.hosts().records(network, host).iter().map(record)
    }

    /// The addresses of a name of ours, to be told beside what leads to it.
    pub(crate) fn addresses_of(&self, key: &str, now: u64) -> Vec<Record> {
        let Place::Ours(zone) = self.place(key) else { return Vec::new() };
        match self.find(&zone, key, now) {
            Found::There(mut records) => {
                records.retain(Record::is_address);
                records
            }
            Found::Absent => Vec::new(),
        }
    }

    /// The addresses of the stranger that has a name. It never has one that is described, in whatever network, nor one that a domain has.
    fn lent_host(&self, key: &str, now: u64) -> Vec<IpAddr> {
        self.stranger_called(key, now).unwrap_or_default()
    }

    fn stranger_called(&self, key: &str, now: u64) -> Option<Vec<IpAddr>> {
        let cluster = self.cluster();
        let (host, domain) = key.split_once('.')?;
        let network = cluster.networks().get(domain).filter(|own| !own.non_authoritative)?;
        let is_described = cluster.nodes().contains_key(host)
            || cluster.controllers().contains_key(host)
            || cluster.switches().contains_key(host)
            || cluster.other_devices().contains_key(host)
            || cluster.networks().contains_key(key)
            || self.described_host(key, now).is_some();
        let mut called = self.leases().called(host, now).filter(|(address, lent)| {
            let own = cluster.network_of(*address);
            let is_stranger = cluster.node_by_mac(lent.mac).is_none();
            is_stranger && own.is_some_and(|own| own.name == network.name)
        });
        let (first, machine) = called.next().filter(|_| !is_described)?;
        // Of both families, where it has both.
        let others = called.filter(|(_, lent)| lent.mac == machine.mac);
        Some(std::iter::once(first).chain(others.map(|(address, _)| address)).collect())
    }

    /// What is described of a host of a network, with what is lent to it where it has no address of its own.
    fn host(&self, network: &Network, host: &str, now: u64) -> Host {
        let (cluster, name) = (self.cluster(), Some(&network.name));
        let mut found = Host::default();
        if let Some(node) = cluster.nodes().get(host) {
            for interface in node.interfaces.iter().filter(|own| own.network.as_ref() == name) {
                found.is_described = true;
                found.addresses.extend(interface.addresses.iter());
                let lacks = |family: &Family| interface.addresses.get(*family).is_none();
                let families = Family::BOTH.into_iter().filter(lacks);
                let lent =
                    families.filter_map(|own| self.leases().of(interface.macaddress?, own, now));
                found.addresses.extend(lent.filter(|address| network.contains(*address)));
            }
        }
        let mut add = |addresses: perilune_model::Addresses| {
            found.is_described = true;
            found.addresses.extend(addresses.iter());
        };
        let beacon = cluster.beacon().filter(|beacon| beacon.name == host);
        let controller = cluster.controllers().get(host).filter(|one| one.network.as_ref() == name);
        if let Some(controller) = beacon.or(controller) {
            add(controller.addresses);
        }
        if let Some(switch) = cluster.switches().get(host) {
            switch.named().filter(|(own, _)| *own == name).for_each(|(_, own)| add(own));
        }
        let device = cluster.other_devices().get(host);
        if let Some(device) = device.filter(|device| device.network.as_ref() == name) {
            add(device.addresses);
        }
        if let Some(addresses) = self.hosts().addresses(network.name.as_str(), host) {
            found.is_described = true;
            found.addresses.extend(addresses);
        }
        found.addresses.sort_unstable();
        found.addresses.dedup();
        found
    }

    /// The name of an address, and whether it or one below it exists.
    fn find_address(&self, zone: &Zone, key: &str, now: u64, records: &mut Vec<Record>) -> bool {
        let address = match reverse::read(key) {
            Some(Reverse::V4(octets)) => {
                <[u8; 4]>::try_from(octets).ok().map(|octets| IpAddr::from(Ipv4Addr::from(octets)))
            }
            Some(Reverse::Classless { block: [a, b, c], last: Some(last), .. }) => {
                let address = IpAddr::from(Ipv4Addr::new(a, b, c, last));
                zone.addresses()
                    .filter(|(first, last)| (*first..=*last).contains(&address))
                    .map(|_| address)
            }
            Some(Reverse::V6(nibbles)) if nibbles.len() == 32 => {
                Some(reverse::from_nibbles(&nibbles).into())
            }
            Some(Reverse::V6(nibbles)) => return self.has_names_below(&nibbles),
            _ => None,
        };
        let Some((name, ttl)) = address.and_then(|address| self.name_of(address, now)) else {
            return false;
        };
        records.push(Record { name: key.to_owned(), ttl, data: Data::Ptr(name) });
        true
    }

    fn has_names_below(&self, nibbles: &[u8]) -> bool {
        let first = reverse::from_nibbles(nibbles);
        let rest =
            u32::try_from(nibbles.len() * 4).ok().and_then(|length| u128::MAX.checked_shr(length));
        let last = Ipv6Addr::from_bits(first.to_bits() | rest.unwrap_or_default());
        let mut addresses = self.addresses_between(first.into(), last.into());
        addresses.any(|address| self.name_of(address, 0).is_some())
    }

    fn addresses_between(&self, first: IpAddr, last: IpAddr) -> impl Iterator<Item = IpAddr> {
        self.cluster().holders_between(first, last).chain(self.hosts().between(first, last))
    }

    /// The one name of an address, and for how long: that of the device that holds it, else that of the first DNS host, else of whom it is
    /// lent to. Looked up, the name has the address again.
    pub fn name_of(&self, address: IpAddr, now: u64) -> Option<(String, u32)> {
        let cluster = self.cluster();
        let at_home = |host: &str, network: &Name| {
            let network = cluster.networks().get(network)?;
            (!network.non_authoritative).then(|| format!("{host}.{}", network.name))
        };
        let described = match cluster.holder(address) {
            Some(Holder::Reservation(_)) | None => None,
            Some(holder) => {
                self.network_of_holder(holder, address).map(|own| (holder.device().as_str(), own))
            }
        };
        let described = described.or_else(|| self.hosts().at(address));
        if let Some((host, network)) = described {
            return at_home(host, network).map(|name| (name, DESCRIBED));
        }
        let machine = self.leases().at(address, now)?;
        let network = cluster.network_of(address)?;
        let host = match cluster.node_by_mac(machine.mac) {
            Some((node, interface)) if interface.network.as_ref() == Some(&network.name) => {
                node.name.as_str()
            }
            _ => {
                let name = machine.name.as_deref()?;
                let key = format!("{name}.{}", network.name);
                self.lent_host(&key, now).contains(&address).then_some(name)?
            }
        };
        at_home(host, &network.name).map(|name| (name, LENT))
    }

    /// The network in whose domain a device has the address.
    fn network_of_holder(&self, holder: &Holder, address: IpAddr) -> Option<&Name> {
        let cluster = self.cluster();
        match holder {
            Holder::Controller(name) => {
                let own = cluster.controllers().get(name)?.network.as_ref();
                own.or_else(|| self.network_at(address))
            }
            Holder::Interface { node, interface } => {
                cluster.nodes().get(node)?.interface(interface.as_str())?.network.as_ref()
            }
            Holder::Switch(name) => {
                let mut named = cluster.switches().get(name)?.named();
                named.find(|(_, own)| own.iter().any(|own| own == address))?.0
            }
            Holder::OtherDevice(name) => cluster.other_devices().get(name)?.network.as_ref(),
            Holder::Reservation(_) => None,
        }
    }

    /// All that a zone has and is described, its beginning first: what secondary servers are given. What is lent has no revision, and is
    /// not among it.
    pub fn records(&self, zone: &Zone) -> Vec<Record> {
        let view = self.described();
        let own = zone.name();
        let mut keys: BTreeSet<String> = match (zone, zone.addresses()) {
            (Zone::Forward(network), _) => view.hosts_of(network),
            (_, Some((first, last))) => {
                let addresses = view.addresses_between(first, last);
                addresses.map(|address| name_in(zone, address)).collect()
            }
            (_, None) => BTreeSet::new(),
        };
        keys.remove(&own);
        let of_key = |key: &str| match view.find(zone, key, 0) {
            Found::There(records) => records,
            Found::Absent => Vec::new(),
        };
        let mut records = of_key(&own);
        records.extend(keys.iter().flat_map(|key| of_key(key)));
        records.extend(view.delegations(zone));
        records
    }

    /// The names of hosts that are in the zone of a network: its own, and those of the domains above that reach into it.
    fn hosts_of(&self, network: &Name) -> BTreeSet<String> {
        let above: BTreeSet<&str> = splits(network.as_str()).map(|(_, domain)| domain).collect();
        let zone = Zone::Forward(network.clone());
        let described = hosts::described(self.cluster(), self.hosts());
        described
            .filter(|(_, own)| above.contains(own.as_str()))
            .map(|(host, own)| format!("{host}.{own}"))
            .filter(|key| self.place(key) == Place::Ours(zone.clone()))
            .collect()
    }

    /// Where the domains of other networks of ours begin within a zone, with the address of their server.
    fn delegations(&self, zone: &Zone) -> Vec<Record> {
        let Zone::Forward(network) = zone else { return Vec::new() };
        let networks = self.cluster().networks().values();
        let below = networks.filter(|own| {
            let mut above = splits(own.name.as_str()).skip(1).map(|(_, domain)| domain);
            let nearest = above.find(|domain| self.cluster().networks().contains_key(*domain));
            !own.non_authoritative && nearest == Some(network.as_str())
        });
        below
            .flat_map(|own| {
                let child = Zone::Forward(own.name.clone());
                let server = self.primary(&child);
                let mut records = vec![self.name_server(&child, own.name.as_str())];
                let mut known = Vec::new();
                self.find_host(&server, 0, &mut known);
                records.extend(known.into_iter().filter(Record::is_address));
                records
            })
            .collect()
    }
}

fn of_host(key: &str, ttl: u32, address: IpAddr) -> Record {
    let data = match address {
        IpAddr::V4(address) => Data::A(address),
        IpAddr::V6(address) => Data::Aaaa(address),
    };
    Record { name: key.to_owned(), ttl, data }
}

/// The key of an address in a zone.
fn name_in(zone: &Zone, address: IpAddr) -> String {
    match (zone, address) {
        (Zone::Classless { .. }, IpAddr::V4(address)) => {
            format!("{}.{}", address.octets()[3], zone.name())
        }
        _ => reverse::name(address),
    }
}
