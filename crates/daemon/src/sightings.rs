//! Machines that asked for an address or a boot script and that nobody described.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use perilune_model::MacAddress;

/// As many machines as are remembered; the one that was silent longest is forgotten first.
const REMEMBERED: usize = 4096;

/// What an unknown machine was seen to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The address that it was lent.
    pub address: Option<IpAddr>,
    /// What its firmware calls itself.
    pub vendor_class: Option<String>,
    /// Milliseconds since 1970.
    pub first_seen: u64,
    /// Milliseconds since 1970.
    pub last_seen: u64,
    /// How often it asked.
    pub requests: u64,
}

/// Machines that nobody described; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Sightings(Arc<Mutex<BTreeMap<MacAddress, Sighting>>>);

impl Sightings {
    /// A machine asked for something.
    pub fn seen(
        &self,
        mac: MacAddress,
        address: Option<IpAddr>,
        vendor_class: Option<String>,
        now: u64,
    ) {
        let mut machines = self.lock();
        if !machines.contains_key(&mac) && machines.len() >= REMEMBERED {
            let silent =
                machines.iter().min_by_key(|(_, sighting)| sighting.last_seen).map(|(mac, _)| *mac);
            silent.map(|silent| machines.remove(&silent));
        }
        let fresh = Sighting {
            address: None,
            vendor_class: None,
            first_seen: now,
            last_seen: now,
            requests: 0,
        };
        let sighting = machines.entry(mac).or_insert(fresh);
        sighting.address = address.or(sighting.address);
        sighting.vendor_class = vendor_class.or_else(|| sighting.vendor_class.take());
        sighting.last_seen = now;
        sighting.requests = sighting.requests.saturating_add(1);
    }

    /// When a machine last asked for something, in milliseconds since 1970.
    pub fn last_seen(&self, mac: MacAddress) -> Option<u64> {
        self.lock().get(&mac).map(|sighting| sighting.last_seen)
    }

    /// All machines, by hardware address. Those that became nodes are for the caller to leave out.
    pub fn all(&self) -> BTreeMap<MacAddress, Sighting> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MacAddress, Sighting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_remembered_with_the_last_that_was_learnt_of_it() {
        let sightings = Sightings::default();
        let mac = MacAddress([0x52, 0x54, 0, 0, 0, 1]);
        sightings.seen(mac, None, Some("PXEClient".into()), 1);
        sightings.seen(mac, Some([10, 141, 200, 1].into()), None, 2);
        let sighting = sightings.all().remove(&mac).unwrap();
        assert_eq!((sighting.first_seen, sighting.last_seen, sighting.requests), (1, 2, 2));
        assert_eq!(sighting.vendor_class.as_deref(), Some("PXEClient"));
        assert_eq!(sighting.address, Some([10, 141, 200, 1].into()));
    }

    #[test]
    fn a_flood_of_machines_takes_bounded_memory() {
        let sightings = Sightings::default();
        for number in 0..10_000_u32 {
            let [a, b, c, d] = number.to_be_bytes();
            sightings.seen(MacAddress([2, 0, a, b, c, d]), None, None, u64::from(number));
        }
        assert_eq!(sightings.all().len(), REMEMBERED);
    }
}
