//! What the cluster has no index of: DNS hosts by name and address, and names that are there only because others are below them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use perilune_model::dns::{APEX, DnsRecord, RecordData};
use perilune_model::{Cluster, Name};

use crate::keys::{parents, splits};
use crate::records::Data;

/// The DNS hosts of all networks.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    addresses: BTreeMap<Name, BTreeMap<String, Vec<IpAddr>>>,
    names: BTreeMap<IpAddr, (String, Name)>,
    /// What is said of names beside addresses, with whole names in it.
    records: BTreeMap<Name, BTreeMap<String, Vec<Data>>>,
}

impl Hosts {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        let mut all = Self::default();
        for (network, list) in cluster.dns_hosts() {
            let hosts = all.addresses.entry(network.clone()).or_default();
            for known in &list.hosts {
                let host = known.host.as_str().to_ascii_lowercase();
                let name = (host.clone(), network.clone());
                all.names.entry(known.ipaddress).or_insert(name);
                hosts.entry(host).or_default().push(known.ipaddress);
            }
            let records = all.records.entry(network.clone()).or_default();
            for DnsRecord { host, data } in &list.records {
                let host = host.as_str().to_ascii_lowercase();
                records.entry(host).or_default().push(said(data, network));
            }
        }
        all
    }

    /// What is said of a name in the domain of a network, beside addresses.
    pub(crate) fn records(&self, network: &str, host: &str) -> &[Data] {
        let records = self.records.get(network).and_then(|records| records.get(host));
        records.map(Vec::as_slice).unwrap_or_default()
    }

    /// The addresses of a host of a network.
    pub(crate) fn addresses(&self, network: &str, host: &str) -> Option<&[IpAddr]> {
        self.addresses.get(network)?.get(host).map(Vec::as_slice)
    }

    /// The first host that has this address, and its network.
    pub(crate) fn at(&self, address: IpAddr) -> Option<(&str, &Name)> {
        self.names.get(&address).map(|(host, network)| (host.as_str(), network))
    }

    /// The addresses that hosts have between these.
    pub(crate) fn between(&self, first: IpAddr, last: IpAddr) -> impl Iterator<Item = IpAddr> {
        self.names.range(first..=last).map(|(address, _)| *address)
    }

    /// All addresses that hosts have.
    pub(crate) fn all_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.names.keys().copied()
    }

    /// Every host with its network, and every other name with records; what is said of a network's own name is not among it.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Name)> {
        let networks = self.addresses.iter();
        let hosts = networks
            .flat_map(|(network, hosts)| hosts.keys().map(move |host| (host.as_str(), network)));
        let networks = self.records.iter();
        let others = networks
            .flat_map(|(network, all)| all.keys().map(move |host| (host.as_str(), network)));
        hosts.chain(others.filter(|(host, _)| *host != APEX))
    }
}

/// What a described record says, with whole names.
fn said(data: &RecordData, network: &Name) -> Data {
    match data {
        RecordData::Cname { target } => Data::Cname(target.whole(network)),
        RecordData::Mx { preference, target } => {
            Data::Mx { preference: *preference, server: target.whole(network) }
        }
        RecordData::Srv { priority, weight, port, target } => Data::Srv {
            priority: *priority,
            weight: *weight,
            port: *port,
            server: target.whole(network),
        },
        RecordData::Txt { text } => Data::Txt(text.clone()),
    }
}

/// Every described host with the network whose domain it is in. A node is one in each network that it has an interface in.
pub(crate) fn described<'a>(
    cluster: &'a Cluster,
    hosts: &'a Hosts,
) -> impl Iterator<Item = (&'a str, &'a Name)> {
    let nodes = cluster.nodes().values().flat_map(|node| {
        let networks = node.interfaces.iter().filter_map(|interface| interface.network.as_ref());
        networks.map(|network| (node.name.as_str(), network))
    });
    let placed = |(name, network): (&'a Name, &'a Option<Name>)| {
        network.as_ref().map(|network| (name.as_str(), network))
    };
    let controllers = cluster.controllers().values().map(|one| (&one.name, &one.network));
    let switches = cluster
        .switches()
        .values()
        .flat_map(|one| one.named().filter_map(|(network, _)| Some((one.name.as_str(), network?))));
    let devices = cluster.other_devices().values().map(|one| (&one.name, &one.network));
    let beacon = cluster.beacon().into_iter().flat_map(|beacon| {
        cluster.networks().keys().map(move |network| (beacon.name.as_str(), network))
    });
    let placed = controllers.chain(devices).filter_map(placed).chain(switches);
    nodes.chain(placed).chain(beacon).chain(hosts.all())
}

/// Names without records of their own that have others below them (empty non-terminals, RFC 8499): they exist.
pub(crate) fn empty_names(cluster: &Cluster, hosts: &Hosts) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut add = |host: &str, domain: &str| {
        if host.contains('.') {
            all.extend(parents(host).map(|parent| format!("{parent}.{domain}")));
        }
    };
    for (host, network) in described(cluster, hosts) {
        add(host, network.as_str());
    }
    for network in cluster.networks().keys() {
        for (host, domain) in splits(network.as_str()).skip(1) {
            if cluster.networks().contains_key(domain) {
                add(host, domain);
            }
        }
    }
    all
}
