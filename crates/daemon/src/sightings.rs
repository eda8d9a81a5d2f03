//! Machines that asked for an address or a boot script and that nobody described: a board that is never stored. Which of them are
//! remembered is decided here, by how much speaks for each, so that nobody who invents machines pushes out one that there is.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::once;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use perilune_boards::{Board, Rules, Snapshot, Update};
use perilune_dhcp::Sighting as Heard;
use perilune_model::MacAddress;

/// As many machines of each rank are remembered; of those the least heard is forgotten first.
const REMEMBERED: usize = 1024;
/// Beyond this it does not matter how often a machine was heard.
const OFTEN: u64 = 255;
/// The ranks together have half of this at most, and so has what comes in at a time.
const RULES: Rules = Rules { keys: 8 * REMEMBERED, changes: 1024 };

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
#[derive(Debug, Clone)]
pub struct Sightings {
    board: Board<MacAddress, Sighting>,
    /// Held by whoever changes the board; readers do without.
    ranks: Arc<Mutex<Ranks>>,
}

#[derive(Debug, Default)]
struct Ranks {
    places: BTreeMap<MacAddress, Place>,
    machines: BTreeMap<Rank, BTreeSet<(u64, u64, MacAddress)>>,
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
    /// None so far. `life` tells this life of the daemon from others.
    pub fn new(life: u64) -> Self {
        Self { board: Board::volatile(life, RULES), ranks: Arc::default() }
    }

    /// A machine asked for something.
    pub fn seen(
        &self,
        mac: MacAddress,
        address: Option<IpAddr>,
        vendor_class: Option<String>,
        now: u64,
    ) {
        self.heard(once(Heard { mac, address, vendor_class, is_confirmed: false }), now);
    }

    /// Machines asked DHCP for addresses, at most [`REMEMBERED`] at a time.
    pub(crate) fn heard(&self, heard: impl IntoIterator<Item = Heard>, now: u64) {
        let mut ranks = self.ranks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed: BTreeMap<MacAddress, Option<Sighting>> = BTreeMap::new();
        let known = self.board.snapshot();
        for Heard { mac, address, vendor_class, is_confirmed } in heard {
            let former = match changed.remove(&mac) {
                Some(changed) => changed,
                None => known.get(&mac).map(|sighting| Sighting::clone(sighting)),
            };
            let mut sighting = former.unwrap_or(Sighting {
                address: None,
                vendor_class: None,
                first_seen: now,
                last_seen: now,
                requests: 0,
            });
            sighting.address = address.or(sighting.address);
            sighting.vendor_class = vendor_class.or(sighting.vendor_class);
            sighting.last_seen = now;
            sighting.requests = sighting.requests.saturating_add(1);
            let forgotten = ranks.note(mac, sighting.requests, is_confirmed);
            changed.insert(mac, Some(sighting));
            changed.extend(forgotten.map(|forgotten| (forgotten, None)));
        }
        let macs: Vec<MacAddress> = changed.keys().copied().collect();
        self.board.update_each(&macs, |mac, _| match changed.remove(mac) {
            Some(Some(sighting)) => Update::Put(sighting),
            Some(None) => Update::Remove,
            None => Update::Keep,
        });
    }

    /// When a machine last asked for something, in milliseconds since 1970.
    pub fn last_seen(&self, mac: MacAddress) -> Option<u64> {
        self.board.get(&mac).map(|sighting| sighting.last_seen)
    }

    /// All machines, by hardware address. Those that became nodes are for the caller to leave out.
    pub fn all(&self) -> Snapshot<MacAddress, Sighting> {
        self.board.snapshot()
    }
}

impl Ranks {
    fn count(&self, rank: Rank) -> usize {
        self.machines.get(&rank).map_or(0, BTreeSet::len)
    }

    /// Gives a machine its place that was heard so often; answers whom it pushed out.
    fn note(&mut self, mac: MacAddress, requests: u64, is_confirmed: bool) -> Option<MacAddress> {
        let former = self.places.remove(&mac);
        if let Some(Place { rank, often, heard }) = former
            && let Some(machines) = self.machines.get_mut(&rank)
        {
            machines.remove(&(often, heard, mac));
        }
        let rank = match former {
            _ if is_confirmed => Rank::Confirmed,
            None if self.count(Rank::Early) < REMEMBERED => Rank::Early,
            None => Rank::Late,
            Some(place) => place.rank.max(Rank::Known),
        };
        self.heard += 1;
        let place = Place { rank, often: requests.min(OFTEN), heard: self.heard };
        let machines = self.machines.entry(rank).or_default();
        let least = if machines.len() >= REMEMBERED { machines.pop_first() } else { None };
        machines.insert((place.often, place.heard, mac));
        self.places.insert(mac, place);
        let (_, _, least) = least?;
        self.places.remove(&least);
        Some(least)
    }
}

#[cfg(test)]
mod tests {
    use perilune_boards::Since;

    use super::*;

    #[test]
    fn a_machine_is_remembered_with_the_last_that_was_learnt_of_it() {
        let sightings = Sightings::new(1);
        let mac = MacAddress::ethernet([0x52, 0x54, 0, 0, 0, 1]);
        sightings.seen(mac, None, Some("PXEClient".into()), 1);
        sightings.seen(mac, Some([10, 141, 200, 1].into()), None, 2);
        let all = sightings.all();
        let sighting = all.get(&mac).unwrap();
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

    fn unconfirmed(mac: MacAddress) -> Heard {
        Heard { mac, address: None, vendor_class: None, is_confirmed: false }
    }

    fn flood(sightings: &Sightings, times: u32) {
        flood_from(sightings, 0, times);
    }

    fn flood_from(sightings: &Sightings, first: u32, times: u32) {
        let all: Vec<u32> = (first..first + FLOOD).collect();
        for some in all.chunks(REMEMBERED / usize::try_from(times).unwrap()) {
            let heard = some.iter().flat_map(|number| (0..times).map(move |_| invented(*number)));
            sightings.heard(heard.map(unconfirmed), u64::from(first));
        }
    }

    #[test]
    fn a_flood_of_machines_takes_bounded_memory() {
        let sightings = Sightings::new(1);
        flood(&sightings, 1);
        assert_eq!(sightings.all().len(), 2 * REMEMBERED);
        flood(&sightings, 2);
        let all = sightings.all();
        assert!(all.len() <= 4 * REMEMBERED, "{}", all.len());
        let ranks = sightings.ranks.lock().unwrap();
        let places: usize = ranks.machines.values().map(BTreeSet::len).sum();
        assert_eq!((places, ranks.places.len()), (all.len(), all.len()));
        assert!(all.iter().all(|(mac, _)| ranks.places.contains_key(mac)));
    }

    #[test]
    fn an_honest_machine_stays_visible_in_a_flood() {
        let honest = MacAddress::ethernet([0x52, 0x54, 0, 0, 0, 1]);
        let seen = |sightings: &Sightings| sightings.seen(honest, None, None, 1);
        // It asked once, before.
        let sightings = Sightings::new(1);
        seen(&sightings);
        flood(&sightings, 1);
        assert!(sightings.all().get(&honest).is_some(), "before");
        // It goes on asking, while.
        let sightings = Sightings::new(1);
        flood(&sightings, 1);
        seen(&sightings);
        for number in FLOOD..FLOOD + 500 {
            sightings.seen(invented(number), None, None, 1);
        }
        seen(&sightings);
        flood_from(&sightings, 2 * FLOOD, 1);
        assert!(sightings.all().get(&honest).is_some(), "while");
        assert_eq!(sightings.all().get(&honest).unwrap().requests, 2);
        // It asks once, and comes from where it says; the invented ones ask again and again.
        let sightings = Sightings::new(1);
        flood(&sightings, 1);
        let confirmed = Heard { is_confirmed: true, ..unconfirmed(honest) };
        sightings.heard(once(confirmed), 1);
        flood(&sightings, 3);
        assert!(sightings.all().get(&honest).is_some(), "from its own card");
        // They ask twice each, and it three times.
        let sightings = Sightings::new(1);
        seen(&sightings);
        seen(&sightings);
        seen(&sightings);
        flood(&sightings, 2);
        assert!(sightings.all().get(&honest).is_some(), "more often");
    }

    #[test]
    fn what_is_heard_together_counts_as_what_is_heard_one_by_one() {
        let heard = |number: u32| {
            let vendor_class = number.is_multiple_of(3).then(|| format!("class {number}"));
            let mac = invented(number * 7 % 5000);
            Heard { mac, address: None, vendor_class, is_confirmed: number.is_multiple_of(5) }
        };
        let (together, alone) = (Sightings::new(1), Sightings::new(1));
        let numbers: Vec<u32> = (0..20_000).collect();
        for numbers in numbers.chunks(REMEMBERED) {
            together.heard(numbers.iter().map(|number| heard(*number)), 1);
            for number in numbers {
                alone.heard(once(heard(*number)), 1);
            }
        }
        let all = |sightings: &Sightings| {
            let all = sightings.all();
            all.iter().map(|(mac, sighting)| (*mac, Sighting::clone(sighting))).collect::<Vec<_>>()
        };
        assert_eq!(all(&together), all(&alone));
        assert!(all(&together).len() > 2 * REMEMBERED);
    }

    #[tokio::test]
    async fn a_slow_follower_begins_anew_and_another_life_knows_nothing() {
        let sightings = Sightings::new(1);
        let (_, mut slow) = sightings.board.subscribe();
        flood(&sightings, 1);
        let Some(Since::Whole(all)) = slow.next().await else { panic!("it missed too much") };
        assert_eq!(all.len(), 2 * REMEMBERED);
        // Killed at any moment: nothing of it is stored, and who knew it is told that it is gone.
        let Since::Whole(all) = Sightings::new(2).board.since(all.sequence()) else {
            panic!("of another life")
        };
        assert!(all.is_empty());
    }
}
