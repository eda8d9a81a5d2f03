//! Addresses that are lent, offered, or put aside.

mod pool;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use perilune_model::{Cluster, Family, MacAddress, Name};
use serde::{Deserialize, Serialize};

pub use pool::Source;
pub(crate) use pool::numbered;
use pool::{Count, Pool};

/// How long an offer is kept for the node that it was made to.
const OFFER_MILLISECONDS: u64 = 60_000;
/// How long one to a stranger is: firmware takes its time to choose, a flood takes every offer there is.
const STRANGERS_OFFER_MILLISECONDS: u64 = 15_000;
/// A lease is told again as it is until so much of its time is over, in parts of 100, as `dhcp-cache-threshold` of ISC dhcpd has it: firmware,
/// boot loader and system of a machine ask one after the other, and only the first of them waits until its lease is stored.
const UNCHANGED_PERCENT: u64 = 25;
/// How long an address rests that a machine found in use by another.
const DECLINED_MILLISECONDS: u64 = 600_000;
/// As many addresses are remembered, however large the ranges are; of those whose time is over, the first to end is forgotten first.
/// Few in tests, which would take long to come to the bound otherwise.
pub(crate) const REMEMBERED: usize = if cfg!(test) { 1 << 10 } else { 1 << 18 };

/// An address that is lent to a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The address.
    pub address: IpAddr,
    /// The machine. Firmware, boot loader and system give different client identifiers; the hardware address stays.
    pub mac: MacAddress,
    /// When the lease ends, in milliseconds; as it is stored, since 1970.
    pub until: u64,
    /// Whose share of the range it is.
    #[serde(default, skip_serializing_if = "Source::is_node")]
    pub source: Source,
    /// What the machine calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Lease {
    /// How long it still lasts, in whole seconds.
    pub(crate) fn seconds_left(&self, now: u64) -> u32 {
        u32::try_from(self.until.saturating_sub(now) / 1000).unwrap_or(u32::MAX)
    }
}

/// What becomes of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// It is lent.
    Lent(Lease),
    /// It is lent to this machine no longer.
    Over(IpAddr, MacAddress),
}

impl Edit {
    /// The address.
    pub fn address(&self) -> IpAddr {
        match self {
            Self::Lent(lease) => lease.address,
            Self::Over(address, _) => *address,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Lent,
    Offered,
    /// Its machine found another there.
    Declined,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    state: State,
    lease: Lease,
    /// Whether its end has not come yet.
    runs: bool,
}

impl Entry {
    fn mac(&self) -> Option<MacAddress> {
        (self.state != State::Declined).then_some(self.lease.mac)
    }
}

/// All addresses that are lent, offered or put aside.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    entries: BTreeMap<IpAddr, Entry>,
    machines: BTreeMap<(MacAddress, Family), IpAddr>,
    /// What runs, by its end.
    running: BTreeSet<(u64, IpAddr)>,
    /// What has ended and is kept for its machine until somebody else needs it, by its end.
    ended: BTreeSet<(u64, IpAddr)>,
    pools: BTreeMap<(IpAddr, IpAddr), Pool>,
    needs: Option<Needs>,
    /// Leases that have expired, so that they can be removed from the store.
    over: Vec<Edit>,
}

/// How many interfaces of nodes need an address of each network's dynamic range, counted for this cluster.
#[derive(Debug, Clone)]
struct Needs {
    cluster: Cluster,
    count: BTreeMap<(Name, Family), u64>,
}

impl Leases {
    /// The leases that were stored before. Of several for one machine, the last to end counts.
    pub fn restore(leases: impl IntoIterator<Item = Lease>) -> Self {
        let mut leases: Vec<Lease> = leases.into_iter().collect();
        leases.sort_by_key(|lease| lease.until);
        let mut all = Self::default();
        for lease in leases {
            all.insert(State::Lent, lease);
        }
        all
    }

    /// What was lent and is over before its time, or forgotten, since this was last asked. Addresses that were lent anew are among it.
    pub fn take_over(&mut self) -> Vec<Edit> {
        std::mem::take(&mut self.over)
    }

    /// The address of a family that a machine has, or was offered. An old one is kept for it until somebody else needs it.
    pub fn of(&self, mac: MacAddress, family: Family) -> Option<IpAddr> {
        self.machines.get(&(mac, family)).copied()
    }

    /// Whether the address is lent to this machine, and the lease has not ended.
    pub fn is_lent(&self, address: IpAddr, mac: MacAddress, now: u64) -> bool {
        let entry = self.entries.get(&address).filter(|entry| entry.lease.until > now);
        entry.is_some_and(|entry| entry.state == State::Lent && entry.lease.mac == mac)
    }

    /// Whether the address is lent or offered to this machine at this time.
    pub(crate) fn is_held_by(&self, address: IpAddr, mac: MacAddress, now: u64) -> bool {
        let entry = self.entries.get(&address).filter(|entry| entry.lease.until > now);
        entry.is_some_and(|entry| entry.mac() == Some(mac))
    }

    /// Whether a machine may have the address: it is its own, or nobody's.
    pub fn is_free(&self, address: IpAddr, mac: MacAddress, now: u64) -> bool {
        self.entries
            .get(&address)
            .is_none_or(|entry| entry.mac() == Some(mac) || entry.lease.until <= now)
    }

    /// Whether nobody ever had the address, as far as is known.
    pub(crate) fn is_unknown(&self, address: IpAddr) -> bool {
        !self.entries.contains_key(&address)
    }

    /// Of the addresses of a range whose leases have ended, the one that ended first comes first.
    pub(crate) fn ended_within(
        &self,
        range: RangeInclusive<IpAddr>,
    ) -> impl Iterator<Item = IpAddr> {
        let addresses = self.ended.iter().map(|(_, address)| *address);
        addresses.filter(move |address| range.contains(address))
    }

    /// Keeps an address for a machine that it is offered to. A lease that runs is not made shorter by it.
    pub fn offer(&mut self, address: IpAddr, mac: MacAddress, source: Source, now: u64) {
        if self.is_lent(address, mac, now) {
            return;
        }
        let kept = if source.is_node() { OFFER_MILLISECONDS } else { STRANGERS_OFFER_MILLISECONDS };
        self.insert(State::Offered, Lease { address, mac, until: now + kept, source, name: None });
    }

    /// Lends an address.
    pub fn lend(&mut self, lease: Lease) {
        self.insert(State::Lent, lease);
    }

    /// Lends an address, or tells the lease that its machine has of it, where that has begun a short while ago: it ends as it would have.
    pub fn lend_again(&mut self, lease: Lease, now: u64) -> Lease {
        let whole = lease.until.saturating_sub(now);
        let least = now + whole - whole / 100 * UNCHANGED_PERCENT;
        let is_such = |entry: &&Entry| {
            let Lease { mac, until, source, name, .. } = &entry.lease;
            let is_same = *mac == lease.mac && *source == lease.source && *name == lease.name;
            entry.state == State::Lent && is_same && (least..=lease.until).contains(until)
        };
        if let Some(entry) = self.entries.get(&lease.address).filter(is_such) {
            return entry.lease.clone();
        }
        self.lend(lease.clone());
        lease
    }

    /// Takes what another controller has lent, which it stores. Of two addresses of one machine, the one that is lent for longer counts:
    /// answers the other one, with the one that counts.
    pub fn learn(&mut self, lease: Lease) -> Option<(IpAddr, IpAddr)> {
        let (address, machine) = (lease.address, (lease.mac, Family::of(lease.address)));
        let former = self.machines.get(&machine).copied().filter(|former| *former != address);
        let lent = former.and_then(|former| self.entries.get(&former));
        let lent = lent.filter(|entry| entry.state == State::Lent).map(|entry| &entry.lease);
        let Some((former, until)) = lent.map(|former| (former.address, former.until)) else {
            self.insert(State::Lent, lease);
            return None;
        };
        if until > lease.until {
            return Some((address, former));
        }
        // It is not over by what was decided here.
        self.take(former);
        self.insert(State::Lent, lease);
        Some((former, address))
    }

    /// Another controller has taken an address back, or forgotten it.
    pub fn forget(&mut self, address: IpAddr) {
        if self.entries.get(&address).is_some_and(|entry| entry.state == State::Lent) {
            self.take(address);
        }
    }

    /// Takes an address back; answers whether it was lent to this machine.
    pub fn release(&mut self, address: IpAddr, mac: MacAddress) -> bool {
        let is_own = self.entries.get(&address).is_some_and(|entry| entry.mac() == Some(mac));
        if is_own {
            self.remove(address);
        }
        is_own
    }

    /// Puts an address of a range aside that its machine found in use by another. It still counts as that machine's share. Of many in a
    /// range, those that rest longest are free again: a machine that declines whatever it is given cannot use the range up.
    pub fn decline(&mut self, address: IpAddr, range: &RangeInclusive<IpAddr>, now: u64) {
        let Some(former) = self.entries.get(&address).map(|entry| entry.lease.clone()) else {
            return;
        };
        let until = now + DECLINED_MILLISECONDS;
        let lease = Lease { until, ..former };
        self.put(Entry { state: State::Declined, lease, runs: true });
        let pool = self.pool(range);
        let excess = pool.declined.saturating_sub((pool.size / 4).max(1));
        for _ in 0..excess {
            let oldest = self.running.iter().map(|(_, address)| *address).find(|address| {
                let entry = self.entries.get(address);
                range.contains(address) && entry.is_some_and(|entry| entry.state == State::Declined)
            });
            if let Some(oldest) = oldest {
                self.remove(oldest);
            }
        }
    }

    /// Whether somebody of this source may have one more address of the range. Strangers leave what the network's nodes need.
    pub(crate) fn has_room(
        &mut self,
        cluster: &Cluster,
        network: &Name,
        range: &RangeInclusive<IpAddr>,
        source: &Source,
    ) -> bool {
        let is_full = self.entries.len() >= REMEMBERED && self.ended.is_empty();
        let needed = self.needed_by_nodes(cluster, network, Family::of(*range.start()));
        !is_full && self.pool(range).has_room(source, needed)
    }

    /// How many addresses of a range were never given out.
    pub(crate) fn unknown_within(&mut self, range: &RangeInclusive<IpAddr>) -> u64 {
        let pool = self.pool(range);
        pool.size.saturating_sub(pool.known)
    }

    /// Counts no longer what ended by this time.
    pub(crate) fn settle(&mut self, now: u64) {
        while let Some((until, address)) = self.running.first().copied() {
            if until > now {
                return;
            }
            self.running.pop_first();
            self.ended.insert((until, address));
            if let Some(entry) = self.entries.get_mut(&address) {
                count(&mut self.pools, entry, Count::Less);
                entry.runs = false;
            }
        }
    }

    /// How many addresses are lent at this time.
    pub fn lent(&self, now: u64) -> usize {
        let is_lent = |entry: &&Entry| entry.state == State::Lent && entry.lease.until > now;
        self.entries.values().filter(is_lent).count()
    }

    /// How many addresses of a range are lent, offered or put aside at this time.
    pub fn lent_within(&self, range: RangeInclusive<IpAddr>, now: u64) -> u64 {
        let held = self.entries.range(range).filter(|(_, entry)| entry.lease.until > now);
        held.count().try_into().unwrap_or(u64::MAX)
    }

    fn needed_by_nodes(&mut self, cluster: &Cluster, network: &Name, family: Family) -> u64 {
        let key = (network.clone(), family);
        let is_same = |needs: &&Needs| needs.cluster.nodes().ptr_eq(cluster.nodes());
        if let Some(needs) = self.needs.as_ref().filter(is_same) {
            return needs.count.get(&key).copied().unwrap_or_default();
        }
        let mut count: BTreeMap<(Name, Family), u64> = BTreeMap::new();
        for interface in cluster.nodes().values().flat_map(|node| &node.interfaces) {
            let Some(network) = interface.network.as_ref() else { continue };
            let asks = interface.dhcp && interface.macaddress.is_some();
            let lacks = |family: &Family| interface.addresses.get(*family).is_none();
            for family in Family::BOTH.into_iter().filter(|family| asks && lacks(family)) {
                *count.entry((network.clone(), family)).or_default() += 1;
            }
        }
        let needed = count.get(&key).copied().unwrap_or_default();
        self.needs = Some(Needs { cluster: cluster.clone(), count });
        needed
    }

    /// What is held of a range: counted once when it is first asked for, and kept up from then on.
    fn pool(&mut self, range: &RangeInclusive<IpAddr>) -> &Pool {
        /// Ranges that were changed stay behind; sites have fewer than this.
        const POOLS: usize = 256;
        let key = (*range.start(), *range.end());
        if !self.pools.contains_key(&key) && self.pools.len() >= POOLS {
            self.pools.clear();
        }
        let entries = &self.entries;
        self.pools.entry(key).or_insert_with(|| {
            let mut pool = Pool::of(range);
            for (_, entry) in entries.range(range.clone()) {
                pool.known += 1;
                if entry.runs {
                    pool.count(&entry.lease.source, entry.state == State::Declined, Count::More);
                }
            }
            pool
        })
    }

    fn insert(&mut self, state: State, lease: Lease) {
        // A machine has one address of ours of each family; its former one is free again.
        let (address, machine) = (lease.address, (lease.mac, Family::of(lease.address)));
        let former = self.machines.get(&machine).copied().filter(|former| *former != address);
        if let Some(former) = former {
            self.remove(former);
        }
        self.put(Entry { state, lease, runs: true });
        self.machines.insert(machine, address);
    }

    fn put(&mut self, entry: Entry) {
        let address = entry.lease.address;
        let former = self.take(address);
        // One that has ended may be stored until its address is lent again: an offer costs no write.
        let former = former.filter(|former| former.state == State::Lent && former.runs);
        if let Some(former) = former.filter(|_| entry.state != State::Lent) {
            self.over.push(Edit::Over(address, former.lease.mac));
        }
        self.running.insert((entry.lease.until, address));
        known(&mut self.pools, address, Count::More);
        count(&mut self.pools, &entry, Count::More);
        self.entries.insert(address, entry);
        while self.entries.len() > REMEMBERED
            && let Some((_, oldest)) = self.ended.first().copied()
            && let Some(former) = self.take(oldest)
        {
            self.over.push(Edit::Over(oldest, former.lease.mac));
        }
    }

    fn remove(&mut self, address: IpAddr) {
        if let Some(former) = self.take(address).filter(|former| former.state == State::Lent) {
            self.over.push(Edit::Over(address, former.lease.mac));
        }
    }

    fn take(&mut self, address: IpAddr) -> Option<Entry> {
        let entry = self.entries.remove(&address)?;
        let place = (entry.lease.until, address);
        if entry.runs {
            self.running.remove(&place);
            count(&mut self.pools, &entry, Count::Less);
        } else {
            self.ended.remove(&place);
        }
        known(&mut self.pools, address, Count::Less);
        let machine = entry.mac().map(|mac| (mac, Family::of(address)));
        if let Some(machine) = machine.filter(|own| self.machines.get(own) == Some(&address)) {
            self.machines.remove(&machine);
        }
        Some(entry)
    }
}

type Pools = BTreeMap<(IpAddr, IpAddr), Pool>;

fn around(pools: &mut Pools, address: IpAddr) -> impl Iterator<Item = &mut Pool> {
    pools
        .iter_mut()
        .filter(move |((first, last), _)| (*first..=*last).contains(&address))
        .map(|(_, pool)| pool)
}

/// Counts an entry that runs, in every range that it lies in.
fn count(pools: &mut Pools, entry: &Entry, change: Count) {
    for pool in around(pools, entry.lease.address) {
        pool.count(&entry.lease.source, entry.state == State::Declined, change);
    }
}

fn known(pools: &mut Pools, address: IpAddr, change: Count) {
    for pool in around(pools, address) {
        change.apply(&mut pool.known);
    }
}

#[cfg(test)]
mod tests;
