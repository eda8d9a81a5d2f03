//! Machines that asked for an address or a boot script and that nobody described.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use perilune_model::MacAddress;

/// As many machines of each rank are remembered; of those the least heard is forgotten first.
const REMEMBERED: usize = 1024;
/// Beyond this it does not matter how often a machine was heard.
const OFTEN: u64 = 255;

/// How much speaks for a machine being one. Whoever invents machines fills the lower ranks, and pushes out nobody of a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Heard once, while many were.
    Late,
    /// Heard once, before many were: those stay, and later ones make room for each other.
    Early,
    /// Heard again.
    Known,
    /// Its frames come from the card that it says it is.
    Confirmed,
}

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
pub struct Sightings(Arc<Mutex<Machines>>);

#[derive(Debug, Default)]
struct Machines {
    known: BTreeMap<MacAddress, (Place, Sighting)>,
    ranks: BTreeMap<Rank, BTreeSet<(u64, u64, MacAddress)>>,
    /// Counts what is heard. A clock may be set back; this is not.
    heard: u64,
}

/// Where a machine stands: its rank, how often it was heard, and when last.
#[derive(Debug, Clone, Copy)]
struct Place {
    rank: Rank,
    often: u64,
    heard: u64,
}

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
        let (place, mut sighting) = machines.take(mac).unzip();
        let sighting = sighting.get_or_insert(Sighting {
            address: None,
            vendor_class: None,
            first_seen: now,
            last_seen: now,
            requests: 0,
        });
        sighting.address = address.or(sighting.address);
        sighting.vendor_class = vendor_class.or_else(|| sighting.vendor_class.take());
        sighting.last_seen = now;
        sighting.requests = sighting.requests.saturating_add(1);
        let rank = match place {
            None if machines.count(Rank::Early) < REMEMBERED => Rank::Early,
            None => Rank::Late,
            Some(place) => place.rank.max(Rank::Known),
        };
        machines.put(mac, rank, sighting.clone());
    }

    /// A machine that was seen is the one that it says it is.
    pub(crate) fn confirm(&self, mac: MacAddress) {
        let mut machines = self.lock();
        if let Some((_, sighting)) = machines.take(mac) {
            machines.put(mac, Rank::Confirmed, sighting);
        }
    }

    /// When a machine last asked for something, in milliseconds since 1970.
    pub fn last_seen(&self, mac: MacAddress) -> Option<u64> {
        self.lock().known.get(&mac).map(|(_, sighting)| sighting.last_seen)
    }

    /// All machines, by hardware address. Those that became nodes are for the caller to leave out.
    pub fn all(&self) -> BTreeMap<MacAddress, Sighting> {
        let machines = self.lock();
        machines.known.iter().map(|(mac, (_, sighting))| (*mac, sighting.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Machines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machines {
    fn count(&self, rank: Rank) -> usize {
        self.ranks.get(&rank).map_or(0, BTreeSet::len)
    }

    fn take(&mut self, mac: MacAddress) -> Option<(Place, Sighting)> {
        let (place, sighting) = self.known.remove(&mac)?;
        if let Some(rank) = self.ranks.get_mut(&place.rank) {
            rank.remove(&(place.often, place.heard, mac));
        }
        Some((place, sighting))
    }

    fn put(&mut self, mac: MacAddress, rank: Rank, sighting: Sighting) {
        self.heard += 1;
        let place = Place { rank, often: sighting.requests.min(OFTEN), heard: self.heard };
        let all = self.ranks.entry(rank).or_default();
        if all.len() >= REMEMBERED
            && let Some((_, _, least)) = all.pop_first()
        {
            self.known.remove(&least);
        }
        all.insert((place.often, place.heard, mac));
        self.known.insert(mac, (place, sighting));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_remembered_with_the_last_that_was_learnt_of_it() {
        let sightings = Sightings::default();
        let mac = MacAddress::ethernet([0x52, 0x54, 0, 0, 0, 1]);
        sightings.seen(mac, None, Some("PXEClient".into()), 1);
        sightings.seen(mac, Some([10, 141, 200, 1].into()), None, 2);
        let sighting = sightings.all().remove(&mac).unwrap();
        assert_eq!((sighting.first_seen, sighting.last_seen, sighting.requests), (1, 2, 2));
        assert_eq!(sighting.vendor_class.as_deref(), Some("PXEClient"));
        assert_eq!(sighting.address, Some([10, 141, 200, 1].into()));
    }

    /// As many invented machines as were tried.
    const FLOOD: u32 = 76_658;

    fn invented(number: u32) -> MacAddress {
        let [a, b, c, d] = number.to_be_bytes();
        MacAddress::ethernet([2, 0, a, b, c, d])
    }

    fn flood(sightings: &Sightings, times: u32) {
        flood_from(sightings, 0, times);
    }

    fn flood_from(sightings: &Sightings, first: u32, times: u32) {
        for number in first..first + FLOOD {
            for _ in 0..times {
                sightings.seen(invented(number), None, None, u64::from(number));
            }
        }
    }

    #[test]
    fn a_flood_of_machines_takes_bounded_memory() {
        let sightings = Sightings::default();
        flood(&sightings, 1);
        assert_eq!(sightings.all().len(), 2 * REMEMBERED);
        flood(&sightings, 2);
        let all = sightings.all();
        assert!(all.len() <= 4 * REMEMBERED, "{}", all.len());
        let places: usize = sightings.lock().ranks.values().map(BTreeSet::len).sum();
        assert_eq!(places, all.len());
    }

    #[test]
    fn an_honest_machine_stays_visible_in_a_flood() {
        let honest = MacAddress::ethernet([0x52, 0x54, 0, 0, 0, 1]);
        let seen = |sightings: &Sightings| sightings.seen(honest, None, None, 1);
        // It asked once, before.
        let sightings = Sightings::default();
        seen(&sightings);
        flood(&sightings, 1);
        assert!(sightings.all().contains_key(&honest), "before");
        // It goes on asking, while.
        let sightings = Sightings::default();
        flood(&sightings, 1);
        seen(&sightings);
        for number in FLOOD..FLOOD + 500 {
            sightings.seen(invented(number), None, None, 1);
        }
        seen(&sightings);
        flood_from(&sightings, 2 * FLOOD, 1);
        assert!(sightings.all().contains_key(&honest), "while");
        assert_eq!(sightings.all()[&honest].requests, 2);
        // It asks once, and comes from where it says; the invented ones ask again and again.
        let sightings = Sightings::default();
        flood(&sightings, 1);
        seen(&sightings);
        sightings.confirm(honest);
        flood(&sightings, 3);
        assert!(sightings.all().contains_key(&honest), "from its own card");
        // They ask twice each, and it three times.
        let sightings = Sightings::default();
        seen(&sightings);
        seen(&sightings);
        seen(&sightings);
        flood(&sightings, 2);
        assert!(sightings.all().contains_key(&honest), "more often");
    }
}
