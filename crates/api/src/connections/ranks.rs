//! Who is at the other end of a connection, before anything was said.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use perilune_daemon::boots::Boots;
use perilune_daemon::clock;
use perilune_daemon::cluster::ClusterService;
use perilune_model::MacAddress;

use crate::connections::share::Rank;

/// How long an address is somebody's from where a good token came, in milliseconds.
const KNOWN: u64 = 24 * 60 * 60 * 1000;
/// As long as the token of a boot is good at most.
const BOOT: u64 = 6 * 60 * 60 * 1000;
/// Addresses that are remembered; beyond, the one that was known for longest is forgotten.
const ADDRESSES: usize = 4096;

/// What says who is where.
pub(crate) struct Ranks {
    cluster: ClusterService,
    boots: Boots,
    proxies: Vec<IpNet>,
    /// From where good tokens of people came, and when last, in steady milliseconds.
    people: Mutex<BTreeMap<IpAddr, u64>>,
}

impl Ranks {
    pub(crate) fn new(cluster: ClusterService, boots: Boots, proxies: Vec<IpNet>) -> Self {
        Self { cluster, boots, proxies, people: Mutex::default() }
    }

    pub(super) fn of(&self, address: IpAddr, card: Option<MacAddress>) -> Rank {
        let cluster = self.cluster.published();
        let is_own = address.is_loopback()
            || cluster.own_addresses().contains_key(&address)
            || self.proxies.iter().any(|proxy| proxy.contains(&address));
        if is_own {
            return Rank::Own;
        }
        let now = clock::steady_milliseconds();
        let known = self.people().get(&address).copied();
        if known.is_some_and(|at| now.saturating_sub(at) < KNOWN) {
            return Rank::Person;
        }
        let by_card = card.and_then(|card| cluster.node_by_mac(card)).map(|(node, _)| node);
        let node = by_card.or_else(|| cluster.node_by_address(address));
        let boots = node.is_some_and(|node| self.boots_now(node.name.as_str()));
        if boots { Rank::Machine } else { Rank::Stranger }
    }

    fn boots_now(&self, node: &str) -> bool {
        let is_served = || {
            let running = self.boots.running(node);
            running.is_some_and(|boot| self.boots.now() < boot.begun.saturating_add(BOOT))
        };
        self.boots.window(node).is_some() || is_served()
    }

    /// A good token of a person came from here.
    pub(super) fn is_a_person(&self, address: IpAddr) {
        let mut people = self.people();
        if !people.contains_key(&address) && people.len() >= ADDRESSES {
            perilune_daemon::rate::forget_least(&mut people);
        }
        people.insert(address, clock::steady_milliseconds());
    }

    fn people(&self) -> MutexGuard<'_, BTreeMap<IpAddr, u64>> {
        // The map is whole between any two statements.
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
