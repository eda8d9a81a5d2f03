//! How often something may be done: so many times at once, and then so many in a time. For each of many who do it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// As many entries as each table has. Beyond, those who owe least are forgotten.
pub const ENTRIES: usize = 8192;

/// So many at once, and after that one in each period.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    pub burst: u64,
    pub refill: Duration,
}

/// How long somebody has to wait for the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(Duration);

impl Wait {
    /// In seconds, at least one.
    pub fn seconds(self) -> u64 {
        self.0.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1)
    }
}

/// Who owes how much: when each will have its whole burst again.
#[derive(Debug)]
pub struct Debts<K> {
    pub full_at: BTreeMap<K, u64>,
}

impl<K> Default for Debts<K> {
    fn default() -> Self {
        Self { full_at: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Debts<K> {
    /// Whether there may be one more. `now` is in milliseconds, here and below.
    pub fn check(&self, key: &K, rate: Rate, now: u64) -> Result<(), Wait> {
        let owed = self.owed(key, rate, now);
        let allowed = milliseconds(rate.refill) * rate.burst.saturating_sub(1);
        if owed <= allowed { Ok(()) } else { Err(Wait(Duration::from_millis(owed - allowed))) }
    }

    /// There was one more.
    pub fn add(&mut self, key: K, rate: Rate, now: u64) {
        let full_at = now + self.owed(&key, rate, now) + milliseconds(rate.refill);
        if !self.full_at.contains_key(&key) && self.full_at.len() >= ENTRIES {
            self.full_at.retain(|_, full_at| *full_at > now);
            if self.full_at.len() >= ENTRIES {
                forget_least(&mut self.full_at);
            }
        }
        self.full_at.insert(key, full_at);
    }

    /// Never more than the burst, even after the clock was set back.
    fn owed(&self, key: &K, rate: Rate, now: u64) -> u64 {
        let full_at = self.full_at.get(key).copied().unwrap_or_default();
        full_at.saturating_sub(now).min(milliseconds(rate.refill) * rate.burst)
    }
}

pub fn forget_least<K: Ord + Clone>(table: &mut BTreeMap<K, u64>) {
    let least = table.iter().min_by_key(|(_, time)| **time).map(|(key, _)| key.clone());
    if let Some(key) = least {
        table.remove(&key);
    }
}

pub fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// A machine with IPv6 has as many addresses as it likes in its network of 64 bits; they are one.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}
