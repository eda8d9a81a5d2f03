//! Addresses that are lent, offered, or put aside.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use perilune_model::MacAddress;
use serde::{Deserialize, Serialize};

/// How long an offer is kept for the machine that it was made to.
const OFFER_MILLISECONDS: u64 = 60_000;
/// How long an address rests that a machine found in use by another.
const DECLINED_MILLISECONDS: u64 = 600_000;

/// An address that is lent to a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// The machine. Firmware, boot loader and system give different client identifiers; the hardware address stays.
    pub mac: MacAddress,
    /// When the lease ends: milliseconds since 1970.
    pub until: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Lent(Lease),
    Offered(Lease),
    Declined { until: u64 },
}

impl Entry {
    fn until(&self) -> u64 {
        match self {
            Self::Lent(lease) | Self::Offered(lease) => lease.until,
            Self::Declined { until } => *until,
        }
    }

    fn mac(&self) -> Option<MacAddress> {
        match self {
            Self::Lent(lease) | Self::Offered(lease) => Some(lease.mac),
            Self::Declined { .. } => None,
        }
    }
}

/// All addresses that are lent, offered or put aside.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    entries: BTreeMap<Ipv4Addr, Entry>,
    machines: BTreeMap<MacAddress, Ipv4Addr>,
}

impl Leases {
    /// The leases that were stored before.
    pub fn restore(leases: impl IntoIterator<Item = Lease>) -> Self {
        let mut all = Self::default();
        for lease in leases {
            all.insert(Entry::Lent(lease));
        }
        all
    }

    /// The address that a machine has, or was offered. An old one is kept for it until somebody else needs it.
    pub fn of(&self, mac: MacAddress) -> Option<Ipv4Addr> {
        self.machines.get(&mac).copied()
    }

    /// Whether the address is lent to this machine, and the lease has not ended.
    pub fn is_lent(&self, address: Ipv4Addr, mac: MacAddress, now: u64) -> bool {
        let entry = self.entries.get(&address).filter(|entry| entry.until() > now);
        matches!(entry, Some(Entry::Lent(lease)) if lease.mac == mac)
    }

    /// Whether a machine may have the address: it is its own, or nobody's.
    pub fn is_free(&self, address: Ipv4Addr, mac: MacAddress, now: u64) -> bool {
        self.entries
            .get(&address)
            .is_none_or(|entry| entry.mac() == Some(mac) || entry.until() <= now)
    }

    /// Keeps an address for a machine that it is offered to. A lease that runs is not made shorter by it.
    pub fn offer(&mut self, address: Ipv4Addr, mac: MacAddress, now: u64) {
        if !self.is_lent(address, mac, now) {
            self.insert(Entry::Offered(Lease { address, mac, until: now + OFFER_MILLISECONDS }));
        }
    }

    /// Lends an address.
    pub fn lend(&mut self, lease: Lease) {
        self.insert(Entry::Lent(lease));
    }

    /// Takes an address back; answers whether it was lent to this machine.
    pub fn release(&mut self, address: Ipv4Addr, mac: MacAddress) -> bool {
        let is_own = self.entries.get(&address).is_some_and(|entry| entry.mac() == Some(mac));
        if is_own {
            self.remove(address);
        }
        is_own
    }

    /// Puts an address aside that its machine found in use by another.
    pub fn decline(&mut self, address: Ipv4Addr, now: u64) {
        self.insert_at(address, Entry::Declined { until: now + DECLINED_MILLISECONDS });
    }

    /// How many addresses are lent at this time.
    pub fn lent(&self, now: u64) -> usize {
        self.entries
            .values()
            .filter(|entry| matches!(entry, Entry::Lent(_)) && entry.until() > now)
            .count()
    }

    /// How many addresses of a range are lent, offered or put aside at this time.
    pub fn lent_within(&self, range: RangeInclusive<Ipv4Addr>, now: u64) -> u64 {
        let held = self.entries.range(range).filter(|(_, entry)| entry.until() > now);
        held.count().try_into().unwrap_or(u64::MAX)
    }

    fn insert(&mut self, entry: Entry) {
        match &entry {
            Entry::Lent(lease) | Entry::Offered(lease) => {
                let (address, mac) = (lease.address, lease.mac);
                // A machine has one address of ours; its former one is free again.
                if let Some(former) =
                    self.machines.get(&mac).copied().filter(|former| *former != address)
                {
                    self.remove(former);
                }
                self.insert_at(address, entry);
                self.machines.insert(mac, address);
            }
            Entry::Declined { .. } => {}
        }
    }

    fn insert_at(&mut self, address: Ipv4Addr, entry: Entry) {
        self.remove(address);
        self.entries.insert(address, entry);
    }

    fn remove(&mut self, address: Ipv4Addr) {
        let mac = self.entries.remove(&address).and_then(|entry| entry.mac());
        if let Some(mac) = mac.filter(|mac| self.machines.get(mac) == Some(&address)) {
            self.machines.remove(&mac);
        }
    }
}
