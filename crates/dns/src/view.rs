//! What is served at one moment.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use perilune_model::Cluster;
use perilune_model::network::Network;

use crate::hosts::{self, Hosts};
use crate::leases::LentNames;

/// The cluster as it is published, and what is lent.
#[derive(Debug, Clone)]
pub struct View {
    cluster: Arc<Cluster>,
    hosts: Arc<Hosts>,
    empty_names: Arc<BTreeSet<String>>,
    leases: LentNames,
}

impl View {
    /// That of a cluster. What is the same as in the view before is shared with it.
    pub fn new(cluster: Arc<Cluster>, leases: LentNames, before: Option<&Self>) -> Self {
        let same = |is_same: fn(&Cluster, &Cluster) -> bool| {
            before.filter(|before| is_same(&before.cluster, &cluster))
        };
        let hosts = match same(has_same_hosts) {
            Some(before) => Arc::clone(&before.hosts),
            None => Arc::new(Hosts::new(&cluster)),
        };
        let empty_names = match same(has_same_names) {
            Some(before) => Arc::clone(&before.empty_names),
            None => Arc::new(hosts::empty_names(&cluster, &hosts)),
        };
        Self { cluster, hosts, empty_names, leases }
    }

    /// The same without what is lent: what is described.
    #[must_use]
    pub fn described(&self) -> Self {
        Self { leases: LentNames::default(), ..self.clone() }
    }

    /// The cluster.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    pub(crate) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    pub(crate) fn leases(&self) -> &LentNames {
        &self.leases
    }

    pub(crate) fn is_empty_name(&self, key: &str) -> bool {
        self.empty_names.contains(key)
    }

    /// The servers that are asked for names that are nowhere here.
    pub fn forwarders(&self) -> Vec<IpAddr> {
        let all = self.cluster.settings().forwardserver_ip.iter().copied();
        all.filter(|server| self.may_be_asked(*server)).collect()
    }

    /// The servers that are asked for names of a network that are somebody else's: its own, else those for all other names.
    pub fn servers_of(&self, network: &Network) -> Vec<IpAddr> {
        let own = network.own_name_servers().filter(|server| self.may_be_asked(*server));
        let own: Vec<IpAddr> = own.collect();
        if own.is_empty() { self.forwarders() } else { own }
    }

    /// Whether another server may be there: asking ourselves would never end.
    fn may_be_asked(&self, server: IpAddr) -> bool {
        let is_here = self.cluster.own_addresses().contains_key(&server);
        !is_here && !server.is_loopback() && !server.is_unspecified() && !server.is_multicast()
    }
}

fn has_same_hosts(one: &Cluster, other: &Cluster) -> bool {
    one.dns_hosts().ptr_eq(other.dns_hosts())
}

fn has_same_names(one: &Cluster, other: &Cluster) -> bool {
    has_same_hosts(one, other)
        && one.networks().ptr_eq(other.networks())
        && one.nodes().ptr_eq(other.nodes())
        && one.controllers().ptr_eq(other.controllers())
        && one.switches().ptr_eq(other.switches())
        && one.other_devices().ptr_eq(other.other_devices())
}
