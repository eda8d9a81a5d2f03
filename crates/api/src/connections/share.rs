//! How connections are shared out. Strangers are bounded by address, by machine and in all; when there is no room, the stranger that has
//! most gives one back. What is left is for machines whose boot is expected, and for people.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use perilune_model::MacAddress;
use tokio_util::sync::CancellationToken;

/// Who has so few connections is not greedy, and loses none: a room full of machines that boot at once has a few for each.
const FEW: usize = 4;

/// Who is at the other end, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Anybody.
    Stranger,
    /// A machine whose boot is expected or served.
    Machine,
    /// Somebody whose token was good from there a while ago.
    Person,
    /// This machine, and proxies that the configuration names: they speak for many.
    Own,
}

/// What connections are counted by, beside their address: whoever has one of these can have as many addresses of it as they like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// A card on a network of this machine.
    Card(MacAddress),
    /// A network behind a router: 24 bits of IPv4, 64 of IPv6.
    Network(IpAddr),
}

/// Whose a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whose {
    pub(super) address: IpAddr,
    pub(super) group: Group,
    pub(super) rank: Rank,
}

/// How many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) all: usize,
    pub(super) of_one_address: usize,
    pub(super) of_one_group: usize,
}

impl Bounds {
    /// As many as those of this rank and lower ones may have together.
    fn up_to(self, rank: Rank) -> usize {
        let left_to_higher = match rank {
            Rank::Stranger => self.all / 4,
            Rank::Machine => self.all / 16,
            Rank::Person | Rank::Own => 0,
        };
        self.all - left_to_higher
    }
}

/// Why there is no connection for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// They have as many as they may have.
    TooMany,
    /// All are used by others who keep them; one of them will end.
    NoRoom,
}

/// All connections.
#[derive(Debug)]
pub(super) struct Share {
    bounds: Bounds,
    next: u64,
    held: BTreeMap<u64, Held>,
    addresses: BTreeMap<IpAddr, usize>,
    /// Of each group of strangers, the oldest first.
    groups: BTreeMap<Group, BTreeSet<u64>>,
    ranks: BTreeMap<Rank, usize>,
}

#[derive(Debug)]
struct Held {
    whose: Whose,
    cut: CancellationToken,
}

/// A connection that somebody has, and what says that it is taken from them.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) number: u64,
    pub(super) cut: CancellationToken,
}

impl Share {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            next: 0,
            held: BTreeMap::new(),
            addresses: BTreeMap::new(),
            groups: BTreeMap::new(),
            ranks: BTreeMap::new(),
        }
    }

    /// A connection for somebody, at the cost of a greedy stranger if need be.
    pub(super) fn take(&mut self, whose: Whose) -> Result<Taken, Refusal> {
        let of_address = self.addresses.get(&whose.address).copied().unwrap_or_default();
        if whose.rank < Rank::Own && of_address >= self.bounds.of_one_address {
            return Err(Refusal::TooMany);
        }
        let of_group = self.groups.get(&whose.group).map_or(0, BTreeSet::len);
        if whose.rank == Rank::Stranger && of_group >= self.bounds.of_one_group {
            return Err(Refusal::TooMany);
        }
        let is_room = self.up_to(whose.rank) < self.bounds.up_to(whose.rank);
        if !(is_room && self.held.len() < self.bounds.all) {
            self.cut_greediest(whose.rank)?;
        }
        Ok(self.add(whose))
    }

    /// How many are held by this rank and lower ones.
    fn up_to(&self, rank: Rank) -> usize {
        self.ranks.range(..=rank).map(|(_, count)| count).sum()
    }

    fn add(&mut self, whose: Whose) -> Taken {
        let (number, cut) = (self.next, CancellationToken::new());
        self.next += 1;
        *self.addresses.entry(whose.address).or_default() += 1;
        *self.ranks.entry(whose.rank).or_default() += 1;
        if whose.rank == Rank::Stranger {
            self.groups.entry(whose.group).or_default().insert(number);
        }
        self.held.insert(number, Held { whose, cut: cut.clone() });
        Taken { number, cut }
    }

    /// Takes the oldest connection from the group of strangers that has most.
    fn cut_greediest(&mut self, for_whom: Rank) -> Result<(), Refusal> {
        let greediest = self.groups.values().max_by_key(|held| held.len());
        let few = if for_whom == Rank::Stranger { FEW } else { 0 };
        let greediest = greediest.filter(|held| held.len() > few);
        let number = greediest.and_then(|held| held.first()).copied().ok_or(Refusal::NoRoom)?;
        if let Some(held) = self.held.get(&number) {
            held.cut.cancel();
        }
        self.give_back(number);
        Ok(())
    }

    /// A connection has ended; answers whether it was not taken away before.
    pub(super) fn give_back(&mut self, number: u64) -> bool {
        let Some(Held { whose, .. }) = self.held.remove(&number) else { return false };
        lower(&mut self.addresses, &whose.address);
        lower(&mut self.ranks, &whose.rank);
        self.leave_group(number, whose.group);
        true
    }

    /// Who has this connection has shown a good token.
    pub(super) fn raise(&mut self, number: u64, rank: Rank) {
        let Some(held) = self.held.get_mut(&number).filter(|held| held.whose.rank < rank) else {
            return;
        };
        let former = std::mem::replace(&mut held.whose.rank, rank);
        let group = held.whose.group;
        lower(&mut self.ranks, &former);
        *self.ranks.entry(rank).or_default() += 1;
        self.leave_group(number, group);
    }

    fn leave_group(&mut self, number: u64, group: Group) {
        let Some(held) = self.groups.get_mut(&group) else { return };
        held.remove(&number);
        if held.is_empty() {
            self.groups.remove(&group);
        }
    }
}

fn lower<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { all: 64, of_one_address: 16, of_one_group: 40 };

    fn whose(rank: Rank, card: u8, last: u8) -> Whose {
        let group = Group::Card(MacAddress::ethernet([2, 0, 0, 0, 0, card]));
        Whose { address: IpAddr::from([10, 141, card, last]), group, rank }
    }

    fn take(share: &mut Share, rank: Rank, card: u8, last: u8) -> Result<Taken, Refusal> {
        share.take(whose(rank, card, last))
    }

    /// Takes as many as go, each address as many as it may have.
    fn greed(share: &mut Share, rank: Rank, card: u8) -> Vec<Taken> {
        (0..40)
            .flat_map(|last| (0..20).map(move |_| last))
            .filter_map(|last| take(share, rank, card, last).ok())
            .collect()
    }

    #[test]
    fn one_address_and_one_card_have_so_many_and_leave_room_for_others() {
        let mut share = Share::new(BOUNDS);
        let of_address: Vec<Taken> =
            (0..20).filter_map(|_| take(&mut share, Rank::Stranger, 1, 1).ok()).collect();
        assert_eq!(of_address.len(), 16);
        let rest = greed(&mut share, Rank::Stranger, 1);
        assert_eq!(of_address.len() + rest.len(), 40, "however many addresses it has");
        assert!(take(&mut share, Rank::Stranger, 2, 1).is_ok());
        assert!(of_address.iter().chain(&rest).all(|taken| !taken.cut.is_cancelled()));
        for taken in of_address.iter().chain(&rest) {
            assert!(share.give_back(taken.number));
        }
        assert_eq!((share.held.len(), share.addresses.len(), share.groups.len()), (1, 1, 1));
    }

    #[test]
    fn when_strangers_have_all_that_they_may_the_greediest_gives_its_oldest_back() {
        let mut share = Share::new(BOUNDS);
        let greedy = greed(&mut share, Rank::Stranger, 1);
        let other: Vec<Taken> =
            (0..8).map(|_| take(&mut share, Rank::Stranger, 2, 1).unwrap()).collect();
        assert!(greedy.iter().all(|taken| !taken.cut.is_cancelled()), "there was room");
        let honest: Vec<Taken> =
            (3..13).map(|card| take(&mut share, Rank::Stranger, card, 1).unwrap()).collect();
        let lost = greedy.iter().filter(|taken| taken.cut.is_cancelled()).count();
        assert_eq!(lost, 10);
        assert!(greedy[..10].iter().all(|taken| taken.cut.is_cancelled()), "the oldest");
        assert!(other.iter().chain(&honest).all(|taken| !taken.cut.is_cancelled()));
        assert!(!share.give_back(greedy[0].number), "it was taken already");
    }

    #[test]
    fn machines_that_boot_and_people_have_room_whatever_strangers_do() {
        let mut share = Share::new(BOUNDS);
        for card in 1..60 {
            greed(&mut share, Rank::Stranger, card);
        }
        let node = take(&mut share, Rank::Machine, 100, 1).unwrap();
        let person = take(&mut share, Rank::Person, 101, 1).unwrap();
        // A room full of machines: strangers give back all that they have, and people have their part.
        let mut machines = 1;
        for card in 0..80 {
            machines += usize::from(take(&mut share, Rank::Machine, 110 + card, 1).is_ok());
        }
        assert_eq!(machines, 60, "all but a sixteenth");
        assert_eq!(take(&mut share, Rank::Machine, 201, 1).unwrap_err(), Refusal::NoRoom);
        assert!(take(&mut share, Rank::Person, 102, 1).is_ok());
        assert!(!node.cut.is_cancelled() && !person.cut.is_cancelled());
    }

    #[test]
    fn strangers_with_few_connections_wait_for_each_other() {
        let mut share = Share::new(BOUNDS);
        let held: Vec<Taken> =
            (0..48).map(|card| take(&mut share, Rank::Stranger, card, 1).unwrap()).collect();
        assert_eq!(take(&mut share, Rank::Stranger, 200, 1).unwrap_err(), Refusal::NoRoom);
        assert!(held.iter().all(|taken| !taken.cut.is_cancelled()));
        share.give_back(held[0].number);
        assert!(take(&mut share, Rank::Stranger, 200, 1).is_ok());
    }

    #[test]
    fn who_has_shown_a_good_token_is_a_stranger_no_longer() {
        let mut share = Share::new(BOUNDS);
        let mine = take(&mut share, Rank::Stranger, 1, 1).unwrap();
        share.raise(mine.number, Rank::Person);
        for card in 2..60 {
            greed(&mut share, Rank::Stranger, card);
        }
        for card in 60..140 {
            take(&mut share, Rank::Machine, card, 1).ok();
        }
        assert!(!mine.cut.is_cancelled());
        assert!(share.give_back(mine.number));
        share.raise(mine.number, Rank::Own);
    }

    #[test]
    fn this_machine_has_as_many_as_there_are() {
        let mut share = Share::new(BOUNDS);
        let taken = (0..100).filter(|_| take(&mut share, Rank::Own, 1, 1).is_ok()).count();
        assert_eq!(taken, 64);
    }
}
